# Who does not hold the token gets nothing, at the house keeper's door and at the prover's, and costs nobody anything.
WITH = f"{CONFIG} --set host.token-file=/etc/ingot/token"
start_all()
keeper.wait_for_unit("ingot-house-keeper.service")
worker.wait_for_unit("ingot-circuit-prover.service")
processes = {node: pid(node, unit) for node, unit in [(keeper, "ingot-house-keeper"), (worker, "ingot-circuit-prover")]}
worker.succeed("head -c 32 /dev/urandom | base64 > /tmp/wrong; chmod 400 /tmp/wrong; install -m 644 /etc/ingot/token /tmp/open")
for token, reason in [
    (f"{CONFIG} --set host.token-file=/tmp/wrong", "a wrong token"),
    (CONFIG, "no token"),
    (f"{CONFIG} --set host.token-file=/tmp/open", "a token that others can read"),
]:
    said = worker.fail(submit(worker, 1, options=token, seconds=20))
    expect("ACK" not in said, f"{reason} gets nothing: {said}")
worker.succeed(submit(worker, 1, options=WITH))

# Garbage, and a connection that says nothing.
for node, address, port in [(worker, "192.168.1.1", 3310), (keeper, "192.168.1.2", 3316)]:
    node.succeed(
        f"for i in 1 2 3 4 5; do head -c 100000 /dev/urandom > /dev/tcp/{address}/{port} || true; done",
        f"(exec 3<>/dev/tcp/{address}/{port}; sleep 2)",
    )
text = keeper.succeed(submit(keeper, 1, follow=1))
expect(any(line.startswith("ACK proof 1 ") for line in acknowledged(text)), "the batch is proved all the same")
for node, unit in [(keeper, "ingot-house-keeper"), (worker, "ingot-circuit-prover")]:
    expect(pid(node, unit) == processes[node], f"{unit} is the same process as before")
# Loopback only: figures are not shown to other nodes.
worker.fail("curl --silent --max-time 5 http://192.168.1.1:3311/metrics")
