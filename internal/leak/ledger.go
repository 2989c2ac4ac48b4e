package leak

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
)

// A Hasher makes fingerprints: HMAC-SHA-256 with a key, so that who has a fingerprint and
// not the key cannot try out passwords with it. The same credential has the same
// fingerprint in whatever file, form and rule.
type Hasher struct{ key, shared []byte }

// NewHasher answers the hasher with a key, which should have 32 random bytes.
func NewHasher(key []byte) Hasher { return Hasher{key: slices.Clone(key)} }

// Sharing answers the hasher with which findings also get their [Finding.Mark], under a key
// that a server gave.
func (h Hasher) Sharing(key []byte) Hasher { return Hasher{h.key, slices.Clone(key)} }

// Name answers what tells this hasher from those with other keys, and nothing else of them.
func (h Hasher) Name() []byte { return append(keyed(h.key, nil), keyed(h.shared, nil)...) }

// Fingerprint answers the fingerprint of what identifies a credential, 32 hexadecimal digits.
func (h Hasher) Fingerprint(identity []byte) string {
	return hex.EncodeToString(keyed(h.key, identity)[:16])
}

// Mark answers what a credential is called towards the server whose key is shared, 64
// hexadecimal digits.
func (h Hasher) Mark(identity []byte) string { return hex.EncodeToString(keyed(h.shared, identity)) }

func keyed(key, identity []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(identity)
	return mac.Sum(nil)
}

// Finding answers the finding that a match is, without its place.
func (h Hasher) Finding(m Match, text []byte) Finding {
	secret := text[m.Start:m.End]
	identity := m.Identity
	if identity == nil {
		identity = secret
	}
	f := Finding{
		Fingerprint: h.Fingerprint(identity), Rule: m.Rule.ID, Provider: m.Rule.Provider.ID, Title: m.Rule.Title, Severity: m.Severity, Confidence: m.Confidence,
		KeyID: string(m.KeyID), Redacted: Redact(secret), Length: len(secret), Advice: m.Rule.Provider.Advice,
	}
	if h.shared != nil && m.Rule.Class == Secret {
		f.Mark = h.Mark(identity)
	}
	switch {
	case m.Rule.Class != Secret:
		f.Redacted = string(secret) // public
	case m.Identity != nil:
		f.Redacted = "" // the ends of a key file tell nothing
	}
	return f
}

// MaxLocations is how many places of one finding a [Ledger] keeps.
const MaxLocations = 1000

// MaxFindings is how many different credentials a [Ledger] keeps. What has more is a list of
// them, and who reads the first ten thousand knows.
const MaxFindings = 10_000

// A Ledger makes one finding of each credential. It is for any number of goroutines.
type Ledger struct {
	mu       sync.Mutex
	findings map[string]*entry
	more     int64
}

type entry struct {
	Finding
	seen map[Location]bool
}

// Add adds a finding at a place. What is known under its fingerprint becomes better by it,
// whichever came first: the surer rule stays, and an identifier that was missing is filled in.
func (l *Ledger) Add(f Finding, at Location) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.findings == nil {
		l.findings = map[string]*entry{}
	}
	e := l.findings[f.Fingerprint]
	if e == nil && len(l.findings) == MaxFindings {
		l.more++
		return
	}
	if e == nil {
		e = &entry{Finding: f, seen: map[Location]bool{}}
		e.Locations = nil
		l.findings[f.Fingerprint] = e
	}
	if compareEvidence(f, e.Finding) > 0 {
		f.KeyID, f.Locations = cmp.Or(f.KeyID, e.KeyID), e.Locations
		e.Finding = f
	}
	e.KeyID = cmp.Or(e.KeyID, f.KeyID)
	if !e.seen[at] && len(e.seen) < MaxLocations {
		e.seen[at] = true
		e.Locations = append(e.Locations, at)
	}
}

// More answers how many times a credential was found that the ledger had no room for.
func (l *Ledger) More() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.more
}

// Findings answers what was found, the worst first, each with its places in order.
func (l *Ledger) Findings() []Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Finding, 0, len(l.findings))
	for _, e := range l.findings {
		f := e.Finding
		f.Locations = slices.SortedFunc(slices.Values(e.Locations), compareLocations)
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Confidence, a.Confidence), compareLocations(a.Locations[0], b.Locations[0]), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return out
}

// compareEvidence tells which of two findings of one credential says more of it: the surer, the
// worse; of equals, the one whose rule is the first by its name.
func compareEvidence(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.Confidence, b.Confidence), cmp.Compare(a.Severity, b.Severity), cmp.Compare(b.Rule, a.Rule))
}

func compareLocations(a, b Location) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Via, b.Via), cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Layer, b.Layer))
}
