"""A network namespace with what connects the machines of a run: nothing of it is on the host's own network."""

import subprocess

SWITCH = "ingot-switch"


def make_switch() -> None:
    """A bridge for containers; for emulated machines, loopback with multicast."""
    there = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout.split()
    if SWITCH in there:
        return
    for command in (
        f"ip netns add {SWITCH}",
        f"ip -n {SWITCH} link set lo up",
        f"ip -n {SWITCH} link set lo multicast on",
        f"ip -n {SWITCH} route add 224.0.0.0/4 dev lo",
        f"ip -n {SWITCH} link add bridge type bridge",
        f"ip -n {SWITCH} link set bridge up",
    ):
        subprocess.run(command.split(), check=True)


def remove_switch() -> None:
    subprocess.run(["ip", "netns", "delete", SWITCH], check=False, capture_output=True)
