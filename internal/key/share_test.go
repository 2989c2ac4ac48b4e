package key_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/storetest"
)

const third = "3333333333333333"

func (w *world) use(t testing.TB, c *authz.Call, name string) error {
	_, err := w.Encrypt(t.Context(), c, cryptography.EncryptInput{Key: name, Plaintext: material.NewBytes([]byte("x"))})
	return err
}

func (w *world) seen(t testing.TB, c *authz.Call, instances ...string) (out []key.ID) {
	found, _, err := w.List(t.Context(), c, key.Filter{Instances: instances}, key.Page{Number: 1, Size: 10})
	if err != nil {
		t.Error(err)
	}
	for _, k := range found {
		out = append(out, k.ID)
	}
	return out
}

// What the owner of a shared instance makes is the owner's alone; what a borrower makes in it
// both may use and manage, each by identity policies of its own.
func TestSharedInstances(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, ctx := open(t, url), t.Context()
		lender, guest := root(owner), root(borrower)
		i := must(w.Instances.Create(ctx, lender, "ours", instance.External, connection("https://bank", "right")))(t)
		owned := must(w.Create(ctx, lender, lifecycle.CreateInput{Instance: "ours", External: "a"}))(t)
		in := lifecycle.CreateInput{Instance: i.ID, External: "a"}
		want(t, second(w.Create(ctx, guest, in)), fault.ResourceNotFound)
		must(w.Instances.Share(ctx, lender, "ours", borrower))(t)
		want(t, second(w.Create(ctx, root(third), in)), fault.ResourceNotFound)
		want(t, second(w.Create(ctx, guest, lifecycle.CreateInput{Instance: "ours", External: "a"})), fault.ResourceNotFound)
		lent := must(w.Create(ctx, guest, in))(t)

		now := must(w.Instances.Show(ctx, guest, i.ID))(t)
		if now.Keys != 1 || now.Settings != nil || now.Sealed != nil || now.Shares != nil || now.Account != owner || now.Quota != 0 {
			t.Errorf("the borrower is told %+v", now)
		}
		if all := must(w.Instances.List(ctx, guest))(t); len(all) != 1 || all[0].ID != i.ID || all[0].Settings != nil {
			t.Errorf("the borrower has %+v", all)
		}
		if now := must(w.Instances.Show(ctx, lender, "ours"))(t); now.Keys != 2 || now.Guests != 1 || now.Quota != 3 {
			t.Errorf("the owner is told %+v", now)
		}
		for name, err := range map[string]error{
			"connect": second(w.Instances.Connect(ctx, guest, i.ID, connection("https://evil", "right"))), "delete": w.Instances.Delete(ctx, guest, i.ID),
			"share": second(w.Instances.Share(ctx, guest, i.ID, third)), "unshare": second(w.Instances.Unshare(ctx, guest, i.ID, borrower)),
		} {
			if !fault.Is(err, fault.ResourceNotFound) {
				t.Errorf("the borrower may %s: %v", name, err)
			}
		}
		sorted := cmpopts.SortSlices(func(a, b key.ID) bool { return a < b })
		if diff := cmp.Diff(map[string][]key.ID{"owner": {owned.ID, lent.ID}, "owner's own": {owned.ID}, "borrower": {lent.ID}, "third": nil}, map[string][]key.ID{
			"owner": w.seen(t, lender, "ours"), "owner's own": w.seen(t, lender), "borrower": w.seen(t, guest, i.ID), "third": w.seen(t, root(third), i.ID),
		}, sorted); diff != "" {
			t.Error(diff)
		}

		arn := w.Keys.ARN(lent)
		named := user(t, owner, "ann", allowing("kms:*", arn))
		starred := user(t, owner, "bob", allowing("kms:*", "*"))
		stranger := user(t, third, "eve", allowing("kms:*", arn), allowing("kms:*", w.Keys.ARN(owned)))
		curious := user(t, borrower, "tom", allowing("kms:*", "*"), allowing("kms:*", w.Keys.ARN(owned)))
		want(t, w.use(t, named, arn), "")
		want(t, w.Disable(ctx, named, arn), "")
		want(t, w.Enable(ctx, guest, string(lent.ID)), "")
		want(t, w.use(t, starred, arn), fault.NoPermission) // it must write the account out
		want(t, w.use(t, stranger, arn), fault.KeyNotFound)
		want(t, w.use(t, curious, w.Keys.ARN(owned)), fault.KeyNotFound)
		want(t, w.use(t, curious, string(lent.ID)), "")
		if p := must(w.GetPolicy(ctx, guest, string(lent.ID), ""))(t); !strings.Contains(p, owner) || !strings.Contains(p, borrower) {
			t.Errorf("the default policy is %s", p)
		}
		// A policy of the borrower's decides alone whom it lets in.
		want(t, w.SetPolicy(ctx, guest, string(lent.ID), "", keyPolicy(t, "Allow "+borrower+":* kms:*")), "")
		want(t, w.use(t, named, arn), fault.KeyNotFound)
		want(t, w.SetPolicy(ctx, guest, string(lent.ID), "", keyPolicy(t, "Allow "+owner+":* kms:*")), "")
		want(t, w.use(t, named, arn), "")
		want(t, w.SetPolicy(ctx, guest, string(lent.ID), "", keyPolicy(t, "Allow "+third+":* kms:*")), fault.InvalidParameter)
		want(t, w.SetPolicy(ctx, lender, string(owned.ID), "", keyPolicy(t, "Allow "+borrower+":* kms:*")), fault.InvalidParameter)
		want(t, w.SetPolicy(ctx, guest, string(lent.ID), "", ""), "")

		must(w.Instances.Unshare(ctx, lender, "ours", borrower))(t)
		want(t, second(w.Create(ctx, guest, in)), fault.ResourceNotFound)
		want(t, second(w.Instances.Show(ctx, guest, i.ID)), fault.ResourceNotFound)
		want(t, second(w.Instances.Unshare(ctx, lender, "ours", borrower)), fault.ResourceNotFound)
		want(t, w.use(t, named, arn), "")
		want(t, w.use(t, guest, string(lent.ID)), "")
		want(t, w.Instances.Delete(ctx, lender, "ours"), fault.ResourceInUse)
	})
}

// Other accounts that are let in, to an instance or by policies of its keys, count against its
// quota, each once, and go on counting for five minutes when they are let in no more.
func TestAccessQuota(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	ctx, c := t.Context(), root(owner)
	must(w.Instances.Create(ctx, c, "ours", instance.Software, form.Filling{}))(t)
	first := must(w.Create(ctx, c, lifecycle.CreateInput{Instance: "ours"}))(t)
	other := must(w.Create(ctx, c, lifecycle.CreateInput{Instance: "ours"}))(t)
	outside := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	letting := func(accounts ...string) string {
		var statements []string
		for _, a := range accounts {
			statements = append(statements, "Allow "+a+":user/a kms:Encrypt")
		}
		return keyPolicy(t, append(statements, "Deny 9999999999999999:user/a kms:Encrypt")...)
	}
	set := func(k key.Key, accounts ...string) error {
		return w.SetPolicy(ctx, c, string(k.ID), "", letting(accounts...))
	}
	guests := func() int { return must(w.Instances.Show(ctx, c, "ours"))(t).Guests }
	const fourth, fifth = "4444444444444444", "5555555555555555"
	must(w.Instances.Share(ctx, c, "ours", borrower))(t)
	want(t, set(first, borrower, third, owner), "")
	want(t, set(other, third, fourth), "")
	if guests() != 3 {
		t.Errorf("%d accounts are let in", guests())
	}
	want(t, set(other, third, fifth), fault.ShareQuotaExceeded)
	want(t, second(w.Create(ctx, c, lifecycle.CreateInput{Instance: "ours", Policy: letting(fifth)})), fault.ShareQuotaExceeded)
	want(t, second(w.Instances.Share(ctx, c, "ours", fifth)), fault.ShareQuotaExceeded)
	want(t, set(outside, "6666666666666666", "7777777777777777", "8888888888888888", fifth), "")
	if p := must(w.GetPolicy(ctx, c, string(other.ID), ""))(t); strings.Contains(p, fifth) || !strings.Contains(p, fourth) {
		t.Errorf("what was refused is stored: %s", p)
	}
	want(t, set(other, third), "")
	w.pass(t, 5*time.Minute-time.Second)
	want(t, set(other, third, fifth), fault.ShareQuotaExceeded)
	want(t, set(other, fourth), "") // it still counts, and so may come back
	want(t, set(other, third), "")
	w.pass(t, 5*time.Minute)
	want(t, set(other, third, fifth), "")

	must(w.Instances.Unshare(ctx, c, "ours", borrower))(t)
	want(t, set(first, third), "")
	want(t, second(w.Instances.Share(ctx, c, "ours", fourth)), fault.ShareQuotaExceeded)
	w.pass(t, 5*time.Minute)
	must(w.Instances.Share(ctx, c, "ours", fourth))(t)
	want(t, second(w.Instances.Share(ctx, c, "ours", owner)), fault.InvalidParameter)
	want(t, second(w.Instances.Share(ctx, c, "ours", "acme")), fault.InvalidParameter)
	for _, k := range []key.Key{first, other} {
		want(t, w.ScheduleDeletion(ctx, c, string(k.ID), 7), "")
	}
	w.pass(t, 8*24*time.Hour)
	if guests() != 1 {
		t.Errorf("when the keys are gone %d accounts are let in", guests())
	}
}

// A key that a service made for itself nobody can delete, and it does not count as a default key.
func TestServiceKeysAndDefaultKeys(t *testing.T) {
	w := openWith(t, storetest.SQLite(t), 2)
	ctx, c := t.Context(), root(owner)
	service := must(w.Create(ctx, c, lifecycle.CreateInput{Service: "keyward-secrets"}))(t)
	mine := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	must(w.Instances.Create(ctx, c, "ours", instance.Software, form.Filling{}))(t)
	must(w.Create(ctx, c, lifecycle.CreateInput{Instance: "ours"}))(t)
	must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
	want(t, second(w.Create(ctx, c, lifecycle.CreateInput{})), fault.LimitExceeded)
	must(w.Create(ctx, c, lifecycle.CreateInput{Instance: "ours"}))(t)
	must(w.Create(ctx, root(third), lifecycle.CreateInput{}))(t)
	want(t, w.ScheduleDeletion(ctx, c, string(service.ID), 7), fault.UnsupportedOperation)
	want(t, w.UpdateRotationPolicy(ctx, c, string(service.ID), true, 30*24*time.Hour), fault.UnsupportedOperation)
	want(t, w.UpdateRotationPolicy(ctx, c, string(mine.ID), true, 30*24*time.Hour), "")
	want(t, w.Disable(ctx, c, string(service.ID)), "")
	want(t, w.ScheduleDeletion(ctx, c, string(mine.ID), 7), "")
	for kind, number := range map[string]int{"Service": 1, "User": 4, "user": 0} {
		_, n, err := w.List(ctx, c, key.Filter{CreatorTypes: []string{kind}}, key.Page{Number: 1, Size: 1})
		if n != number || err != nil {
			t.Errorf("%d keys of type %s: %v", n, kind, err)
		}
	}
}
