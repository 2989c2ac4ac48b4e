-- Roles (internal/iam/role): permissions that are acted with for a while.

CREATE TABLE iam_role (
    account     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    description TEXT    NOT NULL,
    trust       TEXT    NOT NULL,
    policies    TEXT    NOT NULL,
    max_session INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    rev         INTEGER NOT NULL,
    mac_epoch   INTEGER NOT NULL,
    mac         BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE UNIQUE INDEX iam_role_by_caseless_name ON iam_role (account, lower(name));

-- The name of a role that was removed may be used again.
INSERT INTO row_floor (name, rev) VALUES ('iam_role', 0);
