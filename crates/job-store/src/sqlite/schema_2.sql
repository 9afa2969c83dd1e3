-- Schema 2: proofs that somebody waits for. A row outlives the batch's jobs; what became of it: codes in deliveries.rs.

CREATE TABLE deliveries (
    chain INTEGER NOT NULL CHECK (chain >= 0),
    batch INTEGER NOT NULL CHECK (batch >= 0),
    destination TEXT NOT NULL,
    -- 0 pending, 1 sent, 2 refused.
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    reason TEXT,
    changed_at_ms INTEGER NOT NULL CHECK (changed_at_ms >= 0),
    PRIMARY KEY (chain, batch),
    CHECK (state <> 2 OR reason IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_deliveries ON deliveries (destination, chain, batch) WHERE state = 0;
