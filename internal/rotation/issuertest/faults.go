package issuertest

import (
	"maps"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/rotation"
)

// faults are what happens to a request, by name.
var faults = map[string]cloudtest.Fault{
	"unreachable": unreachable, "request lost": cloudtest.LoseBefore, "answer lost": cloudtest.LoseAfter, "doubled": cloudtest.Double,
	"late": cloudtest.Delay, "500": cloudtest.Error500, "503": cloudtest.Error503, "429": cloudtest.Throttle, "garbage": cloudtest.Garbage,
}

// everyFault has every operation suffer every fault: where it changes something, where it
// only reads, once and always. What it says then must be true.
func everyFault(p *play) {
	for name, f := range faults {
		for _, op := range operations(p) {
			where := map[Effect]bool{op.effect: true, Nothing: true}
			if op.effect == Deletes { // which some providers want disabled first
				where[Disables] = true
			}
			for at := range where {
				for _, always := range []bool{false, true} {
					one := trial{p.again(), op, f, at, always}
					if !one.run() {
						p.Errorf("%s, with the fault %q at a request that %s, always %t", op.name, name, at, always)
					}
				}
			}
		}
	}
}

// A trial is one operation under one fault.
type trial struct {
	*play
	op     operation
	fault  cloudtest.Fault
	at     Effect // what the requests do that fail
	always bool
}

func (t trial) run() (fine bool) {
	failed := t.Failed()
	key := t.prepare()
	before := t.Truth()
	t.wire.heal()
	t.wire.fail(t.at, t.fault, t.always)
	begun := time.Now()
	err := t.op.call(t.Context(), t.play, key)
	if took := time.Since(begun); took > late {
		t.Errorf("it took %s", took)
	}
	if n := t.wire.count(t.op.effect); t.op.effect != Nothing && n > 1 {
		t.Errorf("%d requests were sent that may have had an effect", n)
	}
	after := t.Truth()
	switch {
	case err == nil && t.op.effect == Nothing:
	case err == nil:
		t.done(before, after, key)
	default:
		t.judge(err, maps.Equal(before, after))
	}
	t.wire.heal()
	if t.op.effect == Disables || t.op.effect == Enables || t.op.effect == Deletes { // what may be asked for again
		if err := t.op.call(t.Context(), t.play, key); err != nil {
			t.Errorf("when all is well again: %v", err)
		}
		t.done(before, t.Truth(), key)
	}
	return t.Failed() == failed
}

// prepare answers the key that the operation is about, in a state that it changes.
func (t trial) prepare() Credential {
	if t.op.effect == Creates || t.op.effect == Nothing {
		return t.Old
	}
	made := t.create(1)
	// What is deleted is disabled already, or, as an orphan, not.
	if t.op.effect == Enables || t.op.effect == Deletes && t.always && t.means.Archetype == rotation.Pair {
		if err := t.issuer.Disable(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// done checks that a call that succeeded did what it says.
func (t trial) done(before, after map[string]accesskey.Status, key Credential) {
	fine := true
	status, there := after[key.ID]
	switch t.op.effect {
	case Creates:
		fine = len(added(before, after)) == 1 || t.fault == cloudtest.Double && len(added(before, after)) == 2
	case Disables:
		fine = status == accesskey.Inactive
	case Enables:
		fine = status == accesskey.Active
	case Deletes:
		if t.means.Archetype == rotation.Promote {
			_, there = after[t.Old.ID]
		}
		fine = !there
	}
	if !fine {
		t.Errorf("it says that it succeeded, and of %v became %v", before, after)
	}
}

// judge checks what an error says.
func (t trial) judge(err error, unchanged bool) {
	wraps := t.class(err)
	if t.op.effect == Nothing {
		if !t.always {
			t.Errorf("after one failure of a request that reads: %v", err)
		}
		return
	}
	switch wraps {
	case rotation.ErrNoEffect, rotation.ErrRefused, rotation.ErrFull, rotation.ErrAbsent:
		// A request that the network doubled may be refused for what its twin did: of that an
		// issuer knows nothing.
		if !unchanged && t.fault != cloudtest.Double {
			t.Errorf("something happened, and it says: %v", err)
		}
	}
	switch {
	case t.at == Nothing, t.fault == unreachable && unchanged: // it failed before it could change anything
		t.want(rotation.ErrNoEffect, err)
		return
	case t.at != t.op.effect:
		return
	}
	switch t.fault {
	case cloudtest.LoseBefore, cloudtest.LoseAfter, cloudtest.Delay, cloudtest.Error500, cloudtest.Error503, cloudtest.Garbage:
		t.want(nil, err)
	case cloudtest.Throttle: // the provider's own words may say more
		if wraps != nil && wraps != rotation.ErrNoEffect {
			t.Errorf("it says: %v", err)
		}
	}
}
