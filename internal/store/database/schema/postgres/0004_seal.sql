-- Root envelopes get a name and a purpose; seal_test says when one was last opened.
ALTER TABLE seal_envelope ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE seal_envelope ADD COLUMN recovery BIGINT NOT NULL DEFAULT 0;

CREATE TABLE seal_test (
    envelope  TEXT   NOT NULL PRIMARY KEY,
    tested_at BIGINT NOT NULL,
    rev       BIGINT NOT NULL,
    mac_epoch BIGINT NOT NULL,
    mac       BYTEA  NOT NULL
);
