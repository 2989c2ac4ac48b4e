-- Federation (internal/iam/federation): where people prove elsewhere who they are, and whom that means.

CREATE TABLE iam_identity_provider (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    issuer     TEXT    NOT NULL,
    client_id  TEXT    NOT NULL,
    secret     BYTEA   NOT NULL,
    claim      TEXT    NOT NULL,
    mfa        TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE iam_link (
    account    TEXT    NOT NULL,
    provider   TEXT    NOT NULL,
    user_name  TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    rev        BIGINT  NOT NULL,
    mac_epoch  BIGINT  NOT NULL,
    mac        BYTEA   NOT NULL,
    PRIMARY KEY (account, provider, user_name)
);
CREATE UNIQUE INDEX iam_link_by_value ON iam_link (account, provider, value);
CREATE INDEX iam_link_by_user ON iam_link (account, user_name);

-- Both may be made again after they were removed.
INSERT INTO row_floor (name, rev) VALUES ('iam_identity_provider', 0);
INSERT INTO row_floor (name, rev) VALUES ('iam_link', 0);
