-- The inventory of keys that others issue (internal/accesskey). What providers tell is
-- read again and again and not bound; what people say of it is. due_at is the largest
-- number for never, so that lists can end with it.

CREATE TABLE accesskey_source (
    account    TEXT    NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    kind       TEXT    NOT NULL,
    settings   TEXT    NOT NULL,
    sealed     BYTEA   NOT NULL,
    owner      TEXT    NOT NULL,
    max_age    BIGINT  NOT NULL,
    pace       BIGINT  NOT NULL,
    paused     BIGINT  NOT NULL,
    created_at BIGINT  NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE accesskey_state (
    account TEXT NOT NULL,
    source  TEXT COLLATE "C" NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (account, source)
);

CREATE TABLE accesskey_principal (
    account TEXT NOT NULL,
    source  TEXT COLLATE "C" NOT NULL,
    id      TEXT COLLATE "C" NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (account, source, id)
);

CREATE TABLE accesskey (
    account    TEXT    NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    principal  TEXT    NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    status     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    used_at    BIGINT  NOT NULL,
    due_at     BIGINT  NOT NULL,
    due_basis  TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    seen_at    BIGINT  NOT NULL,
    gone_at    BIGINT  NOT NULL,
    PRIMARY KEY (account, source, id)
);
CREATE INDEX accesskey_by_due ON accesskey (account, due_at, source, id);
CREATE INDEX accesskey_by_age ON accesskey (account, created_at, source, id);
CREATE INDEX accesskey_by_use ON accesskey (account, used_at, source, id);
CREATE INDEX accesskey_by_source ON accesskey (account, source, due_at, id);
CREATE INDEX accesskey_by_owner ON accesskey (account, owner, due_at, source, id);
CREATE INDEX accesskey_by_status ON accesskey (account, status, due_at, source, id);

CREATE TABLE accesskey_remark (
    account    TEXT    NOT NULL,
    source     TEXT COLLATE "C" NOT NULL,
    key_id     TEXT COLLATE "C" NOT NULL,
    owner      TEXT    NOT NULL,
    purpose    TEXT    NOT NULL,
    system     TEXT    NOT NULL,
    consumers  TEXT    NOT NULL,
    tags       TEXT    NOT NULL,
    expires_at BIGINT  NOT NULL,
    permanent  BIGINT  NOT NULL,
    note       TEXT    NOT NULL,
    updated_at BIGINT  NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, source, key_id)
);

-- Names may be used again: their revisions go on.
INSERT INTO row_floor (name, rev) VALUES ('accesskey_source', 0);
