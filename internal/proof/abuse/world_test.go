// Package abuse sends bad requests to a whole server, over every dialect and to every
// operation, and holds it to three promises: a bad request is refused, in the form and
// with a code that the documentation has; it changes nothing; and it harms nobody else.
//
// The server is real (package app on SQLite, its own listener and operator socket) and
// runs in the test's process, so that a panic, an error in its log and a goroutine that
// stays are seen. Requests are bytes on a connection: nothing between the generator and
// the server mends them.
//
// A generated request starts as a valid one of an operation (table_test.go says what is
// valid) and gets exactly one poison: a change that makes it certainly wrong
// (poison_test.go). Most are signed after they were poisoned, so that they get past the
// door. Around the poison there may be noise. What is raw (raw_test.go) is not HTTP any
// more, or only just.
package abuse

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to look at the rows behind the server's back

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/app"
	"github.com/keyward/keyward/internal/cloud/openid/openidtest"
	"github.com/keyward/keyward/internal/cloud/vault/vaulttest"
	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/totp"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/server/agentapi/agenttest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A caller is who signs.
type caller struct{ id, secret string }

// A world is a server with two accounts and everything that valid requests name.
type world struct {
	config   config.Config
	api      string // address
	log      *watchedLog
	root     caller            // may do everything in its account
	nobody   caller            // of the same account, may do nothing
	foreign  caller            // root of another account
	names    map[string]string // what "$name" in the tables stands for
	clients  map[caller]*client.Client
	stop     func() error
	database *sql.DB
}

// A watchedLog keeps what a server must never log in answer to a request.
type watchedLog struct {
	slog.Handler
	mu   sync.Mutex // guards errs
	errs []string
}

// Handle implements slog.Handler.
func (l *watchedLog) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelError || strings.HasPrefix(r.Message, "an alarm reaches nobody") { // this world has no channels, and requests that wait for approval
		return nil
	}
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, line)
	return nil
}

// Enabled implements slog.Handler.
func (l *watchedLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *watchedLog) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.errs[:min(len(l.errs), 5)] {
		t.Errorf("the server logged: %s", line)
	}
}

// newWorld starts a server without limits of calls and fills it: what limits refuse is
// refused for another reason.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := start(t, config.Limits{}, time.Now)
	w.fill(t)
	return w
}

// start starts a server with two accounts, which the options may change.
func start(t *testing.T, limits config.Limits, now func() time.Time, changes ...func(*app.Options)) *world {
	t.Helper()
	c := config.Default()
	c.DataDir, c.Listen = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0"
	c.OperatorSocket = filepath.Join(storetest.ShortDir(t), "s")
	c.Limits = limits
	c.Egress.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	w := &world{config: c, log: &watchedLog{}, names: map[string]string{}, clients: map[caller]*client.Client{}}
	ready := make(chan string, 1)
	o := app.Options{
		Config: c, Logger: slog.New(w.log), Version: "test", Now: now, Cost: sealtest.Cost(),
		Ready: func(_ context.Context, _ *app.App, address string) error { ready <- address; return nil },
	}
	for _, change := range changes {
		change(&o)
	}
	a := app.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	w.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case w.api = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	first, err := a.Initialize(t.Context(), material.NewBytes([]byte(sealtest.Passphrase)), "first")
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.CreateAccount(t.Context(), "second")
	if err != nil {
		t.Fatal(err)
	}
	w.root, w.foreign = founder(first), founder(second)
	w.names["account"], w.names["foreign.account"] = first.Account.ID, second.Account.ID
	if w.database, err = sql.Open("sqlite", "file:"+strings.TrimPrefix(string(c.Database), "sqlite:")+"?mode=ro"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.database.Close() }) // it was only read
	return w
}

func founder(f iam.Founded) caller {
	return caller{f.Key.AccessKey.ID, string(f.Key.Secret.Expose())}
}

func (w *world) client(t *testing.T, who caller) *client.Client {
	t.Helper()
	if w.clients[who] == nil {
		c, err := client.New(client.Config{Endpoint: "http://" + w.api, AccessKeyID: who.id, AccessKeySecret: who.secret})
		if err != nil {
			t.Fatal(err)
		}
		w.clients[who] = c
	}
	return w.clients[who]
}

// fill makes what the tables name. Each operation that changes something has a thing of
// its own to change, so that all of them can be tried for real in the end.
func (w *world) fill(t *testing.T) {
	t.Helper()
	ctx, c := t.Context(), w.client(t, w.root)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	newKey := func(c *client.Client, name, spec, usage string) api.Key {
		k, err := c.CreateKey(ctx, api.CreateKeyRequest{Spec: spec, Usage: usage, Alias: "alias/" + strings.ReplaceAll(name, ".", "-"), Tags: map[string]string{"old": "1"}})
		must(err)
		w.names[name], w.names[name+".version"], w.names[name+".alias"] = k.ID, k.PrimaryVersion, "alias/"+strings.ReplaceAll(name, ".", "-")
		w.names[name+".arn"] = k.ARN
		return k
	}
	w.names["key.policy"] = `{"Version":"1","Statement":[{"Effect":"Allow","Principal":{"RAM":["acs:ram::` + w.names["account"] + `:user/admin"]},"Action":["kms:TagResource"],"Resource":["*"]}]}`
	newKey(w.client(t, w.foreign), "foreign", "", "")
	newKey(c, "key", "", "")
	newKey(c, "sign", "EC_P256", "")
	newKey(c, "crypt", "RSA_2048", "ENCRYPT/DECRYPT")
	newKey(c, "hmac", "HMAC_SHA_256", "")
	w.fillInstances(t, c)
	for _, op := range operations(t) {
		if op.thing != "" {
			newKey(c, op.thing, "", "")
		}
	}
	w.fillBlobs(t, c)
	w.fillSecrets(t, c)
	w.fillSinks(t, c)
	w.fillRepositories(t, c)
	w.fillRollouts(t, c)
	w.fillTargets(t, c)
	for _, name := range []string{"restore.rest", "restore.rpc"} {
		must(c.DeleteKey(ctx, w.names[name], api.DeleteKeyRequest{Days: 30}))
	}
	w.fillAccess(t, c)
	w.fillOffers(t, c)
	w.fillIdentityProviders(t, c)
	w.fillStock(t, c)
	w.fillPlans(t, c)
	w.fillApprovals(t, c, "account", "approver", "approval")
	w.fillApprovals(t, w.client(t, w.foreign), "foreign.account", "foreign-approver", "foreign.approval")
	logs, err := c.ListAuditLogs(ctx)
	must(err)
	w.names["log"] = logs.Logs[0].Origin
	records, err := c.ListAuditRecords(ctx, api.ListAuditRecordsRequest{Limit: 1})
	must(err)
	w.names["seq"] = strconv.FormatInt(records.Records[0].Seq, 10)
}

func (w *world) fillBlobs(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	digest := sha256.Sum256([]byte("digest"))
	w.names["digest"] = base64.StdEncoding.EncodeToString(digest[:])
	sealed, err := c.Encrypt(ctx, api.EncryptRequest{Key: w.names["key"], Plaintext: []byte("known plaintext")})
	if err != nil {
		t.Fatal(err)
	}
	w.names["blob"] = base64.StdEncoding.EncodeToString(sealed.Ciphertext)
	alien, err := w.client(t, w.foreign).Encrypt(ctx, api.EncryptRequest{Key: w.names["foreign"], Plaintext: []byte("foreign plaintext")})
	if err != nil {
		t.Fatal(err)
	}
	w.names["foreign.blob"] = base64.StdEncoding.EncodeToString(alien.Ciphertext)
	rsa, err := c.AsymmetricEncrypt(ctx, api.AsymmetricEncryptRequest{Key: w.names["crypt"], Version: w.names["crypt.version"], Algorithm: "RSAES_OAEP_SHA_256", Plaintext: []byte("known plaintext")})
	if err != nil {
		t.Fatal(err)
	}
	w.names["rsa.blob"] = base64.StdEncoding.EncodeToString(rsa.Ciphertext)
	signed, err := c.Sign(ctx, api.SignRequest{Key: w.names["sign"], Version: w.names["sign.version"], Algorithm: "ECDSA_SHA_256", Digest: digest[:]})
	if err != nil {
		t.Fatal(err)
	}
	w.names["signature"] = base64.StdEncoding.EncodeToString(signed.Signature)
	public, err := c.GetPublicKey(ctx, w.names["crypt"], w.names["crypt.version"])
	if err != nil {
		t.Fatal(err)
	}
	w.names["crypt.public"] = base64.StdEncoding.EncodeToString(public.DER)
	mac, err := c.GenerateMAC(ctx, api.MACRequest{Key: w.names["hmac"], Message: []byte("known")})
	if err != nil {
		t.Fatal(err)
	}
	w.names["mac"] = base64.StdEncoding.EncodeToString(mac.MAC)
}

// fillSecrets makes secrets of two versions each.
func (w *world) fillSecrets(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	for _, name := range []string{"read", "update", "put", "rollback", "stage", "delete", "restore", "tag", "untag", "policy",
		"update.rpc", "put.rpc", "stage.rpc", "delete.rpc", "restore.rpc", "policy.rpc"} {
		name = "secret/" + name
		if _, err := c.CreateSecret(ctx, api.CreateSecretRequest{Name: name, Value: []byte("known secret one"), Version: "v1", Tags: map[string]string{"old": "1"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.PutSecretValue(ctx, name, api.PutSecretRequest{Value: []byte("known secret two"), Version: "v2"}); err != nil {
			t.Fatal(err)
		}
	}
	me, err := c.WhoAmI(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.names["secret.policy"] = `{"Version":"1","Statement":[{"Effect":"Allow","Principal":{"RAM":["acs:ram::` + me.Account + `:root"]},"Action":["kms:List*"],"Resource":["*"]}]}`
	for _, name := range []string{"secret/restore", "secret/restore.rpc"} {
		if _, err := c.DeleteSecret(ctx, name, api.DeleteSecretRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	foreign, err := w.client(t, w.foreign).CreateSecret(ctx, api.CreateSecretRequest{Name: "foreign-secret", Value: []byte("foreign secret")})
	if err != nil {
		t.Fatal(err)
	}
	w.names["foreign.secret"] = foreign.ARN
}

// fillRollouts makes nodes that said nothing, a token that nobody used, and rollouts.
func (w *world) fillRollouts(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	for _, of := range []struct {
		by    *client.Client
		token string
		nodes []string
	}{
		{c, "token", []string{"idle", "labelled", "drained", "undrained", "removed"}},
		{w.client(t, w.foreign), "foreign.token", []string{"foreign-node"}},
	} {
		issued, err := of.by.CreateNodeToken(ctx, api.CreateNodeTokenRequest{Uses: 100})
		if err != nil {
			t.Fatal(err)
		}
		w.names[of.token] = issued.Info.ID
		for _, name := range of.nodes {
			if err := agenttest.New("http://"+w.api, http.DefaultClient, time.Now).Join(ctx, string(issued.Token), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"idle", "updated", "published", "removed", "foreign-rollout"} {
		by, secret := c, "secret/read"
		if name == "foreign-rollout" {
			by, secret = w.client(t, w.foreign), "foreign-secret"
		}
		if _, err := by.CreateRollout(ctx, api.CreateRolloutRequest{Name: name, Secret: secret, Members: map[string]string{"tier": "web"}}); err != nil {
			t.Fatal(err)
		}
	}
}

// fillTargets makes targets at a CDN without points of presence. They are members of no
// rollout: what is delivered goes on record, at any time.
func (w *world) fillTargets(t *testing.T, c *client.Client) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(out, `{"format":"keyward-edge-v1","rollout":%q,"generation":0,"pops":[]}`, strings.TrimPrefix(r.URL.Path, "/")) // whoever is gone gets nothing
	}))
	t.Cleanup(server.Close)
	w.names["edge.connection"] = `{"settings":{"put_url":"` + server.URL + `/{rollout}","pops_url":"` + server.URL + `/{rollout}"},"credential":{"hmac_key":"ZmFrZS1rZXktb2YtdGhlLWVkZ2U="}}`
	var in api.AddTargetRequest
	if err := json.Unmarshal([]byte(w.names["edge.connection"]), &in.Connection); err != nil {
		t.Fatal(err)
	}
	in.Kind = "edge"
	for _, name := range []string{"idle-target", "updated-target", "removed-target", "foreign-target"} {
		by := c
		if name == "foreign-target" {
			by = w.client(t, w.foreign)
		}
		in.Name = name
		if _, err := by.AddTarget(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
}

// fillInstances makes instances without keys.
func (w *world) fillInstances(t *testing.T, c *client.Client) {
	t.Helper()
	for _, name := range []string{"idle-instance", "removed-instance-rest", "removed-instance-rpc", "foreign-instance"} {
		by := c
		if name == "foreign-instance" {
			by = w.client(t, w.foreign)
		}
		i, err := by.CreateInstance(t.Context(), api.CreateInstanceRequest{Name: name, Class: "software"})
		if err != nil {
			t.Fatal(err)
		}
		w.names["foreign.instance"] = i.ID
	}
}

// fillIdentityProviders makes identity providers without links.
func (w *world) fillIdentityProviders(t *testing.T, c *client.Client) {
	t.Helper()
	w.names["idp.issuer"] = openidtest.New(t, time.Now).URL
	for _, name := range []string{"idle-idp", "removed-idp", "foreign-idp"} {
		by := c
		if name == "foreign-idp" {
			by = w.client(t, w.foreign)
		}
		if _, err := by.CreateIdentityProvider(t.Context(), api.CreateIdentityProviderRequest{Name: name, Issuer: w.names["idp.issuer"], ClientID: "keyward"}); err != nil {
			t.Fatal(err)
		}
	}
}

// fillOffers makes offers without keys.
func (w *world) fillOffers(t *testing.T, c *client.Client) {
	t.Helper()
	for _, name := range []string{"idle-offer", "updated-offer", "removed-offer", "foreign-offer"} {
		by, user := c, "nobody"
		if name == "foreign-offer" {
			by, user = w.client(t, w.foreign), "stranger"
		}
		if _, err := by.CreateOffer(t.Context(), api.CreateOfferRequest{Name: name, User: user}); err != nil {
			t.Fatal(err)
		}
	}
}

// fillSinks makes sinks at a simulated Vault, which choose a secret that is not there.
func (w *world) fillSinks(t *testing.T, c *client.Client) {
	t.Helper()
	server := httptest.NewServer(&vaulttest.Server{Token: "fake-token"})
	t.Cleanup(server.Close)
	w.names["vault.settings"], w.names["vault.credential"] = `{"address":"`+server.URL+`"}`, `{"token":"fake-token"}`
	w.names["vault.connection"] = `{"settings":` + w.names["vault.settings"] + `,"credential":` + w.names["vault.credential"] + `}`
	for _, name := range []string{"idle", "synced", "removed", "foreign-sink"} {
		by := c
		if name == "foreign-sink" {
			by = w.client(t, w.foreign)
		}
		if _, err := by.AddSink(t.Context(), api.AddSinkRequest{
			Name: name, Kind: "vault", Settings: map[string]string{"address": server.URL}, Credential: map[string]api.SecretText{"token": "fake-token"}, Secrets: []string{"nothing/here"},
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// fillRepositories makes repositories at a simulated host, which have no refs.
func (w *world) fillRepositories(t *testing.T, c *client.Client) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		line := strings.Repeat("0", 40) + " capabilities^{}\x00 object-format=sha1\n" // of a host that has none
		_, _ = fmt.Fprintf(w, "001e# service=git-upload-pack\n0000%04x%s0000", len(line)+4, line)
	}))
	t.Cleanup(server.Close)
	place := api.RepositoryPlace{URL: server.URL + "/shop.git"}
	w.names["git.place"] = `{"url":"` + place.URL + `","token":"fake-token"}`
	for _, name := range []string{"idle-repository", "updated-repository", "removed-repository", "foreign-repository"} {
		by := c
		if name == "foreign-repository" {
			by = w.client(t, w.foreign)
		}
		if _, err := by.AddRepository(t.Context(), api.AddRepositoryRequest{Name: name, Place: place}); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) fillAccess(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const document = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:List*","Resource":"*"}]}`
	for _, name := range []string{"spare", "spare-update"} {
		_, err := c.CreatePolicy(ctx, api.CreatePolicyRequest{Name: name, Document: document})
		must(err)
	}
	_, err := w.client(t, w.foreign).CreatePolicy(ctx, api.CreatePolicyRequest{Name: "foreign-policy", Document: document})
	must(err)
	newUser := func(c *client.Client, name string) caller {
		_, err := c.CreateUser(ctx, api.CreateUserRequest{Name: name})
		must(err)
		issued, err := c.CreateAccessKey(ctx, name, api.CreateAccessKeyRequest{})
		must(err)
		w.names[name+".ak"] = issued.AccessKey.ID
		return caller{issued.AccessKey.ID, string(issued.Secret)}
	}
	trust := func(account string) string {
		return `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::` + account + `:root"]}}]}`
	}
	w.names["trust"], w.names["session.policy"] = trust(w.names["account"]), document
	for _, name := range []string{"idle-role", "updated-role", "removed-role", "holder-role"} {
		_, err := c.CreateRole(ctx, api.CreateRoleRequest{Name: name, TrustPolicy: w.names["trust"]})
		must(err)
	}
	must(c.AttachPolicyToRole(ctx, "holder-role", "AliyunKMSReadOnlyAccess"))
	_, err = w.client(t, w.foreign).CreateRole(ctx, api.CreateRoleRequest{Name: "foreign-role", TrustPolicy: trust(w.names["foreign.account"])})
	must(err)
	w.nobody = newUser(c, "nobody")
	for _, name := range []string{"updated", "reset", "deleted", "holder"} {
		newUser(c, name)
	}
	newUser(w.client(t, w.foreign), "stranger")
	_, err = c.SetUserPassword(ctx, "holder")
	must(err)
	_, err = c.CreateUser(ctx, api.CreateUserRequest{Name: "idle"})
	must(err)
	must(c.AttachPolicy(ctx, "holder", "AliyunKMSReadOnlyAccess"))
}

// fillStock makes providers, of which one was read, people and a rota.
func (w *world) fillStock(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	foreign := w.client(t, w.foreign)
	_, err := foreign.AddProvider(ctx, api.AddProviderRequest{Name: "foreign-provider", Kind: "manual"})
	must(err)
	_, err = foreign.SetPerson(ctx, "foreign-person", api.SetPersonRequest{Email: "foreign@example.com"})
	must(err)
	_, err = foreign.SetRota(ctx, "foreign-rota", api.SetRotaRequest{People: []string{"foreign-person"}, Start: time.Now(), Turn: "7d"})
	must(err)
	_, err = foreign.CreateSecret(ctx, api.CreateSecretRequest{Name: "foreign-rotated", Value: []byte(`{"id":"old","secret":"fake-old"}`)})
	must(err)
	_, err = foreign.CreateRotationPlan(ctx, api.CreateRotationPlanRequest{Name: "foreign-plan", Provider: "foreign-provider", Principal: "payments", Secret: "foreign-rotated", Key: "old"})
	must(err)
	for _, name := range []string{"own", "spare"} {
		_, err := c.AddProvider(ctx, api.AddProviderRequest{Name: name, Kind: "keyward"})
		must(err)
	}
	for _, name := range []string{"bo", "leaver"} {
		_, err := c.SetPerson(ctx, name, api.SetPersonRequest{Email: name + "@example.com"})
		must(err)
	}
	_, err = c.SetRota(ctx, "old", api.SetRotaRequest{People: []string{"bo"}, Start: time.Now(), Turn: "7d"})
	must(err)
	for read := 0; read < 2; {
		read = 0
		list, err := c.ListProviders(ctx)
		must(err)
		for _, p := range list.Providers {
			if !p.Sync.SucceededAt.IsZero() {
				read++
			}
		}
		time.Sleep(20 * time.Millisecond) // the server reads them by itself; there is nothing to wait on
	}
}

// fillPlans makes plans for keys that a person replaces by hand.
func (w *world) fillPlans(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	if _, err := c.AddProvider(ctx, api.AddProviderRequest{Name: "hand", Kind: "manual"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kept", "dropped", "made"} {
		if _, err := c.CreateSecret(ctx, api.CreateSecretRequest{Name: "rotated/" + name, Value: []byte(`{"id":"old-` + name + `","secret":"fake-old"}`)}); err != nil {
			t.Fatal(err)
		}
		if name == "made" {
			continue // its plan is made by a request
		}
		if _, err := c.CreateRotationPlan(ctx, api.CreateRotationPlanRequest{Name: name, Provider: "hand", Principal: "payments", Secret: "rotated/" + name, Key: "old-" + name}); err != nil {
			t.Fatal(err)
		}
	}
}

// fillApprovals makes somebody who could approve, a rule, and a request that waits.
func (w *world) fillApprovals(t *testing.T, c *client.Client, account, approver, id string) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.CreateUser(ctx, api.CreateUserRequest{Name: approver})
	must(err)
	made, err := c.SetUserPassword(ctx, approver)
	must(err)
	config := client.Config{Endpoint: "http://" + w.api}
	session, err := client.Login(ctx, config, api.LoginRequest{Account: w.names[account], User: approver, Password: made.Password, NewPassword: "fake horse battery staple"})
	must(err)
	config.AccessKeyID, config.AccessKeySecret, config.SecurityToken = session.AccessKeyID, string(session.Secret), string(session.SecurityToken)
	person, err := client.New(config)
	must(err)
	e, err := person.EnrollMFA(ctx)
	must(err)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(e.Secret))
	must(err)
	_, err = person.ConfirmMFA(ctx, api.ConfirmMFARequest{Code: api.SecretText(totp.Code(material.NewBytes(secret), totp.Step(time.Now())))})
	must(err)
	key, err := c.CreateKey(ctx, api.CreateKeyRequest{})
	must(err)
	rule := strings.Replace(approver, "approver", "rule", 1)
	if rule == "rule" {
		rule = "kept"
	}
	_, err = c.SetApprovalRule(ctx, rule, api.SetApprovalRuleRequest{Need: 1, Approvers: []string{approver}, Actions: []string{"kms:DisableKey"}, Resources: []string{"acs:kms:*:*:key/" + key.ID}, Life: "7d"})
	must(err)
	var refusal *client.Error
	if err := c.DisableKey(ctx, key.ID); !errors.As(err, &refusal) || refusal.Approval == "" {
		t.Fatalf("no approval is wanted: %v", err)
	}
	w.names[id] = refusal.Approval
}

// text puts the world's names into a text of the tables.
func (w *world) text(s string) string {
	if name, ok := strings.CutPrefix(s, "$"); ok {
		if w.names[name] == "" {
			panic("the world has no " + name)
		}
		return w.names[name]
	}
	return s
}

// moving are the tables that change whenever a request is answered at all: what the log
// keeps, what replay protection keeps, when an access key was last used, and what the
// server reads of providers by itself.
var moving = map[string]bool{
	"accesskey": true, "accesskey_principal": true, "accesskey_state": true, "accesskey_check": true, "expiry_scan": true, "finding": true, "leak_key": true, "secret_mark": true, "watch_state": true,
	"audit_log": true, "audit_batch": true, "nonce": true, "nonce_block": true, "clock": true, "node_presence": true, "node_ack": true, "iam_access_key_use": true, "key_use": true, "key_version_use": true, "key_use_since": true,
}

// rows answers the digest of every row of the database, by table.
func (w *world) rows(t *testing.T) map[string][]string {
	t.Helper()
	tables, err := w.database.QueryContext(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	var names []string
	for tables.Next() {
		var name string
		if err := tables.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := tables.Err(); err != nil || len(names) < 12 {
		t.Fatalf("%d tables: %v", len(names), err)
	}
	for _, name := range names {
		if !moving[name] {
			out[name] = w.table(t, name)
		}
	}
	return out
}

func (w *world) table(t *testing.T, name string) (out []string) {
	t.Helper()
	from := name
	if name == "notify_incident" { // how far the telling has come changes by itself; what people said does not
		from = "(SELECT account, id, ack_by, ack_note, ack_at FROM notify_incident WHERE ack_by <> '') i"
	}
	if name == "job" { // what is outside is looked at again and again; what asks for it changes other rows, too
		from = "job WHERE kind NOT IN ('sink.sync', 'sink.sweep', 'rollout.target') AND kind NOT LIKE 'accesskey.%' AND kind NOT LIKE 'approval.%' AND kind NOT LIKE 'expiry.%' AND kind NOT LIKE 'exposure.%' AND kind NOT LIKE 'watch.%' AND kind NOT LIKE 'notify.%' AND kind NOT LIKE 'rotation.%'"
	}
	rows, err := w.database.QueryContext(t.Context(), "SELECT * FROM "+from+" ORDER BY 1, 2")
	if err != nil {
		t.Fatal(err)
	}
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(fmt.Sprintf("%q", values)))
		out = append(out, fmt.Sprintf("%v %s", values[:2], hex.EncodeToString(sum[:8])))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// files answers the names of all files that the server keeps.
func (w *world) files(t *testing.T) (out []string) {
	t.Helper()
	for _, dir := range []string{w.config.DataDir, filepath.Dir(w.config.OperatorSocket)} {
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if name := filepath.Base(path); name != "audit.checkpoint" && name != "anchor" && !strings.HasPrefix(name, ".tmp-") { // they come with time
				out = append(out, path)
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return out
}

// dial connects to the API or to the operator's socket.
func (w *world) dial(dialect string) (net.Conn, error) {
	if dialect == operatorDialect {
		return net.Dial("unix", w.config.OperatorSocket)
	}
	return net.Dial("tcp", w.api)
}
