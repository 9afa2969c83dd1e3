# A rollup's core on the same host: it puts a batch to the proof data handler, the gateway brings it to the house keeper and
# the proof back, and the core's side has verified it. The setup keys were copied from another node, one of them damaged.
start_all()
machine.wait_for_unit("ingot-proof-data-handler.service")
machine.wait_for_unit("ingot-keygen.service")

# Keys as another node would offer them, with one byte changed: copied again, compared, and that one made anew.
STATE = "/var/lib/ingot/workers"
machine.succeed("systemctl stop 'ingot-*'", f"mv {STATE}/keys /var/lib/ingot-keys")
damaged = machine.succeed("find /var/lib/ingot-keys -name '*.setup*' -o -name '*.sk' | sort | head -1").strip()
expect(damaged, "there are setup keys: " + machine.succeed("find /var/lib/ingot-keys"))
name = damaged.rsplit("/", 1)[1]
whole = machine.succeed(f"sha256sum {damaged}").split()[0]
machine.succeed(f"printf x | dd of={damaged} bs=1 seek=1000000 conv=notrunc status=none", "chmod -R a+rX /var/lib/ingot-keys")
machine.fail(f"sha256sum {damaged} | grep {whole}")
machine.succeed("systemctl start ingot-house-keeper ingot-proof-data-handler ingot-gateway " + " ".join(f"ingot-{unit}" for unit in UNITS))
all_up(machine)
machine.wait_for_unit("ingot-gateway.service")
machine.succeed(f"sha256sum $(find {STATE}/keys -name {name}) | grep {whole}")

machine.succeed("ingot sample-batch --ops 4 --seed 7 --out /tmp/my.batch")
number = machine.succeed("ingot file-info /tmp/my.batch --json 2>/dev/null | grep -o '\"batch\":[0-9]*' | head -1 | cut -d: -f2 || true").strip() or "1"
TOKEN = 'Authorization: Bearer $(cat /etc/ingot/core-token)'
put = f'curl --silent --show-error -w "%{{http_code}}" -T /tmp/my.batch -H "ingot-blake3: $(cat /tmp/hash)" -H "ingot-protocol-version: 0.1.0" -H "ingot-sealed-at-ms: $(date +%s000)"'
machine.succeed("ingot file-info /tmp/my.batch | grep -oiE '[0-9a-f]{64}' | head -1 > /tmp/hash")
code, text = machine.execute(f"{put} http://127.0.0.1:3320/batches/{number}")
expect(text.strip().endswith(("401", "403")), f"without the secret, a batch is not taken: {text}")
machine.succeed(f'{put} -H "{TOKEN}" --fail http://127.0.0.1:3320/batches/{number}')
machine.wait_until_succeeds(f'curl --silent --fail -H "{TOKEN}" http://127.0.0.1:3320/batches/{number} | grep -w proved', timeout=600)
