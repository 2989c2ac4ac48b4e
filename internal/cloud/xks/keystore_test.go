package xks_test

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/xks"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/store/kms"
)

// A bank has an instance named "bank", whose keys are at the world's other keyward.
type bank struct {
	*world
	*keytest.Services
	managers *xks.Keystore
}

func newBank(t *testing.T) *bank {
	t.Helper()
	b := &bank{world: newWorld(t)}
	b.Services = keytest.New(keytest.Options{
		Store: kms.Store{Store: b.Node.Store}, Tenants: b.IAM, Log: b.Node.Log, Now: b.Now,
		External: func(inner key.Keystore) (key.Keystore, instance.Manager) {
			b.managers = xks.NewKeystore(xks.KeystoreOptions{
				Inner: inner, Instances: kms.Store{Store: b.Node.Store}, Tenants: b.IAM, Timeout: 300 * time.Millisecond, Now: b.Now,
				Fresh: func() bool { return true }, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			})
			return b.managers, b.managers.Manager()
		},
	})
	_, err := b.Instances.Create(t.Context(), b.Root(), "bank", instance.External, b.connection(t))
	check(t, err)
	return b
}

// connection answers how the other keyward is reached now.
func (b *bank) connection(t *testing.T) form.Filling {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.server.Certificate().Raw})
	return form.Filling{
		Settings:   map[string]string{"endpoint": b.server.URL, "authorities": string(authority)},
		Credential: map[string]material.Bytes{"configuration": material.NewBytes(b.Configuration(t))},
	}
}

func (b *bank) make(t *testing.T, external string) (key.Key, error) {
	return b.Keys.Create(t.Context(), b.Root(), lifecycle.CreateInput{Instance: "bank", External: external})
}

func (b *bank) seal(t *testing.T, k key.Key, text string) ([]byte, error) {
	out, err := b.Crypto.Encrypt(t.Context(), b.Root(), cryptography.EncryptInput{Key: string(k.ID), Plaintext: material.NewBytes([]byte(text)), Context: material.Context{"a": "b"}})
	return out.Blob, err
}

func (b *bank) open(t *testing.T, ciphertext []byte) (string, error) {
	out, err := b.Crypto.Decrypt(t.Context(), b.Root(), cryptography.DecryptInput{Ciphertext: ciphertext, Context: material.Context{"a": "b"}})
	return string(out.Data.Expose()), err
}

// Keys whose other half is at a manager are used as any other key, several may share an
// external id, and without the manager nothing can be done with them.
func TestExternalKeys(t *testing.T) {
	b := newBank(t)
	outer := b.NewKey(t, "foo", offer.Both)
	first, err := b.make(t, "foo")
	check(t, err)
	second, err := b.make(t, "foo")
	check(t, err)
	sealed, err := b.seal(t, first, "canary-plaintext")
	check(t, err)
	header, err := material.ParseHeader(sealed)
	check(t, err)
	if header.Suite != material.SuiteExternal {
		t.Errorf("it is of suite %d", header.Suite)
	}
	other, err := b.seal(t, second, "canary-other")
	check(t, err)
	if got, err := b.open(t, sealed); err != nil || got != "canary-plaintext" {
		t.Errorf("it decrypts to %q: %v", got, err)
	}
	mixed := bytes.Clone(other)
	copy(mixed[4:36], sealed[4:36]) // the second key's ciphertext, under the name of the first
	if _, err := b.open(t, mixed); !fault.Is(err, fault.InvalidCiphertext) {
		t.Errorf("a ciphertext of the other key: %v", err)
	}
	check(t, b.world.Keys.Disable(t.Context(), b.Root(), string(outer.ID)))
	_, err = b.open(t, sealed)
	unavailable(t, "decrypting with a key that is disabled there", err)
	check(t, b.world.Keys.Enable(t.Context(), b.Root(), string(outer.ID)))
	check(t, b.Keys.Disable(t.Context(), b.Root(), string(first.ID)))
	b.Ring.Changed("", "")
	if _, err := b.open(t, sealed); !fault.Is(err, fault.KeyDisabled) {
		t.Errorf("a key that is disabled here: %v", err)
	}
}

// Whatever a manager does wrongly: no key is made, nothing is encrypted or decrypted, and when
// it does its work rightly again, so do the keys.
func TestExternalKeysAtAManagerThatMisbehaves(t *testing.T) {
	b := newBank(t)
	b.NewKey(t, "foo", offer.Both)
	b.NewKey(t, "bar", offer.Both)
	k, err := b.make(t, "foo")
	check(t, err)
	sealed, err := b.seal(t, k, "canary-plaintext")
	check(t, err)
	another, err := b.seal(t, k, "canary-another")
	check(t, err)
	var replayed any
	b.meddle("decrypt", func(a map[string]any) { replayed = a["plaintext"] })
	_, err = b.open(t, another)
	check(t, err)
	b.put(nil)
	before, err := kms.Store{Store: b.Node.Store}.KeysIn(t.Context(), k.Instance, "")
	check(t, err)
	for name, begin := range b.misbehaviours(t, replayed) {
		t.Run(name, func(t *testing.T) {
			begin()
			_, err := b.make(t, "foo")
			unavailable(t, "making a key", err)
			_, err = b.seal(t, k, "canary-plaintext")
			unavailable(t, "encrypting", err)
			if name != "another key's" { // which decrypts as it should
				_, err := b.open(t, sealed)
				if name == "another message" && fault.Is(err, fault.InvalidCiphertext) { // the two do not fit each other
					err = fault.KeyUnavailable.New("")
				}
				unavailable(t, "decrypting", err)
			}
			b.put(nil)
			b.Pass(time.Minute) // it was left alone for a while
			if got, err := b.open(t, sealed); err != nil || got != "canary-plaintext" {
				t.Errorf("afterwards it decrypts to %q: %v", got, err)
			}
		})
	}
	after, err := kms.Store{Store: b.Node.Store}.KeysIn(t.Context(), k.Instance, "")
	check(t, err)
	if after != before {
		t.Errorf("%d keys were made", after-before)
	}
}

// A manager that fails again and again is left alone, for all keys of its instance.
func TestInstancesAreLeftAlone(t *testing.T) {
	b := newBank(t)
	b.NewKey(t, "foo", offer.Both)
	k, err := b.make(t, "foo")
	check(t, err)
	asked := 0
	b.put(func(rw http.ResponseWriter, _ *http.Request) { asked++; rw.WriteHeader(http.StatusBadGateway) })
	for range 20 {
		_, err := b.seal(t, k, "x")
		unavailable(t, "encrypting", err)
	}
	if asked != 5 {
		t.Errorf("it was asked %d times", asked)
	}
}

// The connection of an instance can be replaced while its keys are in use.
func TestConnectionsAreReplaced(t *testing.T) {
	b := newBank(t)
	b.NewKey(t, "foo", offer.Both)
	k, err := b.make(t, "foo")
	check(t, err)
	sealed, err := b.seal(t, k, "canary-plaintext")
	check(t, err)
	old := b.Credential
	_, b.Credential, err = b.AddCredential(t.Context(), b.Root(), "aws")
	check(t, err)
	_, err = b.RemoveCredential(t.Context(), b.Root(), "aws", old.ID)
	check(t, err)
	_, err = b.open(t, sealed)
	unavailable(t, "decrypting with a credential that was removed", err)
	i, err := b.Instances.Connect(t.Context(), b.Root(), "bank", b.connection(t))
	check(t, err)
	b.managers.Changed("kms_instance", i.Account+"/"+i.ID)
	if got, err := b.open(t, sealed); err != nil || got != "canary-plaintext" {
		t.Errorf("it decrypts to %q: %v", got, err)
	}
}
