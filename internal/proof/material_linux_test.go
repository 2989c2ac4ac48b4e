package proof

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/software"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
)

// openMaterial opens the dead server's database with the passphrase and unwraps every key
// version, with the product's own services. It answers the secrets that are gone when
// nobody uses them, and those that stay while the server is unsealed.
func openMaterial(t *testing.T, s *server) (keys, always []known) {
	t.Helper()
	ctx := t.Context()
	db, err := database.Open(ctx, s.url)
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := sealtest.Unseal(ctx, db, material.NewBytes([]byte(passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	logs, err := db.Logs(ctx)
	if err != nil || len(logs) != 1 {
		t.Fatalf("%d audit logs, %v", len(logs), err)
	}
	signer, err := keyring.OpenBytes(seal.AuditSign, material.Binding("keyward-audit-key/v1", logs[0].Origin), logs[0].SealedKey)
	if err != nil {
		t.Fatal(err)
	}
	always = append(always, knownBytes("audit log's key", signer.Expose()))

	if err := db.Close(); err != nil { // the node of storetest opens its own
		t.Fatal(err)
	}
	var service *keytest.Services
	node := storetest.Start(t, storetest.Options{URL: s.url, Origin: "keyward/memory-test", Keys: keyring, Now: time.Now,
		Changed: func(table, id string) { service.Changed(table, id) }})
	fresh := func() bool { return true }
	people, err := iam.New(iam.Options{Store: identity.Store{Store: node.Store}, Log: node.Log, Keyring: keyring, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Fresh: fresh})
	if err != nil {
		t.Fatal(err)
	}
	unwrapped := &unwrapped{Tenants: people}
	service = keytest.New(keytest.Options{Store: kms.Store{Store: node.Store}, Tenants: unwrapped, Log: node.Log, Region: "cn-hangzhou", Now: time.Now, Fresh: fresh})
	admin, err := people.Credential(ctx, s.key.AccessKeyID)
	if err != nil {
		t.Fatal(err)
	}
	call := func() *authz.Call { return &authz.Call{Principal: admin.Principal, Time: time.Now()} }
	for number := 1; ; number++ {
		all, total, err := kms.Store{Store: node.Store}.Keys(ctx, admin.Principal.Account, key.Filter{}, key.Page{Number: number, Size: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range all {
			use(t, service, call, k)
		}
		if number*100 >= total {
			break
		}
	}
	return unwrapped.known(t), always
}

// use has a key's material unwrapped, and uses it for nothing.
func use(t *testing.T, service *keytest.Services, call func() *authz.Call, k key.Key) {
	t.Helper()
	if k.State == key.Disabled {
		if err := service.Enable(t.Context(), call(), string(k.ID)); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if k.Spec.Symmetric() {
		_, err = service.Encrypt(t.Context(), call(), cryptography.EncryptInput{Key: string(k.ID), Plaintext: material.NewBytes([]byte("x")), DryRun: true})
	} else if k.Spec.MAC() {
		_, err = service.GenerateMAC(t.Context(), call(), cryptography.MACInput{Key: string(k.ID), Message: material.NewBytes([]byte("x")), DryRun: true})
	} else {
		_, err = service.AsymmetricSign(t.Context(), call(), cryptography.AsymmetricInput{
			Key: string(k.ID), Version: k.Primary, Algorithm: k.Spec.SigningAlgorithms()[0], DryRun: true}, make([]byte, 32))
	}
	if !fault.Is(err, fault.DryRun) {
		t.Fatalf("unwrapping key %s: %v", k.ID, err)
	}
}

// An unwrapped remembers what is unwrapped.
type unwrapped struct {
	software.Tenants

	mu     sync.Mutex // guards opened
	opened [][]byte
}

// Tenant implements software.Tenants.
func (r *unwrapped) Tenant(ctx context.Context, account string) (material.Wrapper, error) {
	w, err := r.Tenants.Tenant(ctx, account)
	return unwrapping{w, r}, err
}

type unwrapping struct {
	material.Wrapper
	to *unwrapped
}

// Unwrap implements material.Wrapper.
func (r unwrapping) Unwrap(binding, wrapped []byte) (material.Bytes, error) {
	m, err := r.Wrapper.Unwrap(binding, wrapped)
	r.to.mu.Lock()
	defer r.to.mu.Unlock()
	r.to.opened = append(r.to.opened, slices.Clone(m.Expose()))
	return m, err
}

// known answers what was unwrapped in the forms in which it could lie in memory.
func (r *unwrapped) known(t *testing.T) (out []known) {
	for i, m := range r.opened {
		name := fmt.Sprintf("key version %d", i)
		switch {
		case len(m) <= 32:
			out = append(out, knownHMAC(t, name, m))
		default:
			k := known{name, map[string][]byte{}}
			for part, number := range privateNumbers(t, m) {
				k.forms[part] = number
				k.forms[part+", little endian"] = reversed(number)
			}
			out = append(out, k)
		}
	}
	return out
}

// privateNumbers answers the secret numbers of a PKCS#8 key, as big-endian bytes.
func privateNumbers(t *testing.T, pkcs8 []byte) map[string][]byte {
	t.Helper()
	if parsed, err := x509.ParsePKCS8PrivateKey(pkcs8); err == nil {
		if r, ok := parsed.(*rsa.PrivateKey); ok {
			return map[string][]byte{"d": r.D.Bytes(), "p": r.Primes[0].Bytes(), "q": r.Primes[1].Bytes()}
		}
	}
	var outer struct {
		Version   int
		Algorithm asn1.RawValue
		Inner     []byte
	}
	var inner struct {
		Version int
		Secret  []byte
		Rest    asn1.RawValue `asn1:"optional,explicit,tag:0"`
		Point   asn1.RawValue `asn1:"optional,explicit,tag:1"`
	}
	if _, err := asn1.Unmarshal(pkcs8, &outer); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(outer.Inner, &inner); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"secret number": inner.Secret}
}
