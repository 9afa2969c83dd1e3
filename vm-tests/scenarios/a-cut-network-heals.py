# The network between the nodes is cut while a prover on the other side works, for longer than a lease lasts. Healed, the two
# find each other, and the batch is proved without anybody's help.
SHAPE = "--proving-ms 800 --instances 4,2,0,0"
start_all()
keeper.wait_for_unit("ingot-house-keeper.service")
worker.wait_for_unit("ingot-circuit-prover.service")
FIGURES = "curl --fail --silent http://127.0.0.1:3311/metrics"
keeper.wait_until_succeeds(f"{FIGURES} | grep 'ingot_workers{{component=\"circuit-prover\",connected=\"true\"}} 1'", timeout=120)
process = pid(worker, "ingot-circuit-prover.service")
keeper.succeed(submit(keeper, 1, 1, SHAPE))
worker.wait_until_succeeds("curl --fail --silent http://127.0.0.1:3314/metrics | grep -E '^ingot_worker_jobs_total.*what=.done.* [1-9]'", timeout=120)
worker.block()
# Its lease runs out on the other side.
keeper.wait_until_succeeds(f"{FIGURES} | grep -E '^ingot_leases_lost_total [1-9]'", timeout=120)
text = acknowledged(keeper.succeed(f"ingot-fake acknowledged {CONFIG}"))
expect(not any(line.startswith("ACK proof") for line in text), "without its prover the batch is not proved")
worker.unblock()
text = keeper.succeed(submit(keeper, 1, 1, SHAPE, follow=1))
expect(any(line.startswith("ACK proof 1 ") for line in acknowledged(text)), "healed, the batch is proved")
expect(pid(worker, "ingot-circuit-prover.service") == process, "nobody had to start the prover again")
