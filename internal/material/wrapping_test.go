package material_test

import (
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// Every wrapping carries every spec that it takes, and answers what Generate had made.
func TestWrappingsCarryMaterial(t *testing.T) {
	for _, spec := range material.Specs() {
		m, public, err := material.Generate(spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range material.Wrappings(spec) {
			wrappingKey, wrappingPublic, err := material.Generate(w.Key())
			if err != nil {
				t.Fatal(err)
			}
			wrapped, err := w.Wrap(wrappingPublic, m)
			if err != nil {
				t.Fatalf("%s of %s: %v", w, spec, err)
			}
			got, gotPublic, err := w.Unwrap(spec, wrappingKey, wrapped)
			if err != nil || !got.Equal(m) || !cmp.Equal(gotPublic, public) {
				t.Errorf("%s of %s: another key comes out, %v", w, spec, err)
			}
			authenticated := len(wrapped)
			if w == material.WrapOAEPAES {
				authenticated = 256 // the blocks behind are not, and of EC keys some are the public half, which is made anew
			}
			for at := 0; at < authenticated; at += 1 + len(wrapped)/7 {
				changed := append([]byte(nil), wrapped...)
				changed[at] ^= 1
				if got, _, err := w.Unwrap(spec, wrappingKey, changed); err == nil && got.Equal(m) {
					t.Errorf("%s of %s: changed at %d it is the same key", w, spec, at)
				}
			}
		}
	}
}

// What others wrap with the standard library opens, and what is of another spec does not.
func TestUnwrapOfOthers(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	oaep := func(m []byte) []byte {
		out, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &private.PublicKey, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	oaep1, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, &private.PublicKey, raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 a wrapping that is offered is tested
	pkcs1, err := rsa.EncryptPKCS1v15(rand.Reader, &private.PublicKey, raw)
	if err != nil {
		t.Fatal(err)
	}
	ec, ecPublic, err := material.Generate(material.P256)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	ecb := func(plain []byte) []byte {
		out := make([]byte, len(plain))
		for at := 0; at < len(plain); at += 16 {
			block.Encrypt(out[at:], plain[at:])
		}
		return out
	}
	padded := append([]byte(nil), ec.Expose()...)
	for n, i := 16-len(padded)%16, 0; i < n; i++ {
		padded = append(padded, byte(n))
	}
	for name, c := range map[string]struct {
		w       material.Wrapping
		spec    material.Spec
		wrapped []byte
		ok      bool
	}{
		"OAEP":                   {material.WrapOAEPSHA256, material.AES256, oaep(raw), true},
		"OAEP SHA-1":             {material.WrapOAEPSHA1, material.AES256, oaep1, true},
		"PKCS #1":                {material.WrapPKCS1, material.AES256, pkcs1, true},
		"PKCS #1, another size":  {material.WrapPKCS1, material.AES128, pkcs1, false},
		"PKCS #1 which is OAEP":  {material.WrapPKCS1, material.AES256, oaep(raw), false},
		"OAEP of another hash":   {material.WrapOAEPSHA256, material.AES256, oaep1, false},
		"another size":           {material.WrapOAEPSHA256, material.SM4, oaep(raw), false},
		"nothing":                {material.WrapOAEPSHA256, material.AES256, nil, false},
		"AES":                    {material.WrapOAEPAES, material.P256, append(oaep(raw), ecb(padded)...), true},
		"AES of another curve":   {material.WrapOAEPAES, material.P256K, append(oaep(raw), ecb(padded)...), false},
		"AES without a padding":  {material.WrapOAEPAES, material.P256, append(oaep(raw), ecb(padded[:len(padded)-16])...), false},
		"AES without blocks":     {material.WrapOAEPAES, material.P256, oaep(raw), false},
		"AES with half a block":  {material.WrapOAEPAES, material.P256, append(oaep(raw), ecb(padded)[:24]...), false},
		"AES with a short key":   {material.WrapOAEPAES, material.P256, append(oaep(raw[:16]), ecb(padded)...), false},
		"a wrapping of no name":  {"NONE", material.AES256, oaep(raw), false},
		"a key where bytes are":  {material.WrapOAEPSHA256, material.P256, oaep(raw), false},
		"SM2 with a private RSA": {material.WrapSM2, material.AES256, oaep(raw), false},
	} {
		m, public, err := c.w.Unwrap(c.spec, material.NewBytes(append([]byte(nil), der...)), c.wrapped)
		if !c.ok {
			if !fault.Is(err, fault.InvalidKeyMaterial) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		want, wantPublic := material.NewBytes(raw), []byte(nil)
		if !c.spec.Symmetric() {
			want, wantPublic = ec, ecPublic
		}
		if err != nil || !m.Equal(want) || !cmp.Equal(public, wantPublic) {
			t.Errorf("%s: %v, or another key", name, err)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	type pair struct{ private, public []byte }
	pairs := map[material.Spec]pair{}
	for _, spec := range []material.Spec{material.RSA2048, material.SM2} {
		private, public, err := material.Generate(spec)
		if err != nil {
			f.Fatal(err)
		}
		pairs[spec] = pair{private.Expose(), public}
	}
	all := []material.Wrapping{material.WrapOAEPSHA256, material.WrapOAEPSHA1, material.WrapPKCS1, material.WrapSM2, material.WrapOAEPAES, material.WrapSM2SM4}
	for i, w := range all {
		f.Add(byte(i), []byte{4})
		if w.Takes(material.SM2) {
			m, _, err := material.Generate(material.SM2)
			if err != nil {
				f.Fatal(err)
			}
			wrapped, err := w.Wrap(pairs[w.Key()].public, m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), wrapped)
		}
	}
	f.Fuzz(func(t *testing.T, n byte, wrapped []byte) {
		w := all[int(n)%len(all)]
		for _, spec := range []material.Spec{material.AES256, material.RSA2048, material.P256, material.P256K, material.SM2} {
			private := material.NewBytes(append([]byte(nil), pairs[w.Key()].private...))
			if m, _, err := w.Unwrap(spec, private, wrapped); err != nil && (!fault.Is(err, fault.InvalidKeyMaterial) || m.Len() != 0) {
				t.Errorf("%s: %v", w, err)
			}
		}
	})
}
