package iam_test

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/keytest"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/kms"
)

// keys answers the operations on keys of the world's account.
func (w *world) keys() *keytest.Services {
	return keytest.New(keytest.Options{Store: kms.Store{Store: w.node.Store}, Tenants: w, Log: w.node.Log, Now: w.now, Known: identity.Store{Store: w.node.Store}.Known})
}

// keyFor makes a key whose own policy allows principals, such as user/vic, an action.
func (w *world) keyFor(t rapid.TB, action string, principals ...string) key.Key {
	t.Helper()
	return must(w.keys().Create(context.Background(), w.root(), lifecycle.CreateInput{Policy: w.keyPolicy(action, principals...)}))(t)
}

func (w *world) keyPolicy(action string, principals ...string) string {
	own := "acs:ram::" + w.Account.ID + ":"
	return `{"Version":"1","Statement":[{"Effect":"Allow","Principal":{"RAM":["` + own + strings.Join(principals, `","`+own) + `"]},"Action":["` + action + `"],"Resource":["*"]}]}`
}

// decide answers whether the call may do something with the world's key.
func (w *world) decide(t rapid.TB, call *authz.Call, action string) authz.Decision {
	t.Helper()
	policy := must(w.key.Compile(w.key.Policy))(t)
	return call.Decide(authz.Request{Action: action, Resource: "acs:kms:any:" + w.Account.ID + ":key/" + string(w.key.ID), Policy: policy})
}

// forget deletes a user with all access keys.
func (w *world) forget(t rapid.TB, name string) {
	t.Helper()
	ctx := context.Background()
	for _, k := range must(w.ListAccessKeys(ctx, w.root(), name, iam.Page{}))(t).Items {
		if err := w.DeleteAccessKey(ctx, w.root(), k.AccessKey.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.DeleteUser(ctx, w.root(), name); err != nil {
		t.Fatal(err)
	}
}

// helpdesk is a user who makes users and access keys but gives nobody anything.
func (w *world) helpdesk(t rapid.TB) *authz.Call {
	t.Helper()
	w.policy(t, "desk", "Allow", `["ram:CreateUser","ram:DeleteUser","ram:*AccessKey*","ram:Get*","ram:List*"]`)
	return w.as(t, w.user(t, "mallory", "desk").AccessKey.ID)
}

// TestL2NamedUserIsNotTakenOver holds that a user without any policy whom a key's policy names
// can be taken over by those only who could give all that keys have; whoever is fresh, by all
// who make users.
func TestL2NamedUserIsNotTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	vic := w.user(t, "vic")
	w.key = w.keyFor(t, "kms:Decrypt", "user/vic")
	if !w.decide(t, w.as(t, vic.AccessKey.ID), "kms:Decrypt").Allowed {
		t.Fatal("the policy of the key lets nobody in")
	}
	mallory := w.helpdesk(t)
	take := func() []error {
		made, create := w.CreateAccessKey(ctx, mallory, iam.NewAccessKey{User: "vic"})
		if create == nil {
			_ = w.DeleteAccessKey(ctx, w.root(), made.AccessKey.ID)
		}
		return []error{create, drop(w.ResetAccessKey(ctx, mallory, vic.AccessKey.ID)), w.Delegate(ctx, mallory, audit.NewRecord(mallory, iam.ActionCreateAccessKey), "vic")}
	}
	for _, err := range take() {
		wantKind(t, err, fault.NoPermission)
		if err != nil && !strings.Contains(err.Error(), "whom a key names") {
			t.Errorf("the refusal does not say why: %v", err)
		}
	}
	must(w.CreateUser(ctx, mallory, "fresh", ""))(t)
	must(w.CreateAccessKey(ctx, mallory, iam.NewAccessKey{User: "fresh"}))(t)
	must(w.CreateAccessKey(ctx, w.admin(t), iam.NewAccessKey{User: "vic"}))(t)

	w.policy(t, "grant", "Allow", `"ram:AttachPolicyToUser"`)
	if err := w.AttachPolicy(ctx, w.root(), "mallory", "grant"); err != nil {
		t.Fatal(err)
	}
	mallory = w.as(t, mallory.AccessKey)
	wantKind(t, drop(w.ResetAccessKey(ctx, mallory, vic.AccessKey.ID)), "")
}

// TestL2NamesAreNotInherited holds that nobody is made under a name to which policies of
// resources give something, in whatever spelling, until they do not; and that no such policy is
// given a name that nobody has.
func TestL2NamesAreNotInherited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, keys := t.Context(), w.keys()
	w.user(t, "kate")
	w.key = w.keyFor(t, "kms:Decrypt", `us\u0065r\/k\u0061te`)
	w.forget(t, "kate")
	mallory := w.helpdesk(t)
	_, err := w.CreateUser(ctx, mallory, "kate", "")
	wantKind(t, err, fault.ResourceInUse)
	if err != nil && !strings.Contains(err.Error(), "key "+string(w.key.ID)) {
		t.Errorf("the refusal does not say which policy: %v", err)
	}
	must(w.CreateUser(ctx, mallory, "kat", ""))(t)
	if err := keys.SetPolicy(ctx, w.root(), string(w.key.ID), "", ""); err != nil {
		t.Fatal(err)
	}
	must(w.CreateUser(ctx, mallory, "kate", ""))(t)

	for _, stranger := range []string{"user/nobody-here", "role/nobody-here", "user/Kate"} {
		document := w.keyPolicy("kms:Decrypt", "user/kate", stranger)
		wantKind(t, keys.SetPolicy(ctx, w.root(), string(w.key.ID), "", document), fault.InvalidParameter)
		_, err := keys.Create(ctx, w.root(), lifecycle.CreateInput{Policy: document})
		wantKind(t, err, fault.InvalidParameter)
	}
	if err := keys.SetPolicy(ctx, w.root(), string(w.key.ID), "", w.keyPolicy("kms:Decrypt", "user/kate")); err != nil {
		t.Error(err)
	}
}
