package usage

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keyring"
)

const (
	portion  = 50              // counts of one transaction, which others may wait for
	patience = 5 * time.Second // how long stopping waits for the last storing
	pruning  = time.Hour       // between two looks for what is too old
)

// Options says what a Service is made of. All fields are required.
type Options struct {
	Store   Store
	Ring    *keyring.Ring
	Log     *audit.Log
	Counter *Counter
	Now     func() time.Time
	Logger  *slog.Logger
}

// A Service stores what was counted and answers what it comes to. Its methods may be called
// concurrently.
type Service struct {
	o  Options
	mu sync.Mutex // held while counts are stored
}

// New makes a Service.
func New(o Options) *Service { return &Service{o: o} }

// Run stores what was counted, again and again, and at the end, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	if _, err := s.o.Store.CountingSince(ctx, s.o.Now()); err != nil && ctx.Err() == nil {
		s.o.Logger.Warn("noting when the counting of key uses began", "error", err)
	}
	store, prune := time.NewTicker(Every), time.NewTicker(pruning)
	defer store.Stop()
	defer prune.Stop()
	for {
		var err error
		select {
		case <-store.C:
			err = s.Flush(ctx)
		case <-prune.C:
			err = s.prune(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			return s.Flush(last)
		}
		if err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("storing who uses which key; trying again", "error", err)
		}
	}
}

// Flush stores what this server has counted. What could not be stored is counted on.
func (s *Service) Flush(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts, dropped := s.o.Counter.take()
	if dropped > 0 {
		s.o.Logger.Warn("too many keys were used at once to count each use; the audit log has them", "uses", dropped)
	}
	slices.SortFunc(counts, func(a, b Count) int { return strings.Compare(string(a.Key), string(b.Key)) })
	for len(counts) > 0 {
		n := min(portion, len(counts))
		if err := s.add(ctx, counts[:n]); err != nil {
			s.o.Counter.putBack(counts)
			return err
		}
		counts = counts[n:]
	}
	return nil
}

func (s *Service) add(ctx context.Context, some []Count) error {
	return fault.Again(func() error { return s.o.Store.AddUses(ctx, some) })
}

// prune forgets the uses that nobody has seen for long.
func (s *Service) prune(ctx context.Context) error {
	for {
		n, err := s.o.Store.ForgetUses(ctx, s.o.Now().Add(-Kept))
		if n == 0 || err != nil {
			return err
		}
	}
}

// do runs one operation on a key that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, name string, fn func(*audit.Record, *keyring.Entry) error) error {
	rec := audit.NewRecord(c, action)
	return s.o.Log.Do(ctx, rec, func() error {
		e, err := s.o.Ring.Resolve(ctx, keyring.Ask{Call: c, Record: rec, Action: action, Name: name})
		if err != nil {
			return err
		}
		return fn(rec, e)
	})
}

// Usage answers who uses a key: all that is stored, with what this server has counted
// until now, and the other servers until [Every] ago.
func (s *Service) Usage(ctx context.Context, c *authz.Call, name string) (out Report, err error) {
	err = s.do(ctx, c, "kms:ListKeyAssociations", name, func(_ *audit.Record, e *keyring.Entry) error {
		out, err = s.report(ctx, e)
		return err
	})
	return audit.Kept(out, err)
}

func (s *Service) report(ctx context.Context, e *keyring.Entry) (r Report, err error) {
	now := s.now()
	if err := s.Flush(ctx); err != nil {
		return r, err
	}
	since, err := s.o.Store.CountingSince(ctx, now)
	if err != nil {
		return r, err
	}
	r = Report{Key: e.Key, At: now, Since: since}
	if e.Key.CreatedAt.After(since) {
		r.Since = e.Key.CreatedAt
	}
	if r.Uses, r.Versions, err = s.o.Store.Uses(ctx, e.Key.Account, e.Key.ID); err != nil {
		return r, err
	}
	r.Resources, err = s.o.Store.Resources(ctx, e.Key.Account, e.Key.ID)
	return r, err
}

// LastUsed answers when a key was last used, the zero time if that was not counted, and
// since when it is counted: for keyward's own work, without a policy or a record.
func (s *Service) LastUsed(ctx context.Context, k key.Key) (last, since time.Time, err error) {
	if since, err = s.o.Store.CountingSince(ctx, s.now()); err != nil {
		return last, since, err
	}
	_, versions, err := s.o.Store.Uses(ctx, k.Account, k.ID)
	return Report{Versions: versions}.LastUsed(), since, err
}

// Detect begins to find out who uses a key, and answers when that is known of every server.
func (s *Service) Detect(ctx context.Context, c *authz.Call, name string) (known time.Time, err error) {
	err = s.do(ctx, c, "kms:StartKeyAssociationDetection", name, func(*audit.Record, *keyring.Entry) error {
		known = s.now().Add(Every)
		return s.Flush(ctx)
	})
	return known, err
}

// Register notes what a product keeps under a key. Of a resource that is noted already the
// note is replaced.
func (s *Service) Register(ctx context.Context, c *authz.Call, name string, in Resource) error {
	return s.do(ctx, c, "kms:RegisterKeyAssociation", name, func(rec *audit.Record, e *keyring.Entry) error {
		if err := in.check(); err != nil {
			return err
		}
		rec.Param("Product", in.Product)
		rec.Param("Resource", in.Name)
		all, err := s.o.Store.Resources(ctx, e.Key.Account, e.Key.ID)
		if err != nil {
			return err
		}
		new := Resource{Account: e.Key.Account, Key: e.Key.ID, Product: in.Product, Name: in.Name, Creator: c.ARN(), CreatedAt: s.now()}
		if i := slices.IndexFunc(all, new.same); i >= 0 {
			new = all[i]
		} else if len(all) >= MaxResources {
			return fault.LimitExceeded.New("key %s has %d registered resources, which is the limit; deregister those that are gone", e.Key.ID, MaxResources)
		}
		new.Note = in.Note
		return s.o.Store.SaveResource(ctx, rec, &new)
	})
}

// Deregister forgets what a product kept under a key.
func (s *Service) Deregister(ctx context.Context, c *authz.Call, name, product, resource string) error {
	return s.do(ctx, c, "kms:DeregisterKeyAssociation", name, func(rec *audit.Record, e *keyring.Entry) error {
		rec.Param("Product", product)
		rec.Param("Resource", resource)
		all, err := s.o.Store.Resources(ctx, e.Key.Account, e.Key.ID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, Resource{Product: product, Name: resource}.same)
		if i < 0 {
			return fault.ResourceNotFound.New("nothing of this name is registered with the key")
		}
		return s.o.Store.RemoveResource(ctx, rec, all[i])
	})
}

func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

// Changes adds counts up as a store keeps them: by use, and by version.
func Changes(counts []Count) (uses []Count, versions []VersionCount) {
	type versionRef struct {
		account string
		key     key.ID
		version key.VersionID
	}
	byUse, byVersion := map[string]Count{}, map[versionRef]VersionCount{}
	for _, c := range counts {
		at := versionRef{c.Account, c.Key, c.Version}
		v := byVersion[at]
		v.Account, v.Key, v.Version = c.Account, c.Key, c.Version
		byVersion[at] = v.Plus(c)
		id := c.Account + "/" + string(c.Key) + "/" + c.ID()
		if have, ok := byUse[id]; ok {
			c = have.Plus(c)
		}
		byUse[id] = c
	}
	for _, id := range slices.Sorted(maps.Keys(byUse)) { // in one order, so that servers do not wait for each other in turn
		uses = append(uses, byUse[id])
	}
	versions = slices.SortedFunc(maps.Values(byVersion), func(a, b VersionCount) int {
		return strings.Compare(a.Account+"/"+string(a.Key)+"/"+string(a.Version), b.Account+"/"+string(b.Key)+"/"+string(b.Version))
	})
	return uses, versions
}
