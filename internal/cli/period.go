package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keyward/keyward/internal/fault"
)

// Day is what 1d means, whatever the clocks do.
const Day = 24 * time.Hour

// Days answers a flag of a duration that may be written in days: "30d", or as Go does.
func Days(value *time.Duration) pflag.Value { return duration{value} }

// A duration is what Days answers.
type duration struct{ value *time.Duration }

// Set implements pflag.Value.
func (d duration) Set(s string) error {
	v, err := ParsePeriod(s)
	if err == nil {
		*d.value = v
	}
	return err
}

// String implements pflag.Value.
func (d duration) String() string {
	if d.value == nil || *d.value == 0 {
		return ""
	}
	return Period(*d.value)
}

// Type implements pflag.Value.
func (d duration) Type() string { return "duration" }

// ParsePeriod reads a duration greater than zero.
func ParsePeriod(s string) (time.Duration, error) {
	bad := fault.InvalidParameter.New("a duration must look like 30d, 12h or 90s")
	if n, ok := strings.CutSuffix(s, "d"); ok {
		count, err := strconv.ParseUint(n, 10, 16)
		if err != nil || count == 0 {
			return 0, bad
		}
		return time.Duration(count) * Day, nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v <= 0 {
		return 0, bad
	}
	return v, nil
}

// Period writes a duration as [ParsePeriod] reads it.
func Period(d time.Duration) string {
	if d > 0 && d%Day == 0 {
		return fmt.Sprintf("%dd", d/Day)
	}
	return d.String()
}

// Ago answers a flag of a point in time, where a duration means that long ago.
func Ago(value *time.Time, now func() time.Time) pflag.Value { return moment{value, now, -1} }

// Ahead answers a flag of a point in time, where a duration means that long from now.
func Ahead(value *time.Time, now func() time.Time) pflag.Value { return moment{value, now, 1} }

// A moment is what Ago and Ahead answer.
type moment struct {
	value *time.Time
	now   func() time.Time
	sign  time.Duration // what a duration means: -1 that long ago, 1 that long from now
}

// Set implements pflag.Value. It reads RFC 3339, a date (its beginning in UTC), or a duration.
func (m moment) Set(s string) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			*m.value = t.UTC()
			return nil
		}
	}
	d, err := ParsePeriod(s)
	if err != nil {
		return fault.InvalidParameter.New("a time must look like 2026-01-31, 2026-01-31T15:04:05Z or 30d")
	}
	*m.value = m.now().Add(m.sign * d).UTC()
	return nil
}

// String implements pflag.Value.
func (m moment) String() string {
	if m.value == nil || m.value.IsZero() {
		return ""
	}
	return m.value.Format(time.RFC3339)
}

// Type implements pflag.Value.
func (m moment) Type() string { return "time" }

// Instant reads a time with a zone, or a date or time in the zone that is named. A date is
// its beginning there.
func (c *Run) Instant(cmd *cobra.Command, s, zone string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		if zone != "" {
			return t, c.Usage(cmd, "the time has a zone already; leave --zone out", "时间已含时区，请去掉 --zone")
		}
		return t.UTC(), nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05", time.DateTime} {
		if _, err := time.Parse(layout, s); err != nil {
			continue
		}
		if zone == "" {
			return time.Time{}, c.Usage(cmd, "a date without a zone may be a day off: add --zone Asia/Shanghai, or write it as %sT00:00:00+08:00",
				"没有时区的日期可能相差一天：请加上 --zone Asia/Shanghai，或写成 %sT00:00:00+08:00", s[:len(time.DateOnly)])
		}
		place, err := time.LoadLocation(zone)
		if err != nil || zone == "Local" {
			return time.Time{}, c.Usage(cmd, "there is no such zone; zones look like Asia/Shanghai or UTC", "没有此时区；时区应形如 Asia/Shanghai 或 UTC")
		}
		t, err := time.ParseInLocation(layout, s, place)
		return t.UTC(), err
	}
	return time.Time{}, c.Usage(cmd, "a time must look like 2026-01-31T15:04:05+08:00, or 2026-01-31 with --zone", "时间应形如 2026-01-31T15:04:05+08:00，或 2026-01-31 加 --zone")
}
