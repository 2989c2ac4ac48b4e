package authn

import (
	"iter"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
)

// Params are the decoded parameters of a request. Each name occurs once. Their values
// may be secrets, so they print as "[redacted]".
type Params struct {
	sorted []param // by name
}

type param struct{ name, value string }

// Value answers the value of a parameter, and whether it is there: an empty value is.
func (p Params) Value(name string) (string, bool) {
	i, ok := slices.BinarySearchFunc(p.sorted, name, func(p param, name string) int { return strings.Compare(p.name, name) })
	if !ok {
		return "", false
	}
	return p.sorted[i].value, true
}

// Len answers how many parameters there are.
func (p Params) Len() int { return len(p.sorted) }

// At answers the i-th name and value, in the order of the names.
func (p Params) At(i int) (name, value string) { return p.sorted[i].name, p.sorted[i].value }

// All yields every name and value in the order of the names.
func (p Params) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, p := range p.sorted {
			if !yield(p.name, p.value) {
				return
			}
		}
	}
}

// String answers "[redacted]".
func (p Params) String() string { return "[redacted]" }

// GoString answers "[redacted]".
func (p Params) GoString() string { return "[redacted]" }

// parseParams decodes queries and forms into one list. Decoding loses how a parameter
// was spelt (%2a, %2A or *, a plus or %20), which is no part of what clients sign.
func parseParams(encoded ...string) (Params, error) {
	list := make([]param, 0, 8)
	for _, s := range encoded {
		for more := s != ""; more; {
			var pair string
			pair, s, more = strings.Cut(s, "&")
			p, err := parseParam(pair)
			if err != nil {
				return Params{}, err
			}
			if len(list) == MaxParams {
				return Params{}, fault.InvalidParameter.New("a request may have at most %d parameters", MaxParams)
			}
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b param) int { return strings.Compare(a.name, b.name) })
	for i := range list {
		if i > 0 && list[i].name == list[i-1].name {
			return Params{}, fault.InvalidParameter.New("the parameter %q is given twice", list[i].name)
		}
	}
	return Params{list}, nil
}

func parseParam(pair string) (param, error) {
	name, value, _ := strings.Cut(pair, "=")
	name, nameErr := url.QueryUnescape(name)
	value, valueErr := url.QueryUnescape(value)
	switch {
	case nameErr != nil || valueErr != nil:
		return param{}, fault.InvalidParameter.New("a parameter has an invalid percent encoding")
	case !utf8.ValidString(name) || !utf8.ValidString(value):
		return param{}, fault.InvalidParameter.New("a parameter is not valid UTF-8")
	case name == "":
		return param{}, fault.InvalidParameter.New("a parameter has no name")
	}
	return param{name, value}, nil
}

// without answers the parameters but those of these names.
func (p Params) without(names []string) Params {
	return Params{slices.DeleteFunc(slices.Clone(p.sorted), func(p param) bool { return slices.Contains(names, p.name) })}
}

// appendQuery writes the parameters in the one spelling that signatures cover.
// bareEmpty leaves the equals sign out where the value is empty.
func (p Params) appendQuery(b []byte, bareEmpty bool) []byte {
	for i, p := range p.sorted {
		if i > 0 {
			b = append(b, '&')
		}
		b = appendEscaped(b, p.name)
		if p.value != "" || !bareEmpty {
			b = appendEscaped(append(b, '='), p.value)
		}
	}
	return b
}

// hasEmpty tells whether a value is empty, so that bareEmpty makes a difference.
func (p Params) hasEmpty() bool {
	return slices.ContainsFunc(p.sorted, func(p param) bool { return p.value == "" })
}

// appendEscaped percent-encodes all but the unreserved characters of RFC 3986.
func appendEscaped[T string | []byte](b []byte, s T) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}
