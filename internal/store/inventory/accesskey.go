package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// A Store is the store of packages accesskey, checkup and expiry.
type Store struct{ *bound.Store }

func sourceRow(s *accesskey.Source) bound.Row {
	return bound.Row{Table: "accesskey_source", Keys: 2, Rev: &s.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &s.Account),
		bound.Text("name", &s.Name),
		bound.Text("kind", &s.Kind),
		bound.Document("settings", &s.Settings),
		bound.Blob("sealed", &s.Sealed),
		bound.Text("owner", &s.Owner),
		bound.Seconds("max_age", &s.MaxAge),
		bound.Seconds("pace", &s.Pace),
		bound.Flag("paused", &s.Paused),
		bound.Instant("created_at", &s.CreatedAt),
	}}
}

func remarkRow(r *accesskey.Remark) bound.Row {
	return bound.Row{Table: "accesskey_remark", Keys: 3, Rev: &r.Rev, Columns: []bound.Column{
		bound.Text("account", &r.Account),
		bound.Text("source", &r.Source),
		bound.Text("key_id", &r.Key),
		bound.Text("owner", &r.Owner),
		bound.Text("purpose", &r.Purpose),
		bound.Text("system", &r.System),
		bound.Document("consumers", &r.Consumers),
		bound.Document("tags", &r.Tags),
		bound.Instant("expires_at", &r.ExpiresAt),
		bound.Flag("permanent", &r.Permanent),
		bound.Text("note", &r.Note),
		bound.Instant("updated_at", &r.UpdatedAt),
	}}
}

// CreateSource implements accesskey.SourceStore.
func (s Store) CreateSource(ctx context.Context, rec *audit.Record, src *accesskey.Source, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		err := t.Insert(ctx, sourceRow(src))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("there is a provider %s already; choose another name, or change it with: keyward provider update", src.Name)
		}
		if err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// UpdateSource implements accesskey.SourceStore.
func (s Store) UpdateSource(ctx context.Context, rec *audit.Record, src *accesskey.Source, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, sourceRow(src)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// DeleteSource implements accesskey.SourceStore. Removing first makes whoever is storing a plan
// that names the source wait, or be seen: both need the floor of sources.
func (s Store) DeleteSource(ctx context.Context, rec *audit.Record, src *accesskey.Source) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, sourceRow(src)); err != nil {
			return err
		}
		plans, err := t.Text(ctx, `SELECT COALESCE(string_agg(name, ', ' ORDER BY name), '') FROM rotation_plan WHERE account = $1 AND source = $2`, src.Account, src.Name)
		if err != nil {
			return err
		}
		if plans != "" {
			return fault.ResourceInUse.New("rotation plans replace keys of provider %s: %s; let their rotations end or roll them back, and delete each with keyward rotation plan delete first", src.Name, plans)
		}
		for _, table := range []string{"accesskey", "accesskey_principal", "accesskey_state"} {
			if _, err := t.Exec(ctx, `DELETE FROM `+table+` WHERE account = $1 AND source = $2`, src.Account, src.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// Source implements accesskey.SourceStore.
func (s Store) Source(ctx context.Context, account, name string) (accesskey.Source, error) {
	src := accesskey.Source{Account: account, Name: name}
	err := s.Load(ctx, sourceRow(&src))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no provider %q; list them with: keyward provider list", name)
	}
	return src, err
}

// Sources implements accesskey.SourceStore.
func (s Store) Sources(ctx context.Context, account string) ([]accesskey.Source, error) {
	return bound.List(ctx, s.Store, s.DB, sourceRow, `WHERE account = $1 ORDER BY name`, account)
}

// States implements accesskey.SourceStore.
func (s Store) States(ctx context.Context, account string) (map[string]accesskey.State, error) {
	states, err := bound.Documents[accesskey.State](ctx, s.Store, `SELECT body FROM accesskey_state WHERE account = $1`, account)
	out := make(map[string]accesskey.State, len(states))
	for _, st := range states {
		out[st.Source] = st
	}
	return out, err
}

// State implements accesskey.SourceStore.
func (s Store) State(ctx context.Context, account, source string) (accesskey.State, error) {
	some, err := bound.Documents[accesskey.State](ctx, s.Store, `SELECT body FROM accesskey_state WHERE account = $1 AND source = $2`, account, source)
	if err != nil || len(some) == 0 {
		return accesskey.State{}, err
	}
	return some[0], nil
}

// SaveState implements accesskey.SourceStore. A source that was removed meanwhile gets none.
func (s Store) SaveState(ctx context.Context, st accesskey.State) error {
	body, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encoding state: %w", err)
	}
	_, err = s.DB.Exec(ctx, upsertState, st.Account, st.Source, string(body))
	return database.Unavailable(err, "saving state")
}

const upsertState = `INSERT INTO accesskey_state (account, source, body)
	SELECT account, name, CAST($3 AS TEXT) FROM accesskey_source WHERE account = $1 AND name = $2
	ON CONFLICT (account, source) DO UPDATE SET body = excluded.body`

// dueMicros is how a due date is stored: never sorts last.
func dueMicros(e accesskey.Expiry) int64 {
	if e.At.IsZero() {
		return math.MaxInt64
	}
	return e.At.UnixMicro()
}

// SaveRemark implements accesskey.KeyStore.
func (s Store) SaveRemark(ctx context.Context, rec *audit.Record, k *accesskey.AccessKey, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		// A snapshot that is stored at the same moment heeds what is said, or what is said it.
		if _, err := t.Exec(ctx, `UPDATE accesskey_source SET rev = rev WHERE account = $1 AND name = $2`, k.Remark.Account, k.Remark.Source); err != nil {
			return err
		}
		if err := t.Save(ctx, remarkRow(&k.Remark)); err != nil {
			return err
		}
		if _, err := t.Exec(ctx, `UPDATE accesskey SET owner = $1, due_at = $2, due_basis = $3 WHERE account = $4 AND source = $5 AND id = $6`,
			k.Owner, dueMicros(k.Due), string(k.Due.Basis), k.Remark.Account, k.Remark.Source, k.Remark.Key); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// ForgetKey implements accesskey.KeyStore.
func (s Store) ForgetKey(ctx context.Context, rec *audit.Record, account, source, id string) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		_, err := t.Exec(ctx, `DELETE FROM accesskey WHERE account = $1 AND source = $2 AND id = $3`, account, source, id)
		return err
	})
}

// Remarks implements accesskey.KeyStore.
func (s Store) Remarks(ctx context.Context, account, source string) (map[string]accesskey.Remark, error) {
	all, err := bound.List(ctx, s.Store, s.DB, remarkRow, `WHERE account = $1 AND source = $2`, account, source)
	out := make(map[string]accesskey.Remark, len(all))
	for _, r := range all {
		out[r.Key] = r
	}
	return out, err
}

// Principals implements accesskey.KeyStore.
func (s Store) Principals(ctx context.Context, account, source string) ([]accesskey.Principal, error) {
	return bound.Documents[accesskey.Principal](ctx, s.Store, `SELECT body FROM accesskey_principal WHERE account = $1 AND source = $2 ORDER BY id`, account, source)
}

// Key implements accesskey.KeyStore.
func (s Store) Key(ctx context.Context, account, source, id string) (accesskey.AccessKey, error) {
	keys, err := s.joined(ctx, true, `k.account = $1 AND k.source = $2 AND k.id = $3`, ``, account, source, id)
	if err != nil {
		return accesskey.AccessKey{}, err
	}
	if len(keys) == 0 {
		return accesskey.AccessKey{}, fault.ResourceNotFound.New("the provider %q has no key %q; list them with: keyward accesskey list", source, id)
	}
	return keys[0], nil
}

// orders are the columns that a list can be in the order of, before source and id.
var orders = map[accesskey.Order]string{accesskey.ByDue: "k.due_at", accesskey.ByAge: "k.created_at", accesskey.ByUse: "k.used_at", accesskey.BySubject: "0"}

// Keys implements accesskey.KeyStore.
func (s Store) Keys(ctx context.Context, account string, q accesskey.Query) ([]accesskey.AccessKey, string, error) {
	w, column := chosen(account, q), orders[q.Order]
	if q.After != "" {
		c, err := parseCursor(q.After)
		if err != nil {
			return nil, "", err
		}
		w.and("("+column+", k.source, k.id) > (?, ?, ?)", c.at, c.name, c.id)
	}
	order := "ORDER BY " + column + ", k.source, k.id"
	if q.Order == accesskey.BySubject { // a number alone would mean a column of the answer
		order = "ORDER BY k.source, k.id"
	}
	order += " LIMIT " + w.argument(q.Limit+1)
	keys, err := s.joined(ctx, !q.Bare, w.text, order, w.args...)
	if err != nil || len(keys) <= q.Limit {
		return keys, "", err
	}
	keys = keys[:q.Limit]
	last := keys[q.Limit-1]
	at := map[accesskey.Order]int64{
		accesskey.ByDue: dueMicros(last.Due), accesskey.ByAge: database.Micros(last.Observed.CreatedAt), accesskey.ByUse: database.Micros(last.Observed.Use.At),
	}[q.Order]
	return keys, cursor{at, last.Source, last.Observed.ID}.String(), nil
}

// chosen is the condition on the keys that a query chooses.
func chosen(account string, q accesskey.Query) *condition {
	w := &condition{}
	w.and("k.account = ?", account)
	if q.Source != "" {
		w.and("k.source = ?", q.Source)
	}
	if q.Status != "" {
		w.and("k.status = ?", string(q.Status))
	} else {
		w.and("k.gone_at = 0")
	}
	switch q.Owner {
	case "":
	case "-":
		w.and("k.owner = ''")
	default:
		w.and("k.owner = ?", q.Owner)
	}
	if q.Text != "" {
		pattern := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(q.Text)) + "%"
		w.and(`(lower(k.id) LIKE ? ESCAPE '\' OR lower(k.name) LIKE ? ESCAPE '\')`, pattern, pattern)
	}
	if !q.DueBefore.IsZero() {
		w.and("k.due_at < ?", database.Micros(q.DueBefore))
	}
	return w
}

// joined reads keys with their remarks and, if wanted, their principals.
func (s Store) joined(ctx context.Context, principals bool, where, order string, args ...any) ([]accesskey.AccessKey, error) {
	holder, join := "''", ""
	if principals {
		holder, join = "coalesce(p.body, '')", "LEFT JOIN accesskey_principal p ON p.account = k.account AND p.source = k.source AND p.id = k.principal"
	}
	rows, err := s.DB.QueryContext(ctx, `SELECT k.account, k.source, src.kind, k.owner, k.status, k.due_at, k.due_basis, k.body, k.seen_at, k.gone_at, `+holder+`
		FROM accesskey k JOIN accesskey_source src ON src.account = k.account AND src.name = k.source
		`+join+`
		WHERE `+where+` `+order, args...)
	if err != nil {
		return nil, database.Unavailable(err, "reading the inventory")
	}
	defer rows.Close()
	var out []accesskey.AccessKey
	for rows.Next() {
		var k accesskey.AccessKey
		var status, basis, body, principal string
		var due int64
		if err := rows.Scan(&k.Account, &k.Source, &k.Provider, &k.Owner, &status, &due, &basis, &body, (*database.Moment)(&k.SeenFirst), (*database.Moment)(&k.GoneAt), &principal); err != nil {
			return nil, database.Unavailable(err, "reading the inventory")
		}
		if due != math.MaxInt64 {
			k.Due = accesskey.Expiry{At: time.UnixMicro(due).UTC(), Basis: accesskey.Basis(basis)}
		}
		if err := json.Unmarshal([]byte(body), &k.Observed); err != nil {
			return nil, fmt.Errorf("reading the inventory: %w", err)
		}
		k.Observed.Status = accesskey.Status(status)
		k.Principal.ID = k.Observed.Principal
		if principal != "" {
			if err := json.Unmarshal([]byte(principal), &k.Principal); err != nil {
				return nil, fmt.Errorf("reading the inventory: %w", err)
			}
		}
		out = append(out, k)
	}
	if err := rows.Err(); err != nil {
		return nil, database.Unavailable(err, "reading the inventory")
	}
	return out, s.addRemarks(ctx, out)
}

// addRemarks adds what people say of the keys. Few keys have a remark, so they are read
// between the first and the last key of each source.
func (s Store) addRemarks(ctx context.Context, keys []accesskey.AccessKey) error {
	type span struct{ first, last string }
	spans := map[string]span{}
	for _, k := range keys {
		sp, ok := spans[k.Source]
		if !ok {
			sp = span{k.Observed.ID, k.Observed.ID}
		}
		spans[k.Source] = span{min(sp.first, k.Observed.ID), max(sp.last, k.Observed.ID)}
	}
	said := map[[2]string]accesskey.Remark{}
	for source, sp := range spans {
		some, err := bound.List(ctx, s.Store, s.DB, remarkRow, `WHERE account = $1 AND source = $2 AND key_id >= $3 AND key_id <= $4`,
			keys[0].Account, source, sp.first, sp.last)
		if err != nil {
			return err
		}
		for _, r := range some {
			said[[2]string{r.Source, r.Key}] = r
		}
	}
	for i := range keys {
		keys[i].Remark = said[[2]string{keys[i].Source, keys[i].Observed.ID}]
	}
	return nil
}
