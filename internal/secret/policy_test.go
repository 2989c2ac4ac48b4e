package secret_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/storetest"
)

// statement is a policy of one statement about ada.
func statement(effect, action string) string {
	return `{"Version":"1","Statement":[{"Effect":"` + effect + `","Principal":{"RAM":["acs:ram::` + account + `:user/ada"]},"Action":["` + action + `"],"Resource":["*"]}]}`
}

// A secret's policy lets in beside the identity policies, keeps out in spite of them, at
// once, and goes with its secret.
func TestPolicyOfASecret(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, ctx := open(t, url), t.Context()
		w.create(t, "a", "1")
		w.create(t, "b", "1")
		const decrypt = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}]}`
		const all = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`
		read := func(as *authz.Call, name string) error {
			v, err := w.Get(ctx, as, secret.GetInput{Secret: name})
			v.Data.Zero()
			return err
		}
		little, much := user(t, decrypt), user(t, all)
		want(t, read(little, "a"), fault.NoPermission)
		check(t, w.SetPolicy(ctx, root(account), "a", "", statement("Allow", "kms:GetSecretValue")))
		check(t, read(little, "a"))
		want(t, read(little, "b"), fault.NoPermission)
		_, err := w.GetPolicy(ctx, little, "a", "")
		want(t, err, fault.NoPermission)

		check(t, read(much, "a"))
		check(t, w.SetPolicy(ctx, root(account), "a", "default", statement("Deny", "kms:GetSecretValue")))
		want(t, read(much, "a"), fault.NoPermission)
		if have := must(w.GetPolicy(ctx, much, "a", "default"))(t); have != statement("Deny", "kms:GetSecretValue") {
			t.Errorf("the policy is %s", have)
		}
		want(t, w.SetPolicy(ctx, much, "a", "", statement("Deny", "kms:Set*")), fault.InvalidParameter)
		for _, bad := range []string{"{}", statement("Allow", "ram:*"), statement("Allow", "*"), `{"Version":"1","Statement":[{"Effect":"Allow","Principal":{"RAM":["acs:ram::` + other + `:user/eve"]},"Action":["kms:GetSecretValue"],"Resource":["*"]}]}`} {
			want(t, w.SetPolicy(ctx, root(account), "a", "", bad), fault.InvalidParameter)
		}
		want(t, w.SetPolicy(ctx, root(account), "a", "mine", ""), fault.ResourceNotFound)

		born := func(as *authz.Call, name, policy string) error {
			_, err := w.Create(ctx, as, secret.CreateInput{Name: name, Data: material.NewBytes([]byte("1")), Policy: policy})
			return err
		}
		keep := user(t, `{"Version":"1","Statement":[{"Effect":"Allow","NotAction":["kms:SetSecretPolicy","ram:*"],"Resource":"*"}]}`)
		want(t, born(keep, "born", statement("Allow", "kms:GetSecretValue")), fault.NoPermission) // it takes what setting one takes
		want(t, born(root(account), "born", "{}"), fault.InvalidParameter)
		want(t, read(much, "born"), fault.ResourceNotFound)
		check(t, born(keep, "bare", ""))
		check(t, born(root(account), "born", statement("Deny", "kms:GetSecretValue")))
		want(t, read(much, "born"), fault.NoPermission)
		if have := must(w.GetPolicy(ctx, much, "born", ""))(t); have != statement("Deny", "kms:GetSecretValue") {
			t.Errorf("it was made with %s", have)
		}
		check(t, w.SetPolicy(ctx, root(account), "a", "", ""))
		check(t, read(much, "a"))
		want(t, read(little, "a"), fault.NoPermission)

		check(t, w.SetPolicy(ctx, root(account), "a", "", statement("Deny", "kms:GetSecretValue")))
		must(w.Delete(ctx, root(account), secret.DeleteInput{Secret: "a", Force: true}))(t)
		w.create(t, "a", "anew")
		check(t, read(much, "a"))
	})
}

// TestL2SecretPolicyNamesOnlyWhoIsThere holds that the policy of a secret names nobody whom the
// account does not have, and that whom it names is found by it.
func TestL2SecretPolicyNamesOnlyWhoIsThere(t *testing.T) {
	w, ctx := open(t, storetest.SQLite(t)), t.Context()
	w.create(t, "a", "1")
	ada := "acs:ram::" + account + ":user/ada"
	w.known = identity.Store{Store: w.node.Store}.Known
	want(t, w.SetPolicy(ctx, root(account), "a", "", statement("Allow", "kms:GetSecretValue")), fault.InvalidParameter)
	w.known = nil
	check(t, w.SetPolicy(ctx, root(account), "a", "", statement("Allow", "kms:GetSecretValue")))
	if diff := cmp.Diff([]iam.Naming{{Kind: "secret", Name: "a"}}, must(identity.Store{Store: w.node.Store}.Namings(ctx, account, ada))(t)); diff != "" {
		t.Error(diff)
	}
	if found := must(identity.Store{Store: w.node.Store}.Namings(ctx, account, ada+"m"))(t); len(found) > 0 {
		t.Errorf("somebody else is named by %v", found)
	}
}
