package certificate_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"github.com/keyward/keyward/internal/cloud/certificate"
	"github.com/keyward/keyward/internal/cloud/certificate/certificatetest"
)

func TestParseKey(t *testing.T) {
	for _, algorithm := range []string{"RSA", "ECDSA", "Ed25519", "SM2"} {
		issued := certificatetest.Issue(t, certificatetest.Template{Algorithm: algorithm}, nil)
		der := issued.KeyDER(t)
		text := base64.StdEncoding.EncodeToString(der)
		forms := map[string][]byte{
			"PEM": issued.KeyPEM(t), "DER": der, "Base64": []byte(text), "lines": []byte("\n" + text[:20] + "\r\n " + text[20:] + "\n"),
			"after a certificate": append(issued.PEM(), issued.KeyPEM(t)...),
		}
		for name, content := range forms {
			key, err := certificate.ParseKey(content)
			if err != nil {
				t.Errorf("%s as %s: %v", algorithm, name, err)
				continue
			}
			if err := certificate.Proves(key, issued.Certificate.PublicKey); err != nil {
				t.Errorf("%s as %s: %v", algorithm, name, err)
			}
			if err := certificate.Proves(key, certificatetest.Key(t, algorithm).Public()); err == nil {
				t.Errorf("%s as %s proves another key", algorithm, name)
			}
		}
		public, err := smx509.MarshalPKIXPublicKey(issued.Key.Public())
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range [][]byte{public, []byte(base64.StdEncoding.EncodeToString(public)), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})} {
			if key, err := certificate.ParsePublicKey(content); err != nil || !certificate.SameKey(key, issued.Key.Public()) {
				t.Errorf("%s: public key: %v", algorithm, err)
			}
		}
	}
}

// What ends with a byte that is white space in text is whole all the same.
func TestDERIsNoText(t *testing.T) {
	for tries := 0; ; tries++ {
		issued := certificatetest.Issue(t, certificatetest.Template{}, nil)
		der := issued.KeyDER(t)
		if !bytes.ContainsRune([]byte(" \n\r\t"), rune(der[len(der)-1])) && tries < 10_000 {
			continue
		}
		if _, err := certificate.ParseKey(der); err != nil {
			t.Error(err)
		}
		return
	}
}

func TestKeysThatAreRefusedAreNotShown(t *testing.T) {
	key := certificatetest.Issue(t, certificatetest.Template{Algorithm: "RSA"}, nil)
	der := key.KeyDER(t)
	damaged := bytes.Clone(der)
	damaged[200] ^= 1
	for name, content := range map[string][]byte{
		"nothing": nil, "words": []byte("CANARY-fake"), "half": der[:len(der)/2], "damaged": damaged, "certificate": key.PEM(), "huge": make([]byte, 5001),
		"encrypted": pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}),
		"old":       pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: der}),
	} {
		if _, err := certificate.ParseKey(content); err == nil || strings.Contains(err.Error(), "CANARY") || len(err.Error()) > 150 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseTakesWhatItCan(t *testing.T) {
	a := certificatetest.Issue(t, certificatetest.Template{Name: "a"}, nil)
	b := certificatetest.Issue(t, certificatetest.Template{Name: "b", Algorithm: "SM2"}, nil)
	for name, content := range map[string][]byte{
		"PEM": append(a.PEM(), b.PEM()...), "DER": slices.Concat(a.Certificate.Raw, b.Certificate.Raw),
		"Base64": []byte(base64.StdEncoding.EncodeToString(slices.Concat(a.Certificate.Raw, b.Certificate.Raw))),
	} {
		if certs, err := certificate.Parse(content); err != nil || len(certs) != 2 || certs[1].Subject.CommonName != "b" {
			t.Errorf("%s: %d, %v", name, len(certs), err)
		}
	}
	if certs, err := certificate.Parse(bytes.Repeat(a.PEM(), 1001)); err == nil || len(certs) != 1000 {
		t.Errorf("endless: %d, %v", len(certs), err)
	}
}

func FuzzParse(f *testing.F) {
	a := certificatetest.Issue(f, certificatetest.Template{Name: "a", Names: []string{"a"}}, nil)
	b := certificatetest.Issue(f, certificatetest.Template{Name: "b", Algorithm: "SM2", Authority: true}, nil)
	for _, seed := range [][]byte{nil, a.PEM(), b.Certificate.Raw, a.KeyPEM(f), b.KeyDER(f), append(a.KeyPEM(f), a.PEM()...)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		certs, err := certificate.Parse(content)
		if len(certs) == 0 && err == nil {
			t.Error("nothing was read, and nothing was wrong")
		}
		for _, c := range certs {
			if seen := certificate.Observe(c, time.Unix(1800000000, 0)); len(seen.ID) != 64 || len(seen.Detail["subject"]) > 600 {
				t.Errorf("%+v", seen)
			}
		}
		if key, err := certificate.ParseKey(content); err == nil {
			if err := certificate.Proves(key, key.Public()); err != nil && !strings.Contains(err.Error(), "damaged") {
				t.Error(err)
			}
		}
		if key, err := certificate.ParsePublicKey(content); err == nil {
			certificate.Algorithm(key)
		}
	})
}
