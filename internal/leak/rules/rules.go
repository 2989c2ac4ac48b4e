// Package rules is the table of credentials that keyward knows by itself: who issues them,
// what they look like, and what proves them.
//
// A file holds a group of providers. Formats come from the providers' documentation and
// from their own clients where those say it; where a length or an alphabet is not
// documented, the rule takes what was seen and asks for a name or a hint beside it. A rule
// that only guesses says so with its confidence.
//
// To add one: write a [leak.Rule] with the strictest way that finds it (Token before Pair
// before Named), a case in package leaktest, and a row in docs/scan.md, which a test holds
// to this table.
package rules

import (
	"slices"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
)

// Version changes whenever the table or a judge does: what was scanned under another
// version must be scanned again.
const Version = 5

// All answers all rules, in an order that does not change.
func All() []leak.Rule {
	return slices.Concat(clouds(), chineseClouds(), payment(), messengers(), platforms(), services(), models(), structures(), generic())
}

// Sets of characters.
var (
	alnum    = leak.NewSet("0-9A-Za-z")
	upper    = leak.NewSet("0-9A-Z")
	letters  = leak.NewSet("a-z")
	hex      = leak.NewSet("0-9a-f")
	upperHex = leak.NewSet("0-9A-F")
	anyHex   = leak.NewSet("0-9a-fA-F")
	base32   = leak.NewSet("A-Z2-7")
	base64   = leak.NewSet("0-9A-Za-z+/")
	url64    = leak.NewSet("0-9A-Za-z_-")
	dotted   = leak.NewSet("0-9A-Za-z_.-")
	mixed64  = leak.NewSet("0-9A-Za-z_+/-")
	digits   = leak.NewSet("0-9")
	uuidSet  = leak.NewSet("0-9a-f-")
	anything = leak.NewSet("!-~")
)

// of answers the shape of exactly n characters.
func of(set *leak.Set, n int) leak.Shape { return leak.Shape{Set: set, Min: n, Max: n} }

// from answers the shape of least to most characters.
func from(set *leak.Set, least, most int) leak.Shape {
	return leak.Shape{Set: set, Min: least, Max: most}
}

// padded answers the shape of n characters and an end of "=".
func padded(set *leak.Set, n, pad int) leak.Shape {
	return leak.Shape{Set: set, Min: n, Max: n, Pad: pad}
}

// token answers the one way to find a token with a prefix.
func token(prefix string, s leak.Shape) []leak.Token { return []leak.Token{{Prefix: prefix, Shape: s}} }

// tokens answers tokens with several prefixes and one shape.
func tokens(s leak.Shape, prefixes ...string) (out []leak.Token) {
	for _, p := range prefixes {
		out = append(out, leak.Token{Prefix: p, Shape: s})
	}
	return out
}

// named answers a value with a shape and one of the names, near a hint of its provider.
func named(s leak.Shape, names ...string) []leak.Named {
	return []leak.Named{{Names: names, Shape: s}}
}

// random is the judge of values whose form proves nothing: the work of a generator.
func random(value []byte) (proven, ok bool) {
	return false, judge.Random(value) && !judge.Placeholder(value)
}

// randomTail is that of tokens with a prefix of n characters.
func randomTail(n int) func([]byte) (bool, bool) {
	return func(value []byte) (bool, bool) { return random(value[n:]) }
}

// mixed takes random values that have small and capital letters and digits.
func mixed(value []byte) (proven, ok bool) {
	m := judge.MixOf(value)
	if m.Lower == 0 || m.Upper == 0 || m.Digit == 0 {
		return false, false
	}
	return random(value)
}

// digest takes hexadecimal values, which have no look beyond that.
func digest(value []byte) (proven, ok bool) {
	m := judge.MixOf(value)
	return false, m.Distinct >= 8 && m.Digit > 0 && m.Lower+m.Upper > 0 && !judge.Placeholder(value) && judge.Random(value)
}

// uuid takes a UUID that was made by chance.
func uuid(value []byte) (proven, ok bool) {
	if len(value) != 36 {
		return false, false
	}
	for i, c := range value {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') {
			return false, false
		}
	}
	return false, judge.MixOf(value).Distinct >= 9
}

// proof is a judge that a check decides alone.
func proof(check func([]byte) bool) func([]byte) (bool, bool) {
	return func(value []byte) (bool, bool) {
		ok := check(value) && !judge.Placeholder(value)
		return ok, ok
	}
}

func title(en, zh string) leak.Text { return leak.Text{English: en, Chinese: zh} }
