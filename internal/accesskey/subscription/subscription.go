// Package subscription lets calendar programs follow the expiries of an account. They cannot
// sign requests: a [Subscription] stands for a link that is the permission, made by a user and
// shown once.
//
// The link lets its holder read the calendar (keyward:GetCalendar) as that user, and nothing
// else: with the rights that the user has when it is followed, so that it leads nowhere when
// the user may not read the calendar any more, is disabled or gone. While there is a
// subscription nobody else can be given its user's name.
//
// Stored are subscriptions, in bound rows, with the digest of the token and not the token; and
// when each was last fetched, which is not bound: the audit log has each time. Who may call:
// the API, and package server/feed, which serves the links. Nothing that a follower says is
// trusted.
package subscription

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/message"
)

// Most is how many subscriptions an account may have. docs/inventory.md tells it to users.
const Most = 1000

// noted is how exactly it is kept when a subscription was last fetched.
const noted = time.Minute

var validName = lazy.Regexp(`^[a-z0-9][a-z0-9-]{0,62}$`)

// A Subscription is a link to an account's calendar.
type Subscription struct {
	Account   string
	Name      string // chosen by who made it
	User      string // who made it, and as whom it is followed
	Language  message.Language
	Digest    []byte // of the token
	CreatedAt time.Time
	Rev       int64
}

// A Store keeps subscriptions. A method that takes a record commits its change together with
// it, or does neither. What is not there is [fault.ResourceNotFound]. Methods may be called
// concurrently.
type Store interface {
	// CreateSubscription stores a new one, or answers [fault.ResourceExists].
	CreateSubscription(ctx context.Context, rec *audit.Record, s *Subscription) error
	DeleteSubscription(ctx context.Context, rec *audit.Record, s *Subscription) error
	Subscription(ctx context.Context, account, name string) (Subscription, error)
	// Subscriptions answers all of the account, by name.
	Subscriptions(ctx context.Context, account string) ([]Subscription, error)
	// SubscriptionOf answers the one whose token has this digest.
	SubscriptionOf(ctx context.Context, digest []byte) (Subscription, error)
	// SaveFetch keeps when one was fetched, unless a fetch since before is kept.
	SaveFetch(ctx context.Context, s Subscription, at, before time.Time) error
	// Fetches answers when the account's were last fetched, by their names.
	Fetches(ctx context.Context, account string) (map[string]time.Time, error)
}

// Users answers who users are; package iam does.
type Users interface {
	// Acting answers the principal that a user is, or [fault.AccessKeyInactive] for one who
	// is disabled or gone.
	Acting(ctx context.Context, account, user string) (authz.Principal, error)
}

// Options says what a Service is made of. All fields but URL are required.
type Options struct {
	Store  Store
	Users  Users
	Log    *audit.Log
	URL    string           // how people reach the server, without a path; "" if there are no links
	Region string           // of the ARNs
	Now    func() time.Time // clock
}

// A Service offers the operations on subscriptions. It may be used concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// Path begins the paths of links, [Suffix] ends them.
const (
	Path   = "/calendar/"
	Suffix = ".ics"
)

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, name string, fn func(*audit.Record) error) error {
	return s.o.Log.Perform(ctx, c, action, "acs:keyward:"+s.o.Region+":"+c.Account+":calendar/"+name, fn)
}

// Subscribe makes a subscription of the caller, who is a user of the account or somebody who
// logged in as one, and answers its link, which holds the token and is never shown again.
func (s *Service) Subscribe(ctx context.Context, c *authz.Call, name string, l message.Language) (out Subscription, link material.Bytes, err error) {
	err = s.do(ctx, c, "keyward:SubscribeCalendar", name, func(rec *audit.Record) error {
		switch {
		case s.o.URL == "":
			return fault.UnsupportedOperation.New("this server has no links: its operator must set public_url")
		case c.Kind != authz.User && c.Kind != authz.Federated:
			return fault.UnsupportedOperation.New("a subscription is a user's, with whose rights it is followed: make it as a user")
		case c.Session != nil && !c.Session.Person:
			return fault.UnsupportedOperation.New("temporary credentials cannot make what outlives them; use an access key of the user, or log in")
		case !validName().MatchString(name):
			return fault.InvalidParameter.New("the name of a subscription has lower-case letters, digits and hyphens, at most 63")
		case l != message.English && l != message.Chinese:
			return fault.InvalidParameter.New("the language is en or zh")
		}
		have, err := s.o.Store.Subscriptions(ctx, c.Account)
		if err != nil {
			return err
		}
		if len(have) >= Most {
			return fault.LimitExceeded.New("the account has %d subscriptions, which is the limit", Most)
		}
		token := rand.Text()
		link = material.NewBytes([]byte(s.o.URL + Path + token + Suffix))
		out = Subscription{Account: c.Account, Name: name, User: c.Name, Language: l, Digest: digest(token), CreatedAt: s.o.Now().UTC().Truncate(time.Microsecond)}
		return s.o.Store.CreateSubscription(ctx, rec, &out)
	})
	if err != nil {
		return Subscription{}, material.Bytes{}, err
	}
	return out, link, nil
}

func digest(token string) []byte {
	sum := sha256.Sum256([]byte("keyward-calendar/v1\n" + token))
	return sum[:]
}

// A Standing is a subscription and when it was last fetched, zero for never.
type Standing struct {
	Subscription
	FetchedAt time.Time
}

// List answers all subscriptions of the account, by name.
func (s *Service) List(ctx context.Context, c *authz.Call) (out []Standing, err error) {
	err = s.do(ctx, c, "keyward:ListCalendarSubscriptions", "*", func(*audit.Record) error {
		all, err := s.o.Store.Subscriptions(ctx, c.Account)
		if err != nil {
			return err
		}
		fetches, err := s.o.Store.Fetches(ctx, c.Account)
		for _, one := range all {
			out = append(out, Standing{one, fetches[one.Name]})
		}
		return err
	})
	return out, err
}

// Unsubscribe ends a subscription: its link leads nowhere from then on.
func (s *Service) Unsubscribe(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:UnsubscribeCalendar", name, func(rec *audit.Record) error {
		one, err := s.o.Store.Subscription(ctx, c.Account, name)
		if err != nil {
			return err
		}
		return s.o.Store.DeleteSubscription(ctx, rec, &one)
	})
}

// Follow answers the subscription of a token and whom its follower acts as now. Its errors
// are [fault.ResourceNotFound] for a token of nobody's and [fault.AccessKeyInactive] for one
// of a user who is disabled or gone; the caller leaves the record.
func (s *Service) Follow(ctx context.Context, token string) (Subscription, authz.Principal, error) {
	one, err := s.o.Store.SubscriptionOf(ctx, digest(token))
	if err != nil {
		return Subscription{}, authz.Principal{}, err
	}
	p, err := s.o.Users.Acting(ctx, one.Account, one.User)
	return one, p, err
}

// Fetched keeps, to the minute, that a subscription was fetched.
func (s *Service) Fetched(ctx context.Context, one Subscription) error {
	now := s.o.Now().UTC().Truncate(time.Microsecond)
	return s.o.Store.SaveFetch(ctx, one, now, now.Add(-noted))
}
