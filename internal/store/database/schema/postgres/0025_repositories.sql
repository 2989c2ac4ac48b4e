-- Repositories that are watched (internal/watch), and how they stand.

CREATE TABLE watch_repository (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    url        TEXT    NOT NULL,
    ca         TEXT    NOT NULL,
    refs       TEXT    NOT NULL,
    sealed     BYTEA   NOT NULL,
    pace       BIGINT  NOT NULL,
    severity   BIGINT  NOT NULL,
    owner      TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
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
