"""The Debian root that both tiers start from, and what a host of vm-tests/golden adds to it."""

import json
import os
import pathlib
import re
import shutil
import subprocess

SUITE = "trixie"
PACKAGES = (
    "systemd,systemd-sysv,dbus,iproute2,iputils-ping,procps,kmod,udev,sqlite3,python3-minimal,curl,rsync,linux-image-cloud-amd64"
)
REPO = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = REPO / "vm-tests" / "golden"
TOKEN = "a-token-for-tests-only-0123456789abcdef\n"


def mirror() -> str:
    """The mirror that apt uses here."""
    if "DEBIAN_MIRROR" in os.environ:
        return os.environ["DEBIAN_MIRROR"]
    for path in [*pathlib.Path("/etc/apt/sources.list.d").glob("*"), pathlib.Path("/etc/apt/sources.list")]:
        if path.is_file() and path.suffix in (".list", ".sources"):
            for found in re.findall(r"https?://[^\s\]]+/debian/?(?=\s|$)", path.read_text()):
                return found
    raise SystemExit("no Debian mirror in apt's sources: set DEBIAN_MIRROR")


def make_root(work: pathlib.Path) -> pathlib.Path:
    """A minimal Debian with systemd; made once."""
    root = work / f"root-{SUITE}"
    if (root / "etc/ingot-test-root").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    log = work / "mmdebstrap.log"
    with log.open("w") as out:
        result = subprocess.run(
            ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root), mirror()],
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode != 0:
        raise SystemExit(f"mmdebstrap failed:\n{log.read_text()[-3000:]}")
    run_in = ["chroot", str(root)]
    subprocess.run([*run_in, "groupadd", "--system", "ingot"], check=True)
    subprocess.run(
        [*run_in, "useradd", "--system", "--gid", "ingot", "--home", "/var/lib/ingot", "--shell", "/usr/sbin/nologin", "ingot"],
        check=True,
    )
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "etc/hostname").unlink(missing_ok=True)
    (root / "etc/ingot-test-root").write_text(SUITE + "\n")
    return root


def stripped(work: pathlib.Path, program: pathlib.Path) -> pathlib.Path:
    """A copy of an executable without symbols, a tenth of the size; made anew when the executable changes."""
    to = work / "bin" / program.name
    if not to.exists() or to.stat().st_mtime < program.stat().st_mtime:
        to.parent.mkdir(parents=True, exist_ok=True)
        partial = to.with_suffix(".part")
        subprocess.run(["strip", "-o", str(partial), str(program)], check=True)
        partial.rename(to)
    return to


def install_programs(root: pathlib.Path, programs: dict[str, pathlib.Path]) -> None:
    """Executables where the golden units look for them, and on the PATH."""
    for name, program in programs.items():
        folder = root / "opt" / name / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(program, folder / name)
        link = root / "usr/local/bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"/opt/{name}/bin/{name}")
    old = root / "opt/ingot-fake-old/bin/ingot-fake"
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_text('#!/bin/sh\nexec /opt/ingot-fake/bin/ingot-fake --version-served 0.98.0 "$@"\n')
    old.chmod(0o755)


def install_host(to: pathlib.Path, host: str, name: str, address: str | None) -> None:
    """What a host has beyond Debian: its units, enabled; its configuration; the secrets of tests."""
    golden = GOLDEN / host
    if not golden.is_dir():
        raise SystemExit(f"no host {host} in {GOLDEN}")
    units = to / "etc/systemd/system"
    wants = units / "multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for unit in sorted((golden / "system").iterdir()):
        shutil.copy2(unit, units / unit.name)
        if "WantedBy=multi-user.target" in unit.read_text():
            (wants / unit.name).symlink_to(f"../{unit.name}")
    etc = to / "etc/ingot"
    etc.mkdir(parents=True, exist_ok=True)
    for file in (golden / "etc/ingot").iterdir():
        shutil.copy2(file, etc / file.name)
    for secret in ("token", "core-token"):
        path = etc / secret
        path.write_text(TOKEN)
        path.chmod(0o400)
    (to / "etc/hostname").write_text(name + "\n")
    facts = json.loads((golden / "host.json").read_text())
    # network-online.target has no provider in these machines: it is reached at once.
    if address:
        (units / "test-network.service").write_text(
            "[Unit]\nBefore=network-online.target\n[Service]\nType=oneshot\nRemainAfterExit=true\n"
            "ExecStart=/bin/sh -c 'for i in /sys/class/net/*; do d=$(basename $i); ip link set $d up; "
            f"[ $d = lo ] || ip address add {address}/24 dev $d; done'\n[Install]\nWantedBy=multi-user.target\n"
        )
        (wants / "test-network.service").symlink_to("../test-network.service")
    open_ports = facts["firewall"]["allowedTCPPorts"]
    (etc / "open-ports").write_text(" ".join(map(str, open_ports)) + "\n")
