package seal_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/shamir"
)

// board answers a store that opens with 2 of 3 shares, and them.
func board(t *testing.T) (*rows, []shamir.Share) {
	t.Helper()
	store := sealtest.NewStore()
	keyring, shares, err := seal.Found(t.Context(), store, seal.Protection{Name: "board", Recovery: true, Threshold: 2, Shares: 3}, options().Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keyring.Close)
	return rowsOf(t, store), shares
}

func TestSharesOpen(t *testing.T) {
	store, shares := board(t)
	for _, some := range [][]shamir.Share{shares[:2], shares[1:], shares, {shares[2], shares[0]}} {
		root, err := seal.Open(t.Context(), store, seal.WithShares(some))
		if err != nil {
			t.Fatal(err)
		}
		if e := root.Envelope(); e.Title() != "board" || !e.Recovery {
			t.Errorf("it was opened by %+v", e)
		}
		root.Close()
	}
	for says, some := range map[string][]shamir.Share{"1 of 2 shares are there, 1 more are needed": shares[:1], "given already": {shares[0], shares[0]}} {
		if _, err := seal.Open(t.Context(), store, seal.WithShares(some)); err == nil || !strings.Contains(fault.Message(err), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
	if _, err := sealtest.Unseal(t.Context(), store, passphrase(sealtest.Passphrase)); !fault.Is(err, fault.StateConflict) {
		t.Errorf("a passphrase opens it: %v", err)
	}
}

// Every field of an envelope is authenticated, those of its second version, too.
func TestChangedShareEnvelopeIsRefused(t *testing.T) {
	for name, change := range map[string]func(*seal.Envelope){
		"name":      func(e *seal.Envelope) { e.Name = "other" },
		"no name":   func(e *seal.Envelope) { e.Name, e.Recovery = "", false },
		"recovery":  func(e *seal.Envelope) { e.Recovery = false },
		"id":        func(e *seal.Envelope) { e.ID += "x" },
		"threshold": func(e *seal.Envelope) { e.Params = bytes.Replace(e.Params, []byte(`:2`), []byte(`:3`), 1) },
		"digests": func(e *seal.Envelope) {
			e.Params = bytes.Replace(e.Params, []byte(`"digests":["`), []byte(`"digests":["A`), 1)
		},
		"algorithm":   func(e *seal.Envelope) { e.Params = bytes.Replace(e.Params, []byte("gf256"), []byte("gf257"), 1) },
		"more":        func(e *seal.Envelope) { e.Params = append(e.Params, "{}"...) },
		"blanks":      func(e *seal.Envelope) { e.Params = append(e.Params, ' ') },
		"wrapped":     func(e *seal.Envelope) { e.Wrapped[20] ^= 1 },
		"fingerprint": func(e *seal.Envelope) { e.Fingerprint[0] ^= 1 },
		"created":     func(e *seal.Envelope) { e.CreatedAt = e.CreatedAt.Add(time.Microsecond) },
		"root epoch":  func(e *seal.Envelope) { e.RootEpoch++ },
	} {
		store, shares := board(t)
		e := &store.envelopes[0]
		e.Params, e.Wrapped, e.Fingerprint = bytes.Clone(e.Params), bytes.Clone(e.Wrapped), bytes.Clone(e.Fingerprint)
		change(e)
		if root, err := seal.Open(t.Context(), store, seal.WithShares(shares)); err == nil {
			root.Close()
			t.Errorf("with a changed %s it opens", name)
		}
	}
}

// A keyring learns an epoch, uses it only when told, keeps opening what is older, and
// grows beyond its page.
func TestKeyringLearnsEpochs(t *testing.T) {
	store, keyring := initialized(t)
	kept := rowsOf(t, store)
	binding := []byte("row")
	wrapped, err := keyring.NewTenantKey(binding)
	if err != nil {
		t.Fatal(err)
	}
	mac, err := keyring.RowMAC(1, []byte("row"))
	if err != nil {
		t.Fatal(err)
	}
	const epochs = 300 // more than two pages of 4 KiB hold
	for number := uint32(2); number <= epochs; number++ {
		root, err := seal.Open(t.Context(), kept, seal.WithPassphrase(passphrase(sealtest.Passphrase)))
		if err != nil {
			t.Fatal(err)
		}
		epoch, err := root.NewEpoch(time.Unix(int64(number), 0))
		if err != nil {
			t.Fatal(err)
		}
		if err := keyring.Learn(root); err != nil {
			t.Fatal(err)
		}
		if keyring.Epoch() != number-1 {
			t.Fatalf("epoch %d is used before it is stored", number)
		}
		if _, old, err := keyring.Rewrap(binding, wrapped); err != nil || old != (number > 2) {
			t.Fatalf("before epoch %d is used: %t, %v", number, old, err)
		}
		kept.epochs = append(slices.Clone(kept.epochs), epoch)
		keyring.Use(number)
		root.Close()
	}
	renewed, old, err := keyring.Rewrap(binding, wrapped)
	if err != nil || !old || bytes.Equal(renewed, wrapped) {
		t.Errorf("rewrapping: %t, %v", old, err)
	}
	again, err := sealtest.Unseal(t.Context(), kept, passphrase(sealtest.Passphrase))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, blob := range [][]byte{wrapped, renewed} {
		if _, err := again.Tenant(binding, blob); err != nil {
			t.Error(err)
		}
	}
	if same, err := again.RowMAC(1, []byte("row")); err != nil || !bytes.Equal(same, mac) {
		t.Errorf("a row's MAC of the first epoch does not verify: %v", err)
	}
	// A root from before is told apart from another database's.
	late, err := seal.Open(t.Context(), rowsOf(t, store), seal.WithPassphrase(passphrase(sealtest.Passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if err := keyring.Learn(late); !fault.Is(err, fault.Changed) {
		t.Errorf("a root from before the newest epoch: %v", err)
	}
	again.Close()
	if err := again.Learn(late); !fault.Is(err, fault.Sealed) {
		t.Errorf("closed: %v", err)
	}
}

func FuzzShareParams(f *testing.F) {
	f.Add([]byte(`{"algorithm":"shamir-gf256","set":"00","threshold":2,"digests":["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]}`))
	f.Add([]byte(`{"algorithm":"shamir-gf256","threshold":-1}`))
	f.Add([]byte(`{}{}`))
	f.Fuzz(func(t *testing.T, params []byte) {
		threshold, shares := seal.Envelope{Provider: "shamir", Params: params}.Shares()
		if (threshold != 0 || shares != 0) && shamir.Check(threshold, shares) != nil {
			t.Errorf("%d of %d shares were believed", threshold, shares)
		}
	})
}
