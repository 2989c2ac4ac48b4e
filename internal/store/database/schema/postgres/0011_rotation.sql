-- Plans of rotations, and rotations (internal/rotation). A rotation's body is its whole
-- state; the columns beside it are for finding it.

CREATE TABLE rotation_plan (
    account    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    principal  TEXT    NOT NULL,
    key_id     TEXT    NOT NULL,
    secret     TEXT    NOT NULL,
    rollout    TEXT    NOT NULL,
    care       TEXT    NOT NULL,
    auto       BIGINT NOT NULL,
    last_at    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    mac_epoch  BIGINT NOT NULL,
    mac        BYTEA NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE rotation (
    account    TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    plan       TEXT    NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL,
    body       TEXT    NOT NULL,
    rev        BIGINT NOT NULL,
    mac_epoch  BIGINT NOT NULL,
    mac        BYTEA NOT NULL,
    PRIMARY KEY (account, id)
);
CREATE INDEX rotation_of ON rotation (account, plan, created_at);
-- Of a plan one rotation is under way.
CREATE UNIQUE INDEX rotation_under_way ON rotation (account, plan) WHERE ended_at = 0;

-- The name of a plan that was deleted may be used again.
INSERT INTO row_floor (name, rev) VALUES ('rotation_plan', 0);
