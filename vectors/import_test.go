package vectors_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/material"
)

// quickest answers how material of a spec is imported with the least work: making a pair of SM2
// is quicker for the server than making one of RSA.
func quickest(spec material.Spec) material.Wrapping {
	for _, w := range []material.Wrapping{material.WrapSM2, material.WrapSM2SM4} {
		if w.Takes(spec) {
			return w
		}
	}
	return material.WrapOAEPAES
}

// imports has the server make a key whose material is m.
func imports(ctx context.Context, c *client.Client, spec material.Spec, usage string, m material.Bytes) (remote, error) {
	key, err := c.CreateKey(ctx, api.CreateKeyRequest{Spec: string(spec), Usage: usage, Origin: "EXTERNAL"})
	if err != nil {
		return remote{}, fmt.Errorf("creating a key of spec %s: %w", spec, err)
	}
	w := quickest(spec)
	p, err := c.GetImportParameters(ctx, key.ID, api.ImportParametersRequest{Wrapping: string(w)})
	if err != nil {
		return remote{}, fmt.Errorf("asking for parameters: %w", err)
	}
	wrapped, err := w.Wrap(p.PublicKey, m)
	if err != nil {
		return remote{}, err
	}
	if err := c.ImportKeyMaterial(ctx, key.ID, api.ImportRequest{Token: p.Token, Material: wrapped}); err != nil {
		return remote{}, fmt.Errorf("importing a key of spec %s: %w", spec, err)
	}
	return remote{Client: c, spec: spec, id: key.ID, version: key.PrimaryVersion}, nil
}

// imported imports the key of a vector when the first of its probes is sent.
func imported(c *client.Client, spec material.Spec, usage string, key []byte) func(context.Context) (remote, error) {
	var once sync.Once
	var r remote
	var err error
	return func(ctx context.Context) (remote, error) {
		once.Do(func() { r, err = imports(ctx, c, spec, usage, material.NewBytes(bytes.Clone(key))) })
		return r, err
	}
}

// few takes some of the keys in a run that is not whole: each costs an import.
func few[T any](random *rand.Rand, keys []T) []T {
	const most = 12
	if whole() || len(keys) <= most {
		return keys
	}
	random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys[:most]
}

// macProbes are the cases of a file whose key is as long as those of the spec, each with its own.
func macProbes(t *testing.T, c *client.Client, random *rand.Rand, spec material.Spec) (all []probe) {
	t.Helper()
	var fitting []testCase
	for _, g := range groups(t, strings.ToLower(strings.Replace(string(spec), "HMAC_SHA_", "HMAC_SHA", 1))) {
		for _, v := range g.Tests {
			if len(v.Key) == spec.KeySize() && len(v.Msg) > 0 {
				fitting = append(fitting, v)
			}
		}
	}
	keys := map[string]func(context.Context) (remote, error){}
	for _, v := range few(random, fitting) {
		if keys[string(v.Key)] == nil {
			keys[string(v.Key)] = imported(c, spec, "", v.Key)
		}
		key, valid := keys[string(v.Key)], v.Result == "valid" && len(v.Tag) == spec.KeySize()
		all = append(all, probe{fmt.Sprintf("%s %d, %s", spec, v.ID, v.Comment), valid, func(ctx context.Context) (bool, error) {
			k, err := key(ctx)
			if err != nil {
				return !valid, err
			}
			out, err := k.VerifyMAC(ctx, api.VerifyMACRequest{Key: k.id, Message: api.SecretBytes(v.Msg), MAC: v.Tag})
			return out.Valid, err
		}})
	}
	return all
}

// ownOAEP are the cases of the OAEP files, and ownPKCS1 those in which a signature is made, each
// with the vector's own private key.
func ownOAEP(t *testing.T, c *client.Client, random *rand.Rand) []probe {
	t.Helper()
	usable := func(g group) bool {
		return slices.Contains([]string{"SHA-1", "SHA-256"}, g.Sha) && g.Sha == g.MgfSha
	}
	return ownRSA(t, c, random, "rsa_*oaep_*", forEncryption, usable, func(k remote, g group, v testCase) probe {
		algorithm := map[string]material.Algorithm{"SHA-1": material.OAEPSHA1, "SHA-256": material.OAEPSHA256}[g.Sha]
		var plaintext []byte
		if v.Result != "invalid" && len(v.Label) == 0 {
			plaintext = append([]byte{}, v.Msg...)
		}
		return k.decrypting("", algorithm, v.CT, plaintext)
	})
}

func ownPKCS1(t *testing.T, c *client.Client, random *rand.Rand) []probe {
	t.Helper()
	usable := func(g group) bool { return g.Sha == "SHA-256" }
	return ownRSA(t, c, random, "rsa_pkcs1_*_sig_gen", forSigning, usable, func(k remote, _ group, v testCase) probe {
		in := api.SignRequest{Key: k.id, Version: k.version, Algorithm: string(material.PKCS1SHA256), Digest: digests["SHA-256"](v.Msg)}
		return probe{"", v.Result != "invalid", func(ctx context.Context) (bool, error) {
			out, err := k.Sign(ctx, in)
			return bytes.Equal(out.Signature, v.Sig), err
		}}
	})
}

// ownRSA makes probes of the groups that are usable and whose keys have a size that keyward has.
func ownRSA(t *testing.T, c *client.Client, random *rand.Rand, files, usage string, usable func(group) bool, make func(remote, group, testCase) probe) (all []probe) {
	t.Helper()
	fitting := slices.DeleteFunc(groups(t, files), func(g group) bool {
		return rsaSpec(g.KeySize) == "" || !whole() && g.KeySize != 2048 || !usable(g)
	})
	if !whole() {
		random.Shuffle(len(fitting), func(i, j int) { fitting[i], fitting[j] = fitting[j], fitting[i] })
		fitting = fitting[:1] // the server makes a pair of RSA to import each
	}
	for _, g := range fitting {
		key := imported(c, rsaSpec(g.KeySize), usage, g.PrivatePKCS8)
		for _, v := range g.Tests {
			p := make(remote{}, g, v) // what is expected does not depend on the key
			p.name = fmt.Sprintf("%s of %d bits, %s, %d, %s", files, g.KeySize, g.Sha, v.ID, v.Comment)
			p.send = func(ctx context.Context) (bool, error) {
				k, err := key(ctx)
				if err != nil {
					return !p.want, err
				}
				return make(k, g, v).send(ctx)
			}
			all = append(all, p)
		}
	}
	return all
}
