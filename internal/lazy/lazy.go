// Package lazy has what a package would make when the program starts, made when it is
// first needed instead. keyward is one program with many commands, of which each needs
// little of what all of them have: a hook that looks at one file would otherwise wait for
// the patterns of every cloud. Package variables that are not plain data are of this form,
// which package importtest holds for regular expressions.
package lazy

import (
	"regexp"
	"sync"
)

// Regexp answers a function that answers the compiled expression. It is compiled at the
// first call, which panics if it is none, and is for any number of goroutines.
func Regexp(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
