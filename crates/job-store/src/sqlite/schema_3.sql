-- Where a change by hand came from, and what it did or why it was refused. Entries of before say neither.
ALTER TABLE audit ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN result TEXT NOT NULL DEFAULT '';

-- Protocol versions that an operator has recorded: a worker with other keys is not let in.
CREATE TABLE versions (
    minor INTEGER NOT NULL CHECK (minor >= 0),
    patch INTEGER NOT NULL CHECK (patch >= 0),
    circuit_set TEXT NOT NULL,
    parameter_set TEXT NOT NULL,
    key_manifest TEXT NOT NULL,
    recorded_at_ms INTEGER NOT NULL CHECK (recorded_at_ms >= 0),
    who TEXT NOT NULL,
    PRIMARY KEY (minor, patch)
) STRICT, WITHOUT ROWID;
