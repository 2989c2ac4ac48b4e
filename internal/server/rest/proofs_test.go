package rest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/webauthn"
	"github.com/keyward/keyward/internal/material/webauthn/webauthntest"
)

// party is the server as security keys know it.
var party = webauthn.Party{ID: "keyward.test", Origin: "https://keyward.test"}

const gretas = "fake horse battery"

// keyHolder answers a client of greta, who may do everything and logged in with a security
// key, and the proof that she registered another one.
func (w *world) keyHolder(t *testing.T, by login) (*client.Client, api.HeldProof) {
	t.Helper()
	config, _ := w.greta(t, by)
	call := w.as(t, config)
	call.Fresh = true
	b := must(w.people.AddKey(t.Context(), call, "green"))(t)
	w.answer(t, b.URL, webauthntest.New(t, party, webauthn.ES256))
	return must(client.New(config))(t), api.HeldProof{Proof: api.SecretText(b.Proof.Expose())}
}

// as answers a call of whoever has the credentials.
func (w *world) as(t *testing.T, c client.Config) *authz.Call {
	t.Helper()
	credential := must(w.roles.Credential(t.Context(), c.AccessKeyID, c.SecurityToken))(t)
	check(t, credential.Refusal)
	return &authz.Call{Principal: credential.Principal, Time: w.now()}
}

// greta makes the user greta, and logs her in with a security key.
func (w *world) greta(t *testing.T, by login) (client.Config, *webauthntest.Key) {
	t.Helper()
	root := &authz.Call{Principal: authz.Principal{Account: by.account, Kind: authz.Root, Name: "root"}, Time: w.now()}
	must(w.iam.CreateUser(t.Context(), root, "greta", ""))(t)
	check(t, w.iam.AttachPolicy(t.Context(), root, "greta", "AdministratorAccess"))
	initial := must(w.people.SetPassword(t.Context(), root, "greta"))(t)
	stranger := &authz.Call{Time: w.now()}
	in := people.Attempt{Account: by.account, User: "greta", Password: initial.Password, NewPassword: material.NewBytes([]byte(gretas))}
	issued := must(w.people.Login(t.Context(), stranger, in))(t)
	device := webauthntest.New(t, party, webauthn.ES256)
	call := w.as(t, configOf(w, issued))
	b := must(w.people.AddKey(t.Context(), call, "blue"))(t)
	w.answer(t, b.URL, device)
	must(w.people.ConfirmKey(t.Context(), call, string(b.Proof.Expose())))(t)
	in.Password, in.NewPassword = material.NewBytes([]byte(gretas)), material.Bytes{}
	b = must(w.people.BeginLogin(t.Context(), stranger, in))(t)
	w.answer(t, b.URL, device)
	in.Code = string(b.Proof.Expose())
	return configOf(w, must(w.people.Login(t.Context(), stranger, in))(t)), device
}

func configOf(w *world, i role.Issued) client.Config {
	return client.Config{Endpoint: w.url, AccessKeyID: i.AccessKey, AccessKeySecret: string(i.Secret.Expose()), SecurityToken: i.Token}
}

// answer does what the page wants with a security key, and answers what it shows.
func (w *world) answer(t *testing.T, url string, device *webauthntest.Key) people.Page {
	t.Helper()
	link, stranger := strings.TrimPrefix(url, party.Origin+people.CeremonyPath), &authz.Call{Time: w.now()}
	p := must(w.people.Open(t.Context(), stranger, link))(t)
	var a people.Answer
	if p.Purpose == people.ToAdd {
		made := device.Register(p.Challenge)
		a.Made = &made
	} else {
		approval := device.Approve(p.Challenge)
		a.Approval = &approval
	}
	check(t, w.people.Answer(t.Context(), stranger, link, a))
	return p
}

// The client has the very request approved that it repeats, and nothing else.
func TestDangerousNeedsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	k := must(w.client(t, owner).CreateKey(t.Context(), api.CreateKeyRequest{}))(t)
	config, device := w.greta(t, owner)
	plain := must(client.New(config))(t)
	var shown people.Page
	var proof string
	config.Code = func(ctx context.Context, wanted client.Wanted) (string, error) {
		p, err := plain.BeginProof(ctx, wanted.Request)
		if err == nil {
			shown = w.answer(t, p.URL, device)
			proof = string(p.Proof)
		}
		return proof, err
	}
	c := must(client.New(config))(t)
	policy := `{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:*"],"Principal":{"RAM":["acs:ram::` + owner.account + `:*"]},"Resource":["*"]}]}`
	check(t, c.SetKeyPolicy(t.Context(), k.ID, api.KeyPolicy{Document: policy}))
	if shown.Action != "kms:SetKeyPolicy" || shown.Details[0] != (people.Detail{Name: "key", Value: k.ID}) || !strings.Contains(shown.Details[len(shown.Details)-1].Value, "Principal") {
		t.Errorf("the page shows %+v", shown)
	}
	hidden := must(plain.BeginProof(t.Context(), api.ProofRequest{
		Method: "PATCH", Target: "/v1/policies/team?a=%E2%80%AEb", Body: `{"description":"x` + strings.Repeat(" ", 3) + `y",` + strings.Repeat("\n", 1600) + `"document":"{\n\n\"Action\": \"*\"}", "days" :  [ 7 ]}`,
	}))(t)
	want := []people.Detail{{Name: "policy", Value: "team"}, {Name: "a", Value: `\u202eb`}, {Name: "description", Value: `x \u0020\u0020y`}, {Name: "document", Value: `{"Action":"*"}`}, {Name: "days", Value: "[7]"}}
	if diff := cmp.Diff(want, w.answer(t, hidden.URL, device).Details); diff != "" {
		t.Errorf("the page shows (-want +got)\n%s", diff)
	}
	long := api.ProofRequest{Method: "PATCH", Target: "/v1/policies/team", Body: `{"document":"` + strings.Repeat("x", 41<<10) + `"}`}
	if _, err := plain.BeginProof(t.Context(), long); codeOf(t, err) != "TooLarge" {
		t.Errorf("more than a page shows: %v", err)
	}
	check(t, c.DisableKey(t.Context(), k.ID))
	if diff := cmp.Diff([]people.Detail{{Name: "key", Value: k.ID}}, shown.Details); diff != "" || shown.Action != "kms:DisableKey" {
		t.Errorf("the page shows %s of %s", shown.Action, diff)
	}
	check(t, c.EnableKey(t.Context(), k.ID))
	config.Code = func(context.Context, client.Wanted) (string, error) { return proof, nil }
	if err := must(client.New(config))(t).DisableKey(t.Context(), k.ID); codeOf(t, err) != "LoginFailed" {
		t.Errorf("a used proof: %v", err)
	}
	other := must(plain.BeginProof(t.Context(), api.ProofRequest{Method: "POST", Target: "/v1/keys/" + k.ID + "/enable"}))(t)
	w.answer(t, other.URL, device)
	config.Code = func(context.Context, client.Wanted) (string, error) { return string(other.Proof), nil }
	if err := must(client.New(config))(t).DisableKey(t.Context(), k.ID); codeOf(t, err) != "LoginFailed" {
		t.Errorf("the proof of another request: %v", err)
	}
	for target, want := range map[string]string{"/v1/nothing": "ActionNotFound", "/v1/keys/%FF/disable": "InvalidParameter", "": "ActionNotFound", "/v1/keys/a?b=%zz": "MethodNotAllowed"} {
		if _, err := plain.BeginProof(t.Context(), api.ProofRequest{Method: "POST", Target: target}); codeOf(t, err) != want {
			t.Errorf("%q: %v, want %s", target, err, want)
		}
	}
}
