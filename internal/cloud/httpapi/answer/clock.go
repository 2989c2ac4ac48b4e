package answer

import (
	"fmt"
	"strconv"
	"time"
	_ "time/tzdata" // a definition may name any zone, on a machine without a zone database, too
)

// A Clock reads the times of one field.
type Clock struct {
	layout string // of package time, or "unix", "unix-ms"
	zone   *time.Location
	day    bool // the start of the day is meant
}

// layouts are the names of layouts.
var layouts = map[string]string{"": time.RFC3339, "rfc3339": time.RFC3339, "rfc2822": time.RFC1123Z, "unix": "unix", "unix-ms": "unix-ms"}

// NewClock holds what a definition says of a time against the rules: a layout must say the
// whole date; without a zone in it a zone must be declared; a bare date is the start of
// its day, which is the earliest that it can mean.
func NewClock(layout, zone, round string) (*Clock, error) {
	c := &Clock{layout: layout, day: round == "start-of-day"}
	if named, ok := layouts[layout]; ok {
		c.layout = named
	}
	if zone != "" {
		if zone == "Local" {
			return nil, fmt.Errorf("the zone Local is another one on every machine; name the provider's, such as Asia/Shanghai or UTC")
		}
		known, err := time.LoadLocation(zone)
		if err != nil {
			return nil, fmt.Errorf("there is no zone %q; name one such as Asia/Shanghai or UTC", zone)
		}
		c.zone = known
	}
	if c.unix() {
		if c.day && c.zone == nil {
			return nil, fmt.Errorf("a day needs a zone; declare it, such as zone: UTC")
		}
		return c, nil
	}
	base := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	tells := func(other time.Time) bool { return base.Format(c.layout) != other.Format(c.layout) }
	zoned := tells(time.Date(2001, 2, 3, 4, 5, 6, 0, time.FixedZone("UTC", 5*3600)))
	bare := !tells(base.Add(12*time.Hour + 30*time.Minute))
	if _, err := time.Parse(c.layout, base.Format(c.layout)); err != nil || !tells(base.AddDate(1, 0, 0)) || !tells(base.AddDate(0, 1, 0)) || !tells(base.AddDate(0, 0, 1)) {
		return nil, fmt.Errorf("the layout %q does not say year, month and day; write the date 2 January 2006 15:04:05 as the provider would, such as 2006-01-02", layout)
	}
	if !zoned && c.zone == nil {
		return nil, fmt.Errorf("the layout %q has no zone; declare the provider's, such as zone: Asia/Shanghai or zone: UTC", layout)
	}
	c.day = c.day || bare
	return c, nil
}

func (c *Clock) unix() bool { return c.layout == "unix" || c.layout == "unix-ms" }

// A time that a provider tells lies in these years, or it is a mistake.
const firstYear, lastYear = 1990, 2200

// Read answers the moment that a text means.
func (c *Clock) Read(text string) (time.Time, error) {
	t, err := c.parse(text)
	if err != nil {
		return time.Time{}, err
	}
	if c.day {
		if c.zone != nil {
			t = t.In(c.zone)
		}
		y, m, d := t.Date()
		t = time.Date(y, m, d, 0, 0, 0, 0, t.Location())
	}
	if y := t.UTC().Year(); y < firstYear || y > lastYear {
		return time.Time{}, fmt.Errorf("the year is not between %d and %d", firstYear, lastYear)
	}
	return t.UTC(), nil
}

func (c *Clock) parse(text string) (time.Time, error) {
	if c.unix() {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("it is not a whole number of seconds or milliseconds")
		}
		if c.layout == "unix-ms" {
			return time.UnixMilli(n), nil
		}
		return time.Unix(n, 0), nil
	}
	zone := c.zone
	if zone == nil {
		zone = time.UTC // the text has its own
	}
	t, err := time.ParseInLocation(c.layout, text, zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("it is not written like %s", c.layout)
	}
	return t, nil
}
