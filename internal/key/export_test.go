package key_test

import (
	"testing"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A partner has a key pair of its own, to which data keys are exported.
type partner struct {
	*material.Private
	cryptography.Export
}

func newPartner(t *testing.T, w material.Wrapping) partner {
	t.Helper()
	m, public, err := material.Generate(w.Key())
	if err != nil {
		t.Fatal(err)
	}
	return partner{must(material.OpenPrivate(w.Key(), m))(t), cryptography.Export{PublicKey: public, Wrapping: w}}
}

// opens answers what was wrapped for the partner.
func (p partner) opens(t *testing.T, wrapped []byte) material.Bytes {
	t.Helper()
	return must(p.Decrypt(material.Algorithm(p.Wrapping), wrapped))(t) // the names are the same
}

// Every wrapping hands over the data key that the ciphertext has.
func TestExportedDataKeys(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c, ctx := root(account), t.Context()
	k := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	of := material.Context{"for": "files"}
	for _, wrapping := range cryptography.ExportWrappings() {
		p := newPartner(t, wrapping)
		made := must(w.GenerateAndExportDataKey(ctx, c, cryptography.DataKeyInput{Key: string(k.ID), Size: 32, Context: of}, p.Export))(t)
		again := must(w.ExportDataKey(ctx, c, cryptography.ExportInput{Ciphertext: made.Blob, Context: of, To: p.Export}))(t)
		plain := must(w.Decrypt(ctx, c, cryptography.DecryptInput{Ciphertext: made.Blob, Context: of}))(t).Data
		if plain.Len() != 32 || !p.opens(t, made.Wrapped).Equal(plain) || !p.opens(t, again.Wrapped).Equal(plain) {
			t.Errorf("%s: another data key was wrapped", wrapping)
		}
		if made.Key != k.ID || made.Version != k.Primary || again.Key != k.ID || again.Version != k.Primary || len(again.Blob) != 0 {
			t.Errorf("%s: %+v, %+v", wrapping, made.Ciphertext, again.Ciphertext)
		}
		_, err := w.ExportDataKey(ctx, c, cryptography.ExportInput{Ciphertext: made.Blob, To: p.Export})
		want(t, err, fault.InvalidCiphertext)
		_, err = w.ExportDataKey(ctx, root("2000000000000002"), cryptography.ExportInput{Ciphertext: made.Blob, Context: of, To: p.Export})
		want(t, err, fault.KeyNotFound)
		_, err = w.ExportDataKey(ctx, c, cryptography.ExportInput{Ciphertext: made.Blob, Context: of, To: p.Export, DryRun: true})
		want(t, err, fault.DryRun)
		_, err = w.GenerateAndExportDataKey(ctx, c, cryptography.DataKeyInput{Key: string(k.ID), Size: 32, DryRun: true}, p.Export)
		want(t, err, fault.DryRun)
	}
}

func TestWhatIsNotExported(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c, ctx := root(account), t.Context()
	k := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	rsa, sm2 := newPartner(t, material.WrapOAEPSHA256).Export, newPartner(t, material.WrapSM2).Export
	_, large, err := material.Generate(material.RSA3072)
	if err != nil {
		t.Fatal(err)
	}
	generate := func(size int, to cryptography.Export) error {
		_, err := w.GenerateAndExportDataKey(ctx, c, cryptography.DataKeyInput{Key: string(k.ID), Size: size}, to)
		return err
	}
	for name, to := range map[string]cryptography.Export{
		"no wrapping":               {PublicKey: rsa.PublicKey},
		"PKCS #1":                   {PublicKey: rsa.PublicKey, Wrapping: material.WrapPKCS1},
		"a wrapping of two parts":   {PublicKey: rsa.PublicKey, Wrapping: material.WrapOAEPAES},
		"no public key":             {Wrapping: rsa.Wrapping},
		"a public key cut off":      {PublicKey: rsa.PublicKey[:100], Wrapping: rsa.Wrapping},
		"a public key and more":     {PublicKey: append(rsa.PublicKey[:len(rsa.PublicKey):len(rsa.PublicKey)], 0), Wrapping: rsa.Wrapping},
		"RSA of another size":       {PublicKey: large, Wrapping: rsa.Wrapping},
		"the public key of another": {PublicKey: sm2.PublicKey, Wrapping: rsa.Wrapping},
	} {
		if err := generate(32, to); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.ExportDataKey(ctx, c, cryptography.ExportInput{Ciphertext: []byte("x"), To: to}); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, size := range []int{0, -1, 191, key.MaxDataKey + 1} {
		want(t, generate(size, rsa), fault.InvalidParameter)
	}
	for size, to := range map[int]cryptography.Export{190: rsa, 1: rsa, key.MaxDataKey: sm2} {
		if err := generate(size, to); err != nil {
			t.Errorf("%d bytes by %s: %v", size, to.Wrapping, err)
		}
	}
	signing := must(w.Create(ctx, c, lifecycle.CreateInput{Spec: material.P256}))(t)
	_, err = w.GenerateAndExportDataKey(ctx, c, cryptography.DataKeyInput{Key: string(signing.ID), Size: 32}, rsa)
	want(t, err, fault.UnsupportedOperation)
	sealed := must(w.GenerateDataKeyWithoutPlaintext(ctx, c, cryptography.DataKeyInput{Key: string(k.ID), Size: 32}))(t).Blob
	if err := w.Disable(ctx, c, string(k.ID)); err != nil {
		t.Fatal(err)
	}
	want(t, generate(32, rsa), fault.KeyDisabled)
	_, err = w.ExportDataKey(ctx, c, cryptography.ExportInput{Ciphertext: sealed, To: rsa})
	want(t, err, fault.KeyDisabled)
}
