-- Security keys (internal/iam/people): those of a person, and what people are asked to approve with them.

ALTER TABLE iam_person ADD COLUMN keys TEXT NOT NULL DEFAULT '[]';
ALTER TABLE iam_person ADD COLUMN factors_at BIGINT NOT NULL DEFAULT 0; -- when a second factor was last added or taken away

CREATE TABLE ceremony (
    id           TEXT   NOT NULL PRIMARY KEY,
    account      TEXT   NOT NULL,
    login        TEXT   NOT NULL,
    user_name    TEXT   NOT NULL,
    purpose      TEXT   NOT NULL,
    session      TEXT   NOT NULL,
    fresh        BIGINT NOT NULL,
    action       TEXT   NOT NULL,
    details      TEXT   NOT NULL,
    digest       BYTEA NOT NULL,
    source       TEXT   NOT NULL,
    begun_at     BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    state        TEXT   NOT NULL,
    security_key TEXT   NOT NULL,
    made         TEXT   NOT NULL,
    rev          BIGINT NOT NULL,
    mac_epoch    BIGINT NOT NULL,
    mac          BYTEA NOT NULL
);
CREATE INDEX ceremony_of ON ceremony (account, login, session, begun_at);
CREATE INDEX ceremony_by_time ON ceremony (expires_at);
