package api

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// errDuration says how a duration is written.
var errDuration = errors.New("a duration must look like 30d, 12h, 90m or 45s")

// ParseDuration reads a duration as it stands in requests and answers: whole days, such
// as "30d", or what [time.ParseDuration] reads. "" and "0" are zero; a negative one is an
// error.
func ParseDuration(s string) (time.Duration, error) {
	const day, mostDays = 24 * time.Hour, 100_000
	if s == "" {
		return 0, nil
	}
	if n, ok := strings.CutSuffix(s, "d"); ok {
		count, err := strconv.ParseUint(n, 10, 32)
		if err != nil || count > mostDays {
			return 0, errDuration
		}
		return time.Duration(count) * day, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errDuration
	}
	return d, nil
}

// FormatDuration writes a duration as [ParseDuration] reads it, "" for zero.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return ""
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
