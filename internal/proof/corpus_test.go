package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/material"
)

// A corpus is what a release left to all later ones: what its server answered, which must
// be as it was, and what it encrypted and signed, which must decrypt and verify. It opens
// nothing but the database that is kept beside it.
type corpus struct {
	AccessKeyID string          `json:"accessKeyId"`
	Secret      string          `json:"secret"`
	PublicKey   string          `json:"publicKey"` // of the audit log
	Keys        []api.Key       `json:"keys"`
	Aliases     []api.Alias     `json:"aliases"`
	Users       []api.User      `json:"users"`
	Policies    []api.Policy    `json:"policies"`
	PublicKeys  []api.PublicKey `json:"publicKeys"`
	Symmetric   []symmetric     `json:"symmetric"`
	Asymmetric  []asymmetric    `json:"asymmetric"`
	Signatures  []signature     `json:"signatures"`

	MACs []api.VerifyMACRequest `json:"macs"` // none in releases that had no HMAC keys
}

type symmetric struct {
	Plaintext  string            `json:"plaintext"` // SHA-256 of it for a data key
	Context    map[string]string `json:"context"`
	Ciphertext []byte            `json:"ciphertext"`
	DataKey    bool              `json:"dataKey"`
}

type asymmetric struct {
	Request   api.AsymmetricDecryptRequest `json:"request"`
	Plaintext string                       `json:"plaintext"`
}

type signature struct {
	Request api.VerifyRequest `json:"request"`
}

// A maker makes a corpus with a running server; any error ends the test.
type maker struct {
	*testing.T
	*client.Client
	corpus
}

func (m *maker) ok(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// makeCorpus has the server make keys of every spec in every state, and use them.
func makeCorpus(t *testing.T, s *server) corpus {
	t.Helper()
	m := &maker{T: t, Client: s.client(func(string) {})}
	m.AccessKeyID, m.Secret = s.key.AccessKeyID, string(s.key.AccessKeySecret)
	for _, spec := range material.Specs() {
		if spec.Symmetric() {
			m.symmetric(spec)
			continue
		}
		if spec.MAC() {
			m.authenticating(spec)
			continue
		}
		m.signing(spec)
		m.encrypting(spec)
	}
	m.states()
	m.access()
	m.describe(s)
	return m.corpus
}

func (m *maker) key(in api.CreateKeyRequest) api.Key {
	m.Helper()
	k, err := m.CreateKey(m.Context(), in)
	m.ok(err)
	return k
}

func (m *maker) symmetric(spec material.Spec) {
	k := m.key(api.CreateKeyRequest{Spec: string(spec), Description: "密钥 of " + string(spec), Tags: map[string]string{"env": "golden"}})
	for _, context := range []map[string]string{nil, {"order": "42"}, {"用途": "工资", "empty": "", "a": "b"}} {
		plain := "plaintext of " + string(spec)
		out, err := m.Encrypt(m.Context(), api.EncryptRequest{Key: k.ID, Plaintext: api.SecretBytes(plain), Context: context})
		m.ok(err)
		m.Symmetric = append(m.Symmetric, symmetric{Plaintext: plain, Context: context, Ciphertext: out.Ciphertext})
	}
	data, err := m.GenerateDataKey(m.Context(), api.DataKeyRequest{Key: k.ID})
	m.ok(err)
	sum := sha256.Sum256(data.Plaintext)
	m.Symmetric = append(m.Symmetric, symmetric{Plaintext: string(jsonOf(m, sum[:])), Ciphertext: data.Ciphertext, DataKey: true})
}

func (m *maker) authenticating(spec material.Spec) {
	k := m.key(api.CreateKeyRequest{Spec: string(spec)})
	message := api.SecretBytes("message of " + string(spec))
	out, err := m.GenerateMAC(m.Context(), api.MACRequest{Key: k.ID, Message: message})
	m.ok(err)
	m.MACs = append(m.MACs, api.VerifyMACRequest{Key: k.ID, Message: message, MAC: out.MAC})
}

func (m *maker) signing(spec material.Spec) {
	k := m.key(api.CreateKeyRequest{Spec: string(spec), Usage: "SIGN/VERIFY"})
	public, err := m.GetPublicKey(m.Context(), k.ID, k.PrimaryVersion)
	m.ok(err)
	m.PublicKeys = append(m.PublicKeys, public)
	digest := sha256.Sum256([]byte(spec))
	for _, algorithm := range spec.SigningAlgorithms() {
		out, err := m.Sign(m.Context(), api.SignRequest{Key: k.ID, Version: k.PrimaryVersion, Algorithm: string(algorithm), Digest: digest[:]})
		m.ok(err)
		m.Signatures = append(m.Signatures, signature{api.VerifyRequest{
			Key: k.ID, Version: k.PrimaryVersion, Algorithm: string(algorithm), Digest: digest[:], Signature: out.Signature,
		}})
	}
}

func (m *maker) encrypting(spec material.Spec) {
	if len(spec.EncryptionAlgorithms()) == 0 {
		return
	}
	k := m.key(api.CreateKeyRequest{Spec: string(spec), Usage: "ENCRYPT/DECRYPT"})
	for _, algorithm := range spec.EncryptionAlgorithms() {
		plain := "for " + string(algorithm)
		out, err := m.AsymmetricEncrypt(m.Context(), api.AsymmetricEncryptRequest{
			Key: k.ID, Version: k.PrimaryVersion, Algorithm: string(algorithm), Plaintext: api.SecretBytes(plain),
		})
		m.ok(err)
		m.Asymmetric = append(m.Asymmetric, asymmetric{api.AsymmetricDecryptRequest{
			Key: k.ID, Version: k.PrimaryVersion, Algorithm: string(algorithm), Ciphertext: out.Ciphertext,
		}, plain})
	}
}

// states makes a key in each state, and with each setting.
func (m *maker) states() {
	ctx := m.Context()
	m.key(api.CreateKeyRequest{Alias: "alias/golden", Rotation: &api.RotationRequest{Enabled: true, IntervalSeconds: 365 * 24 * 3600}})
	m.ok(m.DisableKey(ctx, m.key(api.CreateKeyRequest{}).ID))
	m.ok(m.DeleteKey(ctx, m.key(api.CreateKeyRequest{}).ID, api.DeleteKeyRequest{Days: 7}))
	m.ok(m.ProtectKey(ctx, m.key(api.CreateKeyRequest{}).ID, api.Protection{Enabled: true, Note: "不可删除"}))
}

// access makes a user with a policy and access keys.
func (m *maker) access() {
	ctx := m.Context()
	const document = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":{"DateLessThan":{"acs:CurrentTime":"2099-01-01T00:00:00Z"}}}]}`
	_, err := m.CreatePolicy(ctx, api.CreatePolicyRequest{Name: "golden", Document: document})
	m.ok(err)
	_, err = m.CreateUser(ctx, api.CreateUserRequest{Name: "golden", Remark: "测试"})
	m.ok(err)
	m.ok(m.AttachPolicy(ctx, "golden", "golden"))
	_, err = m.CreateAccessKey(ctx, "golden", api.CreateAccessKeyRequest{ExpiresAt: time.Now().AddDate(0, 0, 1).UTC().Truncate(time.Second)})
	m.ok(err)
}

// describe notes how everything is.
func (m *maker) describe(s *server) {
	ctx := m.Context()
	keys, err := m.ListKeys(ctx, api.ListKeysRequest{})
	m.ok(err)
	aliases, err := m.ListAliases(ctx, api.PageRequest{})
	m.ok(err)
	users, err := m.ListUsers(ctx, api.PageRequest{})
	m.ok(err)
	policies, err := m.ListPolicies(ctx, api.PageRequest{})
	m.ok(err)
	m.Keys, m.Aliases, m.Users, m.Policies = keys.Keys, aliases.Aliases, users.Users, policies.Policies
	status, err := client.Operator(s.socket).Status(ctx)
	m.ok(err)
	m.PublicKey = status.PublicKey
}

// check holds a running server against the corpus of an older one.
func (want corpus) check(t *testing.T, s *server) {
	t.Helper()
	now := &maker{T: t, Client: s.client(func(string) {})}
	now.describe(s)
	for what, pair := range map[string][2]any{
		"keys": {want.Keys, now.Keys}, "aliases": {want.Aliases, now.Aliases}, "users": {want.Users, now.Users},
		"policies": {want.Policies, now.Policies}, "audit key": {want.PublicKey, now.PublicKey},
	} {
		if diff := cmp.Diff(plainJSON(t, pair[0]), onlyKnown(plainJSON(t, pair[0]), plainJSON(t, pair[1]))); diff != "" {
			t.Errorf("the %s are not what they were (-then +now):\n%s", what, diff)
		}
	}
	for _, then := range want.PublicKeys {
		if have, err := now.GetPublicKey(t.Context(), then.Key, then.Version); err != nil || have.PEM != then.PEM {
			t.Errorf("the public key of %s changed: %v", then.Key, err)
		}
	}
	want.use(t, t.Context(), now.Client)
}

// use decrypts and verifies everything, and goes on working.
func (want corpus) use(t *testing.T, ctx context.Context, c *client.Client) {
	for i, s := range want.Symmetric {
		out, err := c.Decrypt(ctx, api.DecryptRequest{Ciphertext: s.Ciphertext, Context: s.Context})
		have := []byte(out.Plaintext)
		if s.DataKey {
			sum := sha256.Sum256(have)
			have = jsonOf(t, sum[:])
		}
		if err != nil || string(have) != s.Plaintext {
			t.Errorf("ciphertext %d does not decrypt: %v", i, err)
		}
	}
	for _, a := range want.Asymmetric {
		out, err := c.AsymmetricDecrypt(ctx, a.Request)
		if err != nil || string(out.Plaintext) != a.Plaintext {
			t.Errorf("%s does not decrypt: %v", a.Request.Algorithm, err)
		}
	}
	for _, s := range want.Signatures {
		out, err := c.Verify(ctx, s.Request)
		if err != nil || !out.Valid {
			t.Errorf("a signature by %s does not verify: %v", s.Request.Algorithm, err)
		}
		again, err := c.Sign(ctx, api.SignRequest{Key: s.Request.Key, Version: s.Request.Version, Algorithm: s.Request.Algorithm, Digest: s.Request.Digest})
		if err != nil || len(again.Signature) == 0 {
			t.Errorf("%s does not sign any more: %v", s.Request.Algorithm, err)
		}
	}
	for _, in := range want.MACs {
		if out, err := c.VerifyMAC(ctx, in); err != nil || !out.Valid {
			t.Errorf("a MAC of key %s does not verify: %v", in.Key, err)
		}
	}
	for _, k := range want.Keys {
		if k.State != "Enabled" || len(k.Spec) < 7 || k.Spec[:7] != "Aliyun_" {
			continue
		}
		out, err := c.Encrypt(ctx, api.EncryptRequest{Key: k.ID, Plaintext: api.SecretBytes("new")})
		if err != nil {
			t.Errorf("key %s does not encrypt any more: %v", k.ID, err)
			continue
		}
		if back, err := c.Decrypt(ctx, api.DecryptRequest{Ciphertext: out.Ciphertext}); err != nil || !bytes.Equal(back.Plaintext, []byte("new")) {
			t.Errorf("key %s does not decrypt any more: %v", k.ID, err)
		}
	}
	if _, err := c.CreateKey(ctx, api.CreateKeyRequest{}); err != nil {
		t.Errorf("creating a key: %v", err)
	}
}

func jsonOf(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plainJSON answers a value as its JSON reads.
func plainJSON(t testing.TB, v any) (out any) {
	t.Helper()
	if err := json.Unmarshal(jsonOf(t, v), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// onlyKnown leaves out of have the members that want has not: a later release may add
// some, but none may change or go.
func onlyKnown(want, have any) any {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			return have
		}
		out := map[string]any{}
		for name, v := range have {
			if old, known := want[name]; known {
				out[name] = onlyKnown(old, v)
			}
		}
		return out
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) < len(want) {
			return have
		}
		out := make([]any, len(want)) // what was made since comes last, or is told by its name
		for i := range want {
			out[i] = onlyKnown(want[i], namesake(want[i], have, have[i]))
		}
		return out
	}
	return have
}

// namesake answers the one of a list that has the name of v, or otherwise.
func namesake(v any, list []any, otherwise any) any {
	named, _ := v.(map[string]any)
	for _, other := range list {
		if m, ok := other.(map[string]any); ok && named["name"] != nil && m["name"] == named["name"] {
			return other
		}
	}
	return otherwise
}

func readCorpus(t *testing.T, dir string) (c corpus) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "corpus.json"))
	if err == nil {
		err = json.Unmarshal(content, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}
