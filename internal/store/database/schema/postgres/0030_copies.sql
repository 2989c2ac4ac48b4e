-- Why a secret could not be copied, in Chinese (internal/sink).

ALTER TABLE sink_copy ADD COLUMN chinese TEXT NOT NULL DEFAULT '';
