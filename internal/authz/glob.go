package authz

import (
	"strings"
	"unicode/utf8"
)

// A glob is a compiled pattern in which '*' stands for any run of characters,
// even none, and '?' for exactly one. There is no escape character.
//
// Between two stars the leftmost occurrence is always the right one to take, so
// matching never goes back over what it has passed and needs no regular
// expression: the cost is linear in the name, whatever the number of stars.
type glob struct {
	head   string   // what stands before the first star, or the whole pattern
	middle []string // what stands between two stars
	tail   string   // what stands after the last star
	star   bool     // there is a '*'
	single bool     // there is a '?'
	all    bool     // the pattern *, by far the most frequent
}

func compileGlob(pattern string) glob {
	parts := strings.Split(pattern, "*")
	g := glob{head: parts[0], single: strings.Contains(pattern, "?"), all: pattern == "*"}
	if last := len(parts) - 1; last > 0 {
		g.star, g.middle, g.tail = true, parts[1:last], parts[last]
	}
	return g
}

func compileGlobs(patterns []string) []glob {
	globs := make([]glob, len(patterns))
	for i, p := range patterns {
		globs[i] = compileGlob(p)
	}
	return globs
}

// String answers the pattern.
func (g *glob) String() string {
	if !g.star {
		return g.head
	}
	return strings.Join(append(append([]string{g.head}, g.middle...), g.tail), "*")
}

// covers tells whether the pattern certainly matches every name that the other one does.
// A pattern with '?' covers none but itself: it would take the other's star for one character.
func (g *glob) covers(other *glob) bool {
	text := other.String()
	return g.String() == text || !g.single && g.match(text)
}

func (g *glob) match(name string) bool { return g.all || g.matchParts(name) }

func (g *glob) matchParts(name string) bool {
	n, ok := len(g.head), strings.HasPrefix(name, g.head)
	if g.single {
		n, ok = matchPrefix(g.head, name)
	}
	if !ok {
		return false
	}
	name = name[n:]
	if !g.star {
		return name == ""
	}
	for _, part := range g.middle {
		end := findPart(part, name)
		if end < 0 {
			return false
		}
		name = name[end:]
	}
	if g.single {
		return matchSuffix(g.tail, name)
	}
	return strings.HasSuffix(name, g.tail)
}

func matchAny(globs []glob, name string) bool {
	for i := range globs {
		if globs[i].match(name) {
			return true
		}
	}
	return false
}

// matchPrefix tells whether name begins with part, and how many bytes of name it takes.
func matchPrefix(part, name string) (int, bool) {
	n := 0
	for i := range len(part) {
		if n == len(name) {
			return 0, false
		}
		switch part[i] {
		case '?':
			_, size := utf8.DecodeRuneInString(name[n:])
			n += size
		case name[n]:
			n++
		default:
			return 0, false
		}
	}
	return n, true
}

// findPart answers the end of the leftmost occurrence of part in name, or -1.
func findPart(part, name string) int {
	if strings.IndexByte(part, '?') < 0 {
		if i := strings.Index(name, part); i >= 0 {
			return i + len(part)
		}
		return -1
	}
	for i := range name {
		if n, ok := matchPrefix(part, name[i:]); ok {
			return i + n
		}
	}
	return -1
}

// matchSuffix tells whether name ends with part.
func matchSuffix(part, name string) bool {
	if part == "" {
		return true
	}
	for i := range name {
		if n, ok := matchPrefix(part, name[i:]); ok && i+n == len(name) {
			return true
		}
	}
	return false
}
