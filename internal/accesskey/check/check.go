// Package check answers from the inventory what is wrong with access keys and with those
// who hold them. It is pure: it has no clock, reads nothing and stores nothing, so every
// boundary can be tested.
//
// The table ([Rules]) has the checks AK01 to AK31 but AK25, a key that leaked, which package
// exposure answers. A check looks at a key, at a principal
// with all of its keys, or at the whole account, and says one of three things: it is so, it
// is not so, or nobody knows. What nobody knows is never a finding, and never ends one: a
// provider that stops telling when keys were used makes no key fresh.
//
// An [Exam] looks at one provider: begin it with [New], show it every key in any order
// and of any number, and end it with the principals. It keeps a few words for each
// principal, and two for each key that something is not known of.
//
// What is looked at says what a user of the inventory would: a key that is switched off is
// not too old, a key that was made yesterday is not unused, and two keys of one user are
// a rotation under way until they are two for too long.
//
// The checks that need more than the inventory – logs of calls, the text of policies – are in
// the table with what they need.
package check

import (
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/notify"
)

// Source is the finding.Finding.Source of what this package finds.
const Source = "checks"

// Thresholds say from when on something is a finding. docs/findings.md tells them to users.
type Thresholds struct {
	MaxAge         time.Duration // of an active key, where its provider has no age of its own (AK03)
	OldAge         time.Duration // from which that is severe (AK03)
	Unused         time.Duration // since an active key was last used (AK04)
	LongUnused     time.Duration // from which that is severe (AK04)
	Grace          time.Duration // that a new or changed key has to be used (AK05, AK08)
	Inactive       time.Duration // that a key may stay switched off before it is deleted (AK06)
	Overlap        time.Duration // that a principal may have two active keys (AK07)
	RootUse        time.Duration // since a root key was last used, for it to count as in use (AK02)
	SetUp          time.Duration // between the making of a user and of a key, for one act (AK10)
	ConsoleIdle    time.Duration // since a console user last logged in (AK29)
	PasswordLength int           // that a password policy asks for at least (AK28)
	PasswordReuse  int           // earlier passwords that it refuses at least (AK28)
}

const day = 24 * time.Hour

// Defaults answers the thresholds that are in force unless the server's configuration
// says otherwise: those of the CIS benchmarks where there is one.
func Defaults() Thresholds {
	return Thresholds{
		MaxAge: 90 * day, OldAge: 180 * day, Unused: 45 * day, LongUnused: 90 * day, Grace: 14 * day, Inactive: 30 * day, Overlap: 7 * day,
		RootUse: 90 * day, SetUp: 2 * time.Minute, ConsoleIdle: 90 * day, PasswordLength: 14, PasswordReuse: 5,
	}
}

// An outcome is what a check says.
type outcome int

const (
	clear outcome = iota
	unknown
	found
)

// A verdict is what a check says of a subject, with the evidence.
type verdict struct {
	outcome  outcome
	severity finding.Severity
	facts    []notify.Fact
}

// no is the verdict that it is not so, dunno that nobody can say.
var no, dunno = verdict{outcome: clear}, verdict{outcome: unknown}

func yes(severity finding.Severity, facts ...notify.Fact) verdict {
	return verdict{found, severity, facts}
}

func fact(name, value string) notify.Fact { return notify.Fact{Name: name, Value: value} }

func moment(name string, at time.Time) notify.Fact {
	return fact(name, at.UTC().Format(time.RFC3339))
}

// A holder is a principal with what its keys have to say.
type holder struct {
	accesskey.Principal
	active []activeKey
	keys   int // active or not, but not deleted
}

type activeKey struct {
	id   string
	made time.Time // zero if not told
	use  accesskey.Use
}

// An Exam is one look at one provider. It is used by one goroutine.
type Exam struct {
	t        Thresholds
	now      time.Time
	st       accesskey.Standing
	found    []finding.Finding
	holders  map[string]*holder
	problems map[string]bool            // subjects of which something could not be read
	unknown  map[finding.Subject]uint32 // checks that nobody can answer, by their places in the table
}

// New begins the exam of a provider at a time.
func New(st accesskey.Standing, t Thresholds, now time.Time) *Exam {
	e := &Exam{t: t, now: now, st: st, holders: map[string]*holder{}, problems: map[string]bool{}, unknown: map[finding.Subject]uint32{}}
	for _, p := range st.State.Problems {
		e.problems[p.Subject] = true
	}
	return e
}

// Key looks at a key, which belongs to the provider. A key that is gone or deleted is none.
func (e *Exam) Key(k *accesskey.AccessKey) {
	if k.Observed.Status == accesskey.Gone || k.Observed.Status == accesskey.Deleted {
		return
	}
	if k.Principal.ID != "" {
		h := e.holders[k.Principal.ID]
		if h == nil {
			h = &holder{Principal: k.Principal}
			e.holders[k.Principal.ID] = h
		}
		h.keys++
		if k.Observed.Status == accesskey.Active {
			h.active = append(h.active, activeKey{k.Observed.ID, k.Observed.CreatedAt, k.Observed.Use})
		}
	}
	s := finding.Subject{Provider: e.st.Source.Name, Kind: finding.Key, ID: k.Observed.ID, Name: k.Observed.Name}
	for i := range table {
		if look := table[i].key; look != nil {
			e.note(i, s, k.Owner, look(e, k), keyFacts(k))
		}
	}
}

// End looks at the principals and at the account, and answers everything that was found.
func (e *Exam) End(principals []accesskey.Principal) []finding.Finding {
	for _, p := range principals {
		if h := e.holders[p.ID]; h != nil {
			h.Principal = p
		} else {
			e.holders[p.ID] = &holder{Principal: p}
		}
	}
	for _, h := range e.holders {
		slices.SortFunc(h.active, func(a, b activeKey) int { return a.made.Compare(b.made) })
		s := finding.Subject{Provider: e.st.Source.Name, Kind: finding.Principal, ID: h.ID, Name: h.Name}
		for i := range table {
			if look := table[i].principal; look != nil {
				e.note(i, s, e.st.Source.Owner, look(e, h), holderFacts(h))
			}
		}
	}
	s := finding.Subject{Provider: e.st.Source.Name, Kind: finding.Provider}
	for i := range table {
		if look := table[i].account; look != nil {
			e.note(i, s, e.st.Source.Owner, look(e), accountFacts(e))
		}
	}
	return e.found
}

// note keeps a verdict on a subject.
func (e *Exam) note(i int, s finding.Subject, owner string, v verdict, about []notify.Fact) {
	if v.outcome == found {
		e.found = append(e.found, finding.Finding{
			Rule: table[i].ID, Subject: s, Platform: e.st.Source.Kind, Severity: v.severity, Owner: owner, Evidence: slices.Concat(about, v.facts),
		})
	}
	s.Name = ""
	switch {
	case v.outcome == unknown:
		e.unknown[s] |= 1 << i
	case e.problems[s.ID]:
		e.unknown[s] |= 0 // it was seen all the same
	}
}

// Unknown tells, after the end, whether nobody can say if a check holds of a subject:
// something that it depends on is not known, or the subject could not be read at all.
func (e *Exam) Unknown(rule string, s finding.Subject) bool {
	i := slices.IndexFunc(table, func(c check) bool { return c.ID == rule })
	s.Name = ""
	bits, noted := e.unknown[s]
	if noted {
		return i >= 0 && bits&(1<<i) != 0
	}
	return e.problems[s.ID]
}

// keyFacts are what every finding about a key tells.
func keyFacts(k *accesskey.AccessKey) []notify.Fact {
	return present(fact("key", k.Observed.ID), fact("name", k.Observed.Name), fact("user", k.Principal.Name), fact("user-id", k.Principal.ID), fact("purpose", k.Remark.Purpose))
}

func holderFacts(h *holder) []notify.Fact {
	return present(fact("user", h.Name), fact("user-id", h.ID), fact("kind", string(h.Kind)))
}

func accountFacts(e *Exam) []notify.Fact {
	return present(fact("account", e.st.State.Identity.Account))
}

func present(facts ...notify.Fact) []notify.Fact {
	return slices.DeleteFunc(facts, func(f notify.Fact) bool { return f.Value == "" })
}
