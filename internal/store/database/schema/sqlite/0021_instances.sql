-- Instances (internal/key/instance): places for keys. A key is of one, or of none.

CREATE TABLE kms_instance (
    account    TEXT NOT NULL,
    id         TEXT NOT NULL,
    name       TEXT NOT NULL,
    class      TEXT NOT NULL,
    settings   TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    shares     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    rev        INTEGER NOT NULL,
    mac_epoch  INTEGER NOT NULL,
    mac        BLOB NOT NULL,
    PRIMARY KEY (account, id)
);

CREATE UNIQUE INDEX kms_instance_by_id ON kms_instance (id);
CREATE UNIQUE INDEX kms_instance_by_name ON kms_instance (account, name);

ALTER TABLE kms_key ADD COLUMN instance TEXT NOT NULL DEFAULT '';
ALTER TABLE kms_key ADD COLUMN external TEXT NOT NULL DEFAULT '';
ALTER TABLE kms_key ADD COLUMN lender TEXT NOT NULL DEFAULT '';
ALTER TABLE kms_key ADD COLUMN access TEXT NOT NULL DEFAULT '[]';
CREATE INDEX kms_key_by_instance ON kms_key (instance) WHERE instance <> '';
