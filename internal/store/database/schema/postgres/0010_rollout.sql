-- Nodes and what is delivered to them (internal/rollout): what people decide is bound, what
-- nodes say of themselves is observed.

CREATE TABLE node (
    account   TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    labels    TEXT    NOT NULL,
    sign_key  BYTEA   NOT NULL,
    seal_key  BYTEA   NOT NULL,
    token     TEXT    NOT NULL,
    joined_at BIGINT  NOT NULL,
    drained   BIGINT  NOT NULL,
    rev       BIGINT  NOT NULL,
    mac_epoch BIGINT  NOT NULL,
    mac       BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE node_token (
    account    TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    hash       BYTEA   NOT NULL,
    node       TEXT    NOT NULL,
    labels     TEXT    NOT NULL,
    uses       BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    created_at BIGINT  NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
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
    created_at BIGINT  NOT NULL,
    changed_at BIGINT  NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE node_presence (
    account TEXT    NOT NULL,
    node    TEXT    NOT NULL,
    seen_at BIGINT  NOT NULL,
    said_at BIGINT  NOT NULL,
    version TEXT    NOT NULL,
    skew    BIGINT  NOT NULL,
    trouble TEXT    NOT NULL,
    PRIMARY KEY (account, node)
);

CREATE TABLE node_ack (
    account     TEXT    NOT NULL,
    rollout     TEXT    NOT NULL,
    node        TEXT    NOT NULL,
    generation  BIGINT  NOT NULL,
    level       BIGINT  NOT NULL,
    at          BIGINT  NOT NULL,
    used_at     BIGINT  NOT NULL,
    fallback_at BIGINT  NOT NULL,
    fallbacks   BIGINT  NOT NULL,
    refused     BIGINT  NOT NULL,
    error       TEXT    NOT NULL,
    said_at     BIGINT  NOT NULL,
    PRIMARY KEY (account, rollout, node)
);
CREATE INDEX node_ack_of ON node_ack (account, node);

-- The names of nodes and rollouts that were removed may be used again; the generations of a
-- rollout begin above those of every one that was removed.
INSERT INTO row_floor (name, rev) VALUES ('node', 0);
INSERT INTO row_floor (name, rev) VALUES ('rollout', 0);
INSERT INTO row_floor (name, rev) VALUES ('rollout_generation', 0);
