# A prover is killed while it proves, and does not come back: its job is done by another, and the batch is proved.
start_all()
all_up(machine)
machine.wait_for_unit("ingot-circuit-prover-second.service")
machine.succeed(submit(machine, 1, shape="--proving-ms 1500 --instances 4,0,0,0"))
busy = "curl --fail --silent http://127.0.0.1:3314/metrics | grep -E '^ingot_worker_streams_total.*outcome=.done.* [1-9]'"
machine.wait_until_succeeds(busy, timeout=120)
# It has a witness vector; what it holds is lost with it.
machine.succeed(
    "mkdir -p /run/systemd/system/ingot-circuit-prover.service.d",
    "printf '[Service]\\nRestart=no\\n' > /run/systemd/system/ingot-circuit-prover.service.d/dead.conf",
    "systemctl daemon-reload",
)
machine.succeed("systemctl kill --signal=KILL ingot-circuit-prover.service")
machine.wait_until_fails("systemctl is-active ingot-circuit-prover.service", timeout=60)
done = acknowledged(machine.succeed(submit(machine, 1, shape="--proving-ms 1500 --instances 4,0,0,0", follow=1)))
expect(any(line.startswith("ACK proof 1 ") for line in done), "the batch is proved by the prover that is left")
lost = machine.succeed("curl --fail --silent http://127.0.0.1:3311/metrics | grep '^ingot_leases_lost_total '")
expect(int(float(lost.split()[1])) >= 1, f"the dead prover's lease was taken from it, found {lost}")
