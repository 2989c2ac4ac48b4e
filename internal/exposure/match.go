package exposure

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/secret"
)

// A Match says how strongly a sighting speaks of what it is taken for.
type Match string

// The matches, the strongest first.
const (
	Value   Match = "value"   // the keyed hash of the secret itself is that of a value which keyward keeps
	Pair    Match = "pair"    // a known key's id stood with something that looks like its secret, which keyward does not keep
	ID      Match = "id"      // a known key's id, alone
	Nothing Match = "nothing" // keyward knows nothing of it
)

// An exposed is something of which sightings speak, and what follows from all of them.
type exposed struct {
	rule     string
	subject  finding.Subject
	match    Match
	severity finding.Severity
	platform string
	owner    string
	about    []notify.Fact
	secret   string    // that holds the value, of a Value
	versions []version // of the secret that were seen
	done     []rotation.Response
	seen     []Sighting
}

// A version is one version of a secret that was seen.
type version struct {
	id     string
	strong bool // nobody guesses what was seen of it
}

// also adds a version that was seen.
func (e *exposed) also(v version) {
	i := slices.IndexFunc(e.versions, func(have version) bool { return have.id == v.id })
	if i < 0 {
		e.versions, e.about = append(e.versions, v), append(e.about, fact("version", v.id))
		return
	}
	e.versions[i].strong = e.versions[i].strong || v.strong
}

// compare answers everything that sightings speak of, by the names of the findings. What
// was replaced and does not work any more is nothing.
func (w world) compare(seen []Sighting) []exposed {
	all := map[string]*exposed{}
	said, taken := verdicts(seen), taken(seen)
	for _, s := range seen {
		if at, ok := taken[place{s.Mark, s.Origin}]; ok && s.Stopped && !at.Before(s.Last) {
			continue
		}
		if s.Mark != "" {
			s.Verdict = said[s.Mark]
		}
		for _, e := range w.meanings(s) {
			name := finding.Name(Source, e.rule, e.subject)
			have := all[name]
			switch {
			case have == nil:
				have = &e
			case have.match == Pair && e.match == Value:
				e.seen = have.seen
				have = &e
			case e.match == Value:
				have.also(e.versions[0])
			}
			have.severity, have.seen = max(have.severity, e.severity), append(have.seen, s)
			all[name] = have
		}
	}
	leaked := map[finding.Subject]bool{}
	for _, e := range all {
		leaked[e.subject] = leaked[e.subject] || e.rule == leakedKey
	}
	var out []exposed
	for _, e := range all {
		if e.rule == exposedID && leaked[e.subject] {
			continue // the leak says all of it
		}
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b exposed) int {
		return cmp.Compare(finding.Name(Source, a.rule, a.subject), finding.Name(Source, b.rule, b.subject))
	})
	return out
}

// A place is where a credential may be.
type place struct{ mark, origin string }

// taken answers when credentials were last seen where they stand in the open. A push with one that
// was refused before that is no refused push any more: it was let through, and the finding of the
// credential itself says why.
func taken(seen []Sighting) map[place]time.Time {
	at := map[place]time.Time{}
	for _, s := range seen {
		if p := (place{s.Mark, s.Origin}); !s.Stopped && s.Last.After(at[p]) {
			at[p] = s.Last
		}
	}
	return at
}

// verdicts answers what issuers last said of credentials, by their marks: one that is dead in
// one place is dead in all.
func verdicts(seen []Sighting) map[string]Verdict {
	said := map[string]Verdict{}
	for _, s := range seen {
		if s.Mark != "" {
			said[s.Mark] = said[s.Mark].or(s.Verdict)
		}
	}
	return said
}

// judge answers how bad it is that a credential stands in the open, after what its issuer said.
// A dead one stays something to see to: the id beside it may not be its own, and a key that
// is switched off can be switched on.
func (v Verdict) judge(s finding.Severity, at time.Time) finding.Severity {
	switch {
	case v.Liveness == Live:
		return finding.Critical
	case v.Liveness == Dead && at.Sub(v.At) < believed:
		return min(s, finding.Medium)
	}
	return s
}

// meanings answers what one sighting speaks of.
func (w world) meanings(s Sighting) (out []exposed) {
	if s.Stopped {
		if s.Mark != "" {
			out = append(out, ofPush(s.Mark, s.Rule))
		}
		return out
	}
	var marks []secret.Mark
	if s.Mark != "" {
		marks = w.marks[s.Mark]
	}
	for _, m := range marks {
		keys, known := w.live(m.KeyID)
		stages := w.stages(m)
		switch {
		case known: // whether the provider still takes it says more than where a label stands
			for _, k := range keys {
				out = append(out, ofKey(leakedKey, Value, k).in(m, stages))
			}
		case len(stages) > 0:
			out = append(out, ofSecret(m).in(m, stages))
		}
	}
	if len(marks) > 0 {
		return out
	}
	keys, known := w.live(s.KeyID)
	switch {
	case known:
		rule, match := exposedID, ID
		if s.Mark != "" {
			rule, match = leakedKey, Pair
		}
		for _, k := range keys {
			e := ofKey(rule, match, k)
			if match == Pair { // not the pair of this key, if its issuer refuses it
				e.severity = s.Verdict.judge(e.severity, w.at)
			}
			out = append(out, e)
		}
	case s.Mark != "":
		out = append(out, exposed{
			rule: unknownCredential, match: Nothing, severity: s.Verdict.judge(s.Severity, w.at), owner: s.Owner, subject: finding.Subject{Kind: finding.Credential, ID: s.Mark[:16], Name: s.Rule},
			about: present(fact("what", s.Rule), fact("key", s.KeyID)),
		})
	}
	return out
}

// live answers the keys with an id that work, and whether the inventory knows the id at all.
func (w world) live(id string) (keys []accesskey.AccessKey, known bool) {
	if id == "" {
		return nil, false
	}
	for _, k := range w.keys[id] {
		if k.Observed.Status == accesskey.Active {
			keys = append(keys, k)
		}
	}
	return keys, len(w.keys[id]) > 0
}

// stages answers the stages on which the value of a mark still stands.
func (w world) stages(m secret.Mark) []secret.Stage {
	return w.secrets[m.Secret].On(m.Version)
}

func ofKey(rule string, match Match, k accesskey.AccessKey) exposed {
	o, u := k.Observed, k.Observed.Use
	e := exposed{
		rule: rule, match: match, severity: finding.Critical, platform: k.Provider, owner: k.Owner,
		subject: finding.Subject{Provider: k.Source, Kind: finding.Key, ID: o.ID, Name: o.Name},
		about: []notify.Fact{
			fact("key", o.ID), fact("name", o.Name), fact("user", k.Principal.Name), fact("user-id", k.Principal.ID),
			fact("purpose", k.Remark.Purpose), fact("system", k.Remark.System), fact("consumers", strings.Join(k.Remark.Consumers, ", ")),
			moment("used", u.At), fact("used-service", u.Service), fact("used-from", strings.TrimSpace(u.Region+" "+u.IP)),
		},
	}
	if rule == exposedID {
		e.severity = finding.Medium
	}
	return e
}

// ofPush answers what a push that was refused comes to: the same whatever it matches, for
// whoever pushes is told what was decided about it.
func ofPush(mark, rule string) exposed {
	return exposed{
		rule: stoppedPush, match: Nothing, severity: finding.Medium, subject: finding.Subject{Kind: finding.Credential, ID: mark[:16], Name: rule},
		about: present(fact("what", rule)),
	}
}

func ofSecret(m secret.Mark) exposed {
	return exposed{
		rule: leakedSecret, match: Value, severity: finding.Critical, subject: finding.Subject{Kind: finding.Secret, ID: m.Name, Name: m.Name},
	}
}

// in adds the secret whose value was seen.
func (e exposed) in(m secret.Mark, stages []secret.Stage) exposed {
	names := make([]string, len(stages))
	for i, s := range stages {
		names[i] = string(s)
	}
	e.secret, e.versions = m.Name, []version{{m.Version, m.Strong}}
	e.about = append(slices.Clip(e.about), fact("secret", m.Name), fact("version", m.Version), fact("stages", strings.Join(names, ", ")))
	return e
}

// How much of the places a finding names.
const (
	namedOrigins = 5
	namedPlaces  = 10
)

// finding answers what the inbox is told.
func (e exposed) finding() finding.Finding {
	slices.SortFunc(e.seen, func(a, b Sighting) int { return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.ID, b.ID)) })
	facts := append(slices.Clip(e.about), fact("match", string(e.match)))
	for _, r := range e.done {
		facts = append(facts, fact("plan", r.Plan), fact("rollout", r.Rollout), fact("nodes", named(r.Nodes)), fact("rotation", r.Rotation), fact("refused", r.Refused))
	}
	first := e.seen[0]
	origins, places, more := 0, 0, 0
	var commit, reason string
	gone := true
	var last Verdict
	for i, s := range e.seen {
		if i == 0 || s.Origin != e.seen[i-1].Origin {
			if origins++; origins <= namedOrigins {
				facts = append(facts, fact("origin", s.Origin))
			}
		}
		more, reason, gone = more+s.More, cmp.Or(s.Reason, reason), gone && s.Gone
		last = last.or(s.Verdict)
		for _, p := range s.Places {
			commit = cmp.Or(commit, p.Commit)
			if places++; places <= namedPlaces {
				facts = append(facts, fact("place", s.Origin+": "+p.String()))
			} else {
				more++
			}
		}
	}
	facts = append(facts, fact("commit", commit), fact("let-through", reason), fact("reported-by", first.By), moment("reported", first.First))
	if more > 0 {
		facts = append(facts, fact("more-places", strconv.Itoa(more)))
	}
	facts = append(facts, fact("works", string(last.Liveness)), fact("why-unknown", last.Why), moment("asked", last.At), fact("belongs-to", last.As))
	if gone {
		facts = append(facts, fact("gone", "yes"))
	}
	return finding.Finding{Rule: e.rule, Subject: e.subject, Platform: e.platform, Severity: e.severity, Owner: e.owner, Evidence: present(facts...)}
}

// named answers some of many names, and how many more there are.
func named(all []string) string {
	const most = 20
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return strings.Join(all[:most], ", ") + fmt.Sprintf(", +%d", len(all)-most)
}

// freshest answers when what the finding says was last learnt: that a live value is in the
// open is so at every look; that an unknown one stands somewhere is news only in a new place, or
// when its issuer says that it works.
func (e exposed) freshest(at time.Time) (fresh time.Time) {
	if e.match == Value || e.match == Pair {
		return at
	}
	for _, s := range e.seen {
		if s.Fresh.After(fresh) {
			fresh = s.Fresh
		}
		if s.Verdict.Liveness == Live && s.Verdict.At.After(fresh) {
			fresh = s.Verdict.At
		}
	}
	return fresh
}

// String answers the place as people write it.
func (p Place) String() string {
	out := p.Path
	if p.Line > 0 {
		out += ":" + strconv.Itoa(p.Line)
	}
	if p.Commit != "" {
		out += fmt.Sprintf(" (%.12s)", p.Commit)
	}
	if p.Layer != "" {
		out += " @" + p.Layer
	}
	return out
}

func fact(name, value string) notify.Fact { return notify.Fact{Name: name, Value: value} }

// moment answers a fact about a time, an empty one for the zero time.
func moment(name string, at time.Time) notify.Fact {
	if at.IsZero() {
		return fact(name, "")
	}
	return fact(name, at.UTC().Format(time.RFC3339))
}

func present(facts ...notify.Fact) []notify.Fact {
	return slices.DeleteFunc(facts, func(f notify.Fact) bool { return f.Value == "" })
}
