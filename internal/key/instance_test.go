package key_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
)

// atManager is a manager that accepts the connections whose secret is "right".
func atManager(k key.Keystore) (key.Keystore, instance.Manager) {
	return k, instance.Manager{
		Form: form.Form{Settings: []form.Field{{Name: "endpoint", Required: true}}, Credential: []form.Field{{Name: "secret", Required: true}}},
		Check: func(_ context.Context, _ string, f form.Filling) error {
			if string(f.Credential["secret"].Expose()) != "right" {
				return fault.KeyUnavailable.New("the manager refuses")
			}
			return nil
		},
	}
}

func connection(endpoint, secret string) form.Filling {
	return form.Filling{Settings: map[string]string{"endpoint": endpoint}, Credential: map[string]material.Bytes{"secret": material.NewBytes([]byte(secret))}}
}

// Keys are put into instances, whose class decides where they live, and an instance goes only
// when its keys are gone.
func TestInstances(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, ctx, c := open(t, url), t.Context(), root(account)
		soft := must(w.Instances.Create(ctx, c, "soft", instance.Software, form.Filling{}))(t)
		bank := must(w.Instances.Create(ctx, c, "bank", instance.External, connection("https://bank", "right")))(t)
		listed := must(w.Instances.List(ctx, c))(t)
		if diff := cmp.Diff([]instance.Instance{bank, soft}, listed, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		outside := must(w.Create(ctx, c, lifecycle.CreateInput{}))(t)
		inside := must(w.Create(ctx, c, lifecycle.CreateInput{Instance: "soft", ProtectionLevel: key.LevelHSM}))(t)
		shared := must(w.Create(ctx, c, lifecycle.CreateInput{Instance: bank.ID, External: "master"}))(t)
		again := must(w.Create(ctx, c, lifecycle.CreateInput{Instance: "bank", External: "master", Origin: key.OriginManager}))(t)
		if outside.Instance != "" || inside.Instance != soft.ID || inside.ProtectionLevel != key.LevelSoftware || shared.External != "master" || shared.Origin != key.OriginManager {
			t.Errorf("%+v, %+v, %+v", outside, inside, shared)
		}
		for _, test := range []struct {
			instances []string
			want      []key.ID
		}{{[]string{"soft"}, []key.ID{inside.ID}}, {[]string{bank.ID}, []key.ID{shared.ID, again.ID}}, {[]string{"none"}, nil}} {
			found, _, err := w.List(ctx, c, key.Filter{Instances: test.instances}, key.Page{Number: 1, Size: 10})
			var got []key.ID
			for _, k := range found {
				got = append(got, k.ID)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.SortSlices(func(a, b key.ID) bool { return a < b })); diff != "" || err != nil {
				t.Errorf("%v: %v %s", test.instances, err, diff)
			}
		}
		if now := must(w.Instances.Show(ctx, c, "bank"))(t); now.Keys != 2 || now.Trouble != "" {
			t.Errorf("%+v", now)
		}
		want(t, w.Instances.Delete(ctx, c, "soft"), fault.ResourceInUse)
		if err := w.ScheduleDeletion(ctx, c, string(inside.ID), 7); err != nil {
			t.Fatal(err)
		}
		want(t, w.Instances.Delete(ctx, c, "soft"), fault.ResourceInUse) // it may come back
		w.pass(t, 8*24*3600e9)
		if err := w.Instances.Delete(ctx, c, "soft"); err != nil {
			t.Fatal(err)
		}
		want(t, second(w.Create(ctx, c, lifecycle.CreateInput{Instance: soft.ID})), fault.ResourceNotFound)
		_, err := w.CreateVersion(ctx, c, string(shared.ID))
		want(t, err, fault.UnsupportedOperation)
		want(t, w.UpdateRotationPolicy(ctx, c, string(shared.ID), true, 7*24*3600e9), fault.UnsupportedOperation)
	})
}

func second[T any](_ T, err error) error { return err }

// What is no instance, and no key of one, is refused, and nothing is stored of it.
func TestWhatIsNoInstance(t *testing.T) {
	w, c := open(t, storetest.SQLite(t)), root(account)
	ctx := t.Context()
	bank := must(w.Instances.Create(ctx, c, "bank", instance.External, connection("https://bank", "right")))(t)
	must(w.Instances.Create(ctx, c, "soft", instance.Software, form.Filling{}))(t)
	make := func(name string, class instance.Class, f form.Filling) error {
		return second(w.Instances.Create(ctx, c, name, class, f))
	}
	put := func(in lifecycle.CreateInput) error { return second(w.Create(ctx, c, in)) }
	in := func(change func(*lifecycle.CreateInput)) error {
		input := lifecycle.CreateInput{Instance: "bank", External: "a"}
		change(&input)
		return put(input)
	}
	other := root("1000000000000002")
	for name, test := range map[string]struct {
		err  error
		kind fault.Kind
	}{
		"a name":               {make("A b", instance.Software, form.Filling{}), fault.InvalidParameter},
		"an id as name":        {make("kst-a", instance.Software, form.Filling{}), fault.InvalidParameter},
		"a name twice":         {make("bank", instance.Software, form.Filling{}), fault.ResourceExists},
		"a class":              {make("x", "paper", form.Filling{}), fault.InvalidParameter},
		"no token":             {make("x", instance.Hardware, form.Filling{}), fault.UnsupportedOperation},
		"a connection":         {make("x", instance.Software, connection("e", "right")), fault.InvalidParameter},
		"no connection":        {make("x", instance.External, form.Filling{}), fault.MissingParameter},
		"a dead connection":    {make("x", instance.External, connection("e", "wrong")), fault.KeyUnavailable},
		"to a dead one":        {second(w.Instances.Connect(ctx, c, "bank", connection("e", "wrong"))), fault.KeyUnavailable},
		"software connected":   {second(w.Instances.Connect(ctx, c, "soft", connection("e", "right"))), fault.UnsupportedOperation},
		"none":                 {w.Instances.Delete(ctx, c, "none"), fault.ResourceNotFound},
		"another account's":    {w.Instances.Delete(ctx, other, bank.ID), fault.ResourceNotFound},
		"shown to another":     {second(w.Instances.Show(ctx, other, bank.ID)), fault.ResourceNotFound},
		"a key in another's":   {second(w.Create(ctx, other, lifecycle.CreateInput{Instance: bank.ID, External: "a"})), fault.ResourceNotFound},
		"no external id":       {in(func(i *lifecycle.CreateInput) { i.External = "" }), fault.MissingParameter},
		"an external id":       {in(func(i *lifecycle.CreateInput) { i.External = "a/b" }), fault.InvalidParameter},
		"dots":                 {in(func(i *lifecycle.CreateInput) { i.External = ".." }), fault.InvalidParameter},
		"another spec":         {in(func(i *lifecycle.CreateInput) { i.Spec = material.RSA2048 }), fault.UnsupportedOperation},
		"import":               {in(func(i *lifecycle.CreateInput) { i.Origin = key.OriginExternal }), fault.InvalidParameter},
		"rotation":             {in(func(i *lifecycle.CreateInput) { i.Rotate, i.Interval = true, 30*24*3600e9 }), fault.UnsupportedOperation},
		"an id in software":    {put(lifecycle.CreateInput{Instance: "soft", External: "a"}), fault.InvalidParameter},
		"an id in none":        {put(lifecycle.CreateInput{External: "a"}), fault.InvalidParameter},
		"a manager in none":    {put(lifecycle.CreateInput{Origin: key.OriginManager}), fault.InvalidParameter},
		"a protection level":   {put(lifecycle.CreateInput{Instance: "soft", ProtectionLevel: "PAPER"}), fault.InvalidParameter},
		"an instance's filter": {second(listed(w, key.Filter{Instances: []string{"\xff"}})), fault.InvalidParameter},
	} {
		if !fault.Is(test.err, test.kind) {
			t.Errorf("%s: have %v, want %s", name, test.err, test.kind)
		}
	}
	after := must(kms.Store{Store: w.node.Store}.Instances(ctx, account))(t)
	if len(after) != 2 || !cmp.Equal(after[0], bank) {
		t.Errorf("%+v", after)
	}
	if n := must(kms.Store{Store: w.node.Store}.KeysIn(ctx, bank.ID, ""))(t); n != 0 {
		t.Errorf("%d keys", n)
	}
	for i := len(after); i < instance.MaxInstances; i++ {
		if err := make(fmt.Sprintf("n-%d", i), instance.Software, form.Filling{}); err != nil {
			t.Fatal(err)
		}
	}
	want(t, make("one-more", instance.Software, form.Filling{}), fault.LimitExceeded)
}

func listed(w *world, f key.Filter) (int, error) {
	_, n, err := w.List(context.Background(), root(account), f, key.Page{Number: 1, Size: 1})
	return n, err
}

// A connection is bound to its instance and its settings: who can change rows cannot have the
// credential sent elsewhere. It can be replaced as a whole.
func TestConnections(t *testing.T) {
	w, c := open(t, storetest.SQLite(t)), root(account)
	ctx := t.Context()
	bank := must(w.Instances.Create(ctx, c, "bank", instance.External, connection("https://bank", "right")))(t)
	next := must(w.Instances.Connect(ctx, c, "bank", connection("https://new", "right")))(t)
	if err := w.Instances.Inspect(ctx, next); err != nil || strings.Contains(string(next.Sealed), "right") {
		t.Errorf("%v, %+v", err, next)
	}
	for name, change := range map[string]func(*instance.Instance){
		"elsewhere":    func(i *instance.Instance) { i.Settings = bank.Settings },
		"another's":    func(i *instance.Instance) { i.ID = "kst-other" },
		"old":          func(i *instance.Instance) { i.Sealed = bank.Sealed },
		"another user": func(i *instance.Instance) { i.Account = "1000000000000002" },
	} {
		changed := next
		change(&changed)
		if w.Instances.Inspect(ctx, changed) == nil {
			t.Errorf("%s: it opens", name)
		}
	}
}

// Who may not manage instances may not, and learns nothing of them.
func TestInstancesAskPolicies(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	ctx := t.Context()
	must(w.Instances.Create(ctx, root(account), "bank", instance.Software, form.Filling{}))(t)
	c := &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Name: "nobody"}, Time: w.clock()}
	_, errList := w.Instances.List(ctx, c)
	for name, err := range map[string]error{
		"create": second(w.Instances.Create(ctx, c, "x", instance.Software, form.Filling{})), "list": errList,
		"show": second(w.Instances.Show(ctx, c, "bank")), "show none": second(w.Instances.Show(ctx, c, "none")),
		"connect": second(w.Instances.Connect(ctx, c, "bank", form.Filling{})), "delete": w.Instances.Delete(ctx, c, "bank"),
	} {
		if !fault.Is(err, fault.NoPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However making keys and deleting their instance meet: no key is in an instance that is gone.
func TestInstanceGoesWithoutKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, ctx, c := open(t, url), t.Context(), root(account)
		for round := range 8 {
			i := must(w.Instances.Create(ctx, c, fmt.Sprintf("i-%d", round), instance.Software, form.Filling{}))(t)
			var both sync.WaitGroup
			for range 3 {
				both.Go(func() {
					if _, err := w.Create(ctx, c, lifecycle.CreateInput{Instance: i.ID}); err != nil {
						want(t, err, fault.ResourceNotFound)
					}
				})
			}
			var deleted error
			both.Go(func() { deleted = w.Instances.Delete(ctx, c, i.ID) })
			both.Wait()
			keys := must(kms.Store{Store: w.node.Store}.KeysIn(ctx, i.ID, ""))(t)
			if deleted == nil && keys > 0 || deleted != nil && !fault.Is(deleted, fault.ResourceInUse) {
				t.Fatalf("deleting answers %v, and there are %d keys", deleted, keys)
			}
		}
	})
}
