package rest_test

import (
	"context"
	"encoding/base32"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/totp"
)

// approver makes a user who has logged in with a second factor, and may do nothing.
func (w *world) approver(t *testing.T, account, name string) *client.Client {
	t.Helper()
	root := func() *authz.Call {
		return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: w.now()}
	}
	must(w.iam.CreateUser(t.Context(), root(), name, ""))(t)
	initial := must(w.people.SetPassword(t.Context(), root(), name))(t)
	in := people.Attempt{Account: account, User: name, Password: initial.Password, NewPassword: material.NewBytes([]byte("fake horse battery")), Duration: 12 * time.Hour}
	i := must(w.people.Login(t.Context(), &authz.Call{Time: w.now()}, in))(t)
	config := client.Config{Endpoint: w.url, AccessKeyID: i.AccessKey, AccessKeySecret: string(i.Secret.Expose()), SecurityToken: i.Token}
	e := must(must(client.New(config))(t).EnrollMFA(t.Context()))(t)
	secret := material.NewBytes(must(base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(e.Secret)))(t))
	code := func() string { w.later.Add(int64(time.Minute)); return totp.Code(secret, totp.Step(w.now())) } // each serves once
	must(must(client.New(config))(t).ConfirmMFA(t.Context(), api.ConfirmMFARequest{Code: api.SecretText(code())}))(t)
	in.Password, in.NewPassword, in.Code = in.NewPassword, material.Bytes{}, code()
	i = must(w.people.Login(t.Context(), &authz.Call{Time: w.now()}, in))(t)
	config = client.Config{Endpoint: w.url, AccessKeyID: i.AccessKey, AccessKeySecret: string(i.Secret.Expose()), SecurityToken: i.Token}
	config.Code = func(context.Context, client.Wanted) (string, error) { return code(), nil }
	return must(client.New(config))(t)
}

// addApprovals makes rules, and approval requests that wait.
func (s *scene) addApprovals(t *testing.T, w *world, admin login) {
	t.Helper()
	s.approver = w.approver(t, admin.account, "frank")
	root := &authz.Call{Principal: authz.Principal{Account: admin.account, Kind: authz.Root, Name: "root"}, Time: w.now()}
	for name, resource := range map[string]string{"kept": "acs:kms:*:*:key/" + s.guarded.ID, "gone": "acs:ram::*:user/nobody-at-all"} {
		must(w.approvals.SetRule(t.Context(), root, name, approval.Terms{Need: 1, Approvers: []string{"frank"}, Actions: []string{"kms:DisableKey", "kms:ScheduleKeyDeletion"}, Resources: []string{resource}}))(t)
	}
	must(w.approvals.Suspend(t.Context(), &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: w.now()}, admin.account, "gone", time.Hour))(t)
	c := w.client(t, admin)
	for days, id := range map[int]*string{7: &s.toApprove, 8: &s.toReject} {
		*id = approvalOf(t, c.DeleteKey(t.Context(), s.guarded.ID, api.DeleteKeyRequest{Days: days}))
	}
}

// approvalOf answers the id of the approval request that a refusal names.
func approvalOf(t *testing.T, err error) string {
	t.Helper()
	var refusal *client.Error
	if codeOf(t, err) != "ApprovalRequired" || !errors.As(err, &refusal) || refusal.Approval == "" {
		t.Fatalf("no approval is wanted: %v", err)
	}
	return refusal.Approval
}

// approvalSteps are the operations on approvals, but Approve, for which somebody must be asked
// for a code.
func (s *scene) approvalSteps() []step {
	const missing = "ResourceNotFound"
	return []step{
		{"ListApprovalRules", func(ctx context.Context, c *client.Client) error { return drop(c.ListApprovalRules(ctx)) }, ""},
		{"SetApprovalRule", func(ctx context.Context, c *client.Client) error {
			return drop(c.SetApprovalRule(ctx, "made", api.SetApprovalRuleRequest{Need: 1, Approvers: []string{"frank"}, Actions: []string{"ram:DeleteUser"}, Resources: []string{"acs:ram::*:user/nobody-at-all"}, Life: "4h"}))
		}, missing},
		{"DeleteApprovalRule", func(ctx context.Context, c *client.Client) error { return c.DeleteApprovalRule(ctx, "gone") }, missing},
		{"ListApprovals", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListApprovals(ctx, api.ListApprovalsRequest{All: true}))
		}, ""},
		{"GetApproval", func(ctx context.Context, c *client.Client) error { return drop(c.GetApproval(ctx, s.toApprove)) }, missing},
		{"Reject", func(ctx context.Context, c *client.Client) error { return drop(c.Reject(ctx, s.toReject)) }, missing},
	}
}

// What a rule binds waits for others, and goes through once, over HTTP: the client sees to the
// header, which the signature must cover.
func TestApprovalOverREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner, stranger := w.account(t, "Owner"), w.account(t, "Stranger")
	alice, bob := w.approver(t, owner.account, "alice"), w.approver(t, owner.account, "bob")
	c := w.client(t, owner)
	k := must(c.CreateKey(t.Context(), api.CreateKeyRequest{}))(t)
	other := must(c.CreateKey(t.Context(), api.CreateKeyRequest{}))(t)
	must(c.SetApprovalRule(t.Context(), "destroy", api.SetApprovalRuleRequest{Need: 2, Approvers: []string{"alice", "bob"}, Actions: []string{"kms:ScheduleKeyDeletion"}}))(t)

	var id string
	records := w.during(t, func() { id = approvalOf(t, c.DeleteKey(t.Context(), k.ID, api.DeleteKeyRequest{Days: 366})) })
	if len(records) != 3 || records[0].Decision != "not approved" || records[1].Action != approval.ActionRequest || records[2].Result != "ApprovalRequired" {
		t.Errorf("asking left %+v", records)
	}
	v := must(alice.GetApproval(t.Context(), id))(t)
	if v.State != "open" || !slices.Contains(v.Params, api.ApprovalParam{Name: "days", Value: "366"}) || !slices.Contains(v.Params, api.ApprovalParam{Name: "key", Value: k.ID}) {
		t.Errorf("an approver sees %+v", v)
	}
	if _, err := w.client(t, stranger).GetApproval(t.Context(), id); codeOf(t, err) != "ResourceNotFound" {
		t.Errorf("a stranger sees it: %v", err)
	}
	if _, err := w.client(t, stranger).Approve(t.Context(), id); codeOf(t, err) != "ResourceNotFound" {
		t.Errorf("a stranger approves: %v", err)
	}
	must(alice.Approve(t.Context(), id))(t)
	if _, err := alice.Approve(t.Context(), id); codeOf(t, err) != "StateConflict" {
		t.Errorf("approving twice: %v", err)
	}
	must(bob.Approve(t.Context(), id))(t)

	// Another request than the one that was approved.
	send := func(key, body, header string) string {
		r := w.signNaming(t, owner, raw{method: "POST", target: "/v1/keys/" + key + "/delete", contentType: "application/json", body: []byte(body)}, header)
		_, p := do(t, r)
		return p.Code
	}
	for _, altered := range []struct{ key, body string }{{k.ID, `{"days":7}`}, {other.ID, `{"days":366}`}, {k.ID, `{"days":366 }`}} {
		if code := send(altered.key, altered.body, id); code != "InvalidParameter" {
			t.Errorf("%+v: %q", altered, code)
		}
	}
	for _, wrong := range []string{strings.ToUpper(id), id[:len(id)-1], "apr-none"} {
		if code := send(k.ID, `{"days":366}`, wrong); code != "ResourceNotFound" {
			t.Errorf("the approval %q: %q", wrong, code)
		}
	}
	// A header that the signature does not cover.
	r := w.sign(t, owner, raw{method: "POST", target: "/v1/keys/" + k.ID + "/delete", contentType: "application/json", body: []byte(`{"days":366}`)})
	r.Header.Set("X-Acs-Approval-Id", id)
	if _, p := do(t, r); p.Code != "IncompleteSignature" {
		t.Errorf("an unsigned approval: %s", p.Code)
	}
	if now := must(c.DescribeKey(t.Context(), k.ID))(t); now.State != "Enabled" {
		t.Fatalf("the key is %s", now.State)
	}
	check(t, c.DeleteKey(t.Context(), k.ID, api.DeleteKeyRequest{Days: 366}))
	if now := must(c.DescribeKey(t.Context(), k.ID))(t); now.State != "PendingDeletion" {
		t.Errorf("the key is %s", now.State)
	}
	check(t, c.RestoreKey(t.Context(), k.ID))
	if code := send(k.ID, `{"days":366}`, id); code != "StateConflict" {
		t.Errorf("a used approval: %q", code)
	}
	if again := approvalOf(t, c.DeleteKey(t.Context(), k.ID, api.DeleteKeyRequest{Days: 366})); again == id {
		t.Error("a used approval request is answered again")
	}
}

// A call waits, if it is told to, and gives up when it is told to.
func TestClientAwaitsApproval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	alice := w.approver(t, owner.account, "alice")
	k := must(w.client(t, owner).CreateKey(t.Context(), api.CreateKeyRequest{}))(t)
	must(w.client(t, owner).SetApprovalRule(t.Context(), "off", api.SetApprovalRuleRequest{Need: 1, Approvers: []string{"alice"}, Actions: []string{"kms:DisableKey"}}))(t)
	waited := 0
	c := must(client.New(client.Config{Endpoint: w.url, AccessKeyID: owner.id, AccessKeySecret: owner.secret, Await: func(ctx context.Context, refusal *client.Error) error {
		if waited++; waited == 2 {
			return drop(alice.Approve(ctx, refusal.Approval))
		}
		if waited > 2 {
			return http.ErrAbortHandler
		}
		return nil
	}}))(t)
	check(t, c.DisableKey(t.Context(), k.ID))
	check(t, c.EnableKey(t.Context(), k.ID))
	if err := c.DisableKey(t.Context(), k.ID); codeOf(t, err) != "ApprovalRequired" || waited != 3 {
		t.Errorf("after giving up: %v, waited %d times", err, waited)
	}
}
