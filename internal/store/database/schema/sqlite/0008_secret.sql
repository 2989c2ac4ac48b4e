-- Secrets and their versions, whose values are encrypted (docs/design/ciphertext.md).

CREATE TABLE secret (
    account     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    description TEXT    NOT NULL,
    key_id      TEXT    NOT NULL,
    creator     TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    delete_at   INTEGER NOT NULL,
    versions    INTEGER NOT NULL,
    made        INTEGER NOT NULL,
    stages      TEXT    NOT NULL,
    tags        TEXT    NOT NULL,
    rev         INTEGER NOT NULL,
    mac_epoch   INTEGER NOT NULL,
    mac         BLOB NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE secret_version (
    account    TEXT    NOT NULL,
    secret_id  TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    number     INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    key_id     TEXT    NOT NULL,
    wrapped    BLOB NOT NULL,
    sealed     BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB NOT NULL,
    PRIMARY KEY (account, secret_id, id)
);

-- The name of a secret that was deleted may be used again.
INSERT INTO row_floor (name, rev) VALUES ('secret', 0);

-- Other keepers of secrets, and how the copies there stand.
CREATE TABLE sink (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    settings   TEXT    NOT NULL,
    sealed     BLOB NOT NULL,
    secrets    TEXT    NOT NULL,
    tags       TEXT    NOT NULL,
    overwrite  INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE sink_copy (
    account   TEXT    NOT NULL,
    sink_id   TEXT    NOT NULL,
    secret    TEXT    NOT NULL,
    status    TEXT    NOT NULL,
    version   TEXT    NOT NULL,
    written   TEXT    NOT NULL,
    remote    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    synced_at INTEGER NOT NULL,
    failures  INTEGER NOT NULL,
    error     TEXT    NOT NULL,
    rev       INTEGER NOT NULL,
    mac_epoch INTEGER NOT NULL,
    mac       BLOB NOT NULL,
    PRIMARY KEY (account, sink_id, secret)
);

-- The name of a sink that was removed may be used again, and a secret may be chosen again.
INSERT INTO row_floor (name, rev) VALUES ('sink', 0);
INSERT INTO row_floor (name, rev) VALUES ('sink_copy', 0);
