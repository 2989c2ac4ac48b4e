package proof

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// L8 (secrets in audit and error logs): known secrets go through every operation that takes or answers one, also in requests
// that are wrong; afterwards they are nowhere but in the answers: not in the server's
// log, its metrics, its audit log, its database or any other file that it keeps.
func TestCanaries(t *testing.T) {
	t.Parallel()
	s := initializeServer(t, build(t), "")
	c := s.client(func(string) {})
	var canaries, errs []string
	fresh := func() api.SecretBytes {
		canary := fmt.Sprintf("canary-%04d-of-keyward-that-must-not-be-found", len(canaries))
		canaries = append(canaries, canary)
		return api.SecretBytes(canary)
	}
	note := func(err error) {
		if err != nil {
			errs = append(errs, err.Error())
		}
	}
	canaries = append(canaries, passphrase, string(s.key.AccessKeySecret))

	canaries = append(canaries, useKeys(t, c, fresh, note)...)
	useSecrets(t, c, fresh, note)
	canaries = append(canaries, useAccess(t, c, note)...)
	useStock(t, c, fresh, note)
	canaries = append(canaries, useRotation(t, s, c, fresh, note)...)
	useWrongly(t, s, fresh, note)

	metrics, err := http.Get("http://" + s.address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	exposed, err := io.ReadAll(metrics.Body)
	if err != nil {
		t.Fatal(err)
	}
	var export bytes.Buffer
	if err := client.Operator(s.socket).ExportAudit(t.Context(), &export); err != nil {
		t.Fatal(err)
	}
	places := map[string][]byte{"metrics": exposed, "audit export": export.Bytes(), "error texts": []byte(strings.Join(errs, "\n"))}
	s.kill() // the database's files as they lie
	for _, dir := range []string{s.home, s.dir} {
		for name, content := range readDir(t, dir) {
			places[filepath.Join(dir, name)] = content
		}
	}
	if len(places) < 6 || len(canaries) < 15 || export.Len() < 10_000 {
		t.Fatalf("looked in %d places for %d secrets", len(places), len(canaries))
	}
	searchCanaries(t, places, canaries)
}

// searchCanaries looks that no place holds a secret, however it is spelt.
func searchCanaries(t *testing.T, places map[string][]byte, canaries []string) {
	t.Helper()
	for place, content := range places {
		for _, canary := range canaries {
			if len(canary) < 16 {
				t.Fatalf("%q is no secret that could be found", canary)
			}
			for how, spelt := range spellings(canary) {
				if bytes.Contains(content, []byte(spelt)) {
					t.Errorf("%s contains a secret (%s): %.12s…", place, how, canary)
				}
			}
		}
	}
}

func spellings(s string) map[string]string {
	return map[string]string{
		"plain": s, "hex": hex.EncodeToString([]byte(s)), "query": url.QueryEscape(s),
		"base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(s)), "="),
	}
}

// useKeys uses keys with secrets and answers the secrets that came back.
func useKeys(t *testing.T, c *client.Client, fresh func() api.SecretBytes, note func(error)) (secrets []string) {
	ctx := t.Context()
	key, err := c.CreateKey(ctx, api.CreateKeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	context := map[string]string{"purpose": string(fresh())}
	sealed, err := c.Encrypt(ctx, api.EncryptRequest{Key: key.ID, Plaintext: fresh(), Context: context})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Decrypt(ctx, api.DecryptRequest{Ciphertext: sealed.Ciphertext, Context: context}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Decrypt(ctx, api.DecryptRequest{Ciphertext: sealed.Ciphertext, Context: map[string]string{"purpose": string(fresh())}})
	note(err)
	if _, err := c.ReEncrypt(ctx, api.ReEncryptRequest{Ciphertext: sealed.Ciphertext, SourceContext: context, DestinationKey: key.ID}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		data, err := c.GenerateDataKey(ctx, api.DataKeyRequest{Key: key.ID})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, string(data.Plaintext))
	}
	rsa, err := c.CreateKey(ctx, api.CreateKeyRequest{Spec: "RSA_2048", Usage: "ENCRYPT/DECRYPT"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.AsymmetricEncrypt(ctx, api.AsymmetricEncryptRequest{Key: rsa.ID, Version: rsa.PrimaryVersion, Algorithm: "RSAES_OAEP_SHA_256", Plaintext: fresh()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AsymmetricDecrypt(ctx, api.AsymmetricDecryptRequest{Key: rsa.ID, Version: rsa.PrimaryVersion, Algorithm: "RSAES_OAEP_SHA_256", Ciphertext: out.Ciphertext}); err != nil {
		t.Fatal(err)
	}
	batch, err := c.EncryptBatch(ctx, api.EncryptBatchRequest{Key: key.ID, Plaintexts: []api.SecretBytes{fresh(), append(fresh(), make([]byte, 7000)...)}, Context: context})
	if err != nil || batch.Items[1].Error == nil {
		t.Fatalf("a batch with one item that is too long: %v", err)
	}
	if _, err := c.DecryptBatch(ctx, api.DecryptBatchRequest{Key: key.ID, Ciphertexts: [][]byte{batch.Items[0].Ciphertext, fresh()}, Context: context}); err != nil {
		t.Fatal(err)
	}
	hmac, err := c.CreateKey(ctx, api.CreateKeyRequest{Spec: "HMAC_SHA_256"})
	if err != nil {
		t.Fatal(err)
	}
	message := fresh()
	mac, err := c.GenerateMAC(ctx, api.MACRequest{Key: hmac.ID, Message: message})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.VerifyMAC(ctx, api.VerifyMACRequest{Key: hmac.ID, Message: message, MAC: mac.MAC}); err != nil {
		t.Fatal(err)
	}
	_, err = c.GenerateMAC(ctx, api.MACRequest{Key: key.ID, Message: fresh()})
	note(err)
	random, err := c.GenerateRandom(ctx, api.RandomRequest{})
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, string(random.Bytes))
	_, err = c.Encrypt(ctx, api.EncryptRequest{Key: "key-missing", Plaintext: fresh()})
	note(err)
	_, err = c.Encrypt(ctx, api.EncryptRequest{Key: key.ID, Plaintext: append(fresh(), make([]byte, 7000)...)})
	note(err)
	if err := c.DisableKey(ctx, key.ID); err != nil {
		t.Fatal(err)
	}
	_, err = c.Encrypt(ctx, api.EncryptRequest{Key: key.ID, Plaintext: fresh()})
	note(err)
	return secrets
}

// useSecrets keeps secrets, and puts some where they do not belong.
func useSecrets(t *testing.T, c *client.Client, fresh func() api.SecretBytes, note func(error)) {
	ctx := t.Context()
	if _, err := c.CreateSecret(ctx, api.CreateSecretRequest{Name: "canary", Value: fresh()}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		value := fresh()
		if _, err := c.PutSecretValue(ctx, "canary", api.PutSecretRequest{Value: value, Version: fmt.Sprint("v", i)}); err != nil {
			t.Fatal(err)
		}
		got, err := c.GetSecretValue(ctx, "canary", api.GetSecretRequest{})
		if err != nil || string(got.Value) != string(value) {
			t.Fatalf("%v: another value came back", err)
		}
	}
	_, err := c.PutSecretValue(ctx, "canary", api.PutSecretRequest{Value: fresh(), Version: "a/b"})
	note(err)
	_, err = c.PutSecretValue(ctx, "missing", api.PutSecretRequest{Value: fresh()})
	note(err)
	_, err = c.CreateSecret(ctx, api.CreateSecretRequest{Name: "canary", Value: fresh()})
	note(err)
	_, err = c.CreateSecret(ctx, api.CreateSecretRequest{Name: "large", Value: append(fresh(), make([]byte, 31_000)...)})
	note(err)
	if _, err := c.DeleteSecret(ctx, "canary", api.DeleteSecretRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err = c.PutSecretValue(ctx, "canary", api.PutSecretRequest{Value: fresh()})
	note(err)
	_, err = c.GetSecretValue(ctx, "canary", api.GetSecretRequest{})
	note(err)
}

// useAccess makes access keys and answers their secrets.
func useAccess(t *testing.T, c *client.Client, note func(error)) (secrets []string) {
	ctx := t.Context()
	if _, err := c.CreateUser(ctx, api.CreateUserRequest{Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	issued, err := c.CreateAccessKey(ctx, "ada", api.CreateAccessKeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	reset, err := c.ResetAccessKey(ctx, issued.AccessKey.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetAccessKey(ctx, "KWAKMISSING")
	note(err)
	return append(secrets, string(issued.Secret), string(reset.Secret))
}

// useStock gives credentials to providers and channels that do not take them.
func useStock(t *testing.T, c *client.Client, fresh func() api.SecretBytes, note func(error)) {
	ctx := t.Context()
	connection := func() api.Connection {
		return api.Connection{Credential: map[string]api.SecretBytes{"secret": fresh()}}
	}
	_, err := c.AddProvider(ctx, api.AddProviderRequest{Name: "own", Kind: "keyward", Connection: connection()})
	note(err)
	if _, err := c.AddProvider(ctx, api.AddProviderRequest{Name: "own", Kind: "keyward"}); err != nil {
		t.Fatal(err)
	}
	change := connection()
	_, err = c.UpdateProvider(ctx, "own", api.UpdateProviderRequest{Connection: &change})
	note(err)
	_, err = c.AddChannel(ctx, api.AddChannelRequest{Name: "ops", Kind: "none", Connection: connection()})
	note(err)
}

// useWrongly sends secrets where they do not belong, over the RPC API and unsigned.
func useWrongly(t *testing.T, s *server, fresh func() api.SecretBytes, note func(error)) {
	send := func(method, target, body string, header map[string]string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.address+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range header {
			r.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode >= 500 {
			t.Errorf("%s %s: status %d, %v", method, target, resp.StatusCode, err)
		}
		note(fmt.Errorf("%s", answer))
	}
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	send("POST", "/?Action=Encrypt&Plaintext="+url.QueryEscape(string(fresh())), "", nil)
	send("POST", "/", "Action=Encrypt&AccessKeyId="+s.key.AccessKeyID+"&Plaintext="+url.QueryEscape(string(fresh())), form)
	send("POST", "/v1/crypto/encrypt", `{"plaintext":"`+base64.StdEncoding.EncodeToString(fresh())+`"}`, map[string]string{"Content-Type": "application/json"})
	send("POST", "/", "", map[string]string{"Authorization": "ACS3-HMAC-SHA256 Credential=" + string(fresh()) + ",SignedHeaders=host,Signature=" + string(fresh())})
	send("GET", "/"+string(fresh()), "", nil)
}
