-- Which issuers are asked whether what is found in a repository works (internal/watch).

ALTER TABLE watch_repository ADD COLUMN issuers TEXT NOT NULL DEFAULT '[]';
