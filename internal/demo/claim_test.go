package demo_test

import (
	"testing"

	"github.com/keyward/keyward/internal/demo"
)

// Every claim can fail, and does when what it says is not so.
func TestClaims(t *testing.T) {
	if n := demo.GoodNight().Wrong(); n != 0 {
		t.Fatalf("%d claims do not hold of a good night", n)
	}
	for _, what := range []string{
		"a shop's payment failed", "the platform refused a payment", "the counts differ", "a node is behind", "a node is missing", "a node was not seen since",
		"no payment while it was dead", "the old key was in use", "the old key is there", "the orphan is there", "the new key was disabled", "nobody else was told",
		"nobody acknowledged", "no answer was lost", "nobody was told of the region", "it is not done", "it has halted", "the log is not whole",
	} {
		n := demo.GoodNight()
		n.Falsify(what)
		if n.Wrong() == 0 {
			t.Errorf("%s: every claim holds", what)
		}
	}
}
