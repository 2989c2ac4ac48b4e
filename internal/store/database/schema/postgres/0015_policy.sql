-- Keys have a policy of their own, and are found by what a ciphertext names.

ALTER TABLE kms_key ADD COLUMN policy TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX kms_key_by_id ON kms_key (id);
