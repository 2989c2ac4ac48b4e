package rotation_test

import (
	"fmt"
	"hash/maphash"
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

// An exploration visits every state that a setting can come to, those with the fewest faults
// first, and of these in the order of how many moves lead to them: the first violation that it
// finds is one that takes the fewest faults, told as shortly as can be.
//
// A state that was reached with fewer faults is not visited again with more: whoever may still
// do more can do all that whoever may do less can, no move asks for a fault to have happened,
// and none that the system makes by itself depends on them.
type exploration struct {
	model
	states  []state // with the faults that may still happen
	parents []int32
	index   index
	links   [][2]int32 // what the system does by itself, from and to
	asked   [][2]int32 // what people do whom it asks
	queue   []int32    // of states to visit with as many faults as the one that is visited
	later   []int32    // with one less
	wrong   string     // what was violated; "" for nothing
	at      int32      // before the last move
	end     state      // after it, if a move violated it
}

func newModel(c *setting) model {
	return model{setting: c, agreed: c.terms(), target: map[row][]rollout.Generation{}, moot: map[question]answer{}, orders: register{}, seen: map[[2]rotation.Step]bool{}, halted: map[rotation.Reason]bool{}}
}

func explore(c setting) *exploration {
	x := &exploration{model: newModel(&c), index: newIndex(c.plain)}
	x.add(c.start(), -1)
	for faults := c.faults; faults >= 0; faults-- {
		x.queue, x.later = x.later, x.queue[:0]
		for i := 0; i < len(x.queue) && x.wrong == ""; i++ {
			if c.plain || int(x.states[x.queue[i]].faults) == faults { // else it was visited with more
				x.visit(x.queue[i])
			}
		}
	}
	if x.wrong == "" {
		x.live()
	}
	return x
}

// add has a state visited, unless it was, or will be, with as many faults to come.
func (x *exploration) add(s state, from int32) int32 {
	i, isNew := x.index.put(s, x.states)
	switch {
	case isNew:
		x.states, x.parents = append(x.states, s), append(x.parents, from)
	case s.faults > x.states[i].faults:
		x.states[i].faults, x.parents[i] = s.faults, from
	default:
		return i
	}
	if from >= 0 && (x.plain || s.faults == x.states[from].faults) {
		x.queue = append(x.queue, i)
	} else {
		x.later = append(x.later, i)
	}
	return i
}

// An index finds the number of a state, of a plain setting with its faults and otherwise whatever
// faults may still happen. It is a table with open addresses, for the states themselves are kept
// already, and there are many.
type index struct {
	plain bool
	seed  maphash.Seed
	table []int32 // numbers and one; 0 for none
}

func newIndex(plain bool) index { return index{plain, maphash.MakeSeed(), make([]int32, 1<<10)} }

// put answers the number of a state among those that there are: the next one for one that is new.
func (x *index) put(s state, all []state) (at int32, isNew bool) {
	if 2*len(all) >= len(x.table) {
		x.table = make([]int32, 2*len(x.table))
		for i := range all {
			*x.place(all[i], all) = int32(i + 1)
		}
	}
	p := x.place(s, all)
	if *p == 0 {
		*p = int32(len(all) + 1)
		return int32(len(all)), true
	}
	return *p - 1, false
}

// place answers where the number of a state is, or is to be.
func (x *index) place(s state, all []state) *int32 {
	if !x.plain {
		s.faults = 0
	}
	mask := uint64(len(x.table) - 1)
	for h := maphash.Comparable(x.seed, s); ; h++ {
		p := &x.table[h&mask]
		if *p == 0 {
			return p
		}
		t := all[*p-1]
		if !x.plain {
			t.faults = 0
		}
		if t == s {
			return p
		}
	}
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
	guided       = rotation.Means{Archetype: rotation.Manual, Guide: "g", MaxKeys: 2}
	oneKey       = rotation.Means{Archetype: rotation.Manual, Guide: "g", MaxKeys: 1}
	ending       = rotation.Means{Archetype: rotation.Manual, Guide: "g", MaxKeys: 2, Overlap: week}
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
	{name: "pair, 2 nodes in 2 waves, approvals", means: pair, nodes: 2, waves: 2, faults: 3, approve: true, halts: reasonsOf(refused)},
	{name: "pair, 3 nodes in 2 waves", means: pair, nodes: 3, waves: 2, faults: 3, halts: reasonsOf(refused)},
	{name: "pair, a node joins late", means: pair, nodes: 2, late: 1, waves: 1, faults: 3, halts: reasonsOf(refused)},
	{name: "pair, calls refused for good", means: pair, nodes: 2, waves: 1, faults: 3, denied: true, halts: reasonsOf(refused, forbidden)},
	{name: "pair, somebody else's key", means: pair, nodes: 1, waves: 1, faults: 3, foreign: true, halts: reasonsOf(refused, full)},
	{name: "pair, limit 3, somebody else's key", means: roomy, nodes: 1, waves: 1, faults: 3, foreign: true, alien: true, halts: reasonsOf(refused, full)},
	{name: "pair without tags", means: untagged, nodes: 2, waves: 1, faults: 3, halts: reasonsOf(refused)},
	{name: "pair without tags, somebody else's key", means: untagged, nodes: 1, waves: 1, faults: 3, alien: true, halts: reasonsOf(refused, full, unclear)},
	{name: "pair, windows", means: pair, nodes: 2, waves: 1, faults: 3, windows: true, halts: reasonsOf(refused)},
	{name: "pair, windows, the old key expires", means: pair, nodes: 1, waves: 1, faults: 3, windows: true, expires: true, halts: reasonsOf(refused, rotation.OldKeyGone)},
	{name: "multi", means: multi, nodes: 2, waves: 1, faults: 3},
	{name: "multi, the old key expires", means: multi, nodes: 1, waves: 1, faults: 3, expires: true, halts: reasonsOf(rotation.OldKeyGone)},
	{name: "multi, creating is repeatable", means: repeats, nodes: 2, waves: 1, faults: 3},
	{name: "multi, keys are not listed", means: blind, nodes: 2, waves: 1, faults: 3, halts: reasonsOf(lost)},
	{name: "promote", means: promote, nodes: 2, waves: 1, faults: 3},
	{name: "promote, keys are not listed", means: promoteBlind, nodes: 2, waves: 1, faults: 3, halts: reasonsOf(lost)},
	{name: "fixed overlap", means: fixed, nodes: 2, waves: 1, faults: 3, halts: reasonsOf(refused, lost)},
	{name: "fixed overlap, creating is repeatable", means: fixedRepeats, nodes: 2, waves: 1, faults: 3, halts: reasonsOf(refused)},
	{name: "fixed overlap, keys are not listed", means: fixedBlind, nodes: 2, waves: 1, faults: 3, halts: reasonsOf(refused, lost)},
	{name: "pending", means: pending, nodes: 2, waves: 1, faults: 3, halts: reasonsOf(refused)},
	{name: "pending, first used by a node", means: pendingDark, nodes: 2, waves: 1, faults: 3},
	{name: "manual", means: byHand, nodes: 2, waves: 1, faults: 3, halts: reasonsOf(refused)},
	{name: "manual, by a guide", means: guided, nodes: 2, waves: 1, faults: 3},
	{name: "manual, one key at the console", means: oneKey, nodes: 2, waves: 1, faults: 3},
	{name: "manual, the platform ends the old key", means: ending, nodes: 2, waves: 1, faults: 3},
	{name: "manual, the platform ends the old key, nodes tell of uses", means: ending, nodes: 2, waves: 1, faults: 3, tells: true},
	{name: "manual, windows, the old key expires", means: guided, nodes: 1, waves: 1, faults: 3, windows: true, expires: true, halts: reasonsOf(rotation.OldKeyGone)},
	{name: "counterparty", means: counterparty, nodes: 2, waves: 1, faults: 3},
	{name: "roll", means: inPlace, nodes: 2, waves: 1, faults: 3, halts: reasonsOf(refused, lost)},
}

// larger ones are explored by `make model`.
var larger = []setting{
	{name: "pair, 2 nodes", means: pair, nodes: 2, waves: 1, faults: 6, halts: reasonsOf(refused)},
	{name: "pair, 3 nodes in 3 waves, approvals", means: pair, nodes: 3, waves: 3, faults: 5, approve: true, halts: reasonsOf(refused)},
	{name: "pair, 3 nodes", means: pair, nodes: 3, waves: 1, faults: 5, halts: reasonsOf(refused)},
	{name: "pair, limit 3, somebody else's key", means: roomy, nodes: 3, waves: 1, faults: 3, foreign: true, alien: true, halts: reasonsOf(refused, full)},
	{name: "pair, 2 nodes join late", means: pair, nodes: 3, late: 2, waves: 1, faults: 3, halts: reasonsOf(refused)},
	{name: "pair without tags, somebody else's key", means: untagged, nodes: 2, waves: 1, faults: 3, alien: true, halts: reasonsOf(refused, full, unclear)},
	{name: "pair, windows, the old key expires", means: pair, nodes: 2, waves: 1, faults: 3, windows: true, expires: true, halts: reasonsOf(refused, rotation.OldKeyGone)},
	{name: "multi", means: multi, nodes: 3, waves: 2, faults: 5},
	{name: "multi, creating is repeatable", means: repeats, nodes: 3, waves: 2, faults: 5},
	{name: "multi, the old key expires", means: multi, nodes: 2, waves: 2, faults: 3, expires: true, halts: reasonsOf(rotation.OldKeyGone)},
	{name: "promote", means: promote, nodes: 3, waves: 2, faults: 5},
	{name: "fixed overlap", means: fixed, nodes: 3, waves: 1, faults: 5, halts: reasonsOf(refused, lost)},
	{name: "pending", means: pending, nodes: 3, waves: 1, faults: 5, halts: reasonsOf(refused)},
	{name: "pending, first used by a node", means: pendingDark, nodes: 3, waves: 1, faults: 5},
	{name: "manual", means: byHand, nodes: 3, waves: 2, faults: 5, halts: reasonsOf(refused)},
	{name: "manual, by a guide", means: guided, nodes: 3, waves: 2, faults: 5},
	{name: "manual, one key at the console", means: oneKey, nodes: 3, waves: 2, faults: 5},
	{name: "manual, the platform ends the old key", means: ending, nodes: 3, waves: 2, faults: 5},
	{name: "manual, the platform ends the old key, nodes tell of uses", means: ending, nodes: 3, waves: 2, faults: 5, tells: true},
	{name: "manual, windows, the old key expires", means: guided, nodes: 2, waves: 2, faults: 3, windows: true, expires: true, halts: reasonsOf(rotation.OldKeyGone)},
	{name: "counterparty", means: counterparty, nodes: 3, waves: 2, faults: 5},
	{name: "roll", means: inPlace, nodes: 3, waves: 1, faults: 5, halts: reasonsOf(refused, lost)},
}

// TestExploration: none of what is promised is broken in any state that any setting can come
// to, and from each of them the rotation comes to its end or asks a person. The steps that
// follow each other are those that docs/design/rotation.md draws.
func TestExploration(t *testing.T) {
	list := settings
	if os.Getenv("KEYWARD_MODEL") == "large" {
		list = larger
	}
	page := designPage(t)
	seen, states := map[[2]rotation.Step]bool{}, 0
	for _, c := range list {
		if raced {
			c.faults, c.nodes = 0, min(c.nodes, 2)
		}
		x := explore(c)
		t.Logf("%8d states, %9d moves of the system: %s, %d faults", len(x.states), len(x.links), c.name, c.faults)
		if x.wrong != "" {
			t.Errorf("%s, %d faults:\n%s", c.name, c.faults, x.trace())
		}
		for why := range x.halted {
			if why != "" && !slices.Contains(c.halts, why) {
				t.Errorf("%s: it halts: %s", c.name, why)
			}
		}
		maps.Copy(seen, x.seen)
		states += len(x.states)
		if row := fmt.Sprintf("| %s | %d | %s |", c.name, c.faults, thousands(len(x.states))); !raced && !strings.Contains(page, row) {
			t.Errorf("docs/design/rotation.md does not have: %s", row)
		}
	}
	t.Logf("%8d states", states)
	if raced {
		t.Log("under the race detector without faults; `make unit` explores all of it without the detector")
		return
	}
	if row := "| together | | " + thousands(states) + " |"; !strings.Contains(page, row) {
		t.Errorf("docs/design/rotation.md does not have: %s", row)
	}
	if os.Getenv("KEYWARD_MODEL") != "large" {
		compareDiagram(t, page, seen)
	}
}

func designPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/design/rotation.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// thousands writes a number below a billion as the page does.
func thousands(n int) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%d,%03d,%03d", n/1_000_000, n/1000%1000, n%1000)
	case n >= 1000:
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return fmt.Sprint(n)
}

// compareDiagram holds the diagram in docs/design/rotation.md against what was seen.
func compareDiagram(t *testing.T, page string, seen map[[2]rotation.Step]bool) {
	t.Helper()
	drawn := map[[2]rotation.Step]bool{}
	for _, m := range regexp.MustCompile(`(?m)^ +([a-z]+) --> ([a-z]+)`).FindAllStringSubmatch(page, -1) {
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
		{setting{name: "windows do not matter", means: pair, nodes: 1, waves: 1, windows: true, windowless: true}, "while the window is closed"},
		{setting{name: "it does not tell that it is late", means: guided, nodes: 1, waves: 1, windows: true, expires: true, untold: true}, "nobody was told"},
		{setting{name: "it goes back to a key that has expired", means: multi, nodes: 1, waves: 1, expires: true, endless: true}, "which the provider refuses"},
	} {
		if x := explore(test.setting); x.wrong == "" {
			t.Errorf("%s: %d states, and nothing is found", test.name, len(x.states))
		}
		test.plain = true // for the shortest way
		x := explore(test.setting)
		if !strings.Contains(x.wrong, test.wrong) {
			t.Errorf("%s: %d states, and found: %q", test.name, len(x.states), x.wrong)
			continue
		}
		trace := x.trace()
		t.Logf("%s:\n%s", test.name, trace)
		if test.undrained && !strings.Contains(designPage(t), trace) {
			t.Errorf("docs/design/rotation.md does not have this trace of what goes wrong %s:\n%s", test.name, trace)
		}
	}
}

// TestNothingIsLeftOut: the states that are visited are those that a search comes to which
// visits every one, each taken in its one form with as many faults to come as there can be.
func TestNothingIsLeftOut(t *testing.T) {
	if raced {
		t.Log("nothing under the race detector; `make unit` does it without the detector")
		return
	}
	for _, c := range []setting{
		{name: "promote, 3 nodes in 2 waves, one joins late", means: promote, nodes: 3, late: 1, waves: 2},
		{name: "roll", means: inPlace, nodes: 2, waves: 1, faults: 2},
		{name: "manual, one key at the console", means: oneKey, nodes: 2, waves: 1, faults: 1},
		{name: "multi, keys are not listed", means: blind, nodes: 1, waves: 1, faults: 2},
	} {
		got, want := map[state]uint8{}, map[state]uint8{}
		x := explore(c)
		for _, s := range x.states {
			f := s.faults
			s.faults = 0
			got[s] = f
		}
		c.plain = true
		for _, s := range explore(c).states {
			f := s.faults
			s.faults = 0
			x.arrange(&s)
			want[s] = max(want[s], f)
		}
		if x.wrong != "" || !maps.Equal(got, want) {
			t.Errorf("%s: %d states, want %d; %s", c.name, len(got), len(want), x.wrong)
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
