-- Findings (internal/finding): what was found is observed, what people decided is bound.

CREATE TABLE finding (
    account     TEXT    NOT NULL,
    id          TEXT COLLATE "C" NOT NULL,
    source      TEXT    NOT NULL,
    rule        TEXT COLLATE "C" NOT NULL,
    provider    TEXT COLLATE "C" NOT NULL,
    subject     TEXT    NOT NULL,
    rank        BIGINT  NOT NULL,
    first_seen  BIGINT  NOT NULL,
    last_seen   BIGINT  NOT NULL,
    resolved_at BIGINT  NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX finding_place ON finding (account, rank, rule, id);
CREATE INDEX finding_of ON finding (account, source, provider);

CREATE TABLE finding_suppression (
    account   TEXT    NOT NULL,
    finding   TEXT COLLATE "C" NOT NULL,
    rule      TEXT COLLATE "C" NOT NULL,
    subject   TEXT    NOT NULL,
    owner     TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    by_arn    TEXT    NOT NULL,
    at        BIGINT  NOT NULL,
    until_at  BIGINT  NOT NULL,
    rev       BIGINT  NOT NULL,
    mac_epoch BIGINT  NOT NULL,
    mac       BYTEA   NOT NULL,
    PRIMARY KEY (account, finding)
);

-- How the last checks of the inventory went (internal/accesskey/checkup).
CREATE TABLE accesskey_check (
    account TEXT NOT NULL PRIMARY KEY,
    body    TEXT NOT NULL
);
