package rotation_test

import (
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/rotation"
)

// Where somebody else has changed what readers of the secret get, no key is ended, whatever the
// step: it halts, says what is wrong and what to do, and goes on when that is done.
func TestNoKeyIsEndedBehindReaders(t *testing.T) {
	for step, right := range map[rotation.Step]string{
		rotation.Rehearsing: "v0", rotation.Creating: "v0", rotation.Settling: "v0", rotation.Grace: "v1", rotation.Disabling: "v1", rotation.Observing: "v1",
		rotation.Dropping: "v1", rotation.Deleting: "v1", rotation.Withdrawing: "v0",
	} {
		for _, reads := range []string{"v0", "v1", "v2", ""} {
			for _, means := range []rotation.Means{pair, byHand} {
				r, sight := lesson(means, step), everybody
				if step == rotation.Creating {
					r.New = rotation.Key{}
				}
				sight.Reads = &rotation.Reading{Secret: "pay/key", Version: reads}
				next, act := rotation.Decide(r, sight, epoch)
				fine := reads == right || step == rotation.Settling && reads == "v1" || step == rotation.Withdrawing && reads != "v1"
				if halted := next.Halt == rotation.SecretChanged; halted == fine {
					t.Fatalf("%s, readers have %q: it halts for %q", step, reads, next.Halt)
				}
				if fine {
					continue
				}
				if act.Kind != rotation.Proceed || next.Intent != nil || next.Step != step {
					t.Errorf("%s, readers have %q: it does %s at %s", step, reads, act.Kind, next.Step)
				}
				want := "keyward secret rollback pay/key " + right
				if reads == "" {
					want = "keyward secret restore pay/key"
				}
				if !strings.Contains(next.Detail, want) {
					t.Errorf("%s, readers have %q: it says %q", step, reads, next.Detail)
				}
				resumed, err := next.Resume("p", epoch)
				if err != nil {
					t.Fatal(err)
				}
				if again, _ := rotation.Decide(resumed, sight, epoch); again.Halt != rotation.SecretChanged {
					t.Errorf("%s, readers have %q still: it goes on", step, reads)
				}
				sight.Reads = &rotation.Reading{Secret: "pay/key", Version: right}
				if again, _ := rotation.Decide(resumed, sight, epoch); again.Halt != "" {
					t.Errorf("%s, put right: it halts for %s", step, again.Halt)
				}
			}
		}
	}
}

// What readers get is the rotation's to change, until a person stops it and it has come to rest.
func TestWhoMayChangeTheSecret(t *testing.T) {
	r := lesson(pair, rotation.Grace)
	under := &rotation.Intent{Kind: rotation.Disable}
	for _, c := range []struct {
		change func(*rotation.Rotation)
		want   bool
	}{
		{func(*rotation.Rotation) {}, true},
		{func(r *rotation.Rotation) { r.Paused = "p" }, false},
		{func(r *rotation.Rotation) { r.Halt = rotation.NoRoom }, false},
		{func(r *rotation.Rotation) { r.Paused, r.Intent = "p", under }, true},
		{func(r *rotation.Rotation) { r.Step = rotation.Done }, false},
	} {
		r := r
		if c.change(&r); r.Reserves() != c.want {
			t.Errorf("%+v: %t", r, r.Reserves())
		}
	}
}
