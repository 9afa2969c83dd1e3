"""The fast tier: containers with systemd as their first process, at the host's own speed. What it can't check: MemoryMax and
DevicePolicy where the host has no cgroup v2 controllers, and power cuts (a crash here is a kill: the page cache survives)."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from .machine import Failed, Machine
from .network import SWITCH, make_switch
from .root import install_host



def sh(command: str, check: bool = True) -> subprocess.CompletedProcess:
    return subprocess.run(command, shell=True, check=check, capture_output=True, text=True)


class Nspawn(Machine):
    """One container over an overlay of the common root."""

    def __init__(self, name: str, host: str, work: pathlib.Path, root: pathlib.Path, address: str):
        super().__init__(name)
        self.folder = work / "nspawn" / name
        self.root = root
        self.merged = self.folder / "merged"
        self.log = self.folder / "console.log"
        self.process: subprocess.Popen | None = None
        self.leader = 0
        self.namespace = f"ingot-{name}"
        self.cleanup()
        for part in ("upper", "tmp", "merged"):
            (self.folder / part).mkdir(parents=True)
        install_host(self.folder / "upper", host, name, None)
        sh(f"mount -t overlay overlay -o lowerdir={root},upperdir={self.folder}/upper,workdir={self.folder}/tmp {self.merged}")
        self._network(address)

    def _network(self, address: str) -> None:
        make_switch()
        ns, port = self.namespace, f"it-{self.name}"[:15]
        self.port = port
        sh(f"ip netns add {ns}")
        sh(f"ip link add {port} netns {SWITCH} type veth peer name eth1 netns {ns}")
        sh(f"ip -n {SWITCH} link set {port} master bridge up")
        sh(f"ip -n {ns} address add {address}/24 dev eth1 && ip -n {ns} link set eth1 up && ip -n {ns} link set lo up")

    def start(self) -> None:
        command = [
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", f"--directory={self.merged}",
            f"--network-namespace-path=/run/netns/{self.namespace}", f"--hostname={self.name}", "--console=pipe",
            "--system-call-filter=io_uring_setup io_uring_enter io_uring_register",
        ]  # fmt: skip
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed(f"{self.name}: systemd-nspawn ended:\n{self.log.read_text()[-2000:]}")
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            for child in children:
                if pathlib.Path(f"/proc/{child}/comm").read_text().strip() in ("systemd", "init"):
                    self.leader = int(child)
            if self.leader:
                code, _ = self._run("systemctl is-system-running --wait >/dev/null; systemctl is-active basic.target", 60)
                if code == 0:
                    return
            time.sleep(0.05)
        raise Failed(f"{self.name} does not come up:\n{self.log.read_text()[-2000:]}")

    def _run(self, command: str, timeout: float) -> tuple[int, str]:
        enter = ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        try:
            done = subprocess.run(
                [*enter, "env", "-i", path, "/bin/bash", "-c", command],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False,
            )  # fmt: skip
            return done.returncode, done.stdout.decode(errors="replace")
        except subprocess.TimeoutExpired as expired:
            return 124, (expired.stdout or b"").decode(errors="replace")

    def crash(self) -> None:
        if self.leader:
            try:
                os.kill(self.leader, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process:
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.leader, self.process = 0, None

    def shutdown(self) -> None:
        if self.process is None:
            return
        self._run("systemctl poweroff", 30)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            pass
        self.crash()

    def block(self) -> None:
        sh(f"ip -n {SWITCH} link set {self.port} down")

    def unblock(self) -> None:
        sh(f"ip -n {SWITCH} link set {self.port} up")

    def cleanup(self) -> None:
        self.crash()
        sh(f"umount -R {self.merged}", check=False)
        sh(f"ip netns delete {self.namespace}", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
