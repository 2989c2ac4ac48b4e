package inventory

import (
	"context"
	"errors"
	"time"

	"github.com/keyward/keyward/internal/accesskey/subscription"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// Calendars is the store of package subscription.
type Calendars struct{ *bound.Store }

func subscriptionRow(s *subscription.Subscription) bound.Row {
	return bound.Row{Table: "calendar_subscription", Keys: 2, Rev: &s.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &s.Account),
		bound.Text("name", &s.Name),
		bound.Text("user_name", &s.User),
		bound.Text("language", &s.Language),
		bound.Blob("digest", &s.Digest),
		bound.Instant("created_at", &s.CreatedAt),
	}}
}

// CreateSubscription implements subscription.Store.
func (s Calendars) CreateSubscription(ctx context.Context, rec *audit.Record, one *subscription.Subscription) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		err := t.Insert(ctx, subscriptionRow(one))
		if fault.Is(err, fault.ResourceExists) {
			err = fault.ResourceExists.New("there is a subscription %s already; choose another name, or end it first", one.Name)
		}
		return err
	})
}

// DeleteSubscription implements subscription.Store.
func (s Calendars) DeleteSubscription(ctx context.Context, rec *audit.Record, one *subscription.Subscription) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if _, err := t.Exec(ctx, `DELETE FROM calendar_fetch WHERE account = $1 AND name = $2`, one.Account, one.Name); err != nil {
			return err
		}
		return t.Remove(ctx, subscriptionRow(one))
	})
}

// Subscription implements subscription.Store.
func (s Calendars) Subscription(ctx context.Context, account, name string) (subscription.Subscription, error) {
	one := subscription.Subscription{Account: account, Name: name}
	err := s.Load(ctx, subscriptionRow(&one))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no subscription of this name; list them with: keyward accesskey calendar subscriptions")
	}
	return one, err
}

// Subscriptions implements subscription.Store.
func (s Calendars) Subscriptions(ctx context.Context, account string) ([]subscription.Subscription, error) {
	return bound.List(ctx, s.Store, s.DB, subscriptionRow, `WHERE account = $1 ORDER BY name`, account)
}

// SubscriptionsOf answers the subscriptions of a user, as a part of a transaction that makes
// a user.
func (s Calendars) SubscriptionsOf(ctx context.Context, from database.Queryer, account, user string) ([]subscription.Subscription, error) {
	return bound.List(ctx, s.Store, from, subscriptionRow, `WHERE account = $1 AND user_name = $2 ORDER BY name`, account, user)
}

// SubscriptionOf implements subscription.Store.
func (s Calendars) SubscriptionOf(ctx context.Context, digest []byte) (subscription.Subscription, error) {
	some, err := bound.List(ctx, s.Store, s.DB, subscriptionRow, `WHERE digest = $1`, digest)
	if err == nil && len(some) == 0 {
		err = fault.ResourceNotFound.New("the link is not one of this server, or it has ended")
	}
	if err != nil {
		return subscription.Subscription{}, err
	}
	return some[0], nil
}

// SaveFetch implements subscription.Store.
func (s Calendars) SaveFetch(ctx context.Context, one subscription.Subscription, at, before time.Time) error {
	_, err := s.DB.Exec(ctx, `INSERT INTO calendar_fetch (account, name, fetched_at)
		SELECT account, name, CAST($3 AS BIGINT) FROM calendar_subscription WHERE account = $1 AND name = $2
		ON CONFLICT (account, name) DO UPDATE SET fetched_at = excluded.fetched_at WHERE calendar_fetch.fetched_at < $4`,
		one.Account, one.Name, at.UnixMicro(), before.UnixMicro())
	return database.Unavailable(err, "saving a fetch of the calendar")
}

// Fetches implements subscription.Store.
func (s Calendars) Fetches(ctx context.Context, account string) (map[string]time.Time, error) {
	rows, err := s.DB.QueryContext(ctx, `SELECT name, fetched_at FROM calendar_fetch WHERE account = $1`, account)
	if err != nil {
		return nil, database.Unavailable(err, "reading fetches of the calendar")
	}
	defer rows.Close()
	out := map[string]time.Time{}
	for rows.Next() {
		var name string
		var at int64
		if err := rows.Scan(&name, &at); err != nil {
			return nil, database.Unavailable(err, "reading fetches of the calendar")
		}
		out[name] = time.UnixMicro(at).UTC()
	}
	return out, database.Unavailable(rows.Err(), "reading fetches of the calendar")
}
