-- On PostgreSQL several nodes claim nonces, one row each; there is nothing to change.
SELECT 1;
