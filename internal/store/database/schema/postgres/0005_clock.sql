-- What each node believes of its clock, and how long the service has served
-- (docs/design/clock.md). Durations are microseconds.

CREATE TABLE clock (
    node   TEXT    NOT NULL PRIMARY KEY,
    boot   TEXT    NOT NULL,
    anchor BIGINT NOT NULL,
    seen   BIGINT NOT NULL,
    served BIGINT NOT NULL
);

-- What destroys waits for its time and for this much service, too.
ALTER TABLE job ADD COLUMN served BIGINT NOT NULL DEFAULT 0;

-- How long the service ran since these were scheduled is not known: a day is granted.
UPDATE job SET served = 86400000000 WHERE kind = 'kms.delete';
