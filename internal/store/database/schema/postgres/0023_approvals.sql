-- Approvals (internal/approval): what an account wants approved by others, and what waits for it.

CREATE TABLE approval_rule (
    account         TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    need            BIGINT  NOT NULL,
    approvers       TEXT    NOT NULL,
    actions         TEXT    NOT NULL,
    resources       TEXT    NOT NULL,
    exempt          TEXT    NOT NULL,
    life            BIGINT  NOT NULL,
    suspended_until BIGINT  NOT NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    rev             BIGINT  NOT NULL,
    mac_epoch       BIGINT  NOT NULL,
    mac             BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);

-- No approval that was given under a rule counts under a later one of the same name.
INSERT INTO row_floor (name, rev) VALUES ('approval_rule', 0);

CREATE TABLE approval_request (
    account    TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    requester  TEXT    NOT NULL,
    behind     TEXT    NOT NULL,
    since      TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    resource   TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    params     TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    wants      TEXT    NOT NULL,
    votes      TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    ended_at   BIGINT  NOT NULL,
    ended_by   TEXT    NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX approval_request_by_time ON approval_request (account, created_at);
