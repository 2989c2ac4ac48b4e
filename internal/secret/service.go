package secret

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/tag"
)

const (
	maxSecrets  = 100_000 // whose metadata stays in memory
	maxVersions = 10_000  // whose encrypted values stay in memory
)

// Options says what a Service is made of. All fields but Mark and Reserved are required.
type Options struct {
	Store interface {
		Store
		PolicyStore
	}
	Keys   *lifecycle.Service    // for the default key
	Crypto *cryptography.Service // for the keys of values
	Log    *audit.Log
	Region string           // of the ARNs
	Now    func() time.Time // clock
	// After answers how long the service will have served when it has done so for this
	// much more from now on.
	After func(context.Context, time.Duration) (time.Duration, error)
	Fresh func() bool // whether cached values may be used
	// Mark answers the marks of a value that is about to be stored; nil for none.
	Mark func(ctx context.Context, account string, value material.Bytes) []Mark
	// Reserved answers why nobody but keyward itself may change now what readers of a secret
	// get, such as a rotation that is under way; nil if everybody may, and for always.
	Reserved func(ctx context.Context, account, name string) error
}

// A Service offers the operations on secrets. Its methods may be called concurrently.
type Service struct {
	store    Store
	policies PolicyStore
	keys     *lifecycle.Service
	crypto   *cryptography.Service
	log      *audit.Log
	region   string
	now      func() time.Time
	after    func(context.Context, time.Duration) (time.Duration, error)
	mark     func(context.Context, string, material.Bytes) []Mark
	reserved func(context.Context, string, string) error
	secrets  *cache.Cache[secretRef, held]
	versions *cache.Cache[versionRef, Version]
}

type (
	secretRef  struct{ account, name string }
	versionRef struct{ account, secret, id string }
)

// New makes a Service.
func New(o Options) *Service {
	if o.Mark == nil {
		o.Mark = func(context.Context, string, material.Bytes) []Mark { return nil }
	}
	if o.Reserved == nil {
		o.Reserved = func(context.Context, string, string) error { return nil }
	}
	return &Service{
		store: o.Store, policies: o.Store, keys: o.Keys, crypto: o.Crypto, log: o.Log, region: o.Region, now: o.Now, after: o.After, mark: o.Mark, reserved: o.Reserved,
		secrets: cache.New(maxSecrets, o.Fresh, o.load),
		versions: cache.New(maxVersions, o.Fresh, func(ctx context.Context, r versionRef) (Version, error) {
			return o.Store.SecretVersion(ctx, r.account, r.secret, r.id)
		}),
	}
}

// Changed forgets what the service has cached of a row that was changed; table ""
// means everything. The store's change feed calls it.
func (s *Service) Changed(table, id string) {
	account, rest, _ := strings.Cut(id, "/")
	switch table {
	case "":
		s.secrets.Clear()
		s.versions.Clear()
	case "secret":
		s.secrets.Forget(secretRef{account, rest})
	case "secret_policy":
		s.secrets.Clear() // the row does not tell the name; policies seldom change
	case "secret_version":
		of, version, _ := strings.Cut(rest, "/")
		s.versions.Forget(versionRef{account, of, version})
	}
}

// Age drops what nobody asked for since the last call, and answers how much that was.
func (s *Service) Age() int { return s.secrets.Age() + s.versions.Age() }

// ARN answers the name of a secret as policies know it.
func (s *Service) ARN(account, name string) string {
	return "acs:kms:" + s.region + ":" + account + ":secret/" + name
}

// container answers the name of what all secrets of an account are in.
func (s *Service) container(account string) string {
	return "acs:kms:" + s.region + ":" + account + ":secret"
}

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action string, fn func(*audit.Record) error) error {
	rec := audit.NewRecord(c, action)
	return s.log.Do(ctx, rec, func() error { return fn(rec) })
}

// may asks the caller's policies and notes in the record what they said.
func (s *Service) may(c *authz.Call, rec *audit.Record, resource string, attributes ...authz.Attribute) error {
	return rec.Permit(c, authz.Request{Resource: resource, Attributes: attributes})
}

// Find answers a secret from the cache after it has asked whether the caller may do the
// record's action with it, as a part of the operation of rec. A caller who may not learns
// nothing about whether it exists.
func (s *Service) Find(ctx context.Context, c *authz.Call, rec *audit.Record, name string) (Secret, error) {
	found, err := s.hold(ctx, c, rec, name)
	return found.Secret, err
}

// hold is Find that answers the policy, too.
func (s *Service) hold(ctx context.Context, c *authz.Call, rec *audit.Record, name string) (held, error) {
	name = s.Relative(c, name)
	if err := checkName(name); err != nil {
		return held{}, err
	}
	found, err := s.secrets.Get(ctx, secretRef{c.Account, name})
	if denied := rec.Permit(c, authz.Request{Resource: s.ARN(c.Account, name), Attributes: attributes(found.Tags), Policy: found.policy}); denied != nil {
		return held{}, denied
	}
	return found, err
}

// Relative answers the name in a secret's ARN; what is none stays as it is, and that of
// another account or region is no name.
func (s *Service) Relative(c *authz.Call, name string) string {
	return strings.TrimPrefix(name, s.ARN(c.Account, ""))
}

func attributes(tags []tag.Tag) []authz.Attribute {
	var all []authz.Attribute
	for _, t := range tags {
		all = append(all, authz.Attribute{Key: authz.TagPrefix + t.Key, Value: t.Value})
	}
	return all
}

// free refuses people a change of what readers of a secret get that is reserved to keyward.
func (s *Service) free(ctx context.Context, c *authz.Call, of Secret, moved ...Stage) error {
	if c.Kind == authz.Service || !slices.Contains(moved, Current) && !slices.Contains(moved, Pending) {
		return nil
	}
	return s.reserved(ctx, of.Account, of.Name)
}

// fresh reads a secret as it is now. It must be the one that policies were asked about, and
// not another one of the name, which may have another policy.
func (s *Service) fresh(ctx context.Context, found Secret) (Secret, error) {
	now, err := s.store.Secret(ctx, found.Account, found.Name)
	if err == nil && now.ID != found.ID {
		err = fault.Changed.New("secret %s was replaced by somebody else meanwhile; look at it again", found.Name).Lasting()
	}
	return now, err
}

// change lets edit change a secret that Find has answered, and stores it; when somebody else
// changed it meanwhile it starts again with what is there then. edit answers the jobs that the
// change needs; it must not keep what it is given.
func (s *Service) change(ctx context.Context, rec *audit.Record, found Secret, edit func(*Secret) ([]job.Job, error)) (fresh Secret, err error) {
	err = rec.Again(func() error {
		if fresh, err = s.fresh(ctx, found); err != nil {
			return err
		}
		jobs, err := edit(&fresh)
		if err != nil {
			return err
		}
		fresh.UpdatedAt = s.clock()
		return s.store.UpdateSecrets(ctx, rec, jobs, &fresh)
	})
	return fresh, err
}

// clock answers the time as rows keep it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
