package key_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	owner    = "1111111111111111"
	borrower = "2222222222222222"
)

// user is a user with the identity policies written in statements.
func user(t testing.TB, account, name string, statements ...string) *authz.Call {
	t.Helper()
	c := root(account)
	c.Kind, c.Name = authz.User, name
	if len(statements) > 0 {
		p, err := authz.Compile("own", []byte(`{"Version":"1","Statement":[`+strings.Join(statements, ",")+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		c.Policies = []*authz.Policy{p}
	}
	return c
}

func allowing(action, resource string) string {
	return fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, action, resource)
}

// keyPolicy writes a key policy of one statement for each of "Effect principal action".
func keyPolicy(t testing.TB, statements ...string) string {
	t.Helper()
	var list []any
	for _, s := range statements {
		part := strings.Fields(s)
		list = append(list, map[string]any{"Effect": part[0], "Principal": map[string]any{"RAM": "acs:ram::" + part[1]}, "Action": part[2:], "Resource": "*"})
	}
	text, err := json.Marshal(map[string]any{"Version": "1", "Statement": list})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKeyPolicies(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, ctx := open(t, url), t.Context()
		k, err := w.Create(ctx, root(owner), lifecycle.CreateInput{Alias: "alias/k"})
		if err != nil {
			t.Fatal(err)
		}
		app := user(t, owner, "app")
		encrypt := func(c *authz.Call) error {
			_, err := w.Encrypt(ctx, c, cryptography.EncryptInput{Key: string(k.ID), Plaintext: material.NewBytes([]byte("text"))})
			return err
		}
		if document, err := w.GetPolicy(ctx, root(owner), "alias/k", "default"); err != nil || document != authz.KeyTerms().Default(owner) {
			t.Errorf("the first policy: %s, %v", document, err)
		}
		if err := encrypt(app); !fault.Is(err, fault.NoPermission) {
			t.Errorf("under the default: %v", err)
		}
		set := func(c *authz.Call, document string) error { return w.SetPolicy(ctx, c, "alias/k", "", document) }
		uses := keyPolicy(t, "Allow "+owner+":user/app kms:Encrypt")
		if err := set(root(owner), uses); err != nil {
			t.Fatal(err)
		}
		if err := encrypt(app); err != nil {
			t.Errorf("the key's policy allows: %v", err)
		}
		if got, err := w.GetPolicy(ctx, root(owner), "alias/k", ""); err != nil || got != uses {
			t.Errorf("answered %s, %v", got, err)
		}
		// A denial is in force for the next call, and wins over the identity policy.
		admin := user(t, owner, "admin", allowing("*", "*"))
		if err := set(admin, keyPolicy(t, "Allow "+owner+":user/app kms:Encrypt", "Deny "+owner+":* kms:*crypt")); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*authz.Call{app, admin} {
			if err := encrypt(c); !fault.Is(err, fault.NoPermission) {
				t.Errorf("%s is denied: %v", c.Name, err)
			}
		}
		// What is refused changes nothing.
		for name, document := range map[string]string{
			"denies itself": keyPolicy(t, "Deny "+owner+":user/admin kms:Set*"), "denies everybody": keyPolicy(t, "Deny "+owner+":* kms:*"),
			"no JSON": "{", "too long": `{"Version":"1"` + strings.Repeat(" ", authz.MaxDocument) + "}",
		} {
			if err := set(admin, document); !fault.Is(err, fault.InvalidParameter) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := set(app, uses); !fault.Is(err, fault.NoPermission) {
			t.Errorf("a user of the key sets its policy: %v", err)
		}
		if _, err := w.GetPolicy(ctx, root(owner), "alias/k", "other"); !fault.Is(err, fault.ResourceNotFound) {
			t.Errorf("another name: %v", err)
		}
		if names, err := w.ListPolicies(ctx, root(owner), "alias/k", key.Page{Number: 1, Size: 10}); err != nil || cmp.Diff([]string{"default"}, names) != "" {
			t.Errorf("listed %v, %v", names, err)
		}
		if err := set(admin, ""); err != nil {
			t.Fatal(err)
		}
		if err := encrypt(admin); err != nil {
			t.Errorf("the default again: %v", err)
		}
	})
}

// A key can be made with its policy by who may set policies, and with none that locks its
// maker out.
func TestCreateWithPolicy(t *testing.T) {
	w, ctx := open(t, storetest.SQLite(t)), t.Context()
	document := keyPolicy(t, "Allow "+owner+":user/app kms:Encrypt")
	maker := user(t, owner, "maker", allowing("kms:CreateKey", "*"))
	if _, err := w.Create(ctx, maker, lifecycle.CreateInput{Policy: document}); !fault.Is(err, fault.NoPermission) {
		t.Errorf("without kms:SetKeyPolicy: %v", err)
	}
	maker = user(t, owner, "maker", allowing("kms:CreateKey", "*"), allowing("kms:SetKeyPolicy", "*"))
	k, err := w.Create(ctx, maker, lifecycle.CreateInput{Policy: document})
	if err != nil || k.Policy != document {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := w.Encrypt(ctx, user(t, owner, "app"), cryptography.EncryptInput{Key: string(k.ID), Plaintext: material.NewBytes([]byte("text"))}); err != nil {
		t.Error(err)
	}
	if _, err := w.Create(ctx, maker, lifecycle.CreateInput{Policy: keyPolicy(t, "Deny "+owner+":user/maker kms:*")}); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("locked out: %v", err)
	}
}

// TestAcrossAccounts holds that a user of another account does what both accounts allow, and
// that everybody else there cannot tell the key from one that there is not: by the answer,
// nor by what their own account's audit log keeps.
func TestAcrossAccounts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, ctx := open(t, url), t.Context()
		k, err := w.Create(ctx, root(owner), lifecycle.CreateInput{Alias: "alias/lent", Policy: keyPolicy(t, "Allow "+borrower+":user/bob kms:Encrypt kms:Decrypt kms:DescribeKey kms:TagResource")})
		if err != nil {
			t.Fatal(err)
		}
		arn := w.Ring.ARN(k)
		missing := strings.Replace(arn, string(k.ID), string(key.NewID()), 1)
		alias := strings.Replace(arn, "key/"+string(k.ID), "alias/lent", 1)
		all := allowing("kms:*", "*")
		bob, carol, boss := user(t, borrower, "bob", all, allowing("kms:*", "acs:kms:*:"+owner+":*")), user(t, borrower, "carol", all, allowing("kms:*", "acs:kms:*:"+owner+":*")), root(borrower)
		lazy := user(t, borrower, "bob", all)

		sealed, err := w.Encrypt(ctx, bob, cryptography.EncryptInput{Key: arn, Plaintext: material.NewBytes([]byte("text"))})
		if err != nil {
			t.Fatal(err)
		}
		if opened, err := w.Decrypt(ctx, bob, cryptography.DecryptInput{Ciphertext: sealed.Blob}); err != nil || string(opened.Data.Expose()) != "text" {
			t.Errorf("decrypted %v", err)
		}
		if got, err := w.Describe(ctx, bob, alias); err != nil || got.ID != k.ID {
			t.Errorf("by alias: %+v, %v", got, err)
		}
		if err := w.Tag(ctx, bob, arn, []key.Tag{{Key: "by", Value: "bob"}}); err != nil {
			t.Errorf("tagging: %v", err)
		}
		if _, err := w.Describe(ctx, bob, string(k.ID)); !fault.Is(err, fault.KeyNotFound) {
			t.Errorf("by id: %v", err)
		}
		if err := w.Disable(ctx, bob, arn); !fault.Is(err, fault.KeyNotFound) {
			t.Errorf("managing: %v", err)
		}
		if _, err := w.Describe(ctx, lazy, arn); !fault.Is(err, fault.NoPermission) || !strings.Contains(fault.Message(err), "writes out the account") {
			t.Errorf("without a policy of its own account: %v", err)
		}
		for _, c := range []*authz.Call{carol, boss, user(t, borrower, "dave")} {
			var said [2]string
			for i, name := range []string{arn, missing} {
				_, err := w.Describe(ctx, c, name)
				said[i] = neutral(fmt.Sprint(err, w.lastRecord(t)), name)
			}
			if diff := cmp.Diff(said[0], said[1]); diff != "" || !strings.Contains(said[0], "not found") {
				t.Errorf("%s, by ARN (-there +not there):\n%s", c.Name, diff)
			}
			for i, name := range []string{alias, alias + "x"} {
				_, err := w.Describe(ctx, c, name)
				said[i] = neutral(fmt.Sprint(err, w.lastRecord(t)), name)
			}
			if diff := cmp.Diff(said[0], said[1]); diff != "" {
				t.Errorf("%s, by alias (-there +not there):\n%s", c.Name, diff)
			}
			other := append([]byte(nil), sealed.Blob...)
			other[10] ^= 1 // in the key's id
			for i, blob := range [][]byte{sealed.Blob, other} {
				header, _ := material.ParseHeader(blob)
				_, err := w.Decrypt(ctx, c, cryptography.DecryptInput{Ciphertext: blob})
				said[i] = neutral(fmt.Sprint(err, w.lastRecord(t)), string(key.IDOf(header.Key)))
			}
			if diff := cmp.Diff(said[0], said[1]); diff != "" {
				t.Errorf("%s, by ciphertext (-there +not there):\n%s", c.Name, diff)
			}
		}
		// Withdrawn is withdrawn for the next call.
		if err := w.SetPolicy(ctx, root(owner), arn, "", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Decrypt(ctx, bob, cryptography.DecryptInput{Ciphertext: sealed.Blob}); !fault.Is(err, fault.KeyNotFound) && !fault.Is(err, fault.NoPermission) {
			t.Errorf("after the grant was withdrawn: %v", err)
		}
	})
}

// neutral takes the name out of a text.
func neutral(text, name string) string { return strings.ReplaceAll(text, name, "NAME") }

// lastRecord answers what the newest audit record says, beside who, when and where.
func (w *world) lastRecord(t *testing.T) string {
	t.Helper()
	var last audit.Entry
	err := w.node.DB.Batches(t.Context(), "keyward/test", 0, func(b audit.Batch) error {
		for leaf := range bytes.Lines(b.Leaves) {
			e, err := audit.ParseEntry(bytes.TrimSpace(leaf))
			last = e
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(last.Account, last.Action, last.Resource, last.Version, last.Params, last.Decision, last.Result, last.Effects)
}
