package rotation_test

import (
	"github.com/keyward/keyward/internal/rotation"
	"testing"
	"time"
)

func TestTry2(t *testing.T) {
	for _, c := range []setting{
		{name: "undrained", means: pair, nodes: 2, waves: 1, faults: 1, undrained: true, uses: true},
		{name: "undrained", means: pair, nodes: 2, waves: 1, faults: 2, undrained: true, uses: true},
		{name: "unordered", means: pair, nodes: 2, waves: 1, faults: 0, unordered: true},
		{name: "byKey", means: pair, nodes: 2, waves: 1, faults: 0, byKey: true},
		{name: "unfenced", means: pair, nodes: 1, waves: 1, faults: 1, unfenced: true},
		{name: "unfenced", means: pair, nodes: 1, waves: 1, faults: 2, unfenced: true},
	} {
		s := time.Now()
		x := explore(c)
		t.Log(c.name, c.faults, len(x.states), x.wrong, time.Since(s))
		if x.wrong != "" {
			t.Log("\n" + x.trace())
		}
	}
}
func TestTry3(t *testing.T) {
	multi := rotation.Means{Archetype: rotation.Multi, MaxKeys: 2, Tagged: true, Listed: true, Verifies: true}
	repeats := multi
	repeats.Repeats = true
	blind := multi
	blind.Listed = false
	untagged := pair
	untagged.Tagged = false
	promote := rotation.Means{Archetype: rotation.Promote, MaxKeys: 2, Listed: true, Verifies: true, Tagged: true}
	promoteBlind := promote
	promoteBlind.Listed = false
	fixed := rotation.Means{Archetype: rotation.FixedOverlap, Listed: true, Verifies: true, Tagged: true, Overlap: overlap}
	fixedRepeats := fixed
	fixedRepeats.Repeats = true
	fixedBlind := fixed
	fixedBlind.Listed = false
	pending := rotation.Means{Archetype: rotation.Pending, Listed: true, Verifies: true, Tagged: true, Overlap: overlap}
	roll := rotation.Means{Archetype: rotation.Roll, Verifies: true}
	for _, c := range []setting{
		{name: "pair waves", means: pair, nodes: 2, waves: 2, faults: 1, approve: true},
		{name: "pair late", means: pair, nodes: 2, late: 1, waves: 1, faults: 1},
		{name: "pair denied", means: pair, nodes: 2, waves: 1, faults: 1, denied: true},
		{name: "pair foreign", means: pair, nodes: 1, waves: 1, faults: 2, foreign: true},
		{name: "untagged", means: untagged, nodes: 1, waves: 1, faults: 2},
		{name: "untagged alien", means: untagged, nodes: 1, waves: 1, faults: 1, alien: true},
		{name: "multi", means: multi, nodes: 2, waves: 1, faults: 1},
		{name: "multi repeats", means: repeats, nodes: 1, waves: 1, faults: 2},
		{name: "multi blind", means: blind, nodes: 1, waves: 1, faults: 2},
		{name: "promote", means: promote, nodes: 1, waves: 1, faults: 2},
		{name: "promote blind", means: promoteBlind, nodes: 1, waves: 1, faults: 2},
		{name: "fixed", means: fixed, nodes: 1, waves: 1, faults: 2},
		{name: "fixed repeats", means: fixedRepeats, nodes: 1, waves: 1, faults: 2},
		{name: "fixed blind", means: fixedBlind, nodes: 1, waves: 1, faults: 2},
		{name: "pending", means: pending, nodes: 1, waves: 1, faults: 2},
		{name: "roll", means: roll, nodes: 1, waves: 1, faults: 1},
		{name: "manual", means: rotation.Means{Archetype: rotation.Manual, Verifies: true}, nodes: 2, waves: 1, faults: 1},
		{name: "counterparty", means: rotation.Means{Archetype: rotation.Counterparty}, nodes: 2, waves: 1, faults: 1},
	} {
		s := time.Now()
		x := explore(c)
		t.Log(c.name, c.faults, len(x.states), x.wrong, time.Since(s), x.halted)
		if x.wrong != "" {
			t.Log("\n" + x.trace())
		}
	}
}
