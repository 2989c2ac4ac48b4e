package iam_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

// An operation is one of the service's, on names that may or may not exist.
type operation struct {
	action string
	do     func(ctx context.Context, w *world, c *authz.Call, n names) error
}

type names struct{ user, key, policy, other string }

func drop[T any](_ T, err error) error { return err }

func ptr[T any](v T) *T { return &v }

// operations lists them in an order in which all succeed on what newNames makes.
var operations = []operation{
	{"ram:CreateUser", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.CreateUser(ctx, c, n.user+"-new", "remark"))
	}},
	{"ram:GetUser", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.GetUser(ctx, c, n.user))
	}},
	{"ram:ListUsers", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.ListUsers(ctx, c, iam.Page{}))
	}},
	{"ram:UpdateUser", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.UpdateUser(ctx, c, n.user, iam.UserChange{Enabled: ptr(false)}))
	}},
	{"ram:CreateAccessKey", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.CreateAccessKey(ctx, c, iam.NewAccessKey{User: n.other}))
	}},
	{"ram:ListAccessKeys", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.ListAccessKeys(ctx, c, n.user, iam.Page{}))
	}},
	{"ram:GetAccessKeyLastUsed", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.GetAccessKeyLastUsed(ctx, c, n.key))
	}},
	{"ram:UpdateAccessKey", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.UpdateAccessKey(ctx, c, n.key, iam.AccessKeyChange{Remark: ptr("r")}))
	}},
	{"ram:ResetAccessKey", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.ResetAccessKey(ctx, c, n.key))
	}},
	{"ram:GetPolicy", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.GetPolicy(ctx, c, n.policy))
	}},
	{"ram:ListPolicies", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.ListPolicies(ctx, c, iam.Page{}))
	}},
	{"ram:CreatePolicy", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.CreatePolicy(ctx, c, iam.NewPolicy{Name: n.policy + "-new", Document: document("Allow", `"kms:*"`)}))
	}},
	{"ram:UpdatePolicy", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return drop(w.UpdatePolicy(ctx, c, n.policy, iam.PolicyChange{Document: ptr(document("Allow", `"kms:List*"`))}))
	}},
	{"ram:AttachPolicyToUser", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return w.AttachPolicy(ctx, c, n.user, n.policy)
	}},
	{"ram:DetachPolicyFromUser", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return w.DetachPolicy(ctx, c, n.user, n.policy)
	}},
	{"ram:DeletePolicy", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return w.DeletePolicy(ctx, c, n.policy)
	}},
	{"ram:DeleteAccessKey", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return w.DeleteAccessKey(ctx, c, n.key)
	}},
	{"ram:DeleteUser", func(ctx context.Context, w *world, c *authz.Call, n names) error {
		return w.DeleteUser(ctx, c, n.user)
	}},
}

// state is everything that a world stores, last uses aside.
func (w *world) state(t rapid.TB) (state []any) {
	t.Helper()
	ctx, page := context.Background(), iam.Page{Limit: 1000}
	for _, a := range must(w.store.Accounts(ctx, page))(t) {
		state = append(state, a, must(w.store.Users(ctx, a.ID, page))(t),
			must(w.store.AccessKeys(ctx, a.ID, "", page))(t), must(w.store.Policies(ctx, a.ID, page))(t))
	}
	return state
}

// TestOneRecord holds that every operation leaves exactly one record of what became
// of it, and that one that did not succeed changes nothing.
func TestOneRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.policy(t, "readers", "Allow", `"kms:Describe*"`)
	n := names{"alice", w.user(t, "alice").AccessKey.ID, "readers", "bob"}
	nobody := w.as(t, w.user(t, "nobody").AccessKey.ID)
	w.user(t, "bob")
	other := must(w.CreateAccount(ctx, w.operator(), "other"))(t)
	foreign := w.as(t, other.Key.AccessKey.ID)

	for _, op := range operations {
		for _, try := range []struct {
			name string
			call *authz.Call
			n    names
			want fault.Kind
		}{
			{"not allowed", nobody, n, fault.NoPermission},
			{"not allowed, malformed", nobody, names{"no such", "KWAK", "no such", ""}, fault.NoPermission},
			{"other account", foreign, n, fault.ResourceNotFound},
			{"malformed", w.root(), names{" root", "x\x00", "*", "Admin"}, ""}, // any fault of the caller
			{"allowed", w.root(), n, ""},
		} {
			before, had := w.state(t), w.recorded(t)
			err := op.do(ctx, w, try.call, try.n)
			records := w.records(t, had)
			if len(records) != 1 {
				t.Fatalf("%s, %s: %d records, want one", op.action, try.name, len(records))
			}
			last, want := records[0], "OK"
			if err != nil {
				want = string(fault.KindOf(err))
			}
			if last.Action != op.action || last.Result != want || last.Account != try.call.Account || last.Decision == "" || last.Resource == "" {
				t.Errorf("%s, %s: the record is %+v, want result %s", op.action, try.name, last, want)
			}
			creates := op.action == "ram:CreateUser" || op.action == "ram:CreatePolicy"
			lists := strings.HasPrefix(op.action, "ram:List") && op.action != "ram:ListAccessKeys"
			switch {
			case lists && try.call != nobody, try.name == "allowed":
				wantKind(t, err, "")
			case try.name == "other account" && creates:
				// Names are each account's own; nothing of ours may change.
			case try.name == "malformed":
				if k := fault.KindOf(err); k != fault.InvalidParameter && k != fault.ResourceNotFound {
					t.Errorf("%s, malformed: %v", op.action, err)
				}
			case fault.KindOf(err) != try.want:
				t.Errorf("%s, %s: have %v, want the fault %s", op.action, try.name, err, try.want)
			}
			if err != nil {
				if diff := cmp.Diff(before, w.state(t)); diff != "" {
					t.Errorf("%s, %s: refused and yet changed:\n%s", op.action, try.name, diff)
				}
			}
		}
	}
}

// TestNoRecordNoChange holds that nothing happens and no secret is answered when the
// log cannot be written.
func TestNoRecordNoChange(t *testing.T) {
	w := newWorld(t)
	w.policy(t, "readers", "Allow", `"kms:Describe*"`)
	n := names{"alice", w.user(t, "alice").AccessKey.ID, "readers", "admin"}
	before := w.state(t)
	w.node.StopLog()
	for _, op := range operations {
		wantKind(t, op.do(t.Context(), w, w.root(), n), fault.AuditUnavailable)
	}
	issued, err := w.CreateAccessKey(t.Context(), w.root(), iam.NewAccessKey{User: "alice"})
	wantKind(t, err, fault.AuditUnavailable)
	if issued.Secret.Len() != 0 || issued.AccessKey.ID != "" {
		t.Error("an access key was answered that is not recorded")
	}
	if diff := cmp.Diff(before, w.state(t)); diff != "" {
		t.Error(diff)
	}
}

func TestCreateAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	if id := w.Account.ID; len(id) != 16 || id[0] == '0' || strings.Trim(id, "0123456789") != "" {
		t.Errorf("account id %q", id)
	}
	first := w.records(t, 0)[0]
	if first.Action != "keyward:CreateAccount" || first.Account != w.Account.ID || first.Result != "OK" || len(first.Effects) != 4 {
		t.Errorf("the record is %+v", first)
	}
	if !w.may(t, w.Key.AccessKey.ID, "kms:Encrypt") {
		t.Error("the first access key may not encrypt")
	}
	users := must(w.ListUsers(ctx, w.admin(t), iam.Page{}))(t)
	for i, want := range []iam.User{
		{Name: "admin", Kind: authz.User, Enabled: true, Policies: []string{"AdministratorAccess"}},
		{Name: "root", Kind: authz.Root, Enabled: true},
	} {
		want.Account, want.CreatedAt, want.Rev = w.Account.ID, w.now(), 1
		if diff := cmp.Diff(want, users.Items[i]); diff != "" {
			t.Error(diff)
		}
	}
	for name, err := range map[string]error{
		"not one":    drop(w.CreateAccount(ctx, w.operator(), "a b")),
		"root":       drop(w.CreateAccount(ctx, w.root(), "other")),
		"inside one": drop(w.CreateAccount(ctx, w.call(authz.Principal{Account: w.Account.ID, Kind: authz.Service}), "other")),
		"list":       drop(w.ListAccounts(ctx, w.admin(t), iam.Page{})),
	} {
		want := fault.NoPermission
		if name == "not one" {
			want = fault.InvalidParameter
		}
		wantKind(t, err, want)
	}
	had := w.recorded(t)
	wantKind(t, drop(w.CreateAccount(ctx, w.operator(), "example")), fault.ResourceExists)
	if refused := w.records(t, had)[0]; refused.Account != "" || refused.Resource != "" || refused.Principal == "" {
		t.Errorf("the record of an account that was not made is %+v", refused)
	}
	other := must(w.CreateAccount(ctx, w.operator(), "other"))(t)
	list := must(w.ListAccounts(ctx, w.operator(), iam.Page{Limit: 1}))(t)
	next := must(w.ListAccounts(ctx, w.operator(), iam.Page{Limit: 1, After: list.Next}))(t)
	if ids := list.Items[0].ID + " " + next.Items[0].ID; !strings.Contains(ids, other.Account.ID) || !strings.Contains(ids, w.Account.ID) || next.Next != "" {
		t.Errorf("accounts %s, then %q", ids, next.Next)
	}
	// The tenant key is the account's own.
	ours, theirs := must(w.Tenant(ctx, w.Account.ID))(t), must(w.Tenant(ctx, other.Account.ID))(t)
	wrapped := must(ours.Wrap([]byte("b"), w.Key.Secret))(t)
	if _, err := theirs.Unwrap([]byte("b"), wrapped); err == nil {
		t.Error("another account's tenant key opens what ours wrapped")
	}
	wantKind(t, drop(w.Tenant(ctx, "0")), fault.ResourceNotFound)
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, root := t.Context(), w.root()
	for _, name := range []string{"b", "a", "Z"} {
		w.user(t, name)
		w.policy(t, name, "Allow", `"kms:*"`)
	}
	var users, policies []string
	for page := (iam.Page{Limit: 2}); ; {
		list := must(w.ListUsers(ctx, root, page))(t)
		for _, u := range list.Items {
			users = append(users, u.Name)
		}
		if page.After = list.Next; page.After == "" {
			break
		}
	}
	for page := (iam.Page{Limit: 3}); ; {
		list := must(w.ListPolicies(ctx, root, page))(t)
		for _, p := range list.Items {
			policies = append(policies, p.Name)
		}
		if page.After = list.Next; page.After == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"Z", "a", "admin", "b", "root"}, users); diff != "" {
		t.Error(diff)
	}
	want := []string{"Z", "a", "b"}
	for _, p := range authz.SystemPolicies() {
		want = append(want, p.Name)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), policies); diff != "" {
		t.Error(diff)
	}
	keys := must(w.ListAccessKeys(ctx, root, "", iam.Page{}))(t)
	if len(keys.Items) != 4 || keys.Next != "" {
		t.Errorf("%d access keys and then %q, want 4", len(keys.Items), keys.Next)
	}
	for _, page := range []iam.Page{{Limit: -1}, {Limit: 101}, {After: "a b"}, {After: "\x00"}, {After: strings.Repeat("a", 129)}} {
		wantKind(t, drop(w.ListUsers(ctx, root, page)), fault.InvalidParameter)
		wantKind(t, drop(w.ListPolicies(ctx, root, page)), fault.InvalidParameter)
		wantKind(t, drop(w.ListAccessKeys(ctx, root, "", page)), fault.InvalidParameter)
		wantKind(t, drop(w.ListAccounts(ctx, w.operator(), page)), fault.InvalidParameter)
	}
}

// TestBadInput holds that what is wrong is refused and changes nothing.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, root := t.Context(), w.root()
	w.user(t, "alice", "AliyunKMSFullAccess")
	w.policy(t, "readers", "Allow", `"kms:Describe*"`)
	key := w.user(t, "bob").AccessKey
	before := w.state(t)
	long := strings.Repeat("字", 257)
	good := document("Allow", `"kms:*"`)
	for name, try := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"user exists in other case":     {drop(w.CreateUser(ctx, root, "ALICE", "")), fault.ResourceExists},
		"user name too long":            {drop(w.CreateUser(ctx, root, strings.Repeat("a", 65), "")), fault.InvalidParameter},
		"user name empty":               {drop(w.CreateUser(ctx, root, "", "")), fault.InvalidParameter},
		"remark too long":               {drop(w.CreateUser(ctx, root, "carol", long)), fault.InvalidParameter},
		"remark not UTF-8":              {drop(w.CreateUser(ctx, root, "carol", "\xff")), fault.InvalidParameter},
		"remark of two lines":           {drop(w.CreateUser(ctx, root, "carol", "a\nb")), fault.InvalidParameter},
		"nothing to change of a user":   {drop(w.UpdateUser(ctx, root, "alice", iam.UserChange{})), fault.MissingParameter},
		"user in other case":            {drop(w.UpdateUser(ctx, root, "Alice", iam.UserChange{Enabled: ptr(false)})), fault.ResourceNotFound},
		"user with access keys":         {w.DeleteUser(ctx, root, "alice"), fault.ResourceInUse},
		"access key of nobody":          {drop(w.CreateAccessKey(ctx, root, iam.NewAccessKey{User: "carol"})), fault.ResourceNotFound},
		"access key that has expired":   {drop(w.CreateAccessKey(ctx, root, iam.NewAccessKey{User: "bob", ExpiresAt: w.now()})), fault.InvalidParameter},
		"nothing to change of a key":    {drop(w.UpdateAccessKey(ctx, root, key.ID, iam.AccessKeyChange{})), fault.MissingParameter},
		"expiry in the past":            {drop(w.UpdateAccessKey(ctx, root, key.ID, iam.AccessKeyChange{ExpiresAt: ptr(w.now())})), fault.InvalidParameter},
		"access keys of nobody":         {drop(w.ListAccessKeys(ctx, root, "carol", iam.Page{})), fault.ResourceNotFound},
		"policy exists in other case":   {drop(w.CreatePolicy(ctx, root, iam.NewPolicy{Name: "Readers", Document: good})), fault.ResourceExists},
		"system policy's name":          {drop(w.CreatePolicy(ctx, root, iam.NewPolicy{Name: "administratoraccess", Document: good})), fault.InvalidParameter},
		"name for system policies":      {drop(w.CreatePolicy(ctx, root, iam.NewPolicy{Name: "aliyunNew", Document: good})), fault.InvalidParameter},
		"policy that means nothing":     {drop(w.CreatePolicy(ctx, root, iam.NewPolicy{Name: "new", Document: "{}"})), fault.InvalidParameter},
		"policy described too long":     {drop(w.CreatePolicy(ctx, root, iam.NewPolicy{Name: "new", Document: good, Description: long + long + long + long})), fault.InvalidParameter},
		"nothing to change of a policy": {drop(w.UpdatePolicy(ctx, root, "readers", iam.PolicyChange{})), fault.MissingParameter},
		"new document means nothing":    {drop(w.UpdatePolicy(ctx, root, "readers", iam.PolicyChange{Document: ptr("")})), fault.InvalidParameter},
		"system policy changed":         {drop(w.UpdatePolicy(ctx, root, "AdministratorAccess", iam.PolicyChange{Document: &good})), fault.UnsupportedOperation},
		"system policy deleted":         {w.DeletePolicy(ctx, root, "AdministratorAccess"), fault.UnsupportedOperation},
		"system policy in other case":   {w.AttachPolicy(ctx, root, "bob", "administratorAccess"), fault.ResourceNotFound},
		"policy not there attached":     {w.AttachPolicy(ctx, root, "bob", "writers"), fault.ResourceNotFound},
		"policy not attached detached":  {w.DetachPolicy(ctx, root, "bob", "readers"), fault.ResourceNotFound},
		"attached twice":                {w.AttachPolicy(ctx, root, "alice", "AliyunKMSFullAccess"), ""},
	} {
		if fault.KindOf(try.err) != try.want {
			t.Errorf("%s: %v, want %s", name, try.err, try.want)
		}
	}
	if diff := cmp.Diff(before, w.state(t)); diff != "" {
		t.Error(diff)
	}
}

func TestPolicyLifecycle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, root := t.Context(), w.root()
	w.policy(t, "crypto", "Allow", `"kms:Encrypt"`)
	key := w.user(t, "alice", "crypto").AccessKey.ID
	if !w.may(t, key, "kms:Encrypt") || w.may(t, key, "kms:Decrypt") {
		t.Error("the attached policy is not in force")
	}
	w.advance(time.Minute)
	changed := must(w.UpdatePolicy(ctx, root, "crypto", iam.PolicyChange{Document: ptr(document("Allow", `"kms:Decrypt"`))}))(t)
	if w.may(t, key, "kms:Encrypt") || !w.may(t, key, "kms:Decrypt") {
		t.Error("the changed policy is not in force")
	}
	if diff := cmp.Diff(changed, must(w.GetPolicy(ctx, root, "crypto"))(t)); diff != "" || !changed.UpdatedAt.Equal(w.now()) {
		t.Error(diff, changed.UpdatedAt)
	}
	wantKind(t, w.DeletePolicy(ctx, root, "crypto"), fault.ResourceInUse)
	if err := w.DetachPolicy(ctx, root, "alice", "crypto"); err != nil {
		t.Error(err)
	}
	if w.may(t, key, "kms:Decrypt") {
		t.Error("the detached policy is still in force")
	}
	if err := w.DeletePolicy(ctx, root, "crypto"); err != nil {
		t.Error(err)
	}
	if admin := must(w.GetPolicy(ctx, root, "AdministratorAccess"))(t); !admin.System || admin.Document == "" {
		t.Errorf("%+v", admin)
	}
	for i := range iam.MaxAttached + 1 {
		name := "p" + strings.Repeat("x", i)
		w.policy(t, name, "Allow", `"kms:*"`)
		want := fault.Kind("")
		if i == iam.MaxAttached {
			want = fault.LimitExceeded
		}
		wantKind(t, w.AttachPolicy(ctx, root, "alice", name), want)
	}
}

// TestAccessKeyLimit holds the limit of two against callers who race.
func TestAccessKeyLimit(t *testing.T) {
	w := newWorld(t)
	must(w.CreateUser(t.Context(), w.root(), "alice", ""))(t)
	var all sync.WaitGroup
	ended := make([]error, 8)
	for i := range ended {
		all.Go(func() {
			ended[i] = drop(w.CreateAccessKey(t.Context(), w.root(), iam.NewAccessKey{User: "alice"}))
		})
	}
	all.Wait()
	made := 0
	for _, err := range ended {
		if err == nil {
			made++
		} else {
			wantKind(t, err, fault.LimitExceeded)
		}
	}
	if keys := must(w.ListAccessKeys(t.Context(), w.root(), "alice", iam.Page{}))(t); made != 2 || len(keys.Items) != 2 {
		t.Errorf("%d were answered and %d are there, want 2", made, len(keys.Items))
	}
}
