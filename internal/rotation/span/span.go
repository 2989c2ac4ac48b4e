// Package span reads the spans of time in which something may or may not be done, as a person
// writes them: parts of days, of the week or of the year. [Windows] consist of them, and tell
// when they open next.
//
// Who may call: package rotation, whose plans have windows. It is pure and has no clock: who asks
// brings the time. Windows are stored with their plan. Nothing of what a person writes is
// trusted to be a span, or a time zone.
package span

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
)

// A Span is a part of some days: "Mon-Fri 22:00-06:00", "Sat,Sun", "11-11", "02:00-04:00",
// "01-28..02-04 00:00-24:00". What ends before it begins ends on the next day.
type Span struct {
	days     [7]bool
	from, to [2]int // month and day; zero for every day of the year
	start    int    // minutes of the day
	end      int    // may be beyond 1440
}

var (
	shape    = lazy.Regexp(`^(?:([A-Z][A-Za-z,-]*|\d\d-\d\d(?:\.\.\d\d-\d\d)?)\s*)?(?:(\d\d):(\d\d)-(\d\d):(\d\d))?$`)
	weekdays = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
)

// Parse reads a span as a person writes it; what is none is [fault.InvalidParameter].
func Parse(text string) (Span, error) {
	bad := fault.InvalidParameter.New(`%q is no span of time; write "Mon-Fri 22:00-06:00", "Sat,Sun", "11-11", "01-28..02-04" or "02:00-04:00"`, text)
	m := shape().FindStringSubmatch(strings.TrimSpace(text))
	if m == nil || m[0] == "" {
		return Span{}, bad
	}
	s := Span{end: 24 * 60}
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
			return Span{}, bad
		}
	default:
		var ok bool
		if s.days, ok = parseWeekdays(m[1]); !ok {
			return Span{}, bad
		}
	}
	if m[2] != "" {
		s.start, s.end = minutes(m[2], m[3]), minutes(m[4], m[5])
		if s.start >= 24*60 || s.end > 24*60 || s.start == s.end || m[3] > "59" || m[5] > "59" {
			return Span{}, bad
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

// Holds tells whether a local time lies in the span, on the day itself or in the part of
// the day before that goes over midnight.
func (s Span) Holds(t time.Time) bool {
	minute := 60*t.Hour() + t.Minute()
	return s.day(t) && minute >= s.start && minute < s.end ||
		s.end > 24*60 && s.day(t.AddDate(0, 0, -1)) && minute < s.end-24*60
}

func (s Span) day(t time.Time) bool {
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
