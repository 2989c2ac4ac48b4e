// Package exposure knows what got out: credentials that somebody's search found where they
// should not stand, and whose they are.
//
// Searches run elsewhere (package leak) and report here what they saw and where. No report
// has a secret in it. A secret is reported by its blind: an HMAC under the account's scan
// key, which those get who may report ([Service.ScanKey]). What is kept of it is its mark,
// an HMAC of the blind under a second key that never leaves the server. docs/design/scan.md
// says who learns what from which of them. An identifier, such as an access key's id, is
// public and is reported as it is.
//
// Marks of the values of secrets are kept beside the secrets ([Marker]): of the whole value,
// of each part of a credential, and of every credential that a search of the value itself
// finds, so that both sides mean the same. They are made when a value is stored, and by the
// next look of values from before that or of a time when there was no key.
//
// A [Sighting] is what was reported of one credential in one place such as a repository.
// A look ([JobLook]) compares the sightings with marks, with the stages of the secrets, and
// with the inventory, and hands what follows to package finding. Like every look it depends
// on nothing that an earlier one found: a key that was replaced and switched off ends its
// finding by itself, and a secret that keyward gets to know after the report is recognised
// then.
//
// How strongly a sighting speaks is its [Match]. Only what stands in the open together with
// its secret is a leak; an identifier alone is worth an alarm and nothing more, for it
// stands in every signed URL, and whoever publishes one must not be able to break anything.
//
// Who may call: the API, package app for the job, package secret for marks. A report is
// answered the same whatever it matches: who may report learns nothing about the secrets of
// the account. What is stored: the key in a bound row, sealed under the tenant's key; marks
// bound by their MACs, so that nobody can have a secret mistaken for a leaked one;
// sightings as observed facts. What is trusted of a report: nothing; its texts are bounded
// and cleaned, and titles come from the server's own table.
package exposure

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
)

// Limits. docs/scan.md tells them to users.
const (
	MaxReport    = 100                  // credentials of one report
	MaxPlaces    = 20                   // of one credential that are kept by name
	MaxSightings = 10_000               // of one account
	Kept         = 400 * 24 * time.Hour // how long a sighting is kept that is not reported again

	believed = 7 * 24 * time.Hour // how long it counts that an issuer refused a credential

	maxText = 256  // bytes of an origin, a rule, an id
	maxPath = 1024 // bytes of a path
	markLen = 64   // hexadecimal digits of a blind and of a mark
)

// A Place is where a credential stands.
type Place struct {
	Path   string `json:"path"`
	Line   int    `json:"line,omitempty"`
	Commit string `json:"commit,omitempty"` // that brought it
	Layer  string `json:"layer,omitempty"`  // of an image
}

// A Seen is one credential of a report.
type Seen struct {
	Blind    string // of a secret, 64 hexadecimal digits; "" for an identifier alone
	KeyID    string // the identifier that stood with it, or alone; "" for none
	Rule     string // leak.Rule.ID
	Severity finding.Severity
	Places   []Place
	More     int     // places that are not told
	Gone     bool    // the repository has it at none of them any more; who fetched it before has it still
	Verdict  Verdict // from the server's own looks alone: the API has no word for it
}

// A Verdict is what the issuer of a credential said of it; the zero Verdict that nobody asked.
type Verdict struct {
	Liveness Liveness
	At       time.Time // when it was asked
	As       string    // whose it is, of one that is live; "" where that is not told
	Why      string    // why it is unknown, one of a few words of the server's own
}

// or answers which of two verdicts counts: the later one, but that an issuer said nothing takes
// back no answer.
func (v Verdict) or(w Verdict) Verdict {
	answered := func(v Verdict) bool { return v.Liveness == Live || v.Liveness == Dead }
	if w.At.IsZero() || answered(v) && !answered(w) || answered(v) == answered(w) && !w.At.After(v.At) {
		return v
	}
	return w
}

// A Liveness says whether a credential works.
type Liveness string

// The livenesses.
const (
	Live    Liveness = "live"
	Dead    Liveness = "dead"    // its issuer does not take it
	Unknown Liveness = "unknown" // its issuer did not say
)

// A Report is what a search saw in one place, such as a repository, a host or an image.
type Report struct {
	Origin string // what was searched, as people call it
	Seen   []Seen
	// Stopped says that a push with it was refused, so that it stands nowhere yet.
	Stopped bool
	Reason  string // why a push with it was let through all the same; "" if nobody had to say
	Owner   string // of what belongs to nobody keyward knows of; "" for nobody
}

// A Sighting is what is known of one credential in one place.
type Sighting struct {
	Account  string
	ID       string           // of the credential and the origin
	Origin   string           // Report.Origin
	Mark     string           // "" for an identifier alone
	KeyID    string           // "" for none
	Rule     string           // leak.Rule.ID
	Severity finding.Severity // as the search judged
	Places   []Place          // the first MaxPlaces
	More     int              // places beyond
	First    time.Time        // when it was first reported
	Last     time.Time        // when it was last reported
	Fresh    time.Time        // when it was last reported at a place that was not known
	By       string           // ARN of who reported it last
	Stopped  bool             // Report.Stopped
	Reason   string           // Report.Reason
	Owner    string           // Report.Owner
	Gone     bool             // Seen.Gone, of the last report
	Verdict  Verdict          // the last one
}

// credential answers what two sightings of one credential have in common.
func (s *Sighting) credential() string {
	if s.Mark != "" {
		return s.Mark
	}
	return "id " + s.KeyID
}

// Merge answers what is known after a credential was reported again.
func (s Sighting) Merge(again Sighting) Sighting {
	again.First, again.Fresh = s.First, s.Fresh
	again.KeyID = cmp.Or(again.KeyID, s.KeyID)
	again.Verdict = s.Verdict.or(again.Verdict)
	again.Reason = cmp.Or(again.Reason, s.Reason) // a later scan of the same place knows of none
	places := slices.Clone(s.Places)
	for _, p := range again.Places {
		if slices.Contains(places, p) {
			continue
		}
		if len(places) < MaxPlaces {
			places = append(places, p)
			again.Fresh = again.Last
		}
	}
	again.Places, again.More = places, max(s.More, again.More)
	return again
}

// holdsCredential tells whether a text is a URL in which somebody may have left a password or a
// token, as in those with which CI clones. A user alone is one over http.
func holdsCredential(text string) bool {
	scheme, rest, _ := strings.Cut(text, "://")
	authority, _, _ := strings.Cut(rest, "/")
	user, _, has := strings.Cut(authority, "@")
	return has && (strings.HasPrefix(strings.ToLower(scheme), "http") || strings.Contains(user, ":"))
}

// check refuses a report that cannot be one.
func (r Report) check() error {
	if strings.TrimSpace(r.Origin) == "" {
		return fault.MissingParameter.New("the origin is missing: say what was searched, such as a repository's name")
	}
	if clean(r.Origin, maxText) != r.Origin {
		return fault.InvalidParameter.New("the origin is no text of at most %d bytes", maxText)
	}
	if holdsCredential(r.Origin) {
		return fault.InvalidParameter.New("the origin is a URL with a user or a token in it; give it without, as it is kept and told to people")
	}
	if clean(r.Reason, maxPath) != r.Reason {
		return fault.InvalidParameter.New("the reason is no text of at most %d bytes", maxPath)
	}
	if len(r.Seen) > MaxReport {
		return fault.InvalidParameter.New("a report has at most %d credentials; send several", MaxReport)
	}
	for _, s := range r.Seen {
		if s.Blind == "" && s.KeyID == "" {
			return fault.MissingParameter.New("a credential of the report has neither a keyed hash nor an id")
		}
		if raw, err := hex.DecodeString(s.Blind); err != nil || s.Blind != "" && (len(s.Blind) != markLen || hex.EncodeToString(raw) != s.Blind) {
			return fault.InvalidParameter.New("a keyed hash has %d hexadecimal digits in lower case", markLen)
		}
		if s.Rule == "" || len(s.Places) == 0 {
			return fault.InvalidParameter.New("each credential of a report has a rule and at least one place")
		}
		if s.More < 0 || s.More > math.MaxInt32 {
			return fault.InvalidParameter.New("the number of places that are not told is none")
		}
		if len(s.KeyID) > maxText || len(s.Rule) > maxText {
			return fault.InvalidParameter.New("an id and a rule of a report have at most %d bytes", maxText)
		}
	}
	return nil
}

// sighting answers what is kept of a credential that was reported.
func (k keys) sighting(r Report, s Seen) Sighting {
	out := Sighting{
		Origin: r.Origin, Stopped: r.Stopped, Reason: r.Reason, Owner: r.Owner, Gone: s.Gone, Verdict: s.Verdict, KeyID: clean(s.KeyID, maxText), Rule: clean(s.Rule, maxText), Severity: s.Severity, More: s.More,
	}
	if s.Blind != "" {
		out.Mark = k.mark(s.Blind)
	}
	for _, p := range s.Places {
		if len(out.Places) == MaxPlaces {
			out.More++
			continue
		}
		out.Places = append(out.Places, Place{Path: clean(p.Path, maxPath), Line: max(p.Line, 0), Commit: clean(p.Commit, maxText), Layer: clean(p.Layer, maxText)})
	}
	id := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%v", out.credential(), out.Origin, out.Stopped))
	out.ID = hex.EncodeToString(id[:16])
	return out
}

// clean makes text of what a search says: valid, without control characters, of at most so
// many bytes.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(text, "."))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
