package bound

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/store/database"
)

// Schedule plans jobs in the transaction of the change that needs them. A job that is
// planned already moves to the new time and loses its lease.
func (t *Tx) Schedule(ctx context.Context, jobs []job.Job) error {
	for _, j := range jobs {
		again := `due_at = $4, served = $5, lease_until = 0, owner = '', attempts = 0, last_error = ''`
		if j.Hasten { // whoever has it leased must not settle it as if it knew of this plan
			again = `due_at = CASE WHEN job.owner <> '' AND job.due_at >= $4 THEN job.due_at + 1
				WHEN job.owner <> '' OR job.due_at > $4 THEN $4 ELSE job.due_at END, served = CASE WHEN job.served < $5 THEN job.served ELSE $5 END`
		}
		_, err := t.Run(ctx, `INSERT INTO job (kind, account, subject, due_at, served, lease_until, owner, attempts, last_error)
			VALUES ($1, $2, $3, $4, $5, 0, '', 0, '') ON CONFLICT (kind, account, subject) DO UPDATE SET `+again,
			j.Kind, j.Account, j.Subject, database.Micros(j.Due), j.Served.Microseconds())
		if err != nil {
			return fmt.Errorf("scheduling %s: %w", j.Kind, err)
		}
	}
	return nil
}

// Ensure implements job.Store.
func (s *Store) Ensure(ctx context.Context, jobs ...job.Job) error {
	for _, j := range jobs {
		_, err := s.DB.Exec(ctx, `INSERT INTO job (kind, account, subject, due_at, served, lease_until, owner, attempts, last_error)
			VALUES ($1, $2, $3, $4, $5, 0, '', 0, '') ON CONFLICT DO NOTHING`,
			j.Kind, j.Account, j.Subject, database.Micros(j.Due), j.Served.Microseconds())
		if err != nil {
			return database.Unavailable(err, "planning job")
		}
	}
	return nil
}

// Renew implements job.Store.
func (s *Store) Renew(ctx context.Context, owner string, j job.Job, until time.Time) (bool, error) {
	n, err := s.DB.Exec(ctx,
		`UPDATE job SET lease_until = $1 WHERE kind = $2 AND account = $3 AND subject = $4 AND owner = $5`,
		database.Micros(until), j.Kind, j.Account, j.Subject, owner)
	return n == 1, database.Unavailable(err, "renewing job")
}

// Claim implements job.Store. Concurrent claims on PostgreSQL pass over each other's
// rows: if they waited for them, two could wait for each other. The predicate stands on
// the outer UPDATE too, so that no plan can claim a row that changed since it was chosen.
// Each kind is asked for by itself: what of it is due first stands first in the index,
// and thousands of due jobs, of this kind or of others, cost nothing.
func (s *Store) Claim(ctx context.Context, c job.Claim) ([]job.Job, error) {
	const due = `due_at <= $3 AND served <= $4 AND lease_until <= $3`
	args := []any{database.Micros(c.Until), c.Owner, database.Micros(c.Now), c.Served.Microseconds(), c.Limit}
	locked := "" // an embedded database has one writer
	if s.DB.Shared() {
		locked = " FOR UPDATE SKIP LOCKED"
	}
	first := make([]string, len(c.Kinds))
	for i, kind := range c.Kinds {
		args = append(args, kind)
		first[i] = fmt.Sprintf(`SELECT * FROM (SELECT kind, account, subject, due_at FROM job WHERE kind = $%d AND %s ORDER BY due_at LIMIT $5%s) AS of_%d`,
			len(args), due, locked, i)
	}
	rows, err := s.DB.Returning(ctx, `WITH due AS MATERIALIZED (
			SELECT kind, account, subject FROM (`+strings.Join(first, " UNION ALL ")+`) AS first ORDER BY due_at LIMIT $5)
		UPDATE job SET lease_until = $1, owner = $2
		WHERE `+due+` AND (kind, account, subject) IN (SELECT kind, account, subject FROM due)
		RETURNING kind, account, subject, due_at, served, attempts`, args...)
	if err != nil {
		return nil, database.Unavailable(err, "claiming jobs")
	}
	defer rows.Close()
	var out []job.Job
	for rows.Next() {
		var j job.Job
		var served int64
		if err := rows.Scan(&j.Kind, &j.Account, &j.Subject, (*database.Moment)(&j.Due), &served, &j.Attempts); err != nil {
			return nil, database.Unavailable(err, "claiming jobs")
		}
		j.Served = time.Duration(served) * time.Microsecond
		out = append(out, j)
	}
	return out, database.Unavailable(rows.Err(), "claiming jobs")
}

// Disown implements job.Store.
func (s *Store) Disown(ctx context.Context, owner string) error {
	_, err := s.DB.Exec(ctx, `UPDATE job SET lease_until = 0, owner = '' WHERE owner = $1`, owner)
	return database.Unavailable(err, "giving back jobs")
}

// Settle implements job.Store.
func (s *Store) Settle(ctx context.Context, owner string, all ...job.Settlement) error {
	slices.SortFunc(all, func(a, b job.Settlement) int { // one order in all processes: no deadlocks
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Subject, b.Subject))
	})
	return database.Unavailable(s.Apart(ctx, func(t *Tx) error {
		for _, j := range all {
			if err := t.settle(ctx, owner, j); err != nil {
				return err
			}
		}
		return nil
	}), "settling jobs")
}

// settle ends the lease of a job. That one was scheduled again meanwhile shows by its time.
func (t *Tx) settle(ctx context.Context, owner string, j job.Settlement) error {
	const of = ` WHERE kind = $1 AND account = $2 AND subject = $3 AND owner = $4`
	args := []any{j.Kind, j.Account, j.Subject, owner, database.Micros(j.Due)}
	settled, err := int64(0), error(nil)
	if j.Again.IsZero() {
		settled, err = t.Run(ctx, `DELETE FROM job`+of+` AND due_at = $5`, args...)
	} else {
		settled, err = t.Run(ctx, `UPDATE job SET due_at = $6, lease_until = 0, owner = '', attempts = $7, last_error = $8`+of+` AND due_at = $5`,
			append(args, database.Micros(j.Again), j.Attempts, j.Reason)...)
	}
	if err == nil && settled == 0 {
		_, err = t.Run(ctx, `UPDATE job SET lease_until = 0, owner = ''`+of, args[:4]...)
	}
	return err
}

// EnsureJob puts back a job that is not there or is put off beyond latest, and tells
// whether it did. A job only says when to look, so it is always right to have one.
func (s *Store) EnsureJob(ctx context.Context, j job.Job, latest time.Time) (restored bool, err error) {
	n, err := s.DB.Exec(ctx, `INSERT INTO job (kind, account, subject, due_at, served, lease_until, owner, attempts, last_error)
		VALUES ($1, $2, $3, $4, $5, 0, '', 0, '')
		ON CONFLICT (kind, account, subject) DO UPDATE SET due_at = $4, lease_until = 0, owner = '' WHERE job.due_at > $6 OR job.lease_until > $6`,
		j.Kind, j.Account, j.Subject, database.Micros(j.Due), j.Served.Microseconds(), database.Micros(latest))
	return n > 0, database.Unavailable(err, "planning job")
}

// Scheduled implements custody.Store: it tells whether a job of a kind is planned.
func (s *Store) Scheduled(ctx context.Context, kind string) (bool, error) {
	var n int
	err := s.DB.QueryRowContext(ctx, `SELECT COUNT(*) FROM job WHERE kind = $1`, kind).Scan(&n)
	return n > 0, database.Unavailable(err, "reading jobs")
}
