-- The highest revision that a removed row of a table had whose ids may be used again:
-- the next row goes on from there, so that revisions say which row is newer.
CREATE TABLE row_floor (
    name TEXT    NOT NULL PRIMARY KEY,
    rev  INTEGER NOT NULL
);
-- A database that was used before this release may have removed rows already.
INSERT INTO row_floor (name, rev)
SELECT t.name, CASE WHEN EXISTS (SELECT 1 FROM iam_account) THEN 1000000 ELSE 0 END
FROM (SELECT 'iam_user' AS name UNION ALL SELECT 'iam_policy' UNION ALL SELECT 'kms_alias') t;
