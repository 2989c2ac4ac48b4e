-- What got out (internal/exposure): where it was seen, and what it is compared with.

CREATE TABLE leak_key (
    account    TEXT    NOT NULL,
    sealed     BYTEA   NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account)
);

-- Keyed hashes of the values of secrets.
CREATE TABLE secret_mark (
    account   TEXT    NOT NULL,
    mark      TEXT    NOT NULL,
    secret_id TEXT    NOT NULL,
    version   TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    key_id    TEXT    NOT NULL,
    strong    BIGINT  NOT NULL,
    rev       BIGINT  NOT NULL,
    mac_epoch BIGINT  NOT NULL,
    mac       BYTEA   NOT NULL,
    PRIMARY KEY (account, mark, secret_id, version)
);
CREATE INDEX secret_mark_of ON secret_mark (account, secret_id, version);

CREATE TABLE leak_sighting (
    account TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    seen_at BIGINT  NOT NULL,
    body    TEXT    NOT NULL,
    PRIMARY KEY (account, id)
);
