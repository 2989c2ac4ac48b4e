-- Links with which calendar programs follow an account's expiries (internal/accesskey/subscription).

CREATE TABLE calendar_subscription (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    user_name  TEXT    NOT NULL,
    language   TEXT    NOT NULL,
    digest     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE UNIQUE INDEX calendar_subscription_digest ON calendar_subscription (digest);

CREATE TABLE calendar_fetch (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    fetched_at INTEGER NOT NULL,
    PRIMARY KEY (account, name)
);

-- The name of a subscription that ended may be used again.
INSERT INTO row_floor (name, rev) VALUES ('calendar_subscription', 0);
