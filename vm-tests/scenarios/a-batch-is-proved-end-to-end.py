# One host proves a batch of the ledger with real proofs: keys are made first, the proof verifies, and the figures say so.
start_all()
machine.wait_for_unit("ingot-keygen.service")
all_up(machine)
machine.succeed("ingot sample-batch --ops 4 --seed 7 --out /tmp/my.batch")
machine.succeed(f"ingot submit /tmp/my.batch --out /tmp/my.proof {CONFIG}")
machine.succeed("ingot verify /tmp/my.proof --batch /tmp/my.batch --dir /var/lib/ingot/workers")

# The proof is of that batch, and of no other.
machine.succeed("ingot sample-batch --ops 4 --seed 8 --out /tmp/other.batch")
code, text = machine.execute("ingot verify /tmp/my.proof --batch /tmp/other.batch --dir /var/lib/ingot/workers")
expect(code == 1, f"a proof of another batch is invalid, found exit code {code}: {text}")

# Every address that Prometheus asks answers.
for port in [3311, 3312, 3313, 3314]:
    machine.succeed(f"curl --fail --silent http://127.0.0.1:{port}/metrics | grep -q ^ingot_")
figures = machine.succeed("curl --fail --silent http://127.0.0.1:3311/metrics")
expect('ingot_batches{state="proved"} 1' in figures, "the house keeper counts the batch as proved")

# Stopped, each ends with 0 and says that it stopped.
for unit in ["house-keeper", *UNITS]:
    machine.succeed(f"systemctl stop ingot-{unit}.service")
    expect(machine.succeed(f"systemctl show -P Result ingot-{unit}.service").strip() == "success", f"{unit} stops cleanly")

# Pinned keys: with another manifest's hash, nothing that trusts keys starts, and it is not tried again.
machine.succeed("sed -i 's/^key-manifest = \"e5/key-manifest = \"00/' /etc/ingot/ingot.toml")
machine.execute("systemctl start ingot-circuit-prover.service")
machine.wait_until_succeeds("systemctl is-failed ingot-circuit-prover.service", timeout=60)
expect(machine.succeed("systemctl show -P ExecMainStatus ingot-circuit-prover.service").strip() == "78", "exit code 78")
machine.succeed("journalctl --no-pager -u ingot-circuit-prover.service | grep host.key-manifest")
