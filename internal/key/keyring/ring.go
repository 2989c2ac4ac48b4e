// Package keyring has the keys that are in use at hand: it is the warm path of every
// operation that names a key.
//
// [Ring.Resolve] finds the key that a call means by an id, an alias or the ARN of either,
// and asks whether the caller may do with it what it wants; permit.go is the one place
// where that is decided. It answers an [Entry] from a cache, and [Ring.Version] the
// entry's versions, opened by the key's keystore on first use. Once warm nothing is read
// from the database.
//
// The cache holds only what the store's change feed keeps true ([Ring.Changed]); where
// the feed is cut off, everything is read again. [Ring.Age], called once a period, drops
// the keys and the versions that were not used meanwhile, so that opened material does
// not stay in memory for longer than it is needed.
//
// Who may call: the services of keys, which make one audit record of each operation;
// the ring notes in it which resource was meant and what the policies said.
package keyring

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/key"
)

const maxCached = 100_000 // keys whose metadata and opened versions stay in memory

// Options says what a Ring is made of. All fields are required.
type Options struct {
	Store   key.Store
	Aliases key.AliasStore
	// Owner answers the account that has a key, or [fault.KeyNotFound].
	Owner func(context.Context, key.ID) (account string, err error)
	// Keystore answers where the material of a key lives.
	Keystore func(ctx context.Context, k key.Key) (key.Keystore, error)
	Region   string      // of the ARNs
	Fresh    func() bool // whether cached values may be used
}

// A Ring has the keys in use at hand. Its methods may be called concurrently.
type Ring struct {
	// Keystore answers where the material of a key lives.
	Keystore func(context.Context, key.Key) (key.Keystore, error)

	store  key.Store
	region string
	keys   *cache.Cache[ref, *Entry]
	names  *cache.Cache[nameRef, key.Alias]
	owners *cache.Cache[key.ID, string]
	age    atomic.Uint32 // counts the calls of Age
}

type (
	ref struct {
		account string
		id      key.ID
	}
	nameRef struct{ account, name string }
)

// New makes a Ring.
func New(o Options) *Ring {
	r := &Ring{Keystore: o.Keystore, store: o.Store, region: o.Region}
	r.keys = cache.New(maxCached, o.Fresh, r.load)
	r.owners = cache.New(maxCached, o.Fresh, o.Owner)
	r.names = cache.New(maxCached, o.Fresh, func(ctx context.Context, n nameRef) (key.Alias, error) {
		return o.Aliases.Alias(ctx, n.account, n.name)
	})
	return r
}

// Changed forgets what is cached of a row that was changed; table "" means everything.
// The store's change feed calls it.
func (r *Ring) Changed(table, id string) {
	switch account, rest, _ := strings.Cut(id, "/"); table {
	case "":
		r.keys.Clear()
		r.names.Clear()
		r.owners.Clear()
	case "kms_key":
		r.keys.Forget(ref{account, key.ID(rest)})
		r.owners.Forget(key.ID(rest))
	case "kms_alias":
		r.names.Forget(nameRef{account, rest})
	case "iam_account":
		r.keys.Clear() // its tenant key may be gone
	}
}

// Age drops the keys, and of the keys in use the versions, that were not used since the
// last call, and so their opened material: package erase overwrites it once no operation
// has it any more. It answers how many keys were dropped.
func (r *Ring) Age() int {
	r.age.Add(1)
	r.owners.Age()
	return r.keys.Age()
}

// Alias answers an alias of an account.
func (r *Ring) Alias(ctx context.Context, account, name string) (key.Alias, error) {
	return r.names.Get(ctx, nameRef{account, name})
}

// ARN answers the name of a key as policies know it.
func (r *Ring) ARN(k key.Key) string { return r.Name(k.Account, "key/"+string(k.ID)) }

// Name answers the full name of a resource of the service, such as "key/key-…",
// "alias/…" or the container "key", as policies know it.
func (r *Ring) Name(account, relative string) string {
	return "acs:kms:" + r.region + ":" + account + ":" + relative
}
