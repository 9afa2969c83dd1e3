# What a component could do if it were taken over. A probe runs in the place of each executable, under the very same unit.
PROBE = r"""
import ctypes, mmap, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def tried(name, action):
    try:
        action(); print(f"PROBE {name} done")
    except Exception as error:
        print(f"PROBE {name} refused {type(error).__name__}")
def call(number, *arguments):
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "syscall")
tried("write-etc", lambda: open("/etc/probe", "w"))
tried("write-opt", lambda: open("/opt/probe", "w"))
tried("read-root", lambda: os.listdir("/root"))
tried("read-token", lambda: open("/etc/ingot/token").read())
tried("write-own-state", lambda: open("/var/lib/ingot/workers/probe", "w"))
tried("write-artifacts", lambda: open("/var/lib/ingot/house-keeper/artifacts/probe", "w"))
tried("write-job-store", lambda: open("/var/lib/ingot/house-keeper/jobs.db", "r+b"))
tried("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
tried("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
tried("write-and-execute", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
tried("namespace", lambda: call(272, 0x10000000))
tried("mount", lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, None))
tried("trace", lambda: call(101, 16, os.getppid(), 0, 0))
tried("kernel-module", lambda: call(175, None, 0, b""))
tried("set-clock", lambda: call(227, 0, (ctypes.c_long * 2)(0, 0)))
tried("keyring", lambda: call(248, b"user", b"x", b"y", 1, -2))
tried("io-uring", lambda: call(425, 4, ctypes.create_string_buffer(120)))
tried("set-id-file", lambda: (open("/tmp/s", "w").close(), os.chmod("/tmp/s", 0o4755)))
tried("memory-device", lambda: open("/dev/mem", "rb"))
tried("disk-device", lambda: open("/dev/vda", "rb"))
tried("other-processes", lambda: open("/proc/1/cmdline").read() and [p for p in os.listdir("/proc") if p.isdigit() and p == "1"][0])
tried("kernel-log", lambda: open("/dev/kmsg"))
tried("other-temporary-files", lambda: open("/tmp/secret-of-others").read())
"""
NEVER = {
    "write-etc", "write-opt", "read-root", "read-token", "netlink", "packet", "write-and-execute", "namespace", "mount", "trace",
    "kernel-module", "set-clock", "keyring", "set-id-file", "memory-device", "disk-device", "other-processes", "kernel-log", "other-temporary-files",
}  # fmt: skip
MAY = {
    "house-keeper": {"write-artifacts", "write-job-store"},
    "witness-generator": {"write-own-state", "write-artifacts"},
    "witness-vector-generator": {"write-own-state", "write-artifacts", "io-uring"},
    "circuit-prover": {"write-own-state", "write-artifacts", "io-uring"},
}

start_all()
all_up(machine)
machine.succeed("touch /tmp/secret-of-others; chmod 644 /tmp/secret-of-others; systemctl stop 'ingot-*'")
machine.succeed(f"mkdir -p /opt && cat > /opt/probe.py <<'END'\n{PROBE}\nEND")
found = {}
for unit, may in MAY.items():
    folder = f"/run/systemd/system/ingot-{unit}.service.d"
    machine.succeed(
        f"mkdir -p {folder} && printf '[Service]\\nType=oneshot\\nRestart=no\\nWatchdogSec=0\\nExecStart=\\n"
        f"ExecStart=%s /opt/probe.py\\n' $(readlink -f $(command -v python3)) > {folder}/probe.conf",
        "systemctl daemon-reload",
    )
    machine.succeed(f"systemctl start ingot-{unit}.service")
    said = machine.succeed(f"journalctl --no-pager -o cat -u ingot-{unit}.service | grep ^PROBE")
    lines = [line.split() for line in said.splitlines()]
    done = {line[1] for line in lines if line[2] == "done"}
    expect({line[1] for line in lines} >= NEVER | MAY[unit], f"{unit}: the probe tried everything: {said}")
    expect(not done & NEVER, f"{unit} can do {sorted(done & NEVER)}, which no unit may")
    expect(done == may, f"{unit} can do {sorted(done)}, expected {sorted(may)}")

# The probe itself: as root, outside of a unit, most of it works.
free = machine.succeed("python3 /opt/probe.py")
for name in ["write-etc", "read-token", "netlink", "write-and-execute", "io-uring", "write-job-store"]:
    expect(f"PROBE {name} done" in free, f"the probe can see `{name}`: {free}")
