package leak

import (
	"fmt"
	"math/bits"
	"strings"
	"sync"

	"github.com/keyward/keyward/internal/leak/prefilter"
)

// stems stand in every name that rules know. Names themselves are no good anchors, since
// the same one is written secretKey, SECRET_KEY and secret-key.
var stems = []string{"secret", "pwd", "pass", "token", "key", "credential", "auth", "sk", "ak", "密钥", "密码", "口令", "私钥"}

// chinese are the Chinese stems in GBK, which no text in UTF-8 has: a text with one is looked
// at again in UTF-8, see [Worker.GBK].
var chinese = []string{"\xc3\xdc\xd4\xbf", "\xc3\xdc\xc2\xeb", "\xbf\xda\xc1\xee", "\xcb\xbd\xd4\xbf"}

// kubernetes are the marks of a Secret of Kubernetes, whose values are encoded and whose names
// are not, see [Worker.Kubernetes].
var kubernetes = []string{"kind: secret", `kind: "secret"`, `"kind": "secret"`, `"kind":"secret"`}

// A Scanner is a table of rules, compiled. It is immutable and for any number of workers.
type Scanner struct {
	rules     []Rule
	anchors   *prefilter.Automaton
	uses      []use // by pattern of anchors
	named     map[string][]namedUse
	endings   endings                     // of the keys of named
	hints     func() *prefilter.Automaton // of all providers; made when the first is asked for
	hinted    []hinted                    // by pattern of hints
	pairs     map[string][]pairUse        // by Rule.ID of the identifier
	whole     []*Rule
	byPattern []string
}

// A use says what an anchor is for: a token, a finder, an encoding, or nothing of that for
// a stem of names.
type use struct {
	rule       *Rule
	token      *Token
	gbk        bool
	kubernetes bool
}

type namedUse struct {
	rule  *Rule
	named *Named
}

// endings tell how long the names may be that end with a byte, so that few of the ends of
// a name have to be looked up: bit n stands for n bytes.
type endings [256]uint64

const maxNameLength = 63

func (e *endings) add(name string) { e[name[len(name)-1]] |= 1 << len(name) }

// lengths calls yield with the lengths of the names that may be the end of one, the longest first.
func (e *endings) lengths(name []byte) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		if len(name) == 0 {
			return
		}
		for set := e[name[len(name)-1]]; set != 0; {
			n := bits.Len64(set) - 1
			if set &^= 1 << n; n <= len(name) && !yield(n) {
				return
			}
		}
	}
}

type pairUse struct {
	rule *Rule
	pair *Pair
}

// New compiles rules. It fails with the first rule that could never find anything.
func New(rules []Rule) (*Scanner, error) {
	s := &Scanner{rules: rules, named: map[string][]namedUse{}, pairs: map[string][]pairUse{}}
	seen, providers := map[string]bool{}, map[*Provider]bool{}
	for _, stem := range stems {
		s.anchor(stem, use{})
	}
	for _, stem := range chinese {
		s.anchor(stem, use{gbk: true})
	}
	for _, mark := range kubernetes {
		s.anchor(mark, use{kubernetes: true})
	}
	var words []string
	for i := range rules {
		r := &rules[i]
		if r.ID == "" || r.Provider == nil || seen[r.ID] {
			return nil, fmt.Errorf("compiling rule %q: it needs an id of its own and a provider", r.ID)
		}
		seen[r.ID] = true
		if err := s.add(r); err != nil {
			return nil, fmt.Errorf("compiling rule %q: %w", r.ID, err)
		}
		if !providers[r.Provider] {
			providers[r.Provider] = true
			for _, h := range r.Provider.Hints {
				if strings.HasPrefix(h, "=") {
					continue
				}
				words = append(words, h)
				s.hinted = append(s.hinted, hinted{r.Provider, len(h)})
			}
		}
	}
	for id, pairs := range s.pairs {
		if !seen[id] {
			return nil, fmt.Errorf("compiling rule %q: it belongs to %q, which is no rule", pairs[0].rule.ID, id)
		}
	}
	s.hints = sync.OnceValue(func() *prefilter.Automaton { return must(prefilter.New(words)) })
	var err error
	if s.anchors, err = prefilter.New(s.byPattern); err != nil {
		return nil, fmt.Errorf("compiling anchors: %w", err)
	}
	return s, nil
}

// must answers an automaton of words that stand in this program, which its tests make all of.
func must(a *prefilter.Automaton, err error) *prefilter.Automaton {
	if err != nil {
		panic(fmt.Errorf("compiling hints: %w", err))
	}
	return a
}

// Rules answers the rules, which must not be changed.
func (s *Scanner) Rules() []Rule { return s.rules }

func (s *Scanner) anchor(text string, u use) {
	s.byPattern = append(s.byPattern, text)
	s.uses = append(s.uses, u)
}

func (s *Scanner) add(r *Rule) error {
	for i := range r.Tokens {
		t := &r.Tokens[i]
		if len(t.Prefix) < 2 || t.Set == nil {
			return fmt.Errorf("the prefix %q is too short, or has no characters to follow it", t.Prefix)
		}
		s.anchor(t.Prefix, use{rule: r, token: t})
	}
	for i := range r.Named {
		n := &r.Named[i]
		for _, name := range n.Names {
			if len(name) > maxNameLength {
				return fmt.Errorf("the name %q is longer than %d bytes", name, maxNameLength)
			}
			if !hasStem(name) {
				return fmt.Errorf("the name %q has none of the words that are looked for", name)
			}
			s.named[name] = append(s.named[name], namedUse{r, n})
			s.endings.add(name)
		}
	}
	for i := range r.Pairs {
		p := &r.Pairs[i]
		s.pairs[p.With] = append(s.pairs[p.With], pairUse{r, p})
	}
	if r.Find != nil {
		for _, a := range r.Find.Anchors {
			s.anchor(a, use{rule: r})
		}
	}
	if r.Whole != nil {
		s.whole = append(s.whole, r)
	}
	return nil
}

func hasStem(name string) bool {
	for _, stem := range stems {
		if strings.Contains(name, stem) {
			return true
		}
	}
	return false
}
