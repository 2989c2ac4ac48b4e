// Package custom reads rules that users write, in TOML of the form that gitleaks has, so
// that rules written for it work here: an id, a regular expression, the keywords near
// which it is tried, a least entropy, and what is allowed.
//
// Two things differ, for the sake of speed and of whoever waits for a scan. A rule needs
// keywords, or a literal in its expression that can stand for them; and the expression is
// tried in a window of at most 8 KiB around a keyword, never on a whole file. A rule that
// does not compile is named in [Set.Problems], and the others are used.
package custom

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/judge"
	"github.com/keyward/keyward/internal/leak/prefilter"
)

type file struct {
	Title      string      `toml:"title"`
	Extend     any         `toml:"extend"` // the built-in rules always apply
	Rules      []rule      `toml:"rules"`
	Allowlist  *allowlist  `toml:"allowlist"`
	Allowlists []allowlist `toml:"allowlists"`
}

type rule struct {
	ID          string      `toml:"id"`
	Description string      `toml:"description"`
	Regex       string      `toml:"regex"`
	Path        string      `toml:"path"`
	SecretGroup int         `toml:"secretGroup"`
	Entropy     float64     `toml:"entropy"`
	Keywords    []string    `toml:"keywords"`
	Severity    string      `toml:"severity"` // ours
	Advice      string      `toml:"advice"`   // ours: what to do with a finding
	Tags        []string    `toml:"tags"`
	Allowlist   *allowlist  `toml:"allowlist"`
	Allowlists  []allowlist `toml:"allowlists"`
}

type allowlist struct {
	Description string   `toml:"description"`
	Condition   string   `toml:"condition"` // OR, which is usual, or AND
	Paths       []string `toml:"paths"`
	Regexes     []string `toml:"regexes"`
	RegexTarget string   `toml:"regexTarget"` // "secret", "match" or "line"
	StopWords   []string `toml:"stopwords"`
	Commits     []string `toml:"commits"`
}

// A Set is what a file has.
type Set struct {
	Rules    []leak.Rule
	Problems []error // of rules and lists that cannot be used
	allow    []*allowed
}

// Parse reads a file whose rules are used beside others. The error is of what is no TOML;
// everything else is in Problems.
func Parse(content []byte, others []leak.Rule) (*Set, error) {
	var f file
	meta, err := toml.Decode(string(content), &f)
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	s := &Set{}
	for _, key := range meta.Undecoded() {
		if !strings.HasPrefix(key.String(), "extend.") {
			s.Problems = append(s.Problems, fmt.Errorf("reading rules: the key %q is not known", key))
		}
	}
	s.allow = s.lists("the file", f.Allowlist, f.Allowlists)
	taken := map[string]bool{}
	for _, r := range others {
		taken[r.ID] = true
	}
	for _, r := range f.Rules {
		compiled, err := s.rule(r, taken)
		if err != nil {
			s.Problems = append(s.Problems, fmt.Errorf("compiling rule %q: %w", r.ID, err))
			continue
		}
		taken[r.ID] = true
		s.Rules = append(s.Rules, compiled)
	}
	return s, nil
}

// Allowed tells whether the file's own lists allow a secret, whichever rule found it.
func (s *Set) Allowed(path string, secret, line []byte) bool {
	return slices.ContainsFunc(s.allow, func(a *allowed) bool { return a.allows(path, secret, secret, line) })
}

// window is how far around a keyword an expression is tried, to either side.
const window = 4 << 10

func (s *Set) rule(r rule, taken map[string]bool) (leak.Rule, error) {
	if r.ID == "" || r.Regex == "" {
		return leak.Rule{}, errors.New("it needs an id and a regex; rules of paths alone are not understood")
	}
	if taken[r.ID] {
		return leak.Rule{}, errors.New("a built-in rule, or one before it, has this id: choose another one")
	}
	expression, err := regexp.Compile(r.Regex)
	if err != nil {
		return leak.Rule{}, err
	}
	if r.SecretGroup < 0 || r.SecretGroup > expression.NumSubexp() {
		return leak.Rule{}, fmt.Errorf("secretGroup is %d, the regex has %d groups", r.SecretGroup, expression.NumSubexp())
	}
	severity, ok := leak.ParseSeverity(cmp.Or(r.Severity, leak.High.String()))
	if !ok {
		return leak.Rule{}, fmt.Errorf("its severity %q is none of low, medium, high and critical", r.Severity)
	}
	keywords := slices.DeleteFunc(r.Keywords, func(k string) bool { return k == "" })
	if len(keywords) == 0 {
		if keywords = literals(r.Regex); len(keywords) == 0 {
			return leak.Rule{}, errors.New("it needs keywords: its regex has no literal of three characters")
		}
	}
	if slices.ContainsFunc(keywords, func(k string) bool { return len(k) > prefilter.MaxPattern }) {
		return leak.Rule{}, fmt.Errorf("a keyword has more than %d bytes", prefilter.MaxPattern)
	}
	name := cmp.Or(r.Description, r.ID)
	advice := leak.Text{English: r.Advice, Chinese: r.Advice}
	if r.Advice == "" {
		advice = leak.Text{English: "replace it where it was issued; removing it from the text is not enough", Chinese: "请在签发处更换；仅从文本中删除是不够的"}
	}
	finder := &finder{expression: expression, group: r.SecretGroup, entropy: r.Entropy, allow: s.lists("rule "+r.ID, r.Allowlist, r.Allowlists)}
	if r.Path != "" {
		if finder.path, err = regexp.Compile(r.Path); err != nil {
			return leak.Rule{}, err
		}
	}
	return leak.Rule{ID: r.ID, Provider: &leak.Provider{ID: "custom", Name: leak.Text{English: "own rules", Chinese: "自定义规则"}, Advice: advice},
		Title: leak.Text{English: name, Chinese: name}, Severity: severity, Find: &leak.Finder{Anchors: keywords, Look: finder.look}}, nil
}

// literals answers a literal that every match of an expression has.
func literals(expression string) []string {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil
	}
	best := ""
	var walk func(*syntax.Regexp)
	walk = func(e *syntax.Regexp) {
		switch e.Op {
		case syntax.OpLiteral:
			if text := string(e.Rune); len(text) > len(best) {
				best = text
			}
		case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
			for _, sub := range e.Sub {
				walk(sub)
			}
		}
	}
	walk(parsed.Simplify())
	if len(best) < 3 {
		return nil
	}
	return []string{best[:min(len(best), prefilter.MaxPattern)]}
}

// A finder tries an expression around a keyword.
type finder struct {
	expression *regexp.Regexp
	path       *regexp.Regexp
	group      int
	entropy    float64
	allow      []*allowed
}

func (f *finder) look(p leak.Part, start, end int) (leak.Found, bool) {
	if f.path != nil && !f.path.MatchString(p.Path) {
		return leak.Found{}, false
	}
	text := p.Text
	from := max(0, start-window)
	around := text[from:min(len(text), end+window)]
	for _, m := range f.expression.FindAllSubmatchIndex(around, 64) {
		if from+m[0] > end || from+m[1] < start { // another keyword's
			continue
		}
		a, b := m[2*f.group], m[2*f.group+1]
		for g := 1; f.group == 0 && g < len(m)/2; g++ { // the first group that took part
			if m[2*g] >= 0 {
				a, b = m[2*g], m[2*g+1]
				break
			}
		}
		if a < 0 || a == b {
			continue
		}
		secret := around[a:b]
		if f.entropy > 0 && judge.Entropy(secret) < f.entropy {
			continue
		}
		line := lineOf(around, m[0], m[1])
		if slices.ContainsFunc(f.allow, func(l *allowed) bool { return l.allows(p.Path, secret, around[m[0]:m[1]], line) }) {
			continue
		}
		return leak.Found{Start: from + a, End: from + b, Confidence: leak.Likely}, true
	}
	return leak.Found{}, false
}

func lineOf(text []byte, from, to int) []byte {
	begin := bytes.LastIndexByte(text[:from], '\n') + 1
	end := len(text)
	if i := bytes.IndexByte(text[to:], '\n'); i >= 0 {
		end = to + i
	}
	return text[begin:end]
}

// An allowed is a list of what is no finding.
type allowed struct {
	paths, regexes []*regexp.Regexp
	target         string
	words          [][]byte
	all            bool // every criterion must hold
}

// lists answers the lists of a file or a rule; what of them cannot be used is a problem.
func (s *Set) lists(of string, one *allowlist, many []allowlist) (out []*allowed) {
	if one != nil {
		many = append([]allowlist{*one}, many...)
	}
	for _, l := range many {
		a := &allowed{target: l.RegexTarget, all: strings.EqualFold(l.Condition, "and")}
		compile := func(expressions []string) (out []*regexp.Regexp) {
			for _, e := range expressions {
				compiled, err := regexp.Compile(e)
				if err != nil {
					s.Problems = append(s.Problems, fmt.Errorf("compiling an allowlist of %s: %w", of, err))
					continue
				}
				out = append(out, compiled)
			}
			return out
		}
		a.paths, a.regexes = compile(l.Paths), compile(l.Regexes)
		for _, w := range l.StopWords {
			a.words = append(a.words, bytes.ToLower([]byte(w)))
		}
		if len(l.Commits) > 0 {
			s.Problems = append(s.Problems, fmt.Errorf("reading an allowlist of %s: commits are not understood; ignore by fingerprint", of))
		}
		out = append(out, a)
	}
	return out
}

// allows tells whether the list allows a secret within a match in a line.
func (a *allowed) allows(path string, secret, match, line []byte) bool {
	target := secret
	switch a.target {
	case "match":
		target = match
	case "line":
		target = line
	}
	criteria := []struct{ asked, holds bool }{
		{len(a.paths) > 0, slices.ContainsFunc(a.paths, func(e *regexp.Regexp) bool { return e.MatchString(path) })},
		{len(a.regexes) > 0, slices.ContainsFunc(a.regexes, func(e *regexp.Regexp) bool { return e.Match(target) })},
		{len(a.words) > 0, slices.ContainsFunc(a.words, func(w []byte) bool { return bytes.Contains(bytes.ToLower(secret), w) })},
	}
	one, every := false, true
	for _, c := range criteria {
		if c.asked {
			one, every = one || c.holds, every && c.holds
		}
	}
	return one && (every || !a.all)
}
