-- Repositories that are watched (internal/watch), and how they stand.

CREATE TABLE watch_repository (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    url        TEXT    NOT NULL,
    ca         TEXT    NOT NULL,
    refs       TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    pace       INTEGER NOT NULL,
    severity   INTEGER NOT NULL,
    owner      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE watch_state (
    account TEXT NOT NULL,
    name    TEXT NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (account, name)
);

-- The name of a repository that was removed may be used again.
INSERT INTO row_floor (name, rev) VALUES ('watch_repository', 0);
