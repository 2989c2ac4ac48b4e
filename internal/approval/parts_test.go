package approval_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/store/identity"
)

// attach lets the user victim do what a policy says, as a dialect has it done.
func (w *world) attach(t testing.TB, c *authz.Call, policy, id string) error {
	t.Helper()
	sent := *c
	sent.Approval = must(w.For(t.Context(), c.Principal))(t)
	_, err := approval.Guard(t.Context(), &sent, made(approval.Attempt{
		Approval: id, Refuse: func(_ context.Context, err error) error { return err },
		Spell: func() ([]byte, []approval.Param) {
			return []byte("attach"), []approval.Param{{Name: "user", Value: "victim"}} // and which policy is found by its alias, say
		},
	}), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, w.iam.AttachPolicy(ctx, &sent, "victim", policy)
	})
	return err
}

// Of an operation with several parts one approval is of all, and of no other.
func TestEveryPartIsApproved(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"reading", "ruling"} {
		must(w.iam.CreatePolicy(t.Context(), w.root(), iam.NewPolicy{Name: name, Document: `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:List*","Resource":"*"}]}`}))(t)
	}
	w.rule(t, func(x *approval.Terms) { x.Need, x.Actions, x.Resources = 1, []string{"ram:AttachPolicyToUser"}, nil })
	err := w.attach(t, w.user(t, "dave"), "reading", "")
	wantKind(t, err, fault.ApprovalRequired)
	id := approval.IDOf(err)
	v := must(w.Get(t.Context(), w.root(), id))(t)
	victim, reading := iam.UserARN(w.account, "victim"), iam.PolicyARN(w.account, "reading")
	if diff := cmp.Diff([]approval.Part{{Action: "ram:AttachPolicyToUser", Resource: victim}, {Action: "ram:AttachPolicyToUser", Resource: reading}}, v.Parts()); diff != "" {
		t.Errorf("approvers see (-want +have)\n%s", diff)
	}
	if message := fault.Message(err); !strings.Contains(message, victim) || !strings.Contains(message, reading) {
		t.Errorf("the requester is told %q", message)
	}
	w.approve(t, id, "alice")
	wantKind(t, w.attach(t, w.user(t, "dave"), "ruling", id), fault.ApprovalRequired) // its first part is the same
	if u := must(w.iam.User(t.Context(), w.account, "victim"))(t); len(u.Policies) != 0 || w.standing(t, id) != approval.Approved {
		t.Errorf("%v is attached, and the approval stands %s", u.Policies, w.standing(t, id))
	}
	check(t, w.attach(t, w.user(t, "dave"), "reading", id))
	if u := must(w.iam.User(t.Context(), w.account, "victim"))(t); len(u.Policies) != 1 || w.standing(t, id) != approval.Used {
		t.Errorf("%v is attached, and the approval stands %s", u.Policies, w.standing(t, id))
	}
	// A rule that binds the second part alone is not gone round, and a request that would fail asks nobody.
	w.rule(t, func(x *approval.Terms) {
		x.Need, x.Actions, x.Resources = 1, []string{"ram:AttachPolicyToUser"}, []string{iam.PolicyARN(w.account, "ruling")}
	})
	wantKind(t, w.attach(t, w.user(t, "dave"), "ruling", ""), fault.ApprovalRequired)
	wantKind(t, w.attach(t, w.user(t, "dave"), "absent", ""), fault.ResourceNotFound)
}

// Approvers read why something is wanted, on one line and without what a terminal obeys; a
// request that gives another reason is another one.
func TestReasons(t *testing.T) {
	w := newWorld(t)
	w.rule(t, func(x *approval.Terms) { x.Need = 1 })
	c := w.user(t, "dave")
	err := w.try(t, c, remark{text: "x", why: "  ticket 7:\n\x1b[2J\u202eold\u200b key, 轮换\x00 "})
	wantKind(t, err, fault.ApprovalRequired)
	id := approval.IDOf(err)
	if v := must(w.Get(t.Context(), w.root(), id))(t); v.Reason != "ticket 7: [2Jold key, 轮换" {
		t.Errorf("approvers read %q", v.Reason)
	}
	if got := w.ask(t, c, "x"); got != id {
		t.Error("without a reason the request is another one")
	}
	other := w.try(t, c, remark{text: "x", why: "because"})
	if got := approval.IDOf(other); got == "" || got == id {
		t.Error("with another reason the request is the same")
	}
	if told := w.look(t)["approval/"+id]; strings.Contains(told.Facts[0].Value+told.Subject, "ticket") {
		t.Errorf("the reason goes out with %+v", told)
	}
	records := w.records(t, approval.ActionRequest)
	if p := records[0].Params; p["Reason"] != "ticket 7: [2Jold key, 轮换" {
		t.Errorf("recorded is %v", p)
	}
	w.approve(t, id, "alice")
	wantKind(t, w.try(t, c, remark{text: "x", why: "because", id: id}), fault.InvalidParameter)
	wantKind(t, w.try(t, c, remark{text: "x", why: strings.Repeat("因", approval.MaxReason+1), id: id}), fault.InvalidParameter)
	check(t, w.try(t, c, remark{text: "x", id: id}))
}

// Who logs in only where an identity provider vouches decides as others do, as long as it does.
func TestApproverWithoutPassword(t *testing.T) {
	w := newWorld(t)
	store := identity.Store{Store: w.node.Store}
	w.rule(t, func(x *approval.Terms) { x.Need = 1 })
	check(t, w.people.RemovePassword(t.Context(), w.root(), "alice"))
	id := w.ask(t, w.user(t, "dave"), "x")
	_, err := w.Approve(t.Context(), w.login(t, "alice"), id)
	wantKind(t, err, fault.MFANotSetUp) // she cannot log in at all
	record := w.record("keyward:LinkUser")
	p := federation.Provider{Account: w.account, Name: "corp", ID: "I", Issuer: "https://id.example.com", ClientID: "keyward", Claim: "sub", CreatedAt: w.now()}
	check(t, store.CreateIdentityProvider(t.Context(), record, &p))
	l := federation.Link{Account: w.account, Provider: "corp", User: "alice", Value: "alice@example.com", CreatedAt: w.now()}
	check(t, store.CreateLink(t.Context(), w.record("keyward:LinkUser"), &l))
	w.approve(t, id, "alice")
	if s := w.standing(t, id); s != approval.Approved {
		t.Errorf("it stands %s", s)
	}
	check(t, store.DeleteLink(t.Context(), w.record("keyward:UnlinkUser"), &l))
	if s := w.standing(t, id); s != approval.Open {
		t.Errorf("with an approver whom nobody vouches for any more it stands %s", s)
	}
}
