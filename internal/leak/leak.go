// Package leak finds credentials in bytes: keys of clouds, payment platforms and services,
// private keys, passwords. It knows nothing of files, archives and repositories, which
// hand it stretches of text (see unpack and search), and prints nothing (see report).
//
// A search has four steps, each of which looks at much less than the one before it:
//
//  1. [prefilter] goes over all bytes once and tells where a prefix of a token, a word that
//     names secrets or the beginning of a structure stands.
//  2. There, and only there, a candidate is cut out: a token by its prefix and characters
//     ([Token]), the value that is assigned to a name in any of the usual notations
//     ([Named], package syntax), or a structure by a function of its rule ([Finder]).
//  3. The rule's judge decides: a checksum, a decoding, a parsed key; where a format proves
//     nothing, what stands near it, and filters for placeholders and words (package judge).
//  4. Candidates that overlap become one, and an identifier finds the secret that stands near
//     it ([Pair]), whose shape alone would prove nothing.
//
// The table of rules is package rules; rules of users come from package custom. Both are
// plain values of [Rule].
//
// What leaves this package as a [Finding] never holds a secret: it holds a keyed hash of
// it, with which findings are compared, ignored and matched against an inventory, and a
// form for people that shows the ends. A [Match] points into the text and must not outlive it.
package leak

import (
	"fmt"
	"slices"
	"strings"
)

// A Text says something in English and in Chinese. As an error it says why something was not
// looked at.
type Text struct {
	English string `json:"en"`
	Chinese string `json:"zh"`
}

// Error answers the text in English.
func (t Text) Error() string { return t.English }

// A Severity says how bad it is that something got out.
type Severity int

// The severities.
const (
	Low      Severity = iota // an identifier, or a key of a test mode
	Medium                   // a secret whose reach is small or whose shape proves little
	High                     // a secret
	Critical                 // a secret that opens an account or moves money
)

var severities = [...]string{"low", "medium", "high", "critical"}

// String answers the severity's word.
func (s Severity) String() string { return severities[s] }

// MarshalText writes the severity's word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what [Severity.MarshalText] writes.
func (s *Severity) UnmarshalText(word []byte) (err error) {
	var ok bool
	if *s, ok = ParseSeverity(string(word)); !ok {
		err = fmt.Errorf("%q is no severity", word)
	}
	return err
}

// ParseSeverity answers the severity of a word.
func ParseSeverity(word string) (Severity, bool) {
	for i, w := range severities {
		if strings.EqualFold(w, word) {
			return Severity(i), true
		}
	}
	return 0, false
}

// A Confidence says how sure it is that a finding is what its rule says.
type Confidence int

// The confidences.
const (
	Possible Confidence = iota // its name and its looks
	Likely                     // its form, or its shape and what stands near it
	Certain                    // a checksum, a decoding or a parsed key proves the form, or a pair stands together
)

var confidences = [...]string{"possible", "likely", "certain"}

// String answers the confidence's word.
func (c Confidence) String() string { return confidences[c] }

// MarshalText writes the confidence's word.
func (c Confidence) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what [Confidence.MarshalText] writes.
func (c *Confidence) UnmarshalText(word []byte) error {
	i := slices.Index(confidences[:], string(word))
	if i < 0 {
		return fmt.Errorf("%q is no confidence", word)
	}
	*c = Confidence(i)
	return nil
}

// A Location is a place where a finding stands.
type Location struct {
	// Path is the file, and behind each "!" the member of the archive before it.
	Path   string `json:"path"`
	Line   int    `json:"line,omitempty"`   // from 1; 0 where lines mean nothing
	Column int    `json:"column,omitempty"` // in bytes, from 1
	Via    string `json:"via,omitempty"`    // the decoding under which it stood, such as "base64"
	Commit string `json:"commit,omitempty"` // in history: the commit that brought it
	Layer  string `json:"layer,omitempty"`  // in an image: the layer that brought it
	// Hidden says that a later layer of the image deletes or replaces the file. Whoever has the
	// image has it all the same.
	Hidden bool `json:"hidden,omitempty"`
	Gone   bool `json:"gone,omitempty"` // in history, where that is asked for: no ref leads to it any more
}

// A Finding is a credential that was found, at all places where it was.
type Finding struct {
	// Fingerprint is a keyed hash of the credential, or of the public half of a private key
	// in whatever form: see [Hasher].
	Fingerprint string `json:"fingerprint"`
	// Mark is a keyed hash of the same under the key of a server, which compares it with what
	// it keeps; "" if none was asked for, and of identifiers.
	Mark       string     `json:"-"`
	Rule       string     `json:"rule"`
	Provider   string     `json:"provider"`
	Title      Text       `json:"title"`
	Severity   Severity   `json:"severity"`
	Confidence Confidence `json:"confidence"`
	// KeyID is the public identifier that stood with a secret, or that is the finding itself.
	KeyID     string     `json:"keyId,omitempty"`
	Redacted  string     `json:"redacted"` // the ends of a secret, for people who have to recognise it
	Length    int        `json:"length"`   // of the secret, in bytes
	Advice    Text       `json:"advice"`   // what to do next
	Locations []Location `json:"locations"`
}

// Redact answers a form of a secret that tells it from others and does not give it away:
// the first four and the last two characters of long ones, fewer of shorter ones.
func Redact(secret []byte) string {
	n := len(secret)
	head, tail := 4, 2
	switch {
	case n < 8:
		return "***"
	case n < 16:
		head, tail = 1, 0
	case n < 24:
		head, tail = 2, 1
	}
	show := func(b []byte) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '.'
			}
			return r
		}, string(b))
	}
	return show(secret[:head]) + "…" + show(secret[n-tail:])
}
