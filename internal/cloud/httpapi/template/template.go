// Package template fills the texts of a provider's definition: {{vars.account}} in a path,
// {{secret.token}} in a header.
//
// It is a table of names and a handful of filters, and nothing else: no loop, no condition,
// no function, no template within a template. What a value contains is never looked at as a
// template. A template knows where its text will stand – its [Place] – and writes each value
// so that it cannot leave it: a value in a path is one segment of it, one in a header is one
// line, one in JSON is a JSON string or the JSON value itself.
//
// Who may call: package httpapi. A [Template] is constant and may be used concurrently.
// Trusted is only the definition's author, and only as far as its operations reach;
// neither variables nor what a provider answered are.
package template

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/lazy"
)

// A Place is where the text of a template will stand.
type Place int

// The places.
const (
	Host   Place = iota // a label of a host's name: letters, digits and hyphens
	Path                // a segment of a URL's path, or a part of one
	Query               // the value of a parameter; the caller encodes it
	Header              // one line of printable ASCII
	JSON                // a string in a JSON value; the caller encodes it
)

// Values are what the names stand for. A name is "vars.account", "secret.token", "key.id",
// "page". A value is a string, json.Number, time.Time, time.Duration, or, for a name that
// stands alone in JSON, any value that JSON has. A nil value is none: it becomes no text,
// and alone in JSON nil.
type Values map[string]any

// A Scope is the names that a template may use.
type Scope []string

// A Template is a parsed text.
type Template struct {
	place Place
	parts []part
}

// A part is literal text or, if name is not "", a value.
type part struct {
	text    string
	name    string
	add     []term // to a time
	filters []string
}

// A term is added to a time: a number of times of a named duration, or a duration itself.
type term struct {
	times int64
	name  string // "" for unit
	unit  time.Duration
}

var (
	expression = lazy.Regexp(`^\s*([a-z][A-Za-z0-9_.]*)\s*((?:[+-]\s*[0-9a-z*]+\s*)*)((?:\|\s*[a-z0-9]+\s*)*)$`)
	sum        = lazy.Regexp(`([+-])\s*([0-9a-z*]+)`)
	tooMuch    = lazy.Regexp(`^\s*[#/^>&!]|\b(range|for|each|while|if|else|end|with|block|template|include|define|call|let|set)\b|[(%]`)
)

// filters change a value: times and durations into text or numbers, and text in its case.
var filters = map[string]func(any) (any, bool){
	"rfc3339": func(v any) (any, bool) {
		t, ok := v.(time.Time)
		return t.UTC().Format(time.RFC3339), ok
	},
	"date": func(v any) (any, bool) {
		t, ok := v.(time.Time)
		return t.UTC().Format(time.DateOnly), ok
	},
	"unix": func(v any) (any, bool) {
		t, ok := v.(time.Time)
		return json.Number(strconv.FormatInt(t.Unix(), 10)), ok
	},
	"seconds": func(v any) (any, bool) { return whole(v, time.Second) },
	"minutes": func(v any) (any, bool) { return whole(v, time.Minute) },
	"lower": func(v any) (any, bool) {
		s, ok := v.(string)
		return strings.ToLower(s), ok
	},
}

func whole(v any, unit time.Duration) (any, bool) {
	d, ok := v.(time.Duration)
	return json.Number(strconv.FormatInt(int64(d/unit), 10)), ok
}

// durations are the names that may be added to a time.
var durations = []string{"lifetime", "overlap"}

// times are the names that durations may be added to.
var times = []string{"now", "expire"}

// Parse reads a template for a place. It refuses names that are not in scope.
func Parse(text string, place Place, scope Scope) (*Template, error) {
	t := &Template{place: place}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{{")
		if strings.Contains(before, "}}") {
			return nil, fmt.Errorf("a }} stands without its {{")
		}
		if strings.Contains(before, "{%") || strings.Contains(before, "${") {
			return nil, fmt.Errorf("{%% and ${ are of other template languages; write {{name}}")
		}
		if before != "" {
			t.parts = append(t.parts, part{text: before})
		}
		if !found {
			break
		}
		inside, remains, closed := strings.Cut(after, "}}")
		if !closed {
			return nil, fmt.Errorf("a {{ stands without its }}")
		}
		p, err := parseExpression(inside, scope)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, p)
		rest = remains
	}
	return t, nil
}

func parseExpression(inside string, scope Scope) (part, error) {
	if strings.Contains(inside, "{{") {
		return part{}, fmt.Errorf("a template stands within a template; templates are not nested")
	}
	if tooMuch().MatchString(inside) {
		return part{}, fmt.Errorf("{{%s}}: a template has no loops, conditions or functions, only names and filters", strings.TrimSpace(inside))
	}
	m := expression().FindStringSubmatch(inside)
	if m == nil {
		return part{}, fmt.Errorf("{{%s}} is not a name with filters, such as {{vars.account}} or {{now+24h|rfc3339}}", strings.TrimSpace(inside))
	}
	p := part{name: m[1]}
	if !slices.Contains(scope, p.name) {
		return part{}, fmt.Errorf("{{%s}}: there is no such name here; the names are %s", p.name, strings.Join(scope, ", "))
	}
	for _, s := range sum().FindAllStringSubmatch(m[2], -1) {
		one, err := parseTerm(s[2])
		if err != nil || !slices.Contains(times, p.name) {
			return part{}, fmt.Errorf("{{%s}}: only durations are added, and only to times: now+2*overlap+24h", strings.TrimSpace(inside))
		}
		if s[1] == "-" {
			one.times = -one.times
		}
		p.add = append(p.add, one)
	}
	for _, f := range strings.Split(m[3], "|") {
		if f = strings.TrimSpace(f); f == "" {
			continue
		}
		if filters[f] == nil {
			return part{}, fmt.Errorf("{{%s}}: there is no filter %q; the filters are date, lower, minutes, rfc3339, seconds, unix", p.name, f)
		}
		p.filters = append(p.filters, f)
	}
	if (slices.Contains(times, p.name) || slices.Contains(durations, p.name)) && len(p.filters) == 0 {
		return part{}, fmt.Errorf("{{%s}} needs a filter: times rfc3339, date or unix, durations seconds or minutes", p.name)
	}
	return p, nil
}

func parseTerm(s string) (term, error) {
	t := term{times: 1}
	if number, rest, ok := strings.Cut(s, "*"); ok {
		n, err := strconv.ParseInt(number, 10, 16)
		if err != nil {
			return t, err
		}
		t.times, s = n, rest
	}
	if slices.Contains(durations, s) {
		t.name = s
		return t, nil
	}
	d, err := time.ParseDuration(s)
	t.unit = d
	return t, err
}

// Names answers the names that the template uses.
func (t *Template) Names() []string {
	var out []string
	for _, p := range t.parts {
		if p.name != "" {
			out = append(out, p.name)
		}
	}
	return out
}

// Text fills the template. Its errors name a value, and never show it.
func (t *Template) Text(values Values) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		v, err := p.value(values)
		if err != nil {
			return "", err
		}
		var s string
		switch v := v.(type) {
		case nil:
		case string:
			s = v
		case json.Number:
			s = v.String()
		default:
			return "", fmt.Errorf("filling {{%s}}: it is no text here", p.name)
		}
		if s, err = escape(s, t.place); err != nil {
			return "", fmt.Errorf("filling {{%s}}: %w", p.name, err)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// Value fills a template that stands in JSON: one that is a single name becomes the value
// itself, with its type, any other a string.
func (t *Template) Value(values Values) (any, error) {
	if len(t.parts) == 1 && t.parts[0].name != "" {
		return t.parts[0].value(values)
	}
	return t.Text(values)
}

func (p part) value(values Values) (any, error) {
	v, ok := values[p.name]
	if !ok {
		return nil, fmt.Errorf("filling {{%s}}: it has no value", p.name)
	}
	if v == nil {
		return nil, nil // no value is one, too: the name is known
	}
	if at, ok := v.(time.Time); ok {
		for _, one := range p.add {
			unit := one.unit
			if one.name != "" {
				d, ok := values[one.name].(time.Duration)
				if !ok {
					return nil, fmt.Errorf("filling {{%s}}: %s has no value", p.name, one.name)
				}
				unit = d
			}
			at = at.Add(time.Duration(one.times) * unit)
		}
		v = at
	}
	for _, f := range p.filters {
		if v, ok = filters[f](v); !ok {
			return nil, fmt.Errorf("filling {{%s}}: the filter %s does not fit the value", p.name, f)
		}
	}
	return v, nil
}

var label = lazy.Regexp(`^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$`)

// escape writes a value so that it stays where it stands.
func escape(s string, place Place) (string, error) {
	switch place {
	case Host:
		if !label().MatchString(s) {
			return "", fmt.Errorf("in a host's name it may have only letters, digits and hyphens")
		}
	case Path:
		if s == "" || s == "." || s == ".." {
			return "", fmt.Errorf("in a path it may not be empty, one dot or two dots")
		}
		return url.PathEscape(s), nil
	case Header:
		for i := range len(s) {
			if s[i] < 0x20 || s[i] > 0x7e {
				return "", fmt.Errorf("in a header it may have only printable ASCII characters, and no line breaks")
			}
		}
	}
	return s, nil
}
