package approval_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A request that a rule binds waits until enough have approved, and is performed once.
func TestFlow(t *testing.T) {
	w := newWorld(t)
	w.rule(t)
	program := w.user(t, "dave")
	id := w.ask(t, program, "first")
	if again := w.ask(t, program, "first"); again != id {
		t.Errorf("asking again opened %s beside %s", again, id)
	}
	v := must(w.Get(t.Context(), w.root(), id))(t)
	if v.Requester != iam.UserARN(w.account, "dave") || v.Action != "ram:UpdateUser" || v.Source != "192.0.2.7" || v.Missing["two"] != 2 || v.Params[0].Value != "victim" || v.Params[1].Value != "(5 bytes, not shown)" {
		t.Errorf("approvers see %+v", v)
	}
	told := w.look(t)["approval/"+id]
	if told.Kind != notify.ApprovalWanted || told.Owner != "alice" {
		t.Errorf("people are told %+v", told)
	}
	for _, f := range told.Facts {
		if strings.Contains(f.Value, "first") {
			t.Errorf("people are told a parameter: %+v", f)
		}
	}
	w.approve(t, id, "alice")
	wantKind(t, w.try(t, program, remark{text: "first", id: id}), fault.ApprovalRequired)
	w.approve(t, id, "bob")
	if s := w.standing(t, id); s != approval.Approved || len(w.look(t)) != 0 {
		t.Errorf("it stands %s; people are told %v", s, w.told)
	}
	check(t, w.try(t, program, remark{text: "first", id: id}))
	if have := w.remarked(t); have != "first" || w.standing(t, id) != approval.Used {
		t.Errorf("after its use: %q, %s", have, w.standing(t, id))
	}
	records := w.records(t, "ram:UpdateUser")
	last := records[len(records)-1]
	if last.Result != "OK" || len(last.Effects) != 2 || last.Effects[0].Table != "approval_request" || last.Effects[1].Table != "iam_user" {
		t.Errorf("the operation's record is %+v", last)
	}
	if n := len(w.records(t, approval.ActionRequest)); n != 1 {
		t.Errorf("%d records of one approval request", n)
	}
}

// Root and whoever else is in the account is bound; exempt are only those whom the rule names.
func TestWhomARuleBinds(t *testing.T) {
	w := newWorld(t)
	w.rule(t, func(x *approval.Terms) { x.Exempt = []string{"user/dave"} })
	w.ask(t, w.root(), "x")
	w.ask(t, w.user(t, "admin"), "x")
	w.ask(t, w.login(t, "alice"), "x")
	check(t, w.try(t, w.user(t, "dave"), remark{text: "by who is exempt"}))
	other := w.user(t, "DAVE2")
	other.Name = "dave2"
	must(w.iam.CreateUser(t.Context(), w.root(), "dave2", ""))(t)
	w.ask(t, other, "x")
	denied := w.user(t, "dave")
	denied.Policies = nil
	wantKind(t, w.try(t, denied, remark{text: "x"}), fault.NoPermission)
	late := w.login(t, "bob")
	late.Session.MFA = false
	wantKind(t, w.try(t, late, remark{text: "x"}), fault.MFANotSetUp)
	if n := len(must(w.List(t.Context(), w.root(), true))(t)); n != 3+1 {
		t.Errorf("%d approval requests are open", n)
	}
}

// Whoever stands behind a request approves nothing of it: as themselves, as a role, or from a
// role's session that they began.
func TestSelfApproval(t *testing.T) {
	w := newWorld(t)
	w.rule(t)
	for _, asking := range []*authz.Call{w.login(t, "alice"), w.assumed(t, "alice"), w.user(t, "alice")} {
		id := w.ask(t, asking, "self "+asking.ARN())
		for _, c := range []*authz.Call{w.login(t, "alice"), w.assumed(t, "alice")} {
			_, err := w.Approve(t.Context(), c, id)
			wantKind(t, err, fault.NotApprover)
		}
		w.approve(t, id, "bob")
		if s := w.standing(t, id); s != approval.Open {
			t.Errorf("with one other's approval it stands %s", s)
		}
		check(t, func() error { _, err := w.Reject(t.Context(), asking, id); return err }()) // withdrawn
	}
	// Of a role's session the user behind it counts, whoever else acts as that role.
	id := w.ask(t, w.assumed(t, "dave"), "x")
	_, err := w.Approve(t.Context(), w.assumed(t, "bob"), id)
	wantKind(t, err, fault.NotApprover) // a role approves nothing
	w.approve(t, id, "bob", "carol")
	wantKind(t, w.try(t, w.assumed(t, "alice"), remark{text: "x", id: id}), fault.ResourceNotFound) // not her request
	check(t, w.try(t, w.assumed(t, "dave"), remark{text: "x", id: id}))
}

// Nobody counts twice, however they come; access keys, sessions without a code and strangers
// decide nothing.
func TestApprovingTwice(t *testing.T) {
	w := newWorld(t)
	w.rule(t)
	id := w.ask(t, w.user(t, "dave"), "x")
	for _, c := range []struct {
		change func(*authz.Call)
		want   fault.Kind
	}{
		{func(c *authz.Call) { c.Session = nil }, fault.NotApprover},                    // one access key
		{func(c *authz.Call) { c.AccessKey, c.Session = "K2", nil }, fault.NotApprover}, // and another
		{func(c *authz.Call) { c.Fresh = false }, fault.MFARequired},
		{func(c *authz.Call) { c.Kind = authz.Federated }, fault.NotApprover},
		{func(c *authz.Call) { c.Name = "Alice" }, fault.NotApprover},
		{func(c *authz.Call) { c.Account = "2222222222222222" }, fault.ResourceNotFound},
	} {
		call := w.login(t, "alice")
		c.change(call)
		_, err := w.Approve(t.Context(), call, id)
		if call.Account != w.account || call.Name != "alice" {
			if err == nil {
				t.Error("somebody else approved as alice")
			}
			continue
		}
		wantKind(t, err, c.want)
	}
	w.approve(t, id, "alice")
	second := w.login(t, "alice")
	second.AccessKey, second.Session.Name = "K2", "S2"
	_, err := w.Approve(t.Context(), second, id)
	wantKind(t, err, fault.StateConflict)
	if s := w.standing(t, id); s != approval.Open {
		t.Errorf("one person alone: %s", s)
	}
}

// What was approved is one request; another one is not, whoever names the approval.
func TestAlteredAfterApproval(t *testing.T) {
	w := newWorld(t)
	w.rule(t)
	id := w.ask(t, w.user(t, "dave"), "366 days")
	w.approve(t, id, "alice", "bob")
	wantKind(t, w.try(t, w.user(t, "dave"), remark{text: "7 days", id: id}), fault.InvalidParameter)
	wantKind(t, w.try(t, w.user(t, "admin"), remark{text: "366 days", id: id}), fault.ResourceNotFound)
	wantKind(t, w.try(t, w.user(t, "dave"), remark{text: "366 days", id: id + "x"}), fault.ResourceNotFound)
	wantKind(t, w.try(t, w.user(t, "dave"), remark{text: "366 days", id: strings.ToUpper(id)}), fault.ResourceNotFound)
	if w.remarked(t) != "" || w.standing(t, id) != approval.Approved {
		t.Errorf("%q was done; it stands %s", w.remarked(t), w.standing(t, id))
	}
	another := w.user(t, "dave")
	another.AccessKey = "K2" // of the same user
	check(t, w.try(t, another, remark{text: "366 days", id: id}))
}

// An approval serves once; the next such request asks anew.
func TestReplayAfterUse(t *testing.T) {
	w := newWorld(t)
	w.rule(t)
	dave := w.user(t, "dave")
	id := w.ask(t, dave, "x")
	w.approve(t, id, "alice", "bob")
	check(t, w.try(t, dave, remark{text: "x", id: id}))
	wantKind(t, w.try(t, dave, remark{text: "x", id: id}), fault.StateConflict)
	if again := w.ask(t, dave, "x"); again == id {
		t.Error("a used approval request is answered again")
	}
}

// An operation that fails uses nothing up, and asks nobody.
func TestFailureUsesNothing(t *testing.T) {
	w := newWorld(t)
	w.rule(t)
	dave := w.user(t, "dave")
	wantKind(t, w.try(t, dave, remark{text: "x", fail: true}), fault.InvalidParameter)
	if open := must(w.List(t.Context(), w.root(), true))(t); len(open) != 0 {
		t.Errorf("open are %v", open)
	}
	id := w.ask(t, dave, "x")
	w.approve(t, id, "alice", "bob")
	wantKind(t, w.try(t, dave, remark{text: "x", id: id, fail: true}), fault.InvalidParameter)
	if s := w.standing(t, id); s != approval.Approved {
		t.Errorf("it stands %s", s)
	}
}

// Of executions at once one is performed.
func TestOneOfTwoExecutions(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			w := startWorld(t, url(t))
			w.rule(t)
			id := w.ask(t, w.user(t, "dave"), "x")
			w.approve(t, id, "alice", "bob")
			var done atomic.Int64
			var all sync.WaitGroup
			for n := range 8 {
				r := remark{text: "x", id: id}
				if n%2 == 1 {
					r.node = w.late
				}
				c := w.user(t, "dave")
				all.Go(func() {
					if w.try(t, c, r) == nil {
						done.Add(1)
					}
				})
			}
			all.Wait()
			if done.Load() != 1 {
				t.Errorf("it was performed %d times", done.Load())
			}
		})
	}
}

// An approval loses its force with what it rests on.
func TestApproverRemovedAfterApproving(t *testing.T) {
	w := newWorld(t)
	w.rule(t)
	off, on := false, true
	dave := w.user(t, "dave")
	for name, change := range map[string]func(){
		"disabled": func() { must(w.iam.UpdateUser(t.Context(), w.root(), "bob", iam.UserChange{Enabled: &off}))(t) },
		"disabled and enabled": func() {
			must(w.iam.UpdateUser(t.Context(), w.root(), "bob", iam.UserChange{Enabled: &off}))(t)
			must(w.iam.UpdateUser(t.Context(), w.root(), "bob", iam.UserChange{Enabled: &on}))(t)
		},
		"without a second factor": func() { check(t, w.people.RemoveMFA(t.Context(), w.root(), "bob", "")) },
		"without a password":      func() { check(t, w.people.RemovePassword(t.Context(), w.root(), "bob")) },
		"deleted and made anew": func() {
			check(t, w.iam.DeleteUser(t.Context(), w.root(), "bob"))
			w.person(t, "bob")
		},
	} {
		id := w.ask(t, dave, name)
		w.approve(t, id, "alice", "bob")
		change()
		wantKind(t, w.try(t, dave, remark{text: name, id: id}), fault.ApprovalRequired)
		wantKind(t, w.try(t, dave, remark{text: name, id: id, node: w.late}), fault.ApprovalRequired)
		w.approve(t, id, "carol")
		check(t, w.try(t, dave, remark{text: name, id: id}))
		check(t, w.iam.DeleteUser(t.Context(), w.root(), "bob"))
		w.person(t, "bob")
	}
	id := w.ask(t, dave, "another rule")
	w.approve(t, id, "alice", "bob")
	w.rule(t, func(x *approval.Terms) { x.Approvers = []string{"alice", "carol", "dave"} })
	wantKind(t, w.try(t, dave, remark{text: "another rule", id: id}), fault.StateConflict)
	wantKind(t, w.try(t, dave, remark{text: "another rule", id: id, node: w.late}), fault.StateConflict)
	if s := w.standing(t, id); s != approval.Void {
		t.Errorf("it stands %s", s)
	}
}

// A requester without the permission, by now, does nothing; neither does another user of the name.
func TestRequesterChanges(t *testing.T) {
	w := newWorld(t)
	w.rule(t)
	id := w.ask(t, w.user(t, "dave"), "x")
	w.approve(t, id, "alice", "bob")
	weak := w.user(t, "dave")
	weak.Policies = nil
	wantKind(t, w.try(t, weak, remark{text: "x", id: id}), fault.NoPermission)
	check(t, w.iam.DeleteUser(t.Context(), w.root(), "dave"))
	w.advance(time.Minute)
	w.person(t, "dave")
	wantKind(t, w.try(t, w.user(t, "dave"), remark{text: "x", id: id}), fault.ResourceNotFound)
}

func TestLapseAndRejection(t *testing.T) {
	w := newWorld(t)
	w.rule(t, func(x *approval.Terms) { x.Life = time.Hour })
	dave := w.user(t, "dave")
	lapsed, rejected := w.ask(t, dave, "lapses"), w.ask(t, dave, "rejected")
	w.approve(t, lapsed, "alice", "bob")
	w.approve(t, rejected, "alice", "bob")
	must(w.Reject(t.Context(), w.login(t, "carol"), rejected))(t)
	wantKind(t, w.try(t, dave, remark{text: "rejected", id: rejected}), fault.StateConflict)
	w.advance(time.Hour)
	dave = w.user(t, "dave")
	wantKind(t, w.try(t, dave, remark{text: "lapses", id: lapsed}), fault.StateConflict)
	for _, id := range []string{lapsed, rejected} {
		_, err := w.Approve(t.Context(), w.login(t, "carol"), id)
		wantKind(t, err, fault.StateConflict)
	}
	if w.standing(t, lapsed) != approval.Lapsed || w.standing(t, rejected) != approval.Rejected || w.remarked(t) != "" {
		t.Errorf("they stand %s and %s", w.standing(t, lapsed), w.standing(t, rejected))
	}
	w.advance(approval.Kept + time.Hour)
	w.ask(t, w.user(t, "dave"), "much later")
	_, err := w.Get(t.Context(), w.root(), lapsed)
	wantKind(t, err, fault.ResourceNotFound)
}

// on sends one more dangerous operation as a dialect does.
func (w *world) on(t testing.TB, c *authz.Call, what string, act func(*authz.Call) error) error {
	t.Helper()
	sent := *c
	sent.Approval = must(w.For(t.Context(), c.Principal))(t)
	_, err := approval.Guard(t.Context(), &sent, made(approval.Attempt{
		Spell: func() ([]byte, []approval.Param) { return []byte(what), nil },
	}), func(context.Context) (struct{}, error) { return struct{}{}, act(&sent) })
	return err
}

// Neither a rule, nor its approvers, nor whom it exempts can be changed alone.
func TestRuleGuardsItself(t *testing.T) {
	w := newWorld(t)
	r := w.rule(t, func(x *approval.Terms) { x.Exempt = []string{"user/carol", "user/dave", "role/deployer"} })
	ctx, off := t.Context(), false
	for what, act := range map[string]func(*authz.Call) error{
		"removing the rule": func(c *authz.Call) error { return w.DeleteRule(ctx, c, r.Name) },
		"changing the rule": func(c *authz.Call) error {
			_, err := w.SetRule(ctx, c, r.Name, approval.Terms{Need: 1, Approvers: []string{"alice"}, Actions: r.Actions})
			return err
		},
		"an approver's password":      func(c *authz.Call) error { _, err := w.people.SetPassword(ctx, c, "alice"); return err },
		"an approver's second factor": func(c *authz.Call) error { return w.people.RemoveMFA(ctx, c, "alice", "") },
		"disabling an approver": func(c *authz.Call) error {
			_, err := w.iam.UpdateUser(ctx, c, "alice", iam.UserChange{Enabled: &off})
			return err
		},
		"deleting an approver": func(c *authz.Call) error { return w.iam.DeleteUser(ctx, c, "alice") },
		"an access key of who is exempt": func(c *authz.Call) error {
			_, err := w.iam.CreateAccessKey(ctx, c, iam.NewAccessKey{User: "dave"})
			return err
		},
		"an access key of an approver who is exempt": func(c *authz.Call) error {
			_, err := w.iam.CreateAccessKey(ctx, c, iam.NewAccessKey{User: "carol"})
			return err
		},
	} {
		for _, c := range []*authz.Call{w.root(), w.user(t, "admin"), w.login(t, "bob")} {
			if err := w.on(t, c, what, act); !fault.Is(err, fault.ApprovalRequired) && !fault.Is(err, fault.StateConflict) {
				t.Errorf("%s by %s: %v", what, c.ARN(), err)
			}
		}
	}
	if err := w.on(t, w.user(t, "dave"), "own", func(c *authz.Call) error {
		_, err := w.iam.CreateAccessKey(ctx, c, iam.NewAccessKey{User: "dave"})
		return err
	}); err != nil {
		t.Errorf("who is exempt cannot change its own access keys: %v", err)
	}
	if err := w.on(t, w.user(t, "dave"), "the rule", func(c *authz.Call) error { return w.DeleteRule(ctx, c, r.Name) }); !fault.Is(err, fault.ApprovalRequired) {
		t.Errorf("who is exempt removes the rule: %v", err)
	}
}

// A rule that nobody could satisfy is refused, and one that nobody can satisfy any more is told
// of; the operator suspends it, for a while.
func TestUnsatisfiableRules(t *testing.T) {
	w := newWorld(t)
	must(w.iam.CreateUser(t.Context(), w.root(), "erin", ""))(t)
	good := approval.Terms{Need: 2, Approvers: []string{"alice", "bob"}, Actions: []string{"kms:*"}}
	for name, c := range map[string]struct {
		change func(*approval.Terms)
		by     *authz.Call
		want   fault.Kind
	}{
		"more than there are":   {func(x *approval.Terms) { x.Need = 3 }, w.root(), fault.InvalidParameter},
		"the same one twice":    {func(x *approval.Terms) { x.Approvers = []string{"alice", "alice"} }, w.root(), fault.InvalidParameter},
		"none":                  {func(x *approval.Terms) { x.Need = 0 }, w.root(), fault.InvalidParameter},
		"without second factor": {func(x *approval.Terms) { x.Approvers = []string{"alice", "erin"} }, w.root(), fault.StateConflict},
		"the caller":            {func(*approval.Terms) {}, w.login(t, "bob"), fault.StateConflict},
		"root":                  {func(x *approval.Terms) { x.Approvers = []string{"alice", "root"} }, w.root(), fault.InvalidParameter},
		"nobody":                {func(x *approval.Terms) { x.Approvers = []string{"alice", "zoe"} }, w.root(), fault.ResourceNotFound},
		"not dangerous":         {func(x *approval.Terms) { x.Actions = []string{"kms:Encrypt"} }, w.root(), fault.InvalidParameter},
		"no action":             {func(x *approval.Terms) { x.Actions = nil }, w.root(), fault.MissingParameter},
		"root exempt":           {func(x *approval.Terms) { x.Exempt = []string{"user/root"} }, w.root(), fault.InvalidParameter},
		"an odd exemption":      {func(x *approval.Terms) { x.Exempt = []string{"user/*"} }, w.root(), fault.InvalidParameter},
		"too long":              {func(x *approval.Terms) { x.Life = 8 * 24 * time.Hour }, w.root(), fault.InvalidParameter},
		"an odd resource":       {func(x *approval.Terms) { x.Resources = []string{"key"} }, w.root(), fault.InvalidParameter},
	} {
		terms := good
		c.change(&terms)
		_, err := w.SetRule(t.Context(), c.by, "r", terms)
		if fault.KindOf(err) != c.want {
			t.Errorf("%s: have %v, want %s", name, err, c.want)
		}
	}
	w.rule(t, func(x *approval.Terms) { x.Approvers, x.Exempt = []string{"alice", "bob"}, nil })
	wantKind(t, w.try(t, w.user(t, "bob"), remark{text: "x"}), fault.StateConflict) // only one other is left
	check(t, w.people.RemoveMFA(t.Context(), w.root(), "bob", ""))
	if c := w.look(t)["approval/rule/two"]; c.Kind != notify.ApprovalStuck {
		t.Errorf("people are told %+v", c)
	}
	operator := w.call(authz.Principal{Kind: authz.Service, Name: "operator"})
	_, err := w.Suspend(t.Context(), operator, w.account, "two", 25*time.Hour)
	wantKind(t, err, fault.InvalidParameter)
	must(w.Suspend(t.Context(), operator, w.account, "two", time.Hour))(t)
	if c := w.look(t)["approval/rule/two"]; c.Kind != notify.ApprovalSuspended {
		t.Errorf("people are told %+v", c)
	}
	check(t, w.try(t, w.user(t, "dave"), remark{text: "while it is suspended"}))
	w.advance(time.Hour)
	wantKind(t, w.try(t, w.user(t, "dave"), remark{text: "after it"}), fault.StateConflict)
}

// Nobody buries the approvers.
func TestApprovalFlood(t *testing.T) {
	w := newWorld(t)
	w.rule(t)
	for n := range approval.MaxOpen {
		w.ask(t, w.user(t, "dave"), strings.Repeat("x", n+1))
	}
	for _, c := range []*authz.Call{w.user(t, "dave"), w.assumed(t, "dave"), w.login(t, "dave")} {
		wantKind(t, w.try(t, c, remark{text: "one more"}), fault.LimitExceeded)
	}
	w.ask(t, w.user(t, "admin"), "somebody else's")
	if n := len(must(w.List(t.Context(), w.login(t, "bob"), true))(t)); n != approval.MaxOpen+1 {
		t.Errorf("an approver sees %d", n)
	}
	stranger := w.user(t, "victim")
	stranger.Policies = nil
	if n := len(must(w.List(t.Context(), stranger, true))(t)); n != 0 {
		t.Errorf("somebody without a permission sees %d", n)
	}
}
