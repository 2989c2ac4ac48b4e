package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/job"
)

// schedule plans jobs in the transaction of the change that needs them. A job that is
// planned already moves to the new time and loses its lease.
func (t *tx) schedule(ctx context.Context, jobs []job.Job) error {
	for _, j := range jobs {
		again := `due_at = $4, served = $5, lease_until = 0, owner = '', attempts = 0, last_error = ''`
		if j.Hasten { // whoever has it leased must not settle it as if it knew of this plan
			again = `due_at = CASE WHEN job.owner <> '' AND job.due_at >= $4 THEN job.due_at + 1
				WHEN job.owner <> '' OR job.due_at > $4 THEN $4 ELSE job.due_at END, served = CASE WHEN job.served < $5 THEN job.served ELSE $5 END`
		}
		_, err := t.exec(ctx, `INSERT INTO job (kind, account, subject, due_at, served, lease_until, owner, attempts, last_error)
			VALUES ($1, $2, $3, $4, $5, 0, '', 0, '') ON CONFLICT (kind, account, subject) DO UPDATE SET `+again,
			j.Kind, j.Account, j.Subject, micros(j.Due), j.Served.Microseconds())
		if err != nil {
			return fmt.Errorf("scheduling %s: %w", j.Kind, err)
		}
	}
	return nil
}

// Ensure implements job.Store.
func (s *Store) Ensure(ctx context.Context, jobs ...job.Job) error {
	for _, j := range jobs {
		_, err := s.db.write.ExecContext(ctx, `INSERT INTO job (kind, account, subject, due_at, served, lease_until, owner, attempts, last_error)
			VALUES ($1, $2, $3, $4, $5, 0, '', 0, '') ON CONFLICT DO NOTHING`,
			j.Kind, j.Account, j.Subject, micros(j.Due), j.Served.Microseconds())
		if err != nil {
			return unavailable(err, "planning job")
		}
	}
	return nil
}

// Renew implements job.Store.
func (s *Store) Renew(ctx context.Context, owner string, j job.Job, until time.Time) (bool, error) {
	res, err := s.db.write.ExecContext(ctx,
		`UPDATE job SET lease_until = $1 WHERE kind = $2 AND account = $3 AND subject = $4 AND owner = $5`,
		micros(until), j.Kind, j.Account, j.Subject, owner)
	if err != nil {
		return false, unavailable(err, "renewing job")
	}
	n, err := res.RowsAffected()
	return n == 1, unavailable(err, "renewing job")
}

// prepared answers a statement that is made ready once: reading a claim of many kinds takes
// longer than doing it, and idle queues claim several times a second.
func (s *Store) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if known, ok := s.claims.Load(query); ok {
		return known.(*sql.Stmt), nil
	}
	made, err := s.db.write.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	known, loaded := s.claims.LoadOrStore(query, made)
	if loaded { // somebody else was faster
		err = made.Close()
	}
	return known.(*sql.Stmt), err
}

// Claim implements job.Store. Concurrent claims on PostgreSQL pass over each other's
// rows: if they waited for them, two could wait for each other. The predicate stands on
// the outer UPDATE too, so that no plan can claim a row that changed since it was chosen.
// Each kind is asked for by itself: what of it is due first stands first in the index,
// and thousands of due jobs, of this kind or of others, cost nothing.
func (s *Store) Claim(ctx context.Context, c job.Claim) ([]job.Job, error) {
	const due = `due_at <= $3 AND served <= $4 AND lease_until <= $3`
	args := []any{micros(c.Until), c.Owner, micros(c.Now), c.Served.Microseconds(), c.Limit}
	first := make([]string, len(c.Kinds))
	for i, kind := range c.Kinds {
		args = append(args, kind)
		first[i] = fmt.Sprintf(`SELECT * FROM (SELECT kind, account, subject, due_at FROM job WHERE kind = $%d AND %s ORDER BY due_at LIMIT $5%s) AS of_%d`,
			len(args), due, s.db.skipLocked(), i)
	}
	claim, err := s.prepared(ctx, `WITH due AS MATERIALIZED (
			SELECT kind, account, subject FROM (`+strings.Join(first, " UNION ALL ")+`) AS first ORDER BY due_at LIMIT $5)
		UPDATE job SET lease_until = $1, owner = $2
		WHERE `+due+` AND (kind, account, subject) IN (SELECT kind, account, subject FROM due)
		RETURNING kind, account, subject, due_at, served, attempts`)
	if err != nil {
		return nil, unavailable(err, "claiming jobs")
	}
	rows, err := claim.QueryContext(ctx, args...)
	if err != nil {
		return nil, unavailable(err, "claiming jobs")
	}
	defer rows.Close()
	var out []job.Job
	for rows.Next() {
		var j job.Job
		var served int64
		if err := rows.Scan(&j.Kind, &j.Account, &j.Subject, (*instantField)(&j.Due), &served, &j.Attempts); err != nil {
			return nil, unavailable(err, "claiming jobs")
		}
		j.Served = time.Duration(served) * time.Microsecond
		out = append(out, j)
	}
	return out, unavailable(rows.Err(), "claiming jobs")
}

// Disown implements job.Store.
func (s *Store) Disown(ctx context.Context, owner string) error {
	_, err := s.db.write.ExecContext(ctx, `UPDATE job SET lease_until = 0, owner = '' WHERE owner = $1`, owner)
	return unavailable(err, "giving back jobs")
}

// Finish implements job.Store.
func (s *Store) Finish(ctx context.Context, owner string, j job.Job) error {
	res, err := s.db.write.ExecContext(ctx,
		`DELETE FROM job WHERE kind = $1 AND account = $2 AND subject = $3 AND owner = $4 AND due_at = $5`,
		j.Kind, j.Account, j.Subject, owner, micros(j.Due))
	return s.release(ctx, owner, j, res, unavailable(err, "finishing job"))
}

// release gives back the lease of a job that was scheduled again meanwhile: then the
// statement that settled it touched nothing.
func (s *Store) release(ctx context.Context, owner string, j job.Job, settled sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := settled.RowsAffected(); n > 0 || err != nil {
		return unavailable(err, "settling job")
	}
	_, err = s.db.write.ExecContext(ctx, `UPDATE job SET lease_until = 0, owner = '' WHERE kind = $1 AND account = $2 AND subject = $3 AND owner = $4`,
		j.Kind, j.Account, j.Subject, owner)
	return unavailable(err, "releasing job")
}

// Retry implements job.Store.
func (s *Store) Retry(ctx context.Context, owner string, j job.Job, due time.Time, reason string) error {
	res, err := s.db.write.ExecContext(ctx,
		`UPDATE job SET due_at = $1, lease_until = 0, owner = '', attempts = $8, last_error = $2
		WHERE kind = $3 AND account = $4 AND subject = $5 AND owner = $6 AND due_at = $7`,
		micros(due), reason, j.Kind, j.Account, j.Subject, owner, micros(j.Due), j.Attempts)
	return s.release(ctx, owner, j, res, unavailable(err, "retrying job"))
}
