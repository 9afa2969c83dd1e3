"""systemd's own judgement of every committed unit: `systemd-analyze verify`, and `security` against a bound. Run with the
systemd of the test root, so that it is the same everywhere."""

import json
import pathlib
import re
import shutil
import subprocess

from .root import GOLDEN

# docs/nixos.md says what is left open, and why.
BOUND = 2.0
GPU_BOUND = 3.0


def chroot(root: pathlib.Path, *command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["chroot", str(root), *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def run(root: pathlib.Path) -> int:
    worst: dict[str, float] = {}
    failed: list[str] = []
    folder = root / "etc/systemd/system"
    for host in sorted(path for path in GOLDEN.iterdir() if path.is_dir()):
        units = sorted((host / "system").iterdir())
        for unit in units:
            shutil.copy2(unit, folder / unit.name)
        # The era executable is not part of the test root; any file that can be run will do.
        era = root / "opt/ingot-era/bin/ingot-era"
        if not era.exists():
            era.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / "bin/true", era)
        try:
            names = [f"/etc/systemd/system/{unit.name}" for unit in units]
            verified = chroot(root, "systemd-analyze", "verify", "--recursive-errors=no", *names)
            complaints = [line for line in verified.stdout.splitlines() if "ingot" in line or "Unknown" in line]
            if verified.returncode != 0 or complaints:
                failed.append(f"{host.name}: systemd-analyze verify ended with {verified.returncode}:\n{verified.stdout}")
            for unit in units:
                if unit.suffix != ".service":
                    continue
                judged = chroot(root, "systemd-analyze", "security", "--offline=true", "--no-pager", f"/etc/systemd/system/{unit.name}")
                found = re.search(r"Overall exposure level for .*: ([0-9.]+)", judged.stdout)
                if not found:
                    failed.append(f"{host.name}/{unit.name}: systemd-analyze security says nothing:\n{judged.stdout}")
                    continue
                score = float(found[1])
                gpu = "char-nvidia" in unit.read_text()
                name = unit.name + (" (GPU)" if gpu else "")
                worst[name] = max(worst.get(name, 0.0), score)
                if score > (GPU_BOUND if gpu else BOUND):
                    failed.append(f"{host.name}/{unit.name}: exposure {score}\n{judged.stdout}")
        finally:
            for unit in units:
                (folder / unit.name).unlink()
    for name, score in sorted(worst.items()):
        print(f"{score:.1f} {name}")
    for text in failed:
        print(text)
    hosts = json.dumps(sorted(path.name for path in GOLDEN.iterdir()))
    print(f"{len(worst) - len(failed)} passed, {len(failed)} failed; hosts {hosts}")
    return 1 if failed else 0
