package approval

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Named is what a request names that can be replaced under its name: users, roles, policies,
// identity providers and secrets. What is approved is these, and not their names.
type Named struct {
	In    string   // the values of the request's parameters
	Marks []string // of what is named there; another thing of the name has another mark
}

// Rests is what the use of an approval rests on, beside its rules.
type Rests struct {
	Votes []Vote // that count
	Named Named
}

// named reads what the parameters of a request name.
func (s *Service) named(ctx context.Context, account string, params []Param) (Named, error) {
	var in strings.Builder
	for _, p := range params {
		in.WriteString(p.Value + "\n")
		var document any
		if json.Unmarshal([]byte(p.Value), &document) == nil { // an escape hides no name
			fmt.Fprintln(&in, document)
		}
	}
	text := strings.ReplaceAll(strings.ToValidUTF8(in.String(), " "), "\x00", " ") // as databases take it
	marks, err := s.Store.Named(ctx, account, text)
	return Named{text, marks}, err
}

// Names tells whether a text names something: has the name, and not as a part of a longer one.
func Names(text, name string) bool {
	for at := 0; name != ""; {
		i := strings.Index(text[at:], name)
		if i < 0 {
			break
		}
		begin, end := at+i, at+i+len(name)
		if (begin == 0 || !inName(text[begin-1])) && (end == len(text) || !inName(text[end])) {
			return true
		}
		at = begin + 1
	}
	return false
}

// inName tells whether names are made of a character.
func inName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-.@", c) >= 0
}
