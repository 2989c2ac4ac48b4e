package key_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/storetest"
)

func macOf(k key.Key, message string) cryptography.MACInput {
	return cryptography.MACInput{Key: string(k.ID), Algorithm: material.Algorithm(k.Spec), Message: material.NewBytes([]byte(message))}
}

func TestMACs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		c, ctx := root(account), t.Context()
		for _, spec := range []material.Spec{material.HMAC224, material.HMAC256, material.HMAC384, material.HMAC512, material.HMACSM3} {
			k := must(w.Create(ctx, c, lifecycle.CreateInput{Spec: spec}))(t)
			if k.Usage != key.MakeMAC {
				t.Errorf("%s: default usage %s", spec, k.Usage)
			}
			made := must(w.GenerateMAC(ctx, c, macOf(k, "hello")))(t)
			if made.Key != k.ID || made.Version != k.Primary || made.Algorithm != material.Algorithm(spec) || len(made.Value) != spec.KeySize() {
				t.Errorf("%s: made %+v", spec, made)
			}
			w.Changed("", "") // the stored material makes the same MAC
			unnamed := macOf(k, "hello")
			unnamed.Algorithm = ""
			if v := must(w.VerifyMAC(ctx, c, unnamed, made.Value))(t); !v.Valid || v.Algorithm != material.Algorithm(spec) {
				t.Errorf("%s: its own MAC: %+v", spec, v)
			}
			for message, mac := range map[string][]byte{"hallo": made.Value, "hello": made.Value[:len(made.Value)-1]} {
				if v := must(w.VerifyMAC(ctx, c, macOf(k, message), mac))(t); v.Valid {
					t.Errorf("%s: a MAC of %d bytes of %q is valid", spec, len(mac), message)
				}
			}
			other := must(w.Create(ctx, c, lifecycle.CreateInput{Spec: spec}))(t)
			if v := must(w.VerifyMAC(ctx, c, macOf(other, "hello"), made.Value))(t); v.Valid {
				t.Errorf("%s: the MAC of another key is valid", spec)
			}
		}
	})
}

func TestRulesOfMACs(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c, ctx := root(account), t.Context()
	k := must(w.Create(ctx, c, lifecycle.CreateInput{Spec: material.HMAC256}))(t)
	id := string(k.ID)
	mac := must(w.GenerateMAC(ctx, c, macOf(k, "x")))(t).Value

	for _, size := range []int{0, key.MaxMessage + 1} {
		_, err := w.GenerateMAC(ctx, c, macOf(k, strings.Repeat("x", size)))
		want(t, err, fault.InvalidParameter)
		_, err = w.VerifyMAC(ctx, c, macOf(k, strings.Repeat("x", size)), mac)
		want(t, err, fault.InvalidParameter)
	}
	must(w.GenerateMAC(ctx, c, macOf(k, strings.Repeat("x", key.MaxMessage))))(t)
	_, err := w.VerifyMAC(ctx, c, macOf(k, "x"), nil)
	want(t, err, fault.MissingParameter)
	for _, algorithm := range []material.Algorithm{"HMAC_SHA_512", "hmac_sha_256", "SM2DSA"} {
		in := macOf(k, "x")
		in.Algorithm = algorithm
		_, err = w.GenerateMAC(ctx, c, in)
		want(t, err, fault.UnsupportedOperation)
	}
	dry := macOf(k, "x")
	dry.DryRun = true
	_, err = w.GenerateMAC(ctx, c, dry)
	want(t, err, fault.DryRun)
	_, err = w.VerifyMAC(ctx, c, dry, mac)
	want(t, err, fault.DryRun)

	// It is for nothing else, and nothing else is for this.
	_, err = encrypt(w, t, id, "x", nil)
	want(t, err, fault.UnsupportedOperation)
	_, err = w.AsymmetricSign(ctx, c, cryptography.AsymmetricInput{Key: id, Version: k.Primary, Algorithm: material.ECDSASHA256}, make([]byte, 32))
	want(t, err, fault.UnsupportedOperation)
	_, err = w.PublicKey(ctx, c, id, k.Primary, false)
	want(t, err, fault.UnsupportedOperation)
	for _, spec := range []material.Spec{material.AES256, material.P256} {
		_, err = w.GenerateMAC(ctx, c, macOf(must(w.Create(ctx, c, lifecycle.CreateInput{Spec: spec}))(t), "x"))
		want(t, err, fault.UnsupportedOperation)
	}
	for _, usage := range []key.Usage{key.EncryptDecrypt, key.SignVerify} {
		_, err = w.Create(ctx, c, lifecycle.CreateInput{Spec: material.HMAC256, Usage: usage})
		want(t, err, fault.InvalidParameter)
	}

	// It has one version for ever.
	w.pass(t, 30*24*time.Hour)
	_, err = w.CreateVersion(ctx, c, id)
	want(t, err, fault.UnsupportedOperation)
	want(t, w.UpdateRotationPolicy(ctx, c, id, true, 30*24*time.Hour), fault.UnsupportedOperation)
	_, err = w.Create(ctx, c, lifecycle.CreateInput{Spec: material.HMAC256, Rotate: true, Interval: 30 * 24 * time.Hour})
	want(t, err, fault.UnsupportedOperation)

	_, err = w.GenerateMAC(ctx, root("2000000000000002"), macOf(k, "x"))
	want(t, err, fault.KeyNotFound)
	if err := w.Disable(ctx, c, id); err != nil {
		t.Fatal(err)
	}
	_, err = w.VerifyMAC(ctx, c, macOf(k, "x"), mac)
	want(t, err, fault.KeyDisabled)
}

func TestRandom(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c, ctx := root(account), t.Context()
	for _, size := range []int{-1, 0, key.MaxRandom + 1} {
		_, err := w.Random(ctx, c, size)
		want(t, err, fault.InvalidParameter)
	}
	one, two := must(w.Random(ctx, c, key.MaxRandom))(t), must(w.Random(ctx, c, key.MaxRandom))(t)
	if one.Len() != key.MaxRandom || one.Equal(two) {
		t.Errorf("%d bytes, twice the same: %v", one.Len(), one.Equal(two))
	}
	nobody := &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Name: "nobody"}, Time: time.Now()}
	_, err := w.Random(ctx, nobody, 16)
	want(t, err, fault.NoPermission)
}
