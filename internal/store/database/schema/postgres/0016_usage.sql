-- Who uses which key: counts, each bound by a MAC, and what products have registered.

CREATE TABLE key_use (
    account   TEXT   NOT NULL,
    key_id    TEXT   NOT NULL,
    id        TEXT   NOT NULL,
    principal TEXT   NOT NULL,
    product   TEXT   NOT NULL,
    source    TEXT   NOT NULL,
    action    TEXT   NOT NULL,
    n         BIGINT NOT NULL,
    first_at  BIGINT NOT NULL,
    last_at   BIGINT NOT NULL,
    rev       BIGINT NOT NULL,
    mac_epoch BIGINT NOT NULL,
    mac       BYTEA NOT NULL,
    PRIMARY KEY (account, key_id, id)
);

CREATE INDEX key_use_by_last ON key_use (last_at);

CREATE TABLE key_version_use (
    account    TEXT   NOT NULL,
    key_id     TEXT   NOT NULL,
    version_id TEXT   NOT NULL,
    used       BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    made       BIGINT NOT NULL,
    made_at    BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    mac_epoch  BIGINT NOT NULL,
    mac        BYTEA NOT NULL,
    PRIMARY KEY (account, key_id, version_id)
);

CREATE TABLE key_use_since (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);

CREATE TABLE key_resource (
    account    TEXT   NOT NULL,
    key_id     TEXT   NOT NULL,
    product    TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    note       TEXT   NOT NULL,
    creator    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    mac_epoch  BIGINT NOT NULL,
    mac        BYTEA NOT NULL,
    PRIMARY KEY (account, key_id, product, name)
);

-- A resource that was deregistered may be registered again.
INSERT INTO row_floor (name, rev) VALUES ('key_resource', 0);

-- Policies of secrets; the secret's id is never used again.
CREATE TABLE secret_policy (
    account   TEXT   NOT NULL,
    secret_id TEXT   NOT NULL,
    document  TEXT   NOT NULL,
    rev       BIGINT NOT NULL,
    mac_epoch BIGINT NOT NULL,
    mac       BYTEA NOT NULL,
    PRIMARY KEY (account, secret_id)
);
