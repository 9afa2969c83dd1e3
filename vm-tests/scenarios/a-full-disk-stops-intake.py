# The house keeper's disk fills up: batches are refused with the reason, also when there is not one byte left; with room
# again they are taken, and what was under way is proved.
FOLDER = "/var/lib/ingot/house-keeper"
start_all()
all_up(machine)
# A small disk of its own.
machine.succeed("systemctl stop 'ingot-*'")
machine.succeed(f"mount -t tmpfs -o size=192m,mode=0750,uid=$(id -u ingot),gid=$(id -g ingot) tmpfs {FOLDER}")
machine.succeed("systemctl start ingot-house-keeper " + " ".join(f"ingot-{unit}" for unit in UNITS))
all_up(machine)
machine.succeed(submit(machine, 1, 1, follow=1))

ready = "curl --silent --max-time 20 http://127.0.0.1:3311/readyz"
machine.succeed(f"fallocate --length $(( $(df --output=avail -B1 {FOLDER} | tail -1) - 40000000 )) {FOLDER}/ballast")
machine.wait_until_succeeds(f"{ready} | grep -i disk", timeout=120)
said = machine.fail(submit(machine, 2))
expect("disk" in said.lower() or "free" in said.lower(), f"the refusal names the disk: {said}")

# Not one byte.
machine.execute(f"dd if=/dev/zero of={FOLDER}/more bs=1M status=none")
process = pid(machine, "ingot-house-keeper.service")
machine.fail(submit(machine, 3))
machine.succeed(f"{ready} | grep -i disk")
expect(pid(machine, "ingot-house-keeper.service") == process, "a full disk does not end the house keeper")

machine.succeed(f"rm {FOLDER}/ballast {FOLDER}/more")
machine.wait_until_succeeds(submit(machine, 2, 2), timeout=120)
done = acknowledged(machine.succeed(submit(machine, 2, 2, follow=3)))
expect(sum(line.startswith("ACK proof") for line in done) == 3, "all batches are proved")
