package key_test

import (
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/byok"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/mac"
	"github.com/keyward/keyward/internal/store/storetest"
)

// external makes a key that waits for material.
func (w *world) external(t *testing.T, spec material.Spec) key.Key {
	t.Helper()
	return must(w.Create(t.Context(), root(account), lifecycle.CreateInput{Spec: spec, Origin: key.OriginExternal}))(t)
}

// wrapped answers an import of material into a key, never expiring.
func (w *world) wrapped(t *testing.T, k key.Key, by material.Wrapping, m material.Bytes) byok.Input {
	t.Helper()
	p := must(w.Imports.Parameters(t.Context(), root(account), string(k.ID), by))(t)
	return byok.Input{Key: string(k.ID), Token: p.Token, Material: must(by.Wrap(p.PublicKey, m))(t)}
}

func (w *world) give(t *testing.T, in byok.Input) {
	t.Helper()
	if err := w.Imports.Import(t.Context(), root(account), in); err != nil {
		t.Fatal(err)
	}
}

func (w *world) state(t *testing.T, k key.Key, want key.State) key.Key {
	t.Helper()
	now := must(w.Describe(t.Context(), root(account), string(k.ID)))(t)
	if now.State != want {
		t.Errorf("the key is %s, want %s", now.State, want)
	}
	return now
}

// Material of every spec arrives by every wrapping and works; it is the material that was sent.
func TestImportedMaterialWorks(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	for _, spec := range material.Specs() {
		m, public, err := material.Generate(spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range material.Wrappings(spec) {
			k := w.external(t, spec)
			w.state(t, k, key.PendingImport)
			in := w.wrapped(t, k, by, m)
			w.give(t, in)
			w.state(t, k, key.Enabled)
			if spec.Symmetric() {
				ct := must(encrypt(w, t, string(k.ID), "hello", nil))(t)
				pt := must(w.Decrypt(t.Context(), root(account), cryptography.DecryptInput{Ciphertext: ct.Blob}))(t)
				if string(pt.Data.Expose()) != "hello" {
					t.Errorf("%s by %s: it decrypts to something else", spec, by)
				}
				continue
			}
			if spec.MAC() {
				ours := must(w.GenerateMAC(t.Context(), root(account), cryptography.MACInput{Key: string(k.ID), Message: material.NewBytes([]byte("hello"))}))(t)
				if !must(mac.New(spec, m))(t).Verify([]byte("hello"), ours.Value) {
					t.Errorf("%s by %s: the MAC is not of the key that was imported", spec, by)
				}
				continue
			}
			alg, digest := spec.SigningAlgorithms()[0], make([]byte, 32)
			s := must(w.AsymmetricSign(t.Context(), root(account), cryptography.AsymmetricInput{Key: string(k.ID), Version: k.Primary, Algorithm: alg}, digest))(t)
			theirs := must(material.OpenPublic(spec, public))(t)
			if ok, err := theirs.Verify(alg, digest, s.Value); !ok || err != nil {
				t.Errorf("%s by %s: the signature is not of the key that was imported: %v", spec, by, err)
			}
		}
	}
}

// A key takes one material for ever, and what it encrypted opens again once it is back.
func TestSameMaterialOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		c := root(account)
		k, m := w.external(t, material.AES256), material.Random(32)
		_, err := encrypt(w, t, string(k.ID), "x", nil)
		want(t, err, fault.KeyPendingImport)
		want(t, w.Enable(t.Context(), c, string(k.ID)), fault.StateConflict)
		in := w.wrapped(t, k, material.WrapOAEPSHA256, m)
		other := w.wrapped(t, k, material.WrapOAEPSHA256, material.Random(32))
		w.give(t, in)
		w.give(t, in) // the token lasts for its day
		want(t, w.Imports.Import(t.Context(), c, other), fault.InvalidKeyMaterial)
		ct := must(encrypt(w, t, string(k.ID), "hello", nil))(t)

		if err := w.Imports.Delete(t.Context(), c, string(k.ID)); err != nil {
			t.Fatal(err)
		}
		w.state(t, k, key.PendingImport)
		_, err = w.Decrypt(t.Context(), c, cryptography.DecryptInput{Ciphertext: ct.Blob})
		want(t, err, fault.KeyPendingImport)
		want(t, w.Imports.Import(t.Context(), c, other), fault.InvalidKeyMaterial)
		w.state(t, k, key.PendingImport)

		if err := w.ScheduleDeletion(t.Context(), c, string(k.ID), 7); err != nil {
			t.Fatal(err)
		}
		want(t, w.Imports.Import(t.Context(), c, in), fault.StateConflict)
		if err := w.CancelDeletion(t.Context(), c, string(k.ID)); err != nil {
			t.Fatal(err)
		}
		w.state(t, k, key.PendingImport)
		w.give(t, in)
		pt := must(w.Decrypt(t.Context(), c, cryptography.DecryptInput{Ciphertext: ct.Blob}))(t)
		if string(pt.Data.Expose()) != "hello" {
			t.Error("what was encrypted before does not open")
		}
		_, err = w.CreateVersion(t.Context(), c, string(k.ID))
		want(t, err, fault.UnsupportedOperation)
		want(t, w.UpdateRotationPolicy(t.Context(), c, string(k.ID), true, 7*24*time.Hour), fault.UnsupportedOperation)
	})
}

// Material is deleted when its time has come, not before, and an import moves the time.
func TestImportedMaterialExpires(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		k, m := w.external(t, material.SM4), material.Random(16)
		in := w.wrapped(t, k, material.WrapSM2, m)
		in.ExpireAt = w.clock()
		want(t, w.Imports.Import(t.Context(), root(account), in), fault.InvalidParameter)
		in.ExpireAt = w.clock().Add(time.Hour)
		w.give(t, in)
		w.pass(t, 30*time.Minute)
		in.ExpireAt = w.clock().Add(time.Hour)
		w.give(t, in)
		w.pass(t, time.Hour-time.Second)
		if now := w.state(t, k, key.Enabled); !now.ExpireAt.Equal(in.ExpireAt) {
			t.Errorf("the material expires %s, want %s", now.ExpireAt, in.ExpireAt)
		}
		w.pass(t, time.Second)
		w.state(t, k, key.PendingImport)
		in.ExpireAt = time.Time{}
		w.give(t, in)
		w.pass(t, 1000*24*time.Hour)
		if now := w.state(t, k, key.Enabled); !now.ExpireAt.IsZero() {
			t.Errorf("the material expires %s, want never", now.ExpireAt)
		}
	})
}

// A token is good for its key and its day, and nothing that was changed in it is believed.
func TestImportTokens(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c := root(account)
	k, other, made := w.external(t, material.AES256), w.external(t, material.AES256), must(w.Create(t.Context(), c, lifecycle.CreateInput{}))(t)
	in := w.wrapped(t, k, material.WrapOAEPSHA256, material.Random(32))
	_, err := w.Imports.Parameters(t.Context(), c, string(made.ID), material.WrapOAEPSHA256)
	want(t, err, fault.UnsupportedOrigin)
	_, err = w.Imports.Parameters(t.Context(), c, string(k.ID), material.WrapOAEPAES)
	want(t, err, fault.InvalidParameter)
	_, err = w.Imports.Parameters(t.Context(), c, string(k.ID), "")
	want(t, err, fault.InvalidParameter)
	want(t, w.Imports.Delete(t.Context(), c, string(made.ID)), fault.UnsupportedOrigin)

	wrong := in
	wrong.Key = string(other.ID)
	want(t, w.Imports.Import(t.Context(), c, wrong), fault.InvalidImportToken)
	for at := range in.Token[:60] {
		wrong = in
		wrong.Token = append([]byte(nil), in.Token...)
		wrong.Token[at] ^= 1
		want(t, w.Imports.Import(t.Context(), c, wrong), fault.InvalidImportToken)
	}
	for size := range 60 {
		wrong.Token = in.Token[:size]
		want(t, w.Imports.Import(t.Context(), c, wrong), fault.InvalidImportToken)
	}
	wrong = in
	wrong.Material = in.Material[1:]
	want(t, w.Imports.Import(t.Context(), c, wrong), fault.InvalidKeyMaterial)
	w.state(t, k, key.PendingImport)
	w.pass(t, byok.TokenLife-time.Second)
	w.give(t, in)
	w.pass(t, time.Second)
	want(t, w.Imports.Import(t.Context(), c, in), fault.ExpiredImportToken)
}
