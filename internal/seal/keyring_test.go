package seal_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files that are missing")

func tenantOf(t testing.TB, k *seal.Keyring, binding string) material.Wrapper {
	t.Helper()
	wrapped, err := k.NewTenantKey([]byte(binding))
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := k.Tenant([]byte(binding), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	return wrapper
}

func TestWrapRoundTrip(t *testing.T) {
	k := sealtest.Keyring(t)
	wrapper := tenantOf(t, k, "tenant")
	labels := []seal.Label{seal.AuditSign, seal.Token}
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOf(rapid.Byte()).Draw(t, "secret")
		binding := rapid.SliceOf(rapid.Byte()).Draw(t, "binding")
		wrapped, err := wrapper.Wrap(binding, material.NewBytes(bytes.Clone(secret)))
		if err != nil {
			t.Fatal(err)
		}
		unwrapped, err := wrapper.Unwrap(binding, wrapped)
		if err != nil || !bytes.Equal(unwrapped.Expose(), secret) {
			t.Fatalf("unwrapped %x, %v", unwrapped.Expose(), err)
		}
		label := rapid.SampledFrom(labels).Draw(t, "label")
		sealed, err := k.SealBytes(label, binding, material.NewBytes(bytes.Clone(secret)))
		if err != nil {
			t.Fatal(err)
		}
		opened, err := k.OpenBytes(label, binding, sealed)
		if err != nil || !bytes.Equal(opened.Expose(), secret) {
			t.Fatalf("opened %x, %v", opened.Expose(), err)
		}
		other := rapid.SliceOf(rapid.Byte()).Draw(t, "other binding")
		if bytes.Equal(other, binding) {
			return
		}
		if _, err := wrapper.Unwrap(other, wrapped); err == nil {
			t.Fatal("unwrapped with another binding")
		}
		if _, err := k.OpenBytes(label, other, sealed); !fault.Is(err, fault.InvalidCiphertext) {
			t.Fatalf("opened with another binding: %v", err)
		}
	})
}

func TestBlobsRefuseEveryChange(t *testing.T) {
	k := sealtest.Keyring(t)
	binding := []byte("row")
	tenantKey, err := k.NewTenantKey(binding)
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := k.Tenant(binding, tenantKey)
	if err != nil {
		t.Fatal(err)
	}
	secret := material.NewBytes([]byte("secret"))
	wrapped, err := wrapper.Wrap(binding, secret)
	if err != nil {
		t.Fatal(err)
	}
	token, err := k.SealBytes(seal.Token, binding, secret)
	if err != nil {
		t.Fatal(err)
	}
	openers := map[string]struct {
		blob []byte
		open func([]byte) error
		want fault.Kind
	}{
		"tenant key": {tenantKey, func(b []byte) error { _, err := k.Tenant(binding, b); return err }, fault.Internal},
		"material":   {wrapped, func(b []byte) error { _, err := wrapper.Unwrap(binding, b); return err }, fault.Internal},
		"token":      {token, func(b []byte) error { _, err := k.OpenBytes(seal.Token, binding, b); return err }, fault.InvalidCiphertext},
	}
	for name, o := range openers {
		if err := o.open(o.blob); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for bit := range len(o.blob) * 8 {
			changed := bytes.Clone(o.blob)
			changed[bit/8] ^= 1 << (bit % 8)
			if err := o.open(changed); !fault.Is(err, o.want) {
				t.Errorf("%s, bit %d: %v", name, bit, err)
			}
		}
		for n := range len(o.blob) {
			if err := o.open(o.blob[:n]); !fault.Is(err, o.want) {
				t.Errorf("%s, cut to %d: %v", name, n, err)
			}
		}
		if err := o.open(append(bytes.Clone(o.blob), 0)); !fault.Is(err, o.want) {
			t.Errorf("%s, extended: %v", name, err)
		}
		for other, p := range openers {
			if err := o.open(p.blob); other != name && err == nil {
				t.Errorf("a %s opens as %s", other, name)
			}
		}
	}
}

func TestTenantsAreSeparate(t *testing.T) {
	k := sealtest.Keyring(t)
	one, two := tenantOf(t, k, "tenant 1"), tenantOf(t, k, "tenant 2")
	wrapped, err := one.Wrap([]byte("row"), material.NewBytes([]byte("secret")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Unwrap([]byte("row"), wrapped); !fault.Is(err, fault.Internal) {
		t.Errorf("another tenant: %v", err)
	}
	tenantKey, err := k.NewTenantKey([]byte("tenant 1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Tenant([]byte("tenant 2"), tenantKey); !fault.Is(err, fault.Internal) {
		t.Errorf("a tenant key in another tenant's row: %v", err)
	}
	if _, err := sealtest.Keyring(t).Tenant([]byte("tenant 1"), tenantKey); !fault.Is(err, fault.Internal) {
		t.Errorf("another keyring: %v", err)
	}
}

func TestPurposesAreSeparate(t *testing.T) {
	k := sealtest.Keyring(t)
	data := []byte("data")
	row, err := k.RowMAC(1, data)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{string(row): "row"}
	for _, label := range []seal.Label{seal.AuditHMAC, seal.Lookup, seal.Link} {
		sum, err := k.HMAC(label, data)
		if err != nil || len(sum) != 32 {
			t.Fatalf("%s: %d bytes, %v", label, len(sum), err)
		}
		if other, twice := seen[string(sum)]; twice {
			t.Errorf("%s and %s have the same key", label, other)
		}
		seen[string(sum)] = string(label)
	}
	for _, label := range []seal.Label{seal.AuditSign, seal.Token, "kms/row-mac/v1", "kms/kek/v1", ""} {
		if _, err := k.HMAC(label, data); err == nil {
			t.Errorf("HMAC takes label %q", label)
		}
	}
	for _, label := range []seal.Label{seal.AuditHMAC, seal.Lookup, "kms/row-mac/v1", "kms/kek/v1", ""} {
		if _, err := k.SealBytes(label, nil, material.Random(8)); err == nil {
			t.Errorf("SealBytes takes label %q", label)
		}
		if _, err := k.OpenBytes(label, nil, nil); err == nil {
			t.Errorf("OpenBytes takes label %q", label)
		}
	}
	if _, err := k.RowMAC(2, data); !fault.Is(err, fault.Internal) {
		t.Errorf("RowMAC in an epoch that does not exist: %v", err)
	}
}

func TestClosedKeyringIsSealed(t *testing.T) {
	k := sealtest.Keyring(t)
	wrapper := tenantOf(t, k, "tenant")
	wrapped, err := wrapper.Wrap(nil, material.Random(8))
	if err != nil {
		t.Fatal(err)
	}
	tenantKey, err := k.NewTenantKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	operations := map[string]func() error{
		"RowMAC":          func() error { _, err := k.RowMAC(1, nil); return err },
		"HMAC":            func() error { _, err := k.HMAC(seal.Lookup, nil); return err },
		"NewTenantKey":    func() error { _, err := k.NewTenantKey(nil); return err },
		"Tenant":          func() error { _, err := k.Tenant(nil, tenantKey); return err },
		"Tenant, garbage": func() error { _, err := k.Tenant(nil, nil); return err },
		"SealBytes":       func() error { _, err := k.SealBytes(seal.Token, nil, material.Random(8)); return err },
		"OpenBytes":       func() error { _, err := k.OpenBytes(seal.Token, nil, nil); return err },
		"Wrap":            func() error { _, err := wrapper.Wrap(nil, material.Random(8)); return err },
		"Unwrap":          func() error { _, err := wrapper.Unwrap(nil, wrapped); return err },
	}
	var users sync.WaitGroup
	for _, operation := range operations {
		users.Go(func() { // close while everything is in use; the race detector watches
			for range 50 {
				_ = operation()
			}
		})
	}
	k.Close()
	k.Close()
	users.Wait()
	for name, operation := range operations {
		if err := operation(); !fault.Is(err, fault.Sealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A hierarchy is one of everything that package seal stores, as released.
type hierarchy struct {
	Envelope   seal.Envelope
	Epoch      seal.Epoch
	TenantKey  []byte
	Material   []byte
	Token      []byte
	RowMAC     []byte
	LookupHMAC []byte
}

const goldenSecret = "golden secret of the released format"

// golden answers the released hierarchy; -update only creates it if it is missing.
func golden(t testing.TB) hierarchy {
	t.Helper()
	const path = "testdata/golden/hierarchy.json"
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) && *update {
		content, err = json.MarshalIndent(newHierarchy(t), "", "  ")
		if err == nil {
			err = os.WriteFile(path, append(content, '\n'), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var h hierarchy
	if err := json.Unmarshal(content, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

func newHierarchy(t testing.TB) hierarchy {
	t.Helper()
	store, k := initialized(t)
	r := rowsOf(t, store)
	h := hierarchy{Envelope: r.envelopes[0], Epoch: r.epochs[0]}
	var wrapper material.Wrapper
	secret := material.NewBytes([]byte(goldenSecret))
	for _, step := range []func() error{
		func() (err error) { h.TenantKey, err = k.NewTenantKey([]byte("tenant")); return err },
		func() (err error) { wrapper, err = k.Tenant([]byte("tenant"), h.TenantKey); return err },
		func() (err error) { h.Material, err = wrapper.Wrap([]byte("row"), secret); return err },
		func() (err error) { h.Token, err = k.SealBytes(seal.Token, []byte("page"), secret); return err },
		func() (err error) { h.RowMAC, err = k.RowMAC(1, []byte("row")); return err },
		func() (err error) { h.LookupHMAC, err = k.HMAC(seal.Lookup, []byte("token")); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func openGolden(t testing.TB) (hierarchy, *seal.Keyring, material.Wrapper) {
	t.Helper()
	h := golden(t)
	k, err := sealtest.Unseal(t.Context(), &rows{t, []seal.Envelope{h.Envelope}, []seal.Epoch{h.Epoch}}, passphrase(sealtest.Passphrase))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	wrapper, err := k.Tenant([]byte("tenant"), h.TenantKey)
	if err != nil {
		t.Fatal(err)
	}
	return h, k, wrapper
}

// TestGoldenHierarchy opens what was stored when the format was released.
func TestGoldenHierarchy(t *testing.T) {
	h, k, wrapper := openGolden(t)
	secret, err := wrapper.Unwrap([]byte("row"), h.Material)
	if err != nil || string(secret.Expose()) != goldenSecret {
		t.Errorf("material: %v", err)
	}
	secret, err = k.OpenBytes(seal.Token, []byte("page"), h.Token)
	if err != nil || string(secret.Expose()) != goldenSecret {
		t.Errorf("token: %v", err)
	}
	sum, err := k.RowMAC(1, []byte("row"))
	if diff := cmp.Diff(h.RowMAC, sum); err != nil || diff != "" {
		t.Errorf("row MAC: %s, %v", diff, err)
	}
	sum, err = k.HMAC(seal.Lookup, []byte("token"))
	if diff := cmp.Diff(h.LookupHMAC, sum); err != nil || diff != "" {
		t.Errorf("lookup HMAC: %s, %v", diff, err)
	}
}

// FuzzBlobs holds that no bytes but the released blobs open as any kind.
func FuzzBlobs(f *testing.F) {
	h, k, wrapper := openGolden(f)
	for _, blob := range [][]byte{h.TenantKey, h.Material, h.Token, h.Epoch.Wrapped, h.Envelope.Wrapped, []byte("KW\x01\x03"), nil} {
		f.Add(blob)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		_, tenantErr := k.Tenant([]byte("tenant"), blob)
		_, materialErr := wrapper.Unwrap([]byte("row"), blob)
		_, tokenErr := k.OpenBytes(seal.Token, []byte("page"), blob)
		got := [3]bool{tenantErr == nil, materialErr == nil, tokenErr == nil}
		want := [3]bool{bytes.Equal(blob, h.TenantKey), bytes.Equal(blob, h.Material), bytes.Equal(blob, h.Token)}
		if got != want {
			t.Errorf("opened %v, want %v", got, want)
		}
	})
}

func BenchmarkKeyring(b *testing.B) {
	k := sealtest.Keyring(b)
	row := make([]byte, 400)
	b.Run("RowMAC", func(b *testing.B) {
		for b.Loop() {
			if _, err := k.RowMAC(1, row); err != nil {
				b.Fatal(err)
			}
		}
	})
	wrapper := tenantOf(b, k, "tenant")
	wrapped, err := wrapper.Wrap(row, material.Random(32))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Unwrap", func(b *testing.B) {
		for b.Loop() {
			if _, err := wrapper.Unwrap(row, wrapped); err != nil {
				b.Fatal(err)
			}
		}
	})
}
