package leak

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/keyward/keyward/internal/leak/judge"
	"github.com/keyward/keyward/internal/leak/syntax"
)

const (
	pairReach = 400 // how far a secret may stand from its identifier, if its rule does not say
	backwards = 60  // what it costs to stand before it, in bytes
	maxRuns   = 64  // candidates looked at around an identifier
	maxIDs    = 64  // identifiers in a list of strings whose secrets are looked for
	maxPool   = 12  // strings of the right shape, beyond which a list of strings tells nothing
)

// A bond is an identifier, and what may be its secret.
type bond struct {
	id, use int // index in matches; of the identifier's uses
	secret  syntax.Span
	cost    int
	rule    *Rule
}

// pairs finds the secrets of identifiers: the cheapest bonds first, each identifier with
// one secret of a rule and each secret with one identifier.
func (w *Worker) pairs() {
	var bonds []bond
	slices.SortFunc(w.values, func(a, b syntax.Assignment) int { return cmp.Compare(a.Value.End, b.Value.End) })
	ids := 0
	for i, m := range w.matches {
		if m.Rule.Class == Secret {
			continue
		}
		if ids++; w.part.Pool && ids > maxIDs {
			break
		}
		for u, use := range w.scanner.pairs[m.Rule.ID] {
			bonds = w.bonds(bonds, bond{id: i, use: u, rule: use.rule}, use.pair)
		}
	}
	slices.SortFunc(bonds, func(a, b bond) int { return cmp.Compare(a.cost, b.cost) })
	type claim struct{ id, use int }
	claimed, taken := map[claim]bool{}, map[syntax.Span]bool{}
	for _, b := range bonds {
		if claimed[claim{b.id, b.use}] || taken[b.secret] {
			continue
		}
		claimed[claim{b.id, b.use}], taken[b.secret] = true, true
		if i := slices.IndexFunc(w.matches, func(m Match) bool { return m.Rule == b.rule && m.Start == b.secret.Start && m.End == b.secret.End }); i >= 0 {
			w.matches[i].KeyID = w.matches[b.id].KeyID // its own form has found it, too
			continue
		}
		confidence := Certain
		if w.part.Pool {
			confidence = Likely
		}
		w.matches = append(w.matches, Match{Rule: b.rule, Start: b.secret.Start, End: b.secret.End, Confidence: confidence,
			Severity: b.rule.Severity, KeyID: w.matches[b.id].KeyID, rank: max(rankPair-b.cost, 2*rankOwnName)})
	}
	for c := range claimed {
		w.matches[c.id].paired = true
	}
}

// bonds adds what may be the secret of an identifier.
func (w *Worker) bonds(bonds []bond, b bond, p *Pair) []bond {
	id := w.matches[b.id]
	within := cmp.Or(p.Within, pairReach)
	add := func(s syntax.Span, extra int) {
		if s.Start < id.End && id.Start < s.End {
			return
		}
		b.cost = s.Start - id.End + extra
		if s.End <= id.Start {
			b.cost = id.Start - s.End + backwards + extra
		}
		if b.cost > within+backwards+extra && !w.part.Pool {
			return
		}
		if _, ok := b.rule.judge(s.In(w.part.Text)); ok && judge.Random(s.In(w.part.Text)) {
			b.secret = s
			bonds = append(bonds, b)
		}
	}
	for _, v := range w.valuesNear(id, within) {
		if p.Fits(v.Value.In(w.part.Text)) {
			add(v.Value, 0)
		}
	}
	if p.Assigned {
		return bonds
	}
	runs := w.runs(id, p, within)
	if w.part.Pool && len(runs) > maxPool {
		return bonds
	}
	for _, run := range runs {
		add(run, backwards) // a name would be better
	}
	return bonds
}

// valuesNear answers the assigned values that may be near enough to an identifier.
func (w *Worker) valuesNear(id Match, within int) []syntax.Assignment {
	if w.part.Pool {
		return nil // names are lost
	}
	from, _ := slices.BinarySearchFunc(w.values, id.Start-within-backwards, func(v syntax.Assignment, at int) int { return cmp.Compare(v.Value.End, at) })
	to, _ := slices.BinarySearchFunc(w.values, id.End+within+backwards, func(v syntax.Assignment, at int) int { return cmp.Compare(v.Value.End, at) })
	return w.values[from:to]
}

// runs answers the stretches around an identifier that have a shape and stand alone.
func (w *Worker) runs(id Match, p *Pair, within int) (runs []syntax.Span) {
	text := w.part.Text
	from, to := max(0, id.Start-within), min(len(text), id.End+within)
	if w.part.Pool {
		from, to = 0, len(text)
	}
	for from > 0 && from < len(text) && p.Set[text[from-1]] && p.Set[text[from]] {
		from++ // not from the middle of a run
	}
	for at := from; at < to && len(runs) < maxRuns; {
		if !p.Set[text[at]] {
			at++
			continue
		}
		end := at
		for end < len(text) && end-at <= p.Max+1 && p.Set[text[end]] {
			end++
		}
		n := end - at
		for pad := 0; pad < p.Pad && end < len(text) && text[end] == '='; pad++ {
			end++
		}
		span := syntax.Span{Start: at, End: end}
		if n >= p.Min && n <= p.Max && p.Fits(span.In(text)) && boundary(text, at) && !escape(text, at-1) && !escape(text, end) && (end == len(text) || !isWord(text[end]) && text[end] != '=') && (!w.part.Pool || ownLine(text, span)) {
			runs = append(runs, span)
		}
		for at = max(end, at+1); at < to && p.Set[text[at]]; at++ { // the rest of a run that is too long
		}
	}
	return runs
}

// escape tells whether a sign stands at an offset as URLs write it, such as %3D: what is
// beside it is not all that it seems, and is looked at again when it is decoded.
func escape(text []byte, at int) bool {
	return at >= 0 && at+2 < len(text) && text[at] == '%' && isHex(text[at+1]) && isHex(text[at+2])
}

// ownLine tells whether a span is all of its line.
func ownLine(text []byte, s syntax.Span) bool {
	return (s.Start == 0 || text[s.Start-1] == '\n') && (s.End == len(text) || bytes.IndexByte([]byte("\r\n"), text[s.End]) >= 0)
}
