package custody_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/shamir"
)

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// shared answers a store whose root key opens with k of n shares, and their texts.
func shared(t testing.TB, k, n int) (*sealtest.Store, []seal.Envelope, [][]byte) {
	t.Helper()
	s := sealtest.NewStore()
	keyring, shares, err := seal.Found(t.Context(), s, seal.Protection{Name: "board", Threshold: k, Shares: n}, start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keyring.Close)
	envelopes, err := s.Envelopes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, envelopes, texts(shares)
}

func texts(shares []shamir.Share) (out [][]byte) {
	for _, s := range shares {
		out = append(out, s.Text().Expose())
	}
	return out
}

func offer(session string, act custody.Act, envelopes []seal.Envelope, text []byte) custody.Offer {
	return custody.Offer{Session: session, Intent: custody.Intent{Act: act}, Envelopes: envelopes, Text: text, Now: start}
}

func wantFault(t *testing.T, what string, err error, kind fault.Kind, says string) {
	t.Helper()
	if !fault.Is(err, kind) || !strings.Contains(fault.Message(err), says) {
		t.Errorf("%s: %v; want %s that says %q", what, err, kind, says)
	}
}

func TestSharesOfSeveralHolders(t *testing.T) {
	_, envelopes, shares := shared(t, 3, 5)
	_, _, foreign := shared(t, 3, 5)
	var s custody.Sessions
	p, complete, err := s.Give(offer("", custody.Test, envelopes, shares[4]))
	if err != nil || complete != nil {
		t.Fatal(complete, err)
	}
	if p.Threshold != 3 || p.Envelope != "board" || !cmp.Equal(p.Given, []int{5}) || !p.Ends.Equal(start.Add(time.Hour)) {
		t.Errorf("it stands at %+v", p)
	}
	mistyped := bytes.Clone(shares[1])
	if last := &mistyped[len(mistyped)-1]; *last == 'a' {
		*last = 'b'
	} else {
		*last = 'a'
	}
	for what, c := range map[string]struct {
		offer custody.Offer
		kind  fault.Kind
		says  string
	}{
		"mistyped":        {offer(p.Session, custody.Test, envelopes, mistyped), fault.InvalidParameter, "mistyped"},
		"cut off":         {offer(p.Session, custody.Test, envelopes, shares[1][:50]), fault.InvalidParameter, "too few"},
		"no share":        {offer(p.Session, custody.Test, envelopes, []byte("passphrase")), fault.InvalidParameter, "no share"},
		"foreign":         {offer(p.Session, custody.Test, envelopes, foreign[0]), fault.InvalidParameter, "another set"},
		"foreign, first":  {offer("", custody.Test, envelopes, foreign[0]), fault.InvalidParameter, "opens no root envelope of this server"},
		"twice":           {offer(p.Session, custody.Test, envelopes, shares[4]), fault.InvalidParameter, "share 5 was given already"},
		"another act":     {offer(p.Session, custody.Epoch, envelopes, shares[1]), fault.StateConflict, "something else"},
		"another session": {offer("guess", custody.Test, envelopes, shares[1]), fault.ResourceNotFound, "no such session"},
	} {
		_, complete, err := s.Give(c.offer)
		wantFault(t, what, err, c.kind, c.says)
		if complete != nil {
			t.Errorf("%s completed it", what)
		}
		if now, err := s.Show(p.Session, start); err != nil || !cmp.Equal(now.Given, []int{5}) {
			t.Errorf("%s: it then stands at %+v, %v", what, now, err)
		}
	}
	if n := s.Refused(); n != 8 {
		t.Errorf("%d attempts were refused, want 8", n)
	}
	if _, complete, err = s.Give(offer(p.Session, custody.Test, envelopes, shares[0])); err != nil || complete != nil {
		t.Fatal(complete, err)
	}
	last, complete, err := s.Give(offer(p.Session, custody.Test, envelopes, shares[2]))
	if err != nil || complete == nil || !cmp.Equal(last.Given, []int{5, 1, 3}) || !cmp.Equal(complete.Indices(), []int{5, 1, 3}) {
		t.Fatalf("the last share: %+v %v", last, err)
	}
	if _, err := shamir.Combine(complete.Shares); err != nil {
		t.Error(err)
	}
	complete.Zero()
	_, err = s.Show(p.Session, start)
	wantFault(t, "a complete session", err, fault.ResourceNotFound, "complete")
}

// A share that is not the one that was made, whose checksum fits all the same, is known
// at once: not only when all are there and nobody can tell whose it was.
func TestForgedShareIsKnownAtOnce(t *testing.T) {
	_, envelopes, shares := shared(t, 2, 3)
	broken := []seal.Envelope{envelopes[0]}
	broken[0].Params = bytes.Clone(broken[0].Params)
	first := bytes.Index(broken[0].Params, []byte(`"digests":["`)) + len(`"digests":["`)
	if c := broken[0].Params[first]; c == 'a' {
		broken[0].Params[first] = 'b'
	} else {
		broken[0].Params[first] = 'a'
	}
	var s custody.Sessions
	_, _, err := s.Give(offer("", custody.Test, broken, shares[0]))
	wantFault(t, "a share whose digest is another one", err, fault.InvalidParameter, "not genuine")
	if _, _, err := s.Give(offer("", custody.Test, broken, shares[1])); err != nil {
		t.Error(err)
	}
}

// Who mistypes a share reads in their own language what is wrong with it, and how many are
// missing.
func TestShareFaultsInBothLanguages(t *testing.T) {
	_, envelopes, shares := shared(t, 2, 3)
	var s custody.Sessions
	text := shares[0]
	for name, bad := range map[string][]byte{"no share": []byte("passphrase"), "cut": text[:20], "letter": append(text[:len(text)-1:len(text)-1], '1')} {
		_, _, err := s.Give(offer("", custody.Test, envelopes, bad))
		wantChinese(t, name, err, fault.InvalidParameter)
	}
	one, err := shamir.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = seal.WithShares([]shamir.Share{one})(envelopes)
	wantChinese(t, "too few", err, fault.StateConflict)
}

func wantChinese(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if text := fault.TextOf(err); !fault.Is(err, kind) || text.Chinese() == text.String() {
		t.Errorf("%s: a %s fault that says %q in Chinese", what, fault.KindOf(err), text.Chinese())
	}
}

func TestSessionsEnd(t *testing.T) {
	_, envelopes, shares := shared(t, 2, 3)
	var s custody.Sessions
	begin := func(at time.Time) string {
		t.Helper()
		o := offer("", custody.Test, envelopes, shares[0])
		o.Now = at
		p, _, err := s.Give(o)
		if err != nil {
			t.Fatal(err)
		}
		return p.Session
	}
	late := begin(start)
	_, err := s.Show(late, start.Add(time.Hour-1))
	if err != nil {
		t.Error(err)
	}
	_, err = s.Show(late, start.Add(time.Hour))
	wantFault(t, "after an hour", err, fault.ResourceNotFound, "over")
	cancelled := begin(start)
	wantFault(t, "cancelling another", s.Cancel("guess", start), fault.ResourceNotFound, "no such session")
	if err := s.Cancel(cancelled, start); err != nil {
		t.Error(err)
	}
	_, err = s.Show(cancelled, start)
	wantFault(t, "cancelled", err, fault.ResourceNotFound, "cancelled")
	for range 8 {
		begin(start)
	}
	_, _, err = s.Give(offer("", custody.Test, envelopes, shares[0]))
	wantFault(t, "a ninth session of one share", err, fault.LimitExceeded, "8 sessions")
	if _, _, err := s.Give(offer("", custody.Test, envelopes, shares[1])); err != nil {
		t.Errorf("another share cannot begin one: %v", err)
	}
	s.Clear()
	begin(start)
	refused := errors.New("the log is gone")
	o := offer("", custody.Test, envelopes, shares[1])
	o.Record = func(seal.Envelope, int) error { return refused }
	if _, _, err := s.Give(o); !errors.Is(err, refused) {
		t.Errorf("a share that could not be recorded: %v", err)
	}
}

// TestL10NobodyDisturbsASession has a hundred attackers, one of them with a share of
// his own, who guess, replay, cancel, join and begin whatever they can, while three
// holders open the root key, many times over.
func TestL10NobodyDisturbsASession(t *testing.T) {
	_, envelopes, shares := shared(t, 3, 5)
	_, _, foreign := shared(t, 3, 5)
	var s custody.Sessions
	stop := make(chan struct{})
	var attackers sync.WaitGroup
	for n := range 100 {
		attackers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				guess := rand.Text()
				switch n % 5 {
				case 0:
					_ = s.Cancel(guess, start)
				case 1:
					_, _ = s.Show(guess, start)
				case 2:
					_, _, _ = s.Give(offer(guess, custody.Test, envelopes, foreign[n%5]))
				case 3:
					_, _, _ = s.Give(offer("", custody.Test, envelopes, foreign[n%5]))
				case 4: // the holder of share 5 has gone over to them
					if p, complete, _ := s.Give(offer("", custody.Test, envelopes, shares[4])); complete != nil {
						t.Errorf("one share alone completed %+v", p)
					}
				}
			}
		})
	}
	for round := range 50 {
		var session string
		for i, holder := range []int{round % 4, (round + 1) % 4, (round + 2) % 4} {
			p, complete, err := s.Give(offer(session, custody.Test, envelopes, shares[holder]))
			if err != nil {
				t.Fatalf("round %d, holder %d: %v", round, holder+1, err)
			}
			if len(p.Given) != i+1 || (complete != nil) != (i == 2) {
				t.Fatalf("round %d, holder %d: it stands at %v", round, holder+1, p.Given)
			}
			session = p.Session
			if complete != nil {
				complete.Zero()
			}
		}
	}
	close(stop)
	attackers.Wait()
}

// Of several who give the last share at once, exactly one completes the session.
func TestOnlyOneCompletes(t *testing.T) {
	_, envelopes, shares := shared(t, 2, 16)
	for range 50 {
		var s custody.Sessions
		p, _, err := s.Give(offer("", custody.Test, envelopes, shares[0]))
		if err != nil {
			t.Fatal(err)
		}
		completed := make(chan bool, 15)
		for _, share := range shares[1:] {
			go func() {
				_, complete, _ := s.Give(offer(p.Session, custody.Test, envelopes, share))
				completed <- complete != nil
			}()
		}
		n := 0
		for range 15 {
			if <-completed {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("%d completed it", n)
		}
	}
}

// The new passphrase that waits in a session is its own copy, shown to nobody.
func TestANewPassphraseWaits(t *testing.T) {
	_, envelopes, shares := shared(t, 2, 3)
	var s custody.Sessions
	o := offer("", custody.Add, envelopes, shares[0])
	o.Intent.Protection = seal.Protection{Name: "daily", Passphrase: material.NewBytes([]byte("fake new passphrase"))}
	p, _, err := s.Give(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Intent.Zero() // as the request does
	if p.Intent.Protection.Passphrase.Len() != 0 || p.Intent.Protection.Name != "daily" {
		t.Errorf("it shows %v", p.Intent)
	}
	_, complete, err := s.Give(offer(p.Session, custody.Add, envelopes, shares[1]))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(complete.Intent.Protection.Passphrase.Expose()); got != "fake new passphrase" {
		t.Errorf("it waited as %q", got)
	}
	complete.Zero()
	if complete.Intent.Protection.Passphrase.Len() != 0 || strings.Contains(fmt.Sprintf("%+v", complete), "fake") {
		t.Error("it was not erased")
	}
}

func TestIntents(t *testing.T) {
	pass := material.NewBytes([]byte("a long enough passphrase"))
	const age = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
	for what, c := range map[string]struct {
		intent custody.Intent
		says   string // "" for none
	}{
		"unseal":             {custody.Intent{Act: custody.Unseal}, ""},
		"nothing":            {custody.Intent{}, "the act must be"},
		"remove":             {custody.Intent{Act: custody.Remove}, "name"},
		"no name":            {custody.Intent{Act: custody.Add, Protection: seal.Protection{Passphrase: pass}}, "needs a name"},
		"odd name":           {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a b", Passphrase: pass}}, "needs a name"},
		"short":              {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Passphrase: material.NewBytes([]byte("short"))}}, "too short"},
		"passphrase":         {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Passphrase: pass}}, ""},
		"1 of 3":             {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Threshold: 1, Shares: 3}}, "at least 2"},
		"threshold only":     {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Threshold: 2}}, "at least 2"},
		"17 shares":          {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Threshold: 2, Shares: 17}}, "at most 16"},
		"one recipient of 3": {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Threshold: 2, Shares: 3}, Recipients: []string{age}}, "1 recipients for 3 shares"},
		"same recipient":     {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Threshold: 2, Shares: 2}, Recipients: []string{age, age}}, "recipient"},
		"bad recipient":      {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Recovery: true}, Recipients: []string{"age1x"}}, "recipient"},
		"code":               {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Recovery: true}, Recipients: []string{age}}, ""},
		"daily code":         {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a"}, Recipients: []string{age}}, "only a recovery envelope"},
		"known and sealed":   {custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Passphrase: pass}, Recipients: []string{age}}, "leave them out"},
	} {
		err := c.intent.Check()
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(fault.Message(err), c.says)) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
	}
	readable := custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "a", Threshold: 2, Shares: 3}}
	if readable.Check() != nil || readable.CheckShared() == nil {
		t.Error("readable shares are for whoever opens the root key alone")
	}
}
