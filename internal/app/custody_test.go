package app_test

import (
	"context"
	"crypto/rand"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/server/operator"
	"github.com/keyward/keyward/internal/store/storetest"
)

// give gives a share for an act.
func (r running) give(ctx context.Context, session string, i custody.Intent, share string) (operator.Opened, error) {
	return r.OpenRootKey(ctx, operator.Opening{Session: session, Intent: i, Share: passphrase(share)})
}

// together has the holders of the shares do an act.
func (r running) together(t *testing.T, i custody.Intent, shares ...string) operator.Opened {
	t.Helper()
	var opened operator.Opened
	for _, share := range shares {
		var err error
		if opened, err = r.give(t.Context(), opened.Progress.Session, i, share); err != nil {
			t.Fatalf("%s: %v", i.Act, err)
		}
	}
	if !opened.Complete {
		t.Fatalf("%s is not complete: %+v", i.Act, opened.Progress)
	}
	return opened
}

// foundShared initialises the server with 3 of 5 shares and answers them.
func (r running) foundShared(t *testing.T) (shares []string) {
	t.Helper()
	_, deliveries, err := r.Found(t.Context(), custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "board", Threshold: 3, Shares: 5}}, "first")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deliveries {
		shares = append(shares, string(d.Text.Expose()))
	}
	return shares
}

// records answers the parameters of the records of an action.
func (r running) records(t *testing.T, action string) (out []map[string]string) {
	t.Helper()
	var export strings.Builder
	if err := r.Export(t.Context(), &export); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(export.String()) {
		if e, err := audit.ParseEntry([]byte(line)); err == nil && e.Action == action {
			out = append(out, e.Params)
		}
	}
	return out
}

// TestL10NobodyKeepsTheHoldersOut has a hundred attackers at the operator's socket, one
// of whom has a share, while three holders unseal the server and then renew its keys.
func TestL10NobodyKeepsTheHoldersOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		r := run(t, configure(t, url))
		ctx := t.Context()
		shares := r.foundShared(t)
		foreign := run(t, configure(t, storetest.SQLite(t))).foundShared(t)
		stop := make(chan struct{})
		var attackers sync.WaitGroup
		for n := range 100 {
			attackers.Go(func() {
				acts := []custody.Act{custody.Unseal, custody.Test, custody.Epoch}
				for i := n; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					intent := custody.Intent{Act: acts[i%3]}
					switch n % 5 {
					case 0:
						_ = r.CancelSession(ctx, rand.Text())
					case 1:
						_, _ = r.ShowSession(ctx, rand.Text())
					case 2:
						_, _ = r.give(ctx, rand.Text(), intent, foreign[i%5])
					case 3:
						_, _ = r.OpenRootKey(ctx, operator.Opening{Intent: intent, Passphrase: passphrase("not the passphrase")})
					case 4:
						if opened, _ := r.give(ctx, "", intent, shares[4]); opened.Complete {
							t.Error("one share opened the root key")
						}
					}
				}
			})
		}
		for range 3 {
			if err := r.Seal(ctx); err != nil {
				t.Fatal(err)
			}
			r.together(t, custody.Intent{Act: custody.Unseal}, shares[0], shares[1], shares[2])
			r.together(t, custody.Intent{Act: custody.Epoch}, shares[3], shares[1], shares[0])
		}
		close(stop)
		attackers.Wait()
		if s, err := r.Status(ctx); err != nil || s.Sealed || s.Epoch != 4 {
			t.Errorf("it ended as %+v, %v", s, err)
		}
		unseals := r.records(t, "keyward:Unseal")
		if len(unseals) != 4 || unseals[3]["Shares"] != "1,2,3" || unseals[3]["Envelope"] != "board" {
			t.Errorf("the records of unsealing are %v", unseals)
		}
		if begun := r.records(t, "keyward:BeginEpoch"); len(begun) != 3 || begun[2]["Epoch"] != "4" {
			t.Errorf("the records of epochs are %v", begun)
		}
	})
}

// A server that was sealed for long tells in the record of its unsealing how often
// somebody tried in vain.
func TestRefusedAttemptsAreRecorded(t *testing.T) {
	r := run(t, configure(t, storetest.SQLite(t)))
	if _, err := r.Initialize(t.Context(), passphrase(sealtest.Passphrase), "first"); err != nil {
		t.Fatal(err)
	}
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := r.Unseal(t.Context(), passphrase("not the passphrase")); !fault.Is(err, fault.WrongPassphrase) {
			t.Fatal(err)
		}
	}
	if _, err := r.give(t.Context(), "", custody.Intent{Act: custody.Unseal}, "nonsense"); !fault.Is(err, fault.InvalidParameter) {
		t.Fatal(err)
	}
	if err := r.Unseal(t.Context(), passphrase(sealtest.Passphrase)); err != nil {
		t.Fatal(err)
	}
	records := r.records(t, "keyward:Unseal")
	if diff := cmp.Diff(map[string]string{"Envelope": "passphrase", "RefusedBefore": "4"}, records[len(records)-1]); diff != "" {
		t.Error(diff)
	}
}

// A whole life: shares give way to a passphrase and a recovery envelope; each step is
// tested; a new epoch wraps everything anew; afterwards everything still opens.
func TestSharesPassphraseRecoveryEpoch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		c := configure(t, url)
		r := run(t, c)
		ctx := t.Context()
		shares := r.foundShared(t)
		daily := passphrase("fake daily passphrase")
		add := custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "daily", Passphrase: material.NewBytes([]byte("fake daily passphrase"))}}
		opened, err := r.give(ctx, "", add, shares[0])
		if err != nil {
			t.Fatal(err)
		}
		r.goOn(t, opened.Progress.Session, custody.Intent{Act: custody.Add}, shares[1:3])
		with := func(i custody.Intent) operator.Opened {
			t.Helper()
			opened, err := r.OpenRootKey(ctx, operator.Opening{Intent: i, Passphrase: daily})
			if err != nil || !opened.Complete {
				t.Fatalf("%s: %v", i.Act, err)
			}
			return opened
		}
		with(custody.Intent{Act: custody.Test})
		rescue := with(custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "rescue", Recovery: true, Threshold: 2, Shares: 2}}).Deliveries
		with(custody.Intent{Act: custody.Remove, Envelope: "board"})
		with(custody.Intent{Act: custody.Epoch})
		if _, err := r.CreateAccount(ctx, "second"); err != nil {
			t.Fatal(err)
		}
		for { // a job does it
			s, err := r.Status(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !s.Rewrapping {
				break
			}
		}
		if finished := r.records(t, "keyward:FinishEpoch"); len(finished) != 1 || finished[0]["Epoch"] != "2" {
			t.Errorf("the records of the end are %v", finished)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r = run(t, c)
		if _, err := r.give(ctx, "", custody.Intent{Act: custody.Unseal}, shares[0]); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("a share of the removed envelope: %v", err)
		}
		r.together(t, custody.Intent{Act: custody.Unseal}, string(rescue[1].Text.Expose()), string(rescue[0].Text.Expose()))
		s, err := r.Status(ctx)
		if err != nil || s.Epoch != 2 || len(s.Envelopes) != 2 || len(s.Tests) != 2 {
			t.Errorf("it stands at %+v, %v", s, err)
		}
		if err := r.Export(ctx, io.Discard); err != nil {
			t.Error(err)
		}
		if _, err := r.CreateAccount(ctx, "third"); err != nil {
			t.Error(err)
		}
	})
}

// goOn has the other holders add to a session.
func (r running) goOn(t *testing.T, session string, i custody.Intent, shares []string) {
	t.Helper()
	for n, share := range shares {
		opened, err := r.give(t.Context(), session, i, share)
		if err != nil || opened.Complete != (n == len(shares)-1) {
			t.Fatalf("share %d of the rest: %+v, %v", n, opened.Progress, err)
		}
	}
}

// Who comes too late with shares is told, and so is who comes too early.
func TestActsOfTheWrongTime(t *testing.T) {
	r := run(t, configure(t, storetest.SQLite(t)))
	ctx := t.Context()
	_, err := r.give(ctx, "", custody.Intent{Act: custody.Unseal}, "kwshare1-")
	if !fault.Is(err, fault.StateConflict) {
		t.Errorf("uninitialised: %v", err)
	}
	shares := r.foundShared(t)
	if _, err := r.give(ctx, "", custody.Intent{Act: custody.Unseal}, shares[0]); !fault.Is(err, fault.StateConflict) {
		t.Errorf("unsealing while unsealed: %v", err)
	}
	if err := r.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	for _, act := range []custody.Act{custody.Test, custody.Epoch} {
		if _, err := r.give(ctx, "", custody.Intent{Act: act}, shares[0]); !fault.Is(err, fault.Sealed) {
			t.Errorf("%s while sealed: %v", act, err)
		}
	}
	if err := r.Unseal(ctx, passphrase(sealtest.Passphrase)); !fault.Is(err, fault.StateConflict) {
		t.Errorf("a passphrase where there are shares only: %v", err)
	}
}
