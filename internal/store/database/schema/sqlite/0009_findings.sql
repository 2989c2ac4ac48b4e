-- Findings (internal/finding): what was found is observed, what people decided is bound.

CREATE TABLE finding (
    account     TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    rule        TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    rank        INTEGER NOT NULL,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    resolved_at INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX finding_place ON finding (account, rank, rule, id);
CREATE INDEX finding_of ON finding (account, source, provider);

CREATE TABLE finding_suppression (
    account   TEXT    NOT NULL,
    finding   TEXT    NOT NULL,
    rule      TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    owner     TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    by_arn    TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    until_at  INTEGER NOT NULL,
    rev       INTEGER NOT NULL,
    mac_epoch INTEGER NOT NULL,
    mac       BLOB    NOT NULL,
    PRIMARY KEY (account, finding)
);

-- How the last checks of the inventory went (internal/accesskey/checkup).
CREATE TABLE accesskey_check (
    account TEXT NOT NULL PRIMARY KEY,
    body    TEXT NOT NULL
);
