package iam_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A modelKey is what an access key must be like.
type modelKey struct {
	secret  string
	enabled bool
	expires time.Time
}

// A life is the model of one user and its access keys.
type life struct {
	w        *world
	user     string
	enabled  bool
	attached bool // the policy "crypto"
	keys     map[string]*modelKey
	deleted  []string
}

// TestLifecycle interleaves everything that can happen to access keys and their user
// and holds every credential against a model after each step.
func TestLifecycle(t *testing.T) {
	few(t)
	w := newWorld(t)
	w.policy(t, "crypto", "Allow", `"kms:Encrypt"`)
	users := 0
	rapid.Check(t, func(t *rapid.T) {
		users++
		l := &life{w: w, user: fmt.Sprint("user", users), enabled: true, keys: map[string]*modelKey{}}
		must(w.CreateUser(context.Background(), w.root(), l.user, ""))(t)
		t.Repeat(map[string]func(*rapid.T){
			"":               l.check,
			"create":         l.create,
			"enable":         func(t *rapid.T) { l.setEnabled(t, true) },
			"disable":        func(t *rapid.T) { l.setEnabled(t, false) },
			"reset":          l.reset,
			"delete":         l.delete,
			"expire":         l.expire,
			"let time pass":  func(t *rapid.T) { w.advance(time.Duration(rapid.IntRange(1, 90).Draw(t, "minutes")) * time.Minute) },
			"toggle user":    l.toggleUser,
			"toggle policy":  l.togglePolicy,
			"cut off feed":   func(*rapid.T) { w.stale.Store(true) },
			"reconnect feed": func(*rapid.T) { w.stale.Store(false); w.Changed("", "") },
		})
		w.stale.Store(false)
		w.Changed("", "")
	})
}

// key draws one of the keys that are there, or skips the step.
func (l *life) key(t *rapid.T) string {
	if len(l.keys) == 0 {
		t.Skip("no key")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(l.keys))).Draw(t, "key")
}

func (l *life) create(t *rapid.T) {
	issued, err := l.w.CreateAccessKey(context.Background(), l.w.root(), iam.NewAccessKey{User: l.user})
	if len(l.keys) == 2 {
		wantKind(t, err, fault.LimitExceeded)
		return
	}
	must(issued, err)(t)
	l.keys[issued.AccessKey.ID] = &modelKey{secret: secretOf(issued.Secret), enabled: true}
}

func (l *life) setEnabled(t *rapid.T, enabled bool) {
	id := l.key(t)
	must(l.w.UpdateAccessKey(context.Background(), l.w.root(), id, iam.AccessKeyChange{Enabled: &enabled}))(t)
	l.keys[id].enabled = enabled
}

func (l *life) reset(t *rapid.T) {
	id := l.key(t)
	issued := must(l.w.ResetAccessKey(context.Background(), l.w.root(), id))(t)
	if l.keys[id].secret == secretOf(issued.Secret) {
		t.Fatal("the reset kept the secret")
	}
	l.keys[id].secret = secretOf(issued.Secret)
}

func (l *life) delete(t *rapid.T) {
	id := l.key(t)
	if err := l.w.DeleteAccessKey(context.Background(), l.w.root(), id); err != nil {
		t.Fatal(err)
	}
	delete(l.keys, id)
	l.deleted = append(l.deleted, id)
}

func (l *life) expire(t *rapid.T) {
	id := l.key(t)
	var at time.Time
	if minutes := rapid.IntRange(0, 60).Draw(t, "minutes"); minutes > 0 {
		at = l.w.now().Add(time.Duration(minutes) * time.Minute)
	}
	must(l.w.UpdateAccessKey(context.Background(), l.w.root(), id, iam.AccessKeyChange{ExpiresAt: &at}))(t)
	l.keys[id].expires = at
}

func (l *life) toggleUser(t *rapid.T) {
	l.enabled = !l.enabled
	must(l.w.UpdateUser(context.Background(), l.w.root(), l.user, iam.UserChange{Enabled: &l.enabled}))(t)
}

func (l *life) togglePolicy(t *rapid.T) {
	change := l.w.AttachPolicy
	if l.attached {
		change = l.w.DetachPolicy
	}
	if err := change(context.Background(), l.w.root(), l.user, "crypto"); err != nil {
		t.Fatal(err)
	}
	l.attached = !l.attached
}

func (l *life) check(t *rapid.T) {
	for _, id := range l.deleted {
		_, err := l.w.Credential(context.Background(), id)
		wantKind(t, err, fault.AccessKeyNotFound)
	}
	for id, want := range l.keys {
		have := must(l.w.Credential(context.Background(), id))(t)
		if secretOf(have.Secret) != want.secret {
			t.Fatal("the secret is not the newest one")
		}
		refused := !want.enabled || !l.enabled || !want.expires.IsZero() && !l.w.now().Before(want.expires)
		if refused {
			wantKind(t, have.Refusal, fault.AccessKeyInactive)
		} else if have.Refusal != nil {
			t.Fatalf("refused: %v", have.Refusal)
		}
		if p := have.Principal; p.Account != l.w.Account.ID || p.Kind != authz.User || p.Name != l.user || p.AccessKey != id {
			t.Fatalf("principal %+v", p)
		}
		request := authz.Request{Action: "kms:Encrypt", Resource: "acs:kms:any:" + l.w.Account.ID + ":key/any"}
		if d := l.w.call(have.Principal).Decide(request); d.Allowed != l.attached {
			t.Fatalf("decision %v, while the policy is attached: %t", d, l.attached)
		}
	}
}

// TestCredentialOfNoKey holds that what was never issued is unknown, whatever it
// looks like, and that what cannot have been issued costs no read.
func TestCredentialOfNoKey(t *testing.T) {
	w := newWorld(t)
	id := w.Key.AccessKey.ID
	for _, wrong := range []string{"", id[:27], id + "A", id[1:], "LTAI4FakeFakeFakeFake", " " + id, id + "\x00"} {
		before := w.store.reads.Load()
		_, err := w.Credential(t.Context(), wrong)
		wantKind(t, err, fault.AccessKeyNotFound)
		if w.store.reads.Load() != before {
			t.Errorf("%q was looked for in the store", wrong)
		}
	}
	_, err := w.Credential(t.Context(), fakeID)
	wantKind(t, err, fault.AccessKeyNotFound)
}

// TestCredentialCache holds that the warm path reads nothing, that a change of one
// user makes nobody else read again, and that nothing cached is used while the feed
// is cut off.
func TestCredentialCache(t *testing.T) {
	w := newWorld(t)
	w.policy(t, "crypto", "Allow", `"kms:Encrypt"`)
	alice, bob := w.user(t, "alice", "crypto").AccessKey.ID, w.user(t, "bob", "crypto").AccessKey.ID
	reads := func(ids ...string) int64 {
		before := w.store.reads.Load()
		for _, id := range ids {
			must(w.Credential(t.Context(), id))(t)
		}
		return w.store.reads.Load() - before
	}
	reads(alice, bob)
	if n := reads(alice, bob); n != 0 {
		t.Errorf("the warm path reads %d rows", n)
	}
	must(w.UpdateUser(t.Context(), w.root(), "bob", iam.UserChange{Remark: ptr("x")}))(t)
	if n := reads(alice); n != 0 {
		t.Errorf("a change of bob made alice read %d rows", n)
	}
	if n := reads(bob); n != 2 {
		t.Errorf("a change of bob made bob read %d rows, want the user and the policy", n)
	}
	w.stale.Store(true)
	if n := reads(alice); n == 0 {
		t.Error("what was cached is used while the feed is cut off")
	}
}

// TestChangesOfAnotherNode holds that a change that another node made is in force
// once the feed has told of it, row by row or all at once.
func TestChangesOfAnotherNode(t *testing.T) {
	ctx, url, keys := t.Context(), storetest.Postgres(t), sealtest.Keyring(t)
	here, there := startWorld(t, url, origin, keys), startWorld(t, url, origin+"2", keys)
	here.Founded = must(here.CreateAccount(ctx, here.operator(), "Example"))(t)
	account := here.Account.ID
	here.policy(t, "crypto", "Allow", `"kms:Encrypt"`)
	key := here.user(t, "alice", "crypto").AccessKey.ID
	usable := func() bool {
		c := must(here.Credential(ctx, key))(t)
		request := authz.Request{Action: "kms:Encrypt", Resource: "acs:kms:any:" + account + ":key/any"}
		return c.Refusal == nil && here.call(c.Principal).Decide(request).Allowed
	}
	for _, told := range []struct{ key, user, policy [2]string }{
		{[2]string{"iam_access_key", key}, [2]string{"iam_user", account + "/alice"}, [2]string{"iam_policy", account + "/crypto"}},
		{}, // that anything may have changed
	} {
		for _, change := range []struct {
			do   func(on bool) error
			told [2]string
		}{
			{func(on bool) error {
				return drop(there.UpdateAccessKey(ctx, here.root(), key, iam.AccessKeyChange{Enabled: &on}))
			}, told.key},
			{func(on bool) error {
				return drop(there.UpdateUser(ctx, here.root(), "alice", iam.UserChange{Enabled: &on}))
			}, told.user},
			{func(on bool) error {
				effect := map[bool]string{true: "Allow", false: "Deny"}[on]
				return drop(there.UpdatePolicy(ctx, here.root(), "crypto", iam.PolicyChange{Document: ptr(document(effect, `"kms:Encrypt"`))}))
			}, told.policy},
		} {
			for _, on := range []bool{false, true} {
				if usable() == on {
					t.Fatalf("told %q: the test begins wrong", change.told)
				}
				if err := change.do(on); err != nil {
					t.Fatal(err)
				}
				here.Changed(change.told[0], change.told[1])
				if usable() != on {
					t.Errorf("told %q: the key is usable: %t, want %t", change.told, !on, on)
				}
			}
		}
	}
}

// TestLostPolicy holds that a user whose policy is not there any more, which might
// have denied something, is refused altogether, and not with a fault of the caller.
func TestLostPolicy(t *testing.T) {
	w := newWorld(t)
	w.policy(t, "guard", "Deny", `"kms:*"`)
	id := w.user(t, "alice", "guard", "AliyunKMSFullAccess").AccessKey.ID
	w.store.lostPolicy.Store(true)
	_, err := w.Credential(t.Context(), id)
	wantKind(t, err, fault.Internal)
}
