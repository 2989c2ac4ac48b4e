package keyring

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
)

// An Entry is a key in the ring, with those of its versions that were used.
type Entry struct {
	Key    key.Key
	ARN    string
	Policy *authz.ResourcePolicy // its own; nil for one that leaves everything to the identity policies of the own account

	mu       sync.RWMutex // guards the fields below
	versions map[key.VersionID]*Version
	age      uint32 // the ring's when idle versions were last dropped
}

// A Version is one version of a key, ready for work.
type Version struct {
	ID key.VersionID
	key.Material
	used atomic.Uint32 // the ring's age at the last use
}

// load reads a key for the cache; versions follow on first use.
func (r *Ring) load(ctx context.Context, at ref) (*Entry, error) {
	k, err := r.store.Key(ctx, at.account, at.id)
	if err != nil {
		return nil, err
	}
	e := &Entry{Key: k, ARN: r.ARN(k), versions: map[key.VersionID]*Version{}, age: r.age.Load()}
	document := k.Policy
	switch {
	case document == "" && k.Lender == "":
		return e, nil
	case document == "":
		document = k.DefaultPolicy()
	}
	if e.Policy, err = k.Compile(document); err != nil { // it may deny something
		return nil, fmt.Errorf("compiling the policy of key %s, which was checked when it was stored: %s", k.ID, err)
	}
	return e, nil
}

// Attributes adds to a request's condition keys those of the key itself.
func (e *Entry) Attributes(of []authz.Attribute) []authz.Attribute {
	return e.attributes(of, e.Key.Usage)
}

// attributes is Attributes for an operation that makes a use of the key: a condition on the usage
// is about that one, if the key has it.
func (e *Entry) attributes(of []authz.Attribute, usage key.Usage) []authz.Attribute {
	if !e.Key.For(usage) {
		usage = e.Key.Usage
	}
	all := append(of[:len(of):len(of)],
		authz.Attribute{Key: authz.KeySpec, Value: string(e.Key.Spec)},
		authz.Attribute{Key: authz.KeyUsage, Value: string(usage)})
	for _, t := range e.Key.Tags {
		all = append(all, authz.Attribute{Key: authz.TagPrefix + t.Key, Value: t.Value})
	}
	return all
}

// Version answers a version of a key, opening it on first use. One that there is not is
// [fault.KeyVersionNotFound].
func (r *Ring) Version(ctx context.Context, e *Entry, id key.VersionID) (*Version, error) {
	age := r.age.Load()
	e.dropIdle(age)
	e.mu.RLock()
	v := e.versions[id]
	e.mu.RUnlock()
	if v != nil {
		if v.used.Load() != age { // the line of memory stays shared between processors
			v.used.Store(age)
		}
		return v, nil
	}
	stored, err := r.store.Version(ctx, e.Key.Account, e.Key.ID, id)
	if err != nil {
		return nil, err
	}
	v = &Version{ID: id}
	if v.Material, err = r.open(ctx, e.Key, stored); err != nil {
		return nil, err
	}
	v.used.Store(age)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.versions[id] = v
	return v, nil
}

// dropIdle drops the versions that were idle for a whole age of the ring.
func (e *Entry) dropIdle(age uint32) {
	e.mu.RLock()
	done := e.age == age
	e.mu.RUnlock()
	if done {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.age = age
	maps.DeleteFunc(e.versions, func(_ key.VersionID, v *Version) bool { return age-v.used.Load() > 1 })
}

func (r *Ring) open(ctx context.Context, k key.Key, v key.Version) (key.Material, error) {
	keystore, err := r.Keystore(ctx, k)
	if err != nil {
		return key.Material{}, err
	}
	return keystore.Open(ctx, k, v)
}

// Inspect tells whether the stored material of a version opens as the material of its
// key. It is for the scrub: nothing is kept of it, and what is not there or cannot be
// reached now is passed over.
func (r *Ring) Inspect(ctx context.Context, k key.Key, v key.Version) error {
	if k.Empty {
		return nil
	}
	_, err := r.open(ctx, k, v)
	if fault.Is(err, fault.KeyUnavailable) {
		return nil
	}
	return err
}
