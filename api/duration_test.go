package api_test

import (
	"testing"
	"time"

	"github.com/keyward/keyward/api"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "0d": 0, "30d": 30 * 24 * time.Hour, "12h": 12 * time.Hour, "1h30m": 90 * time.Minute, "45s": 45 * time.Second, "24h": 24 * time.Hour,
	} {
		if have, err := api.ParseDuration(text); err != nil || have != want {
			t.Errorf("%q is %v, %v", text, have, err)
		}
	}
	for _, text := range []string{"30", "-1h", "-1d", "1 d", "d", "1.5d", "+1d", "99999999999d", "100001d", "soon", "\uff13d"} {
		if have, err := api.ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, have)
		}
	}
}

// What is written reads as it was, and what is read is never negative.
func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"30d", "12h", "1h30m0.5s", "", "0", "-1h", "100000d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := api.ParseDuration(text)
		if err != nil {
			return
		}
		if again, err := api.ParseDuration(api.FormatDuration(d)); err != nil || again != d || d < 0 {
			t.Errorf("%q is %v, written %q, read as %v, %v", text, d, api.FormatDuration(d), again, err)
		}
	})
}
