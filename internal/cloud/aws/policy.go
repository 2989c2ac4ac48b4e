package aws

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// oneOrMany is how policies write lists.
type oneOrMany[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *oneOrMany[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]T)(l))
	}
	*l = make(oneOrMany[T], 1)
	return json.Unmarshal(b, &(*l)[0])
}

// A breadth is how much a policy grants on everything there is.
type breadth struct {
	admin bool
	wide  []string // services; "*" for all but those that a NotAction takes out
}

// breadthOf reads a policy's document, which AWS answers encoded for URLs. It asks what is
// allowed on every resource and lets conditions, boundaries and denials aside: they say
// when a right is usable, and a person decides whether that is enough.
func breadthOf(encoded string) (breadth, error) {
	text, err := url.PathUnescape(encoded)
	if err != nil {
		return breadth{}, fmt.Errorf("reading a policy: %w", err)
	}
	var document struct {
		Statement oneOrMany[struct {
			Effect                      string
			Action, NotAction, Resource oneOrMany[string]
		}]
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return breadth{}, fmt.Errorf("reading a policy: %w", err)
	}
	var b breadth
	for _, s := range document.Statement {
		if s.Effect != "Allow" || !slices.Contains(s.Resource, "*") {
			continue
		}
		if len(s.NotAction) > 0 {
			b.wide = append(b.wide, "*")
		}
		for _, action := range s.Action {
			service, what, _ := strings.Cut(strings.ToLower(action), ":")
			switch {
			case service == "*":
				b.admin = true
			case strings.Trim(what, "*") == "" && what != "":
				b.wide = append(b.wide, clean(service, 64))
			}
		}
	}
	slices.Sort(b.wide)
	b.wide = slices.Compact(b.wide)
	return b, nil
}
