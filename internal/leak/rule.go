package leak

import "github.com/keyward/keyward/internal/leak/judge"

// A Provider is who issues credentials.
type Provider struct {
	ID   string // "tencent"
	Name Text
	// Hints are words, in lower case, that stand where its credentials are used: in names, in
	// paths, in hosts. They decide whose a value is that has no form of its own. "=ark" is a
	// whole word of a name, as in ARK_API_KEY and arkApiKey, and counts nowhere else.
	Hints []string
	// Advice says what to do when one of its credentials got out.
	Advice Text
}

// A Class says what it means to hold a credential.
type Class int

// The classes.
const (
	Secret     Class = iota // whoever has it can act
	Identifier              // names a credential; worth knowing, no harm alone
	Public                  // stands in every client; said only with its secret
)

// A Rule describes one kind of credential. It is found by any of its ways.
type Rule struct {
	ID       string // of the kind, for ever: "tencent-secret-key"
	Provider *Provider
	Title    Text
	Severity Severity
	Class    Class

	Tokens []Token
	Named  []Named
	Pairs  []Pair
	Find   *Finder
	// Whole looks at a whole file, however it is named; nil for most rules. It is called with
	// files of at most MaxWhole bytes that begin like DER.
	Whole func(content []byte) (Found, bool)

	// Judge decides about the value of a token, a name or a pair: whether it is one, and whether its form proves
	// it. nil takes all values that are no placeholders.
	Judge func(value []byte) (proven, ok bool)
}

// judge asks the rule's judge.
func (r *Rule) judge(value []byte) (proven, ok bool) {
	if r.Judge != nil {
		return r.Judge(value)
	}
	return false, !judge.Placeholder(value)
}

// MaxWhole is the largest file that [Rule.Whole] looks at, in bytes.
const MaxWhole = 64 << 10

// A Set is a set of bytes.
type Set [256]bool

// NewSet answers the set that a string such as "0-9A-Za-z_" lists; a "-" at its end is one.
func NewSet(list string) *Set {
	var s Set
	for i := 0; i < len(list); i++ {
		if i+2 < len(list) && list[i+1] == '-' {
			for c := int(list[i]); c <= int(list[i+2]); c++ {
				s[c] = true
			}
			i += 2
			continue
		}
		s[list[i]] = true
	}
	return &s
}

// A Shape is what characters and how many of them.
type Shape struct {
	Set      *Set
	Min, Max int
	Pad      int // up to so many "=" may follow, and belong to it
}

// Fits tells whether a value has the shape.
func (s Shape) Fits(value []byte) bool {
	n := len(value)
	for n > 0 && len(value)-n < s.Pad && value[n-1] == '=' {
		n--
	}
	if n < s.Min || n > s.Max {
		return false
	}
	for _, c := range value[:n] {
		if !s.Set[c] {
			return false
		}
	}
	return true
}

// A Token is recognised by its prefix, wherever it stands.
type Token struct {
	Prefix string // in this case; a prefix of two characters costs speed
	Shape         // of what follows
	// Lead is what must stand before the prefix and belongs to the token; nil for nothing.
	Lead *Shape
	// Shared says that others issue tokens of the same form: the nearest hint decides whose it is.
	Shared bool
}

// A Named is a value that is recognised by its shape and the name that it is assigned to.
type Named struct {
	// Names are ends of names, in lower case without punctuation: "secretkey" is the end of
	// TENCENTCLOUD_SECRET_KEY and cos.secretKey. "=sk" is the whole last word of a name, as in
	// cos_sk and cosSk.
	Names []string
	Shape
	// Alone says that the name proves enough. Otherwise a hint of the provider must stand in
	// the name, in the path or near the value.
	Alone bool
	// Literal says that so little speaks for the value that its notation counts as well:
	// what may be an expression of a program or a word of a sentence is none.
	Literal bool
}

// A Pair is a value that is recognised by its shape and an identifier near it.
type Pair struct {
	With string // the identifier's Rule.ID
	Shape
	// Within is how far from the identifier it may stand, in bytes; 0 means 400.
	Within int
	// Assigned says that it must be the value of some name, because its shape is too common.
	Assigned bool
}

// A Finder finds structures.
type Finder struct {
	Anchors []string // one of them stands in the structure, in whatever case
	// Look looks around an anchor, which stands at p.Text[start:end], at most [Context] far. It
	// must not keep the text.
	Look func(p Part, start, end int) (Found, bool)
}

// A Found is what a [Finder] found.
type Found struct {
	Start, End int // of the secret in what was looked at
	Confidence Confidence
	Identity   []byte   // what the fingerprint is of, if it is not the secret's text
	Severity   Severity // if it is lower than the rule's; see Weak
	Weak       bool     // Severity counts
	Yields     bool     // a token with a form of its own in the same place says more
}
