-- People (internal/iam/people): how users log in, and how often somebody tried to.

CREATE TABLE iam_person (
    account      TEXT    NOT NULL,
    login        TEXT    NOT NULL,
    user_name    TEXT    NOT NULL,
    password     BLOB    NOT NULL,
    password_at  INTEGER NOT NULL,
    initial      INTEGER NOT NULL,
    secret       BLOB    NOT NULL,
    secret_at    INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL,
    recovery     TEXT    NOT NULL,
    sessions     TEXT    NOT NULL,
    rev          INTEGER NOT NULL,
    mac_epoch    INTEGER NOT NULL,
    mac          BLOB    NOT NULL,
    PRIMARY KEY (account, login)
);

-- A later user of the same name logs in anew.
INSERT INTO row_floor (name, rev) VALUES ('iam_person', 0);

-- Not bound: it counts what was tried, and holds the newest step of a second factor.
CREATE TABLE login_limit (
    id         TEXT    NOT NULL PRIMARY KEY,
    attempts   INTEGER NOT NULL,
    wait_until INTEGER NOT NULL,
    step       INTEGER NOT NULL,
    at         INTEGER NOT NULL
);
CREATE INDEX login_limit_by_time ON login_limit (at);
