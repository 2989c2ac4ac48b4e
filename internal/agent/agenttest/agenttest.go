// Package agenttest is a server for tests of agents. It is strict: a request that the
// protocol does not allow fails the test, and so does an agent that acknowledges what it
// cannot have, proves nothing, or goes back to an older generation.
package agenttest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
)

// Token is what lets one machine join.
const Token = "agenttest-token"

// Account is the account of every node.
const Account = "acme"

const tolerated = time.Minute // by which a request's time may differ

// A Version is a version of a secret.
type Version struct{ ID, Value string }

// A publication is a generation of a rollout.
type publication struct {
	generation        int64
	primary, fallback Version
}

// A Server serves one node. It may be used concurrently.
type Server struct {
	t   testing.TB
	now func() time.Time

	mu        sync.Mutex // guards what follows
	node      string
	signKey   ed25519.PublicKey
	sealKey   hpke.PublicKey
	published map[string][]publication // by rollout, in order
	offered   map[string]delivery.Bundle
	acks      map[string]delivery.Ack
	last      delivery.ReportRequest
	reports   int
	watches   []time.Time
	seen      map[string]bool // signatures
	down      error
	busy      time.Duration
	stale     []string
	hasty     bool
	changed   chan struct{} // closed and made anew when anything of the above changes
}

// New makes a server with a clock.
func New(t testing.TB, now func() time.Time) *Server {
	return &Server{
		t: t, now: now, published: map[string][]publication{}, offered: map[string]delivery.Bundle{}, acks: map[string]delivery.Ack{},
		seen: map[string]bool{}, changed: make(chan struct{}),
	}
}

func (s *Server) change(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Publish lets the node have a generation.
func (s *Server) Publish(rollout string, generation int64, primary, fallback Version) {
	s.change(func() {
		s.published[rollout] = append(s.published[rollout], publication{generation, primary, fallback})
	})
}

// Withdraw makes the node no member of a rollout.
func (s *Server) Withdraw(rollout string) { s.change(func() { delete(s.published, rollout) }) }

// Offer has the next answers of a watch hold a bundle, whatever the node has. Bundles are
// made by [Server.Seal].
func (s *Server) Offer(b delivery.Bundle) { s.change(func() { s.offered[b.Rollout] = b }) }

// Down has every request fail with an error, as if the network were cut; nil mends it.
func (s *Server) Down(err error) { s.change(func() { s.down = err }) }

// Busy has every request refused with a Retry-After; 0 ends that.
func (s *Server) Busy(d time.Duration) { s.change(func() { s.busy = d }) }

// Hasty has every watch answered at once, or ends that.
func (s *Server) Hasty(on bool) { s.change(func() { s.hasty = on }) }

// Stale has the next report told that rollouts are stale.
func (s *Server) Stale(rollouts ...string) { s.change(func() { s.stale = rollouts }) }

// Await waits until what the node said last of a rollout is as wanted, or ctx ends.
func (s *Server) Await(ctx context.Context, rollout string, wanted func(delivery.Ack) bool) (delivery.Ack, error) {
	for {
		s.mu.Lock()
		a, changed := s.acks[rollout], s.changed
		s.mu.Unlock()
		if wanted(a) {
			return a, nil
		}
		select {
		case <-ctx.Done():
			return a, fmt.Errorf("waiting for %s: %w; it is at %+v", rollout, ctx.Err(), a)
		case <-changed:
		}
	}
}

// Reached is a condition for [Server.Await].
func Reached(generation int64, level string) func(delivery.Ack) bool {
	return func(a delivery.Ack) bool { return a.Generation == generation && a.Level == level }
}

// Forget forgets what the node said.
func (s *Server) Forget() { s.change(func() { clear(s.acks) }) }

// Last answers the last report and how many there were.
func (s *Server) Last() (delivery.ReportRequest, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.reports
}

// Watches answers when there were watches.
func (s *Server) Watches() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.watches)
}

// Seal seals a generation for the node.
func (s *Server) Seal(rollout string, generation int64, primary, fallback Version) delivery.Bundle {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seal(rollout, publication{generation, primary, fallback})
}

func (s *Server) seal(rollout string, p publication) delivery.Bundle {
	b := delivery.Bundle{Rollout: rollout, Generation: p.generation}
	for _, one := range []struct {
		version Version
		into    *delivery.Sealed
	}{{p.primary, &b.Primary}, {p.fallback, &b.Fallback}} {
		if one.version.ID == "" {
			continue
		}
		value, err := hpke.Seal(s.sealKey, hpke.HKDFSHA256(), hpke.AES256GCM(), delivery.SealedInfo(Account, rollout, s.node, one.version.ID), []byte(one.version.Value))
		if err != nil {
			s.t.Errorf("sealing: %v", err)
		}
		*one.into = delivery.Sealed{Version: one.version.ID, Value: value}
	}
	return b
}

// RoundTrip serves a request of an agent in the same process.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.mu.Lock()
	down := s.down
	s.mu.Unlock()
	if down != nil {
		return nil, down
	}
	served := r.Clone(r.Context())
	s.ServeHTTP(w, served)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil { // the answer is lost
		return nil, s.down
	}
	return w.Result(), nil
}

// ServeHTTP serves the protocol.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Errorf("reading a request: %v", err)
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		s.t.Errorf("%s %s as %q", r.Method, r.URL, r.Header.Get("Content-Type"))
	}
	s.mu.Lock()
	busy := s.busy
	s.mu.Unlock()
	if busy > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(busy/time.Second)))
		refuse(w, http.StatusServiceUnavailable, "Busy")
		return
	}
	if r.URL.Path != delivery.JoinPath {
		if err := s.authenticate(r, body); err != nil {
			refuse(w, http.StatusUnauthorized, err.Error())
			return
		}
	}
	switch r.URL.Path {
	case delivery.JoinPath:
		serve(s, w, body, s.join)
	case delivery.WatchPath:
		serve(s, w, body, func(in delivery.WatchRequest) (delivery.WatchAnswer, error) { return s.watch(r.Context(), in) })
	case delivery.ReportPath:
		serve(s, w, body, s.report)
	default:
		s.t.Errorf("there is no path %s", r.URL.Path)
	}
}

func serve[In, Out any](s *Server, w http.ResponseWriter, body []byte, how func(In) (Out, error)) {
	var in In
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		s.t.Errorf("reading a request: %v", err)
	}
	out, err := how(in)
	if err != nil {
		refuse(w, http.StatusForbidden, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // whoever asked is gone
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Problem{Status: status, Code: code, Detail: "refused by the server of the test"})
}

func (s *Server) authenticate(r *http.Request, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	node, at, text := r.Header.Get(delivery.NodeHeader), r.Header.Get(delivery.TimeHeader), r.Header.Get(delivery.SignatureHeader)
	signature, err := base64.StdEncoding.DecodeString(text)
	if err != nil || node != Account+"/"+s.node || !ed25519.Verify(s.signKey, delivery.SignedMessage(r.URL.Path, node, at, body), signature) {
		return errors.New("SignatureMismatch")
	}
	when, err := time.Parse(time.RFC3339, at)
	switch {
	case err != nil:
		s.t.Errorf("the time of a request: %v", err)
	case when.Sub(s.now()).Abs() > tolerated:
		return errors.New("TimeSkewed")
	case s.seen[text]:
		s.t.Error("a signature was used twice")
	}
	s.seen[text] = true
	return nil
}

func (s *Server) join(in delivery.JoinRequest) (delivery.JoinAnswer, error) {
	if in.Token != Token {
		return delivery.JoinAnswer{}, errors.New("TokenInvalid")
	}
	sealKey, err := hpke.MLKEM768X25519().NewPublicKey(in.SealKey)
	if err != nil || len(in.SignKey) != ed25519.PublicKeySize || in.Name == "" {
		s.t.Errorf("joining: name %q, %d bytes of a key, %v", in.Name, len(in.SignKey), err)
		return delivery.JoinAnswer{}, errors.New("InvalidParameter")
	}
	s.change(func() {
		if s.node != "" && !s.signKey.Equal(ed25519.PublicKey(in.SignKey)) {
			s.t.Error("a token was used twice, with other keys")
		}
		s.node, s.signKey, s.sealKey = in.Name, in.SignKey, sealKey
	})
	return delivery.JoinAnswer{Account: Account, Name: in.Name, Labels: map[string]string{"tier": "test"}}, nil
}

func (s *Server) watch(ctx context.Context, in delivery.WatchRequest) (delivery.WatchAnswer, error) {
	if in.Wait < 0 || in.Wait > 60 {
		s.t.Errorf("a watch of %d s", in.Wait)
	}
	s.mu.Lock()
	s.watches = append(s.watches, s.now())
	s.mu.Unlock()
	timer := time.NewTimer(time.Duration(in.Wait) * time.Second)
	defer timer.Stop()
	for {
		out, changed, ready := s.look(in.Have)
		if ready {
			return out, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return out, ctx.Err()
		case <-timer.C:
			out.Now = s.now()
			return out, nil
		}
	}
}

// look answers what a watch is answered now, and whether it is to be.
func (s *Server) look(have map[string]int64) (delivery.WatchAnswer, <-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := delivery.WatchAnswer{Rollouts: slices.Sorted(maps.Keys(s.published)), Now: s.now()}
	ready := s.down != nil || s.hasty
	for rollout, all := range s.published {
		if top := all[len(all)-1]; delivery.Newer(have[rollout], top.generation) {
			out.Bundles = append(out.Bundles, s.seal(rollout, top))
		}
	}
	for rollout := range have {
		ready = ready || s.published[rollout] == nil
	}
	for rollout, b := range s.offered {
		out.Bundles = append(out.Bundles, b)
		delete(s.offered, rollout)
	}
	return out, s.changed, ready || len(out.Bundles) > 0
}

func (s *Server) report(in delivery.ReportRequest) (delivery.ReportAnswer, error) {
	var stale []string
	s.change(func() {
		s.last, s.reports = in, s.reports+1
		for _, a := range in.Acks {
			s.check(a)
			s.acks[a.Rollout] = a
		}
		stale, s.stale = s.stale, nil
	})
	return delivery.ReportAnswer{Now: s.now(), Stale: stale}, nil
}

// check fails the test for an acknowledgement that cannot be true.
func (s *Server) check(a delivery.Ack) {
	all := s.published[a.Rollout]
	i := slices.IndexFunc(all, func(p publication) bool { return p.generation == a.Generation })
	if i < 0 {
		if all != nil {
			s.t.Errorf("generation %d of %s was acknowledged and never published", a.Generation, a.Rollout)
		}
		return
	}
	if last := s.acks[a.Rollout]; last.Generation > a.Generation {
		s.t.Errorf("%s went back from generation %d to %d", a.Rollout, last.Generation, a.Generation)
	}
	if a.Level != delivery.LevelReceived && a.Level != delivery.LevelApplied && a.Level != delivery.LevelUsed {
		s.t.Errorf("there is no level %q", a.Level)
	}
	key := sha256.Sum256([]byte("keyward-proof-v1\n" + all[i].primary.Value))
	mac := hmac.New(sha256.New, key[:])
	mac.Write(delivery.ProofMessage(Account, a.Rollout, s.node, all[i].primary.ID, a.Generation))
	if !hmac.Equal(mac.Sum(nil), a.Proof) {
		s.t.Errorf("generation %d of %s is not proven", a.Generation, a.Rollout)
	}
}
