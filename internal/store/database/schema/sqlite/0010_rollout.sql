-- Nodes and what is delivered to them (internal/rollout): what people decide is bound, what
-- nodes say of themselves is observed.

CREATE TABLE node (
    account   TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    labels    TEXT    NOT NULL,
    sign_key  BLOB    NOT NULL,
    seal_key  BLOB    NOT NULL,
    token     TEXT    NOT NULL,
    joined_at INTEGER NOT NULL,
    drained   INTEGER NOT NULL,
    rev       INTEGER NOT NULL,
    mac_epoch INTEGER NOT NULL,
    mac       BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE node_token (
    account    TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    hash       BLOB    NOT NULL,
    node       TEXT    NOT NULL,
    labels     TEXT    NOT NULL,
    uses       INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account, id)
);

CREATE TABLE rollout (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    secret     TEXT    NOT NULL,
    members    TEXT    NOT NULL,
    waves      TEXT    NOT NULL,
    now        TEXT    NOT NULL,
    level      TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE node_presence (
    account TEXT    NOT NULL,
    node    TEXT    NOT NULL,
    seen_at INTEGER NOT NULL,
    said_at INTEGER NOT NULL,
    version TEXT    NOT NULL,
    skew    INTEGER NOT NULL,
    trouble TEXT    NOT NULL,
    PRIMARY KEY (account, node)
);

CREATE TABLE node_ack (
    account     TEXT    NOT NULL,
    rollout     TEXT    NOT NULL,
    node        TEXT    NOT NULL,
    generation  INTEGER NOT NULL,
    level       INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    used_at     INTEGER NOT NULL,
    fallback_at INTEGER NOT NULL,
    fallbacks   INTEGER NOT NULL,
    refused     INTEGER NOT NULL,
    error       TEXT    NOT NULL,
    said_at     INTEGER NOT NULL,
    PRIMARY KEY (account, rollout, node)
);
CREATE INDEX node_ack_of ON node_ack (account, node);

-- The names of nodes and rollouts that were removed may be used again; the generations of a
-- rollout begin above those of every one that was removed.
INSERT INTO row_floor (name, rev) VALUES ('node', 0);
INSERT INTO row_floor (name, rev) VALUES ('rollout', 0);
INSERT INTO row_floor (name, rev) VALUES ('rollout_generation', 0);
