# A job store of the schema before this one is brought up to date when the house keeper starts, with a copy beside it and
# nothing lost; a newer one is refused, and the house keeper is not started over and over.
STORE = "/var/lib/ingot/house-keeper/jobs.db"
SHAPE = "--proving-ms 200 --instances 3,1,0,0"
start_all()
all_up(machine)
machine.succeed(submit(machine, 1, 1, SHAPE, follow=1))
machine.succeed("systemctl stop ingot-circuit-prover.service")
machine.succeed(submit(machine, 2, 2, SHAPE))
before = acknowledged(machine.succeed(f"ingot-fake acknowledged {CONFIG}"))
machine.succeed("systemctl stop 'ingot-*'")

# What the newest migration did, undone.
version = int(machine.succeed(f"sqlite3 {STORE} 'PRAGMA user_version'"))
expect(version == 3, f"this scenario undoes migration 3; the schema is {version}: write what undoes that one")
machine.succeed(
    f"""sqlite3 {STORE} "BEGIN; ALTER TABLE audit DROP COLUMN origin; ALTER TABLE audit DROP COLUMN result; """
    """DROP TABLE versions; PRAGMA user_version = 2; COMMIT;" """
)
machine.succeed("systemctl start ingot-house-keeper " + " ".join(f"ingot-{unit}" for unit in UNITS))
all_up(machine)
expect(int(machine.succeed(f"sqlite3 -readonly {STORE} 'PRAGMA user_version'")) == 3, "the schema is the newest again")
copy = machine.succeed(f"sqlite3 {STORE}.schema-2.backup 'PRAGMA user_version; PRAGMA integrity_check'").split()
expect(copy == ["2", "ok"], f"a copy of the older one is kept, found {copy}")
after = acknowledged(machine.succeed(f"ingot-fake acknowledged {CONFIG}"))
expect(before <= after, f"nothing is lost: {sorted(before - after)}")
done = acknowledged(machine.succeed(submit(machine, 2, 2, SHAPE, follow=3)))
expect(sum(line.startswith("ACK proof") for line in done) == 3, "batches of before are proved")

machine.succeed("systemctl stop 'ingot-*'", f"sqlite3 {STORE} 'PRAGMA user_version = 4'")
machine.execute("systemctl start ingot-house-keeper.service")
machine.wait_until_succeeds("systemctl is-failed ingot-house-keeper.service", timeout=60)
machine.succeed("journalctl --no-pager -u ingot-house-keeper.service | grep -i schema")
expect(machine.succeed("systemctl show -P NRestarts ingot-house-keeper.service").strip() == "0", "it is not tried again")
