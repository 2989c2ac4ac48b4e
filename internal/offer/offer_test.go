package offer_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/offer/offertest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// may answers a call of a user with a policy of these actions.
func may(t testing.TB, w *offertest.World, name string, actions ...string) *authz.Call {
	t.Helper()
	document := `{"Version":"1","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"*"}]}`
	if _, err := w.IAM.CreateUser(t.Context(), w.Root(), name, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.IAM.CreatePolicy(t.Context(), w.Root(), iam.NewPolicy{Name: name, Document: document}); err != nil {
		t.Fatal(err)
	}
	if err := w.IAM.AttachPolicy(t.Context(), w.Root(), name, name); err != nil {
		t.Fatal(err)
	}
	p, err := w.IAM.Acting(t.Context(), w.Account, name)
	if err != nil {
		t.Fatal(err)
	}
	return &authz.Call{Principal: p, Time: w.Now()}
}

// An offer is stored and answered as it was made, on every database, and its secrets are not
// in the row.
func TestOffers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := offertest.Start(t, url)
		ctx := t.Context()
		k := w.NewKey(t, "b", offer.Both)
		_, err := w.Publish(ctx, w.Root(), offertest.Name, offer.Key{ID: "a", Key: k.ID, Use: offer.EncryptOnly})
		check(t, err)
		have, err := w.Publish(ctx, w.Root(), offertest.Name, offer.Key{ID: "b", Key: k.ID, Use: offer.Nothing})
		check(t, err)
		if diff := cmp.Diff([]offer.Key{{"a", k.ID, offer.EncryptOnly}, {"b", k.ID, offer.Nothing}}, have.Keys); diff != "" {
			t.Error(diff)
		}
		shown, err := w.Show(ctx, w.Root(), offertest.Name)
		check(t, err)
		all, err := w.List(ctx, w.Root())
		check(t, err)
		if diff := cmp.Diff([]offer.Offer{shown}, all); diff != "" || shown.User != offertest.User || strings.Contains(string(shown.Sealed), string(w.Credential.Secret.Expose())) {
			t.Errorf("%s: %+v", diff, shown)
		}
		check(t, w.Inspect(ctx, shown))
		shown.User = "admin"
		if w.Inspect(ctx, shown) == nil {
			t.Error("the secrets of an offer open for another user")
		}
		_, err = w.Withdraw(ctx, w.Root(), offertest.Name, "b")
		check(t, err)
		check(t, w.Remove(ctx, w.Root(), offertest.Name))
		_, _, err = w.Create(ctx, w.Root(), offertest.Name, offertest.User)
		check(t, err)
	})
}

// What cannot be is refused, and nothing is stored of it.
func TestWhatIsNoOffer(t *testing.T) {
	w := offertest.Start(t, storetest.SQLite(t))
	ctx, root := t.Context(), w.Root()
	k := w.NewKey(t, "taken", offer.Both)
	other := w.NewKey(t, "other", offer.Both)
	rsa, err := w.Keys.Create(ctx, root, lifecycle.CreateInput{Spec: material.RSA2048})
	check(t, err)
	before, err := w.Show(ctx, root, offertest.Name)
	check(t, err)
	create := func(name, user string) error { _, _, err := w.Create(ctx, root, name, user); return err }
	publish := func(id string, of key.ID, use offer.Use) error {
		_, err := w.Publish(ctx, root, offertest.Name, offer.Key{ID: id, Key: of, Use: use})
		return err
	}
	second := func() error { _, _, err := w.AddCredential(ctx, root, offertest.Name); return err }
	withdraw := func(id string) error { _, err := w.Withdraw(ctx, root, offertest.Name, id); return err }
	for name, test := range map[string]struct {
		err  error
		kind fault.Kind
	}{
		"a name":             {create("A/b", offertest.User), fault.InvalidParameter},
		"there already":      {create(offertest.Name, offertest.User), fault.ResourceExists},
		"no user":            {create("other", "nobody"), fault.ResourceNotFound},
		"an id":              {publish("a/b", k.ID, offer.Both), fault.InvalidParameter},
		"dots":               {publish("..", k.ID, offer.Both), fault.InvalidParameter},
		"a use":              {publish("x", k.ID, "sign"), fault.InvalidParameter},
		"no key":             {publish("x", "key-none", offer.Both), fault.KeyNotFound},
		"another spec":       {publish("x", rsa.ID, offer.Both), fault.UnsupportedOperation},
		"another key's id":   {publish("taken", other.ID, offer.Both), fault.ResourceExists},
		"not published":      {withdraw("x"), fault.ResourceNotFound},
		"no offer":           {w.Remove(ctx, root, "none"), fault.ResourceNotFound},
		"no such credential": {func() error { _, err := w.RemoveCredential(ctx, root, offertest.Name, "x"); return err }(), fault.ResourceNotFound},
	} {
		if !fault.Is(test.err, test.kind) {
			t.Errorf("%s: have %v, want %s", name, test.err, test.kind)
		}
	}
	after, err := w.Show(ctx, root, offertest.Name)
	check(t, err)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	check(t, second())
	if err := second(); !fault.Is(err, fault.LimitExceeded) {
		t.Errorf("a third credential: %v", err)
	}
}

// Nobody gets by an offer what their own policies do not give: to act as a user takes what an
// access key of that user takes, and to publish a key takes the right to see it.
func TestOffersGiveNoPower(t *testing.T) {
	w := offertest.Start(t, storetest.SQLite(t))
	ctx := t.Context()
	k := w.NewKey(t, "foo", offer.Both)
	manager := may(t, w, "manager", "keyward:*")
	maker := may(t, w, "maker", "keyward:*", "ram:CreateAccessKey")
	granter := may(t, w, "granter", "keyward:*", "ram:CreateAccessKey", "ram:AttachPolicyToUser")
	for name, c := range map[string]*authz.Call{"manager": manager, "maker": maker} {
		if _, _, err := w.Create(ctx, c, name, "admin"); !fault.Is(err, fault.NoPermission) {
			t.Errorf("%s makes an offer as admin: %v", name, err)
		}
		if _, _, err := w.AddCredential(ctx, c, offertest.Name); !fault.Is(err, fault.NoPermission) {
			t.Errorf("%s makes a credential: %v", name, err)
		}
	}
	if _, _, err := w.Create(ctx, granter, "r", "root"); !fault.Is(err, fault.NoPermission) {
		t.Errorf("an offer as root: %v", err)
	}
	_, _, err := w.Create(ctx, granter, "good", offertest.User)
	check(t, err)
	_, _, err = w.Create(ctx, maker, "own", "maker")
	check(t, err)
	if _, err := w.Publish(ctx, manager, "own", offer.Key{ID: "foo", Key: k.ID, Use: offer.Both}); !fault.Is(err, fault.NoPermission) {
		t.Errorf("a key is published that cannot be seen: %v", err)
	}
	nobody := may(t, w, "nobody", "kms:DescribeKey")
	_, errList := w.List(ctx, nobody)
	_, errShow := w.Show(ctx, nobody, offertest.Name)
	_, errPublish := w.Publish(ctx, nobody, offertest.Name, offer.Key{ID: "x", Key: k.ID, Use: offer.Both})
	_, errWithdraw := w.Withdraw(ctx, nobody, offertest.Name, "foo")
	_, errCredential := w.RemoveCredential(ctx, nobody, offertest.Name, w.Credential.ID)
	for name, err := range map[string]error{"list": errList, "show": errShow, "publish": errPublish, "withdraw": errWithdraw, "credential": errCredential, "remove": w.Remove(ctx, nobody, offertest.Name)} {
		if !fault.Is(err, fault.NoPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Offers of another account do not exist.
func TestOffersOfOthers(t *testing.T) {
	w := offertest.Start(t, storetest.SQLite(t))
	w.NewKey(t, "foo", offer.Both)
	founded, err := w.IAM.CreateAccount(t.Context(), &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: w.Now()}, "other")
	check(t, err)
	stranger := &authz.Call{Principal: authz.Principal{Account: founded.Account.ID, Kind: authz.Root, Name: "root"}, Time: w.Now()}
	if _, err := w.Show(t.Context(), stranger, offertest.Name); !fault.Is(err, fault.ResourceNotFound) {
		t.Errorf("shown: %v", err)
	}
	if err := w.Remove(t.Context(), stranger, offertest.Name); !fault.Is(err, fault.ResourceNotFound) {
		t.Errorf("removed: %v", err)
	}
	known, err := w.Recognize(t.Context(), founded.Account.ID, offertest.Name, w.Credential.ID)
	if err != nil || known.Secret.Len() != 0 {
		t.Errorf("a credential is recognised elsewhere: %v", err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
