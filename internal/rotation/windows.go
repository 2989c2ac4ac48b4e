package rotation

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
)

// Windows say when a rotation may take a step that can be felt: begin, publish a wave,
// disable or delete a key. The zero value is always open.
type Windows struct {
	Zone   string        `json:"zone,omitempty"`   // IANA name; "" for UTC
	Allow  []string      `json:"allow,omitempty"`  // spans; none for always
	Deny   []string      `json:"deny,omitempty"`   // spans, stronger than Allow
	Unless time.Duration `json:"unless,omitempty"` // so little is left until the key expires; 0 for 72 hours
}

// maxSpans is how many spans windows have at most.
const maxSpans = 50

// horizon is how far the next opening is looked for.
const horizon = 400 * 24 * time.Hour

// A span is a part of some days: "Mon-Fri 22:00-06:00", "Sat,Sun", "11-11", "02:00-04:00",
// "01-28..02-04 00:00-24:00". What ends before it begins ends on the next day.
type span struct {
	days     [7]bool
	from, to [2]int // month and day; zero for every day of the year
	start    int    // minutes of the day
	end      int    // may be beyond 1440
}

var (
	spanForm = lazy.Regexp(`^(?:([A-Z][A-Za-z,-]*|\d\d-\d\d(?:\.\.\d\d-\d\d)?)\s*)?(?:(\d\d):(\d\d)-(\d\d):(\d\d))?$`)
	weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
)

// Check refuses windows that cannot be read, or never open.
func (w Windows) Check() error {
	if _, err := w.zone(); err != nil {
		return err
	}
	if len(w.Allow)+len(w.Deny) > maxSpans {
		return fault.LimitExceeded.New("windows have at most %d spans", maxSpans)
	}
	for _, text := range slices.Concat(w.Allow, w.Deny) {
		if _, err := parseSpan(text); err != nil {
			return err
		}
	}
	if w.Unless < 0 || w.Unless > MaxTime {
		return fault.InvalidParameter.New("windows can be ignored in the last 0 to 90 days of a key")
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
		has := func(s span) bool { return s.holds(t) }
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

func parseSpans(texts []string) ([]span, error) {
	var out []span
	for _, text := range texts {
		s, err := parseSpan(text)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func parseSpan(text string) (span, error) {
	bad := fault.InvalidParameter.New(`%q is no span of time; write "Mon-Fri 22:00-06:00", "Sat,Sun", "11-11", "01-28..02-04" or "02:00-04:00"`, text)
	m := spanForm().FindStringSubmatch(strings.TrimSpace(text))
	if m == nil || m[0] == "" {
		return span{}, bad
	}
	s := span{end: 24 * 60}
	for i := range s.days {
		s.days[i] = true
	}
	switch {
	case m[1] == "":
	case m[1][0] >= '0' && m[1][0] <= '9':
		from, to, _ := strings.Cut(m[1], "..")
		if to == "" {
			to = from
		}
		var ok1, ok2 bool
		s.from, ok1 = parseDay(from)
		s.to, ok2 = parseDay(to)
		if !ok1 || !ok2 {
			return span{}, bad
		}
	default:
		var ok bool
		if s.days, ok = parseWeekdays(m[1]); !ok {
			return span{}, bad
		}
	}
	if m[2] != "" {
		s.start, s.end = minutes(m[2], m[3]), minutes(m[4], m[5])
		if s.start >= 24*60 || s.end > 24*60 || s.start == s.end || m[3] > "59" || m[5] > "59" {
			return span{}, bad
		}
		if s.end < s.start {
			s.end += 24 * 60
		}
	}
	return s, nil
}

func minutes(h, m string) int {
	hours, _ := strconv.Atoi(h) // two digits
	rest, _ := strconv.Atoi(m)
	return 60*hours + rest
}

func parseDay(text string) ([2]int, bool) {
	t, err := time.Parse("2006-01-02", "2000-"+text) // a leap year
	if err != nil {
		return [2]int{}, false
	}
	return [2]int{int(t.Month()), t.Day()}, true
}

func parseWeekdays(text string) (days [7]bool, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		from, to, ranged := strings.Cut(part, "-")
		a, b := slices.Index(weekdays, from), slices.Index(weekdays, from)
		if ranged {
			b = slices.Index(weekdays, to)
		}
		if a < 0 || b < 0 {
			return days, false
		}
		for d := a; ; d = (d + 1) % 7 {
			if days[d] = true; d == b {
				break
			}
		}
	}
	return days, true
}

// holds tells whether a local time lies in the span, on the day itself or in the part of
// the day before that goes over midnight.
func (s span) holds(t time.Time) bool {
	minute := 60*t.Hour() + t.Minute()
	return s.day(t) && minute >= s.start && minute < s.end ||
		s.end > 24*60 && s.day(t.AddDate(0, 0, -1)) && minute < s.end-24*60
}

func (s span) day(t time.Time) bool {
	if !s.days[t.Weekday()] {
		return false
	}
	if s.from == [2]int{} {
		return true
	}
	on := [2]int{int(t.Month()), t.Day()}
	after, before := slices.Compare(on[:], s.from[:]) >= 0, slices.Compare(on[:], s.to[:]) <= 0
	if slices.Compare(s.from[:], s.to[:]) > 0 { // over the turn of the year
		return after || before
	}
	return after && before
}
