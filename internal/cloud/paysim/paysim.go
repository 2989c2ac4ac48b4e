// Package paysim is a payment platform in memory: merchants with keys that expire, and
// payments that are signed with them. It is honest: what it refuses, a real platform
// refuses, and it forgives nothing.
//
// A merchant has at most two keys at a time, expired ones among them. A key is made with a
// secret that is shown once, can be disabled and enabled again, is deleted for ever, and
// expires at its moment. A reset replaces a key's secret in place, and the old secret is dead
// at once: that is what the naive script does, and what a rotation never does. A payment
// names a key and bears the HMAC-SHA256 of its body under the key's secret; two payments of
// one order are one payment. When a key was last used is told to the microsecond.
//
// The platform writes down the life of every key and what became of every payment
// ([Platform.Lives], [Platform.Tally]), so that a test or a demonstration can prove that no
// payment failed and no key was forgotten. Between it and the world stand three sets of
// faults (package cloudtest), which lose, delay and refuse: before the request that makes a
// key, before the others about keys, and before what a shop sends.
//
// Who may call: keyward demo, campaigns and tests. All of it may be used concurrently; time
// is the caller's clock. Nothing is stored, and no secret of it is worth anything.
package paysim

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/cloud/cloudtest"
)

const (
	// MaxKeys is how many keys a merchant may have at a time.
	MaxKeys = 2
	// Lifetime is how long a key lives unless its maker says otherwise.
	Lifetime = 90 * 24 * time.Hour
	// Canary begins every secret that the platform makes, and nothing else.
	Canary = "fake-paysim-"
)

//go:embed paysim.yaml
var definition []byte

// Definition answers the definition of the platform for package httpapi, contract included.
// Its credential is what [Platform.AddMerchant] answers; its variables are url, where the
// platform is served, and merchant.
func Definition() []byte { return slices.Clone(definition) }

// A Platform is one payment platform. It may be used concurrently.
type Platform struct {
	// Creating, Managing and Paying stand before the request that makes a key, before the
	// others about keys, and before payments and whoami. They do nothing until they are told.
	Creating, Managing, Paying *cloudtest.Faults

	now func() time.Time

	mu        sync.Mutex // guards what follows
	merchants map[string]*merchant
	keys      []*key // all that there ever were, the oldest first
	byID      map[string]*key
	tally     Tally
}

type merchant struct {
	name   string
	admin  string // the secret of its administrator
	orders map[string]payment
}

// A key is a key with its secret.
type key struct {
	Life
	secret   string
	disabled bool
}

// A payment is what was paid for an order.
type payment struct {
	Amount   int64     `json:"amount"`
	Currency string    `json:"currency"`
	Key      string    `json:"key"` // that it was signed with
	At       time.Time `json:"at"`
}

// New makes a platform without merchants.
func New(now func() time.Time) *Platform {
	p := &Platform{now: now, merchants: map[string]*merchant{}, byID: map[string]*key{}}
	p.Creating = &cloudtest.Faults{Service: http.HandlerFunc(p.serveKeys)}
	p.Managing = &cloudtest.Faults{Service: http.HandlerFunc(p.serveKeys)}
	p.Paying = &cloudtest.Faults{Service: http.HandlerFunc(p.serveShop)}
	return p
}

// ServeHTTP implements http.Handler.
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch below := r.URL.Path == "/v1/keys" || strings.HasPrefix(r.URL.Path, "/v1/keys/"); {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/keys":
		p.Creating.ServeHTTP(w, r)
	case below:
		p.Managing.ServeHTTP(w, r)
	default:
		p.Paying.ServeHTTP(w, r)
	}
}

// AddMerchant adds a merchant without keys and answers the secret of its administrator,
// who makes and ends keys. A merchant that exists gets a new one.
func (p *Platform) AddMerchant(name string) (admin string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.merchants[name] == nil {
		p.merchants[name] = &merchant{name: name, orders: map[string]payment{}}
	}
	p.merchants[name].admin = newSecret()
	return p.merchants[name].admin
}

func newSecret() string { return Canary + rand.Text() }

// Secrets answers every secret that was ever given out: of keys and of administrators.
func (p *Platform) Secrets() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.merchants {
		out = append(out, m.admin)
	}
	for _, k := range p.keys {
		out = append(out, k.secret)
	}
	return out
}

// AddKey makes a key as somebody does at the platform's console, and answers it with its
// secret. A lifetime of 0 is [Lifetime]. It is an error if there is no such merchant, or no
// room for another key.
func (p *Platform) AddKey(of, name string, lifetime time.Duration) (id, secret string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.merchants[of]
	if m == nil {
		return "", "", fmt.Errorf("adding a key: there is no merchant %q", of)
	}
	k := p.mint(m, name, lifetime)
	if k == nil {
		return "", "", fmt.Errorf("adding a key: the merchant %q has %d already", of, MaxKeys)
	}
	return k.ID, k.secret, nil
}

// mint makes a key, nil if there is no room. The caller holds mu.
func (p *Platform) mint(m *merchant, name string, lifetime time.Duration) *key {
	if len(p.of(m)) >= MaxKeys {
		return nil
	}
	now := p.moment()
	k := &key{
		Life:   Life{Merchant: m.name, ID: fmt.Sprintf("pk_%08d", len(p.keys)+1), Name: name, ExpiresAt: now.Add(cmp.Or(lifetime, Lifetime))},
		secret: newSecret(),
	}
	k.happens(Created, now)
	p.keys, p.byID[k.ID] = append(p.keys, k), k
	return k
}

// moment answers the time as the platform tells it.
func (p *Platform) moment() time.Time { return p.now().UTC().Truncate(time.Microsecond) }

// of answers the keys that a merchant has. The caller holds mu.
func (p *Platform) of(m *merchant) (out []*key) {
	for _, k := range p.keys {
		if k.Merchant == m.name && !k.Ended() {
			out = append(out, k)
		}
	}
	return out
}

// Sign answers the signature of a payment's body under a key's secret, for the header
// Pay-Signature: the HMAC-SHA256, in hexadecimal digits.
func Sign(secret, body []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Lives answers the lives of all keys that there ever were, the oldest first.
func (p *Platform) Lives() []Life {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Life, len(p.keys))
	for i, k := range p.keys {
		out[i] = k.Life
		out[i].Events = slices.Clone(k.Events)
	}
	return out
}

// Tally answers what became of all payments so far.
func (p *Platform) Tally() Tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.tally
	out.Refused = maps.Clone(p.tally.Refused)
	return out
}
