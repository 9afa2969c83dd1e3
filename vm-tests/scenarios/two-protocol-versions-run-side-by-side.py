# During an upgrade, workers of an old and a new protocol version stand beside each other under one house keeper, and each
# takes the batches of its own.
OLD, NEW = "--version-served 0.98.0", "--version-served 0.99.0"


def give(version, first, follow=None, seconds=None):
    return submit(machine, first, follow=follow, seconds=seconds).replace("ingot-fake", f"ingot-fake {version}", 1)


def proved(text, batch):
    return any(line.startswith(f"ACK proof {batch} ") for line in acknowledged(text))


start_all()
all_up(machine)
for unit in UNITS:
    machine.wait_for_unit(f"ingot-{unit}-old.service")
machine.succeed(give(OLD, 1), give(NEW, 2))
text = machine.succeed(give(NEW, 2, follow=2))
expect(proved(text, 1) and proved(text, 2), "batches of both versions are proved")

# Nobody takes the other's: without the old prover the old batch waits, and the new one does not.
machine.succeed("systemctl stop ingot-circuit-prover-old.service")
machine.succeed(give(OLD, 3), give(NEW, 4))
text = machine.succeed(give(NEW, 4, follow=3))
expect(proved(text, 4) and not proved(text, 3), "the old batch waits for its own prover")
machine.succeed("systemctl start ingot-circuit-prover-old.service")
text = machine.succeed(give(NEW, 4, follow=4))
expect(proved(text, 3), "the old batch is proved when its prover is back")
