// Package finding is the one inbox of what a person should know and mend: a key that
// nobody uses, a second factor that is off, a secret that got out. Those who look (packages
// checkup and exposure now, rules over cloud events later) hand in everything that they
// find, again and again; the inbox works out what is new, what lasts and what is over.
//
// Two kinds of facts meet here, as in package accesskey. A [Finding] is observed: the next
// look says it anew, so its row is not bound by a MAC, and a change of one leaves no record
// of its own. A [Suppression] is what a person decided: its row is bound and each one is an
// audit record. Who can write the database can therefore hide a finding until the next
// look, and cannot silence it for longer.
//
// A finding is a condition, and no click ends a condition. It is over when a look finds
// that it is; what a look could not tell – a right is missing, a provider does not answer –
// neither opens nor ends one. A person who has mended something may say so ([Service.Resolve]):
// the finding is then taken for resolved until something newer than that word shows the
// opposite. A person who accepts it says for how long and why ([Service.Suppress]).
//
//	            seen                      not so any more
//	(nothing) ─────────► open ───────────────────────────► resolved
//	                     │  ▲ the date comes                 │
//	  a person, a reason │  │                                │ seen again
//	                     ▼  │                                ▼
//	                  suppressed                     open, or suppressed still
//
// Critical findings that are open, and those of rules that say so, are conditions of package
// notify, which tells people and lets none of them be missed.
//
// Who may call: the API dialects, and those who look. What is trusted: evidence is text
// that a provider may have chosen; it is cleaned by package accesskey, quoted where it
// stands in a command ([Rule.Advice]), and shown as what it is.
package finding

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/notify"
)

// A Severity says how bad a finding is.
type Severity int

// The severities.
const (
	Low Severity = iota
	Medium
	High
	Critical
)

var severities = []string{"low", "medium", "high", "critical"}

// String answers the severity's word.
func (s Severity) String() string { return severities[s] }

// ParseSeverity answers the severity of a word.
func ParseSeverity(word string) (Severity, bool) {
	i := slices.Index(severities, word)
	return Severity(max(i, 0)), i >= 0
}

// A State says whether somebody has to see to a finding.
type State string

// The states.
const (
	Open       State = "open"
	Suppressed State = "suppressed" // accepted by a person, until a date
	Resolved   State = "resolved"   // it is over, or a person said so and nothing newer says otherwise
)

// A Kind says what a finding is about.
type Kind string

// The kinds of subjects.
const (
	Key       Kind = "key"
	Principal Kind = "principal" // a user, a collaborator, a root account
	Provider  Kind = "provider"  // the whole account at the provider

	Secret     Kind = "secret"     // of package secret
	Credential Kind = "credential" // that keyward knows nothing of
)

// A Subject is what a finding is about.
type Subject struct {
	Provider string // accesskey.Source.Name; "" of what is at none
	Kind     Kind
	ID       string // of the key or the principal, at the provider; "" for the provider itself; else a name
	Name     string // for people; not part of who it is
}

// String answers provider/id, or the provider, or kind/id of what is at no provider.
func (s Subject) String() string {
	switch {
	case s.Kind == Provider:
		return s.Provider
	case s.Provider == "":
		return string(s.Kind) + "/" + s.ID
	}
	return s.Provider + "/" + s.ID
}

// A Finding is something that a person should know.
type Finding struct {
	Account    string
	ID         string // of rule and subject, for ever; see [Name]
	Source     string // who looks: "checks"
	Rule       string // Rule.ID
	Subject    Subject
	Platform   string // accesskey.Source.Kind, which the advice depends on
	Severity   Severity
	Owner      string        // who answers for the subject; "" if nobody is known
	Evidence   []notify.Fact // what was seen; dates, not ages, so that it lasts
	FirstSeen  time.Time
	LastSeen   time.Time // to the day while the finding lasts
	ResolvedAt time.Time // zero while it lasts
	ResolvedBy string    // the person who said so; "" if a look found that it is over

	Suppression *Suppression `json:"-"` // the last one, which may have ended; nil if there was none
}

// State answers the finding's state at a time.
func (f *Finding) State(now time.Time) State {
	switch {
	case !f.ResolvedAt.IsZero():
		return Resolved
	case f.Suppression != nil && now.Before(f.Suppression.Until):
		return Suppressed
	}
	return Open
}

// A Suppression is a person's word that a finding is accepted for some time. It holds for
// the rule and the subject, whether the finding comes and goes meanwhile or not.
type Suppression struct {
	Account string
	Finding string // Finding.ID
	Rule    string
	Subject string // Subject.String, for whoever reads the row alone
	Owner   string // who answers for it
	Reason  string
	By      string // the ARN of who suppressed it
	At      time.Time
	Until   time.Time
	Rev     int64
}

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Name answers the id of the finding of a rule about a subject: the same for ever, so that
// links, suppressions and incidents outlive it.
func Name(source, rule string, s Subject) string {
	h := sha256.New()
	for _, part := range []string{source, rule, s.Provider, string(s.Kind), s.ID} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(part))) // a hash takes everything
		h.Write([]byte(part))
	}
	return strings.ToLower(rule) + "-" + letters.EncodeToString(h.Sum(nil)[:10])
}
