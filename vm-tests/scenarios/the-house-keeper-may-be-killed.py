# The house keeper is killed again and again while batches are proved. systemd starts it again, workers find it by
# themselves without being started again, and every batch is proved.
start_all()
all_up(machine)
SHAPE = "--proving-ms 300 --instances 3,2,0,0"
workers = {unit: pid(machine, f"ingot-{unit}.service") for unit in UNITS}
machine.succeed(submit(machine, 1, 3, SHAPE))
for kill in range(4):
    before = acknowledged(machine.succeed(f"ingot-fake acknowledged {CONFIG}"))
    machine.succeed("systemctl kill --signal=KILL ingot-house-keeper.service")
    machine.wait_for_unit("ingot-house-keeper.service")
    after = acknowledged(machine.wait_until_succeeds(f"ingot-fake acknowledged {CONFIG}", timeout=60))
    expect(before <= after, f"kill {kill + 1} loses nothing: {sorted(before - after)}")
restarts = int(machine.succeed("systemctl show -P NRestarts ingot-house-keeper.service"))
expect(restarts == 4, f"systemd has started it again four times, found {restarts}")
done = acknowledged(machine.succeed(submit(machine, 1, 3, SHAPE, follow=3)))
expect(sum(line.startswith("ACK proof") for line in done) == 3, "all batches are proved")
for unit, process in workers.items():
    expect(pid(machine, f"ingot-{unit}.service") == process, f"{unit} is the same process as before")
