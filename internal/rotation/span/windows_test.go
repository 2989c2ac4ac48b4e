package span_test

import (
	"testing"
	"time"

	"github.com/keyward/keyward/internal/rotation/span"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	out, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		name        string
		allow, deny []string
		now, opens  string // the same: open
	}{
		{"no windows", nil, nil, "2026-11-11 12:00", "2026-11-11 12:00"},
		{"a night in the week", []string{"Mon-Fri 22:00-06:00"}, nil, "2026-11-20 12:00", "2026-11-20 22:00"},
		{"its part after midnight", []string{"Mon-Fri 22:00-06:00"}, nil, "2026-11-21 05:59", "2026-11-21 05:59"},
		{"its end", []string{"Mon-Fri 22:00-06:00"}, nil, "2026-11-21 06:00", "2026-11-23 22:00"},
		{"a day of sales", nil, []string{"11-11", "06-18"}, "2026-11-11 00:00", "2026-11-12 00:00"},
		{"the new year", nil, []string{"12-30..01-03"}, "2026-12-30 10:00", "2027-01-04 00:00"},
		{"denied is stronger", []string{"Sat,Sun"}, []string{"00:00-12:00"}, "2026-11-20 12:00", "2026-11-21 12:00"},
		{"over the week's end", []string{"Fri-Mon"}, nil, "2026-11-24 12:00", "2026-11-27 00:00"},
		{"a short one", []string{"02:01-02:09"}, nil, "2026-11-24 02:09", "2026-11-25 02:01"},
		{"to the day's end", []string{"23:00-24:00"}, nil, "2026-11-24 23:59", "2026-11-24 23:59"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := span.Windows{Zone: "Asia/Shanghai", Allow: c.allow, Deny: c.deny}
			if err := w.Check(); err != nil {
				t.Fatal(err)
			}
			opens := w.OpensAt(at(t, c.now))
			if c.now == c.opens && !opens.IsZero() || c.now != c.opens && !opens.Equal(at(t, c.opens)) {
				t.Errorf("opens at %v, want %v", opens, c.opens)
			}
		})
	}
}

func TestWindowsThatAreRefused(t *testing.T) {
	for _, text := range []string{"", "Mo", "Mon-", "13-01", "02-30", "25:00-26:00", "10:00-10:00", "10:60-11:00", "Mon Tue", "11-11..", "mon"} {
		if err := (span.Windows{Deny: []string{text}}).Check(); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	if err := (span.Windows{Deny: []string{"Sun-Sat"}}).Check(); err == nil {
		t.Error("windows that never open were accepted")
	}
	for _, zone := range []string{"Local", "Asia/Nowhere", "../etc"} {
		if err := (span.Windows{Zone: zone}).Check(); err == nil {
			t.Errorf("zone %q was accepted", zone)
		}
	}
}

func FuzzWindows(f *testing.F) {
	f.Add("Asia/Shanghai", "Mon-Fri 22:00-06:00", "11-11")
	f.Fuzz(func(t *testing.T, zone, allow, deny string) {
		w := span.Windows{Zone: zone, Allow: []string{allow}, Deny: []string{deny}}
		if w.Check() != nil {
			return
		}
		now := time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)
		if opens := w.OpensAt(now); !opens.IsZero() && (!opens.After(now) || !w.OpensAt(opens).IsZero()) {
			t.Errorf("opens at %v, which is not open or not later", opens)
		}
	})
}
