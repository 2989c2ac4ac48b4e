package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

const day = 24 * time.Hour

// days is a flag of a duration that may be written in days: "30d", or as Go does.
type days struct{ value *time.Duration }

// Set implements pflag.Value.
func (d days) Set(s string) error {
	v, err := parsePeriod(s)
	if err == nil {
		*d.value = v
	}
	return err
}

// String implements pflag.Value.
func (d days) String() string {
	if d.value == nil || *d.value == 0 {
		return ""
	}
	return period(*d.value)
}

// Type implements pflag.Value.
func (d days) Type() string { return "duration" }

// parsePeriod reads a duration greater than zero.
func parsePeriod(s string) (time.Duration, error) {
	bad := fault.InvalidParameter.New("a duration must look like 30d, 12h or 90s")
	if n, ok := strings.CutSuffix(s, "d"); ok {
		count, err := strconv.ParseUint(n, 10, 16)
		if err != nil || count == 0 {
			return 0, bad
		}
		return time.Duration(count) * day, nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v <= 0 {
		return 0, bad
	}
	return v, nil
}

// period writes a duration as [days] reads it.
func period(d time.Duration) string {
	if d > 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// A moment is a flag of a point in time.
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
	d, err := parsePeriod(s)
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
