-- Targets (internal/target): how the nodes are reached for which the server itself speaks.

CREATE TABLE target (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    settings   TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    overwrite  INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);

-- The name of a target that was removed may be used again.
INSERT INTO row_floor (name, rev) VALUES ('target', 0);
