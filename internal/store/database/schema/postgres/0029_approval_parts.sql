-- What an approval request does besides, and why its requester wants it (internal/approval).

ALTER TABLE approval_request ADD COLUMN also TEXT NOT NULL DEFAULT '[]';
ALTER TABLE approval_request ADD COLUMN reason TEXT NOT NULL DEFAULT '';
