package sink_test

import (
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/sink"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A sink that is changed copies what it chooses then, to the place where it is then; what
// it copied before stays where it was.
func TestUpdate(t *testing.T) {
	w := open(t, storetest.SQLite(t), nil)
	w.put(t, "a", "fake-a")
	w.put(t, "b", "fake-b")
	before := w.add(t, "a")
	w.pass(t, 2*time.Minute)
	change := func(ch sink.Change) (sink.Sink, error) { return w.Update(t.Context(), root(), "ours", ch) }
	after, err := change(sink.Change{Secrets: &[]string{"a", "b"}})
	check(t, err)
	w.pass(t, 2*time.Minute)
	if after.ID != before.ID || w.there("a") != "fake-a" || w.there("b") != "fake-b" {
		t.Errorf("with another choice: %q and %q", w.there("a"), w.there("b"))
	}
	elsewhere := w.draft().Filling
	elsewhere.Settings["path"] = "below"
	after, err = change(sink.Change{Filling: &elsewhere})
	check(t, err)
	w.pass(t, 2*time.Minute)
	if after.ID == before.ID || w.there("below/a") != "fake-a" || w.there("a") != "fake-a" || w.status(t, "a").Status != sink.Synced {
		t.Errorf("at another place: %q, %+v", w.there("below/a"), w.status(t, "a"))
	}
	role := form.Filling{Settings: elsewhere.Settings, Credential: map[string]material.Bytes{"role_id": data("fake-role"), "secret_id": data("fake-secret-id")}}
	again, err := change(sink.Change{Filling: &role})
	check(t, err)
	w.put(t, "a", "fake-new")
	w.pass(t, 2*time.Minute)
	if again.ID != after.ID || w.there("below/a") != "fake-new" {
		t.Errorf("with another credential: %q", w.there("below/a"))
	}
}

// A refused change changes nothing.
func TestRefusedUpdates(t *testing.T) {
	w := open(t, storetest.SQLite(t), nil)
	before := w.add(t, "a")
	for name, c := range map[string]struct {
		change sink.Change
		kind   fault.Kind
	}{
		"nothing chosen":       {sink.Change{Secrets: &[]string{}}, fault.MissingParameter},
		"no credential":        {sink.Change{Filling: &form.Filling{Settings: map[string]string{"address": "https://vault.example.com"}}}, fault.InvalidParameter},
		"a refused credential": {sink.Change{Filling: &form.Filling{Settings: map[string]string{"address": w.url}, Credential: map[string]material.Bytes{"token": data("fake-wrong")}}}, fault.NoPermission},
		"no certificate":       {sink.Change{Filling: &form.Filling{Settings: map[string]string{"address": w.url, "ca": "x"}, Credential: map[string]material.Bytes{"token": data("fake-token")}}}, fault.InvalidParameter},
	} {
		if _, err := w.Update(t.Context(), root(), "ours", c.change); fault.KindOf(err) != c.kind {
			t.Errorf("%s: have %v, want %s", name, err, c.kind)
		}
	}
	policy, err := authz.Compile("test", []byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"keyward:*","Resource":"*"}]}`))
	check(t, err)
	operator := &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Name: "ada", Policies: []*authz.Policy{policy}}, Time: time.Now()}
	moved := w.draft().Filling
	if _, err := w.Update(t.Context(), operator, "ours", sink.Change{Filling: &moved}); fault.KindOf(err) != fault.NoPermission {
		t.Errorf("who may not read the secrets has them copied elsewhere: %v", err)
	}
	_, err = w.Update(t.Context(), root(), "none", sink.Change{})
	want(t, err, fault.ResourceNotFound)
	if all, err := w.List(t.Context(), root()); err != nil || len(all) != 1 || all[0].Rev != before.Rev {
		t.Errorf("the sink became %+v, %v", all, err)
	}
}
