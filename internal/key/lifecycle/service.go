// Package lifecycle offers the operations that manage keys: they are made, described,
// tagged and given aliases; they rotate, are enabled and disabled, and are deleted after
// a time in which that can still be cancelled.
//
// A [Service] asks the keyring whether the caller may, reads the key afresh, changes it by
// the rules of package key, and stores it together with the one audit record and with the
// jobs that are due because of it. Jobs ([Service.Handlers]) look again at the key itself
// before they act, so that what was cancelled or moved is not carried out.
//
// Who may call: the API dialects, keyward's own jobs, and the domain of secrets for its
// default key. Stored are metadata and what the key's keystore answers; no operation here
// sees material.
package lifecycle

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/key/keyring"
)

// Options says what a Service is made of. All fields but Actions and DefaultKeys are required.
type Options struct {
	Ring    *keyring.Ring
	Store   key.Store
	Aliases key.AliasStore
	Log     *audit.Log
	Now     func() time.Time // clock
	// Instances are where keys are put.
	Instances *instance.Service
	// Known answers InvalidParameter unless each of the principals is a user or a role of the account.
	Known func(ctx context.Context, account string, principals []string) error
	// Actions are all that policies can speak of; without them no spelling is looked at.
	Actions []string
	// DefaultKeys is how many keys in no instance an account may have; 0 for any number.
	DefaultKeys int
	// After answers how long the service will have served when it has done so for this
	// much more from now on.
	After func(context.Context, time.Duration) (time.Duration, error)
}

// A Service offers the operations. Its methods may be called concurrently.
type Service struct {
	ring    *keyring.Ring
	store   key.Store
	aliases key.AliasStore
	log     *audit.Log
	now     func() time.Time
	after   func(context.Context, time.Duration) (time.Duration, error)

	instances   *instance.Service
	known       func(ctx context.Context, account string, principals []string) error
	actions     []string
	defaultKeys int
}

// New makes a Service.
func New(o Options) *Service {
	return &Service{ring: o.Ring, store: o.Store, aliases: o.Aliases, log: o.Log, now: o.Now, after: o.After, instances: o.Instances, known: o.Known, actions: o.Actions, defaultKeys: o.DefaultKeys}
}

// CheckPolicy refuses a policy, of a key or a secret, that names users or roles whom the
// account does not have, for whoever got such a name later would be let in; and one that
// denies what is no action, for that would deny nothing.
func (s *Service) CheckPolicy(ctx context.Context, account string, p *authz.ResourcePolicy) error {
	if err := p.CheckSpelling(s.actions); err != nil {
		return err
	}
	return s.known(ctx, account, p.Named(account))
}

// ARN answers the name of a key as policies know it.
func (s *Service) ARN(k key.Key) string { return s.ring.ARN(k) }

// AliasARN answers the name of an alias as policies know it.
func (s *Service) AliasARN(a key.Alias) string { return s.ring.Name(a.Account, a.Name) }

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action string, fn func(*audit.Record) error) error {
	rec := audit.NewRecord(c, action)
	return s.log.Do(ctx, rec, func() error { return fn(rec) })
}

// may asks whether the caller may perform the operation on something of its account that
// is no key.
func (s *Service) may(c *authz.Call, rec *audit.Record, relative string) error {
	return s.ring.May(keyring.Ask{Call: c, Record: rec, Action: rec.Action}, s.ring.Name(c.Account, relative))
}

// resolve answers the key that name means, if the caller may perform the operation on it.
func (s *Service) resolve(ctx context.Context, c *authz.Call, rec *audit.Record, name string) (*keyring.Entry, error) {
	return s.ring.Resolve(ctx, keyring.Ask{Call: c, Record: rec, Action: rec.Action, Name: name})
}

// change reads a key afresh, lets edit change it, and stores it; when somebody else
// changed the key meanwhile it starts again. edit must not keep what it is given.
func (s *Service) change(ctx context.Context, c *authz.Call, rec *audit.Record, name string, edit func(*key.Key) error) error {
	e, err := s.resolve(ctx, c, rec, name)
	if err != nil {
		return err
	}
	return s.edit(ctx, rec, e, edit)
}

// changeAndPlan is change with an edit that says itself when the key must be looked at.
func (s *Service) changeAndPlan(ctx context.Context, c *authz.Call, rec *audit.Record, name string, edit func(*key.Key) ([]job.Job, error)) error {
	e, err := s.resolve(ctx, c, rec, name)
	if err != nil {
		return err
	}
	return s.editAndPlan(ctx, rec, e, edit)
}

// edit is change for a key that was resolved.
func (s *Service) edit(ctx context.Context, rec *audit.Record, e *keyring.Entry, edit func(*key.Key) error) error {
	return s.editAndPlan(ctx, rec, e, func(k *key.Key) ([]job.Job, error) {
		err := edit(k)
		return k.Jobs(), err
	})
}

func (s *Service) editAndPlan(ctx context.Context, rec *audit.Record, e *keyring.Entry, edit func(*key.Key) ([]job.Job, error)) error {
	return rec.Again(func() error {
		k, err := s.store.Key(ctx, e.Key.Account, e.Key.ID)
		if err != nil {
			return err
		}
		jobs, err := edit(&k)
		if err != nil {
			return err
		}
		return s.store.UpdateKeys(ctx, rec, jobs, &k)
	})
}

// clock answers the time as rows keep it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// AccountStatus tells whether the caller may know that the account uses the service;
// with keyward every account does.
func (s *Service) AccountStatus(ctx context.Context, c *authz.Call) error {
	return s.do(ctx, c, "kms:DescribeAccountKmsStatus", func(rec *audit.Record) error { return s.may(c, rec, "key") })
}

// OpenService tells whoever may open the service for the account that it is open: with keyward
// it always is, which is a [fault.StateConflict].
func (s *Service) OpenService(ctx context.Context, c *authz.Call) error {
	return s.do(ctx, c, "kms:OpenKmsService", func(rec *audit.Record) error {
		if err := s.may(c, rec, "key"); err != nil {
			return err
		}
		return fault.StateConflict.New("the service is open already, as it is for every account; go on and make a key")
	})
}
