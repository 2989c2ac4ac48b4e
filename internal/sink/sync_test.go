package sink_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/sink"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/tag"
)

func lines(b []byte) (out [][]byte) {
	for line := range bytes.Lines(b) {
		out = append(out, line)
	}
	return out
}

// What is put here is there within a minute, and what did not change costs no write and
// no record.
func TestCopies(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := open(t, url, nil)
		w.put(t, "payment_api_key", "fake-1")
		w.put(t, "web/a", "fake-a")
		w.put(t, "other", "not chosen")
		_, err := w.secrets.Create(t.Context(), root(), secret.CreateInput{Name: "tagged", Data: data("\xff\x00fake"), Kind: secret.Binary, Tags: []tag.Tag{{Key: "vault"}}})
		check(t, err)
		d := w.draft("payment_api_key", "web/*")
		d.Tags = []string{"vault"}
		_, err = w.Add(t.Context(), root(), "ours", d)
		check(t, err)
		first := w.size(t)
		w.pass(t, 2*time.Second)
		if diff := cmp.Diff(strings.Repeat("keyward:CopySecret keyward:NoteCopy ", 3), strings.Join(w.actions(t, first), " ")+" "); diff != "" {
			t.Error(diff)
		}
		for path, value := range map[string]string{"payment_api_key": "fake-1", "web/a": "fake-a", "other": "-", "tagged": "/wBmYWtl"} {
			if have := w.there(path); have != value {
				t.Errorf("%s is %q there, want %q", path, have, value)
			}
		}
		if c := w.status(t, "payment_api_key"); c.Status != sink.Synced || c.Remote != 1 || c.SyncedAt.IsZero() || c.Written != c.Version {
			t.Errorf("the copy is %+v", c)
		}
		before, writes := w.size(t), w.vault.Writes()
		w.pass(t, 5*time.Minute)
		if w.vault.Writes() != writes || len(w.actions(t, before)) != 0 {
			t.Errorf("what did not change was written %d times, and recorded: %v", w.vault.Writes()-writes, w.actions(t, before))
		}
		w.put(t, "payment_api_key", "fake-2")
		w.pass(t, time.Minute+time.Second)
		if have := w.there("payment_api_key"); have != "fake-2" {
			t.Errorf("a minute later it is %q there", have)
		}
		_, err = w.secrets.Rollback(t.Context(), root(), "payment_api_key", "")
		check(t, err)
		w.pass(t, time.Minute+time.Second)
		if have := w.there("payment_api_key"); have != "fake-1" {
			t.Errorf("after a rollback it is %q there", have)
		}
		_, err = w.secrets.Delete(t.Context(), root(), secret.DeleteInput{Secret: "web/a"})
		check(t, err)
		w.pass(t, time.Minute+time.Second)
		if c := w.status(t, "web/a"); c.Status != "" || w.there("web/a") != "fake-a" {
			t.Errorf("of a secret that is about to be deleted the copy is %+v, the value there %q", c, w.there("web/a"))
		}
	})
}

// What somebody changed there is told and not overwritten, unless a person says so.
func TestDrift(t *testing.T) {
	for name, change := range map[string]func(*world){
		"written":      func(w *world) { w.vault.Put("a", map[string]any{"value": "theirs"}) },
		"other fields": func(w *world) { w.vault.Put("a", map[string]any{"value": "fake-1", "user": "theirs"}) },
		"deleted":      func(w *world) { w.vault.Delete("a") },
		"erased":       func(w *world) { w.vault.Erase("a") },
		"made anew":    func(w *world) { w.vault.Erase("a"); w.vault.Put("a", map[string]any{"value": "theirs"}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, storetest.SQLite(t), nil)
			w.put(t, "a", "fake-1")
			w.add(t, "a")
			w.pass(t, 2*time.Second)
			change(w)
			writes := w.vault.Writes()
			w.pass(t, 2*time.Minute)
			if c := w.status(t, "a"); c.Status != sink.Drifted || c.Error == "" || !strings.HasPrefix(c.Chinese, "他人在目标") {
				t.Errorf("the copy is %+v", c)
			}
			w.put(t, "a", "fake-2")
			w.pass(t, 2*time.Minute)
			if c := w.status(t, "a"); c.Status != sink.Drifted || w.vault.Writes() != writes {
				t.Errorf("after a put the copy is %+v, and %d writes happened", c, w.vault.Writes()-writes)
			}
			check(t, w.Sync(t.Context(), root(), "ours", false))
			w.pass(t, 2*time.Second)
			if w.vault.Writes() != writes {
				t.Error("it was overwritten without being told to")
			}
			check(t, w.Sync(t.Context(), root(), "ours", true))
			w.pass(t, 2*time.Second)
			if c := w.status(t, "a"); c.Status != sink.Synced || c.Error+c.Chinese != "" || w.there("a") != "fake-2" {
				t.Errorf("told to overwrite, the copy is %+v, the value there %q", c, w.there("a"))
			}
		})
	}
}

// What was there before keyward is somebody else's, unless it is the same.
func TestWhatWasThereBefore(t *testing.T) {
	w := open(t, storetest.SQLite(t), nil)
	w.vault.Put("a", map[string]any{"value": "theirs"})
	w.vault.Put("b", map[string]any{"value": "fake-b"})
	w.put(t, "a", "fake-a")
	w.put(t, "b", "fake-b")
	w.add(t, "*")
	w.pass(t, 2*time.Second)
	if a, b := w.status(t, "a"), w.status(t, "b"); a.Status != sink.Drifted || b.Status != sink.Synced || w.vault.Writes() != 0 {
		t.Errorf("the copies are %+v and %+v", a, b)
	}
}

// A Vault that does not serve is tried again, later each time, and one path that it does
// not permit does not keep the others from being copied.
func TestFailures(t *testing.T) {
	var requests int
	w := open(t, storetest.SQLite(t), func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { requests++; h.ServeHTTP(rw, r) })
	})
	w.vault.Denied = "b"
	for _, name := range []string{"a", "b", "c"} {
		w.put(t, name, "fake-"+name)
	}
	w.add(t, "*")
	w.vault.Seal(true)
	requests = 0
	w.pass(t, 10*time.Minute)
	if c := w.status(t, "a"); c.Status != sink.Failed || !strings.Contains(c.Error, "sealed") || !strings.Contains(c.Chinese, "封存") || c.Failures < 5 || requests != c.Failures || requests > 12 {
		t.Errorf("after %d requests the copy is %+v", requests, c)
	}
	w.vault.Seal(false)
	w.pass(t, 10*time.Minute)
	for name, status := range map[string]sink.Status{"a": sink.Synced, "b": sink.Failed, "c": sink.Synced} {
		if c := w.status(t, name); c.Status != status {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if c := w.status(t, "b"); !strings.Contains(c.Error, `path "secret/data/*" { capabilities`) {
		t.Errorf("the error does not tell the policy that is missing: %s", c.Error)
	}
	check(t, w.keys.Disable(t.Context(), root(), secret.DefaultKey))
	w.pass(t, 10*time.Minute)
	if c := w.status(t, "a"); c.Status != sink.Failed || !strings.Contains(c.Error, "key-") {
		t.Errorf("with its key disabled the copy is %+v", c)
	}
}

// A secret that was damaged in the database keeps no other one back.
func TestDamagedSecret(t *testing.T) {
	w := open(t, storetest.SQLite(t), nil)
	for _, name := range []string{"a", "b", "c"} {
		w.put(t, name, "fake-1")
	}
	w.add(t, "*")
	w.pass(t, 10*time.Second)
	for _, name := range []string{"a", "b", "c"} {
		w.put(t, name, "fake-2")
	}
	_, err := storetest.Raw(t, w.database).ExecContext(t.Context(), `UPDATE secret_version SET sealed = sealed || x'00' WHERE name = 'b'`)
	check(t, err)
	w.pass(t, 10*time.Minute)
	for name, value := range map[string]string{"a": "fake-2", "b": "fake-1", "c": "fake-2"} {
		if have := w.there(name); have != value {
			t.Errorf("%s is %q there, want %q", name, have, value)
		}
	}
}

// Requests and answers that are lost, doubled or garbled neither lose a value nor look
// like somebody else's change; and nothing of somebody else's is ever lost.
func TestLostAnswers(t *testing.T) {
	var faults *cloudtest.Faults
	var service http.Handler
	w := open(t, storetest.SQLite(t), func(h http.Handler) http.Handler {
		service = h
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { faults.ServeHTTP(rw, r) })
	})
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		if n++; n > 1 {
			_ = w.Remove(t.Context(), root(), "ours") // the run before may have failed before it made one
		}
		faults = &cloudtest.Faults{Service: service}
		name := fmt.Sprint("run-", n)
		w.put(t, name, "fake-0")
		w.add(t, name)
		kinds := []cloudtest.Fault{cloudtest.None, cloudtest.LoseBefore, cloudtest.LoseAfter, cloudtest.Double, cloudtest.Error500, cloudtest.Error503, cloudtest.Throttle, cloudtest.Garbage}
		value, theirs := "fake-0", ""
		for i := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0, 1:
				value = fmt.Sprint("fake-", i+1)
				w.put(t, name, value)
			case 2, 3:
				faults.Next(rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 3).Draw(rt, "faults")...)
			case 4:
				if rapid.IntRange(0, 3).Draw(rt, "chance") == 0 {
					theirs = fmt.Sprint("theirs-", i)
					w.vault.Put(name, map[string]any{"value": theirs})
				}
			case 5:
				w.pass(t, time.Duration(rapid.IntRange(1, 70).Draw(rt, "seconds"))*time.Second)
			}
			if theirs != "" && w.there(name) != theirs {
				rt.Fatalf("what somebody else wrote was overwritten with %q", w.there(name))
			}
		}
		for range 25 { // however many failures are left
			w.mu.Lock()
			w.now = w.now.Add(10 * time.Minute)
			w.mu.Unlock()
			w.pass(t, time.Second)
		}
		c := w.status(t, name)
		if theirs != "" && (c.Status != sink.Drifted || w.there(name) != theirs) {
			rt.Fatalf("somebody else wrote, and the copy is %+v, the value there %q", c, w.there(name))
		}
		if theirs == "" && (c.Status != sink.Synced || w.there(name) != value) {
			rt.Fatalf("the copy is %+v, the value there %q, want %q", c, w.there(name), value)
		}
	})
}

// A write that did not happen is made again: over what was looked at before it, and over nothing
// else, also when no value that was ever there is here any more to be compared.
func TestInterruptedWrites(t *testing.T) {
	var lose bool
	w := open(t, storetest.SQLite(t), func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if lose && r.Method != http.MethodGet {
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(rw, r)
		})
	})
	w.vault.Put("gone", map[string]any{"value": "theirs"})
	w.vault.Delete("gone")
	for _, name := range []string{"gone", "forgot", "theirs"} {
		w.put(t, name, "fake-0")
	}
	w.add(t, "*")
	w.pass(t, 10*time.Second)
	if c := w.status(t, "gone"); c.Status != sink.Drifted {
		t.Fatalf("what somebody deleted there: %+v", c)
	}
	lose = true
	check(t, w.Sync(t.Context(), root(), "ours", true))
	w.pass(t, 10*time.Second)
	if c := w.status(t, "gone"); c.Status != sink.Failed || c.Written != "" || c.Version == "" {
		t.Fatalf("a write that was lost: %+v", c)
	}
	w.vault.Seal(true)
	for i := range secret.MaxVersions + 2 { // so that the first one is dropped here
		w.put(t, "forgot", fmt.Sprint("fake-", i+1))
		w.put(t, "theirs", fmt.Sprint("fake-", i+1))
	}
	w.vault.Seal(false)
	w.vault.Put("theirs", map[string]any{"value": "theirs"})
	lose = false
	w.pass(t, 20*time.Minute)
	last := fmt.Sprint("fake-", secret.MaxVersions+2)
	for name, c := range map[string]struct {
		status sink.Status
		value  string
	}{"gone": {sink.Synced, "fake-0"}, "forgot": {sink.Synced, last}, "theirs": {sink.Drifted, "theirs"}} {
		if have := w.status(t, name); have.Status != c.status || w.there(name) != c.value {
			t.Errorf("%s: %q is there and the copy is %+v; want %q, %s", name, w.there(name), have, c.value, c.status)
		}
	}
}

// No value leaves before it is on record.
func TestNothingLeavesThatIsNotRecorded(t *testing.T) {
	w := open(t, storetest.SQLite(t), nil)
	w.put(t, "a", "fake-1")
	w.add(t, "a")
	w.node.StopLog()
	w.mu.Lock()
	w.now = w.now.Add(time.Minute)
	w.mu.Unlock()
	if _, err := w.jobs.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.vault.Writes() != 0 {
		t.Error("the value was written")
	}
}

func TestRemove(t *testing.T) {
	w := open(t, storetest.SQLite(t), nil)
	w.put(t, "a", "fake-1")
	old := w.add(t, "a")
	w.pass(t, 2*time.Second)
	check(t, w.Remove(t.Context(), root(), "ours"))
	w.pass(t, 2*time.Second)
	if _, total, err := (kms.Store{Store: w.node.Store}).Copies(t.Context(), account, old.ID, key.Page{Number: 1, Size: 1}); err != nil || total != 0 {
		t.Errorf("%d copies are left, %v", total, err)
	}
	if w.there("a") != "fake-1" {
		t.Error("what was copied did not stay")
	}
	w.add(t, "a") // what it finds is the same
	w.pass(t, 2*time.Second)
	if c := w.status(t, "a"); c.Status != sink.Synced {
		t.Errorf("added again, the copy is %+v", c)
	}
}

// What is wrong is refused with its reason, and nothing is half saved.
func TestBadInput(t *testing.T) {
	w := open(t, storetest.SQLite(t), nil)
	credential := func(parts ...string) map[string]material.Bytes {
		out := map[string]material.Bytes{}
		for i := 0; i < len(parts); i += 2 {
			out[parts[i]] = data(parts[i+1])
		}
		return out
	}
	token := credential("token", "fake-token")
	for name, c := range map[string]struct {
		kind fault.Kind
		says string
		sink.Draft
	}{
		"no choice":        {fault.MissingParameter, "names", sink.Draft{Kind: "vault", Filling: form.Filling{Settings: map[string]string{"address": w.url}, Credential: token}}},
		"a star inside":    {fault.InvalidParameter, "*", w.draft("a*b")},
		"no such kind":     {fault.InvalidParameter, "vault", sink.Draft{Kind: "consul", Secrets: []string{"a"}}},
		"no address":       {fault.MissingParameter, "address", sink.Draft{Kind: "vault", Secrets: []string{"a"}, Filling: form.Filling{Credential: token}}},
		"a user in it":     {fault.InvalidParameter, "address", sink.Draft{Kind: "vault", Secrets: []string{"a"}, Filling: form.Filling{Settings: map[string]string{"address": "https://u:p@vault.example.com"}, Credential: token}}},
		"metadata service": {fault.Unavailable, "allowed", sink.Draft{Kind: "vault", Secrets: []string{"a"}, Filling: form.Filling{Settings: map[string]string{"address": "http://169.254.169.254"}, Credential: token}}},
		"no credential":    {fault.InvalidParameter, "token", sink.Draft{Kind: "vault", Secrets: []string{"a"}, Filling: form.Filling{Settings: map[string]string{"address": w.url}}}},
		"both credentials": {fault.InvalidParameter, "either", sink.Draft{Kind: "vault", Secrets: []string{"a"}, Filling: form.Filling{Settings: map[string]string{"address": w.url}, Credential: credential("token", "t", "role_id", "r", "secret_id", "s")}}},
		"a wrong token":    {fault.NoPermission, "capabilities", sink.Draft{Kind: "vault", Secrets: []string{"a"}, Filling: form.Filling{Settings: map[string]string{"address": w.url}, Credential: credential("token", "wrong")}}},
		"a wrong AppRole":  {fault.NoPermission, "AppRole", sink.Draft{Kind: "vault", Secrets: []string{"a"}, Filling: form.Filling{Settings: map[string]string{"address": w.url}, Credential: credential("role_id", "fake-role", "secret_id", "wrong")}}},
		"version 1":        {fault.InvalidParameter, "version 2", sink.Draft{Kind: "vault", Secrets: []string{"a"}, Filling: form.Filling{Settings: map[string]string{"address": w.url, "mount": "old"}, Credential: token}}},
		"a path upwards":   {fault.InvalidParameter, "place", sink.Draft{Kind: "vault", Secrets: []string{"a"}, Filling: form.Filling{Settings: map[string]string{"address": w.url, "path": "a/../b"}, Credential: token}}},
	} {
		_, err := w.Add(t.Context(), root(), "ours", c.Draft)
		if fault.KindOf(err) != c.kind || !strings.Contains(fault.Message(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := w.List(t.Context(), root()); err != nil || len(all) != 0 {
		t.Errorf("%d sinks were saved, %v", len(all), err)
	}
	byRole := w.draft("a")
	byRole.Credential = credential("role_id", "fake-role", "secret_id", "fake-secret-id")
	_, err := w.Add(t.Context(), root(), "by-role", byRole)
	check(t, err)
	_, err = w.Add(t.Context(), root(), "by-role", byRole)
	want(t, err, fault.ResourceExists)
}

// Whoever may not read a secret may not have it copied either.
func TestAddTakesTheRightToRead(t *testing.T) {
	w := open(t, storetest.SQLite(t), nil)
	policy, err := authz.Compile("test", []byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"keyward:*","Resource":"*"},
		{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"acs:kms:*:*:secret/web/*"}]}`))
	check(t, err)
	c := &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Name: "ada", Policies: []*authz.Policy{policy}}, Time: time.Now()}
	_, err = w.Add(t.Context(), c, "ours", w.draft("pay/a"))
	want(t, err, fault.NoPermission)
	_, err = w.Add(t.Context(), c, "ours", w.draft("*"))
	want(t, err, fault.NoPermission)
	tagged := w.draft("web/a")
	tagged.Tags = []string{"vault"}
	_, err = w.Add(t.Context(), c, "ours", tagged)
	want(t, err, fault.NoPermission)
	_, err = w.Add(t.Context(), c, "ours", w.draft("web/*"))
	check(t, err)
}
