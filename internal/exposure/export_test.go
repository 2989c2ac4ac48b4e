package exposure

import (
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/secret"
)

// Identities is what marks are made of.
func Identities(scanner *leak.Scanner, value []byte) ([][]byte, string) {
	return identities(scanner, value)
}

// Noon is when the looks of [Compare] are.
var Noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Compare answers the findings of a look.
func Compare(marks map[string][]secret.Mark, secrets map[string]secret.Secret, keys map[string][]accesskey.AccessKey, seen []Sighting) (out []finding.Finding) {
	for _, e := range (world{Noon, marks, secrets, keys}).compare(seen) {
		out = append(out, e.finding())
	}
	return out
}

// Strong tells whether nobody guesses what a mark is of.
func Strong(identity string) bool { return strong([]byte(identity)) }

// Clean is how texts of a report are kept.
func Clean(text string, most int) string { return clean(text, most) }

// Check refuses a report that cannot be one.
func Check(r Report) error { return r.check() }
