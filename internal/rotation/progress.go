package rotation

import (
	"slices"
	"strings"
	"time"
)

// Route answers the steps of a rotation's way in order: all steps forward that its
// provider's archetype has or, once it returns, those back that it took and will take.
func (r Rotation) Route() []Step {
	if !r.Returns() {
		return r.forward()
	}
	var out []Step
	for _, e := range r.History {
		if Step(strings.TrimPrefix(e.Text, "step ")) == e.Step && (Rotation{Step: e.Step}).Returns() && !slices.Contains(out, e.Step) {
			out = append(out, e.Step)
		}
	}
	if !slices.Contains(out, r.Step) { // what the history had of it was dropped
		out = append(out, r.Step)
	}
	ahead := []Step{Enabling, Returning, Unsettling, Withdrawing, Aborted}
	for _, s := range ahead[slices.Index(ahead, r.Step)+1:] {
		if s == Returning && r.Generation == 0 || s == Unsettling && !r.Settled {
			continue
		}
		out = append(out, s)
	}
	return out
}

func (r Rotation) forward() []Step {
	out := []Step{Waiting, Rehearsing, Creating, Verifying}
	if len(r.Terms.Waves) > 0 {
		out = append(out, Rolling)
	}
	out = append(out, Settling, Grace)
	a := r.Terms.Means.Archetype
	if a == Pair || a == Manual {
		out = append(out, Disabling, Observing)
	}
	out = append(out, Dropping)
	if a == Pair || a == Multi || a == Promote || a == Manual {
		out = append(out, Deleting)
	}
	return append(out, Done)
}

// A Passage is how far a rotation is with one wave.
type Passage struct {
	WaveTerms
	Published time.Time // when its nodes were given the new key; zero for not yet
	Confirmed time.Time // when all of them used it; zero for not yet
}

// Passages answers the waves in order.
func (r Rotation) Passages() []Passage {
	out := make([]Passage, len(r.Terms.Waves))
	for i, w := range r.Terms.Waves {
		out[i] = Passage{WaveTerms: w}
		for _, e := range r.History {
			switch e.Text {
			case "published " + w.Name:
				out[i].Published = e.At
			case "confirmed " + w.Name:
				out[i].Confirmed = e.At
			}
		}
		if i == r.Wave && r.Step == Rolling { // it may have been whole, and not be any more
			out[i].Published, out[i].Confirmed = r.Published, r.Confirmed
		}
	}
	return out
}
