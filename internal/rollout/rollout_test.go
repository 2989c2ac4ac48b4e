package rollout_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/rollout"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// ack draws what a node may say.
func ack(t *rapid.T) rollout.Ack {
	at := func(name string) time.Time {
		if n := rapid.IntRange(0, 3).Draw(t, name); n > 0 {
			return day.Add(time.Duration(n) * time.Second)
		}
		return time.Time{}
	}
	return rollout.Ack{
		Generation: rapid.Int64Range(1, 3).Draw(t, "generation"), Level: rapid.SampledFrom([]rollout.Level{rollout.Received, rollout.Applied, rollout.Used}).Draw(t, "level"),
		UsedAt: at("used"), FallbackAt: at("fallback"), Fallbacks: rapid.IntRange(0, 3).Draw(t, "fallbacks"), Refused: rapid.IntRange(0, 3).Draw(t, "refused"),
	}
}

// Whatever a node says, in whatever order and however often it arrives, neither its
// generation nor, within one, anything else goes back; and the end is the same.
func TestNothingGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := make([]rollout.Ack, rapid.IntRange(1, 6).Draw(t, "words"))
		for i := range words {
			words[i] = ack(t)
			words[i].SaidAt = day.Add(time.Duration(i) * time.Minute)
		}
		know := func(order []int) rollout.Ack {
			var have rollout.Ack
			for i, w := range order {
				next := rollout.Merge(have, words[w])
				if i > 0 && (next.Generation < have.Generation || next.Generation == have.Generation &&
					(!next.Level.Reached(have.Level) || next.UsedAt.Before(have.UsedAt) || next.FallbackAt.Before(have.FallbackAt) || next.Fallbacks < have.Fallbacks || next.Refused < have.Refused)) {
					t.Fatalf("%+v went back to %+v", have, next)
				}
				if again := rollout.Merge(next, words[w]); !cmp.Equal(next, again) {
					t.Fatalf("said again it is %+v, not %+v", again, next)
				}
				have = next
			}
			return have
		}
		in := make([]int, len(words))
		for i := range in {
			in[i] = i
		}
		want, have := know(in), know(rapid.Permutation(in).Draw(t, "order"))
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A node belongs to one wave at most, the last wave takes the rest, and percentages take
// about as many as they say, always the same ones.
func TestWaves(t *testing.T) {
	r := rollout.Rollout{
		Name: "pay", Members: []form.Pair{{Name: "app", Value: "shop"}},
		Waves: []rollout.Wave{{Name: "canary", Labels: []form.Pair{{Name: "tier", Value: "canary"}}}, {Name: "tenth", Percent: 10}, {Name: "rest"}},
		Now:   []rollout.Generation{{Number: 3, Primary: "v2"}, {Number: 2, Primary: "v1"}, {}},
	}
	taken := make([]int, 3)
	for i := range 10_000 {
		n := rollout.Node{Name: fmt.Sprint("web-", i), Labels: []form.Pair{{Name: "app", Value: "shop"}}}
		w, ok := r.Wave(n)
		if again, _ := r.Wave(n); !ok || again != w {
			t.Fatalf("%s is in wave %d, then in %d, %v", n.Name, w, again, ok)
		}
		taken[w]++
		if g, ok := r.For(n); ok != (r.Now[w].Number > 0) || g != r.Now[w] {
			t.Fatalf("%s in wave %d is to have %+v", n.Name, w, g)
		}
	}
	if taken[0] != 0 || taken[1] < 850 || taken[1] > 1150 {
		t.Errorf("the waves take %v", taken)
	}
	canary := rollout.Node{Name: "c", Labels: []form.Pair{{Name: "app", Value: "shop"}, {Name: "tier", Value: "canary"}}}
	if w, ok := r.Wave(canary); w != 0 || !ok {
		t.Errorf("the canary is in wave %d, %v", w, ok)
	}
	canary.Drained = true
	if _, ok := r.Wave(canary); ok {
		t.Error("a drained node is in a wave")
	}
	if _, ok := r.Wave(rollout.Node{Name: "x", Labels: []form.Pair{{Name: "app", Value: "till"}}}); ok {
		t.Error("a node without the label is in a wave")
	}
}

// A census counts what was said of the generation that members are to have.
func TestCensus(t *testing.T) {
	member := func(name string, target, acked int64, level rollout.Level, seen time.Duration) rollout.Member {
		return rollout.Member{
			Node: rollout.Node{Name: name}, Target: rollout.Generation{Number: target},
			Ack:      rollout.Ack{Generation: acked, Level: level, At: day.Add(seen), UsedAt: day, Fallbacks: 1, Error: map[bool]string{true: "a probe failed"}[name == "d"]},
			Presence: rollout.Presence{SeenAt: day.Add(-seen)},
		}
	}
	c := rollout.Count([]rollout.Member{
		member("a", 2, 2, rollout.Used, 0), member("b", 2, 3, rollout.Used, time.Second), member("c", 2, 1, rollout.Used, time.Second),
		member("d", 2, 2, rollout.Applied, time.Hour), member("e", 0, 0, "", 0),
	}, rollout.Used, day)
	want := rollout.Census{
		Members: 5, There: 2, Behind: []string{"c", "d", "e"}, Lost: 1, LastAck: day.Add(time.Second), UsedAt: day, Fallbacks: 5, Errors: []string{"d: a probe failed"},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

// A shelf has no rollouts and remembers what is reported.
type shelf struct {
	rollout.Plans
	rollout.Reports
	said []rollout.Report
}

func (*shelf) Rollouts(context.Context, string) ([]rollout.Rollout, error) { return nil, nil }

func (s *shelf) SaveReports(_ context.Context, all []rollout.Report) error {
	s.said = append(s.said, all...)
	return nil
}

// What is said in the name of a node that has joined anew since is not taken for what it says.
func TestWhoJoinedBeforeIsNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &shelf{}
		s := rollout.New(rollout.Options{Plans: kept, Reports: kept, Now: time.Now, Fresh: func() bool { return true }, Logger: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = s.Run(ctx) }()
		old := rollout.Node{Account: "1000000000000001", Name: "web-1", JoinedAt: time.Now()}
		anew := old
		anew.JoinedAt = old.JoinedAt.Add(time.Second)
		for n, node := range []rollout.Node{old, anew, old} {
			st := rollout.Statement{SaidAt: time.Now().Add(time.Duration(n) * time.Second), Version: fmt.Sprint(n)}
			if _, err := s.Report(ctx, &authz.Call{}, node, st); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		synctest.Wait()
		if len(kept.said) != 1 || kept.said[0].Presence.Version != "1" || !kept.said[0].JoinedAt.Equal(anew.JoinedAt) {
			t.Errorf("kept is %+v", kept.said)
		}
	})
}
