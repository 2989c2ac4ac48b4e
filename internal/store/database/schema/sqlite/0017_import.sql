-- Keys whose material is imported, may expire and may not be there.

ALTER TABLE kms_key ADD COLUMN empty INTEGER NOT NULL DEFAULT 0;
ALTER TABLE kms_key ADD COLUMN expire_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE kms_key_version ADD COLUMN imported BLOB NOT NULL DEFAULT x'';
