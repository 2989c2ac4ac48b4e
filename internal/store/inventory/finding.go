package inventory

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// Findings is the store of package finding.
type Findings struct{ *bound.Store }

func suppressionRow(p *finding.Suppression) bound.Row {
	return bound.Row{Table: "finding_suppression", Keys: 2, Rev: &p.Rev, Columns: []bound.Column{
		bound.Text("account", &p.Account),
		bound.Text("finding", &p.Finding),
		bound.Text("rule", &p.Rule),
		bound.Text("subject", &p.Subject),
		bound.Text("owner", &p.Owner),
		bound.Text("reason", &p.Reason),
		bound.Text("by_arn", &p.By),
		bound.Instant("at", &p.At),
		bound.Instant("until_at", &p.Until),
	}}
}

// rank orders findings: the most severe first.
func rank(s finding.Severity) int64 { return int64(finding.Critical - s) }

// Finding implements finding.Store.
func (s Findings) Finding(ctx context.Context, account, id string) (finding.Finding, error) {
	found, err := bound.Documents[finding.Finding](ctx, s.Store, `SELECT body FROM finding WHERE account = $1 AND id = $2`, account, id)
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
	w := &condition{}
	w.and("f.account = ?", account)
	w.and("f.rank <= ?", rank(q.Severity))
	if q.Rule != "" {
		w.and("f.rule = ?", q.Rule)
	}
	if q.Provider != "" {
		w.and("f.provider = ?", q.Provider)
	}
	if q.Subject != "" {
		w.and("(f.subject = ? OR f.provider || '/' || f.subject = ?)", q.Subject, q.Subject)
	}
	const silent = `EXISTS (SELECT 1 FROM finding_suppression p WHERE p.account = f.account AND p.finding = f.id AND p.until_at > ?)`
	switch q.State {
	case finding.Open:
		w.and("f.resolved_at = 0 AND NOT "+silent, database.Micros(q.Now))
	case finding.Suppressed:
		w.and("f.resolved_at = 0 AND "+silent, database.Micros(q.Now))
	case finding.Resolved:
		w.and("f.resolved_at > 0")
	}
	if q.After != "" {
		c, err := parseCursor(q.After)
		if err != nil {
			return nil, "", err
		}
		w.and("(f.rank, f.rule, f.id) > (?, ?, ?)", c.at, c.name, c.id)
	}
	limit := w.argument(q.Limit + 1)
	found, err := bound.Documents[finding.Finding](ctx, s.Store, `SELECT f.body FROM finding f WHERE `+w.text+` ORDER BY f.rank, f.rule, f.id LIMIT `+limit, w.args...)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(found) > q.Limit {
		found = found[:q.Limit]
		last := found[q.Limit-1]
		next = cursor{rank(last.Severity), last.Rule, last.ID}.String()
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
	some, err := bound.List(ctx, s.Store, s.DB, suppressionRow, `WHERE account = $1 AND finding IN (`+database.Places(2, len(found))+`)`, args...)
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
	rows, err := s.DB.QueryContext(ctx, `SELECT f.rule, CASE WHEN f.resolved_at > 0 THEN 'resolved' WHEN p.until_at IS NOT NULL THEN 'suppressed' ELSE 'open' END AS state, count(*)
		FROM finding f LEFT JOIN finding_suppression p ON p.account = f.account AND p.finding = f.id AND p.until_at > $2
		WHERE f.account = $1 GROUP BY f.rule, state`, account, database.Micros(now))
	if err != nil {
		return nil, database.Unavailable(err, "counting findings")
	}
	defer rows.Close()
	out := map[string]finding.Count{}
	for rows.Next() {
		var rule string
		var state finding.State
		var n int
		if err := rows.Scan(&rule, &state, &n); err != nil {
			return nil, database.Unavailable(err, "counting findings")
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
	return out, database.Unavailable(rows.Err(), "counting findings")
}

// Suppress implements finding.Store.
func (s Findings) Suppress(ctx context.Context, rec *audit.Record, p *finding.Suppression, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Save(ctx, suppressionRow(p)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// Suppressions implements finding.Store.
func (s Findings) Suppressions(ctx context.Context, account string, after time.Time) ([]finding.Suppression, error) {
	return bound.List(ctx, s.Store, s.DB, suppressionRow, `WHERE account = $1 AND until_at > $2 ORDER BY finding`, account, database.Micros(after))
}

// Resolve implements finding.Store. A finding that a look has just resolved stays so.
func (s Findings) Resolve(ctx context.Context, rec *audit.Record, f *finding.Finding, jobs []job.Job) error {
	body, err := f.Encode()
	if err != nil {
		return err
	}
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		n, err := t.Exec(ctx, `UPDATE finding SET resolved_at = $1, body = $2 WHERE account = $3 AND id = $4 AND resolved_at = 0`,
			database.Micros(f.ResolvedAt), string(body), f.Account, f.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Changed.New("the finding was resolved meanwhile")
		}
		return t.Schedule(ctx, jobs)
	})
}

// Known implements finding.Ledger.
func (s Findings) Known(ctx context.Context, account, source, provider string) ([]finding.Kept, error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT id, first_seen, last_seen, resolved_at, body FROM finding WHERE account = $1 AND source = $2 AND provider = $3`, account, source, provider)
	if err != nil {
		return nil, database.Unavailable(err, "reading findings")
	}
	defer rows.Close()
	var out []finding.Kept
	for rows.Next() {
		var k finding.Kept
		if err := rows.Scan(&k.ID, (*database.Moment)(&k.FirstSeen), (*database.Moment)(&k.LastSeen), (*database.Moment)(&k.ResolvedAt), &k.Body); err != nil {
			return nil, database.Unavailable(err, "reading findings")
		}
		out = append(out, k)
	}
	return out, database.Unavailable(rows.Err(), "reading findings")
}

// Providers implements finding.Ledger.
func (s Findings) Providers(ctx context.Context, account, source string) ([]string, error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT DISTINCT provider FROM finding WHERE account = $1 AND source = $2 AND resolved_at = 0 ORDER BY provider`, account, source)
	if err != nil {
		return nil, database.Unavailable(err, "reading findings")
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, database.Unavailable(err, "reading findings")
		}
		out = append(out, name)
	}
	return out, database.Unavailable(rows.Err(), "reading findings")
}

// Save implements finding.Ledger. A person's word that came after the look began stands.
// Where a statement is a round trip, one stores many findings.
func (s Findings) Save(ctx context.Context, account string, changed []finding.Finding) error {
	atOnce := 1
	if s.DB.Shared() {
		atOnce = 64
	}
	return database.Unavailable(s.Apart(ctx, func(t *bound.Tx) error {
		for len(changed) > 0 {
			n := min(atOnce, len(changed))
			whole := len(changed) / n * n
			if err := put(ctx, t, account, changed[:whole], n); err != nil {
				return err
			}
			changed = changed[whole:]
		}
		return nil
	}), "saving findings")
}

// put stores findings, so many with each statement, no two of the same id.
func put(ctx context.Context, t *bound.Tx, account string, findings []finding.Finding, atOnce int) error {
	const columns = 11
	rows := make([]string, atOnce)
	for i := range rows {
		rows[i] = "(" + database.Places(1+i*columns, columns) + ")"
	}
	insert, err := t.PrepareContext(ctx, `INSERT INTO finding (account, id, source, rule, provider, subject, rank, first_seen, last_seen, resolved_at, body)
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
				database.Micros(f.FirstSeen), database.Micros(f.LastSeen), database.Micros(f.ResolvedAt), string(body))
		}
		if _, err := insert.ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// Forget implements finding.Ledger.
func (s Findings) Forget(ctx context.Context, account string, before time.Time) error {
	_, err := s.DB.Exec(ctx, `DELETE FROM finding WHERE account = $1 AND resolved_at > 0 AND resolved_at < $2`, account, database.Micros(before))
	return database.Unavailable(err, "forgetting findings")
}
