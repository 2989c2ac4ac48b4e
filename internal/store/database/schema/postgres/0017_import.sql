-- Keys whose material is imported, may expire and may not be there.

ALTER TABLE kms_key ADD COLUMN empty BIGINT NOT NULL DEFAULT 0;
ALTER TABLE kms_key ADD COLUMN expire_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE kms_key_version ADD COLUMN imported BYTEA NOT NULL DEFAULT '';
