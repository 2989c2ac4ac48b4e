package iam_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

// TestL2RootIsReserved holds that not even a user who may do everything changes root.
func TestL2RootIsReserved(t *testing.T) {
	w := newWorld(t)
	ctx, admin := t.Context(), w.admin(t)
	rootKey := must(w.CreateAccessKey(ctx, w.root(), iam.NewAccessKey{User: "root"}))(t).AccessKey.ID
	before := w.state(t)
	for name, err := range map[string]error{
		"create access key": drop(w.CreateAccessKey(ctx, admin, iam.NewAccessKey{User: "root"})),
		"update access key": drop(w.UpdateAccessKey(ctx, admin, rootKey, iam.AccessKeyChange{Enabled: ptr(false)})),
		"reset access key":  drop(w.ResetAccessKey(ctx, admin, rootKey)),
		"delete access key": w.DeleteAccessKey(ctx, admin, rootKey),
		"update":            drop(w.UpdateUser(ctx, admin, "root", iam.UserChange{Remark: ptr("x")})),
		"delete":            w.DeleteUser(ctx, admin, "root"),
		"attach":            w.AttachPolicy(ctx, admin, "root", "AdministratorAccess"),
		"detach":            w.DetachPolicy(ctx, admin, "root", "AdministratorAccess"),
	} {
		if !fault.Is(err, fault.NoPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"root disables itself":   drop(w.UpdateUser(ctx, w.root(), "root", iam.UserChange{Enabled: ptr(false)})),
		"root deletes itself":    w.DeleteUser(ctx, w.root(), "root"),
		"root attaches to root":  w.AttachPolicy(ctx, w.root(), "root", "AdministratorAccess"),
		"root detaches from it":  w.DetachPolicy(ctx, w.root(), "root", "AdministratorAccess"),
		"the operator, the same": w.AttachPolicy(ctx, w.call(authz.Principal{Account: w.Account.ID, Kind: authz.Service, Name: "operator"}), "root", "AdministratorAccess"),
	} {
		if !fault.Is(err, fault.UnsupportedOperation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if diff := cmp.Diff(before, w.state(t)); diff != "" {
		t.Error(diff)
	}
	if c := w.as(t, rootKey); c.Kind != authz.Root || len(c.Policies) != 0 {
		t.Errorf("an access key of root acts as %+v", c.Principal)
	}
	// The way back when nobody can sign any more: the operator gives root a key.
	operator := w.call(authz.Principal{Account: w.Account.ID, Kind: authz.Service, Name: "operator"})
	must(w.ResetAccessKey(ctx, operator, rootKey))(t)
}

// TestL2RootSpellings holds that no user can be made who could be taken for root, and
// that no spelling of the name reaches root.
func TestL2RootSpellings(t *testing.T) {
	w := newWorld(t)
	letters := [][]string{{"r", "R", "ｒ", "г", "r\u0301"}, {"o", "O", "о", "ο", "º"}, {"o", "O", "ө", "o\u200b"}, {"t", "T", "т", "ｔ", "t "}}
	around := []string{"", " ", "\t", "\x00", "\u00a0", "\u202e", "/", "root/", "user/", "%"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(around).Draw(t, "before")
		for _, spellings := range letters {
			name += rapid.SampledFrom(spellings).Draw(t, "letter")
		}
		name += rapid.SampledFrom(around).Draw(t, "after")
		if name == "root" {
			t.Skip("root itself")
		}
		_, err := w.CreateUser(context.Background(), w.root(), name, "")
		wantKind(t, err, fault.InvalidParameter)
		_, err = w.CreateAccessKey(context.Background(), w.admin(t), iam.NewAccessKey{User: name})
		if !fault.Is(err, fault.InvalidParameter) && !fault.Is(err, fault.ResourceNotFound) {
			t.Fatalf("creating an access key for %q: %v", name, err)
		}
		if err := w.AttachPolicy(context.Background(), w.root(), name, "AdministratorAccess"); !fault.Is(err, fault.InvalidParameter) && !fault.Is(err, fault.ResourceNotFound) {
			t.Fatalf("attaching a policy to %q: %v", name, err)
		}
	})
}

// ramActions are all the actions of this package but the one that grants.
func ramActions() []string {
	actions := []string{}
	for _, op := range operations {
		if op.action != iam.ActionAttachPolicy {
			actions = append(actions, op.action)
		}
	}
	return actions
}

// An intruder is mallory, who has some permissions on users and keys, and whatever
// access keys mallory gets hold of.
type intruder struct {
	w       *world
	keys    []string // ids of access keys whose secret mallory knows
	targets []string // ids of all access keys
}

// TestL2PowerDoesNotGrow holds that nobody without the permission to attach policies
// comes to do what was out of reach, by whichever operations in whichever order.
//
// Mallory may use keys, but a policy denies her to delete them; bob has no such
// policy; admin may do everything. Vic has no policies, and a key's own policy lets him, and
// gone, who was deleted, delete that key.
func TestL2PowerDoesNotGrow(t *testing.T) {
	few(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		actions := rapid.SliceOfDistinct(rapid.SampledFrom(ramActions()), rapid.ID).Draw(rt, "actions")
		w.policy(t, "guard", "Deny", `"kms:ScheduleKeyDeletion"`)
		w.policy(t, "helpdesk", "Allow", `["`+strings.Join(append(actions, "kms:GetPublicKey", iam.ActionCreateUser, iam.ActionCreateAccessKey), `","`)+`"]`)
		mallory := w.user(t, "mallory", "guard", "helpdesk", "AliyunKMSFullAccess").AccessKey.ID
		bob := w.user(t, "bob", "AliyunKMSFullAccess").AccessKey.ID
		in := &intruder{w, []string{mallory}, []string{mallory, bob, w.Key.AccessKey.ID}}
		w.user(t, "vic")
		w.user(t, "gone")
		w.key = w.keyFor(t, "kms:ScheduleKeyDeletion", "user/vic", "user/gone")
		w.forget(t, "gone")
		if w.may(t, mallory, "kms:ScheduleKeyDeletion") || !w.may(t, bob, "kms:ScheduleKeyDeletion") {
			t.Fatal("the test begins wrong")
		}
		rt.Repeat(map[string]func(*rapid.T){"": in.check, "act": in.act})
	})
}

func (in *intruder) act(t *rapid.T) {
	ctx, w := context.Background(), in.w
	c, err := w.Credential(ctx, rapid.SampledFrom(in.keys).Draw(t, "by"))
	if err != nil || c.Refusal != nil {
		t.Skip("mallory has locked herself out")
	}
	call := w.call(c.Principal)
	user := rapid.SampledFrom([]string{"mallory", "bob", "admin", "root", "alice", "vic", "gone"}).Draw(t, "user")
	key := rapid.SampledFrom(in.targets).Draw(t, "key")
	policy := rapid.SampledFrom([]string{"guard", "helpdesk", "AliyunKMSFullAccess", "AdministratorAccess", "new"}).Draw(t, "policy")
	everything := document("Allow", `"*"`)
	var issued iam.IssuedKey
	switch rapid.SampledFrom(append(ramActions(), iam.ActionAttachPolicy)).Draw(t, "action") {
	case iam.ActionCreateUser:
		_, _ = w.CreateUser(ctx, call, user, "")
	case iam.ActionUpdateUser:
		_, _ = w.UpdateUser(ctx, call, user, iam.UserChange{Enabled: ptr(true)})
	case iam.ActionDeleteUser:
		_ = w.DeleteUser(ctx, call, user)
	case iam.ActionCreateAccessKey:
		issued, _ = w.CreateAccessKey(ctx, call, iam.NewAccessKey{User: user})
	case iam.ActionUpdateAccessKey:
		_, _ = w.UpdateAccessKey(ctx, call, key, iam.AccessKeyChange{Enabled: ptr(true)})
	case iam.ActionResetAccessKey:
		issued, _ = w.ResetAccessKey(ctx, call, key)
	case iam.ActionDeleteAccessKey:
		_ = w.DeleteAccessKey(ctx, call, key)
	case iam.ActionCreatePolicy:
		_, _ = w.CreatePolicy(ctx, call, iam.NewPolicy{Name: policy, Document: everything})
	case iam.ActionUpdatePolicy:
		_, _ = w.UpdatePolicy(ctx, call, policy, iam.PolicyChange{Document: &everything})
	case iam.ActionDeletePolicy:
		_ = w.DeletePolicy(ctx, call, policy)
	case iam.ActionAttachPolicy:
		_ = w.AttachPolicy(ctx, call, user, policy)
	case iam.ActionDetachPolicy:
		_ = w.DetachPolicy(ctx, call, user, policy)
	default:
		t.Skip("an operation that only reads")
	}
	if id := issued.AccessKey.ID; id != "" {
		in.keys, in.targets = append(in.keys, id), append(in.targets, id)
	}
}

func (in *intruder) check(t *rapid.T) {
	for _, id := range in.keys {
		c, err := in.w.Credential(context.Background(), id)
		if err != nil || c.Refusal != nil {
			continue
		}
		call := in.w.call(c.Principal)
		if d := in.w.decide(t, call, "kms:ScheduleKeyDeletion"); d.Allowed {
			t.Fatalf("as %s mallory may delete keys: %s", c.Principal.ARN(), d)
		}
	}
}

// TestL2GrantIsNeeded holds each way to power that needs ram:AttachPolicyToUser beside
// its own permission, with it and without it.
func TestL2GrantIsNeeded(t *testing.T) {
	t.Parallel()
	for name, try := range map[string]struct {
		action string
		do     func(w *world, c *authz.Call, bobsKey string) error
	}{
		"create another's key": {iam.ActionCreateAccessKey, func(w *world, c *authz.Call, _ string) error {
			return drop(w.CreateAccessKey(context.Background(), c, iam.NewAccessKey{User: "bob"}))
		}},
		"reset another's key": {iam.ActionResetAccessKey, func(w *world, c *authz.Call, bobsKey string) error {
			return drop(w.ResetAccessKey(context.Background(), c, bobsKey))
		}},
		"detach": {iam.ActionDetachPolicy, func(w *world, c *authz.Call, _ string) error {
			return w.DetachPolicy(context.Background(), c, "bob", "guard")
		}},
		"change what is attached": {iam.ActionUpdatePolicy, func(w *world, c *authz.Call, _ string) error {
			return drop(w.UpdatePolicy(context.Background(), c, "guard", iam.PolicyChange{Document: ptr(document("Allow", `"*"`))}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.policy(t, "guard", "Deny", `"kms:Sign"`)
			w.policy(t, "one", "Allow", `"`+try.action+`"`)
			w.policy(t, "grant", "Allow", `"ram:AttachPolicyToUser"`)
			bob := w.user(t, "bob", "guard").AccessKey.ID
			carol := w.user(t, "carol", "one").AccessKey.ID
			before := w.state(t)
			wantKind(t, try.do(w, w.as(t, carol), bob), fault.NoPermission)
			if diff := cmp.Diff(before, w.state(t)); diff != "" {
				t.Error(diff)
			}
			if err := w.AttachPolicy(t.Context(), w.root(), "carol", "grant"); err != nil {
				t.Fatal(err)
			}
			wantKind(t, try.do(w, w.as(t, carol), bob), "")
		})
	}
}

// TestOwnKeys holds that users manage their own access keys if a policy lets them,
// and those of nobody else.
func TestOwnKeys(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	self := `{"Version":"1","Statement":[{"Effect":"Allow","Action":["ram:*AccessKey*"],"Resource":"acs:ram:*:*:user/alice"}]}`
	must(w.CreatePolicy(ctx, w.root(), iam.NewPolicy{Name: "self", Document: self}))(t)
	alice, bob := w.user(t, "alice", "self").AccessKey.ID, w.user(t, "bob").AccessKey.ID
	call := w.as(t, alice)
	issued := must(w.CreateAccessKey(ctx, call, iam.NewAccessKey{User: "alice"}))(t)
	must(w.ResetAccessKey(ctx, call, issued.AccessKey.ID))(t)
	must(w.UpdateAccessKey(ctx, call, issued.AccessKey.ID, iam.AccessKeyChange{Enabled: ptr(false)}))(t)
	list := must(w.ListAccessKeys(ctx, call, "alice", iam.Page{}))(t)
	ids := []string{list.Items[0].AccessKey.ID, list.Items[1].AccessKey.ID}
	slices.Sort(ids)
	want := []string{alice, issued.AccessKey.ID}
	slices.Sort(want)
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Error(diff)
	}
	if err := w.DeleteAccessKey(ctx, call, issued.AccessKey.ID); err != nil {
		t.Error(err)
	}
	_, existing := w.UpdateAccessKey(ctx, call, bob, iam.AccessKeyChange{Enabled: ptr(false)})
	_, missing := w.UpdateAccessKey(ctx, call, fakeID, iam.AccessKeyChange{Enabled: ptr(false)})
	wantKind(t, existing, fault.NoPermission)
	if diff := cmp.Diff(fault.Message(missing), fault.Message(existing)); diff != "" {
		t.Errorf("the refusal tells whether a key exists:\n%s", diff)
	}
	wantKind(t, drop(w.ListAccessKeys(ctx, call, "", iam.Page{})), fault.NoPermission)
	if c := must(w.Credential(ctx, bob))(t); c.Refusal != nil {
		t.Error(c.Refusal)
	}
}
