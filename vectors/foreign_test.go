package vectors_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/keyward/keyward/internal/material"
)

// withKeys are the beginnings of the names of files with public keys in DER or PEM.
var withKeys = []string{"ecdsa_", "ecdh_", "dsa_", "ed25519", "ed448", "x25519_asn", "x448_asn", "x25519_pem", "x448_pem", "rsa_pss_", "rsa_signature_"}

// TestForeignKeysAreRefused offers every public key of Wycheproof, in DER, to every
// asymmetric spec that it is not of.
func TestForeignKeysAreRefused(t *testing.T) {
	entries, err := fs.ReadDir(wycheproof.TestVectors, ".")
	if err != nil {
		t.Fatal(err)
	}
	keys, attempts := map[string]bool{}, 0
	for _, e := range entries {
		name := e.Name()
		if !slices.ContainsFunc(withKeys, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) || strings.Contains(name, "webcrypto") || strings.Contains(name, "ecpoint") {
			continue
		}
		for _, key := range publicKeys(t, name) {
			if keys[key] {
				continue
			}
			keys[key] = true
			for _, spec := range material.Specs() {
				if !spec.Asymmetric() || owns(spec, key) {
					continue
				}
				attempts++
				if _, err := material.OpenPublic(spec, []byte(key)); err == nil {
					t.Errorf("%s: a key of another kind opens as %s", name, spec)
				}
			}
		}
	}
	t.Logf("%d public keys, %d attempts", len(keys), attempts)
	checkSection(t, "keys", fmt.Sprintf("%d public keys, each opened as every asymmetric spec that it is not of: %d attempts, all refused.\n", len(keys), attempts))
}

// owns tells whether a key names the spec's curve; RSA keys are told apart by their size.
func owns(spec material.Spec, key string) bool {
	switch spec {
	case material.P256:
		return strings.Contains(key, "\x2a\x86\x48\xce\x3d\x03\x01\x07")
	case material.P256K:
		return strings.Contains(key, "\x2b\x81\x04\x00\x0a")
	case material.RSA2048, material.RSA3072, material.RSA4096:
		public, err := x509.ParsePKIXPublicKey([]byte(key))
		rsaKey, ok := public.(*rsa.PublicKey)
		return err == nil && ok && rsaSpec(rsaKey.N.BitLen()) == spec
	}
	return false
}

func publicKeys(t *testing.T, file string) []string {
	t.Helper()
	var s suite
	read(t, file, &s)
	var keys []string
	for _, g := range s.Groups {
		if len(g.PublicSPKI) > 0 {
			keys = append(keys, string(g.PublicSPKI))
		}
		for _, c := range g.Tests {
			var text string
			if json.Unmarshal(c.Public, &text) != nil || text == "" {
				continue // the case has no public key
			}
			if der, err := hex.DecodeString(text); err == nil {
				keys = append(keys, string(der))
			} else if block, _ := pem.Decode([]byte(text)); block != nil {
				keys = append(keys, string(block.Bytes))
			}
		}
	}
	return keys
}
