package rotation_test

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
)

// An exploration visits every state that a setting can come to, in the order of how many
// moves lead to it: the first violation that it finds is a shortest one.
type exploration struct {
	model
	states  []state
	parents []int32
	index   map[state]int32
	links   [][2]int32 // what the system does by itself, from and to
	asked   [][2]int32 // what people do whom it asks
	wrong   string     // what was violated; "" for nothing
	at      int32      // before the last move
	end     state      // after it, if a move violated it
}

func newModel(c *setting) model {
	return model{setting: c, agreed: c.terms(), target: map[row][]rollout.Generation{}, moot: map[question]answer{}, orders: register{}, seen: map[[2]rotation.Step]bool{}, halted: map[rotation.Reason]bool{}}
}

func explore(c setting) *exploration {
	x := &exploration{model: newModel(&c), index: map[state]int32{}}
	x.add(c.start(), -1)
	for i := 0; i < len(x.states) && x.wrong == ""; i++ {
		x.visit(int32(i))
	}
	if x.wrong == "" {
		x.live()
	}
	return x
}

func (x *exploration) add(s state, from int32) int32 {
	if i, ok := x.index[s]; ok {
		return i
	}
	i := int32(len(x.states))
	x.index[s] = i
	x.states, x.parents = append(x.states, s), append(x.parents, from)
	return i
}

func (x *exploration) visit(from int32) {
	x.emit = func(who actor, n state, format string, args ...any) {
		if x.wrong != "" {
			return
		}
		if x.broken == "" {
			x.broken = x.check(&n)
		}
		if x.broken != "" {
			x.wrong, x.at, x.end = x.broken, from, n
			return
		}
		to := x.add(n, from)
		switch who {
		case system:
			x.links = append(x.links, [2]int32{from, to})
		case person:
			x.asked = append(x.asked, [2]int32{from, to})
		}
	}
	x.moves(x.states[from])
}

// live looks from where neither an end nor a question to a person can be reached any more
// when nothing goes wrong; and from where no end, when people do what they are asked.
func (x *exploration) live() {
	over := func(s *state) bool {
		return steps[s.row.step] == rotation.Done || steps[s.row.step] == rotation.Aborted
	}
	if i := x.stuck(x.links, func(s *state) bool { return over(s) || s.asks() }); i >= 0 {
		x.wrong, x.at = "from here it reaches neither its end nor a person", i
		return
	}
	if i := x.stuck(append(x.links, x.asked...), over); i >= 0 {
		x.wrong, x.at = "from here it never reaches its end, whatever people do", i
	}
}

// stuck answers the first state from which no links lead to a good one; -1 for none.
func (x *exploration) stuck(links [][2]int32, good func(*state) bool) int32 {
	heads, next := make([]int32, len(x.states)), make([]int32, len(links)) // the links into each state
	for i := range heads {
		heads[i] = -1
	}
	for i, l := range links {
		next[i], heads[l[1]] = heads[l[1]], int32(i)
	}
	reached := make([]bool, len(x.states))
	var queue []int32
	for i := range x.states {
		if good(&x.states[i]) {
			reached[i], queue = true, append(queue, int32(i))
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for l := heads[queue[0]]; l >= 0; l = next[l] {
			if from := links[l][0]; !reached[from] {
				reached[from], queue = true, append(queue, from)
			}
		}
	}
	for i, ok := range reached {
		if !ok {
			return int32(i)
		}
	}
	return -1
}

// trace tells how what is wrong comes about.
func (x *exploration) trace() string {
	var path []int32
	for i := x.at; i >= 0; i = x.parents[i] {
		path = append([]int32{i}, path...)
	}
	var b strings.Builder
	line := 0
	x.tells = true
	tell := func(text string) { line++; fmt.Fprintf(&b, "%3d  %s\n", line, text) }
	move := func(from, to state) {
		found := false
		x.emit = func(_ actor, n state, format string, args ...any) {
			if !found && n == to {
				found = true
				tell(fmt.Sprintf(format, args...))
			}
		}
		x.moves(from)
	}
	for i, at := range path[1:] {
		move(x.states[path[i]], x.states[at])
	}
	last := x.states[x.at]
	if x.end != (state{}) {
		move(last, x.end)
		last = x.end
	}
	fmt.Fprintf(&b, "     %s\n     ⇒ %s\n", &last, x.wrong)
	return b.String()
}

// What providers let one do.
var (
	pair         = rotation.Means{Archetype: rotation.Pair, MaxKeys: 2, Tagged: true, Listed: true, Verifies: true}
	untagged     = rotation.Means{Archetype: rotation.Pair, MaxKeys: 2, Listed: true, Verifies: true}
	roomy        = rotation.Means{Archetype: rotation.Pair, MaxKeys: 3, Tagged: true, Listed: true, Verifies: true}
	multi        = rotation.Means{Archetype: rotation.Multi, MaxKeys: 2, Tagged: true, Listed: true, Verifies: true}
	repeats      = rotation.Means{Archetype: rotation.Multi, MaxKeys: 2, Tagged: true, Listed: true, Verifies: true, Repeats: true}
	blind        = rotation.Means{Archetype: rotation.Multi, MaxKeys: 2, Verifies: true}
	promote      = rotation.Means{Archetype: rotation.Promote, MaxKeys: 2, Tagged: true, Listed: true, Verifies: true}
	promoteBlind = rotation.Means{Archetype: rotation.Promote, MaxKeys: 2, Verifies: true}
	fixed        = rotation.Means{Archetype: rotation.FixedOverlap, Tagged: true, Listed: true, Verifies: true, Overlap: overlap}
	fixedRepeats = rotation.Means{Archetype: rotation.FixedOverlap, Tagged: true, Listed: true, Verifies: true, Overlap: overlap, Repeats: true}
	fixedBlind   = rotation.Means{Archetype: rotation.FixedOverlap, Verifies: true, Overlap: overlap}
	pending      = rotation.Means{Archetype: rotation.Pending, Tagged: true, Listed: true, Verifies: true, Overlap: overlap}
	pendingDark  = rotation.Means{Archetype: rotation.Pending, Tagged: true, Listed: true, Overlap: overlap}
	byHand       = rotation.Means{Archetype: rotation.Manual, Verifies: true}
	counterparty = rotation.Means{Archetype: rotation.Counterparty}
	inPlace      = rotation.Means{Archetype: rotation.Roll, Verifies: true}
)

// Reasons for which a rotation may halt without being wrong.
const (
	refused   = rotation.NotAccepted // a key was refused for too long
	lost      = rotation.AnswerLost
	full      = rotation.NoRoom
	forbidden = rotation.CallRefused
	unclear   = rotation.Ambiguous
)

func reasonsOf(r ...rotation.Reason) []rotation.Reason { return r }

// settings are explored by every `make test`.
var settings = []setting{
	{name: "pair, 2 nodes", means: pair, nodes: 2, waves: 1, faults: 3, halts: reasonsOf(refused)},
	{name: "pair, 2 nodes in 2 waves, approvals", means: pair, nodes: 2, waves: 2, faults: 2, approve: true, halts: reasonsOf(refused)},
	{name: "pair, 3 nodes in 2 waves", means: pair, nodes: 3, waves: 2, faults: 1, halts: reasonsOf(refused)},
	{name: "pair, a node joins late", means: pair, nodes: 2, late: 1, waves: 1, faults: 1, halts: reasonsOf(refused)},
	{name: "pair, calls refused for good", means: pair, nodes: 2, waves: 1, faults: 1, denied: true, halts: reasonsOf(refused, forbidden)},
	{name: "pair, somebody else's key", means: pair, nodes: 1, waves: 1, faults: 2, foreign: true, halts: reasonsOf(refused, full)},
	{name: "pair, limit 3, somebody else's key", means: roomy, nodes: 1, waves: 1, faults: 2, foreign: true, alien: true, halts: reasonsOf(refused, full)},
	{name: "pair without tags", means: untagged, nodes: 1, waves: 1, faults: 3, halts: reasonsOf(refused)},
	{name: "pair without tags, somebody else's key", means: untagged, nodes: 1, waves: 1, faults: 1, alien: true, halts: reasonsOf(refused, full, unclear)},
	{name: "multi", means: multi, nodes: 2, waves: 1, faults: 2},
	{name: "multi, creating is repeatable", means: repeats, nodes: 1, waves: 1, faults: 3},
	{name: "multi, keys are not listed", means: blind, nodes: 1, waves: 1, faults: 3, halts: reasonsOf(lost)},
	{name: "promote", means: promote, nodes: 2, waves: 1, faults: 2},
	{name: "promote, keys are not listed", means: promoteBlind, nodes: 1, waves: 1, faults: 3, halts: reasonsOf(lost)},
	{name: "fixed overlap", means: fixed, nodes: 1, waves: 1, faults: 3, halts: reasonsOf(refused, lost)},
	{name: "fixed overlap, creating is repeatable", means: fixedRepeats, nodes: 1, waves: 1, faults: 3, halts: reasonsOf(refused)},
	{name: "fixed overlap, keys are not listed", means: fixedBlind, nodes: 1, waves: 1, faults: 3, halts: reasonsOf(refused, lost)},
	{name: "pending", means: pending, nodes: 2, waves: 1, faults: 2, halts: reasonsOf(refused)},
	{name: "pending, first used by a node", means: pendingDark, nodes: 2, waves: 1, faults: 2},
	{name: "manual", means: byHand, nodes: 2, waves: 1, faults: 2, halts: reasonsOf(refused)},
	{name: "counterparty", means: counterparty, nodes: 2, waves: 1, faults: 2},
	{name: "roll", means: inPlace, nodes: 1, waves: 1, faults: 2, halts: reasonsOf(refused, lost)},
}

// larger ones are explored by `make model`.
var larger = []setting{
	{name: "pair, 2 nodes", means: pair, nodes: 2, waves: 1, faults: 5, halts: reasonsOf(refused)},
	{name: "pair, 3 nodes in 2 waves", means: pair, nodes: 3, waves: 2, faults: 2, halts: reasonsOf(refused)},
	{name: "pair, 2 nodes join late", means: pair, nodes: 3, late: 2, waves: 1, faults: 1, halts: reasonsOf(refused)},
	{name: "multi, creating is repeatable", means: repeats, nodes: 2, waves: 2, faults: 4},
	{name: "pair without tags", means: untagged, nodes: 2, waves: 1, faults: 4, halts: reasonsOf(refused)},
	{name: "manual", means: byHand, nodes: 3, waves: 2, faults: 2, halts: reasonsOf(refused)},
}

// TestExploration: none of what is promised is broken in any state that any setting can come
// to, and from each of them the rotation comes to its end or asks a person. The steps that
// follow each other are those that docs/design/rotation.md draws.
func TestExploration(t *testing.T) {
	list := settings
	if os.Getenv("KEYWARD_MODEL") == "large" {
		list = larger
	}
	seen, states := map[[2]rotation.Step]bool{}, 0
	for _, c := range list {
		if raced {
			c.faults, c.nodes = 0, min(c.nodes, 2)
		}
		x := explore(c)
		t.Logf("%8d states, %9d moves of the system: %s, %d faults", len(x.states), len(x.links), c.name, c.faults)
		if x.wrong != "" {
			t.Fatalf("%s, %d faults:\n%s", c.name, c.faults, x.trace())
		}
		for why := range x.halted {
			if why != "" && !slices.Contains(c.halts, why) {
				t.Errorf("%s: it halts: %s", c.name, why)
			}
		}
		maps.Copy(seen, x.seen)
		states += len(x.states)
	}
	t.Logf("%8d states", states)
	if raced {
		t.Log("under the race detector without faults; `make unit` explores all of it without the detector")
		return
	}
	if len(list) == len(settings) {
		compareDiagram(t, seen)
	}
}

// compareDiagram holds the diagram in docs/design/rotation.md against what was seen.
func compareDiagram(t *testing.T, seen map[[2]rotation.Step]bool) {
	t.Helper()
	page, err := os.ReadFile("../../docs/design/rotation.md")
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[[2]rotation.Step]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ +([a-z]+) --> ([a-z]+)`).FindAllStringSubmatch(string(page), -1) {
		drawn[[2]rotation.Step{rotation.Step(m[1]), rotation.Step(m[2])}] = true
	}
	for move := range seen {
		if move[0] != move[1] && !drawn[move] {
			t.Errorf("docs/design/rotation.md does not draw: %s --> %s", move[0], move[1])
		}
	}
	for move := range drawn {
		if !seen[move] {
			t.Errorf("docs/design/rotation.md draws what never happens: %s --> %s", move[0], move[1])
		}
	}
}

// TestEveryRuleIsNeeded: with a rule taken away the exploration finds what goes wrong.
func TestEveryRuleIsNeeded(t *testing.T) {
	certain := pair
	certain.Repeats = true // so that what is shown is about disabling
	for _, test := range []struct {
		setting
		wrong string
	}{
		{setting{name: "without draining", means: certain, nodes: 1, waves: 1, faults: 2, undrained: true, uses: true}, "which the provider refuses"},
		{setting{name: "nodes take an older generation", means: pair, nodes: 2, waves: 1, unordered: true}, "k1 is deleted and node"},
		{setting{name: "nodes acknowledge the key", means: pair, nodes: 2, waves: 1, byKey: true}, "k1 is deleted and node"},
		{setting{name: "somebody makes a key beside one without tags", means: untagged, nodes: 1, waves: 1, faults: 1, alien: true, careless: true}, "done to somebody else's key"},
	} {
		x := explore(test.setting)
		if !strings.Contains(x.wrong, test.wrong) {
			t.Errorf("%s: %d states, and found: %q", test.name, len(x.states), x.wrong)
			continue
		}
		trace := x.trace()
		t.Logf("%s:\n%s", test.name, trace)
		if page, err := os.ReadFile("../../docs/design/rotation.md"); err != nil || test.undrained && !strings.Contains(string(page), trace) {
			t.Errorf("docs/design/rotation.md does not have this trace of what goes wrong %s: %v\n%s", test.name, err, trace)
		}
	}
}

// TestModelKnowsEveryField: a field of Rotation that the model does not keep would make it
// take different states for the same.
func TestModelKnowsEveryField(t *testing.T) {
	known := strings.Fields(`Account ID Plan Rollout Machine Terms Step Since Intent Doubt Tries NotBefore Old New Heir Before Attempt TriedAt MintedAt
		Base Generation Wave Published Confirmed Settled DisabledAt Cause StartAt FinishBy Approved Waived Ungated Paused Back Halt
		Trouble Detail Late OpensAt CreatedAt ChangedAt EndedAt History Rev`)
	for f := range reflect.TypeFor[rotation.Rotation]().Fields() {
		if !slices.Contains(known, f.Name) {
			t.Errorf("teach the model the field %s: row in model_test.go", f.Name)
		}
	}
}
