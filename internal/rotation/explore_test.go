package rotation_test

import (
	"fmt"
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
	last    string     // the move that violated it
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
			x.wrong, x.at, x.last = x.broken, from, fmt.Sprintf(format, args...)+"\n      "+n.String()
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
	for i, at := range path[1:] {
		found := false
		x.emit = func(_ actor, n state, format string, args ...any) {
			if !found && n == x.states[at] {
				found = true
				tell(fmt.Sprintf(format, args...))
			}
		}
		x.broken = ""
		x.moves(x.states[path[i]])
	}
	if x.last != "" {
		tell(x.last)
	} else {
		b.WriteString("      " + x.states[x.at].String() + " " + x.states[x.at].row.String() + "\n")
	}
	b.WriteString("     ⇒ " + x.wrong + "\n")
	return b.String()
}

var pair = rotation.Means{Archetype: rotation.Pair, MaxKeys: 2, Tagged: true, Listed: true, Verifies: true}

func TestTry(t *testing.T) {
	for f := 0; f <= 2; f++ {
		x := explore(setting{name: "pair", means: pair, nodes: 2, waves: 1, faults: f})
		t.Log(f, len(x.states), len(x.links), x.wrong)
		if x.wrong != "" {
			t.Fatal("\n" + x.trace())
		}
	}
}
