-- Asymmetric keys may have usages beside the one that they were made for.

ALTER TABLE kms_key ADD COLUMN more_usages TEXT NOT NULL DEFAULT '[]';
