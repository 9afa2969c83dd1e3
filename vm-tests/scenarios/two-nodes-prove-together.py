# A house keeper with witness generation on one node, a prover on another, which knows only the list of nodes.
start_all()
keeper.wait_for_unit("ingot-house-keeper.service")
worker.wait_for_unit("ingot-circuit-prover.service")
text = keeper.succeed(submit(keeper, 1, 2, "--vector-bytes 500000", follow=2))
expect(sum(line.startswith("ACK proof") for line in acknowledged(text)) == 2, "both batches are proved")
streams = worker.succeed("curl --fail --silent http://127.0.0.1:3314/metrics | grep '^ingot_worker_jobs_total.*what=.done'")
expect(sum(float(line.split()[-1]) for line in streams.splitlines()) > 0, f"the prover on the other node did it: {streams}")
# What a prover keeps there is its own: no database, no artifacts of the house keeper's.
worker.fail("test -e /var/lib/ingot/house-keeper")
