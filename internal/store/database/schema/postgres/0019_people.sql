-- People (internal/iam/people): how users log in, and how often somebody tried to.

CREATE TABLE iam_person (
    account      TEXT    NOT NULL,
    login        TEXT    NOT NULL,
    user_name    TEXT    NOT NULL,
    password     BYTEA   NOT NULL,
    password_at  BIGINT  NOT NULL,
    initial      BIGINT  NOT NULL,
    secret       BYTEA   NOT NULL,
    secret_at    BIGINT  NOT NULL,
    confirmed_at BIGINT  NOT NULL,
    recovery     TEXT    NOT NULL,
    sessions     TEXT    NOT NULL,
    rev          BIGINT  NOT NULL,
    mac_epoch    BIGINT  NOT NULL,
    mac          BYTEA   NOT NULL,
    PRIMARY KEY (account, login)
);

-- A later user of the same name logs in anew.
INSERT INTO row_floor (name, rev) VALUES ('iam_person', 0);

-- Not bound: it counts what was tried, and holds the newest step of a second factor.
CREATE TABLE login_limit (
    id         TEXT    NOT NULL PRIMARY KEY,
    attempts   BIGINT  NOT NULL,
    wait_until BIGINT  NOT NULL,
    step       BIGINT  NOT NULL,
    at         BIGINT  NOT NULL
);
CREATE INDEX login_limit_by_time ON login_limit (at);
