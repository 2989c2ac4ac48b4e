package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server/rest"
)

func TestEveryRouteNamesItsActionAndHasAClientMethod(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, r := range rest.Routes() {
		service, action, _ := strings.Cut(r.Action, ":")
		if service != "kms" && service != "ram" && service != "keyward" && service != "sts" || action == "" {
			t.Errorf("%s names no action: %q", r.Name, r.Action)
		}
		if names[r.Name] {
			t.Errorf("%s is there twice", r.Name)
		}
		names[r.Name] = true
		if _, ok := reflect.TypeFor[*client.Client]().MethodByName(r.Name); !ok {
			t.Errorf("the client has no method %s", r.Name)
		}
		if r.Summary == "" {
			t.Errorf("%s is not documented", r.Name)
		}
	}
}

func TestEveryRouteRefusesStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range rest.Routes() {
		resp, p := do(t, must(http.NewRequestWithContext(t.Context(), r.Method, w.url+pathOf(r.Pattern), nil))(t))
		if resp.StatusCode != http.StatusUnauthorized || p.Code != "IncompleteSignature" {
			t.Errorf("%s without a signature: %d %s", r.Name, resp.StatusCode, p.Code)
		}
		if resp.Header.Get("WWW-Authenticate") != "ACS3-HMAC-SHA256" {
			t.Errorf("%s: the answer does not say how to authenticate", r.Name)
		}
	}
	for _, r := range w.records(t, 0) {
		if r.Action != "keyward:Authenticate" || r.Result != "IncompleteSignature" || r.Account != "" {
			t.Errorf("left %+v", r)
		}
	}
	if w.size(t) == 0 {
		t.Error("no refusal was recorded")
	}
}

// A step calls one operation on what belongs to the account of a scene. Who is of
// another account gets the code foreign.
type step struct {
	name    string
	call    func(context.Context, *client.Client) error
	foreign string
}

// A scene is an account with one of everything.
type scene struct {
	symmetric, doomed, signing, deciphering api.Key

	guarded                   api.Key        // which others must let be deleted
	approver                  *client.Client // who logged in, and is asked for codes
	toApprove, toReject       string         // approval requests
	external, hmac            api.Key
	material                  api.ImportRequest // of external
	ciphertext, asymmetric    []byte
	signature, mac, recipient []byte
	digest                    []byte
	record                    api.AuditRecord
	old, unused               string // findings
	spare                     string // access key id of bob
	updated                   api.AccessKey
	vault, cdn                string // their URLs
	issuer                    string // an identity provider
	incident                  string
	token                     string         // id of one that nobody used
	offered                   string         // credential of an offer
	person                    *client.Client // erin's, who logged in
	factor                    api.MFAEnrollment
	holder                    *client.Client // greta's, who logged in with a security key
	made                      api.HeldProof  // that greta registered another one
	now                       func() time.Time
}

func newScene(t *testing.T, w *world, admin login) *scene {
	t.Helper()
	ctx, c := t.Context(), w.client(t, admin)
	s := &scene{digest: make([]byte, 32), vault: w.vault.URL, cdn: w.cdn.URL, issuer: w.idp.URL, now: w.now}
	s.symmetric = must(c.CreateKey(ctx, api.CreateKeyRequest{Description: "reports"}))(t)
	s.doomed = must(c.CreateKey(ctx, api.CreateKeyRequest{}))(t)
	s.signing = must(c.CreateKey(ctx, api.CreateKeyRequest{Spec: "EC_P256"}))(t)
	s.guarded = must(c.CreateKey(ctx, api.CreateKeyRequest{}))(t)
	s.deciphering = must(c.CreateKey(ctx, api.CreateKeyRequest{Spec: "EC_SM2", Usage: "ENCRYPT/DECRYPT"}))(t)
	check(t, c.CreateAlias(ctx, api.CreateAliasRequest{Name: "alias/app/main", Key: s.symmetric.ID}))
	s.ciphertext = must(c.Encrypt(ctx, api.EncryptRequest{Key: "alias/app/main", Plaintext: []byte("fake")}))(t).Ciphertext
	s.asymmetric = must(c.AsymmetricEncrypt(ctx, s.asymmetricEncrypt()))(t).Ciphertext
	s.signature = must(c.Sign(ctx, s.sign()))(t).Signature
	s.recipient = must(c.GetPublicKey(ctx, s.deciphering.ID, s.deciphering.PrimaryVersion))(t).DER
	s.hmac = must(c.CreateKey(ctx, api.CreateKeyRequest{Spec: "HMAC_SHA_256"}))(t)
	s.mac = must(c.GenerateMAC(ctx, api.MACRequest{Key: s.hmac.ID, Message: []byte("fake")}))(t).MAC
	for _, name := range []string{"app/secret", "spare", "doomed", "delivered"} {
		must(c.CreateSecret(ctx, api.CreateSecretRequest{Name: name, Value: []byte("fake"), Version: "v1"}))(t)
	}
	w.join(t, admin.account, "web-1", map[string]string{"tier": "web"}, c)
	for _, name := range []string{"bob", "carol"} {
		must(c.CreateUser(ctx, api.CreateUserRequest{Name: name}))(t)
	}
	s.spare = must(c.CreateAccessKey(ctx, "bob", api.CreateAccessKeyRequest{}))(t).AccessKey.ID
	must(c.CreatePolicy(ctx, api.CreatePolicyRequest{Name: "Reader", Document: readerPolicy}))(t)
	s.record = must(c.ListAuditRecords(ctx, api.ListAuditRecordsRequest{Oldest: true, Action: "kms:CreateKey", Limit: 1}))(t).Records[0]
	addRole(t, c)
	s.addStock(t, w, admin)
	s.old, s.unused = w.find(t, admin.account)
	addRotations(t, w, admin)
	w.later.Store(int64(8 * 24 * time.Hour)) // a key may be rotated by hand after seven days
	s.external = must(c.CreateKey(ctx, api.CreateKeyRequest{Origin: "EXTERNAL"}))(t)
	p := must(c.GetImportParameters(ctx, s.external.ID, s.wrapping()))(t)
	s.material = api.ImportRequest{Token: p.Token, Material: must(material.WrapOAEPSHA256.Wrap(p.PublicKey, material.Random(32)))(t)}
	s.addApprovals(t, w, admin)
	s.token = must(c.CreateNodeToken(ctx, api.CreateNodeTokenRequest{}))(t).Info.ID
	return s
}

func (s *scene) wrapping() api.ImportParametersRequest {
	return api.ImportParametersRequest{Wrapping: string(material.WrapOAEPSHA256)}
}

const readerPolicy = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:DescribeKey","Resource":"*"}]}`

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *scene) asymmetricEncrypt() api.AsymmetricEncryptRequest {
	return api.AsymmetricEncryptRequest{Key: s.deciphering.ID, Version: s.deciphering.PrimaryVersion, Algorithm: "SM2PKE", Plaintext: []byte("fake")}
}

func (s *scene) sign() api.SignRequest {
	return api.SignRequest{Key: s.signing.ID, Version: s.signing.PrimaryVersion, Algorithm: "ECDSA_SHA_256", Digest: s.digest}
}

// drop makes a call of one that answers something.
func drop[T any](_ T, err error) error { return err }

// keySteps are the operations on keys, in an order in which they all succeed.
func (s *scene) keySteps() []step {
	id, version := s.symmetric.ID, s.symmetric.PrimaryVersion
	const noKey = "KeyNotFound"
	return []step{
		{"WhoAmI", func(ctx context.Context, c *client.Client) error { return drop(c.WhoAmI(ctx)) }, ""},
		{"CreateKey", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateKey(ctx, api.CreateKeyRequest{}))
		}, ""},
		{"ListKeys", func(ctx context.Context, c *client.Client) error { return drop(c.ListKeys(ctx, api.ListKeysRequest{})) }, ""},
		{"DescribeKey", func(ctx context.Context, c *client.Client) error { return drop(c.DescribeKey(ctx, s.symmetric.ARN)) }, noKey},
		{"UpdateKeyDescription", func(ctx context.Context, c *client.Client) error {
			return c.UpdateKeyDescription(ctx, id, api.DescriptionRequest{Description: "new"})
		}, noKey},
		{"DisableKey", func(ctx context.Context, c *client.Client) error { return c.DisableKey(ctx, id) }, noKey},
		{"EnableKey", func(ctx context.Context, c *client.Client) error { return c.EnableKey(ctx, id) }, noKey},
		{"SetKeyRotation", func(ctx context.Context, c *client.Client) error {
			return c.SetKeyRotation(ctx, id, api.RotationRequest{Enabled: true, IntervalSeconds: 30 * 86400})
		}, noKey},
		{"ProtectKey", func(ctx context.Context, c *client.Client) error {
			return c.ProtectKey(ctx, id, api.Protection{Enabled: true, Note: "in use"})
		}, noKey},
		{"DeleteKey", func(ctx context.Context, c *client.Client) error {
			return c.DeleteKey(ctx, s.doomed.ID, api.DeleteKeyRequest{Days: 7})
		}, noKey},
		{"RestoreKey", func(ctx context.Context, c *client.Client) error { return c.RestoreKey(ctx, s.doomed.ID) }, noKey},
		{"SetKeyPolicy", func(ctx context.Context, c *client.Client) error { return c.SetKeyPolicy(ctx, id, api.KeyPolicy{}) }, noKey},
		{"GetKeyPolicy", func(ctx context.Context, c *client.Client) error { return drop(c.GetKeyPolicy(ctx, id)) }, noKey},
		{"CreateKeyVersion", func(ctx context.Context, c *client.Client) error { return drop(c.CreateKeyVersion(ctx, id)) }, noKey},
		{"ListKeyVersions", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListKeyVersions(ctx, id, api.PageRequest{}))
		}, noKey},
		{"DescribeKeyVersion", func(ctx context.Context, c *client.Client) error { return drop(c.DescribeKeyVersion(ctx, id, version)) }, noKey},
		{"GetPublicKey", func(ctx context.Context, c *client.Client) error {
			return drop(c.GetPublicKey(ctx, s.signing.ID, s.signing.PrimaryVersion))
		}, noKey},
		{"GenerateCSR", func(ctx context.Context, c *client.Client) error {
			return drop(c.GenerateCSR(ctx, s.signing.ID, s.signing.PrimaryVersion, api.CSRRequest{CommonName: "pay.example.com"}))
		}, noKey},
		{"GetImportParameters", func(ctx context.Context, c *client.Client) error {
			return drop(c.GetImportParameters(ctx, s.external.ID, s.wrapping()))
		}, noKey},
		{"ImportKeyMaterial", func(ctx context.Context, c *client.Client) error {
			return c.ImportKeyMaterial(ctx, s.external.ID, s.material)
		}, noKey},
		{"DeleteKeyMaterial", func(ctx context.Context, c *client.Client) error {
			return c.DeleteKeyMaterial(ctx, s.external.ID)
		}, noKey},
		{"TagKey", func(ctx context.Context, c *client.Client) error {
			return c.TagKey(ctx, id, api.TagRequest{Tags: map[string]string{"team/x": "a b", "env": "test"}})
		}, noKey},
		{"UntagKey", func(ctx context.Context, c *client.Client) error {
			return c.UntagKey(ctx, id, api.UntagRequest{Keys: []string{"env", "other"}})
		}, noKey},
		{"ListKeyAliases", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListKeyAliases(ctx, "alias/app/main", api.PageRequest{}))
		}, "AliasNotFound"},
		{"CreateAlias", func(ctx context.Context, c *client.Client) error {
			return c.CreateAlias(ctx, api.CreateAliasRequest{Name: "alias/new", Key: id})
		}, noKey},
		{"ListAliases", func(ctx context.Context, c *client.Client) error { return drop(c.ListAliases(ctx, api.PageRequest{})) }, ""},
		{"PointAlias", func(ctx context.Context, c *client.Client) error {
			return c.PointAlias(ctx, "alias/app/main", api.PointAliasRequest{Key: s.doomed.ID})
		}, noKey},
		{"DeleteAlias", func(ctx context.Context, c *client.Client) error { return c.DeleteAlias(ctx, "alias/app/main") }, "AliasNotFound"},
	}
}

func (s *scene) cryptoSteps() []step {
	id := s.symmetric.ID
	const noKey = "KeyNotFound"
	return []step{
		{"Encrypt", func(ctx context.Context, c *client.Client) error {
			return drop(c.Encrypt(ctx, api.EncryptRequest{Key: id, Plaintext: []byte("fake")}))
		}, noKey},
		{"Decrypt", func(ctx context.Context, c *client.Client) error {
			return drop(c.Decrypt(ctx, api.DecryptRequest{Ciphertext: s.ciphertext}))
		}, noKey},
		{"ReEncrypt", func(ctx context.Context, c *client.Client) error {
			return drop(c.ReEncrypt(ctx, api.ReEncryptRequest{Ciphertext: s.ciphertext, DestinationKey: s.doomed.ID}))
		}, noKey},
		{"GenerateDataKey", func(ctx context.Context, c *client.Client) error {
			return drop(c.GenerateDataKey(ctx, api.DataKeyRequest{Key: id}))
		}, noKey},
		{"GenerateDataKeyWithoutPlaintext", func(ctx context.Context, c *client.Client) error {
			return drop(c.GenerateDataKeyWithoutPlaintext(ctx, api.DataKeyRequest{Key: id, Size: 64}))
		}, noKey},
		{"EncryptBatch", func(ctx context.Context, c *client.Client) error {
			return drop(c.EncryptBatch(ctx, api.EncryptBatchRequest{Key: id, Plaintexts: []api.SecretBytes{[]byte("fake")}}))
		}, noKey},
		{"DecryptBatch", func(ctx context.Context, c *client.Client) error {
			return drop(c.DecryptBatch(ctx, api.DecryptBatchRequest{Key: id, Ciphertexts: [][]byte{s.ciphertext}}))
		}, noKey},
		{"ExportDataKey", func(ctx context.Context, c *client.Client) error {
			return drop(c.ExportDataKey(ctx, api.ExportDataKeyRequest{Ciphertext: s.ciphertext, Wrapping: "SM2PKE", PublicKey: s.recipient}))
		}, noKey},
		{"GenerateAndExportDataKey", func(ctx context.Context, c *client.Client) error {
			return drop(c.GenerateAndExportDataKey(ctx, api.GenerateAndExportDataKeyRequest{Key: id, Wrapping: "SM2PKE", PublicKey: s.recipient}))
		}, noKey},
		{"Sign", func(ctx context.Context, c *client.Client) error { return drop(c.Sign(ctx, s.sign())) }, noKey},
		{"Verify", func(ctx context.Context, c *client.Client) error {
			in := s.sign()
			return drop(c.Verify(ctx, api.VerifyRequest{Key: in.Key, Version: in.Version, Algorithm: in.Algorithm, Digest: in.Digest, Signature: s.signature}))
		}, noKey},
		{"AsymmetricEncrypt", func(ctx context.Context, c *client.Client) error {
			return drop(c.AsymmetricEncrypt(ctx, s.asymmetricEncrypt()))
		}, noKey},
		{"AsymmetricDecrypt", func(ctx context.Context, c *client.Client) error {
			in := s.asymmetricEncrypt()
			return drop(c.AsymmetricDecrypt(ctx, api.AsymmetricDecryptRequest{Key: in.Key, Version: in.Version, Algorithm: in.Algorithm, Ciphertext: s.asymmetric}))
		}, noKey},
		{"GenerateMAC", func(ctx context.Context, c *client.Client) error {
			return drop(c.GenerateMAC(ctx, api.MACRequest{Key: s.hmac.ID, Algorithm: "HMAC_SHA_256", Message: []byte("fake")}))
		}, noKey},
		{"VerifyMAC", func(ctx context.Context, c *client.Client) error {
			return drop(c.VerifyMAC(ctx, api.VerifyMACRequest{Key: s.hmac.ID, Message: []byte("fake"), MAC: s.mac}))
		}, noKey},
		{"GenerateRandom", func(ctx context.Context, c *client.Client) error {
			return drop(c.GenerateRandom(ctx, api.RandomRequest{Size: 16}))
		}, ""},
	}
}

func (s *scene) accessSteps() []step {
	remark, no, expiry, policy := "on leave", false, time.Now().Add(1000*time.Hour), readerPolicy
	const missing = "ResourceNotFound"
	return []step{
		{"CreateUser", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateUser(ctx, api.CreateUserRequest{Name: "dave", Remark: "new"}))
		}, ""},
		{"ListUsers", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListUsers(ctx, api.PageRequest{Limit: 1}))
		}, ""},
		{"GetUser", func(ctx context.Context, c *client.Client) error { return drop(c.GetUser(ctx, "bob")) }, missing},
		{"UpdateUser", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdateUser(ctx, "bob", api.UpdateUserRequest{Remark: &remark, Enabled: &no}))
		}, missing},
		{"AttachPolicy", func(ctx context.Context, c *client.Client) error { return c.AttachPolicy(ctx, "bob", "Reader") }, missing},
		{"DetachPolicy", func(ctx context.Context, c *client.Client) error { return c.DetachPolicy(ctx, "bob", "Reader") }, missing},
		{"DeleteUser", func(ctx context.Context, c *client.Client) error { return c.DeleteUser(ctx, "carol") }, missing},
		{"CreateAccessKey", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreateAccessKey(ctx, "bob", api.CreateAccessKeyRequest{Remark: "ci", ExpiresAt: expiry}))
		}, missing},
		{"ListAccessKeys", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListAccessKeys(ctx, api.ListAccessKeysRequest{User: "bob"}))
		}, missing},
		{"GetAccessKey", func(ctx context.Context, c *client.Client) error { return drop(c.GetAccessKey(ctx, s.spare)) }, missing},
		{"UpdateAccessKey", func(ctx context.Context, c *client.Client) (err error) {
			s.updated, err = c.UpdateAccessKey(ctx, s.spare, api.UpdateAccessKeyRequest{Remark: &remark, Enabled: &no, ExpiresAt: &expiry})
			return err
		}, missing},
		{"ResetAccessKey", func(ctx context.Context, c *client.Client) error { return drop(c.ResetAccessKey(ctx, s.spare)) }, missing},
		{"DeleteAccessKey", func(ctx context.Context, c *client.Client) error { return c.DeleteAccessKey(ctx, s.spare) }, missing},
		{"CreatePolicy", func(ctx context.Context, c *client.Client) error {
			return drop(c.CreatePolicy(ctx, api.CreatePolicyRequest{Name: "Second", Document: readerPolicy}))
		}, ""},
		{"ListPolicies", func(ctx context.Context, c *client.Client) error { return drop(c.ListPolicies(ctx, api.PageRequest{})) }, ""},
		{"GetPolicy", func(ctx context.Context, c *client.Client) error { return drop(c.GetPolicy(ctx, "Reader")) }, missing},
		{"SimulatePolicy", func(ctx context.Context, c *client.Client) error {
			return drop(c.SimulatePolicy(ctx, api.SimulatePolicyRequest{User: "admin", Action: "kms:Encrypt", Resource: "acs:kms:cn-hangzhou:1:secret/x"}))
		}, ""},
		{"UpdatePolicy", func(ctx context.Context, c *client.Client) error {
			return drop(c.UpdatePolicy(ctx, "Reader", api.UpdatePolicyRequest{Description: &remark, Document: &policy}))
		}, missing},
		{"DeletePolicy", func(ctx context.Context, c *client.Client) error { return c.DeletePolicy(ctx, "Reader") }, missing},
		{"ListAuditRecords", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListAuditRecords(ctx, api.ListAuditRecordsRequest{From: time.Now().Add(-time.Hour)}))
		}, ""},
		{"ListAuditLogs", func(ctx context.Context, c *client.Client) error { return drop(c.ListAuditLogs(ctx)) }, ""},
		{"ProveAuditRecord", func(ctx context.Context, c *client.Client) error {
			return drop(c.ProveAuditRecord(ctx, api.AuditProofRequest{Log: s.record.Log, Seq: s.record.Seq}))
		}, missing},
	}
}

func (s *scene) steps() []step {
	return slices.Concat(s.secretSteps(), s.sinkSteps(), s.rolloutSteps(), s.targetSteps(), s.offerSteps(), s.instanceSteps(), s.rotationSteps(), s.keySteps(), s.cryptoSteps(), s.usageSteps(), s.loginSteps(s.now), s.federationSteps(), s.accessSteps(), s.roleSteps(), s.inventorySteps(), s.alertSteps(), s.findingSteps(), s.leakSteps(), s.repositorySteps(), s.approvalSteps())
}

// TestEveryRoute drives every operation through the client, three times: by a user of
// the account who may do nothing, by another account's administrator, and by the
// account's own. Each call leaves exactly one record, of the route's action.
func TestEveryRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner, stranger := w.account(t, "Owner"), w.account(t, "Stranger")
	powerless := w.user(t, owner, "nobody")
	s := newScene(t, w, owner)
	actions := map[string]string{}
	for _, r := range rest.Routes() {
		actions[r.Name] = r.Action
	}
	run := func(st step, as login, want string) {
		t.Helper()
		var code string
		records := w.during(t, func() { code = codeOf(t, st.call(t.Context(), w.client(t, as))) })
		if code != want {
			t.Errorf("%s as %s answers %q, want %q", st.name, as.user, code, want)
		}
		result := want
		if want == "" {
			result = audit.ResultOK
		}
		// What keyward does for it in its own name has records of its own.
		records = slices.DeleteFunc(records, func(e audit.Entry) bool { return e.Scheme == "job" })
		if len(records) != 1 || records[0].Action != actions[st.name] || records[0].Result != result || records[0].Account != as.account {
			t.Errorf("%s as %s left the records %+v; want one, of %s with %s", st.name, as.user, records, actions[st.name], result)
		}
	}
	for _, st := range s.steps() {
		denied := "NoPermission"
		if st.name == "WhoAmI" || st.name == "ListApprovals" { // whose answer is empty then
			denied = ""
		}
		if st.name == "Reject" || st.name == "Approve" { // no policy says who may
			denied = "NotApprover"
		}
		run(st, powerless, denied)
	}
	before := must(w.client(t, owner).DescribeKey(t.Context(), s.symmetric.ID))(t)
	for _, st := range s.steps() {
		run(st, stranger, st.foreign)
	}
	after := must(w.client(t, owner).DescribeKey(t.Context(), s.symmetric.ID))(t)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("another account changed the key:\n%s", diff)
	}
	s.person = w.person(t, owner)
	s.holder, s.made = w.keyHolder(t, owner)
	driven := map[string]bool{"Approve": true}
	must(s.approver.Approve(t.Context(), s.toApprove))(t)
	for _, st := range s.steps() {
		run(st, owner, "")
		driven[st.name] = true
	}
	for name := range actions {
		if !driven[name] {
			t.Errorf("no step drives %s", name)
		}
	}
	s.checkOutcome(t, w.client(t, owner))
	checkLog(t, w, driven)
}

// checkOutcome looks at what the steps left.
func (s *scene) checkOutcome(t *testing.T, c *client.Client) {
	k := must(c.DescribeKey(t.Context(), s.symmetric.ID))(t)
	want := s.symmetric
	want.Description = "new"
	want.Tags = map[string]string{"team/x": "a b"}
	want.Protection = api.Protection{Enabled: true, Note: "in use"}
	want.Versions, want.PrimaryVersion = 2, k.PrimaryVersion
	want.Rotation = api.Rotation{
		Status: "Enabled", IntervalSeconds: 30 * 86400, LastAt: k.Rotation.LastAt, NextAt: k.Rotation.LastAt.Add(30 * 24 * time.Hour),
	}
	if diff := cmp.Diff(want, k); diff != "" {
		t.Errorf("the key is not what the steps made of it:\n%s", diff)
	}
	if s.updated.Enabled || s.updated.Remark != "on leave" || s.updated.ExpiresAt.IsZero() {
		t.Errorf("the access key was not updated: %+v", s.updated)
	}
	list := must(c.ListAliases(t.Context(), api.PageRequest{}))(t)
	if len(list.Aliases) != 2 || list.Aliases[1].Name != "alias/new" || list.Aliases[1].Key != s.symmetric.ID {
		t.Errorf("the aliases are %+v", list)
	}
}

// checkLog holds that each operation is in the log under its own name.
func checkLog(t *testing.T, w *world, names map[string]bool) {
	logged := map[string]bool{}
	for line := range strings.Lines(w.logged()) {
		var l struct{ Operation, Result string }
		check(t, json.Unmarshal([]byte(line), &l))
		if l.Result == "OK" {
			logged[l.Operation] = true
		}
	}
	for name := range names {
		if !logged[name] {
			t.Errorf("the log does not name %s", name)
		}
	}
}
