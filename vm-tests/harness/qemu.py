"""The slow tier: QEMU without hardware virtualisation, so that it runs everywhere. A machine has the common root on a disk that
is thrown away, and its state (/var/lib/ingot) on one that can be volatile: an NBD server with a write-back cache that is killed
with the machine, so that all that was not flushed is gone, as with a real disk whose power is cut."""

import itertools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

from .machine import Failed, Machine
from .network import SWITCH, make_switch
from .root import install_host

MODULES = ("virtio_blk", "failover", "net_failover", "virtio_net")
# What costs time in emulation and no scenario needs.
MASKED = pathlib.Path(__file__).with_name("masked-units.txt")
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc; /bin/busybox mount -t sysfs sys /sys; /bin/busybox mount -t devtmpfs dev /dev
for m in %(modules)s; do /bin/busybox insmod /mod/$m.ko; done
i=0; while [ ! -b /dev/vda ] && [ $i -lt 100 ]; do /bin/busybox sleep 0.05; i=$((i+1)); done
/bin/busybox mount -t ext4 /dev/vda /new || exec /bin/busybox sh
/bin/busybox mkdir -p /new/var/lib/ingot
/bin/busybox mount -t ext4 /dev/vdb /new/var/lib/ingot || exec /bin/busybox sh
/bin/busybox cp -a /host/. /new/
/bin/busybox umount /sys; /bin/busybox umount /proc
/bin/busybox mount --move /dev /new/dev
exec /bin/busybox switch_root /new /lib/systemd/systemd "$@"
"""
SHELL = """[Unit]
Description=shell for tests
After=basic.target
DefaultDependencies=no
[Service]
StandardInput=file:/dev/hvc0
StandardOutput=file:/dev/hvc0
StandardError=journal
ExecStart=/bin/bash --norc --noprofile -c 'stty -F /dev/hvc0 raw -echo; echo SHELL-READY; exec /bin/bash --norc --noprofile'
KillMode=process
[Install]
WantedBy=multi-user.target
"""
_serial = itertools.count(1)


def make_image(work: pathlib.Path, root: pathlib.Path) -> None:
    """The root as a disk image, the kernel, and the modules it needs to find its disks."""
    image, stamp = work / "base.raw", work / "base.stamp"
    newest = str(max(path.stat().st_mtime_ns for path in (root / "opt").rglob("*")))
    if image.exists() and stamp.exists() and stamp.read_text() == newest:
        return
    image.unlink(missing_ok=True)
    subprocess.run(["truncate", "-s", "2G", str(image)], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(image)], check=True)
    kernel = sorted((root / "boot").glob("vmlinuz-*"))[-1]
    shutil.copy(kernel, work / "kernel")
    modules = work / "modules"
    shutil.rmtree(modules, ignore_errors=True)
    modules.mkdir()
    for name in MODULES:
        found = next(iter((root / "lib/modules").rglob(f"{name}.ko*")), None)
        if found is None:
            continue  # built in
        with (modules / f"{name}.ko").open("wb") as out:
            if found.suffix == ".xz":
                subprocess.run(["xz", "-dc", str(found)], stdout=out, check=True)
            else:
                shutil.copyfileobj(found.open("rb"), out)
    stamp.write_text(newest)


class Qemu(Machine):
    """One emulated machine."""

    def __init__(
        self,
        name: str,
        host: str,
        work: pathlib.Path,
        address: str,
        volatile: bool,
        extra_files: dict[str, bytes] | None = None,
    ):
        super().__init__(name)
        self.work, self.host, self.volatile = work, host, volatile
        self.folder = work / "qemu" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.process: subprocess.Popen | None = None
        self.disk: subprocess.Popen | None = None
        self.address = address
        self.mac = "52:54:00:00:00:" + f"{int(address.split('.')[-1]):02x}"
        self._initramfs(extra_files or {})
        self.state = self.folder / "state.raw"
        subprocess.run(["truncate", "-s", "512M", str(self.state)], check=True)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", str(self.state)], check=True)
        self.overlay = self.folder / "root.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(work / "base.raw"), "-F", "raw", str(self.overlay)], check=True
        )

    def _initramfs(self, extra_files: dict[str, bytes]) -> None:
        tree = self.folder / "initramfs"
        for folder in ("bin", "dev", "proc", "sys", "new", "mod", "host/etc/systemd/system/multi-user.target.wants"):
            (tree / folder).mkdir(parents=True)
        shutil.copy("/bin/busybox", tree / "bin/busybox")
        present = [name for name in MODULES if (self.work / "modules" / f"{name}.ko").exists()]
        for name in present:
            shutil.copy(self.work / "modules" / f"{name}.ko", tree / "mod")
        init = tree / "init"
        init.write_text(INIT % {"modules": " ".join(present)})
        init.chmod(0o755)
        install_host(tree / "host", self.host, self.name, self.address)
        units = tree / "host/etc/systemd/system"
        (units / "test-shell.service").write_text(SHELL)
        (units / "multi-user.target.wants/test-shell.service").symlink_to("../test-shell.service")
        for unit in MASKED.read_text().split():
            if not (units / unit).exists():
                (units / unit).symlink_to("/dev/null")
        for path, text in extra_files.items():
            file = tree / "host" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)
        packed = self.folder / "initramfs.gz"
        subprocess.run(
            f"cd {tree} && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1 > {packed}", shell=True, check=True
        )

    def _start_disk(self) -> str:
        if not self.volatile:
            return f"driver=raw,node-name=state,file.driver=file,file.filename={self.state}"
        path = self.folder / "state.sock"
        path.unlink(missing_ok=True)
        self.disk = subprocess.Popen(
            ["nbdkit", "-f", "-U", str(path), "--filter=cache", "file", str(self.state), "cache=writeback"],
            stderr=(self.folder / "nbdkit.log").open("a"),
        )
        end = time.monotonic() + 10
        while not path.exists():
            if time.monotonic() > end:
                raise Failed("nbdkit does not come up")
            time.sleep(0.02)
        return f"driver=nbd,server.type=unix,server.path={path},node-name=state"

    def start(self) -> None:
        make_switch()
        shell, monitor = self.folder / "shell.sock", self.folder / "monitor.sock"
        for path in (shell, monitor):
            path.unlink(missing_ok=True)
        command = [
            "ip", "netns", "exec", SWITCH, "qemu-system-x86_64", "-machine", "pc", "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "2",
            "-m", "768", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-serial", f"file:{self.folder}/console.log", "-monitor", f"unix:{monitor},server=on,wait=off",
            "-device", "virtio-serial-pci", "-chardev", f"socket,id=sh,path={shell},server=on,wait=off",
            "-device", "virtconsole,chardev=sh", "-device", "virtio-rng-pci",
            "-kernel", str(self.work / "kernel"), "-initrd", str(self.folder / "initramfs.gz"),
            "-append", "console=ttyS0 quiet rw panic=1 mitigations=off tsc=reliable systemd.show_status=0",
            "-drive", f"id=root,if=none,file={self.overlay},format=qcow2,cache=unsafe", "-device", "virtio-blk-pci,drive=root",
            "-blockdev", self._start_disk(), "-device", "virtio-blk-pci,drive=state,write-cache=on",
            # One Ethernet for all machines of the run: multicast within the network namespace.
            "-netdev", f"socket,id=net,mcast=230.7.7.7:17777,localaddr=127.0.0.1",
            "-device", f"virtio-net-pci,netdev=net,mac={self.mac}",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=(self.folder / "qemu.log").open("a"), stderr=subprocess.STDOUT)
        end = time.monotonic() + 30
        while True:
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(str(shell))
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise Failed(f"{self.name}: QEMU ended:\n{(self.folder / 'qemu.log').read_text()}") from None
                time.sleep(0.05)
        self.buffer = b""
        try:
            self._until(b"SHELL-READY\n", 300)
        except Failed as error:
            console = (self.folder / "console.log").read_text(errors="replace")
            raise Failed(f"{self.name} does not boot: {error}\n{console[-2000:]}") from None

    def _until(self, token: bytes, timeout: float) -> bytes:
        end = time.monotonic() + timeout
        while token not in self.buffer:
            self.socket.settimeout(max(0.1, end - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                raise Failed(f"{self.name} did not answer for {timeout:.0f} s: {self.buffer[-500:]!r}") from None
            if not data:
                raise Failed(f"{self.name}: its console has ended: {self.buffer[-500:]!r}")
            self.buffer += data
        at = self.buffer.index(token)
        result, self.buffer = self.buffer[:at], self.buffer[at + len(token) :]
        return result

    def _run(self, command: str, timeout: float) -> tuple[int, str]:
        mark = next(_serial)
        self.socket.sendall(f"( {command}\n) </dev/null 2>&1; printf '\\n<<%d:{mark}>>\\n' $?\n".encode())
        output = self._until(f":{mark}>>\n".encode(), timeout + 30)
        at = output.rindex(b"\n<<")
        return int(output[at + 3 :]), output[:at].decode(errors="replace")

    def crash(self) -> None:
        for process in (self.process, self.disk):
            if process:
                process.send_signal(signal.SIGKILL)
        for process in (self.process, self.disk):
            if process:
                process.wait()
        self.process = self.disk = None

    def shutdown(self) -> None:
        if self.process is None:
            return
        self.socket.sendall(b"systemctl poweroff\n")
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            pass
        if self.disk and self.process.poll() is not None:
            self.disk.terminate()
            self.disk.wait()
        self.crash()

    def _monitor(self, *commands: str) -> None:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.folder / "monitor.sock"))
            monitor.settimeout(30)
            for command in ("", *commands):
                if command:
                    monitor.sendall(command.encode() + b"\n")
                answer = b""
                while not re.search(rb"\(qemu\) $", answer):
                    answer += monitor.recv(65536)

    def block(self) -> None:
        self._monitor("set_link net off")

    def unblock(self) -> None:
        self._monitor("set_link net on")

    def cleanup(self) -> None:
        self.crash()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
