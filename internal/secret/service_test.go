package secret_test

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/tag"
)

func lines(b []byte) iter.Seq[[]byte] { return bytes.Lines(b) }

func TestPutGet(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		first := w.create(t, "pay/api_key", "fake-1")
		if first.Key == "" || first.At(secret.Current) == "" {
			t.Errorf("created %+v", first)
		}
		w.put(t, "pay/api_key", "v2", "fake-2")
		got := must(w.Get(t.Context(), root(account), secret.GetInput{Secret: "acs:kms:cn-test:" + account + ":secret/pay/api_key"}))(t)
		if string(got.Data.Expose()) != "fake-2" || got.Version.ID != "v2" || got.Version.Number != 2 || got.Secret.Versions != 2 {
			t.Errorf("answered %+v", got)
		}
		if diff := cmp.Diff([]secret.Stage{secret.Current}, got.Stages); diff != "" {
			t.Error(diff)
		}
		if have := w.get(t, "pay/api_key", secret.Previous); have != "fake-1" {
			t.Errorf("the previous value is %q", have)
		}
		got = must(w.Get(t.Context(), root(account), secret.GetInput{Secret: "pay/api_key", Version: first.At(secret.Current)}))(t)
		if string(got.Data.Expose()) != "fake-1" {
			t.Errorf("the first version is %q", got.Data.Expose())
		}
		_, err := w.Get(t.Context(), root(account), secret.GetInput{Secret: "pay/api_key", Version: "v2", Stage: secret.Previous})
		want(t, err, fault.ResourceNotFound)
		_, err = w.Get(t.Context(), root(account), secret.GetInput{Secret: "pay/api_key", Version: "v3"})
		want(t, err, fault.ResourceNotFound)
		_, err = w.Get(t.Context(), root(other), secret.GetInput{Secret: "pay/api_key"})
		want(t, err, fault.ResourceNotFound)
		_, err = w.Get(t.Context(), root(other), secret.GetInput{Secret: "acs:kms:cn-test:" + account + ":secret/pay/api_key"})
		want(t, err, fault.InvalidParameter)
		_, err = w.Create(t.Context(), root(account), secret.CreateInput{Name: "pay/api_key", Data: data("x")})
		want(t, err, fault.ResourceExists)

		_, versions, total, err := w.ListVersions(t.Context(), root(account), "pay/api_key", key.Page{Number: 1, Size: 1})
		check(t, err)
		if total != 2 || len(versions) != 1 || versions[0].ID != "v2" {
			t.Errorf("%d versions, the newest %+v", total, versions)
		}
	})
}

// A dry run tells whether the value could be read, and is no use of its key.
func TestDryRunIsNoUse(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	sec := w.create(t, "s", "value")
	before := len(w.uses)
	in := secret.GetInput{Secret: "s", DryRun: true}
	v, err := w.Get(t.Context(), root(account), in)
	want(t, err, fault.DryRun)
	if used := w.uses[before:]; len(used) > 0 || len(v.Data.Expose()) > 0 {
		t.Errorf("it used its key: %v, and answered %q", used, v.Data.Expose())
	}
	check(t, w.keys.Disable(t.Context(), root(account), string(sec.Key)))
	_, err = w.Get(t.Context(), root(account), in)
	want(t, err, fault.KeyDisabled)
}

// A put with a version id of the caller's may be repeated, also by a caller who may not read.
func TestPutIsIdempotent(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	w.create(t, "a", "fake-1")
	writer := user(t, `{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:PutSecretValue","kms:GenerateDataKey"],"Resource":"*"}]}`)
	for range 3 {
		v, stages, err := w.Put(t.Context(), writer, secret.PutInput{Secret: "a", Version: "v2", Data: data("fake-2")})
		check(t, err)
		if v.Number != 2 || len(stages) != 1 {
			t.Errorf("version %d at %v", v.Number, stages)
		}
	}
	_, _, err := w.Put(t.Context(), writer, secret.PutInput{Secret: "a", Version: "v2", Data: data("fake-3")})
	want(t, err, fault.ResourceExists)
	_, _, err = w.Put(t.Context(), writer, secret.PutInput{Secret: "a", Version: "v2", Kind: secret.Binary, Data: data("fake-2")})
	want(t, err, fault.ResourceExists)
	if have := w.get(t, "a", secret.Current); have != "fake-2" {
		t.Errorf("the value is %q", have)
	}
}

func TestStages(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c := root(account)
	w.create(t, "a", "one")
	w.put(t, "a", "v2", "two", secret.Pending)
	standing := func() string {
		return w.get(t, "a", secret.Current) + " " + w.get(t, "a", secret.Previous) + " " + w.get(t, "a", secret.Pending)
	}
	step := func(doing, wanted string, err error) {
		t.Helper()
		if err != nil || standing() != wanted {
			t.Errorf("after %s: %s, want %s, %v", doing, standing(), wanted, err)
		}
	}
	step("a pending put", "one - two", nil)
	_, err := w.MoveStage(t.Context(), c, secret.MoveInput{Secret: "a", Stage: secret.Current, From: "v2", To: "v2"})
	want(t, err, fault.Changed)
	_, err = w.MoveStage(t.Context(), c, secret.MoveInput{Secret: "a", Stage: secret.Current, To: "v2"})
	step("making it current", "two one -", err)
	_, err = w.Rollback(t.Context(), c, "a", "")
	step("a rollback", "one two -", err)
	_, err = w.Rollback(t.Context(), c, "a", "")
	step("the rollback of it", "two one -", err)
	w.put(t, "a", "v3", "three")
	step("a put", "three two -", nil)
	first := must(w.Describe(t.Context(), c, "a"))(t)
	_, versions, _, err := w.ListVersions(t.Context(), c, "a", key.Page{Number: 1, Size: 100})
	check(t, err)
	_, err = w.Rollback(t.Context(), c, "a", versions[len(versions)-1].ID)
	step("a rollback to the first", "one three -", err)
	_, err = w.Rollback(t.Context(), c, "a", versions[len(versions)-1].ID)
	want(t, err, fault.StateConflict)
	_, err = w.Rollback(t.Context(), c, "a", "missing")
	want(t, err, fault.ResourceNotFound)
	if first.Made != 3 {
		t.Errorf("%d versions were made", first.Made)
	}
	for _, bad := range []struct {
		stage secret.Stage
		to    string
		kind  fault.Kind
	}{
		{secret.Previous, "v2", fault.UnsupportedOperation}, {secret.Current, "", fault.UnsupportedOperation},
		{"ACSMine", "v2", fault.InvalidParameter}, {"a b", "v2", fault.InvalidParameter},
	} {
		_, err = w.MoveStage(t.Context(), c, secret.MoveInput{Secret: "a", Stage: bad.stage, To: bad.to})
		want(t, err, bad.kind)
	}
	_, err = w.MoveStage(t.Context(), c, secret.MoveInput{Secret: "a", Stage: "blue", To: "v2"})
	check(t, err)
	if have := w.get(t, "a", "blue"); have != "two" {
		t.Errorf("at a stage of one's own is %q", have)
	}
	_, err = w.MoveStage(t.Context(), c, secret.MoveInput{Secret: "a", Stage: "blue"})
	check(t, err)
	if have := w.get(t, "a", "blue"); have != "-" {
		t.Errorf("at a stage that was taken away is %q", have)
	}
	w.create(t, "b", "one")
	_, err = w.Rollback(t.Context(), c, "b", "")
	want(t, err, fault.StateConflict)
}

// Beyond 100 versions the oldest that no stage stands on are dropped.
func TestVersionsAreDropped(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	w.create(t, "a", "first")
	_, err := w.MoveStage(t.Context(), root(account), secret.MoveInput{Secret: "a", Stage: "golden", To: must(w.Describe(t.Context(), root(account), "a"))(t).At(secret.Current)})
	check(t, err)
	for i := range secret.MaxVersions + 5 {
		w.put(t, "a", fmt.Sprint("v", i), fmt.Sprint("value ", i))
	}
	of, versions, total, err := w.ListVersions(t.Context(), root(account), "a", key.Page{Number: 1, Size: 100})
	check(t, err)
	if total != secret.MaxVersions || of.Versions != secret.MaxVersions || of.Made != secret.MaxVersions+6 {
		t.Errorf("%d versions, %d by the secret, %d made", total, of.Versions, of.Made)
	}
	if oldest := versions[len(versions)-1]; oldest.Number != 1 || versions[len(versions)-2].ID != "v6" {
		t.Errorf("the oldest are %s and %s", oldest.ID, versions[len(versions)-2].ID)
	}
	if have := w.get(t, "a", "golden"); have != "first" {
		t.Errorf("what a stage stands on is %q", have)
	}
}

func TestDelete(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		c := root(account)
		const day = 24 * time.Hour
		w.create(t, "a", "one")
		gone := must(w.Delete(t.Context(), c, secret.DeleteInput{Secret: "a", Days: 7}))(t)
		if want := w.clock().Add(7 * day); !gone.DeleteAt.Equal(want) {
			t.Errorf("deletion at %v, want %v", gone.DeleteAt, want)
		}
		_, err := w.Get(t.Context(), c, secret.GetInput{Secret: "a"})
		want(t, err, fault.StateConflict)
		_, _, err = w.Put(t.Context(), c, secret.PutInput{Secret: "a", Data: data("two")})
		want(t, err, fault.StateConflict)
		_, err = w.Create(t.Context(), c, secret.CreateInput{Name: "a", Data: data("x")})
		want(t, err, fault.StateConflict)
		_, err = w.Delete(t.Context(), c, secret.DeleteInput{Secret: "a", Days: 7})
		want(t, err, fault.StateConflict)
		w.pass(t, 6*day, 6*day)
		must(w.Restore(t.Context(), c, "a"))(t)
		_, err = w.Restore(t.Context(), c, "a")
		want(t, err, fault.StateConflict)
		w.pass(t, 30*day, 30*day)
		if have := w.get(t, "a", secret.Current); have != "one" {
			t.Errorf("after it was restored: %q", have)
		}

		must(w.Delete(t.Context(), c, secret.DeleteInput{Secret: "a"}))(t)
		w.pass(t, 31*day, 29*day) // the clock says so, the service has not served for as long
		must(w.Describe(t.Context(), c, "a"))(t)
		w.pass(t, 2*day, 2*day)
		_, err = w.Describe(t.Context(), c, "a")
		want(t, err, fault.ResourceNotFound)

		w.create(t, "a", "again") // the name is free
		if have := w.get(t, "a", secret.Current); have != "again" {
			t.Errorf("made again: %q", have)
		}
		must(w.Delete(t.Context(), c, secret.DeleteInput{Secret: "a", Force: true}))(t)
		_, err = w.Get(t.Context(), c, secret.GetInput{Secret: "a"})
		want(t, err, fault.ResourceNotFound)
		for _, bad := range []secret.DeleteInput{{Days: 6}, {Days: 31}, {Days: -1}, {Days: 7, Force: true}} {
			w.create(t, "bad"+fmt.Sprint(bad.Days), "x")
			bad.Secret = "bad" + fmt.Sprint(bad.Days)
			_, err = w.Delete(t.Context(), c, bad)
			want(t, err, fault.InvalidParameter)
		}
	})
}

// What a caller expects and is not there does not come by looking again and again.
func TestLastingRefusalsAreNotTriedAgain(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	w.create(t, "a", "one")
	w.put(t, "a", "v2", "two", secret.Pending)
	move := func() error {
		_, err := w.MoveStage(t.Context(), root(account), secret.MoveInput{Secret: "a", Stage: secret.Current, From: "v2", To: "v2"})
		return err
	}
	want(t, move(), fault.Changed) // and now it is cached
	once := func(what string) {
		t.Helper()
		w.reads = 0
		want(t, move(), fault.Changed)
		if w.reads != 1 {
			t.Errorf("%s: it was read %d times", what, w.reads)
		}
	}
	once("a stage that stands elsewhere")
	w.meanwhile = func() {
		must(w.Delete(t.Context(), root(account), secret.DeleteInput{Secret: "a", Force: true}))(t)
		w.create(t, "a", "one")
		w.reads = 0
	}
	once("a secret that was replaced")
}

// Who was let at a secret is not let at another one that was made under its name meanwhile.
func TestReplacedMeanwhile(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c := user(t, `{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`)
	for name, act := range map[string]func() error{
		"delete now": func() error {
			_, err := w.Delete(t.Context(), c, secret.DeleteInput{Secret: "a", Force: true})
			return err
		},
		"delete": func() error { _, err := w.Delete(t.Context(), c, secret.DeleteInput{Secret: "a"}); return err },
		"put": func() error {
			_, _, err := w.Put(t.Context(), c, secret.PutInput{Secret: "a", Data: data("three")})
			return err
		},
		"move": func() error {
			_, err := w.MoveStage(t.Context(), c, secret.MoveInput{Secret: "a", Stage: secret.Current, To: "v2"})
			return err
		},
		"roll back": func() error { _, err := w.Rollback(t.Context(), c, "a", "v2"); return err },
	} {
		w.create(t, "a", "one")
		w.put(t, "a", "v2", "two", secret.Pending)
		var other secret.Secret
		w.meanwhile = func() {
			must(w.Delete(t.Context(), root(account), secret.DeleteInput{Secret: "a", Force: true}))(t)
			other = must(w.Create(t.Context(), root(account), secret.CreateInput{Name: "a", Data: data("of another"), Policy: `{"Version":"1","Statement":[{"Effect":"Deny","Action":["kms:DeleteSecret","kms:PutSecretValue","kms:UpdateSecretVersionStage"],"Principal":{"RAM":["acs:ram::` + account + `:user/ada"]},"Resource":["*"]}]}`}))(t)
		}
		if err := act(); !fault.Is(err, fault.Changed) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := w.Describe(t.Context(), root(account), "a"); err != nil || now.ID != other.ID || now.Rev != other.Rev {
			t.Errorf("%s: the other secret is %+v, %v", name, now, err)
		} else {
			must(w.Delete(t.Context(), root(account), secret.DeleteInput{Secret: "a", Force: true}))(t)
		}
	}
}

func TestList(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		c := root(account)
		for _, name := range []string{"pay/a", "pay/b", "web/c_d", "web/cx"} {
			must(w.Create(t.Context(), c, secret.CreateInput{Name: name, Data: data("x"), Tags: []tag.Tag{{Key: "team", Value: name[:3]}}}))(t)
		}
		must(w.Create(t.Context(), root(other), secret.CreateInput{Name: "pay/other", Data: data("x")}))(t)
		must(w.Delete(t.Context(), c, secret.DeleteInput{Secret: "pay/b"}))(t)
		names := func(f secret.Filter) string {
			t.Helper()
			all, total, err := w.List(t.Context(), c, f, key.Page{Number: 1, Size: 10})
			check(t, err)
			var names []string
			for _, s := range all {
				names = append(names, s.Name)
			}
			if total != len(names) {
				t.Errorf("%d of %d", len(names), total)
			}
			return strings.Join(names, " ")
		}
		for have, wanted := range map[string]string{
			names(secret.Filter{}):                                             "pay/a pay/b web/c_d web/cx",
			names(secret.Filter{Prefix: "pay/"}):                               "pay/a pay/b",
			names(secret.Filter{Prefix: "web/c_"}):                             "web/c_d",
			names(secret.Filter{Names: []string{"pay/a"}}):                     "pay/a",
			names(secret.Filter{Tags: []tag.Tag{{Key: "team", Value: "web"}}}): "web/c_d web/cx",
			names(secret.Filter{Deleting: true, TagValues: []string{"pay"}}):   "pay/b",
		} {
			if have != wanted {
				t.Errorf("listed %q, want %q", have, wanted)
			}
		}
	})
}

// Tags go on all of several secrets or on none, for those who may with each of them.
func TestTagMany(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url)
		c := root(account)
		w.create(t, "a", "x")
		w.create(t, "b", "x")
		tags := func(names ...string) map[string][]tag.Tag {
			t.Helper()
			all, _, err := w.Tagged(t.Context(), c, secret.Filter{Names: names}, key.Page{Number: 1, Size: 10})
			check(t, err)
			out := map[string][]tag.Tag{}
			for _, s := range all {
				out[s.Name] = s.Tags
			}
			return out
		}
		team := []tag.Tag{{Key: "team", Value: "pay"}}
		check(t, w.TagMany(t.Context(), c, []string{"a", w.ARN(account, "b"), "a"}, team))
		if diff := cmp.Diff(map[string][]tag.Tag{"a": team, "b": team}, tags()); diff != "" {
			t.Error(diff)
		}
		more := []tag.Tag{{Key: "more", Value: "1"}}
		want(t, w.TagMany(t.Context(), c, []string{"a", "none"}, more), fault.ResourceNotFound)
		want(t, w.UntagMany(t.Context(), c, []string{"a", "none"}, nil, true), fault.ResourceNotFound)
		onlyA := user(t, `{"Version":"1","Statement":[{"Effect":"Allow","Action":["kms:TagResources"],"Resource":["`+w.ARN(account, "a")+`"]}]}`)
		want(t, w.TagMany(t.Context(), onlyA, []string{"a", "b"}, more), fault.NoPermission)
		want(t, w.TagMany(t.Context(), c, nil, more), fault.InvalidParameter)
		want(t, w.TagMany(t.Context(), c, slices.Repeat([]string{"a"}, tag.MaxMany+1), more), fault.InvalidParameter)
		if diff := cmp.Diff(map[string][]tag.Tag{"a": team}, tags("a")); diff != "" {
			t.Error(diff)
		}
		check(t, w.UntagMany(t.Context(), c, []string{"a", "b"}, []string{"team"}, false))
		if diff := cmp.Diff(map[string][]tag.Tag{"a": nil, "b": nil}, tags()); diff != "" {
			t.Error(diff)
		}
		_, _, err := w.Tagged(t.Context(), c, secret.Filter{Names: []string{"none"}}, key.Page{Number: 1, Size: 10})
		want(t, err, fault.ResourceNotFound)
		_, _, err = w.Tagged(t.Context(), c, secret.Filter{Tags: append(team, team...)}, key.Page{Number: 1, Size: 10})
		want(t, err, fault.DuplicateTagKey)
		_, _, err = w.Tagged(t.Context(), onlyA, secret.Filter{}, key.Page{Number: 1, Size: 10})
		want(t, err, fault.NoPermission)
	})
}

func TestBadInput(t *testing.T) {
	w := open(t, storetest.SQLite(t))
	c := root(account)
	w.create(t, "a", "x")
	for name, in := range map[string]secret.CreateInput{
		"no name":           {Data: data("x")},
		"a blank":           {Name: "a b", Data: data("x")},
		"Chinese":           {Name: "密码", Data: data("x")},
		"too long a name":   {Name: strings.Repeat("a", secret.MaxName+1), Data: data("x")},
		"no value":          {Name: "b"},
		"too long a value":  {Name: "b", Data: data(strings.Repeat("x", secret.MaxValue+1))},
		"bytes as text":     {Name: "b", Data: data("\xff")},
		"a kind of its own": {Name: "b", Kind: "json", Data: data("x")},
		"a version id":      {Name: "b", Version: "a/b", Data: data("x")},
		"a long version id": {Name: "b", Version: strings.Repeat("v", secret.MaxVersionID+1), Data: data("x")},
		"a description":     {Name: "b", Description: "\x00", Data: data("x")},
	} {
		_, err := w.Create(t.Context(), c, in)
		if k := fault.KindOf(err); k != fault.InvalidParameter && k != fault.MissingParameter {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(w.Create(t.Context(), c, secret.CreateInput{Name: "b", Kind: secret.Binary, Data: data("\xff" + strings.Repeat("\x00", secret.MaxValue-1))}))(t)
	signing := must(w.keys.Create(t.Context(), c, lifecycle.CreateInput{Spec: "EC_P256"}))(t)
	_, err := w.Create(t.Context(), c, secret.CreateInput{Name: "c", Key: string(signing.ID), Data: data("x")})
	want(t, err, fault.UnsupportedOperation)
	_, err = w.Create(t.Context(), c, secret.CreateInput{Name: "c", Key: "alias/missing", Data: data("x")})
	want(t, err, fault.AliasNotFound)
	_, _, err = w.Put(t.Context(), c, secret.PutInput{Secret: "a", Data: data("x"), Stages: []secret.Stage{"x", "x"}})
	want(t, err, fault.InvalidParameter)
	var many []secret.Stage
	for i := range secret.MaxStages {
		many = append(many, secret.Stage(fmt.Sprint("s", i)))
	}
	_, _, err = w.Put(t.Context(), c, secret.PutInput{Secret: "a", Data: data("x"), Stages: many})
	want(t, err, fault.LimitExceeded)
}
