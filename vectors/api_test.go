package vectors_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/material"
)

// A probe is one request to the server, and whether it must be accepted.
type probe struct {
	name string
	want bool
	// send answers whether the server accepts what it is given.
	send func(ctx context.Context) (bool, error)
}

// A remote is a key of the server.
type remote struct {
	*client.Client
	spec    material.Spec
	id      string
	version string
	spki    []byte // of asymmetric keys
}

// create makes a key for one use: material that was made here is imported.
func create(t *testing.T, c *client.Client, spec material.Spec, usage string) remote {
	t.Helper()
	m, spki, err := material.Generate(spec)
	if err != nil {
		t.Fatal(err)
	}
	r, err := imports(t.Context(), c, spec, usage, m)
	if err != nil {
		t.Fatal(err)
	}
	if !spec.Asymmetric() {
		return r
	}
	public, err := c.GetPublicKey(t.Context(), r.id, r.version)
	if err != nil || !bytes.Equal(public.DER, spki) {
		t.Fatalf("the public key of spec %s is not the one that was imported: %v", spec, err)
	}
	r.spki = spki
	return r
}

const (
	forSigning    = "SIGN/VERIFY"
	forEncryption = "ENCRYPT/DECRYPT"
)

// sign answers a genuine signature.
func (r remote) sign(t *testing.T, a material.Algorithm, digest []byte) []byte {
	t.Helper()
	s, err := r.Sign(t.Context(), api.SignRequest{Key: r.id, Version: r.version, Algorithm: string(a), Digest: digest})
	if err != nil {
		t.Fatal(err)
	}
	return s.Signature
}

// verifying is a probe of AsymmetricVerify.
func (r remote) verifying(name string, a material.Algorithm, digest, signature []byte, want bool) probe {
	in := api.VerifyRequest{Key: r.id, Version: r.version, Algorithm: string(a), Digest: digest, Signature: signature}
	return probe{name, want, func(ctx context.Context) (bool, error) {
		out, err := r.Verify(ctx, in)
		return out.Valid, err
	}}
}

// decrypting is a probe of AsymmetricDecrypt; plaintext is nil if it must be refused.
func (r remote) decrypting(name string, a material.Algorithm, ciphertext, plaintext []byte) probe {
	in := api.AsymmetricDecryptRequest{Key: r.id, Version: r.version, Algorithm: string(a), Ciphertext: ciphertext}
	return probe{name, plaintext != nil, func(ctx context.Context) (bool, error) {
		out, err := r.AsymmetricDecrypt(ctx, in)
		return opened(out, plaintext, err)
	}}
}

// opening is a probe of Decrypt.
func (r remote) opening(name string, ciphertext, plaintext []byte) probe {
	return probe{name, plaintext != nil, func(ctx context.Context) (bool, error) {
		out, err := r.Decrypt(ctx, api.DecryptRequest{Ciphertext: ciphertext})
		return opened(out, plaintext, err)
	}}
}

var errPlaintext = errors.New("the plaintext is another one")

func opened(out api.Decrypted, plaintext []byte, err error) (bool, error) {
	if err == nil && plaintext != nil && !bytes.Equal(out.Plaintext, plaintext) {
		return true, errPlaintext
	}
	return err == nil, err
}

// A figure counts the probes of one row of the table.
type figure struct {
	row                         string
	requests, accepted, refused int
}

// perRow is how many probes of a row are sent, chosen by the seed, unless all are.
const perRow = 100

// whole tells whether to send all probes, as `make vectors` does; otherwise it is a seeded
// sample, and of the RSA keys only the smallest.
func whole() bool { return os.Getenv("KEYWARD_VECTORS") == "whole" }

// sample chooses probes. It keeps those that must be accepted: they show that the others
// are refused for their flaw.
func sample(random *rand.Rand, probes []probe) []probe {
	if whole() || len(probes) <= perRow {
		return probes
	}
	random.Shuffle(len(probes), func(i, j int) { probes[i], probes[j] = probes[j], probes[i] })
	slices.SortStableFunc(probes, func(a, b probe) int {
		return cmp.Compare(map[bool]int{true: 0, false: 1}[a.want], map[bool]int{true: 0, false: 1}[b.want])
	})
	return probes[:perRow]
}

// seed answers KEYWARD_SEED, or a new seed.
func seed(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("KEYWARD_SEED"), strconv.FormatUint(rand.Uint64(), 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("KEYWARD_SEED=%d", n)
	return n
}

// run sends probes, some at once. An answer counts as refusal if it is 4xx or says that a
// signature is not valid.
func run(t *testing.T, row string, probes []probe) figure {
	t.Helper()
	const workers = 64 // that share the commits of the audit log
	queue, results := make(chan probe), make(chan bool, len(probes))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for p := range queue {
				accepted, err := p.send(t.Context())
				var refusal *client.Error
				if err != nil && (!errors.As(err, &refusal) || refusal.Status < 400 || refusal.Status >= 500 || refusal.Code == "") {
					t.Errorf("%s, %s: %v", row, p.name, err)
				}
				if accepted != p.want {
					t.Errorf("%s, %s: accepted: %v (%v)", row, p.name, accepted, err)
				}
				results <- accepted
			}
		})
	}
	for _, p := range probes {
		queue <- p
	}
	close(queue)
	wg.Wait()
	close(results)
	f := figure{row: row, requests: len(probes)}
	for accepted := range results {
		if accepted {
			f.accepted++
		} else {
			f.refused++
		}
	}
	return f
}

// TestAPI says to the real server, with keys that are imported, what vectors say.
func TestAPI(t *testing.T) {
	c := startServer(t)
	var figures []figure
	random := rand.New(rand.NewPCG(seed(t), 0))
	add := func(row string, probes []probe) {
		figures = append(figures, run(t, row, sample(random, probes)))
	}

	for _, curve := range []struct {
		spec  material.Spec
		files string
	}{{material.P256, "ecdsa_secp256r1_*"}, {material.P256K, "ecdsa_secp256k1_*"}} {
		key := create(t, c, curve.spec, forSigning)
		carried, asIs := ecdsaProbes(t, key, curve.files)
		add(fmt.Sprintf("`AsymmetricVerify`, `%s`: genuine signatures with the flaws of `%s`", curve.spec, curve.files), carried)
		add(fmt.Sprintf("`AsymmetricVerify`, `%s`: the other signatures of these files as they are", curve.spec), asIs)
		add(fmt.Sprintf("`AsymmetricVerify`, `%s`: genuine signatures with r and s of every odd value", curve.spec), oddPairs(t, key, material.ECDSASHA256))
	}
	sm2 := create(t, c, material.SM2, forSigning)
	add("`AsymmetricVerify`, `EC_SM2`: genuine signatures with r and s of every odd value", oddPairs(t, sm2, material.SM2DSA))
	sizes := []material.Spec{material.RSA2048, material.RSA3072, material.RSA4096}
	if !whole() {
		sizes = sizes[:1] // making the larger keys takes seconds
	}
	for _, spec := range sizes {
		signer, decrypter := create(t, c, spec, forSigning), create(t, c, spec, forEncryption)
		add(fmt.Sprintf("`AsymmetricVerify`, `%s`: genuine signatures, changed", spec), rsaChanged(t, signer))
		add(fmt.Sprintf("`AsymmetricVerify`, `%s`: the signatures of `rsa_signature_*` and `rsa_pss_*` as they are", spec), rsaAsIs(t, signer))
		add(fmt.Sprintf("`AsymmetricDecrypt`, `%s`: the padded messages of `rsa_oaep_*`, encrypted for the server's key", spec), oaepProbes(t, decrypter))
	}
	add("`AsymmetricDecrypt`, `EC_SM2`: genuine ciphertexts, changed", sm2Changed(t, create(t, c, material.SM2, forEncryption)))
	for _, spec := range []material.Spec{material.AES256, material.AES192, material.AES128, material.SM4} {
		add(fmt.Sprintf("`Decrypt`, `%s`: genuine ciphertexts with the flaws of `aes_gcm`, `aes_gmac`, `sm4_gcm`, and changed in every byte and length", spec), blobProbes(t, create(t, c, spec, "")))
	}
	for _, spec := range []material.Spec{material.HMAC224, material.HMAC256, material.HMAC384, material.HMAC512, material.HMACSM3} {
		add(fmt.Sprintf("`VerifyMac`, `%s`: the cases with keys of its length, each with its own key", spec), macProbes(t, c, random, spec))
	}
	add("`AsymmetricDecrypt`, RSA: the cases of `rsa_oaep_*` and `rsa_three_primes_oaep_*`, each with its own key", ownOAEP(t, c, random))
	add("`AsymmetricSign`, RSA: the cases of `rsa_pkcs1_*_sig_gen` over SHA-256, each with its own key", ownPKCS1(t, c, random))
	if t.Failed() {
		return
	}
	total := figure{}
	var b bytes.Buffer
	for _, f := range figures {
		total.requests, total.accepted, total.refused = total.requests+f.requests, total.accepted+f.accepted, total.refused+f.refused
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", f.row, f.requests, f.accepted, f.refused)
	}
	t.Logf("%d requests: %d accepted and %d refused, as they must be", total.requests, total.accepted, total.refused)
	if !whole() {
		return
	}
	checkSection(t, "api", fmt.Sprintf("**%d requests, %d accepted and %d refused, all as they must be; 0 answers of 5xx.**\n\n", total.requests, total.accepted, total.refused)+
		"| What is sent | Requests | Accepted | Refused |\n|---|---:|---:|---:|\n"+b.String())
}

// groups answers the groups of the files of Wycheproof that match a pattern.
func groups(t *testing.T, pattern string) (all []group) {
	t.Helper()
	entries, err := fs.ReadDir(wycheproof.TestVectors, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if ok, err := path.Match(pattern+"_test.json", e.Name()); err != nil {
			t.Fatal(err)
		} else if ok {
			var s suite
			read(t, e.Name(), &s)
			all = append(all, s.Groups...)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no file is like %s", pattern)
	}
	return all
}

// digestOf answers a digest to sign, another one for each number.
func digestOf(n int) []byte {
	d := sha256.Sum256(fmt.Appendf(nil, "message %d", n))
	return d[:]
}
