package lazy_test

import (
	"sync"
	"testing"

	"github.com/keyward/keyward/internal/lazy"
)

func TestRegexp(t *testing.T) {
	name := lazy.Regexp(`^[a-z]{2}$`)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if re := name(); !re.MatchString("ab") || re.MatchString("abc") {
				t.Error("it matches something else")
			}
		})
	}
	all.Wait()
	if first := name(); first != name() {
		t.Error("it is compiled again")
	}
}

// What is no expression is a fault of the program, told when it is needed and not before.
func TestNoExpression(t *testing.T) {
	broken := lazy.Regexp(`(`)
	defer func() {
		if recover() == nil {
			t.Error("nothing was told")
		}
	}()
	broken()
}
