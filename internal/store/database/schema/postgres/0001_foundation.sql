-- Times are microseconds since 1970 UTC, 0 for never; flags are 0 or 1.
-- Tables that end in (rev, mac_epoch, mac) hold bound rows: see internal/store/row.go.

CREATE TABLE seal_envelope (
    id          TEXT    NOT NULL PRIMARY KEY,
    provider    TEXT    NOT NULL,
    params      BYTEA   NOT NULL,
    wrapped     BYTEA   NOT NULL,
    root_epoch  BIGINT NOT NULL,
    fingerprint BYTEA   NOT NULL,
    created_at  BIGINT NOT NULL
);

CREATE TABLE seal_epoch (
    number     BIGINT NOT NULL PRIMARY KEY,
    wrapped    BYTEA   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE audit_log (
    origin     TEXT    NOT NULL PRIMARY KEY,
    public_key TEXT    NOT NULL,
    sealed_key BYTEA   NOT NULL,
    created_at BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    checkpoint BYTEA   NOT NULL
);

CREATE TABLE audit_batch (
    log    TEXT    NOT NULL,
    first  BIGINT NOT NULL,
    count  BIGINT NOT NULL,
    at     BIGINT NOT NULL,
    leaves BYTEA   NOT NULL,
    hashes BYTEA   NOT NULL,
    PRIMARY KEY (log, first)
);
CREATE INDEX audit_batch_by_time ON audit_batch (at, log, first);

CREATE TABLE nonce (
    digest  BYTEA   NOT NULL PRIMARY KEY,
    expires BIGINT NOT NULL
);
CREATE INDEX nonce_by_expiry ON nonce (expires);

CREATE TABLE iam_account (
    id         TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
    name       TEXT    COLLATE "C" NOT NULL,
    tenant_key BYTEA   NOT NULL,
    created_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    mac_epoch  BIGINT NOT NULL,
    mac        BYTEA   NOT NULL
);
CREATE UNIQUE INDEX iam_account_by_caseless_name ON iam_account (lower(name));

CREATE TABLE iam_user (
    account    TEXT    NOT NULL,
    name       TEXT    COLLATE "C" NOT NULL,
    kind       TEXT    NOT NULL,
    remark     TEXT    NOT NULL,
    enabled    BIGINT NOT NULL,
    policies   TEXT    NOT NULL,
    created_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    mac_epoch  BIGINT NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE UNIQUE INDEX iam_user_by_caseless_name ON iam_user (account, lower(name));

CREATE TABLE iam_access_key (
    id         TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
    account    TEXT    NOT NULL,
    user_name  TEXT    NOT NULL,
    secret     BYTEA   NOT NULL,
    enabled    BIGINT NOT NULL,
    remark     TEXT    NOT NULL,
    created_at BIGINT NOT NULL,
    reset_at   BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    mac_epoch  BIGINT NOT NULL,
    mac        BYTEA   NOT NULL
);
CREATE INDEX iam_access_key_by_user ON iam_access_key (account, user_name);

CREATE TABLE iam_access_key_use (
    id     TEXT    COLLATE "C" NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL,
    source TEXT    NOT NULL,
    action TEXT    NOT NULL
);

CREATE TABLE iam_policy (
    account     TEXT    NOT NULL,
    name        TEXT    COLLATE "C" NOT NULL,
    description TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    rev         BIGINT NOT NULL,
    mac_epoch   BIGINT NOT NULL,
    mac         BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE UNIQUE INDEX iam_policy_by_caseless_name ON iam_policy (account, lower(name));

CREATE TABLE kms_key (
    account             TEXT    NOT NULL,
    id                  TEXT COLLATE "C" NOT NULL,
    spec                TEXT    NOT NULL,
    usage               TEXT    NOT NULL,
    origin              TEXT    NOT NULL,
    protection_level    TEXT    NOT NULL,
    state               TEXT    NOT NULL,
    description         TEXT    NOT NULL,
    creator             TEXT    NOT NULL,
    created_at          BIGINT NOT NULL,
    primary_version     TEXT    NOT NULL,
    versions            BIGINT NOT NULL,
    rotation_enabled    BIGINT NOT NULL,
    rotation_interval   BIGINT NOT NULL,
    rotated_at          BIGINT NOT NULL,
    delete_at           BIGINT NOT NULL,
    deletion_protected  BIGINT NOT NULL,
    protection_note     TEXT    NOT NULL,
    tags                TEXT    NOT NULL,
    rev                 BIGINT NOT NULL,
    mac_epoch           BIGINT NOT NULL,
    mac                 BYTEA   NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX kms_key_by_age ON kms_key (account, created_at, id);

CREATE TABLE kms_key_version (
    account    TEXT    NOT NULL,
    key_id     TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    number     BIGINT NOT NULL,
    wrapped    BYTEA   NOT NULL,
    public_key BYTEA   NOT NULL,
    created_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    mac_epoch  BIGINT NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, key_id, id)
);

CREATE TABLE kms_alias (
    account    TEXT    NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    key_id     TEXT    NOT NULL,
    created_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    mac_epoch  BIGINT NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE INDEX kms_alias_by_key ON kms_alias (account, key_id);

CREATE TABLE job (
    kind        TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    due_at      BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    owner       TEXT    NOT NULL,
    attempts    BIGINT NOT NULL,
    last_error  TEXT    NOT NULL,
    PRIMARY KEY (kind, account, subject)
);
CREATE INDEX job_by_due ON job (due_at);
