package rotation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
)

// What the search has found, each with the shortest way to it. docs/design/rotation.md tells
// the stories.

// lesson is a rotation at a step, old k0 and new k1.
func lesson(m rotation.Means, s rotation.Step) rotation.Rotation {
	return rotation.Rotation{
		ID: "r", Step: s, Since: epoch, Base: 1, Old: rotation.Key{ID: "k0", Version: "v0"}, New: rotation.Key{ID: "k1", Version: "v1"},
		Terms: rotation.Terms{Means: m, Profile: rotation.Planned, Waves: []rotation.WaveTerms{{Name: "all"}}},
	}
}

var (
	everybody = rotation.Sight{Wave: rollout.Census{Members: 1, There: 1}, All: rollout.Census{Members: 1, There: 1}}
	oneBehind = rotation.Sight{Wave: rollout.Census{Members: 2, There: 1}, All: rollout.Census{Members: 2, There: 1}}
)

// While the old key is switched on again, nodes keep what they have: a generation with the
// old key in it must not be read before the key works, nor have a number that was used.
func TestEnablingPublishesNothing(t *testing.T) {
	for generation, want := range map[int64]rollout.Generation{
		2: {Number: 2, Primary: "v1", Fallback: "v0"}, // from disabling or observing
		3: {Number: 3, Primary: "v1"},                 // from dropping or deleting
	} {
		r := lesson(pair, rotation.Enabling)
		r.Generation = generation
		if diff := cmp.Diff([]rollout.Generation{want}, r.Generations(base(1))); diff != "" {
			t.Errorf("generation %d: %s", generation, diff)
		}
	}
}

// A key that may be off already is not left for grace when a node joins: from there a
// rollback would send nodes to it.
func TestDisablingStays(t *testing.T) {
	r := lesson(pair, rotation.Disabling)
	r.Generation, r.Doubt = 2, true
	next, _ := rotation.Decide(r, oneBehind, epoch)
	if next.Step != rotation.Disabling || !next.Doubt {
		t.Errorf("it goes to %s, in doubt: %t", next.Step, next.Doubt)
	}
}

// A person who was asked to disable a key may have done so before going back is ordered.
func TestManualDisablingIsTakenBack(t *testing.T) {
	r := lesson(byHand, rotation.Disabling)
	r.Generation, r.Trouble = 2, rotation.NeedsHand
	r, err := r.Rollback("p", "", epoch)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ = rotation.Decide(r, everybody, epoch); r.Step != rotation.Enabling {
		t.Errorf("it goes to %s", r.Step)
	}
	r = lesson(byHand, rotation.Deleting)
	r.Generation, r.Trouble = 3, rotation.NeedsHand
	if r.CanGoBack(epoch) {
		t.Error("a person may have deleted the old key, and it can go back")
	}
}

// Where a console has one key, it is changed when programs have the new one; nothing is to be
// deleted then, and the way back is to change it again.
func TestOneKeyAtTheConsole(t *testing.T) {
	m := rotation.Means{Archetype: rotation.Manual, Guide: "g", MaxKeys: 1}
	r, _ := rotation.Decide(lesson(m, rotation.Disabling), everybody, epoch)
	if r.Trouble != rotation.NeedsHand || !strings.Contains(r.Detail, "change the key") {
		t.Errorf("it says %s: %s", r.Trouble, r.Detail)
	}
	if r, _ = rotation.Decide(lesson(m, rotation.Deleting), everybody, epoch); r.Step != rotation.Done {
		t.Errorf("it is %s and waits for %q", r.Step, r.Detail)
	}
	if r, _ = rotation.Decide(lesson(m, rotation.Enabling), everybody, epoch); !strings.Contains(r.Detail, "enter the old key k0") {
		t.Errorf("on the way back it says %q", r.Detail)
	}
	if r, _ = rotation.Decide(lesson(m, rotation.Withdrawing), everybody, epoch); r.Step != rotation.Aborted {
		t.Errorf("it is %s and waits for %q", r.Step, r.Detail)
	}
}

// On the way back the console has the old key in the new one's place at once: nodes that were told
// to forget it know it again before anybody is asked to change it.
func TestOneKeyAtTheConsoleOnTheWayBack(t *testing.T) {
	r := lesson(rotation.Means{Archetype: rotation.Manual, Guide: "g", MaxKeys: 1}, rotation.Dropping)
	r.Generation, r.Settled, r.Back = 3, true, "ordered"
	r, _ = rotation.Decide(r, oneBehind, epoch)
	if diff := cmp.Diff([]rollout.Generation{{Number: 4, Primary: "v1", Fallback: "v0"}}, r.Generations(base(1))); diff != "" {
		t.Error(diff)
	}
	if r, _ = rotation.Decide(r, oneBehind, epoch); r.Trouble != rotation.NodesBehind {
		t.Errorf("a node does not know the old key, and it waits for %q: %s", r.Trouble, r.Detail)
	}
	if r, _ = rotation.Decide(r, everybody, epoch); r.Trouble != rotation.NeedsHand {
		t.Errorf("it waits for %q", r.Trouble)
	}
}

// A person who was asked for a key may have changed it at the console, which ends the old one in
// a week, and not entered it yet: who goes back is asked to undo that.
func TestAChangeThatWasNotEnteredIsUndone(t *testing.T) {
	r := lesson(rotation.Means{Archetype: rotation.Manual, Guide: "g", MaxKeys: 2, Overlap: week}, rotation.Creating)
	r.New, r.Back = rotation.Key{}, "ordered"
	r, _ = rotation.Decide(r, everybody, epoch)
	if r, _ = rotation.Decide(r, everybody, epoch); r.Trouble != rotation.NeedsHand || !strings.Contains(r.Detail, "if it was made there") {
		t.Errorf("at %s it waits for %q: %s", r.Step, r.Trouble, r.Detail)
	}
	if r, err := r.Confirm("p", epoch); err != nil || r.Step != rotation.Aborted {
		t.Errorf("confirmed it is at %s: %v", r.Step, err)
	}
}

// A window may close between the decision that the old key goes and the request.
func TestNothingEndsOutsideWindows(t *testing.T) {
	closed := everybody
	closed.OpensAt = epoch.Add(time.Hour)
	if r, act := rotation.Decide(lesson(pair, rotation.Disabling), closed, epoch); act.Kind != rotation.Wait || !r.OpensAt.Equal(closed.OpensAt) {
		t.Errorf("it does %s", act.Kind)
	}
	closed.Outcome = &rotation.Outcome{Act: rotation.Look, Result: rotation.Did, Keys: []rotation.Held{{ID: "k0"}, {ID: "k1"}}}
	if _, act := rotation.Decide(lesson(pair, rotation.Deleting), closed, epoch); act.Kind != rotation.Wait {
		t.Errorf("it does %s", act.Kind)
	}
}

// Nobody goes back to a key that has expired, and what is on its way back goes on with the new
// one, which is the only one left, when a person says so.
func TestTheOldKeyExpires(t *testing.T) {
	r := lesson(pair, rotation.Grace)
	r.Generation, r.Settled, r.FinishBy = 2, true, epoch
	if _, err := r.Rollback("p", "", epoch); err == nil || r.CanGoBack(epoch) || !r.CanGoBack(epoch.Add(-time.Second)) {
		t.Error("nodes go back to a key that has expired, or cannot a second before")
	}
	bad := everybody
	bad.All.Refused = 3
	if r, _ := rotation.Decide(r, bad, epoch); r.Halt != rotation.NotAccepted || r.Back != "" {
		t.Errorf("it halts for %q, goes back: %s", r.Halt, r.Back)
	}
	for _, step := range []rotation.Step{rotation.Enabling, rotation.Returning, rotation.Unsettling, rotation.Withdrawing} {
		r := lesson(pair, step)
		r.Generation, r.FinishBy, r.Back = 3, epoch, "ordered"
		r, _ = rotation.Decide(r, everybody, epoch)
		if r.Halt != rotation.OldKeyGone {
			t.Errorf("at %s it halts for %q", step, r.Halt)
			continue
		}
		r, err := r.Resume("p", epoch)
		if want := []rollout.Generation{{Number: 4, Primary: "v1", Fallback: "v0"}}; err != nil || r.Step != rotation.Settling || !cmp.Equal(want, r.Generations(base(1))) {
			t.Errorf("from %s it goes on at %s with %v: %v", step, r.Step, r.Generations(base(1)), err)
		}
	}
	r = lesson(rotation.Means{Archetype: rotation.Manual}, rotation.Withdrawing)
	r.Generation, r.FinishBy, r.Back = 3, epoch, "ordered"
	if r, _ = rotation.Decide(r, everybody, epoch); r.Halt != "" {
		t.Error("a person may have deleted the new key, and it could go on with it")
	}
}

// Where the provider ends the old key a week after a person's change, nobody is to end it, and
// nobody goes back to it when it is as good as dead.
func TestTheProviderEndsTheOldKey(t *testing.T) {
	m := rotation.Means{Archetype: rotation.Manual, Guide: "g", MaxKeys: 2, Overlap: week}
	r, _ := rotation.Decide(lesson(m, rotation.Creating), everybody, epoch)
	if want := epoch.Add(week); !r.FinishBy.Equal(want) || !r.MintedAt.Equal(epoch) {
		t.Errorf("the old key ends at %s, want %s", r.FinishBy, want)
	}
	r.Step, r.Generation = rotation.Disabling, 2
	r, act := rotation.Decide(r, everybody, epoch.Add(time.Hour))
	if r.Trouble != rotation.NeedsHand || !strings.Contains(r.Detail, "nothing proves") {
		t.Errorf("it says %s: %s", r.Trouble, r.Detail)
	}
	seen := r
	seen.Terms.Uses = true
	if seen, act = rotation.Decide(seen, everybody, epoch.Add(time.Hour)); seen.Trouble != "" || act.Kind != rotation.Wait {
		t.Errorf("nodes tell that they use the new key, and it says %s: %s", seen.Trouble, seen.Detail)
	}
	back, err := r.Rollback("p", "", epoch.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if back, _ = rotation.Decide(back, everybody, epoch.Add(24*time.Hour)); back.Step != rotation.Returning {
		t.Errorf("nodes that could go back at once are %s", back.Step)
	}
	if _, err := r.Rollback("p", "", epoch.Add(6*24*time.Hour)); err == nil {
		t.Error("nodes go back to a key that ends tomorrow")
	}
	if r, _ = rotation.Decide(r, everybody, epoch.Add(week)); r.Step != rotation.Observing || r.CanGoBack(epoch.Add(week)) {
		t.Errorf("a week later it is %s, can go back: %t", r.Step, r.CanGoBack(epoch.Add(week)))
	}
	r.Step = rotation.Deleting
	if r, _ = rotation.Decide(r, everybody, epoch.Add(week)); r.Step != rotation.Done {
		t.Errorf("it waits for %q", r.Detail)
	}
}

// A person is told where nothing proves that the new key is in use.
func TestNothingProvesTheNewKey(t *testing.T) {
	for uses, want := range map[bool]bool{false: true, true: false} {
		r := lesson(rotation.Means{Archetype: rotation.Manual}, rotation.Disabling)
		r.Terms.Uses = uses
		if r, _ = rotation.Decide(r, everybody, epoch); strings.Contains(r.Detail, "nothing proves") != want {
			t.Errorf("nodes tell of uses: %t, and it says %q", uses, r.Detail)
		}
	}
}

// Where creating again makes no second key, what an attempt left is no orphan and takes no
// room: it is asked for again, until the answer is there.
func TestRepeatableCreation(t *testing.T) {
	r := lesson(repeats, rotation.Creating)
	r.New, r.Attempt, r.Doubt = rotation.Key{}, 1, true
	next, act := rotation.Decide(r, rotation.Sight{Outcome: &rotation.Outcome{Act: rotation.Recover, Result: rotation.NoEffect}}, epoch)
	if act.Kind != rotation.Create || act.Attempt != 1 || !next.Doubt {
		t.Fatalf("it does %s, attempt %d, in doubt: %t", act.Kind, act.Attempt, next.Doubt)
	}
	next, _ = rotation.Decide(next, rotation.Sight{Outcome: &rotation.Outcome{Act: rotation.Create, Result: rotation.NoEffect}}, epoch)
	if !next.Doubt || next.Attempt != 1 {
		t.Errorf("the second request had no effect, and the first is forgotten: attempt %d", next.Attempt)
	}
}

// Whether a promotion has happened is for a person to say: to let it go on without saying so
// would promote what is second then, or go back to a key that has ended.
func TestPromotionInDoubt(t *testing.T) {
	r := lesson(promoteBlind, rotation.Deleting)
	r.Generation, r.Doubt = 3, true
	r, _ = rotation.Decide(r, everybody, epoch)
	if r.Halt != rotation.AnswerLost {
		t.Fatalf("it halts for %q", r.Halt)
	}
	if _, err := r.Resume("p", epoch); err == nil {
		t.Error("it goes on without an answer")
	}
	if _, err := r.Rollback("p", "", epoch); err == nil {
		t.Error("it goes back to a key that may have ended")
	}
	if r, err := r.Confirm("p", epoch); err != nil || r.Step != rotation.Done {
		t.Errorf("confirmed it is at %s: %v", r.Step, err)
	}
}

// Without tags a key is taken for ours only while it is not known whether we made one, if the
// provider says that nobody ever used it, and if it was made when our request could arrive.
func TestKeysWithoutTags(t *testing.T) {
	look := func(use accesskey.Fact, made time.Time) rotation.Sight {
		return rotation.Sight{Outcome: &rotation.Outcome{Act: rotation.Look, Result: rotation.Did, Keys: []rotation.Held{
			{ID: "k0", Status: accesskey.Active}, {ID: "k9", Status: accesskey.Active, CreatedAt: made, Use: accesskey.Use{Known: use}},
		}}}
	}
	then := epoch.Add(-30 * time.Second) // when it was tried
	for _, test := range []struct {
		name string
		step rotation.Step
		made string
		use  accesskey.Fact
		at   time.Time
		in   bool // doubt
		want rotation.ActKind
	}{
		{"in doubt, never used", rotation.Creating, "", accesskey.No, then, true, rotation.Delete},
		{"in doubt, made as late as it could be", rotation.Creating, "", accesskey.No, then.Add(2 * time.Minute), true, rotation.Delete},
		{"in doubt, made before", rotation.Creating, "", accesskey.No, then.Add(-61 * time.Second), true, rotation.Proceed}, // halts
		{"in doubt, made later", rotation.Creating, "", accesskey.No, then.Add(121 * time.Second), true, rotation.Proceed},
		{"in doubt, made at an unknown time", rotation.Creating, "", accesskey.No, time.Time{}, true, rotation.Proceed},
		{"on the way back, made later", rotation.Withdrawing, "", accesskey.No, then.Add(121 * time.Second), true, rotation.Proceed},
		{"in doubt, the provider tells no use", rotation.Creating, "", accesskey.Unknown, then, true, rotation.Proceed},
		{"in doubt, used", rotation.Creating, "", accesskey.Yes, then, true, rotation.Proceed},
		{"no doubt", rotation.Creating, "", accesskey.No, then, false, rotation.Proceed}, // there is no room
		{"in doubt whether the new key is deleted", rotation.Withdrawing, "k1", accesskey.No, then, true, rotation.Proceed},
	} {
		r := lesson(untagged, test.step)
		r.New.ID, r.Attempt, r.TriedAt, r.Before, r.Doubt = test.made, 1, then, []string{"k0"}, test.in
		next, act := rotation.Decide(r, look(test.use, test.at), epoch)
		if act.Kind != test.want {
			t.Errorf("%s: it does %s %s, at %s %s", test.name, act.Kind, act.Key.ID, next.Step, next.Halt)
		}
		if next.Halt == rotation.Ambiguous && (!strings.Contains(next.Detail, "k9 (made ") || !strings.Contains(next.Detail, "2029-12-31T23:59:30Z")) {
			t.Errorf("%s: it does not say what is known: %s", test.name, next.Detail)
		}
	}
}

// Where creating starts the old key's last hours, a second one may end it at once.
func TestFixedOverlapCreatesOnce(t *testing.T) {
	r := lesson(fixed, rotation.Creating)
	r.New, r.Attempt, r.Doubt = rotation.Key{}, 1, true
	orphan := rotation.Held{ID: "k1", Tag: r.Tag(1), Status: accesskey.Active}
	r, _ = rotation.Decide(r, rotation.Sight{Outcome: &rotation.Outcome{Act: rotation.Look, Result: rotation.Did, Keys: []rotation.Held{{ID: "k0"}, orphan}}}, epoch)
	if r.Halt != rotation.AnswerLost {
		t.Fatalf("it halts for %q", r.Halt)
	}
	r, err := r.Rollback("p", "", epoch)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ = rotation.Decide(r, rotation.Sight{}, epoch); r.Step != rotation.Withdrawing {
		t.Errorf("it goes to %s", r.Step)
	}
	if _, act := rotation.Decide(r, rotation.Sight{Outcome: &rotation.Outcome{Act: rotation.Look, Result: rotation.Did, Keys: []rotation.Held{{ID: "k0"}, orphan}}}, epoch); act.Kind != rotation.Delete || act.Key.ID != "k1" {
		t.Errorf("it does %s %s", act.Kind, act.Key.ID)
	}
}

// A pending key comes alive when it is verified; from then on the old one dies.
func TestPendingAfterVerifying(t *testing.T) {
	r := lesson(pending, rotation.Verifying)
	r.MintedAt = epoch.Add(-time.Hour)
	r, _ = rotation.Decide(r, rotation.Sight{Outcome: &rotation.Outcome{Act: rotation.Verify, Result: rotation.Did, Verdict: rotation.Accepted}}, epoch)
	if r.Step != rotation.Rolling || r.CanGoBack(epoch) {
		t.Errorf("at %s it can go back: %t", r.Step, r.CanGoBack(epoch))
	}
	if want := epoch.Add(overlap); !r.FinishBy.Equal(want) {
		t.Errorf("it is to end by %s, want %s", r.FinishBy, want)
	}
	r = lesson(pending, rotation.Dropping)
	r.Generation, r.MintedAt = 3, epoch.Add(-24*time.Hour)
	if _, act := rotation.Decide(r, everybody, epoch); act.Kind != rotation.Wait || !act.At.Equal(epoch.Add(overlap)) {
		t.Errorf("it does %s until %s: the old key may have begun to die with the last node's first use", act.Kind, act.At)
	}
}

// No window is waited for while the old key dies.
func TestNoWindowWhileTheOldKeyDies(t *testing.T) {
	closed := everybody
	closed.OpensAt = epoch.Add(48 * time.Hour)
	if r, _ := rotation.Decide(lesson(fixed, rotation.Rolling), closed, epoch); r.Published.IsZero() {
		t.Error("a wave waits for a window that opens when the old key is dead")
	}
	if r, _ := rotation.Decide(lesson(pair, rotation.Rolling), closed, epoch); !r.Published.IsZero() {
		t.Error("a wave waits for no window")
	}
}

// What nodes have counted stays counted: who let it go on is not asked again.
func TestPastAGate(t *testing.T) {
	r := lesson(fixed, rotation.Rolling)
	r.Generation, r.Published = 2, epoch
	bad := everybody
	bad.All.Refused = 3
	r, _ = rotation.Decide(r, bad, epoch)
	if r.Halt != rotation.NotAccepted {
		t.Fatalf("it halts for %q", r.Halt)
	}
	r, err := r.Resume("p", epoch)
	if err != nil {
		t.Fatal(err)
	}
	if r, _ = rotation.Decide(r, bad, epoch); r.Halt != "" {
		t.Errorf("it halts again: %s", r.Halt)
	}
}
