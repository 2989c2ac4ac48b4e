// Package edgetest simulates the other side of the webhook of package edge, as
// docs/design/edge-webhook.md has it: a CDN with points of presence that take a generation
// when the test says so. It checks signatures and times, opens what is sealed to it, and
// keeps the highest generation.
package edgetest

import (
	"bytes"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/edge"
	"github.com/keyward/keyward/internal/material"
)

// A CDN is a simulated CDN, whose URLs are /ROLLOUT and /ROLLOUT/pops. It may be used
// concurrently.
type CDN struct {
	Key     string // that requests are signed with
	Now     func() time.Time
	Putting cloudtest.Faults // of requests that put
	Listing cloudtest.Faults // of requests that list

	private hpke.PrivateKey

	mu   sync.Mutex // guards what follows
	puts []edge.Generation
	pops []*pop
}

type pop struct {
	name    string
	takes   bool // it takes what is put by itself
	drained bool
	has     map[string]edge.Pop // by rollout
}

// New makes a CDN with points of presence that take every generation at once.
func New(key string, now func() time.Time, pops ...string) *CDN {
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	c := &CDN{Key: key, Now: now, private: private}
	c.Putting.Service, c.Listing.Service = http.HandlerFunc(c.put), http.HandlerFunc(c.list)
	for _, name := range pops {
		c.Add(name, true)
	}
	return c
}

// SealKey answers the public key that values are to be sealed to, as the setting has it.
func (c *CDN) SealKey() string {
	return base64.StdEncoding.EncodeToString(c.private.PublicKey().Bytes())
}

// Add adds a point of presence, which has nothing yet. One that takes gets the newest
// generation with the next that is put, or by [CDN.Take].
func (c *CDN) Add(name string, takes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pops = append(c.pops, &pop{name: name, takes: takes, has: map[string]edge.Pop{}})
}

// Drain drains a point of presence.
func (c *CDN) Drain(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.find(name).drained = true
}

// Take makes a point of presence take the newest generation of every rollout, from now on by
// itself.
func (c *CDN) Take(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.find(name).takes = true
	for _, g := range c.puts {
		c.take(c.find(name), g)
	}
}

// Lie makes a point of presence confirm the newest generation without having its value.
func (c *CDN) Lie(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.puts[len(c.puts)-1]
	c.find(name).has[g.Rollout] = edge.Pop{State: edge.Confirmed, Generation: g.Generation, Fingerprint: strings.Repeat("ab", 32)}
}

func (c *CDN) find(name string) *pop {
	for _, p := range c.pops {
		if p.name == name {
			return p
		}
	}
	panic("there is no point of presence " + name)
}

// Puts answers what was put and taken, in order.
func (c *CDN) Puts() []edge.Generation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]edge.Generation(nil), c.puts...)
}

// Value answers the newest primary value of a rollout, opened.
func (c *CDN) Value(rollout string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.puts) - 1; i >= 0; i-- {
		if g := c.puts[i]; g.Rollout == rollout {
			return string(c.open(g))
		}
	}
	return ""
}

func (c *CDN) open(g edge.Generation) []byte {
	value, err := hpke.Open(c.private, hpke.HKDFSHA256(), hpke.AES256GCM(), delivery.SealedInfo(g.Account, g.Rollout, g.Target, g.Primary.Version), g.Primary.Sealed)
	if err != nil {
		panic("what was put cannot be opened: " + err.Error())
	}
	return value
}

// take makes a point confirm a generation, with the fingerprint that the contract asks for.
func (c *CDN) take(p *pop, g edge.Generation) {
	key := sha256.Sum256(append([]byte("keyward-proof-v1\n"), c.open(g)...))
	mac := hmac.New(sha256.New, key[:])
	mac.Write(delivery.ProofMessage(g.Account, g.Rollout, g.Target+"/"+p.name, g.Primary.Version, g.Generation))
	p.has[g.Rollout] = edge.Pop{State: edge.Confirmed, Generation: g.Generation, Fingerprint: hex.EncodeToString(mac.Sum(nil)), UsedAt: c.Now().UTC()}
}

// ServeHTTP implements http.Handler.
func (c *CDN) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	at := r.Header.Get(edge.TimeHeader)
	signed, err := time.Parse(time.RFC3339, at)
	if err != nil || c.Now().Sub(signed).Abs() > 5*time.Minute ||
		!hmac.Equal([]byte(r.Header.Get(edge.SignatureHeader)), []byte(edge.Signature(material.NewBytes([]byte(c.Key)), r.Method, r.URL.RequestURI(), at, body))) {
		http.Error(w, "", http.StatusUnauthorized)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	listing := strings.HasSuffix(r.URL.Path, "/pops")
	switch {
	case listing && r.Method == http.MethodGet:
		c.Listing.ServeHTTP(w, r)
	case !listing && r.Method == http.MethodPut:
		c.Putting.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (c *CDN) put(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var g edge.Generation
	if err := json.NewDecoder(r.Body).Decode(&g); err != nil || g.Format != "keyward-edge-v1" || "/"+g.Rollout != r.URL.Path || g.Generation < 1 || g.Primary.Version == "" {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	if g.Generation < c.highest(g.Rollout) {
		http.Error(w, "", http.StatusConflict)
		return
	}
	c.puts = append(c.puts, g)
	for _, p := range c.pops {
		if p.takes && !p.drained {
			c.take(p, g)
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

func (c *CDN) highest(rollout string) (n int64) {
	for _, g := range c.puts {
		if g.Rollout == rollout {
			n = max(n, g.Generation)
		}
	}
	return n
}

func (c *CDN) list(w http.ResponseWriter, r *http.Request) {
	rollout := strings.Trim(strings.TrimSuffix(r.URL.Path, "/pops"), "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	in := map[string]any{"format": "keyward-edge-v1", "rollout": rollout, "generation": c.highest(rollout)}
	pops := []map[string]any{}
	for _, p := range c.pops {
		has := p.has[rollout]
		one := map[string]any{"pop": p.name, "state": edge.Pending, "generation": has.Generation}
		if has.State == edge.Confirmed {
			one["state"], one["fingerprint"] = has.State, has.Fingerprint
			if !has.UsedAt.IsZero() {
				one["usedAt"] = c.Now().UTC().Format(time.RFC3339Nano)
			}
		}
		if p.drained {
			one = map[string]any{"pop": p.name, "state": edge.Drained}
		}
		pops = append(pops, one)
	}
	in["pops"] = pops
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(in) // whoever is gone gets nothing
}
