// Package issuertest is the contract of [rotation.Issuer] as a suite of tests: whoever
// writes an issuer runs it against a simulator of the provider.
//
// [Run] wants a [World], which makes simulated providers. All that an issuer sends goes
// through a wire of the suite, without a network and in virtual time (testing/synctest).
// The wire counts what is sent, by its effect, and has single requests fail as those of
// package cloudtest do, or never leave. What an issuer says of an error is then compared
// with the truth at the provider: an issuer that calls an error harmless although a key
// was made fails.
//
// What a provider cannot do is taken from the issuer's [rotation.Means]; a part of the
// suite that has no meaning for an archetype says so in the log.
package issuertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

// An Effect is what a request changes at a provider.
type Effect string

// The effects. Of archetype Promote, what promotes is a deletion.
const (
	Nothing  Effect = "nothing" // it reads
	Creates  Effect = "creates"
	Disables Effect = "disables"
	Enables  Effect = "enables"
	Deletes  Effect = "deletes"
)

// A Credential is a key as its consumer has it.
type Credential struct {
	ID    string
	Parts map[string]string
}

func (c Credential) parts() map[string]material.Bytes {
	out := map[string]material.Bytes{}
	for name, value := range c.Parts {
		out[name] = material.NewBytes([]byte(value))
	}
	return out
}

// A World makes simulated providers.
type World struct {
	// Canary is a text that every secret of the service has in it, that of the source's
	// credential too, and nothing else has.
	Canary string
	// Start makes a provider whose time is that of the bubble.
	Start func(t *testing.T) Provider
}

// A Provider is a simulated one with a principal that has one key, which works.
type Provider struct {
	Service   http.Handler
	Principal string
	Old       Credential // the principal's key
	Stranger  Credential // works, and is somebody else's; with an empty ID there is none
	// Open opens the issuer of the principal's keys. Its requests go over via.
	Open func(via http.RoundTripper) (rotation.Issuer, error)
	// Truth answers the principal's keys that there are.
	Truth func() map[string]accesskey.Status
	// Effect tells what a request changes.
	Effect func(r *http.Request, body []byte) Effect
	// Forbid takes from the source's credential the rights to change anything.
	Forbid func()
}

// Run holds an issuer to its contract.
func Run(t *testing.T, w World) {
	for name, test := range map[string]func(*play){
		"Life": life, "Full": full, "LostAnswer": lostAnswer, "Faults": everyFault, "Verify": verify, "EndedContext": endedContext,
		"EndingContext": endingContext, "Recovers": recovers,
		"Forbidden": forbidden, "Foreign": foreign, "Absent": absent,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Not before keys have birthdays that all providers believe.
				time.Sleep(time.Until(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)))
				test(begin(t, w))
			})
		})
	}
}

// A play is one provider with its issuer and the wire between them.
type play struct {
	*testing.T
	world World
	Provider
	wire   *wire
	issuer rotation.Issuer
	means  rotation.Means
}

func begin(t *testing.T, w World) *play {
	t.Helper()
	p := &play{T: t, world: w, Provider: w.Start(t)}
	p.wire = &wire{provider: p.Provider, sent: map[Effect]int{}}
	issuer, err := p.Open(p.wire)
	if err != nil {
		t.Fatalf("opening the issuer: %v", err)
	}
	if n := p.wire.total(); n > 0 {
		t.Errorf("opening the issuer sent %d requests", n)
	}
	p.issuer, p.means = issuer, issuer.Means()
	return p
}

// again begins anew with a fresh provider, for the next of many cases.
func (p *play) again() *play { return begin(p.T, p.world) }

// attempt is the nth attempt of the play.
func (p *play) attempt(n int) rotation.Attempt {
	return rotation.Attempt{
		ID: fmt.Sprintf("%032x", n), Tag: fmt.Sprintf("keyward/rotation-1/%d", n), Principal: p.Principal, Old: p.Old.ID, Expire: time.Now().Add(24 * time.Hour),
	}
}

// create makes a key, which must succeed.
func (p *play) create(n int) Credential {
	p.Helper()
	before := p.Truth()
	minted, err := p.issuer.Create(p.Context(), p.attempt(n))
	if err != nil {
		p.Fatalf("creating a key: %v", err)
	}
	if fresh := added(before, p.Truth()); len(fresh) != 1 || fresh[0] != minted.ID {
		p.Fatalf("created %q, and new are %q", minted.ID, fresh)
	}
	made := Credential{minted.ID, map[string]string{}}
	secret := false
	for name, value := range minted.Parts {
		made.Parts[name] = string(value.Expose())
		secret = secret || strings.Contains(made.Parts[name], p.world.Canary)
	}
	if !secret {
		p.Fatal("no part of the new key has its secret")
	}
	return made
}

// verdict tries a key until the verdict is the wanted one, for as long as a change may
// take to be known.
func (p *play) verdict(of Credential, want rotation.Verdict) {
	p.Helper()
	if !p.means.Verifies {
		return
	}
	for begun := time.Now(); ; time.Sleep(time.Second) {
		got, err := p.issuer.Verify(p.Context(), of.ID, of.parts())
		switch {
		case err != nil:
			p.Fatalf("trying key %s: %v", of.ID, err)
		case got == want:
			return
		case time.Since(begun) > p.means.Activates:
			p.Fatalf("key %s is %s and not %s after %s", of.ID, got, want, p.means.Activates)
		}
	}
}

// held lists the keys and compares the list with the truth.
func (p *play) held() map[string]rotation.Held {
	p.Helper()
	keys, err := p.issuer.Keys(p.Context())
	if err != nil {
		p.Fatalf("listing keys: %v", err)
	}
	out, told := map[string]rotation.Held{}, map[string]accesskey.Status{}
	for _, k := range keys {
		out[k.ID], told[k.ID] = k, k.Status
	}
	if truth := p.Truth(); !maps.Equal(told, truth) || len(keys) != len(truth) {
		p.Errorf("listed are %v, and there are %v", told, truth)
	}
	return out
}

// added answers the keys that are after and were not before.
func added(before, after map[string]accesskey.Status) (out []string) {
	for id := range after {
		if _, was := before[id]; !was {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// classes are the errors that say what a call did.
var classes = []error{rotation.ErrNoEffect, rotation.ErrRefused, rotation.ErrFull, rotation.ErrAbsent}

// class checks an error as such and answers what it wraps, nil for none of the classes.
func (p *play) class(err error) (wraps error) {
	p.Helper()
	if err == nil {
		p.Fatal("there is no error")
	}
	for _, c := range classes {
		if errors.Is(err, c) {
			if wraps != nil {
				p.Errorf("the error says both %q and %q: %v", wraps, c, err)
			}
			wraps = c
		}
	}
	if fault.Is(err, fault.Internal) {
		p.Errorf("the error is no fault: %v", err)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, text := range []string{e.Error(), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e), fault.Message(e)} {
			if strings.Contains(text, p.world.Canary) {
				p.Errorf("a secret is in the error %s", text)
			}
		}
	}
	return wraps
}

// want checks the class of an error.
func (p *play) want(class, err error) {
	p.Helper()
	if got := p.class(err); got != class {
		p.Errorf("the error says %v and not %v: %v", got, class, err)
	}
}

// unreachable is the fault of a request that never leaves.
const unreachable cloudtest.Fault = -1

// late is how long a delayed request takes: longer than anybody waits.
const late = 10 * time.Minute

// A wire carries the requests of an issuer to the service.
type wire struct {
	provider Provider

	mu   sync.Mutex // guards what follows
	sent map[Effect]int
	next map[Effect][]cloudtest.Fault // of the next requests of that effect, one each
	all  map[Effect]cloudtest.Fault   // of all of them, after those
	then map[Effect]func()            // is called when one was answered
}

// fail makes the next request of an effect suffer a fault, or each of them.
func (w *wire) fail(e Effect, f cloudtest.Fault, always bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next, w.all = map[Effect][]cloudtest.Fault{e: {f}}, nil
	if always {
		w.all = map[Effect]cloudtest.Fault{e: f}
	}
}

// answered has do called whenever a request of an effect was answered.
func (w *wire) answered(e Effect, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.then = map[Effect]func(){e: do}
}

// heal ends all faults and forgets what was sent.
func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next, w.all, w.then, w.sent = nil, nil, nil, map[Effect]int{}
}

// count answers how many requests of an effect left.
func (w *wire) count(e Effect) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[e]
}

func (w *wire) total() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.sent {
		n += one
	}
	return n
}

func (w *wire) draw(e Effect) (f cloudtest.Fault, then func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if queue := w.next[e]; len(queue) > 0 {
		f, w.next[e] = queue[0], queue[1:]
	} else {
		f = w.all[e]
	}
	if f != unreachable {
		w.sent[e]++
	}
	return f, w.then[e]
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	var body []byte
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", egress.ErrUnsent, err)
	}
	f, then := w.draw(w.provider.Effect(r, body))
	if f == unreachable {
		return nil, fmt.Errorf("%w: connection refused", egress.ErrUnsent)
	}
	defer func() {
		switch broken := recover(); broken {
		case nil:
		case http.ErrAbortHandler:
			resp, err = nil, io.ErrUnexpectedEOF
		default:
			panic(broken)
		}
	}()
	in := r.Clone(r.Context())
	in.Host, in.RequestURI, in.Body = r.URL.Host, r.URL.RequestURI(), io.NopCloser(bytes.NewReader(body))
	service := &cloudtest.Faults{Service: w.provider.Service, Wait: late}
	service.Next(f)
	answer := httptest.NewRecorder()
	service.ServeHTTP(answer, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if then != nil {
		then()
	}
	return answer.Result(), nil
}
