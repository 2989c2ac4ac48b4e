package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
)

func passphrase(s string) material.Bytes { return material.NewBytes([]byte(s)) }

func options() sealtest.Options {
	return sealtest.Options{Now: time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC), Cost: sealtest.Cost()}
}

// initialized answers a store and the keyring it was initialised with.
func initialized(t testing.TB) (*sealtest.Store, *seal.Keyring) {
	t.Helper()
	store := sealtest.NewStore()
	keyring, err := sealtest.Initialize(t.Context(), store, passphrase(sealtest.Passphrase), options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keyring.Close)
	return store, keyring
}

// rows is a store as a database that somebody may have changed answers it. Writing fails the test.
type rows struct {
	t         testing.TB
	envelopes []seal.Envelope
	epochs    []seal.Epoch
}

func rowsOf(t testing.TB, store seal.Store) *rows {
	t.Helper()
	envelopes, err := store.Envelopes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	epochs, err := store.Epochs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &rows{t: t, envelopes: envelopes, epochs: epochs}
}

func (r *rows) Envelopes(context.Context) ([]seal.Envelope, error) { return r.envelopes, nil }
func (r *rows) Epochs(context.Context) ([]seal.Epoch, error)       { return r.epochs, nil }
func (r *rows) Initialize(context.Context, seal.Envelope, seal.Epoch) error {
	r.t.Error("unsealing wrote to the store")
	return nil
}

func TestUnsealFindsWhatInitializeMade(t *testing.T) {
	store, first := initialized(t)
	second, err := sealtest.Unseal(t.Context(), rowsOf(t, store), passphrase(sealtest.Passphrase))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if first.Epoch() != 1 || second.Epoch() != 1 {
		t.Errorf("epochs %d and %d", first.Epoch(), second.Epoch())
	}
	mac := func(k *seal.Keyring) []byte {
		sum, err := k.RowMAC(1, []byte("row"))
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	if diff := cmp.Diff(mac(first), mac(second)); diff != "" {
		t.Error(diff)
	}
	wrapped, err := first.NewTenantKey([]byte("tenant 1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Tenant([]byte("tenant 1"), wrapped); err != nil {
		t.Error(err)
	}
	envelope := rowsOf(t, store).envelopes[0]
	if want := options().Now.Truncate(time.Microsecond); !envelope.CreatedAt.Equal(want) || envelope.RootEpoch != 1 || envelope.Provider != "passphrase" {
		t.Errorf("envelope %+v", envelope)
	}
}

func TestInitializeRefuses(t *testing.T) {
	store, _ := initialized(t)
	before := rowsOf(t, store)
	for name, c := range map[string]struct {
		store      seal.Store
		passphrase string
		cost       seal.Cost
		want       fault.Kind
	}{
		"a second time":      {store, sealtest.Passphrase, sealtest.Cost(), fault.ResourceExists},
		"11 characters":      {sealtest.NewStore(), "eleven char", sealtest.Cost(), fault.InvalidParameter},
		"11 wide characters": {sealtest.NewStore(), strings.Repeat("密", 11), sealtest.Cost(), fault.InvalidParameter},
		"nothing":            {sealtest.NewStore(), "", sealtest.Cost(), fault.InvalidParameter},
		"no passes":          {sealtest.NewStore(), sealtest.Passphrase, seal.Cost{MemoryKiB: 8, Threads: 1}, fault.InvalidParameter},
		"no threads":         {sealtest.NewStore(), sealtest.Passphrase, seal.Cost{MemoryKiB: 8, Time: 1}, fault.InvalidParameter},
		"4 GiB":              {sealtest.NewStore(), sealtest.Passphrase, seal.Cost{MemoryKiB: 4 << 20, Time: 1, Threads: 1}, fault.InvalidParameter},
	} {
		if _, err := sealtest.Initialize(t.Context(), c.store, passphrase(c.passphrase), sealtest.Options{Cost: c.cost}); !fault.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sealtest.Initialize(t.Context(), sealtest.NewStore(), passphrase(strings.Repeat("密", 12)), options()); err != nil {
		t.Errorf("12 wide characters: %v", err)
	}
	if diff := cmp.Diff(before.envelopes, rowsOf(t, store).envelopes); diff != "" {
		t.Errorf("a refused initialisation changed the store: %s", diff)
	}
}

func TestInitializeConcurrently(t *testing.T) {
	store := sealtest.NewStore()
	var succeeded atomic.Int32
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			keyring, err := sealtest.Initialize(t.Context(), store, passphrase(sealtest.Passphrase), options())
			if err == nil {
				succeeded.Add(1)
				keyring.Close()
			} else if !fault.Is(err, fault.ResourceExists) {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if succeeded.Load() != 1 {
		t.Errorf("%d callers initialised the store", succeeded.Load())
	}
}

func TestUnsealRefusesWrongPassphrase(t *testing.T) {
	store, _ := initialized(t)
	for _, wrong := range []string{"", "another fake passphrase", sealtest.Passphrase + " ", sealtest.Passphrase[:len(sealtest.Passphrase)-1]} {
		_, err := sealtest.Unseal(t.Context(), rowsOf(t, store), passphrase(wrong))
		if !fault.Is(err, fault.WrongPassphrase) || !strings.Contains(fault.Message(err), "passphrase is wrong") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestUnsealOfAnUninitializedStore(t *testing.T) {
	_, err := sealtest.Unseal(t.Context(), sealtest.NewStore(), passphrase(sealtest.Passphrase))
	if !fault.Is(err, fault.StateConflict) || !strings.Contains(fault.Message(err), "keyward operator init") {
		t.Error(err)
	}
}

func TestUnsealDetectsEveryChange(t *testing.T) {
	store, _ := initialized(t)
	flip := func(b *[]byte) {
		*b = bytes.Clone(*b)
		(*b)[len(*b)/2] ^= 1
	}
	for name, change := range map[string]func(*rows){
		"envelope id":     func(r *rows) { r.envelopes[0].ID += "x" },
		"envelope params": func(r *rows) { r.envelopes[0].Params = append(r.envelopes[0].Params, ' ') },
		"envelope cost": func(r *rows) {
			r.envelopes[0].Params = bytes.Replace(r.envelopes[0].Params, []byte(`:8,`), []byte(`:9,`), 1)
		},
		"envelope blob":        func(r *rows) { flip(&r.envelopes[0].Wrapped) },
		"envelope blob cut":    func(r *rows) { r.envelopes[0].Wrapped = r.envelopes[0].Wrapped[:20] },
		"root epoch":           func(r *rows) { r.envelopes[0].RootEpoch++ },
		"fingerprint":          func(r *rows) { flip(&r.envelopes[0].Fingerprint) },
		"no fingerprint":       func(r *rows) { r.envelopes[0].Fingerprint = nil },
		"envelope time":        func(r *rows) { r.envelopes[0].CreatedAt = r.envelopes[0].CreatedAt.Add(time.Microsecond) },
		"unknown provider":     func(r *rows) { r.envelopes[0].Provider = "shamir" },
		"no envelope":          func(r *rows) { r.envelopes = nil },
		"too many envelopes":   func(r *rows) { r.envelopes = slices.Repeat(r.envelopes, 17) },
		"epoch number":         func(r *rows) { r.epochs[0].Number++ },
		"epoch blob":           func(r *rows) { flip(&r.epochs[0].Wrapped) },
		"epoch blob gone":      func(r *rows) { r.epochs[0].Wrapped = nil },
		"epoch time":           func(r *rows) { r.epochs[0].CreatedAt = r.epochs[0].CreatedAt.Add(-time.Microsecond) },
		"no epoch":             func(r *rows) { r.epochs = nil },
		"root blob as epoch":   func(r *rows) { r.epochs[0].Wrapped = r.envelopes[0].Wrapped },
		"epoch of another one": func(r *rows) { other, _ := initialized(t); r.epochs = rowsOf(t, other).epochs },
	} {
		r := rowsOf(t, store)
		change(r)
		keyring, err := sealtest.Unseal(t.Context(), r, passphrase(sealtest.Passphrase))
		if err == nil {
			keyring.Close()
		}
		if !fault.Is(err, fault.StateConflict) && !fault.Is(err, fault.WrongPassphrase) { // which say what to do
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnsealTriesEachEnvelope(t *testing.T) {
	store, _ := initialized(t)
	other, _ := initialized(t)
	r := rowsOf(t, store)
	broken := rowsOf(t, other).envelopes[0]
	broken.Params = []byte(`{}`)
	r.envelopes = append([]seal.Envelope{{Provider: "pkcs11"}, broken, rowsOf(t, other).envelopes[0]}, r.envelopes...)
	r.envelopes[2].ID += "damaged"
	keyring, err := sealtest.Unseal(t.Context(), r, passphrase(sealtest.Passphrase))
	if err != nil {
		t.Fatal(err)
	}
	keyring.Close()
}

func TestUnsealRefusesUnreasonableParams(t *testing.T) {
	store, _ := initialized(t)
	salt := "AAAAAAAAAAAAAAAAAAAAAA=="
	for _, params := range []string{
		``, `null`, `[]`, `{}`, `{"algorithm":"argon2id"}`,
		fmt.Sprintf(`{"algorithm":"argon2id","memoryKiB":2097153,"time":1,"threads":1,"salt":%q}`, salt),
		fmt.Sprintf(`{"algorithm":"argon2id","memoryKiB":4294967295,"time":1,"threads":1,"salt":%q}`, salt),
		fmt.Sprintf(`{"algorithm":"argon2id","memoryKiB":-1,"time":1,"threads":1,"salt":%q}`, salt),
		fmt.Sprintf(`{"algorithm":"argon2id","memoryKiB":7,"time":1,"threads":1,"salt":%q}`, salt),
		fmt.Sprintf(`{"algorithm":"argon2id","memoryKiB":64,"time":4294967295,"threads":1,"salt":%q}`, salt),
		fmt.Sprintf(`{"algorithm":"argon2id","memoryKiB":64,"time":0,"threads":1,"salt":%q}`, salt),
		fmt.Sprintf(`{"algorithm":"argon2id","memoryKiB":2048,"time":1,"threads":0,"salt":%q}`, salt),
		fmt.Sprintf(`{"algorithm":"argon2id","memoryKiB":2048,"time":1,"threads":255,"salt":%q}`, salt),
		fmt.Sprintf(`{"algorithm":"argon2d","memoryKiB":64,"time":1,"threads":1,"salt":%q}`, salt),
		fmt.Sprintf(`{"algorithm":"argon2id","memoryKiB":64,"time":1,"threads":1,"salt":%q,"x":1}`, salt),
		fmt.Sprintf(`{"algorithm":"argon2id","memoryKiB":64,"time":1,"threads":1,"salt":%q} {}`, salt),
		`{"algorithm":"argon2id","memoryKiB":64,"time":1,"threads":1,"salt":"AAAA"}`,
	} {
		r := rowsOf(t, store)
		r.envelopes[0].Params = []byte(params)
		_, err := sealtest.Unseal(t.Context(), r, passphrase(sealtest.Passphrase))
		if !fault.Is(err, fault.StateConflict) {
			t.Errorf("%s: %v", params, err)
		}
	}
}

type failingStore struct {
	seal.Store
	envelopes, epochs, initialize error
}

func (s failingStore) Envelopes(ctx context.Context) ([]seal.Envelope, error) {
	if s.envelopes != nil {
		return nil, s.envelopes
	}
	return s.Store.Envelopes(ctx)
}

func (s failingStore) Epochs(ctx context.Context) ([]seal.Epoch, error) {
	if s.epochs != nil {
		return nil, s.epochs
	}
	return s.Store.Epochs(ctx)
}

func (s failingStore) Initialize(ctx context.Context, envelope seal.Envelope, epoch seal.Epoch) error {
	if s.initialize != nil {
		return s.initialize
	}
	return s.Store.Initialize(ctx, envelope, epoch)
}

func TestStoreErrorsPassThrough(t *testing.T) {
	store, _ := initialized(t)
	broken := errors.New("the disk is full")
	if _, err := sealtest.Unseal(t.Context(), failingStore{Store: store, envelopes: broken}, passphrase(sealtest.Passphrase)); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := sealtest.Unseal(t.Context(), failingStore{Store: store, epochs: broken}, passphrase(sealtest.Passphrase)); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := sealtest.Initialize(t.Context(), failingStore{Store: sealtest.NewStore(), initialize: broken}, passphrase(sealtest.Passphrase), options()); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// FuzzParams holds that no parameters from the store cost more than the bounds.
func FuzzParams(f *testing.F) {
	f.Add([]byte(`{"algorithm":"argon2id","memoryKiB":64,"time":1,"threads":1,"salt":"AAAAAAAAAAAAAAAAAAAAAA=="}`))
	f.Add([]byte(`{"algorithm":"argon2id","memoryKiB":4294967295,"time":4294967295,"threads":255,"salt":""}`))
	f.Add([]byte(`{"algorithm":"argon2id"} {}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, document []byte) {
		cost, err := seal.ParseParams(document)
		if err != nil {
			return
		}
		if cost.MemoryKiB > 2<<20 || cost.MemoryKiB < 8 || cost.Time < 1 || cost.Time > 16 || cost.Threads < 1 || cost.Threads > 16 {
			t.Errorf("accepted %+v", cost)
		}
	})
}
