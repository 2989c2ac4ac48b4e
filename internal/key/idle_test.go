package key_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A counter counts what is unwrapped.
type counter struct {
	*sealtest.Tenants
	unwrapped atomic.Int64
}

type counting struct {
	material.Wrapper
	in *counter
}

// Tenant implements software.Tenants.
func (c *counter) Tenant(ctx context.Context, account string) (material.Wrapper, error) {
	w, err := c.Tenants.Tenant(ctx, account)
	return counting{w, c}, err
}

// Unwrap implements material.Wrapper.
func (c counting) Unwrap(binding, wrapped []byte) (material.Bytes, error) {
	c.in.unwrapped.Add(1)
	return c.Wrapper.Unwrap(binding, wrapped)
}

func openCounting(t *testing.T) (*world, *counter) {
	t.Helper()
	w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	keyring := sealtest.Keyring(t)
	count := &counter{Tenants: sealtest.NewTenants(keyring)}
	w.node = storetest.Start(t, storetest.Options{URL: storetest.SQLite(t), Origin: "keyward/test", Keys: keyring, Now: w.clock,
		Changed: func(table, id string) { w.Changed(table, id) }})
	w.Services = keytest.New(keytest.Options{Store: kms.Store{Store: w.node.Store}, Tenants: count, Log: w.node.Log, Now: w.clock})
	return w, count
}

// Only used keys are unwrapped; an idle one, and an idle version of a key in use, is
// dropped by the second Age after its last use, and unwrapped again when it is needed.
func TestIdleKeysAreDropped(t *testing.T) {
	w, count := openCounting(t)
	ctx := t.Context()
	used := must(w.Create(ctx, root(account), lifecycle.CreateInput{}))(t)
	idle := must(w.Create(ctx, root(account), lifecycle.CreateInput{}))(t)
	unwraps := func(want int64, do func()) {
		t.Helper()
		before := count.unwrapped.Load()
		do()
		if got := count.unwrapped.Load() - before; got != want {
			t.Errorf("%d unwrapped, want %d", got, want)
		}
	}
	use := func(id key.ID) cryptography.Ciphertext { return must(encrypt(w, t, string(id), "x", nil))(t) }
	read := func(c cryptography.Ciphertext) {
		must(w.Decrypt(ctx, root(account), cryptography.DecryptInput{Ciphertext: c.Blob}))(t)
	}
	var old cryptography.Ciphertext
	unwraps(1, func() { old = use(used.ID); use(used.ID); read(old) })
	unwraps(1, func() { use(idle.ID) })
	unwraps(0, func() {
		w.Age()
		use(used.ID)
		w.Age()
		use(used.ID)
		w.Age()
		use(used.ID)
	})
	unwraps(1, func() { use(idle.ID) })

	w.mu.Lock()
	w.now = w.now.Add(8 * 24 * time.Hour)
	w.mu.Unlock()
	must(w.CreateVersion(ctx, root(account), string(used.ID)))(t)
	unwraps(2, func() { use(used.ID); read(old) })
	unwraps(0, func() { w.Age(); use(used.ID); read(old) })
	unwraps(0, func() { w.Age(); use(used.ID); w.Age(); use(used.ID) }) // the old version is idle now
	unwraps(1, func() { read(old) })
}

// Operations under way are not disturbed when keys are dropped, and a disabled key is
// refused however it was cached.
func TestDroppingRacesUse(t *testing.T) {
	w, _ := openCounting(t)
	ctx := t.Context()
	var keys []key.Key
	for range 4 {
		keys = append(keys, must(w.Create(ctx, root(account), lifecycle.CreateInput{}))(t))
	}
	signer := must(w.Create(ctx, root(account), lifecycle.CreateInput{Spec: material.P256}))(t)
	stop := make(chan struct{})
	var aging, running sync.WaitGroup
	aging.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				w.Age()
			}
		}
	})
	for worker := range 4 {
		running.Go(func() {
			for i := range 60 {
				plain := fmt.Sprintf("%d-%d", worker, i)
				sealed, err := encrypt(w, t, string(keys[(worker+i)%len(keys)].ID), plain, nil)
				if err != nil {
					t.Error(err)
					continue
				}
				opened, err := w.Decrypt(ctx, root(account), cryptography.DecryptInput{Ciphertext: sealed.Blob})
				if err != nil || string(opened.Data.Expose()) != plain {
					t.Errorf("decrypts to %q, %v", opened.Data.Expose(), err)
				}
				in := cryptography.AsymmetricInput{Key: string(signer.ID), Version: signer.Primary, Algorithm: material.ECDSASHA256}
				if _, err := w.AsymmetricSign(ctx, root(account), in, make([]byte, 32)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if err := w.Disable(ctx, root(account), string(keys[0].ID)); err != nil {
		t.Fatal(err)
	}
	_, err := encrypt(w, t, string(keys[0].ID), "x", nil)
	want(t, err, fault.KeyDisabled)
	close(stop)
	aging.Wait()
}
