// Package phrase says in Chinese and in English what the words of rotations mean: the steps,
// the reasons for which one halts or waits, the events of its history, the archetypes of
// providers. A reason comes with what a person does about it.
//
// The words are those of package rotation, which tests hold the tables against. They are
// texts here, so that everybody may say them without knowing the protocol; what only a newer
// release knows is said as it is. Nothing is stored and nothing is trusted.
package phrase

import (
	"strings"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

// Step answers what a rotation does at a step.
func Step(word string) form.Text { return of(steps, word) }

// Name answers the short name of a step.
func Name(word string) form.Text {
	if name, ok := names[word]; ok {
		return form.Text{English: word, Chinese: name}
	}
	return form.Text{English: word, Chinese: word}
}

// Said answers the short name of a step, for a sentence.
func Said(word string) fault.Text { return fault.Both(word, Name(word).Chinese) }

// Until answers how long a rotation can be undone, given its point of no return.
func Until(word string) form.Text { return of(limits, word) }

// Reason answers why a rotation does not go on.
func Reason(word string) form.Text { return of(reasons, word) }

// Remedy answers what a person does about a reason; empty if that is not known.
func Remedy(word string) form.Text { return remedies[word] }

// Archetype answers how keys are replaced at a provider.
func Archetype(word string) form.Text { return of(archetypes, word) }

// Event answers an event of a rotation's history: what happened, and what it is about.
func Event(text string) form.Text {
	word, about, _ := strings.Cut(text, " ")
	t, ok := events[word]
	if !ok {
		return form.Text{English: text, Chinese: text}
	}
	if about == "" {
		return t
	}
	en, zh := about, about
	switch word {
	case "step":
		s := Step(about)
		en, zh = s.English, s.Chinese
	case "halted", "rolled-back", "too-late":
		b := Back(about)
		en, zh = b.English, b.Chinese
	case "failed":
		zh = Detail(about).Chinese
	}
	return form.Text{English: t.English + ": " + en, Chinese: t.Chinese + "：" + zh}
}

func of(table map[string]form.Text, word string) form.Text {
	if t, ok := table[word]; ok {
		return t
	}
	return form.Text{English: word, Chinese: word}
}
