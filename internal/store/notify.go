package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/oncall"
)

// Alerts is the store of package notify.
type Alerts struct{ *Store }

func channelRow(c *notify.Channel) row {
	return row{table: "notify_channel", keys: 2, rev: &c.Rev, columns: []column{
		text("account", &c.Account),
		text("name", &c.Name),
		text("kind", &c.Kind),
		document("settings", &c.Settings),
		blob("sealed", &c.Sealed),
		seconds("heartbeat", &c.Heartbeat),
		flag("paused", &c.Paused),
		instant("created_at", &c.CreatedAt),
	}}
}

// A storedPlan is a plan as one document.
type storedPlan struct {
	account, body string
	rev           int64
}

func planRow(p *storedPlan) row {
	return row{table: "notify_plan", keys: 1, rev: &p.rev, columns: []column{text("account", &p.account), text("body", &p.body)}}
}

func personRow(p *oncall.Person) row {
	return row{table: "notify_person", keys: 2, rev: &p.Rev, columns: []column{
		text("account", &p.Account),
		text("name", &p.Name),
		text("email", &p.Email),
		text("mobile", &p.Mobile),
		document("ids", &p.IDs),
		text("language", &p.Language),
	}}
}

func rotaRow(r *oncall.Rota) row {
	return row{table: "notify_rota", keys: 2, rev: &r.Rev, columns: []column{
		text("account", &r.Account),
		text("name", &r.Name),
		document("people", &r.People),
		instant("start_at", &r.Start),
		seconds("turn", &r.Turn),
	}}
}

func incidentRow(i *notify.Incident) row {
	return row{table: "notify_incident", keys: 2, rev: &i.Rev, columns: []column{
		text("account", &i.Account),
		text("id", &i.ID),
		text("condition", &i.Condition),
		text("kind", &i.Kind),
		text("subject", &i.Subject),
		text("owner", &i.Owner),
		document("facts", &i.Facts),
		instant("deadline", &i.Deadline),
		number("stage", &i.Stage),
		instant("opened_at", &i.OpenedAt),
		instant("changed_at", &i.ChangedAt),
		instant("ended_at", &i.EndedAt),
		number("told", &i.Told),
		number("level", &i.Level),
		number("alarms", &i.Alarms),
		instant("next_at", &i.NextAt),
		text("ack_by", &i.AckBy),
		text("ack_note", &i.AckNote),
		instant("ack_at", &i.AckAt),
		instant("ack_until", &i.AckUntil),
	}}
}

// save inserts a row that is new, which its revision tells, and updates another one.
func (t *tx) save(ctx context.Context, b binder, r row) error {
	if *r.rev == 0 {
		return t.insert(ctx, b, r)
	}
	return t.update(ctx, b, r)
}

// SaveChannel implements notify.ConfigStore.
func (s Alerts) SaveChannel(ctx context.Context, rec *audit.Record, c *notify.Channel, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.save(ctx, s.keys, channelRow(c)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// DeleteChannel implements notify.ConfigStore.
func (s Alerts) DeleteChannel(ctx context.Context, rec *audit.Record, c *notify.Channel) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.remove(ctx, channelRow(c)); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM notify_health WHERE account = $1 AND channel = $2`, c.Account, c.Name); err != nil {
			return err
		}
		_, err := t.exec(ctx, `DELETE FROM notify_delivery WHERE account = $1 AND channel = $2 AND progress IN ('waiting', 'leaving')`, c.Account, c.Name)
		return err
	})
}

// Channels implements notify.ConfigStore.
func (s Alerts) Channels(ctx context.Context, account string) ([]notify.Channel, error) {
	return list(ctx, s.Store, s.db.read, channelRow, `WHERE account = $1 ORDER BY name`, account)
}

// ChangeHealth implements notify.ConfigStore.
func (s Alerts) ChangeHealth(ctx context.Context, account, channel string, change func(*notify.Health)) (h notify.Health, err error) {
	x, err := s.db.write.BeginTx(ctx, nil)
	if err != nil {
		return h, unavailable(err, "saving health")
	}
	h, err = changeHealth(ctx, x, account, channel, change)
	if err != nil {
		return h, unavailable(errors.Join(err, rollback(x)), "saving health")
	}
	return h, unavailable(x.Commit(), "saving health")
}

func changeHealth(ctx context.Context, x *sql.Tx, account, channel string, change func(*notify.Health)) (h notify.Health, err error) {
	res, err := x.ExecContext(ctx, `UPDATE notify_channel SET rev = rev WHERE account = $1 AND name = $2`, account, channel) // one after the other
	if err != nil {
		return h, err
	}
	var body string
	err = x.QueryRowContext(ctx, `SELECT body FROM notify_health WHERE account = $1 AND channel = $2`, account, channel).Scan(&body)
	if err == nil {
		err = json.Unmarshal([]byte(body), &h)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return h, err
	}
	h.Account, h.Channel = account, channel
	change(&h)
	if n, err := res.RowsAffected(); err != nil || n == 0 { // it was removed
		return h, err
	}
	changed, err := json.Marshal(h)
	if err != nil {
		return h, err
	}
	_, err = x.ExecContext(ctx, `INSERT INTO notify_health (account, channel, body) VALUES ($1, $2, $3)
		ON CONFLICT (account, channel) DO UPDATE SET body = excluded.body`, account, channel, string(changed))
	return h, err
}

// Healths implements notify.ConfigStore.
func (s Alerts) Healths(ctx context.Context, account string) (map[string]notify.Health, error) {
	all, err := bodies[notify.Health](ctx, s.Store, `SELECT body FROM notify_health WHERE account = $1`, account)
	out := make(map[string]notify.Health, len(all))
	for _, h := range all {
		out[h.Channel] = h
	}
	return out, err
}

// SavePlan implements notify.ConfigStore.
func (s Alerts) SavePlan(ctx context.Context, rec *audit.Record, p *oncall.Plan) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding plan: %w", err)
	}
	stored := storedPlan{p.Account, string(body), p.Rev}
	err = s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.save(ctx, s.keys, planRow(&stored)) })
	p.Rev = stored.rev
	return err
}

// Plan implements notify.ConfigStore.
func (s Alerts) Plan(ctx context.Context, account string) (oncall.Plan, error) {
	stored := storedPlan{account: account}
	err := s.load(ctx, planRow(&stored))
	if errors.Is(err, errNoRow) {
		p := oncall.DefaultPlan()
		p.Account = account
		return p, nil
	}
	p := oncall.Plan{Account: account, Rev: stored.rev}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal([]byte(stored.body), &p); err != nil {
		return p, fmt.Errorf("decoding plan: %w", err)
	}
	return p, nil
}

// SavePerson implements notify.DirectoryStore.
func (s Alerts) SavePerson(ctx context.Context, rec *audit.Record, p *oncall.Person) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.save(ctx, s.keys, personRow(p)) })
}

// DeletePerson implements notify.DirectoryStore.
func (s Alerts) DeletePerson(ctx context.Context, rec *audit.Record, p *oncall.Person) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.remove(ctx, personRow(p)) })
}

// SaveRota implements notify.DirectoryStore.
func (s Alerts) SaveRota(ctx context.Context, rec *audit.Record, r *oncall.Rota) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.save(ctx, s.keys, rotaRow(r)) })
}

// DeleteRota implements notify.DirectoryStore.
func (s Alerts) DeleteRota(ctx context.Context, rec *audit.Record, r *oncall.Rota) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error { return t.remove(ctx, rotaRow(r)) })
}

// Directory implements notify.DirectoryStore.
func (s Alerts) Directory(ctx context.Context, account string) (d oncall.Directory, err error) {
	if d.People, err = list(ctx, s.Store, s.db.read, personRow, `WHERE account = $1 ORDER BY name`, account); err != nil {
		return d, err
	}
	d.Rotas, err = list(ctx, s.Store, s.db.read, rotaRow, `WHERE account = $1 ORDER BY name`, account)
	return d, err
}

// SaveIncident implements notify.IncidentStore.
func (s Alerts) SaveIncident(ctx context.Context, rec *audit.Record, i *notify.Incident, deliveries []notify.Delivery, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.save(ctx, s.keys, incidentRow(i)); err != nil {
			return err
		}
		for _, d := range deliveries {
			body, err := json.Marshal(d)
			if err != nil {
				return err
			}
			if _, err := t.exec(ctx, `INSERT INTO notify_delivery (account, id, incident, channel, severity, at, after_at, progress, body)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
				d.Account, d.ID, d.Incident, d.Channel, int64(d.Severity), micros(d.At), micros(d.After), string(d.Progress), string(body)); err != nil {
				return err
			}
		}
		return t.schedule(ctx, jobs)
	})
}

// Incident implements notify.IncidentStore.
func (s Alerts) Incident(ctx context.Context, account, id string) (notify.Incident, error) {
	i := notify.Incident{Account: account, ID: id}
	err := s.load(ctx, incidentRow(&i))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no incident %q; list them with: keyward incident list", id)
	}
	return i, err
}

// Watched implements notify.IncidentStore.
func (s Alerts) Watched(ctx context.Context, account, condition string) (notify.Incident, bool, error) {
	some, err := list(ctx, s.Store, fixed{s.db}, incidentRow, `WHERE account = $1 AND condition = $2 AND ended_at = 0`, account, condition)
	if err != nil || len(some) == 0 {
		return notify.Incident{}, false, err
	}
	return some[0], true, nil
}

// Incidents implements notify.IncidentStore.
func (s Alerts) Incidents(ctx context.Context, account string, ended bool, limit int) ([]notify.Incident, error) {
	if ended {
		return list(ctx, s.Store, s.db.read, incidentRow, `WHERE account = $1 AND ended_at > 0 ORDER BY ended_at DESC, id LIMIT $2`, account, limit)
	}
	return list(ctx, s.Store, s.db.read, incidentRow, `WHERE account = $1 AND ended_at = 0 ORDER BY stage DESC, deadline, id`, account)
}

// EndedBefore implements notify.IncidentStore.
func (s Alerts) EndedBefore(ctx context.Context, account string, before time.Time, limit int) ([]notify.Incident, error) {
	return list(ctx, s.Store, s.db.read, incidentRow, `WHERE account = $1 AND ended_at > 0 AND ended_at < $2 ORDER BY ended_at LIMIT $3`, account, micros(before), limit)
}

// Forget implements notify.IncidentStore.
func (s Alerts) Forget(ctx context.Context, rec *audit.Record, incidents []notify.Incident) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		for _, i := range incidents {
			if _, err := t.exec(ctx, `DELETE FROM notify_delivery WHERE account = $1 AND incident = $2`, i.Account, i.ID); err != nil {
				return err
			}
			if err := t.remove(ctx, incidentRow(&i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Prune implements notify.Outbox.
func (s Alerts) Prune(ctx context.Context, account string, before time.Time) error {
	for {
		res, err := s.db.write.ExecContext(ctx, `DELETE FROM notify_delivery WHERE account = $1 AND id IN (SELECT id FROM notify_delivery
			WHERE account = $1 AND at < $2 AND progress NOT IN ('waiting', 'leaving') LIMIT $3)`, account, micros(before), perWrite)
		if err != nil {
			return unavailable(err, "pruning the outbox")
		}
		if n, err := res.RowsAffected(); err != nil || n < perWrite {
			return unavailable(err, "pruning the outbox")
		}
	}
}

// Deliveries implements notify.IncidentStore.
func (s Alerts) Deliveries(ctx context.Context, account, incident string) ([]notify.Delivery, error) {
	return bodies[notify.Delivery](ctx, s.Store, `SELECT body FROM notify_delivery WHERE account = $1 AND incident = $2 ORDER BY at, id`, account, incident)
}

// Due implements notify.Outbox.
func (s Alerts) Due(ctx context.Context, account, channel string, now time.Time, limit int) (due []notify.Delivery, next time.Time, err error) {
	due, err = bodies[notify.Delivery](ctx, s.Store, `SELECT body FROM notify_delivery
		WHERE account = $1 AND channel = $2 AND after_at <= $3 AND progress IN ('waiting', 'leaving')
		ORDER BY progress, CASE progress WHEN 'leaving' THEN after_at ELSE 0 END, severity DESC, at, id LIMIT $4`, account, channel, micros(now), limit)
	if err != nil || len(due) > 0 {
		return due, next, err
	}
	var first sql.NullInt64
	err = s.db.read.QueryRowContext(ctx, `SELECT min(after_at) FROM notify_delivery WHERE account = $1 AND channel = $2 AND progress IN ('waiting', 'leaving')`,
		account, channel).Scan(&first)
	return nil, fromMicros(first.Int64), unavailable(err, "reading the outbox")
}

// Mark implements notify.Outbox.
func (s Alerts) Mark(ctx context.Context, deliveries []notify.Delivery) error {
	x, err := s.db.write.BeginTx(ctx, nil)
	if err != nil {
		return unavailable(err, "marking deliveries")
	}
	for _, d := range deliveries {
		body, err := json.Marshal(d)
		if err != nil {
			return errors.Join(fmt.Errorf("encoding delivery: %w", err), rollback(x))
		}
		if _, err := x.ExecContext(ctx, `UPDATE notify_delivery SET after_at = $1, progress = $2, body = $3 WHERE account = $4 AND id = $5`,
			micros(d.After), string(d.Progress), string(body), d.Account, d.ID); err != nil {
			return errors.Join(unavailable(err, "marking deliveries"), rollback(x))
		}
	}
	return unavailable(x.Commit(), "marking deliveries")
}
