package finding

import (
	"bytes"
	"time"
)

// A Batch is everything that one look at one provider found.
type Batch struct {
	Account  string
	Source   string
	Provider string
	At       time.Time // of the look
	ReadAt   time.Time // when what it looked at was read
	// Read answers when what one finding says was learnt; nil if that is ReadAt for all.
	Read  func(*Finding) time.Time
	Found []Finding // of a rule about a subject one at most
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
func Decide(known []Kept, b Batch) (changed []Finding, t Tally, err error) {
	before := make(map[string]*Kept, len(known))
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
		become, err := k.seen(&f, b)
		switch {
		case err != nil:
			return nil, t, err
		case become == stays:
			continue
		case become == opens:
			t.Opened++
		}
		t.Lasting++
		if become != lasts {
			changed = append(changed, f)
		}
	}
	for i := range known {
		if _, left := before[known[i].ID]; !left || !known[i].ResolvedAt.IsZero() {
			continue
		}
		k, err := known[i].Finding()
		if err != nil {
			return nil, t, err
		}
		if b.Unknown != nil && b.Unknown(k.Rule, k.Subject) {
			t.Lasting++
			continue
		}
		k.ResolvedAt, k.ResolvedBy = b.At, ""
		t.Resolved++
		changed = append(changed, k)
	}
	return changed, t, nil
}

// A becoming is what a look that sees a finding makes of the one that is kept.
type becoming int

const (
	lasts   becoming = iota // it is kept as it is
	renewed                 // it lasts, and is written anew
	opens                   // it was resolved
	stays                   // it is resolved: nothing newer than a person's word was read
)

// read answers when what a finding says was learnt.
func (b *Batch) read(f *Finding) time.Time {
	if b.Read == nil {
		return b.ReadAt
	}
	return b.Read(f)
}

// seen answers what becomes of a finding that a look sees.
func (k *Kept) seen(f *Finding, b Batch) (becoming, error) {
	if !k.ResolvedAt.IsZero() {
		have, err := k.Finding()
		if err == nil && have.ResolvedBy != "" && !b.read(f).After(k.ResolvedAt) {
			return stays, nil
		}
		return opens, err
	}
	if b.At.Sub(k.LastSeen) >= refresh {
		return renewed, nil
	}
	as := *f
	as.LastSeen = k.LastSeen
	body, err := as.Encode()
	if err == nil && bytes.Equal(body, k.Body) {
		return lasts, nil
	}
	return renewed, err
}
