package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey/checkup"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/job"
)

// Findings is the store of package finding and of those who look.
type Findings struct{ *Store }

func suppressionRow(p *finding.Suppression) row {
	return row{table: "finding_suppression", keys: 2, rev: &p.Rev, columns: []column{
		text("account", &p.Account),
		text("finding", &p.Finding),
		text("rule", &p.Rule),
		text("subject", &p.Subject),
		text("owner", &p.Owner),
		text("reason", &p.Reason),
		text("by_arn", &p.By),
		instant("at", &p.At),
		instant("until_at", &p.Until),
	}}
}

// rank orders findings: the most severe first.
func rank(s finding.Severity) int64 { return int64(finding.Critical - s) }

// Finding implements finding.Store.
func (s Findings) Finding(ctx context.Context, account, id string) (finding.Finding, error) {
	found, err := bodies[finding.Finding](ctx, s.Store, `SELECT body FROM finding WHERE account = $1 AND id = $2`, account, id)
	if err != nil {
		return finding.Finding{}, err
	}
	if len(found) == 0 {
		return finding.Finding{}, fault.ResourceNotFound.New("there is no finding %q; list them with: keyward finding list", id)
	}
	return found[0], s.addSuppressions(ctx, account, found)
}

// Findings implements finding.Store. The state that a page is chosen by is computed from
// columns; the suppressions that are answered had their MACs compared.
func (s Findings) Findings(ctx context.Context, account string, q finding.Query) ([]finding.Finding, string, error) {
	where, args := "f.account = $1", []any{account}
	also := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		where += " AND " + condition
	}
	also("f.rank <= ?", rank(q.Severity))
	if q.Rule != "" {
		also("f.rule = ?", q.Rule)
	}
	if q.Provider != "" {
		also("f.provider = ?", q.Provider)
	}
	if q.Subject != "" {
		also("(f.subject = ? OR f.provider || '/' || f.subject = ?)", q.Subject, q.Subject)
	}
	const silent = `EXISTS (SELECT 1 FROM finding_suppression p WHERE p.account = f.account AND p.finding = f.id AND p.until_at > ?)`
	switch q.State {
	case finding.Open:
		also("f.resolved_at = 0 AND NOT "+silent, micros(q.Now))
	case finding.Suppressed:
		also("f.resolved_at = 0 AND "+silent, micros(q.Now))
	case finding.Resolved:
		also("f.resolved_at > 0")
	}
	if q.After != "" {
		var at int64
		first, rest, _ := strings.Cut(q.After, "/")
		rule, id, ok := strings.Cut(rest, "/")
		if _, err := fmt.Sscanf(first, "%d", &at); err != nil || !ok {
			return nil, "", fault.InvalidParameter.New("the cursor is none that this list answered")
		}
		also("(f.rank, f.rule, f.id) > (?, ?, ?)", at, rule, id)
	}
	args = append(args, q.Limit+1)
	found, err := bodies[finding.Finding](ctx, s.Store, fmt.Sprintf(`SELECT f.body FROM finding f WHERE %s ORDER BY f.rank, f.rule, f.id LIMIT $%d`, where, len(args)), args...)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(found) > q.Limit {
		found = found[:q.Limit]
		last := found[q.Limit-1]
		next = fmt.Sprintf("%d/%s/%s", rank(last.Severity), last.Rule, last.ID)
	}
	return found, next, s.addSuppressions(ctx, account, found)
}

// addSuppressions adds what people decided about the findings.
func (s Findings) addSuppressions(ctx context.Context, account string, found []finding.Finding) error {
	if len(found) == 0 {
		return nil
	}
	args := []any{account}
	for i := range found {
		args = append(args, found[i].ID)
	}
	some, err := list(ctx, s.Store, s.db.read, suppressionRow, `WHERE account = $1 AND finding IN (`+places(2, len(found))+`)`, args...)
	if err != nil {
		return err
	}
	by := map[string]*finding.Suppression{}
	for i := range some {
		by[some[i].Finding] = &some[i]
	}
	for i := range found {
		found[i].Suppression = by[found[i].ID]
	}
	return nil
}

// Counts implements finding.Store.
func (s Findings) Counts(ctx context.Context, account string, now time.Time) (map[string]finding.Count, error) {
	rows, err := s.db.read.QueryContext(ctx, `SELECT f.rule, CASE WHEN f.resolved_at > 0 THEN 'resolved' WHEN p.until_at IS NOT NULL THEN 'suppressed' ELSE 'open' END AS state, count(*)
		FROM finding f LEFT JOIN finding_suppression p ON p.account = f.account AND p.finding = f.id AND p.until_at > $2
		WHERE f.account = $1 GROUP BY f.rule, state`, account, micros(now))
	if err != nil {
		return nil, unavailable(err, "counting findings")
	}
	defer rows.Close()
	out := map[string]finding.Count{}
	for rows.Next() {
		var rule string
		var state finding.State
		var n int
		if err := rows.Scan(&rule, &state, &n); err != nil {
			return nil, unavailable(err, "counting findings")
		}
		c := out[rule]
		switch state {
		case finding.Open:
			c.Open = n
		case finding.Suppressed:
			c.Suppressed = n
		case finding.Resolved:
			c.Resolved = n
		}
		out[rule] = c
	}
	return out, unavailable(rows.Err(), "counting findings")
}

// Suppress implements finding.Store.
func (s Findings) Suppress(ctx context.Context, rec *audit.Record, p *finding.Suppression, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.save(ctx, s.keys, suppressionRow(p)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// Suppressions implements finding.Store.
func (s Findings) Suppressions(ctx context.Context, account string, after time.Time) ([]finding.Suppression, error) {
	return list(ctx, s.Store, s.db.read, suppressionRow, `WHERE account = $1 AND until_at > $2 ORDER BY finding`, account, micros(after))
}

// Resolve implements finding.Store. A finding that a look has just resolved stays so.
func (s Findings) Resolve(ctx context.Context, rec *audit.Record, f *finding.Finding, jobs []job.Job) error {
	body, err := f.Encode()
	if err != nil {
		return err
	}
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `UPDATE finding SET resolved_at = $1, body = $2 WHERE account = $3 AND id = $4 AND resolved_at = 0`,
			micros(f.ResolvedAt), string(body), f.Account, f.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Changed.New("the finding was resolved meanwhile")
		}
		return t.schedule(ctx, jobs)
	})
}

// Known implements finding.Ledger.
func (s Findings) Known(ctx context.Context, account, source, provider string) ([]finding.Kept, error) {
	rows, err := s.db.read.QueryContext(ctx, `SELECT id, first_seen, last_seen, resolved_at, body FROM finding WHERE account = $1 AND source = $2 AND provider = $3`, account, source, provider)
	if err != nil {
		return nil, unavailable(err, "reading findings")
	}
	defer rows.Close()
	var out []finding.Kept
	for rows.Next() {
		var k finding.Kept
		if err := rows.Scan(&k.ID, (*instantField)(&k.FirstSeen), (*instantField)(&k.LastSeen), (*instantField)(&k.ResolvedAt), &k.Body); err != nil {
			return nil, unavailable(err, "reading findings")
		}
		out = append(out, k)
	}
	return out, unavailable(rows.Err(), "reading findings")
}

// Providers implements finding.Ledger.
func (s Findings) Providers(ctx context.Context, account, source string) ([]string, error) {
	rows, err := s.db.read.QueryContext(ctx, `SELECT DISTINCT provider FROM finding WHERE account = $1 AND source = $2 AND resolved_at = 0 ORDER BY provider`, account, source)
	if err != nil {
		return nil, unavailable(err, "reading findings")
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, unavailable(err, "reading findings")
		}
		out = append(out, name)
	}
	return out, unavailable(rows.Err(), "reading findings")
}

// Save implements finding.Ledger. A person's word that came after the look began stands.
// Where a statement is a round trip, one stores many findings.
func (s Findings) Save(ctx context.Context, account string, changed []finding.Finding) error {
	atOnce := 1
	if s.db.Shared() {
		atOnce = 64
	}
	x, err := s.db.write.BeginTx(ctx, nil)
	if err != nil {
		return unavailable(err, "saving findings")
	}
	for len(changed) > 0 && err == nil {
		n := min(atOnce, len(changed))
		whole := len(changed) / n * n
		err = put(ctx, x, account, changed[:whole], n)
		changed = changed[whole:]
	}
	if err != nil {
		return errors.Join(unavailable(err, "saving findings"), rollback(x))
	}
	return unavailable(x.Commit(), "saving findings")
}

// put stores findings, so many with each statement, no two of the same id.
func put(ctx context.Context, x *sql.Tx, account string, findings []finding.Finding, atOnce int) error {
	const columns = 11
	rows := make([]string, atOnce)
	for i := range rows {
		rows[i] = "(" + places(1+i*columns, columns) + ")"
	}
	insert, err := x.PrepareContext(ctx, `INSERT INTO finding (account, id, source, rule, provider, subject, rank, first_seen, last_seen, resolved_at, body)
		VALUES `+strings.Join(rows, ", ")+`
		ON CONFLICT (account, id) DO UPDATE SET rank = excluded.rank, last_seen = excluded.last_seen, resolved_at = excluded.resolved_at, body = excluded.body
		WHERE finding.resolved_at <= CASE WHEN excluded.resolved_at > 0 THEN excluded.resolved_at ELSE excluded.last_seen END`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for some := range slices.Chunk(findings, atOnce) {
		args := make([]any, 0, len(some)*columns)
		for i := range some {
			f := &some[i]
			body, err := f.Encode()
			if err != nil {
				return err
			}
			args = append(args, account, f.ID, f.Source, f.Rule, f.Subject.Provider, f.Subject.ID, rank(f.Severity),
				micros(f.FirstSeen), micros(f.LastSeen), micros(f.ResolvedAt), string(body))
		}
		if _, err := insert.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// Forget implements finding.Ledger.
func (s Findings) Forget(ctx context.Context, account string, before time.Time) error {
	_, err := s.db.write.ExecContext(ctx, `DELETE FROM finding WHERE account = $1 AND resolved_at > 0 AND resolved_at < $2`, account, micros(before))
	return unavailable(err, "forgetting findings")
}

// SaveRun implements checkup.Store.
func (s Findings) SaveRun(ctx context.Context, r checkup.Run) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding run: %w", err)
	}
	_, err = s.db.write.ExecContext(ctx, `INSERT INTO accesskey_check (account, body) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET body = excluded.body`, r.Account, string(body))
	return unavailable(err, "saving run")
}

// LastRun implements checkup.Store.
func (s Findings) LastRun(ctx context.Context, account string) (checkup.Run, error) {
	all, err := bodies[checkup.Run](ctx, s.Store, `SELECT body FROM accesskey_check WHERE account = $1`, account)
	if err != nil || len(all) == 0 {
		return checkup.Run{}, err
	}
	return all[0], nil
}
