package key_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/storetest"
)

// One key pair signs and decrypts, whichever usage is the first, generated or imported.
func TestAdditionalUsages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		c, ctx := root(account), t.Context()
		for _, spec := range []material.Spec{material.RSA2048, material.SM2} {
			for _, pair := range [][2]key.Usage{{key.SignVerify, key.EncryptDecrypt}, {key.EncryptDecrypt, key.SignVerify}} {
				made := must(w.Create(ctx, c, lifecycle.CreateInput{Spec: spec, Usage: pair[0], More: pair[1:]}))(t)
				w.Changed("", "")
				k := must(w.Describe(ctx, c, string(made.ID)))(t)
				if k.Usage != pair[0] || cmp.Diff(pair[1:], k.More) != "" {
					t.Fatalf("%s: it is for %s and %v", spec, k.Usage, k.More)
				}
				in := cryptography.AsymmetricInput{Key: string(k.ID), Version: k.Primary, Algorithm: spec.SigningAlgorithms()[0]}
				digest := make([]byte, 32)
				signed := must(w.AsymmetricSign(ctx, c, in, digest))(t)
				if !must(w.AsymmetricVerify(ctx, c, in, digest, signed.Value))(t).Valid {
					t.Errorf("%s for %v: the signature does not verify", spec, pair)
				}
				in.Algorithm = spec.EncryptionAlgorithms()[0]
				sealed := must(w.AsymmetricEncrypt(ctx, c, in, material.NewBytes([]byte("hello"))))(t)
				if plain := must(w.AsymmetricDecrypt(ctx, c, in, sealed.Blob))(t); string(plain.Data.Expose()) != "hello" {
					t.Errorf("%s for %v: it decrypts to %q", spec, pair, plain.Data.Expose())
				}
			}
		}
	})
}

func TestRulesOfAdditionalUsages(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c, ctx := root(account), t.Context()
	for _, in := range []lifecycle.CreateInput{
		{Spec: material.RSA2048, More: []key.Usage{key.SignVerify}}, // the first already
		{Spec: material.RSA2048, More: []key.Usage{key.EncryptDecrypt, key.EncryptDecrypt}},
		{Spec: material.RSA2048, More: []key.Usage{key.MakeMAC}},
		{Spec: material.RSA2048, More: []key.Usage{""}},
		{Spec: material.RSA2048, More: []key.Usage{"encrypt/decrypt"}},
		{Spec: material.P256, More: []key.Usage{key.EncryptDecrypt}}, // cannot
		{Spec: material.AES256, More: []key.Usage{key.SignVerify}},
		{Spec: material.AES256, More: []key.Usage{key.EncryptDecrypt}},
		{Spec: material.HMAC256, More: []key.Usage{key.EncryptDecrypt}},
	} {
		_, err := w.Create(ctx, c, in)
		want(t, err, fault.InvalidParameter)
	}
	// A condition on the usage is about the use that is made of the key.
	k := must(w.Create(ctx, c, lifecycle.CreateInput{Spec: material.SM2, More: []key.Usage{key.EncryptDecrypt}}))(t)
	decrypter := user(t, account, "clerk", `{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:KeyUsage":"ENCRYPT/DECRYPT"}}}`)
	in := cryptography.AsymmetricInput{Key: string(k.ID), Version: k.Primary, Algorithm: material.SM2PKE}
	must(w.AsymmetricEncrypt(ctx, decrypter, in, material.NewBytes([]byte("hello"))))(t)
	in.Algorithm = material.SM2DSA
	_, err := w.AsymmetricSign(ctx, decrypter, in, make([]byte, 32))
	want(t, err, fault.NoPermission)
	_, err = w.Describe(ctx, decrypter, string(k.ID))
	want(t, err, fault.NoPermission) // the first usage stands for the key
}
