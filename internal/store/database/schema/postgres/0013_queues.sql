-- Each queue of jobs finds what is due to it, however much is due to the others.

DROP INDEX job_by_due;

CREATE INDEX job_by_kind ON job (kind, due_at);
