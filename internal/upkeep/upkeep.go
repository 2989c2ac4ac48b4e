// Package upkeep tells people of the keys of the service that need somebody: a rotation
// that should have happened and did not, a deletion that is near, imported material that
// expires, keys that nobody uses.
//
// It looks at all keys of an account, several times a day and once more when something
// that it waits for comes, and reports what it finds to package notify, as package expiry
// does with the access keys that others issued. What it reports depends on nothing that it saw
// before: a condition that is over ends by itself.
//
// Who may call: package app, which plans the job. Nothing is stored here. What is trusted:
// the rows of keys, and the counts of package usage; where those were deleted a key that is
// in use may be called unused, which changes nothing but what people are told. A count that
// cannot be read fails the job, but only when all else was told.
package upkeep

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/usage"
)

// JobLook looks at the keys of an account; each account has one, without a subject.
const JobLook = "upkeep.look"

const (
	every   = 6 * time.Hour      // between two looks
	near    = 7 * 24 * time.Hour // how long before a deletion people are told of it
	overdue = time.Hour          // after which a rotation that was due counts as missed
	prefix  = "upkeep/"          // of the names of conditions that are reported here
	named   = 20                 // unused keys that a message names
)

// Keys reads keys; the store is one.
type Keys interface {
	Keys(ctx context.Context, account string, f key.Filter, p key.Page) ([]key.Key, int, error)
}

// Uses tells when a key was last used; usage.Service is one.
type Uses interface {
	LastUsed(ctx context.Context, k key.Key) (last, since time.Time, err error)
}

// Incidents is who is told; notify.Service is one.
type Incidents interface {
	Reconcile(ctx context.Context, account string, ours func(condition string) bool, conditions map[string]notify.Condition) error
}

// Options says what a Service is made of. All fields are required.
type Options struct {
	Keys      Keys
	Uses      Uses
	Incidents Incidents
	Now       func() time.Time
}

// A Service looks at keys. It may be used concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// Handlers answers what the service does when its job is due.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{JobLook: s.look}
}

// Jobs answers the job that an account needs, for ever.
func Jobs(account string, now time.Time) []job.Job {
	return []job.Job{{Kind: JobLook, Account: account, Due: now}}
}

// look reads all keys of an account and reports what people should know of them.
func (s *Service) look(ctx context.Context, j job.Job) (again time.Time, err error) {
	now := s.o.Now()
	found := map[string]notify.Condition{}
	var unused []string
	var uncounted error
	for p := (key.Page{Number: 1, Size: 100}); ; p.Number++ {
		keys, total, err := s.o.Keys.Keys(ctx, j.Account, key.Filter{}, p)
		if err != nil {
			return time.Time{}, err
		}
		for _, k := range keys {
			if c, ok := condition(k, now); ok {
				found[c.Name] = c
			}
			idle, err := s.idle(ctx, k, now)
			if err != nil {
				uncounted = fmt.Errorf("reading when key %s was used: %w", k.ID, err)
			} else if idle {
				unused = append(unused, string(k.ID))
			}
		}
		if p.Number*p.Size >= total {
			break
		}
	}
	if c, ok := unusedKeys(unused); ok {
		found[c.Name] = c
	}
	ours := func(condition string) bool { return strings.HasPrefix(condition, prefix) }
	return now.Add(every), errors.Join(s.o.Incidents.Reconcile(ctx, j.Account, ours, found), uncounted)
}

// condition answers what is to be told of one key, if anything.
func condition(k key.Key, now time.Time) (notify.Condition, bool) {
	facts := []notify.Fact{{Name: "key", Value: string(k.ID)}}
	if k.Description != "" {
		facts = append(facts, notify.Fact{Name: "purpose", Value: k.Description})
	}
	c := notify.Condition{Name: prefix + string(k.ID), Subject: string(k.ID), Facts: facts}
	switch next := k.NextRotation(); {
	case k.State == key.PendingDeletion && k.DeleteAt.Sub(now) <= near: // somebody wants it, so it is no alarm that rises
		c.Kind, c.Severity = notify.KMSDeletion, message.Warning
		c.Facts = append(c.Facts, notify.Fact{Name: "deletion", Value: k.DeleteAt.Format(time.RFC3339)}, notify.Fact{Name: "fix", Value: "keyward key usage " + string(k.ID) + "; keyward key restore " + string(k.ID)})
		return c, true
	case k.State != key.PendingDeletion && !k.Empty && !k.ExpireAt.IsZero(): // nothing works with the key from then on
		c.Kind, c.Deadline = notify.KMSMaterial, k.ExpireAt
		c.Facts = append(c.Facts, notify.Fact{Name: "expires", Value: k.ExpireAt.Format(time.RFC3339)}, notify.Fact{Name: "fix", Value: "keyward key import " + string(k.ID) + " FILE"})
		return c, true
	case k.State == key.Enabled && !next.IsZero() && now.Sub(next) > overdue:
		c.Kind, c.Severity = notify.KMSRotation, message.Warning
		c.Facts = append(c.Facts, notify.Fact{Name: "since", Value: next.Format(time.RFC3339)}, notify.Fact{Name: "fix", Value: "keyward key rotate " + string(k.ID)})
		return c, true
	}
	return c, false
}

// idle tells whether a key that could be used was not, for as long as it takes to call it unused.
func (s *Service) idle(ctx context.Context, k key.Key, now time.Time) (bool, error) {
	if k.State != key.Enabled || now.Sub(k.CreatedAt) < usage.Recent {
		return false, nil
	}
	last, since, err := s.o.Uses.LastUsed(ctx, k)
	return now.Sub(last) >= usage.Recent && now.Sub(since) >= usage.Recent, err
}

// unusedKeys answers one condition for all keys that nobody uses: one for each would bury
// what is urgent.
func unusedKeys(ids []string) (notify.Condition, bool) {
	if len(ids) == 0 {
		return notify.Condition{}, false
	}
	names := strings.Join(ids[:min(len(ids), named)], ", ")
	if more := len(ids) - named; more > 0 {
		names += fmt.Sprintf(", … (+%d)", more)
	}
	return notify.Condition{
		Name: prefix + "unused", Kind: notify.KMSUnused, Subject: strconv.Itoa(len(ids)), Severity: message.Info,
		Facts: []notify.Fact{{Name: "key", Value: names}, {Name: "fix", Value: "keyward key usage KEY"}},
	}, true
}
