package leak

import (
	"slices"

	"github.com/keyward/keyward/internal/leak/prefilter"
	"github.com/keyward/keyward/internal/leak/syntax"
)

// reach is how far a hint may stand from what it is about, in bytes.
const reach = 600

// A hinted is what a hint stands for.
type hinted struct {
	provider *Provider
	length   int
}

// nearHints are the hints around the assignment that was looked at last: the rules that
// ask for them come one after the other.
type nearHints struct {
	known bool
	of    syntax.Assignment
	from  int // of the text that was looked at
	hits  prefilter.Hits
}

// pathHints are the hints in the path that was looked at last.
type pathHints struct {
	path string
	hits prefilter.Hits
}

// evidence answers how much speaks for a rule's provider, -1 if it is not enough.
func (w *Worker) evidence(u namedUse, a syntax.Assignment) int {
	rank := w.hint(u.rule.Provider, a)
	switch {
	case rank > 0:
		return rank
	case u.named.Alone:
		return rankAlone
	}
	return -1
}

// hint answers the rank of the best hint of a provider: in the name, near, in the path.
func (w *Worker) hint(p *Provider, a syntax.Assignment) int {
	if len(p.Hints) == 0 {
		return 0
	}
	if w.hintWord(p, a.Name.In(w.part.Text)) {
		return rankOwnName
	}
	rank := 0
	for _, h := range w.hintsNear(a) {
		hinted := w.scanner.hinted[h.Pattern]
		if hinted.provider != p {
			continue
		}
		at := w.near.from + int(h.End)
		switch {
		case at-hinted.length >= a.Name.Start && at <= a.Name.End:
			return rankOwnName
		case at > a.Value.Start && at <= a.Value.End:
			continue // the value does not speak for itself
		}
		distance := min(abs(a.Name.Start-at), abs(at-a.Value.End))
		rank = max(rank, rankNear+reach-distance)
	}
	if rank == 0 && w.hintOnPath(p) {
		return rankPath
	}
	return rank
}

// hintsNear answers the hints of all providers around an assignment.
func (w *Worker) hintsNear(a syntax.Assignment) []prefilter.Hit {
	if n := &w.near; !n.known || n.of != a {
		n.known, n.of, n.from = true, a, max(0, a.Name.Start-reach)
		w.scanner.hints().Find(w.part.Text[n.from:min(len(w.part.Text), a.Value.End+reach)], &n.hits)
	}
	return w.near.hits.All
}

func (w *Worker) hintOnPath(p *Provider) bool {
	if w.onPath.path != w.part.Path {
		w.onPath.path = w.part.Path
		w.scanner.hints().Find([]byte(w.part.Path), &w.onPath.hits)
	}
	return slices.ContainsFunc(w.onPath.hits.All, func(h prefilter.Hit) bool { return w.scanner.hinted[h.Pattern].provider == p })
}

// hintWord tells whether a word of a name is a provider's.
func (w *Worker) hintWord(p *Provider, name []byte) (found bool) {
	syntax.Words(name, func(word []byte) bool {
		w.word = syntax.Plain(append(w.word[:0], '='), word)
		found = slices.Contains(p.Hints, string(w.word))
		return !found
	})
	return found
}

func abs(n int) int { return max(n, -n) }
