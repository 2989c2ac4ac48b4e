// Package figure has the figures of the tables that command bench prints: times and their
// quantiles, milliseconds, megabytes, ratios. Only packages of command bench call it.
package figure

import (
	"fmt"
	"time"
)

// Times are how long things took.
type Times []time.Duration

// Quantile answers the time that q of them do not exceed, 0 if there are none. They are sorted.
func (t Times) Quantile(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	return t[min(len(t)-1, int(q*float64(len(t))))]
}

// Milliseconds answers a time in milliseconds.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Megabytes writes a number of bytes in millions.
func Megabytes(n int64) string { return fmt.Sprintf("%.0f", float64(n)/1e6) }

// Ratio writes a to b, or a dash where there is no b.
func Ratio[N float64 | time.Duration](a, b N) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}
