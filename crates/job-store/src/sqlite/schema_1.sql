-- Schema 1. Times are milliseconds since the Unix epoch. Codes of kinds, rounds and states: codes.rs.

CREATE TABLE tokens (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    last INTEGER NOT NULL CHECK (last >= 0)
) STRICT;
INSERT INTO tokens VALUES (1, 0);

CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    chain INTEGER NOT NULL CHECK (chain >= 0),
    batch INTEGER NOT NULL CHECK (batch >= 0),
    version_minor INTEGER NOT NULL,
    version_patch INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    sealed_at_ms INTEGER NOT NULL CHECK (sealed_at_ms >= 0),
    submitted_at_ms INTEGER NOT NULL CHECK (submitted_at_ms >= 0),
    done_at_ms INTEGER CHECK (done_at_ms >= 0),
    UNIQUE (chain, batch)
) STRICT;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    batch_id INTEGER NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    chain INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    kind INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
    round INTEGER NOT NULL CHECK (round BETWEEN 0 AND 4),
    circuit INTEGER NOT NULL CHECK (circuit BETWEEN 0 AND 255),
    depth INTEGER NOT NULL CHECK (depth BETWEEN 0 AND 65535),
    sequence INTEGER NOT NULL CHECK (sequence >= 0),
    -- What was given.
    version_minor INTEGER NOT NULL,
    version_patch INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    sealed_at_ms INTEGER NOT NULL CHECK (sealed_at_ms >= 0),
    max_attempts INTEGER NOT NULL CHECK (max_attempts >= 1),
    prover_group TEXT,
    zone TEXT,
    created_by INTEGER REFERENCES jobs (id) ON DELETE CASCADE,
    -- What changes.
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),
    missing INTEGER CHECK (missing > 0),
    token INTEGER CHECK (token > 0),
    worker TEXT,
    expires_at_ms INTEGER CHECK (expires_at_ms >= 0),
    retry_at_ms INTEGER CHECK (retry_at_ms >= 0),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    deferrals INTEGER NOT NULL CHECK (deferrals >= 0),
    resets INTEGER NOT NULL CHECK (resets >= 0),
    error_at_ms INTEGER,
    error_reason TEXT,
    UNIQUE (chain, batch, kind, round, circuit, depth, sequence),
    CHECK ((state = 0) = (missing IS NOT NULL)),
    CHECK ((state IN (2, 4)) = (token IS NOT NULL)),
    CHECK ((state = 2) = (worker IS NOT NULL)),
    CHECK ((state = 2) = (expires_at_ms IS NOT NULL)),
    CHECK ((state = 3) = (retry_at_ms IS NOT NULL)),
    CHECK ((error_at_ms IS NULL) = (error_reason IS NULL))
) STRICT;

-- The order in which queued jobs of one kind and round are taken.
CREATE INDEX queue ON jobs (kind, round, priority DESC, sealed_at_ms, circuit, sequence, chain, batch, depth) WHERE state = 1;
-- The same for workers that take some circuits only.
CREATE INDEX queue_of_circuit ON jobs (kind, round, circuit, priority DESC, sealed_at_ms, sequence, chain, batch, depth) WHERE state = 1;
CREATE INDEX leases ON jobs (expires_at_ms) WHERE state = 2;
CREATE INDEX retries ON jobs (retry_at_ms) WHERE state = 3;
CREATE INDEX by_batch ON jobs (batch_id, state, kind, round, circuit);
CREATE INDEX created ON jobs (created_by) WHERE created_by IS NOT NULL;

CREATE TABLE dependencies (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    dependency INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependents ON dependencies (dependency);

CREATE TABLE files (
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    made INTEGER NOT NULL CHECK (made IN (0, 1)),
    position INTEGER NOT NULL,
    role TEXT NOT NULL,
    hash TEXT NOT NULL,
    size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
    PRIMARY KEY (job, made, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX files_by_hash ON files (hash);

-- Batches whose jobs are forgotten, and what is kept of them.
CREATE TABLE archive (
    id INTEGER PRIMARY KEY,
    chain INTEGER NOT NULL CHECK (chain >= 0),
    batch INTEGER NOT NULL CHECK (batch >= 0),
    version_minor INTEGER NOT NULL,
    version_patch INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    sealed_at_ms INTEGER NOT NULL,
    submitted_at_ms INTEGER NOT NULL,
    done_at_ms INTEGER NOT NULL,
    archived_at_ms INTEGER NOT NULL,
    jobs INTEGER NOT NULL,
    UNIQUE (chain, batch)
) STRICT;

CREATE TABLE archive_files (
    archive INTEGER NOT NULL REFERENCES archive (id) ON DELETE CASCADE,
    made INTEGER NOT NULL CHECK (made IN (0, 1)),
    position INTEGER NOT NULL,
    role TEXT NOT NULL,
    hash TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (archive, made, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX archive_files_by_hash ON archive_files (hash);

-- Who changed what by hand.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL
) STRICT;

-- Attempts that came to nothing, the latest of each job.
CREATE TABLE failures (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    at_ms INTEGER NOT NULL,
    worker TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX failures_by_job ON failures (job, id);
