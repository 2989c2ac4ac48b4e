package key

import (
	"context"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
)

const (
	maxCached  = 100_000 // keys whose metadata and unwrapped versions stay in memory
	generators = 2       // key pairs that are generated at once: RSA takes seconds of CPU
	maxName    = 512     // bytes of a key's id, alias or ARN
	retries    = 8       // attempts at a change that somebody else's change keeps overtaking
)

// Tenants answers the wrapper that protects an account's key material at rest.
type Tenants interface {
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
}

// Options says what a Service is made of.
type Options struct {
	Store   Store
	Aliases AliasStore
	Tenants Tenants
	Log     *audit.Log
	Region  string           // of the ARNs
	Now     func() time.Time // clock
	// After answers how long the service will have served when it has done so for this
	// much more from now on.
	After func(context.Context, time.Duration) (time.Duration, error)
	Fresh func() bool // whether cached values may be used
	// ContextDigest answers a keyed digest of an encryption context for the audit log,
	// which must not hold the context itself.
	ContextDigest func([]byte) (string, error)
}

// A Service offers the operations on keys. Its methods may be called concurrently.
type Service struct {
	store      Store
	aliases    AliasStore
	tenants    Tenants
	log        *audit.Log
	region     string
	now        func() time.Time
	after      func(context.Context, time.Duration) (time.Duration, error)
	digest     func([]byte) (string, error)
	keys       *cache.Cache[keyRef, *usable]
	names      *cache.Cache[aliasRef, Alias]
	age        atomic.Uint32 // counts the calls of Age
	generating chan struct{}
}

type (
	keyRef struct {
		account string
		id      ID
	}
	aliasRef struct{ account, name string }
)

// New makes a Service.
func New(o Options) *Service {
	s := &Service{
		store: o.Store, aliases: o.Aliases, tenants: o.Tenants, log: o.Log, region: o.Region,
		now: o.Now, after: o.After, digest: o.ContextDigest, generating: make(chan struct{}, generators),
	}
	s.keys = cache.New(maxCached, o.Fresh, s.load)
	s.names = cache.New(maxCached, o.Fresh, func(ctx context.Context, r aliasRef) (Alias, error) {
		return s.aliases.Alias(ctx, r.account, r.name)
	})
	return s
}

// Changed forgets what the service has cached of a row that was changed; table ""
// means everything. The store's change feed calls it.
func (s *Service) Changed(table, id string) {
	switch account, rest, _ := strings.Cut(id, "/"); table {
	case "":
		s.keys.Clear()
		s.names.Clear()
	case "kms_key":
		s.keys.Forget(keyRef{account, ID(rest)})
	case "kms_alias":
		s.names.Forget(aliasRef{account, rest})
	case "iam_account":
		s.keys.Clear() // its tenant key may be gone
	}
}

// ARN answers the name of a key as policies know it.
func (s *Service) ARN(k Key) string { return s.arn(k.Account, "key/"+string(k.ID)) }

// AliasARN answers the name of an alias as policies know it.
func (s *Service) AliasARN(a Alias) string { return s.arn(a.Account, a.Name) }

func (s *Service) arn(account, relative string) string {
	return "acs:kms:" + s.region + ":" + account + ":" + relative
}

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action string, fn func(*audit.Record) error) error {
	rec := audit.NewRecord(c, action)
	return s.log.Do(ctx, rec, func() error { return fn(rec) })
}

// may asks the caller's policies and notes in the record what they said.
func (s *Service) may(c *authz.Call, rec *audit.Record, action, resource string, attributes ...authz.Attribute) error {
	rec.Resource = resource
	d, err := c.Check(authz.Request{Action: action, Resource: resource, Attributes: attributes})
	rec.Decision = d.String()
	return err
}

// resolve finds the key that name means (an id, an alias or the ARN of either), asks
// whether the caller may do the action with it, and answers it from the cache. A
// caller who may not learns nothing about whether the key exists or what an alias
// points at, and another account's key is a missing one.
func (s *Service) resolve(ctx context.Context, c *authz.Call, rec *audit.Record, action, name string, attributes ...authz.Attribute) (*usable, error) {
	u, err := s.find(ctx, c, rec, action, name, attributes)
	if fault.Is(err, fault.NoPermission) {
		return nil, fault.NoPermission.Wrap(err, "%s may not perform %s on %s; ask an administrator of the account for a policy that allows it", c.ARN(), action, name)
	}
	return u, err
}

func (s *Service) find(ctx context.Context, c *authz.Call, rec *audit.Record, action, name string, attributes []authz.Attribute) (*usable, error) {
	id, err := s.identify(ctx, c, rec, action, name)
	if err != nil {
		return nil, err
	}
	u, err := s.keys.Get(ctx, keyRef{c.Account, id})
	if err != nil {
		if denied := s.may(c, rec, action, s.arn(c.Account, "key/"+string(id)), attributes...); denied != nil {
			return nil, denied
		}
		return nil, err
	}
	if err := s.may(c, rec, action, u.arn, u.attributes(attributes)...); err != nil {
		return nil, err
	}
	return u, nil
}

// identify answers the id that name means for the caller.
func (s *Service) identify(ctx context.Context, c *authz.Call, rec *audit.Record, action, name string) (ID, error) {
	if name == "" {
		return "", fault.MissingParameter.New("KeyId is mandatory for this action.")
	}
	if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return "", fault.InvalidParameter.New("The specified parameter KeyId is not valid. It must be the id of a key, an alias, or the ARN of either.")
	}
	if rest, ok := strings.CutPrefix(name, "acs:kms:"); ok {
		region, rest, _ := strings.Cut(rest, ":")
		account, relative, _ := strings.Cut(rest, ":")
		if region != s.region || account != c.Account {
			return "", fault.KeyNotFound.New("The specified Key is not found.")
		}
		name = strings.TrimPrefix(relative, "key/")
	}
	if !strings.HasPrefix(name, "alias/") {
		return ID(name), nil
	}
	a, err := s.names.Get(ctx, aliasRef{c.Account, name})
	if err != nil {
		if denied := s.may(c, rec, action, s.arn(c.Account, name)); denied != nil {
			return "", denied
		}
		return "", err
	}
	rec.Param("Alias", name)
	return a.Key, nil
}

// change reads a key afresh, lets edit change it, and stores it; when somebody else
// changed the key meanwhile it starts again. edit must not keep what it is given.
func (s *Service) change(ctx context.Context, c *authz.Call, rec *audit.Record, name string, edit func(*Key) error) error {
	return s.changeAndPlan(ctx, c, rec, name, func(k *Key) ([]job.Job, error) {
		err := edit(k)
		return k.jobs(), err
	})
}

// changeAndPlan is change with an edit that says itself when the key must be looked at.
func (s *Service) changeAndPlan(ctx context.Context, c *authz.Call, rec *audit.Record, name string, edit func(*Key) ([]job.Job, error)) error {
	u, err := s.resolve(ctx, c, rec, rec.Action, name)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		k, err := s.store.Key(ctx, c.Account, u.key.ID)
		if err != nil {
			return err
		}
		jobs, err := edit(&k)
		if err != nil {
			return err
		}
		err = s.store.UpdateKeys(ctx, rec, jobs, &k)
		if !fault.Is(err, fault.Changed) || try == retries {
			return err
		}
	}
}

// The kinds of job that keys need.
const (
	JobRotate = "kms.rotate"
	JobDelete = "kms.delete"
)

// jobs answers when the key must be looked at next. Its deletion is planned once, when it
// is scheduled: nothing that happens to the key afterwards may plan it anew.
func (k Key) jobs() []job.Job {
	if k.RotationStatus() != RotationEnabled {
		return nil
	}
	return []job.Job{{Kind: JobRotate, Account: k.Account, Subject: string(k.ID), Due: k.NextRotation()}}
}

// minService is how long the service serves at least before a deletion that is planned
// anew, because nobody knows for how long it has waited.
const minService = 24 * time.Hour

// Plans answers when the key must be looked at, as all the jobs that must be planned.
func (s *Service) Plans(ctx context.Context, k Key) ([]job.Job, error) {
	if k.State != PendingDeletion {
		return k.jobs(), nil
	}
	served, err := s.after(ctx, max(minService, k.DeleteAt.Sub(s.clock())))
	return []job.Job{{Kind: JobDelete, Account: k.Account, Subject: string(k.ID), Due: k.DeleteAt, Served: served}}, err
}

// clock answers the time as rows keep it.
func (s *Service) clock() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// AccountStatus tells whether the caller may know that the account uses the service;
// with keyward every account does.
func (s *Service) AccountStatus(ctx context.Context, c *authz.Call) error {
	return s.do(ctx, c, "kms:DescribeAccountKmsStatus", func(rec *audit.Record) error {
		return s.may(c, rec, rec.Action, s.arn(c.Account, "key"))
	})
}
