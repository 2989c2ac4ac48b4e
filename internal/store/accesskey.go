package store

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
)

// An Inventory is the store of package accesskey.
type Inventory struct{ *Store }

func sourceRow(s *accesskey.Source) row {
	return row{table: "accesskey_source", keys: 2, rev: &s.Rev, columns: []column{
		text("account", &s.Account),
		text("name", &s.Name),
		text("kind", &s.Kind),
		document("settings", &s.Settings),
		blob("sealed", &s.Sealed),
		text("owner", &s.Owner),
		seconds("max_age", &s.MaxAge),
		seconds("pace", &s.Pace),
		flag("paused", &s.Paused),
		instant("created_at", &s.CreatedAt),
	}}
}

func remarkRow(r *accesskey.Remark) row {
	return row{table: "accesskey_remark", keys: 3, rev: &r.Rev, columns: []column{
		text("account", &r.Account),
		text("source", &r.Source),
		text("key_id", &r.Key),
		text("owner", &r.Owner),
		text("purpose", &r.Purpose),
		text("system", &r.System),
		document("consumers", &r.Consumers),
		document("tags", &r.Tags),
		instant("expires_at", &r.ExpiresAt),
		flag("permanent", &r.Permanent),
		text("note", &r.Note),
		instant("updated_at", &r.UpdatedAt),
	}}
}

// CreateSource implements accesskey.SourceStore.
func (s Inventory) CreateSource(ctx context.Context, rec *audit.Record, src *accesskey.Source, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.insert(ctx, s.keys, sourceRow(src)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// UpdateSource implements accesskey.SourceStore.
func (s Inventory) UpdateSource(ctx context.Context, rec *audit.Record, src *accesskey.Source, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, sourceRow(src)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// DeleteSource implements accesskey.SourceStore.
func (s Inventory) DeleteSource(ctx context.Context, rec *audit.Record, src *accesskey.Source) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		for _, table := range []string{"accesskey", "accesskey_principal", "accesskey_state"} {
			if _, err := t.exec(ctx, `DELETE FROM `+table+` WHERE account = $1 AND source = $2`, src.Account, src.Name); err != nil {
				return err
			}
		}
		return t.remove(ctx, sourceRow(src))
	})
}

// Source implements accesskey.SourceStore.
func (s Inventory) Source(ctx context.Context, account, name string) (accesskey.Source, error) {
	src := accesskey.Source{Account: account, Name: name}
	err := s.load(ctx, sourceRow(&src))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no provider %q; list them with: keyward provider list", name)
	}
	return src, err
}

// Sources implements accesskey.SourceStore.
func (s Inventory) Sources(ctx context.Context, account string) ([]accesskey.Source, error) {
	return list(ctx, s.Store, s.db.read, sourceRow, `WHERE account = $1 ORDER BY name`, account)
}

// States implements accesskey.SourceStore.
func (s Inventory) States(ctx context.Context, account string) (map[string]accesskey.State, error) {
	states, err := bodies[accesskey.State](ctx, s.Store, `SELECT body FROM accesskey_state WHERE account = $1`, account)
	out := make(map[string]accesskey.State, len(states))
	for _, st := range states {
		out[st.Source] = st
	}
	return out, err
}

// SaveState implements accesskey.SourceStore. A source that was removed meanwhile gets none.
func (s Inventory) SaveState(ctx context.Context, st accesskey.State) error {
	body, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encoding state: %w", err)
	}
	_, err = s.db.write.ExecContext(ctx, upsertState, st.Account, st.Source, string(body))
	return unavailable(err, "saving state")
}

const upsertState = `INSERT INTO accesskey_state (account, source, body)
	SELECT account, name, CAST($3 AS TEXT) FROM accesskey_source WHERE account = $1 AND name = $2
	ON CONFLICT (account, source) DO UPDATE SET body = excluded.body`

// bodies reads a column of JSON documents.
func bodies[T any](ctx context.Context, s *Store, query string, args ...any) ([]T, error) {
	rows, err := s.db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err, "reading the inventory")
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var body string
		var v T
		if err := rows.Scan(&body); err != nil {
			return nil, unavailable(err, "reading the inventory")
		}
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			return nil, fmt.Errorf("reading the inventory: %w", err)
		}
		out = append(out, v)
	}
	return out, unavailable(rows.Err(), "reading the inventory")
}

// SaveSnapshot implements accesskey.KeyStore. Only what differs is written.
func (s Inventory) SaveSnapshot(ctx context.Context, rec *audit.Record, save accesskey.Save) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `UPDATE accesskey_source SET rev = rev WHERE account = $1 AND name = $2`, save.Source.Account, save.Source.Name); err != nil {
			return err // nobody removes it meanwhile
		}
		state, err := json.Marshal(save.State)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, upsertState, save.Source.Account, save.Source.Name, string(state))
		if err != nil || n == 0 { // it was removed
			return err
		}
		if err := t.savePrincipals(ctx, save); err != nil {
			return err
		}
		if err := t.saveKeys(ctx, save); err != nil {
			return err
		}
		return t.schedule(ctx, save.Jobs)
	})
}

func (t *tx) savePrincipals(ctx context.Context, save accesskey.Save) error {
	have, err := t.texts(ctx, `SELECT id, body FROM accesskey_principal WHERE account = $1 AND source = $2`, save.Source)
	if err != nil {
		return err
	}
	for _, p := range save.Snapshot.Principals {
		body, err := json.Marshal(p)
		if err != nil {
			return err
		}
		before, known := have[p.ID]
		delete(have, p.ID)
		if known && before == string(body) {
			continue
		}
		if _, err := t.exec(ctx, `INSERT INTO accesskey_principal (account, source, id, body) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account, source, id) DO UPDATE SET body = excluded.body`, save.Source.Account, save.Source.Name, p.ID, string(body)); err != nil {
			return err
		}
	}
	if !save.Whole {
		return nil
	}
	for id := range have {
		if _, err := t.exec(ctx, `DELETE FROM accesskey_principal WHERE account = $1 AND source = $2 AND id = $3`, save.Source.Account, save.Source.Name, id); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) saveKeys(ctx context.Context, save accesskey.Save) error {
	src := save.Source
	principals, err := t.texts(ctx, `SELECT id, principal FROM accesskey WHERE account = $1 AND source = $2 AND gone_at = 0`, src)
	if err != nil {
		return err
	}
	have, err := t.texts(ctx, `SELECT id, owner || '/' || CAST(due_at AS TEXT) || '/' || due_basis || '/' || body FROM accesskey WHERE account = $1 AND source = $2 AND gone_at = 0`, src)
	if err != nil {
		return err
	}
	for _, o := range save.Snapshot.Keys {
		k := accesskey.AccessKey{Observed: o, Remark: save.Remarks[o.ID], Owner: src.Owner}
		k.Due = accesskey.Due(o, k.Remark, src.MaxAge)
		if k.Remark.Owner != "" {
			k.Owner = k.Remark.Owner
		}
		body, err := json.Marshal(o)
		if err != nil {
			return err
		}
		before, known := have[o.ID]
		delete(have, o.ID)
		if known && before == fmt.Sprintf("%s/%d/%s/%s", k.Owner, dueMicros(k.Due), k.Due.Basis, body) {
			continue
		}
		if _, err := t.exec(ctx, `INSERT INTO accesskey (account, source, id, principal, name, status, owner, created_at, used_at, due_at, due_basis, body, seen_at, gone_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0)
			ON CONFLICT (account, source, id) DO UPDATE SET principal = $4, name = $5, status = $6, owner = $7, created_at = $8, used_at = $9,
				due_at = $10, due_basis = $11, body = $12, gone_at = 0`,
			src.Account, src.Name, o.ID, o.Principal, o.Name, string(o.Status), k.Owner, micros(o.CreatedAt), micros(o.Use.At),
			dueMicros(k.Due), string(k.Due.Basis), string(body), micros(save.At)); err != nil {
			return err
		}
	}
	if !save.Whole {
		return nil
	}
	for id := range have {
		if save.Unread[principals[id]] {
			continue
		}
		if _, err := t.exec(ctx, `UPDATE accesskey SET status = $1, due_at = $2, due_basis = '', gone_at = $3 WHERE account = $4 AND source = $5 AND id = $6`,
			string(accesskey.Gone), int64(math.MaxInt64), micros(save.At), src.Account, src.Name, id); err != nil {
			return err
		}
	}
	return nil
}

// texts reads pairs of texts of a source.
func (t *tx) texts(ctx context.Context, query string, src accesskey.Source) (map[string]string, error) {
	rows, err := t.sql.QueryContext(ctx, query, src.Account, src.Name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, value string
		if err := rows.Scan(&id, &value); err != nil {
			return nil, err
		}
		out[id] = value
	}
	return out, rows.Err()
}

// dueMicros is how a due date is stored: never sorts last.
func dueMicros(e accesskey.Expiry) int64 {
	if e.At.IsZero() {
		return math.MaxInt64
	}
	return e.At.UnixMicro()
}

// SaveRemark implements accesskey.KeyStore.
func (s Inventory) SaveRemark(ctx context.Context, rec *audit.Record, k *accesskey.AccessKey, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.save(ctx, s.keys, remarkRow(&k.Remark)); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE accesskey SET owner = $1, due_at = $2, due_basis = $3 WHERE account = $4 AND source = $5 AND id = $6`,
			k.Owner, dueMicros(k.Due), string(k.Due.Basis), k.Remark.Account, k.Remark.Source, k.Remark.Key); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// ForgetKey implements accesskey.KeyStore.
func (s Inventory) ForgetKey(ctx context.Context, rec *audit.Record, account, source, id string) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `DELETE FROM accesskey WHERE account = $1 AND source = $2 AND id = $3`, account, source, id)
		return err
	})
}

// Remarks implements accesskey.KeyStore.
func (s Inventory) Remarks(ctx context.Context, account, source string) (map[string]accesskey.Remark, error) {
	all, err := list(ctx, s.Store, s.db.read, remarkRow, `WHERE account = $1 AND source = $2`, account, source)
	out := make(map[string]accesskey.Remark, len(all))
	for _, r := range all {
		out[r.Key] = r
	}
	return out, err
}

// Principals implements accesskey.KeyStore.
func (s Inventory) Principals(ctx context.Context, account, source string) ([]accesskey.Principal, error) {
	return bodies[accesskey.Principal](ctx, s.Store, `SELECT body FROM accesskey_principal WHERE account = $1 AND source = $2 ORDER BY id`, account, source)
}

// Key implements accesskey.KeyStore.
func (s Inventory) Key(ctx context.Context, account, source, id string) (accesskey.AccessKey, error) {
	keys, err := s.joined(ctx, `k.account = $1 AND k.source = $2 AND k.id = $3`, ``, account, source, id)
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

// Keys implements accesskey.KeyStore. A cursor is the place of the last key in the order.
func (s Inventory) Keys(ctx context.Context, account string, q accesskey.Query) ([]accesskey.AccessKey, string, error) {
	where, args := []string{"k.account = $1"}, []any{account}
	also := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		where = append(where, condition)
	}
	if q.Source != "" {
		also("k.source = ?", q.Source)
	}
	switch {
	case q.Status != "":
		also("k.status = ?", string(q.Status))
	default:
		also("k.gone_at = 0")
	}
	switch q.Owner {
	case "":
	case "-":
		also("k.owner = ''")
	default:
		also("k.owner = ?", q.Owner)
	}
	if q.Text != "" {
		pattern := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(q.Text)) + "%"
		also(`(lower(k.id) LIKE ? ESCAPE '\' OR lower(k.name) LIKE ? ESCAPE '\')`, pattern, pattern)
	}
	if !q.DueBefore.IsZero() {
		also("k.due_at < ?", micros(q.DueBefore))
	}
	column := orders[q.Order]
	if q.After != "" {
		at, source, id, err := cursor(q.After)
		if err != nil {
			return nil, "", err
		}
		also("("+column+", k.source, k.id) > (?, ?, ?)", at, source, id)
	}
	args = append(args, q.Limit+1)
	order := fmt.Sprintf("ORDER BY %s, k.source, k.id LIMIT $%d", column, len(args))
	if column == "0" {
		order = fmt.Sprintf("ORDER BY k.source, k.id LIMIT $%d", len(args))
	}
	keys, err := s.joined(ctx, strings.Join(where, " AND "), order, args...)
	if err != nil || len(keys) <= q.Limit {
		return keys, "", err
	}
	keys = keys[:q.Limit]
	return keys, place(keys[q.Limit-1], q.Order), nil
}

// place answers the cursor behind a key.
func place(k accesskey.AccessKey, order accesskey.Order) string {
	at := map[accesskey.Order]int64{
		accesskey.ByDue: dueMicros(k.Due), accesskey.ByAge: micros(k.Observed.CreatedAt), accesskey.ByUse: micros(k.Observed.Use.At),
	}[order]
	return fmt.Sprintf("%d/%s/%s", at, k.Source, k.Observed.ID)
}

func cursor(text string) (at int64, source, id string, err error) {
	first, rest, _ := strings.Cut(text, "/")
	source, id, found := strings.Cut(rest, "/")
	if _, err := fmt.Sscanf(first, "%d", &at); err != nil || !found {
		return 0, "", "", fault.InvalidParameter.New("the cursor is none that this list answered")
	}
	return at, source, id, nil
}

// inventory reads keys with their principals and remarks.
func (s Inventory) joined(ctx context.Context, where, order string, args ...any) ([]accesskey.AccessKey, error) {
	rows, err := s.db.read.QueryContext(ctx, `SELECT k.account, k.source, src.kind, k.owner, k.status, k.due_at, k.due_basis, k.body, k.seen_at, k.gone_at, coalesce(p.body, '')
		FROM accesskey k JOIN accesskey_source src ON src.account = k.account AND src.name = k.source
		LEFT JOIN accesskey_principal p ON p.account = k.account AND p.source = k.source AND p.id = k.principal
		WHERE `+where+` `+order, args...)
	if err != nil {
		return nil, unavailable(err, "reading the inventory")
	}
	defer rows.Close()
	var out []accesskey.AccessKey
	for rows.Next() {
		var k accesskey.AccessKey
		var status, basis, body, principal string
		var due int64
		if err := rows.Scan(&k.Account, &k.Source, &k.Provider, &k.Owner, &status, &due, &basis, &body, (*instantField)(&k.SeenFirst), (*instantField)(&k.GoneAt), &principal); err != nil {
			return nil, unavailable(err, "reading the inventory")
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
		return nil, unavailable(err, "reading the inventory")
	}
	return out, s.addRemarks(ctx, out)
}

// addRemarks adds what people say of the keys. Few keys have a remark, so they are read
// between the first and the last key of each source.
func (s Inventory) addRemarks(ctx context.Context, keys []accesskey.AccessKey) error {
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
		some, err := list(ctx, s.Store, s.db.read, remarkRow, `WHERE account = $1 AND source = $2 AND key_id >= $3 AND key_id <= $4`,
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
