package target_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/edge"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A generation is used when every point of presence confirmed it, and the census counts the
// target as it counts a machine.
func TestEdge(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.add(t, w.edgeDraft())
		w.pass(t, 5*time.Second)
		w.stands(t, 1, rollout.Used)
		if got := w.cdn.Value("pay"); got != value(1) {
			t.Errorf("the CDN has %s", got)
		}
		first := w.member(t)
		w.publish(t)
		w.pass(t, 20*time.Second)
		w.stands(t, 2, rollout.Used)
		puts := w.cdn.Puts()
		if last := puts[len(puts)-1]; last.Primary.Version != "v2" || last.Fallback == nil || last.Fallback.Version != "v1" || len(puts) != 2 {
			t.Errorf("%d were put, the last is %+v", len(puts), last)
		}
		w.pass(t, 3*time.Minute) // it is heard of all the time, and nothing is put again
		m := w.member(t)
		if !m.Ack.UsedAt.After(first.Ack.UsedAt) || w.clock().Sub(m.Presence.SeenAt) > rollout.Silent || len(w.cdn.Puts()) != 2 {
			t.Errorf("%+v, heard of at %s; %d were put", m.Ack, m.Presence.SeenAt, len(w.cdn.Puts()))
		}
		if c := rollout.Count([]rollout.Member{m}, rollout.Used, w.clock()); c.There != 1 || c.Lost != 0 {
			t.Errorf("the census is %+v", c)
		}
	})
}

// A point of presence that never confirms holds the target up and is named; drained, nobody
// waits for it.
func TestAPointOfPresenceNeverConfirms(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.cdn.Add("nrt1", false)
	w.add(t, w.edgeDraft())
	w.pass(t, time.Minute)
	w.stands(t, 1, rollout.Received, "1 of 3", "nrt1")
	if c := rollout.Count([]rollout.Member{w.member(t)}, rollout.Used, w.clock()); c.There != 0 || len(c.Errors) != 1 || !strings.Contains(c.Errors[0], "nrt1") {
		t.Errorf("the census is %+v", c)
	}
	w.cdn.Drain("nrt1")
	w.pass(t, 20*time.Second)
	w.stands(t, 1, rollout.Used)
}

// A point of presence that is added later counts from then on: the target falls behind until
// it has the generation, too.
func TestAPointOfPresenceIsAdded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.add(t, w.edgeDraft())
		w.pass(t, 5*time.Second)
		w.stands(t, 1, rollout.Used)
		w.cdn.Add("nrt1", false)
		w.pass(t, time.Minute)
		w.stands(t, 1, rollout.Received, "nrt1")
		if w.member(t).There(rollout.Used) {
			t.Error("it counts as there")
		}
		fell := w.clock()
		w.cdn.Take("nrt1")
		w.pass(t, 20*time.Second)
		w.stands(t, 1, rollout.Used)
		if at := w.member(t).Ack.At; !at.After(fell) {
			t.Errorf("it came there at %s, before it fell", at)
		}
	})
}

// A controller that says yes for a point that does not hold the value is not believed.
func TestAPointOfPresenceLies(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.cdn.Add("nrt1", false)
	w.add(t, w.edgeDraft())
	w.pass(t, 5*time.Second)
	w.cdn.Lie("nrt1")
	w.pass(t, 20*time.Second)
	w.stands(t, 1, rollout.Received, "without holding the value", "nrt1")
}

// All points drained, or none at all, is no use.
func TestNoPointOfPresence(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.cdn.Drain("fra1")
	w.cdn.Drain("hkg1")
	w.add(t, w.edgeDraft())
	w.pass(t, 5*time.Second)
	w.stands(t, 1, rollout.Received, "no point of presence")
}

// What goes wrong with requests is told and tried again; what was done although the answer
// was lost is not done twice.
func TestTheWebhookFails(t *testing.T) {
	for name, f := range map[cloudtest.Fault]string{cloudtest.LoseBefore: "lost before", cloudtest.LoseAfter: "lost after", cloudtest.Error503: "unavailable", cloudtest.Double: "doubled"} {
		t.Run(f, func(t *testing.T) {
			w := newWorld(t, storetest.SQLite(t))
			w.add(t, w.edgeDraft())
			w.cdn.Putting.Next(name)
			w.pass(t, 5*time.Second)
			if name != cloudtest.Double {
				w.stands(t, 0, "", "webhook")
			}
			w.pass(t, 20*time.Second)
			w.stands(t, 1, rollout.Used)
			if n := len(w.cdn.Puts()); n != map[cloudtest.Fault]int{cloudtest.LoseBefore: 1, cloudtest.LoseAfter: 1, cloudtest.Error503: 1, cloudtest.Double: 2}[name] {
				t.Errorf("%d arrived", n)
			}
			w.cdn.Listing.Next(cloudtest.Garbage)
			w.pass(t, 30*time.Second)
			w.stands(t, 1, rollout.Used, "contract") // where it was, and what is wrong
			w.pass(t, 30*time.Second)
			w.stands(t, 1, rollout.Used)
		})
	}
}

// A webhook that cannot be reached leaves the target where it was, and lost.
func TestTheWebhookIsAway(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add(t, w.edgeDraft())
	w.pass(t, 5*time.Second)
	w.web.Close()
	w.publish(t)
	w.pass(t, 2*time.Minute)
	w.stands(t, 1, rollout.Used, "cannot be reached")
	m := w.member(t)
	if st := (rollout.Standing{Node: m.Node, Presence: m.Presence}).State(w.clock()); st != rollout.Lost || m.There(rollout.Used) || m.Presence.Trouble == "" {
		t.Errorf("it is %s: %+v", st, m)
	}
}

// Without a key to seal to, only versions are named.
func TestReferences(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	d := w.edgeDraft()
	delete(d.Settings, "seal_key")
	w.cdn.Drain("fra1")
	w.cdn.Drain("hkg1")
	w.add(t, d)
	w.pass(t, 5*time.Second)
	if g := w.cdn.Puts()[0]; g.Primary.Version != "v1" || g.Primary.Sealed != nil || g.Secret != "pay/key" {
		t.Errorf("%+v was put", g)
	}
}

// A drained target is left alone, and is no member.
func TestADrainedTarget(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.add(t, w.edgeDraft())
	_, err := w.rollouts.Drain(t.Context(), root(), "there")
	check(t, err)
	w.pass(t, time.Minute)
	if n := len(w.cdn.Puts()); n != 0 {
		t.Errorf("%d were put", n)
	}
	_, err = w.rollouts.Undrain(t.Context(), root(), "there")
	check(t, err)
	w.pass(t, 20*time.Second)
	w.stands(t, 1, rollout.Used)
}

// What cannot be a target is refused before anything is stored, and nothing that is refused
// shows the credential.
func TestWhatIsNoTarget(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	for name, test := range map[string]struct {
		target string
		set    map[string]string
		key    string
		kind   fault.Kind
	}{
		"another key":      {"there", nil, "canary-key-that-is-wrong", fault.NoPermission},
		"a short key":      {"there", nil, "canary", fault.InvalidParameter},
		"no key":           {"there", nil, "", fault.MissingParameter},
		"no URL":           {"there", map[string]string{"put_url": "cdn"}, hmacKey, fault.InvalidParameter},
		"a user in a URL":  {"there", map[string]string{"put_url": "https://u:p@cdn.example.com/"}, hmacKey, fault.InvalidParameter},
		"no seal key":      {"there", map[string]string{"seal_key": "AAAA"}, hmacKey, fault.InvalidParameter},
		"no such setting":  {"there", map[string]string{"color": "red"}, hmacKey, fault.InvalidParameter},
		"a name":           {"a b", nil, hmacKey, fault.InvalidParameter},
		"no private place": {"there", map[string]string{"pops_url": "http://10.0.0.1/"}, hmacKey, fault.Unavailable},
	} {
		d := w.edgeDraft()
		for k, v := range test.set {
			d.Settings[k] = v
		}
		d.Credential = map[string]material.Bytes{"hmac_key": material.NewBytes([]byte(test.key))}
		_, err := w.Add(ctx, root(), test.target, d)
		if !fault.Is(err, test.kind) {
			t.Errorf("%s: %v", name, err)
		}
		noCanary(t, err.Error())
	}
	d := w.edgeDraft()
	d.Kind = "ftp"
	if _, err := w.Add(ctx, root(), "there", d); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), "kubernetes and edge") {
		t.Errorf("another kind: %v", err)
	}
	if all, err := w.List(ctx, root()); err != nil || len(all) != 0 {
		t.Errorf("there are %v, %v", all, err)
	}
}

// A target has its node's name to itself: nobody joins under it, adds another, or removes
// the node from under it.
func TestATargetIsANode(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	w.add(t, w.edgeDraft())
	if _, err := w.Add(ctx, root(), "there", w.edgeDraft()); !fault.Is(err, fault.ResourceExists) {
		t.Errorf("added twice: %v", err)
	}
	if err := w.rollouts.RemoveNode(ctx, root(), "there"); !fault.Is(err, fault.StateConflict) {
		t.Errorf("its node is removed: %v", err)
	}
	_, text, err := w.rollouts.CreateToken(ctx, root(), rollout.TokenInput{Node: "there"})
	check(t, err)
	known, err := w.rollouts.Recognize(ctx, text)
	check(t, err)
	if _, err := w.rollouts.Join(ctx, root(), known, rollout.JoinInput{SignKey: make([]byte, 32), SealKey: sealKey(t)}); !fault.Is(err, fault.ResourceExists) {
		t.Errorf("a machine joins as the target: %v", err)
	}
	w.pass(t, 5*time.Second)
	check(t, w.Remove(ctx, root(), "there"))
	if _, err := w.rollouts.Known(ctx, account, "there"); !fault.Is(err, fault.ResourceNotFound) {
		t.Errorf("its node is still there: %v", err)
	}
	w.pass(t, time.Minute) // its job finds nothing to do
	w.add(t, w.edgeDraft())
	w.pass(t, 5*time.Second)
	w.stands(t, 1, rollout.Used)
}

// Settings and credential change together; a setting that was changed in the database does
// not open the credential.
func TestUpdate(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	w.add(t, w.edgeDraft())
	w.cdn.Key = "another-key-of-the-edge"
	w.publish(t)
	w.pass(t, time.Minute)
	w.stands(t, 0, "", "hmac_key")
	if _, err := w.Update(ctx, root(), "there", w.edgeDraft().Filling); !fault.Is(err, fault.NoPermission) {
		t.Errorf("the old key: %v", err)
	}
	f := w.edgeDraft().Filling
	f.Credential = map[string]material.Bytes{"hmac_key": material.NewBytes([]byte(w.cdn.Key))}
	if _, err := w.Update(ctx, root(), "there", form.Filling{Settings: f.Settings}); !fault.Is(err, fault.MissingParameter) {
		t.Errorf("no credential: %v", err)
	}
	_, err := w.Update(ctx, root(), "there", f)
	check(t, err)
	w.pass(t, 5*time.Second)
	w.stands(t, 2, rollout.Used)
	if got, err := w.Show(ctx, root(), "there"); err != nil || got.Kind != "edge" || len(got.Settings) != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if edge.Kind().Name != "edge" || len(w.Kinds()) != 2 {
		t.Errorf("the kinds are %v", w.Kinds())
	}
}
