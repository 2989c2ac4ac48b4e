package agentapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/fleet"
)

// What makes no sense is refused before anything is stored.
func TestDrafts(t *testing.T) {
	w := open(t)
	w.rollout(t, "pay")
	for name, c := range map[string]struct {
		kind fault.Kind
		rollout.Draft
	}{
		"no secret":             {fault.MissingParameter, rollout.Draft{}},
		"no such secret":        {fault.ResourceNotFound, rollout.Draft{Secret: "missing"}},
		"a level in between":    {fault.InvalidParameter, rollout.Draft{Secret: "pay", Level: rollout.Received}},
		"no name of a wave":     {fault.InvalidParameter, rollout.Draft{Secret: "pay", Waves: []rollout.Wave{{}}}},
		"two of one name":       {fault.InvalidParameter, rollout.Draft{Secret: "pay", Waves: []rollout.Wave{{Name: "a"}, {Name: "a"}}}},
		"a last wave of some":   {fault.InvalidParameter, rollout.Draft{Secret: "pay", Waves: []rollout.Wave{{Name: "a", Percent: 50}}}},
		"a last wave of labels": {fault.InvalidParameter, rollout.Draft{Secret: "pay", Waves: []rollout.Wave{{Name: "a", Labels: pairs("x", "y")}}}},
		"more than all":         {fault.InvalidParameter, rollout.Draft{Secret: "pay", Waves: []rollout.Wave{{Name: "a", Percent: 100}, {Name: "b"}}}},
		"too many waves":        {fault.LimitExceeded, rollout.Draft{Secret: "pay", Waves: make([]rollout.Wave, rollout.MaxWaves+1)}},
		"a comma in a label":    {fault.InvalidParameter, rollout.Draft{Secret: "pay", Members: pairs("a", "b,c")}},
		"a long label":          {fault.InvalidParameter, rollout.Draft{Secret: "pay", Members: pairs(strings.Repeat("a", rollout.MaxLabel+1), "b")}},
	} {
		_, err := w.Create(t.Context(), root(), "other", c.Draft)
		if fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
	}
	for _, name := range []string{"", "a/b", "-a", "a b", strings.Repeat("a", rollout.MaxName+1)} {
		if _, err := w.Create(t.Context(), root(), name, rollout.Draft{Secret: "pay"}); fault.KindOf(err) != fault.InvalidParameter {
			t.Errorf("the name %q: %v", name, err)
		}
	}
	for name, in := range map[string]rollout.TokenInput{
		"uses": {Uses: rollout.MaxUses + 1}, "few uses": {Uses: -1}, "life": {Life: rollout.MaxLife + time.Second}, "short life": {Life: time.Second}, "name": {Node: "a/b"},
	} {
		if _, _, err := w.CreateToken(t.Context(), root(), in); fault.KindOf(err) != fault.InvalidParameter {
			t.Errorf("a token with bad %s: %v", name, err)
		}
	}
	all, err := w.Rollouts(t.Context(), root())
	check(t, err)
	if len(all) != 1 {
		t.Errorf("there are %d rollouts", len(all))
	}
}

// While a rotation owns a rollout, people change nothing of it; who may not read a secret may
// not have it delivered.
func TestWhoMayPublish(t *testing.T) {
	w := open(t)
	r := w.rollout(t, "pay")
	policy, err := authz.Compile("test", []byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"keyward:*","Resource":"*"}]}`))
	check(t, err)
	ada := &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.User, Name: "ada", Policies: []*authz.Policy{policy}}, Time: time.Now()}
	for name, act := range map[string]func() error{
		"create":  func() error { _, err := w.Create(t.Context(), ada, "other", rollout.Draft{Secret: "pay"}); return err },
		"update":  func() error { _, err := w.Update(t.Context(), ada, "pay", rollout.Draft{}); return err },
		"publish": func() error { _, err := w.Publish(t.Context(), ada, "pay", ""); return err },
	} {
		if err := act(); fault.KindOf(err) != fault.NoPermission {
			t.Errorf("%s without the right to read: %v", name, err)
		}
	}
	if _, err := w.Publish(t.Context(), root(), "pay", "v9"); fault.KindOf(err) != fault.ResourceNotFound {
		t.Errorf("a version that is not there: %v", err)
	}
	r.Owner = "rot-1"
	check(t, fleet.Store{Store: w.node.Store}.UpdateRollout(t.Context(), audit.NewRecord(root(), "keyward:StartRotation"), &r))
	for name, act := range map[string]func() error{
		"update":  func() error { _, err := w.Update(t.Context(), root(), "pay", rollout.Draft{}); return err },
		"publish": func() error { _, err := w.Publish(t.Context(), root(), "pay", ""); return err },
		"remove":  func() error { return w.Remove(t.Context(), root(), "pay") },
	} {
		if err := act(); fault.KindOf(err) != fault.StateConflict || !strings.Contains(fault.Message(err), "rot-1") {
			t.Errorf("%s while a rotation is at it: %v", name, err)
		}
	}
}

// Publishing the same again keeps the fallback, and a wave that is new has what the last one has.
func TestGenerationsOfWaves(t *testing.T) {
	w := open(t)
	w.rollout(t, "pay", rollout.Wave{Name: "canary", Percent: 10}, rollout.Wave{Name: "rest"})
	w.publish(t, "pay", "v2")
	r, err := w.Publish(t.Context(), root(), "pay", "v2")
	check(t, err)
	want := rollout.Generation{Number: 3, Primary: "v2", Fallback: "v1"}
	if diff := cmp.Diff([]rollout.Generation{want, want}, r.Now); diff != "" {
		t.Error(diff)
	}
	r, err = w.Update(t.Context(), root(), "pay", rollout.Draft{Waves: []rollout.Wave{{Name: "new", Percent: 1}, {Name: "canary", Percent: 10}, {Name: "rest"}}})
	check(t, err)
	if diff := cmp.Diff([]rollout.Generation{want, want, want}, r.Now); diff != "" || r.Level != rollout.Used {
		t.Error(diff)
	}
}

// A fallback that is not there any more keeps nobody from the new key; a primary whose secret
// is about to be deleted is not delivered, and the node is told that it is a member.
func TestWhatCannotBeOpened(t *testing.T) {
	w := open(t)
	w.rollout(t, "pay")
	w.rollout(t, "doomed")
	w.publish(t, "pay", "v2")
	for i := range secret.MaxVersions { // v1 has no stage any more, and is dropped
		stage := secret.Stage("mine")
		if i == 0 {
			stage = secret.Current
		}
		_, _, err := w.secrets.Put(t.Context(), root(), secret.PutInput{Secret: "pay", Data: data(strings.Repeat("x", i+1)), Stages: []secret.Stage{stage}})
		check(t, err)
	}
	_, err := w.secrets.Delete(t.Context(), root(), secret.DeleteInput{Secret: "doomed"})
	check(t, err)
	a := w.agent(t, "web-1")
	out, err := a.Watch(t.Context(), 0)
	check(t, err)
	if diff := cmp.Diff([]string{"doomed", "pay"}, out.Rollouts); diff != "" {
		t.Error(diff)
	}
	if _, ok := a.Values["doomed"]; ok {
		t.Error("a secret that is about to be deleted was delivered")
	}
	if diff := cmp.Diff(map[string]string{"v2": "fake-pay-v2"}, a.Values["pay"]); diff != "" {
		t.Error(diff)
	}
}
