# The power is cut at random moments while batches are proved, on a disk with a volatile cache where the driver has one.
# Whatever the house keeper had acknowledged is there afterwards: batches, completed jobs, proofs, and the files they name.
# With CONTROL, the house keeper's flushes do nothing (as SQLite's `synchronous=OFF`): then work has to be lost, or this
# scenario would not see anything.
import os

CUTS = int(os.environ.get("INGOT_CUTS", "10"))
CONTROL = globals().get("CONTROL", False)
SHAPE = "--instances 3,2,1,0 --proving-ms 20 --synthesis-ms 10 --vector-bytes 20000"
EACH = 4

start_all()
all_up(machine)
told, lost, jobs = set(), set(), 0
for cut in range(CUTS):
    seconds = random.uniform(3, 9)
    _, text = machine.execute(submit(machine, 1 + cut * EACH, EACH, SHAPE, follow=0, seconds=f"{seconds:.1f}"))
    told |= acknowledged(text)
    expect(acknowledged(text), f"something is acknowledged before cut {cut + 1}: {text}")
    machine.crash()
    machine.start()
    try:
        machine.wait_for_unit("ingot-house-keeper.service", timeout=120 if CONTROL else 600)
        have = acknowledged(machine.succeed(f"ingot-fake acknowledged {CONFIG}"))
    except Exception as error:
        if not CONTROL:
            raise
        print(f"cut {cut + 1}: the job store can't even be opened")
        have = set()
    gone = told - have
    print(f"cut {cut + 1} after {seconds:.1f} s: {len(told)} acknowledged, {len(gone)} of them lost", flush=True)
    lost |= gone
    if CONTROL and lost:
        break
    expect(CONTROL or not lost, f"all that was acknowledged is there; lost: {sorted(lost)}")

if CONTROL:
    expect(lost, "without flushes, a power cut loses acknowledged work")
else:
    # And nothing is stuck: all batches are proved, and every file that is named is whole.
    all_up(machine)
    text = machine.succeed(submit(machine, 1, CUTS * EACH, SHAPE, follow=CUTS * EACH))
    have = acknowledged(text)
    jobs = sum(line.startswith("ACK job") for line in have)
    expect(told <= have, "what was done stays done, with the same files")
    proofs = {line.split()[2] for line in have if line.startswith("ACK proof")}
    expect(len(proofs) == CUTS * EACH, f"{CUTS * EACH} batches are proved, found {len(proofs)}")
    machine.succeed(f"ingot-fake backup --out /tmp/backup {CONFIG}")
    print(f"{CUTS} cuts: {len(told)} acknowledged before them, none lost; {jobs} jobs done, {len(proofs)} batches proved")
