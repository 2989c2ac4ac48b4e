package finding_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/notify"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func about(id string) finding.Subject {
	return finding.Subject{Provider: "prod", Kind: finding.Key, ID: id}
}

func old(id, evidence string) finding.Finding {
	return finding.Finding{Rule: "AK03", Subject: about(id), Severity: finding.Medium, Evidence: []notify.Fact{{Name: "created", Value: evidence}}}
}

// An inbox is the findings of one provider, as a store would keep them.
type inbox map[string]finding.Finding

func (i inbox) look(b finding.Batch) (finding.Tally, int) {
	var known []finding.Kept
	for _, f := range i {
		body, err := f.Encode()
		if err != nil {
			panic(err)
		}
		known = append(known, finding.Kept{ID: f.ID, FirstSeen: f.FirstSeen, LastSeen: f.LastSeen, ResolvedAt: f.ResolvedAt, Body: body})
	}
	b.Account, b.Source, b.Provider = "1", "checks", "prod"
	changed, t, err := finding.Decide(known, b)
	if err != nil {
		panic(err)
	}
	for _, f := range changed {
		i[f.ID] = f
	}
	return t, len(changed)
}

func (i inbox) state(id string, now time.Time) finding.State {
	f, ok := i[finding.Name("checks", "AK03", about(id))]
	if !ok {
		return ""
	}
	return f.State(now)
}

func TestDecide(t *testing.T) {
	i := inbox{}
	at := start
	expect := func(what string, b finding.Batch, want finding.Tally, changed int, state finding.State) {
		t.Helper()
		b.At = at
		if b.ReadAt.IsZero() {
			b.ReadAt = at
		}
		got, n := i.look(b)
		if got != want || n != changed || i.state("a", at) != state {
			t.Errorf("%s: %+v, %d changed, %s; want %+v, %d, %s", what, got, n, i.state("a", at), want, changed, state)
		}
	}
	is, isNot := []finding.Finding{old("a", "x")}, []finding.Finding(nil)
	unknown := func(string, finding.Subject) bool { return true }
	expect("new", finding.Batch{Found: is}, finding.Tally{Opened: 1, Lasting: 1}, 1, finding.Open)
	at = at.Add(time.Hour)
	expect("the same", finding.Batch{Found: is}, finding.Tally{Lasting: 1}, 0, finding.Open)
	expect("not known", finding.Batch{Found: isNot, Unknown: unknown}, finding.Tally{Lasting: 1}, 0, finding.Open)
	at = at.Add(20 * time.Hour)
	expect("the same, a day later", finding.Batch{Found: is}, finding.Tally{Lasting: 1}, 1, finding.Open)
	expect("other evidence", finding.Batch{Found: []finding.Finding{old("a", "y")}}, finding.Tally{Lasting: 1}, 1, finding.Open)
	expect("over", finding.Batch{Found: isNot}, finding.Tally{Resolved: 1}, 1, finding.Resolved)
	expect("still over", finding.Batch{Found: isNot}, finding.Tally{}, 0, finding.Resolved)
	at = at.Add(time.Hour)
	expect("again", finding.Batch{Found: is}, finding.Tally{Opened: 1, Lasting: 1}, 1, finding.Open)
	f := i[finding.Name("checks", "AK03", about("a"))]
	if !f.FirstSeen.Equal(start) || !f.LastSeen.Equal(at) {
		t.Errorf("seen from %v to %v", f.FirstSeen, f.LastSeen)
	}

	// A person's word holds until something newer was read.
	f.ResolvedAt, f.ResolvedBy = at, "alice"
	i[f.ID] = f
	at = at.Add(time.Minute)
	expect("a person's word, nothing newer read", finding.Batch{Found: is, ReadAt: at.Add(-time.Minute)}, finding.Tally{}, 0, finding.Resolved)
	expect("a person's word, newer read", finding.Batch{Found: is}, finding.Tally{Opened: 1, Lasting: 1}, 1, finding.Open)
}

func TestStates(t *testing.T) {
	f := old("a", "x")
	f.Suppression = &finding.Suppression{Until: start.Add(time.Hour)}
	for at, want := range map[time.Time]finding.State{
		start: finding.Suppressed, start.Add(time.Hour - 1): finding.Suppressed, start.Add(time.Hour): finding.Open,
	} {
		if got := f.State(at); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
	f.ResolvedAt = start
	if got := f.State(start); got != finding.Resolved {
		t.Errorf("it is %s", got)
	}
}

// Whatever the history: after a look, what is so is not resolved unless a person's word is
// newer than what was read, and what is known not to be so is resolved.
func TestInboxIsWhatIsSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := inbox{}
		at := start
		read := start
		for range rapid.IntRange(1, 30).Draw(t, "looks") {
			at = at.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "hours")) * time.Hour)
			if rapid.Bool().Draw(t, "read") {
				read = at
			}
			so, unknown := map[string]bool{}, map[string]bool{}
			var found []finding.Finding
			for n := range 4 {
				id := fmt.Sprint(n)
				switch rapid.IntRange(0, 2).Draw(t, "subject") {
				case 0:
					so[id] = true
					found = append(found, old(id, rapid.SampledFrom([]string{"x", "y"}).Draw(t, "evidence")))
				case 1:
					unknown[id] = true
				}
			}
			before := inbox{}
			for id, f := range i {
				before[id] = f
			}
			tally, _ := i.look(finding.Batch{At: at, ReadAt: read, Found: found, Unknown: func(_ string, s finding.Subject) bool { return unknown[s.ID] }})
			lasting := 0
			for n := range 4 {
				id := fmt.Sprint(n)
				name := finding.Name("checks", "AK03", about(id))
				state, was := i.state(id, at), before.state(id, at)
				if state == finding.Open {
					lasting++
				}
				word := before[name].ResolvedBy != "" && !read.After(before[name].ResolvedAt)
				switch {
				case so[id] && word && state != finding.Resolved, so[id] && !word && state != finding.Open,
					unknown[id] && state != was, !so[id] && !unknown[id] && state == finding.Open:
					t.Fatalf("%s: it was %q and is %q; so %v, unknown %v, a person's word %v", id, was, state, so[id], unknown[id], word)
				}
			}
			if tally.Lasting != lasting {
				t.Fatalf("%d last, told are %d", lasting, tally.Lasting)
			}
			for name, f := range i {
				if f.ResolvedAt.IsZero() && rapid.IntRange(0, 5).Draw(t, "resolve") == 0 {
					f.ResolvedAt, f.ResolvedBy = at, "alice"
					i[name] = f
				}
			}
		}
	})
}

// Names do not run into each other, and do not change.
func TestNames(t *testing.T) {
	if got := finding.Name("checks", "AK03", about("a")); got != finding.Name("checks", "AK03", finding.Subject{Provider: "prod", Kind: finding.Key, ID: "a", Name: "other"}) || len(got) != 21 {
		t.Errorf("it is %s", got)
	}
	seen := map[string]bool{}
	for _, s := range []finding.Subject{about("ab"), about("a"), {Provider: "proda", Kind: finding.Key, ID: "b"}, {Provider: "prod", Kind: finding.Principal, ID: "a"}, {Provider: "prod", Kind: finding.Provider}} {
		seen[finding.Name("checks", "AK03", s)] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d names", len(seen))
	}
}
