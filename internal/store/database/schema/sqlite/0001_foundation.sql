-- Times are microseconds since 1970 UTC, 0 for never; flags are 0 or 1.
-- Tables that end in (rev, mac_epoch, mac) hold bound rows: see internal/store/row.go.

CREATE TABLE seal_envelope (
    id          TEXT    NOT NULL PRIMARY KEY,
    provider    TEXT    NOT NULL,
    params      BLOB    NOT NULL,
    wrapped     BLOB    NOT NULL,
    root_epoch  INTEGER NOT NULL,
    fingerprint BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
);

CREATE TABLE seal_epoch (
    number     INTEGER NOT NULL PRIMARY KEY,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE audit_log (
    origin     TEXT    NOT NULL PRIMARY KEY,
    public_key TEXT    NOT NULL,
    sealed_key BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    checkpoint BLOB    NOT NULL
);

CREATE TABLE audit_batch (
    log    TEXT    NOT NULL,
    first  INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    leaves BLOB    NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (log, first)
);
CREATE INDEX audit_batch_by_time ON audit_batch (at, log, first);

CREATE TABLE nonce (
    digest  BLOB    NOT NULL PRIMARY KEY,
    expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX nonce_by_expiry ON nonce (expires);

CREATE TABLE iam_account (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    tenant_key BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL
);
CREATE UNIQUE INDEX iam_account_by_caseless_name ON iam_account (lower(name));

CREATE TABLE iam_user (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    remark     TEXT    NOT NULL,
    enabled    INTEGER NOT NULL,
    policies   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE UNIQUE INDEX iam_user_by_caseless_name ON iam_user (account, lower(name));

CREATE TABLE iam_access_key (
    id         TEXT    NOT NULL PRIMARY KEY,
    account    TEXT    NOT NULL,
    user_name  TEXT    NOT NULL,
    secret     BLOB    NOT NULL,
    enabled    INTEGER NOT NULL,
    remark     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    reset_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL
);
CREATE INDEX iam_access_key_by_user ON iam_access_key (account, user_name);

CREATE TABLE iam_access_key_use (
    id     TEXT    NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL,
    source TEXT    NOT NULL,
    action TEXT    NOT NULL
);

CREATE TABLE iam_policy (
    account     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    document    TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    rev         INTEGER NOT NULL,
    mac_epoch   INTEGER NOT NULL,
    mac         BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE UNIQUE INDEX iam_policy_by_caseless_name ON iam_policy (account, lower(name));

CREATE TABLE kms_key (
    account             TEXT    NOT NULL,
    id                  TEXT    NOT NULL,
    spec                TEXT    NOT NULL,
    usage               TEXT    NOT NULL,
    origin              TEXT    NOT NULL,
    protection_level    TEXT    NOT NULL,
    state               TEXT    NOT NULL,
    description         TEXT    NOT NULL,
    creator             TEXT    NOT NULL,
    created_at          INTEGER NOT NULL,
    primary_version     TEXT    NOT NULL,
    versions            INTEGER NOT NULL,
    rotation_enabled    INTEGER NOT NULL,
    rotation_interval   INTEGER NOT NULL,
    rotated_at          INTEGER NOT NULL,
    delete_at           INTEGER NOT NULL,
    deletion_protected  INTEGER NOT NULL,
    protection_note     TEXT    NOT NULL,
    tags                TEXT    NOT NULL,
    rev                 INTEGER NOT NULL,
    mac_epoch           INTEGER NOT NULL,
    mac                 BLOB    NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX kms_key_by_age ON kms_key (account, created_at, id);

CREATE TABLE kms_key_version (
    account    TEXT    NOT NULL,
    key_id     TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    number     INTEGER NOT NULL,
    wrapped    BLOB    NOT NULL,
    public_key BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account, key_id, id)
);

CREATE TABLE kms_alias (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    key_id     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE INDEX kms_alias_by_key ON kms_alias (account, key_id);

CREATE TABLE job (
    kind        TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    due_at      INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    owner       TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    last_error  TEXT    NOT NULL,
    PRIMARY KEY (kind, account, subject)
);
CREATE INDEX job_by_due ON job (due_at);
