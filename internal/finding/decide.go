package finding

import (
	"slices"
	"time"
)

// A Batch is everything that one look at one provider found.
type Batch struct {
	Account  string
	Source   string
	Provider string
	At       time.Time // of the look
	ReadAt   time.Time // when what it looked at was read
	Found    []Finding
	// Unknown tells whether the look could not say if a rule holds of a subject; nil if it
	// could say so of everything.
	Unknown func(rule string, s Subject) bool
}

// A Tally counts what a look changed and what it left.
type Tally struct {
	Opened   int // new, or open again
	Resolved int
	Lasting  int // not resolved, the opened among them; suppressed ones, too
}

// Add adds another tally.
func (t *Tally) Add(o Tally) {
	t.Opened, t.Resolved, t.Lasting = t.Opened+o.Opened, t.Resolved+o.Resolved, t.Lasting+o.Lasting
}

// refresh is how old LastSeen becomes before it is written anew: a hundred thousand rows
// are not written with every look.
const refresh = 20 * time.Hour

// Decide answers what becomes of the findings of a provider after a look: those that
// changed, as they are now. It has no clock and no memory.
func Decide(known []Finding, b Batch) (changed []Finding, t Tally) {
	before := make(map[string]*Finding, len(known))
	for i := range known {
		before[known[i].ID] = &known[i]
	}
	for _, f := range b.Found {
		f.Account, f.Source, f.FirstSeen, f.LastSeen = b.Account, b.Source, b.At, b.At
		f.ID = Name(f.Source, f.Rule, f.Subject)
		k, ok := before[f.ID]
		delete(before, f.ID)
		if !ok {
			t.Opened++
			t.Lasting++
			changed = append(changed, f)
			continue
		}
		f.FirstSeen = k.FirstSeen
		switch {
		case k.ResolvedAt.IsZero():
			if same(k, &f) && b.At.Sub(k.LastSeen) < refresh {
				t.Lasting++
				continue
			}
		case k.ResolvedBy != "" && !b.ReadAt.After(k.ResolvedAt):
			continue // nothing newer than the person's word was read
		default:
			t.Opened++
		}
		t.Lasting++
		changed = append(changed, f)
	}
	for _, k := range known {
		if _, left := before[k.ID]; !left || !k.ResolvedAt.IsZero() {
			continue
		}
		if b.Unknown != nil && b.Unknown(k.Rule, k.Subject) {
			t.Lasting++
			continue
		}
		k.ResolvedAt, k.ResolvedBy = b.At, ""
		t.Resolved++
		changed = append(changed, k)
	}
	return changed, t
}

// same tells whether a look saw what is known.
func same(a, b *Finding) bool {
	return a.Severity == b.Severity && a.Owner == b.Owner && a.Platform == b.Platform && a.Subject == b.Subject && slices.Equal(a.Evidence, b.Evidence)
}
