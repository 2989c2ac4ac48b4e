package rest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/rest"
)

func TestCryptographyThereAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(t, w.account(t, "Owner"))
	ctx := t.Context()
	k := must(c.CreateKey(ctx, api.CreateKeyRequest{Spec: "Aliyun_SM4"}))(t)
	other := must(c.CreateKey(ctx, api.CreateKeyRequest{}))(t)
	secret, context := api.SecretBytes("fake plaintext"), map[string]string{"app": "billing", "App": "other"}

	sealed := must(c.Encrypt(ctx, api.EncryptRequest{Key: k.ID, Plaintext: secret, Context: context}))(t)
	moved := must(c.ReEncrypt(ctx, api.ReEncryptRequest{Ciphertext: sealed.Ciphertext, SourceContext: context, DestinationKey: other.ID}))(t)
	opened := must(c.Decrypt(ctx, api.DecryptRequest{Ciphertext: moved.Ciphertext}))(t)
	if !bytes.Equal(opened.Plaintext, secret) || opened.Key != other.ID || opened.Version != other.PrimaryVersion {
		t.Errorf("decrypted %q with %s", []byte(opened.Plaintext), opened.Key)
	}
	if _, err := c.Decrypt(ctx, api.DecryptRequest{Ciphertext: sealed.Ciphertext}); codeOf(t, err) != "InvalidCiphertext" {
		t.Errorf("without its context: %v", err)
	}
	d := must(c.GenerateDataKey(ctx, api.DataKeyRequest{Key: k.ID}))(t)
	if again := must(c.Decrypt(ctx, api.DecryptRequest{Ciphertext: d.Ciphertext}))(t); len(d.Plaintext) != 32 || !bytes.Equal(again.Plaintext, d.Plaintext) {
		t.Error("the data key does not decrypt to itself")
	}
	hidden := must(c.GenerateDataKeyWithoutPlaintext(ctx, api.DataKeyRequest{Key: k.ID, Size: 7}))(t)
	if again := must(c.Decrypt(ctx, api.DecryptRequest{Ciphertext: hidden.Ciphertext}))(t); len(again.Plaintext) != 7 {
		t.Errorf("a data key of 7 bytes has %d", len(again.Plaintext))
	}

	signer := must(c.CreateKey(ctx, api.CreateKeyRequest{Spec: "EC_P256K"}))(t)
	digest := sha256.Sum256(secret)
	in := api.SignRequest{Key: signer.ID, Version: signer.PrimaryVersion, Algorithm: "ECDSA_SHA_256", Digest: digest[:]}
	s := must(c.Sign(ctx, in))(t)
	for _, want := range []bool{true, false} {
		v := must(c.Verify(ctx, api.VerifyRequest{Key: in.Key, Version: in.Version, Algorithm: in.Algorithm, Digest: digest[:], Signature: s.Signature}))(t)
		if v.Valid != want {
			t.Errorf("the signature of the digest is said to be %t", v.Valid)
		}
		digest[0] ^= 1
	}
	if _, err := c.Encrypt(ctx, api.EncryptRequest{Key: k.ID, Plaintext: secret, DryRun: true}); codeOf(t, err) != "DryRun" {
		t.Errorf("a dry run: %v", err)
	}
}

func TestListsGoOnWhereTheyEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "Owner")
	c := w.client(t, admin)
	var made, listed []string
	for i := range 5 {
		k := must(c.CreateKey(t.Context(), api.CreateKeyRequest{Tags: map[string]string{"n": fmt.Sprint(i % 2)}}))(t)
		made = append(made, k.ID)
		must(c.CreateUser(t.Context(), api.CreateUserRequest{Name: fmt.Sprintf("user%d", i)}))(t)
	}
	for in := (api.ListKeysRequest{Limit: 2}); ; {
		page := must(c.ListKeys(t.Context(), in))(t)
		for _, k := range page.Keys {
			listed = append(listed, k.ID)
		}
		if in.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if diff := cmp.Diff(made, listed); diff != "" {
		t.Errorf("keys:\n%s", diff)
	}
	some := must(c.ListKeys(t.Context(), api.ListKeysRequest{TagKeys: []string{"n"}, TagValues: []string{"1"}, States: []string{"Enabled", "Disabled"}}))(t)
	if some.Total != 2 {
		t.Errorf("%d keys match the filter, want 2", some.Total)
	}
	var users []string
	for in := (api.PageRequest{Limit: 3}); ; {
		page := must(c.ListUsers(t.Context(), in))(t)
		for _, u := range page.Users {
			users = append(users, u.Name)
		}
		if in.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if want := []string{"admin", "root", "user0", "user1", "user2", "user3", "user4"}; !slices.Equal(users, want) {
		t.Errorf("users %v, want %v", users, want)
	}
}

func TestAccountSeesItsOwnAuditRecordsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.account(t, "A"), w.account(t, "B")
	k := must(w.client(t, a).CreateKey(t.Context(), api.CreateKeyRequest{}))(t)
	must(w.client(t, b).CreateKey(t.Context(), api.CreateKeyRequest{}))(t)
	c := w.client(t, a)
	list := must(c.ListAuditRecords(t.Context(), api.ListAuditRecordsRequest{}))(t)
	for _, r := range list.Records {
		if r.Account != a.account {
			t.Errorf("account A sees %+v", r)
		}
	}
	begun := must(c.ListAuditRecords(t.Context(), api.ListAuditRecordsRequest{Action: "KMS:create*"}))(t)
	created := must(c.ListAuditRecords(t.Context(), api.ListAuditRecordsRequest{Action: "KMS:createkey"}))(t)
	if len(created.Records) != 1 || created.Records[0].Resource != k.ARN || created.Records[0].Source != "127.0.0.1" {
		t.Fatalf("the record of CreateKey is %+v", created)
	}
	if len(begun.Records) != 1 || begun.Records[0].Seq != created.Records[0].Seq {
		t.Errorf("the records of what begins with kms:Create are %+v", begun.Records)
	}
	logs := must(c.ListAuditLogs(t.Context()))(t).Logs
	proof := must(c.ProveAuditRecord(t.Context(), api.AuditProofRequest{Log: created.Records[0].Log, Seq: created.Records[0].Seq}))(t)
	entry, head, err := audit.VerifyProof([]byte(proof.Proof), logs[0].PublicKey)
	if err != nil || entry.RequestID != created.Records[0].RequestID || head.Size < logs[0].Size {
		t.Errorf("the proof shows %+v in %+v: %v", entry, head, err)
	}
	if head, err := audit.OpenCheckpoint([]byte(logs[0].Checkpoint), logs[0].PublicKey); err != nil || head.Size != logs[0].Size {
		t.Errorf("the checkpoint shows %+v: %v", head, err)
	}
}

// A record of another account, one that is not there and one of no log look the same.
func TestMissingRecordsLookAlike(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.account(t, "A"), w.account(t, "B")
	theirs := must(w.client(t, a).ListAuditRecords(t.Context(), api.ListAuditRecordsRequest{Limit: 1}))(t).Records[0]
	var messages []string
	for _, in := range []api.AuditProofRequest{{Log: theirs.Log, Seq: theirs.Seq}, {Log: theirs.Log, Seq: 1 << 40}, {Log: "none"}} {
		_, err := w.client(t, b).ProveAuditRecord(t.Context(), in)
		var e *client.Error
		if !errors.As(err, &e) || e.Status != http.StatusNotFound {
			t.Fatalf("%+v: %v", in, err)
		}
		messages = append(messages, e.Code+e.Message)
	}
	if len(slices.Compact(messages)) != 1 {
		t.Errorf("they can be told apart: %q", messages)
	}
}

func TestWrongSecretAndUnknownAccessKeyLookAlike(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "Owner")
	wrong, unknown := admin, admin
	wrong.secret = "fake"
	unknown.id = "KWAKunknown"
	var seen []api.Problem
	for _, who := range []login{wrong, unknown} {
		records := w.during(t, func() {
			resp, p := do(t, w.sign(t, who, raw{"GET", "/v1/whoami", "", nil}))
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("answered %d", resp.StatusCode)
			}
			p.RequestID = ""
			seen = append(seen, p)
		})
		if len(records) != 1 || records[0].Action != "keyward:Authenticate" || (records[0].Params["ClaimedAccessKeyId"] == who.id) != iam.ValidAccessKeyID(who.id) {
			t.Errorf("left %+v", records)
		}
	}
	if diff := cmp.Diff(seen[0], seen[1]); diff != "" {
		t.Errorf("they can be told apart:\n%s", diff)
	}
}

func TestAccessKeysAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "Owner")
	user := w.user(t, admin, "bob")
	c, by := w.client(t, user), w.client(t, admin)
	if me := must(c.WhoAmI(t.Context()))(t); me != (api.Identity{
		Account: admin.account, ARN: "acs:ram::" + admin.account + ":user/bob", Kind: "user", User: "bob", AccessKey: user.id, Region: region,
	}) {
		t.Errorf("bob is %+v", me)
	}
	no, yes := false, true
	must(by.UpdateAccessKey(t.Context(), user.id, api.UpdateAccessKeyRequest{Enabled: &no}))(t)
	if _, err := c.WhoAmI(t.Context()); codeOf(t, err) != "AccessKeyInactive" {
		t.Errorf("a disabled access key: %v", err)
	}
	must(by.UpdateAccessKey(t.Context(), user.id, api.UpdateAccessKeyRequest{Enabled: &yes}))(t)
	must(c.WhoAmI(t.Context()))(t)
	soon := time.Now().Add(time.Hour)
	must(by.UpdateAccessKey(t.Context(), user.id, api.UpdateAccessKeyRequest{ExpiresAt: &soon}))(t)
	w.later.Store(int64(2 * time.Hour))
	if _, err := c.WhoAmI(t.Context()); codeOf(t, err) != "AccessKeyInactive" {
		t.Errorf("an expired access key: %v", err)
	}
	if k := must(by.UpdateAccessKey(t.Context(), user.id, api.UpdateAccessKeyRequest{NeverExpires: true}))(t); !k.ExpiresAt.IsZero() {
		t.Errorf("it still expires: %+v", k)
	}
	must(c.WhoAmI(t.Context()))(t)
	used := must(by.GetAccessKey(t.Context(), user.id))(t)
	if used.LastUse == nil || used.LastUse.Action != "sts:GetCallerIdentity" || used.LastUse.Source != "127.0.0.1" {
		t.Errorf("the last use is %+v", used.LastUse)
	}
	fresh := must(by.ResetAccessKey(t.Context(), user.id))(t)
	if _, err := c.WhoAmI(t.Context()); codeOf(t, err) != "SignatureMismatch" {
		t.Errorf("the old secret: %v", err)
	}
	user.secret = string(fresh.Secret)
	must(w.client(t, user).WhoAmI(t.Context()))(t)
}

func TestReplayIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "Owner")
	r := w.sign(t, admin, raw{"POST", "/v1/users", "application/json", []byte(`{"name":"bob"}`)})
	if resp, p := do(t, r); resp.StatusCode != http.StatusOK {
		t.Fatalf("the first time: %+v", p)
	}
	r.Body = must(r.GetBody())(t)
	if resp, p := do(t, r); resp.StatusCode != http.StatusUnauthorized || p.Code != "NonceUsed" {
		t.Errorf("the second time: %d %+v", resp.StatusCode, p)
	}
	r = w.sign(t, admin, raw{"GET", "/v1/whoami", "", nil})
	do(t, r)
	if resp, p := do(t, r); resp.StatusCode != http.StatusUnauthorized || p.Code != "NonceUsed" {
		t.Errorf("a GET the second time: %d %+v", resp.StatusCode, p)
	}
}

func TestThrottlingIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "Owner")
	w.limiter.PerKey = 1
	var throttled *http.Response
	records := w.during(t, func() {
		for range 50 {
			if resp, p := do(t, w.sign(t, admin, raw{"GET", "/v1/keys", "", nil})); p.Code == "Throttled" {
				throttled = resp
				break
			}
		}
	})
	if throttled == nil || throttled.StatusCode != http.StatusTooManyRequests || throttled.Header.Get("Retry-After") != "1" {
		t.Fatalf("answered %v", throttled)
	}
	if last := records[len(records)-1]; last.Action != "kms:ListKeys" || last.Result != "Throttled" {
		t.Errorf("left %+v", last)
	}
}

func TestNothingIsAnsweredThatIsNotRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.client(t, w.account(t, "Owner"))
	k := must(c.CreateKey(t.Context(), api.CreateKeyRequest{}))(t)
	w.node.StopLog()
	for name, err := range map[string]error{
		"WhoAmI":    drop(c.WhoAmI(t.Context())),
		"CreateKey": drop(c.CreateKey(t.Context(), api.CreateKeyRequest{})),
		"Encrypt":   drop(c.Encrypt(t.Context(), api.EncryptRequest{Key: k.ID, Plaintext: []byte("fake")})),
		"denied":    drop(c.DescribeKey(t.Context(), "key-unknown")),
	} {
		if codeOf(t, err) != "AuditUnavailable" {
			t.Errorf("%s without a log: %v", name, err)
		}
	}
}

func TestSealedServerRefuses(t *testing.T) {
	t.Parallel()
	none := func() float64 { return 0 }
	edge := &server.Edge{
		Logger: testLogger(t), Now: time.Now,
		Metrics: server.NewMetrics("test", server.Gauges{Sealed: none, AuditSize: none, TamperedRows: none}),
	}
	s := httptest.NewServer(edge.Handle("rest", rest.MaxBody, func(w http.ResponseWriter, r *http.Request, x *server.Exchange, _ error) {
		rest.Refuse(w, r, x, fault.Sealed.New("the server is sealed; unseal it"))
	}))
	defer s.Close()
	resp, p := do(t, must(http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/keys", nil))(t))
	if resp.StatusCode != http.StatusServiceUnavailable || p.Code != "Sealed" {
		t.Errorf("answered %d %+v", resp.StatusCode, p)
	}
}

// What callers send and get secretly is in no log line, no audit record and no problem.
func TestSecretsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.account(t, "Owner")
	c := w.client(t, admin)
	const canary = "CANARY-fake-secret"
	k := must(c.CreateKey(t.Context(), api.CreateKeyRequest{}))(t)
	must(c.Encrypt(t.Context(), api.EncryptRequest{Key: k.ID, Plaintext: []byte(canary), Context: map[string]string{canary: canary}}))(t)
	must(c.CreateUser(t.Context(), api.CreateUserRequest{Name: "bob"}))(t)
	issued := must(c.CreateAccessKey(t.Context(), "bob", api.CreateAccessKeyRequest{}))(t)
	var problems strings.Builder
	for _, body := range []string{
		`{"key":"k","plaintext":"` + canary + `"}`, `{"key":"k","plaintext":["` + canary + `"]}`, `{"key":"` + canary, `"` + canary + `"`,
	} {
		_, p := do(t, w.sign(t, admin, raw{"POST", "/v1/crypto/encrypt", "application/json", []byte(body)}))
		fmt.Fprintln(&problems, p)
	}
	traces := map[string]string{"the problems": problems.String(), "the audit log": fmt.Sprintf("%+v", w.records(t, 0)), "the log": w.logged()}
	for where, text := range traces {
		for _, secret := range []string{canary, "Q0FOQVJZ", string(issued.Secret), admin.secret} {
			if strings.Contains(text, secret) {
				t.Errorf("%s contains %q", where, secret)
			}
		}
	}
}
