package alerts

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
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// A Store is the store of package notify.
type Store struct{ *bound.Store }

func channelRow(c *notify.Channel) bound.Row {
	return bound.Row{Table: "notify_channel", Keys: 2, Rev: &c.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &c.Account),
		bound.Text("name", &c.Name),
		bound.Text("kind", &c.Kind),
		bound.Document("settings", &c.Settings),
		bound.Blob("sealed", &c.Sealed),
		bound.Seconds("heartbeat", &c.Heartbeat),
		bound.Flag("paused", &c.Paused),
		bound.Instant("created_at", &c.CreatedAt),
	}}
}

func incidentRow(i *notify.Incident) bound.Row {
	return bound.Row{Table: "notify_incident", Keys: 2, Rev: &i.Rev, Columns: []bound.Column{
		bound.Text("account", &i.Account),
		bound.Text("id", &i.ID),
		bound.Text("condition", &i.Condition),
		bound.Text("kind", &i.Kind),
		bound.Text("subject", &i.Subject),
		bound.Text("owner", &i.Owner),
		bound.Document("facts", &i.Facts),
		bound.Instant("deadline", &i.Deadline),
		bound.Number("stage", &i.Stage),
		bound.Instant("opened_at", &i.OpenedAt),
		bound.Instant("changed_at", &i.ChangedAt),
		bound.Instant("ended_at", &i.EndedAt),
		bound.Number("told", &i.Told),
		bound.Number("level", &i.Level),
		bound.Number("alarms", &i.Alarms),
		bound.Instant("next_at", &i.NextAt),
		bound.Text("ack_by", &i.AckBy),
		bound.Text("ack_note", &i.AckNote),
		bound.Instant("ack_at", &i.AckAt),
		bound.Instant("ack_until", &i.AckUntil),
	}}
}

// SaveChannel implements notify.ConfigStore.
func (s Store) SaveChannel(ctx context.Context, rec *audit.Record, c *notify.Channel, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		err := t.Save(ctx, channelRow(c))
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("there is a channel %s already; choose another name, or change it with: keyward channel update", c.Name)
		}
		if err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// DeleteChannel implements notify.ConfigStore.
func (s Store) DeleteChannel(ctx context.Context, rec *audit.Record, c *notify.Channel) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, channelRow(c)); err != nil {
			return err
		}
		if _, err := t.Exec(ctx, `DELETE FROM notify_health WHERE account = $1 AND channel = $2`, c.Account, c.Name); err != nil {
			return err
		}
		_, err := t.Exec(ctx, `DELETE FROM notify_delivery WHERE account = $1 AND channel = $2 AND progress IN ('waiting', 'leaving')`, c.Account, c.Name)
		return err
	})
}

// Channels implements notify.ConfigStore.
func (s Store) Channels(ctx context.Context, account string) ([]notify.Channel, error) {
	return bound.List(ctx, s.Store, s.DB, channelRow, `WHERE account = $1 ORDER BY name`, account)
}

// ChangeHealth implements notify.ConfigStore.
func (s Store) ChangeHealth(ctx context.Context, account, channel string, change func(*notify.Health)) (h notify.Health, err error) {
	err = s.Apart(ctx, func(t *bound.Tx) error {
		h, err = changeHealth(ctx, t, account, channel, change)
		return err
	})
	return h, database.Unavailable(err, "saving health")
}

func changeHealth(ctx context.Context, t *bound.Tx, account, channel string, change func(*notify.Health)) (h notify.Health, err error) {
	n, err := t.Exec(ctx, `UPDATE notify_channel SET rev = rev WHERE account = $1 AND name = $2`, account, channel) // one after the other
	if err != nil {
		return h, err
	}
	var body string
	err = t.QueryRowContext(ctx, `SELECT body FROM notify_health WHERE account = $1 AND channel = $2`, account, channel).Scan(&body)
	if err == nil {
		err = json.Unmarshal([]byte(body), &h)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return h, err
	}
	h.Account, h.Channel = account, channel
	change(&h)
	if n == 0 { // it was removed
		return h, nil
	}
	changed, err := json.Marshal(h)
	if err != nil {
		return h, err
	}
	_, err = t.Exec(ctx, `INSERT INTO notify_health (account, channel, body) VALUES ($1, $2, $3)
		ON CONFLICT (account, channel) DO UPDATE SET body = excluded.body`, account, channel, string(changed))
	return h, err
}

// Healths implements notify.ConfigStore.
func (s Store) Healths(ctx context.Context, account string) (map[string]notify.Health, error) {
	all, err := bound.Documents[notify.Health](ctx, s.Store, `SELECT body FROM notify_health WHERE account = $1`, account)
	out := make(map[string]notify.Health, len(all))
	for _, h := range all {
		out[h.Channel] = h
	}
	return out, err
}

// SaveIncident implements notify.IncidentStore.
func (s Store) SaveIncident(ctx context.Context, rec *audit.Record, i *notify.Incident, deliveries []notify.Delivery, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := s.holdChannels(ctx, t, deliveries); err != nil {
			return err
		}
		if err := t.Save(ctx, incidentRow(i)); err != nil {
			return err
		}
		for _, d := range deliveries {
			body, err := json.Marshal(d)
			if err != nil {
				return err
			}
			if _, err := t.Exec(ctx, `INSERT INTO notify_delivery (account, id, incident, channel, severity, at, after_at, progress, body)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
				d.Account, d.ID, d.Incident, d.Channel, int64(d.Severity), database.Micros(d.At), database.Micros(d.After), string(d.Progress), string(body)); err != nil {
				return err
			}
		}
		return t.Schedule(ctx, jobs)
	})
}

// holdChannels holds until the transaction ends that the channels of deliveries are there: whoever
// removes one waits and finds what waits for it, or was waited for.
func (s Store) holdChannels(ctx context.Context, t *bound.Tx, deliveries []notify.Delivery) error {
	lock := ""
	if s.DB.Shared() { // an embedded database has one writer
		lock = ` FOR KEY SHARE`
	}
	held := map[string]bool{}
	for _, d := range deliveries {
		if held[d.Channel] {
			continue
		}
		held[d.Channel] = true
		var found string
		err := t.QueryRowContext(ctx, `SELECT name FROM notify_channel WHERE account = $1 AND name = $2`+lock, d.Account, d.Channel).Scan(&found)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.Changed.New("the channel %s was removed meanwhile", d.Channel)
		}
		if err != nil {
			return fmt.Errorf("holding channel %s: %w", d.Channel, err)
		}
	}
	return nil
}

// Incident implements notify.IncidentStore.
func (s Store) Incident(ctx context.Context, account, id string) (notify.Incident, error) {
	i := notify.Incident{Account: account, ID: id}
	err := s.Load(ctx, incidentRow(&i))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no incident %q; list them with: keyward incident list", id)
	}
	return i, err
}

// Watched implements notify.IncidentStore.
func (s Store) Watched(ctx context.Context, account, condition string) (notify.Incident, bool, error) {
	some, err := bound.List(ctx, s.Store, s.DB.Ready(), incidentRow, `WHERE account = $1 AND condition = $2 AND ended_at = 0`, account, condition)
	if err != nil || len(some) == 0 {
		return notify.Incident{}, false, err
	}
	return some[0], true, nil
}

// Incidents implements notify.IncidentStore.
func (s Store) Incidents(ctx context.Context, account string, ended bool, limit int) ([]notify.Incident, error) {
	if ended {
		return bound.List(ctx, s.Store, s.DB, incidentRow, `WHERE account = $1 AND ended_at > 0 ORDER BY ended_at DESC, id LIMIT $2`, account, limit)
	}
	return bound.List(ctx, s.Store, s.DB, incidentRow, `WHERE account = $1 AND ended_at = 0 ORDER BY stage DESC, deadline, id`, account)
}

// EndedBefore implements notify.IncidentStore.
func (s Store) EndedBefore(ctx context.Context, account string, before time.Time, limit int) ([]notify.Incident, error) {
	return bound.List(ctx, s.Store, s.DB, incidentRow, `WHERE account = $1 AND ended_at > 0 AND ended_at < $2 ORDER BY ended_at LIMIT $3`, account, database.Micros(before), limit)
}

// Forget implements notify.IncidentStore.
func (s Store) Forget(ctx context.Context, rec *audit.Record, incidents []notify.Incident) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		for _, i := range incidents {
			if _, err := t.Exec(ctx, `DELETE FROM notify_delivery WHERE account = $1 AND incident = $2`, i.Account, i.ID); err != nil {
				return err
			}
			if err := t.Remove(ctx, incidentRow(&i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// prunedAtOnce is how many deliveries one transaction prunes: nobody waits for more.
const prunedAtOnce = 1000

// Prune implements notify.Outbox.
func (s Store) Prune(ctx context.Context, account string, before time.Time) error {
	for {
		n, err := s.DB.Exec(ctx, `DELETE FROM notify_delivery WHERE account = $1 AND id IN (SELECT id FROM notify_delivery
			WHERE account = $1 AND at < $2 AND progress NOT IN ('waiting', 'leaving') LIMIT $3)`, account, database.Micros(before), prunedAtOnce)
		if err != nil || n < prunedAtOnce {
			return database.Unavailable(err, "pruning the outbox")
		}
	}
}

// Deliveries implements notify.IncidentStore.
func (s Store) Deliveries(ctx context.Context, account, incident string) ([]notify.Delivery, error) {
	return bound.Documents[notify.Delivery](ctx, s.Store, `SELECT body FROM notify_delivery WHERE account = $1 AND incident = $2 ORDER BY at, id`, account, incident)
}

// Due implements notify.Outbox.
func (s Store) Due(ctx context.Context, account, channel string, now time.Time, limit int) (due []notify.Delivery, next time.Time, err error) {
	due, err = bound.Documents[notify.Delivery](ctx, s.Store, `SELECT body FROM notify_delivery
		WHERE account = $1 AND channel = $2 AND after_at <= $3 AND progress IN ('waiting', 'leaving')
		ORDER BY progress, CASE progress WHEN 'leaving' THEN after_at ELSE 0 END, severity DESC, at, id LIMIT $4`, account, channel, database.Micros(now), limit)
	if err != nil || len(due) > 0 {
		return due, next, err
	}
	var first sql.NullInt64
	err = s.DB.QueryRowContext(ctx, `SELECT min(after_at) FROM notify_delivery WHERE account = $1 AND channel = $2 AND progress IN ('waiting', 'leaving')`,
		account, channel).Scan(&first)
	return nil, database.FromMicros(first.Int64), database.Unavailable(err, "reading the outbox")
}

// Mark implements notify.Outbox.
func (s Store) Mark(ctx context.Context, deliveries []notify.Delivery) error {
	return database.Unavailable(s.Apart(ctx, func(t *bound.Tx) error {
		for _, d := range deliveries {
			body, err := json.Marshal(d)
			if err != nil {
				return fmt.Errorf("encoding delivery: %w", err)
			}
			if _, err := t.Exec(ctx, `UPDATE notify_delivery SET after_at = $1, progress = $2, body = $3 WHERE account = $4 AND id = $5`,
				database.Micros(d.After), string(d.Progress), string(body), d.Account, d.ID); err != nil {
				return err
			}
		}
		return nil
	}), "marking deliveries")
}
