-- The fingerprints of replay nonces live in memory; here they are kept for the next start,
-- eight bytes each, as many in a row as were written together.
CREATE TABLE nonce_block (
    id           INTEGER NOT NULL PRIMARY KEY,
    fingerprints BLOB    NOT NULL
);
INSERT INTO nonce_block (fingerprints) SELECT substr(digest, 1, 8) FROM nonce;
DROP TABLE nonce;
