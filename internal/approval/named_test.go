package approval_test

import (
	"context"
	"testing"

	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/store/storetest"
)

// send sends one more dangerous operation as a dialect does, with an approval; its text is
// that of its parameters.
func (w *world) send(t testing.TB, id string, params []approval.Param, act func(*authz.Call) error) error {
	t.Helper()
	sent := *w.user(t, "dave")
	sent.Approval = must(w.For(t.Context(), sent.Principal))(t)
	_, err := approval.Guard(t.Context(), &sent, made(approval.Attempt{
		Approval: id, Spell: func() ([]byte, []approval.Param) { return nil, params },
		Refuse: func(_ context.Context, err error) error { return err },
	}), func(context.Context) (struct{}, error) { return struct{}{}, act(&sent) })
	return err
}

// An approval is of what the request led to, not of the alias that led there.
func TestApprovedElsewhere(t *testing.T) {
	w := newWorld(t)
	w.rule(t, func(x *approval.Terms) { x.Resources = nil })
	must(w.iam.CreateUser(t.Context(), w.root(), "other", ""))(t)
	leads, off := "victim", false
	disable := func(c *authz.Call) error {
		_, err := w.iam.UpdateUser(t.Context(), c, leads, iam.UserChange{Enabled: &off})
		return err
	}
	alias := []approval.Param{{Name: "key", Value: "alias/a"}}
	id := approval.IDOf(w.send(t, "", alias, disable))
	w.approve(t, id, "alice", "bob")
	leads = "other"
	err := w.send(t, id, alias, disable)
	wantKind(t, err, fault.ApprovalRequired)
	if next := approval.IDOf(err); next == "" || next == id {
		t.Errorf("of something else, the approval request is %q after %q", next, id)
	}
	if u := must(w.iam.User(t.Context(), w.account, "other"))(t); !u.Enabled || w.standing(t, id) != approval.Approved {
		t.Errorf("somebody else is changed: %+v; it stands %s", u, w.standing(t, id))
	}
	leads = "victim"
	check(t, w.send(t, id, alias, disable))
}

// What a request names is not exchanged between its approval and its use, not even at the
// very moment of its use.
func TestReplacedUnderItsName(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) { replaceNamed(t, startWorld(t, url(t))) })
	}
}

func replaceNamed(t *testing.T, w *world) {
	ctx := t.Context()
	w.rule(t, func(x *approval.Terms) {
		x.Actions, x.Resources = []string{"ram:*"}, []string{"acs:ram::*:user/victim", "acs:ram::*:policy/*"}
	})
	policy := func(document string) {
		must(w.iam.CreatePolicy(ctx, w.root(), iam.NewPolicy{Name: "reader", Document: document}))(t)
	}
	const all, none = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`, `{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`
	policy(none)
	trust := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::` + w.account + `:root"}}]}`
	roled := func() { must(w.roles.CreateRole(ctx, w.root(), role.NewRole{Name: "ci", Trust: trust}))(t) }
	roled()
	params := []approval.Param{{Name: "user", Value: "victim"}, {Name: "document", Value: `{"Allow":["acs:ram::1:role\/\u0063i"],"Policy":"reader"}`}}
	before := func(*authz.Call) {}
	attach := func(c *authz.Call) error {
		before(c)
		return w.iam.AttachPolicy(ctx, c, "victim", "reader")
	}
	for what, replace := range map[string]func(){
		"the policy": func() { check(t, w.iam.DeletePolicy(ctx, w.root(), "reader")); policy(all) },
		"the policy's document": func() {
			text := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`
			must(w.iam.UpdatePolicy(ctx, w.root(), "reader", iam.PolicyChange{Document: &text}))(t)
		},
		"the user": func() {
			check(t, w.iam.DeleteUser(ctx, w.root(), "victim"))
			must(w.iam.CreateUser(ctx, w.root(), "victim", ""))(t)
		},
		"the role": func() { check(t, w.roles.DeleteRole(ctx, w.root(), "ci")); roled() },
		"whom the role trusts": func() {
			must(w.roles.UpdateRole(ctx, w.root(), "ci", role.Change{Trust: &trust}))(t)
		},
	} {
		id := approval.IDOf(w.send(t, "", params, attach))
		w.approve(t, id, "alice", "bob")
		w.advance(1e9)
		before = func(*authz.Call) { replace() }
		if err := w.send(t, id, params, attach); !fault.Is(err, fault.StateConflict) {
			t.Errorf("%s is exchanged at the last moment: %v", what, err)
		}
		before = func(*authz.Call) {}
		if err := w.send(t, id, params, attach); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s is another: %v", what, err)
		}
		if s := w.standing(t, id); s != approval.Approved {
			t.Errorf("%s: it stands %s", what, s)
		}
		must(w.Reject(ctx, w.user(t, "dave"), id))(t)
	}
	must(w.iam.CreatePolicy(ctx, w.root(), iam.NewPolicy{Name: "readers", Document: all}))(t)
	id := approval.IDOf(w.send(t, "", params, attach))
	w.approve(t, id, "alice", "bob")
	check(t, w.iam.DeletePolicy(ctx, w.root(), "readers")) // which it does not name
	check(t, w.send(t, id, params, attach))
}

func TestNames(t *testing.T) {
	for text, want := range map[string]bool{
		"reader": true, "a reader, b": true, "user/reader": true, `["reader"]`: true, "readers reader": true,
		"": false, "readers": false, "a.reader": false, "reader@x": false, "Reader": false, "read": false,
	} {
		if approval.Names(text, "reader") != want {
			t.Errorf("%q names it: %v", text, !want)
		}
	}
	if approval.Names("x", "") {
		t.Error("a text names nothing")
	}
}

// Nobody is made under a name that a rule exempts: that one is somebody else.
func TestExemptionsAreNotInherited(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	trust := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::` + w.account + `:root"}}]}`
	made := func(name string) error {
		_, err := w.roles.CreateRole(ctx, w.root(), role.NewRole{Name: name, Trust: trust})
		return err
	}
	check(t, made("automation"))
	w.rule(t, func(x *approval.Terms) { x.Exempt = []string{"role/automation", "role/later", "user/later"} })
	check(t, w.roles.DeleteRole(ctx, w.root(), "automation"))
	for _, name := range []string{"automation", "Automation", "later"} {
		wantKind(t, made(name), fault.ResourceInUse)
	}
	_, err := w.iam.CreateUser(ctx, w.root(), "later", "")
	wantKind(t, err, fault.ResourceInUse)
	check(t, made("user-later"))
	w.rule(t)
	check(t, made("automation"))
}

// Of whom somebody links with a user, approvers see what decides.
func TestShown(t *testing.T) {
	for name, want := range map[string]bool{"idp": true, "value": true, "user": true, "password": false, "secretData": false} {
		if approval.Shown(name) != want {
			t.Errorf("%s is shown: %v", name, !want)
		}
	}
}
