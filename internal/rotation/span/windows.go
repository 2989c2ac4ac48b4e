package span

import (
	"slices"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// Windows say when something may be done that can be felt. The zero value is always open.
type Windows struct {
	Zone   string        `json:"zone,omitempty"`   // IANA name; "" for UTC
	Allow  []string      `json:"allow,omitempty"`  // spans; none for always
	Deny   []string      `json:"deny,omitempty"`   // spans, stronger than Allow
	Unless time.Duration `json:"unless,omitempty"` // they do not matter when so little is left until the key expires; 0 for 72 hours
}

// maxSpans is how many spans windows have at most.
const maxSpans = 50

// horizon is how far the next opening is looked for.
const horizon = 400 * 24 * time.Hour

// Check refuses windows that cannot be read, or never open.
func (w Windows) Check() error {
	if _, err := w.zone(); err != nil {
		return err
	}
	if len(w.Allow)+len(w.Deny) > maxSpans {
		return fault.LimitExceeded.New("windows have at most %d spans", maxSpans)
	}
	for _, text := range slices.Concat(w.Allow, w.Deny) {
		if _, err := Parse(text); err != nil {
			return err
		}
	}
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	if w.OpensAt(now).Equal(now.Add(horizon)) {
		return fault.InvalidParameter.New("these windows never open; take away some of what they deny")
	}
	return nil
}

func (w Windows) zone() (*time.Location, error) {
	if w.Zone == "Local" {
		return nil, fault.InvalidParameter.New("name the time zone, such as Asia/Shanghai: servers differ in what is local")
	}
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		return nil, fault.InvalidParameter.New("there is no time zone %q; write it as Asia/Shanghai", w.Zone)
	}
	return zone, nil
}

// OpensAt answers when the windows open next, to the minute; the zero time if they are
// open. Windows that cannot be read are closed for as long as can be seen.
func (w Windows) OpensAt(now time.Time) time.Time {
	zone, err := w.zone()
	if err != nil {
		return now.Add(horizon)
	}
	allow, errA := parseSpans(w.Allow)
	deny, errD := parseSpans(w.Deny)
	if errA != nil || errD != nil {
		return now.Add(horizon)
	}
	open := func(t time.Time) bool {
		t = t.In(zone)
		has := func(s Span) bool { return s.Holds(t) }
		return (len(allow) == 0 || slices.ContainsFunc(allow, has)) && !slices.ContainsFunc(deny, has)
	}
	if open(now) {
		return time.Time{}
	}
	// Spans begin and end on whole minutes.
	for at := now.Truncate(time.Minute).Add(time.Minute); at.Before(now.Add(horizon)); at = at.Add(time.Minute) {
		if open(at) {
			return at
		}
	}
	return now.Add(horizon)
}

func parseSpans(texts []string) ([]Span, error) {
	var out []Span
	for _, text := range texts {
		s, err := Parse(text)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
