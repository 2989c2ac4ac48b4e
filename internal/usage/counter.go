package usage

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/secret"
)

// shards is into how many parts a counter is divided, so that operations with different keys
// seldom wait for each other.
const shards = 32

// A Counter counts uses in memory. Its methods may be called concurrently.
type Counter struct {
	seed  maphash.Seed
	parts [shards]part
}

// A part has the uses of some keys that are not stored yet.
type part struct {
	mu      sync.Mutex // guards the fields below
	pending map[seen]*tally
	back    []Count // that could not be stored
	dropped int64   // beyond all bounds
}

// seen is a use as it comes from the call: comparable, and made without allocation.
type seen struct {
	account         string
	key             key.ID
	version         key.VersionID
	of              string // account of the principal
	kind            authz.Kind
	name            string
	product, action string
	source          netip.Addr
	others          bool
}

type tally struct {
	n           int64
	first, last time.Time
}

// NewCounter makes a Counter.
func NewCounter() *Counter {
	c := &Counter{seed: maphash.MakeSeed()}
	for i := range c.parts {
		c.parts[i].pending = map[seen]*tally{}
	}
	return c
}

// Note counts a use of a version of a key by an operation that has succeeded; but for what the
// keeper of secrets does, which is nobody's use: who reads a secret does it in his own name.
func (c *Counter) Note(call *authz.Call, action string, k *key.Key, version key.VersionID, of material.Context) {
	if call.Kind == authz.Service && call.Name == secret.Keeper {
		return
	}
	u := seen{
		account: k.Account, key: k.ID, version: version, of: call.Account, kind: call.Kind, name: call.Name,
		product: ProductOf(call.Principal, of), action: action, source: call.Source,
	}
	p := &c.parts[maphash.String(c.seed, string(k.ID))%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.pending[u]
	if t == nil && len(p.pending) >= maxPending/shards {
		u = seen{account: u.account, key: u.key, version: version, others: true}
		t = p.pending[u]
	}
	if t == nil {
		if len(p.pending) >= 2*maxPending/shards { // of too many keys to tell even those apart
			p.dropped++
			return
		}
		t = &tally{first: call.Time}
		u.name, u.product = strings.Clone(u.name), strings.Clone(u.product) // the request's memory goes
		p.pending[u] = t
	}
	t.n++
	t.last = call.Time
}

// take answers what was counted since the last call, and how many uses were dropped.
func (c *Counter) take() (out []Count, dropped int64) {
	for i := range c.parts {
		p := &c.parts[i]
		p.mu.Lock()
		var pending map[seen]*tally
		if len(p.pending) > 0 {
			pending, p.pending = p.pending, make(map[seen]*tally)
		}
		out = append(out, p.back...)
		dropped += p.dropped
		p.back, p.dropped = nil, 0
		p.mu.Unlock()
		for u, t := range pending {
			out = append(out, Count{Use: u.use(), N: t.n, First: t.first.UTC().Truncate(time.Microsecond), Last: t.last.UTC().Truncate(time.Microsecond)})
		}
	}
	return out, dropped
}

// putBack counts again what could not be stored. Counts beyond the bounds are dropped.
func (c *Counter) putBack(counts []Count) {
	for _, count := range counts {
		p := &c.parts[maphash.String(c.seed, string(count.Key))%shards]
		p.mu.Lock()
		if len(p.back) < 2*maxPending/shards {
			p.back = append(p.back, count)
		} else {
			p.dropped += count.N
		}
		p.mu.Unlock()
	}
}

// use spells out what was seen.
func (s seen) use() Use {
	u := Use{Account: s.account, Key: s.key, Version: s.version}
	if s.others {
		return u.rest()
	}
	u.Principal = authz.Principal{Account: s.of, Kind: s.kind, Name: s.name}.ARN()
	u.Product, u.Action, u.Source = s.product, s.action, source(s.source)
	return u
}
