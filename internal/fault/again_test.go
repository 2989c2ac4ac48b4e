package fault_test

import (
	"errors"
	"testing"

	"github.com/keyward/keyward/internal/fault"
)

func TestAgain(t *testing.T) {
	overtaken, refused := fault.Changed.New("somebody else was first"), errors.New("refused")
	for name, c := range map[string]struct {
		ends     []error // of the attempts; the last stays
		attempts int
	}{
		"at once":            {[]error{nil}, 1},
		"refused":            {[]error{refused}, 1},
		"after two":          {[]error{overtaken, overtaken, nil}, 3},
		"refused in the end": {[]error{overtaken, refused}, 2},
		"never":              {[]error{overtaken}, 8},
		"for good":           {[]error{overtaken, fault.Changed.New("not what the caller expects").Lasting()}, 2},
	} {
		attempts := 0
		err := fault.Again(func() error {
			attempts++
			return c.ends[min(attempts, len(c.ends))-1]
		})
		if want := c.ends[len(c.ends)-1]; !errors.Is(err, want) || attempts != c.attempts {
			t.Errorf("%s: %v after %d attempts, want %v after %d", name, err, attempts, want, c.attempts)
		}
	}
}
