# What scenarios share. It stands before each of them, in the NixOS test driver as well as in the local harness.
import json
import random
import re

CONFIG = "--config /etc/ingot/ingot.toml"
CHAIN = 1
UNITS = ["witness-generator", "witness-vector-generator", "circuit-prover"]


def expect(condition, what):
    if not condition:
        raise Exception(f"promise not kept: {what}")


def acknowledged(text):
    """What the house keeper had on disk when it said so."""
    return {line for line in text.splitlines() if line.startswith("ACK ")}


def submit(machine, first, count=1, shape="", follow=None, seconds=None, options=CONFIG):
    """Submits batches of fake work; with `follow`, waits until so many are proved in all."""
    limit = f"timeout --kill-after=5 {seconds} " if seconds else ""
    goal = "" if follow is None else f"--follow {follow}"
    return f"{limit}ingot-fake submit {options} --first {first} --count {count} {goal} {shape}"


def status(machine, batch):
    """What the house keeper says of a batch."""
    text = machine.succeed(f"ingot --json status {batch} --chain {CHAIN} {CONFIG}")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def all_up(machine, suffix=""):
    machine.wait_for_unit("ingot-house-keeper.service")
    for unit in UNITS:
        machine.wait_for_unit(f"ingot-{unit}{suffix}.service")


def pid(machine, unit):
    return machine.succeed(f"systemctl show -P MainPID {unit}").strip()
