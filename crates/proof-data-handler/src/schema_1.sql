-- Schema 1. Times are milliseconds since the Unix epoch.

CREATE TABLE batches (
    number INTEGER PRIMARY KEY CHECK (number >= 0),
    version_minor INTEGER NOT NULL,
    version_patch INTEGER NOT NULL,
    sealed_at_ms INTEGER NOT NULL CHECK (sealed_at_ms >= 0),
    received_at_ms INTEGER NOT NULL CHECK (received_at_ms >= 0),
    inputs_hash TEXT NOT NULL,
    inputs_bytes INTEGER NOT NULL CHECK (inputs_bytes >= 0),
    -- The inputs were removed to make room.
    pruned INTEGER NOT NULL DEFAULT 0 CHECK (pruned IN (0, 1)),
    -- What a proof of this batch says, computed from the inputs: limbs of 8 bytes, little-endian.
    public_input BLOB NOT NULL,
    -- Four digests that tie a proof to the batch.
    coordinates BLOB NOT NULL CHECK (length(coordinates) = 128),
    -- Given to a gateway until then.
    leased_until_ms INTEGER NOT NULL DEFAULT 0,
    times_leased INTEGER NOT NULL DEFAULT 0,
    -- The gateway's name, if it said one.
    holder TEXT,
    proof_hash TEXT,
    proof_bytes INTEGER,
    proved_at_ms INTEGER,
    -- Proofs that were refused, and the last one's fault.
    refused INTEGER NOT NULL DEFAULT 0,
    refused_reason TEXT,
    CHECK ((proof_hash IS NULL) = (proved_at_ms IS NULL)),
    CHECK ((proof_hash IS NULL) = (proof_bytes IS NULL))
) STRICT;
CREATE INDEX unproved ON batches (number) WHERE proof_hash IS NULL;
