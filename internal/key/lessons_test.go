package key_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/storetest"
)

// L24: a rotation keeps what the key is and whose it is; what was encrypted before it
// still opens with its own context and account only, and so does what comes after.
func TestL24RotationKeepsScopeContextAndTenant(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	ctx := material.Context{"shop": "1"}
	k := must(w.Create(t.Context(), root(account), lifecycle.CreateInput{Tags: []key.Tag{{Key: "a", Value: "b"}}}))(t)
	before := must(encrypt(w, t, string(k.ID), "old", ctx))(t)
	w.now = w.now.Add(8 * 24 * time.Hour)
	v := must(w.CreateVersion(t.Context(), root(account), string(k.ID)))(t)
	after := must(encrypt(w, t, string(k.ID), "new", ctx))(t)
	if after.Version != v.ID || before.Version != k.Primary {
		t.Errorf("encrypted with %s and %s", before.Version, after.Version)
	}
	rotated := must(w.Describe(t.Context(), root(account), string(k.ID)))(t)
	expected := k
	expected.Primary, expected.Versions, expected.Rotation.Last, expected.Rev = v.ID, 2, v.CreatedAt, rotated.Rev
	if diff := cmp.Diff(expected, rotated); diff != "" {
		t.Errorf("the rotation changed more than the version: %s", diff)
	}
	for text, c := range map[string]cryptography.Ciphertext{"old": before, "new": after} {
		in := cryptography.DecryptInput{Ciphertext: c.Blob, Context: ctx}
		out := must(w.Decrypt(t.Context(), root(account), in))(t)
		if string(out.Data.Expose()) != text {
			t.Errorf("%s opens as something else", text)
		}
		_, err := w.Decrypt(t.Context(), root("1000000000000002"), in)
		want(t, err, fault.KeyNotFound)
		in.Context = material.Context{"shop": "2"}
		_, err = w.Decrypt(t.Context(), root(account), in)
		want(t, err, fault.InvalidCiphertext)
	}
}
