package answer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
)

func TestLookup(t *testing.T) {
	var v any
	if err := answer.Decode([]byte(`{"a":{"b/c":[10,{"d~e":"x"}],"":true},"n":null,"big":12345678901234567890}`), &v); err != nil {
		t.Fatal(err)
	}
	for pointer, want := range map[string]string{"/a/b~1c/0": "10", "/a/b~1c/1/d~0e": "x", "/a/": "true", "/big": "12345678901234567890"} {
		found, ok := answer.Lookup(v, pointer)
		if text, scalar := answer.Text(found); !ok || !scalar || text != want {
			t.Errorf("%s: %v", pointer, found)
		}
	}
	for _, pointer := range []string{"/x", "/a/b~1c/2", "/a/b~1c/-1", "/a/b~1c/00", "/a/b~1c/x", "/n/x", "/a/b~1c/0/x"} {
		if found, ok := answer.Lookup(v, pointer); ok {
			t.Errorf("%s: %v", pointer, found)
		}
	}
	if found, ok := answer.Lookup(v, "/n"); !ok || found != nil {
		t.Error("null is not found")
	}
	if whole, ok := answer.Lookup(v, ""); !ok || whole == nil {
		t.Error("the whole is not found")
	}
}

// A bare date is the start of its day, where the provider is; the days on which clocks
// change and the 29th of February are days like others.
func TestClock(t *testing.T) {
	for _, c := range []struct{ layout, zone, round, text, want string }{
		{"2006-01-02", "Asia/Shanghai", "", "2026-12-01", "2026-11-30T16:00:00Z"},
		{"2006-01-02", "Asia/Shanghai", "start-of-day", "2028-02-29", "2028-02-28T16:00:00Z"},
		{"2006-01-02", "UTC", "", "2026-12-01", "2026-12-01T00:00:00Z"},
		{"2006-01-02", "America/New_York", "", "2026-03-08", "2026-03-08T05:00:00Z"}, // clocks go forward at 2
		{"2006-01-02", "America/New_York", "", "2026-11-01", "2026-11-01T04:00:00Z"}, // and back
		{"02.01.2006", "Europe/Berlin", "", "01.07.2026", "2026-06-30T22:00:00Z"},
		{"2006-01-02 15:04:05", "Asia/Shanghai", "", "2026-12-01 09:00:00", "2026-12-01T01:00:00Z"},
		{"2006-01-02 15:04:05", "Asia/Shanghai", "start-of-day", "2026-12-01 09:00:00", "2026-11-30T16:00:00Z"},
		{"rfc3339", "", "", "2026-12-01T08:00:00+08:00", "2026-12-01T00:00:00Z"},
		{"", "", "", "2026-12-01T08:00:00.25Z", "2026-12-01T08:00:00.25Z"},
		{"rfc3339", "", "start-of-day", "2026-12-01T03:00:00+08:00", "2026-11-30T16:00:00Z"},
		{"rfc3339", "UTC", "start-of-day", "2026-12-01T03:00:00+08:00", "2026-11-30T00:00:00Z"},
		{"rfc2822", "", "", "Tue, 01 Dec 2026 08:00:00 +0800", "2026-12-01T00:00:00Z"},
		{"unix", "", "", "1796083200", "2026-12-01T00:00:00Z"},
		{"unix-ms", "", "", "1796083200500", "2026-12-01T00:00:00.5Z"},
		{"unix", "Asia/Shanghai", "start-of-day", "1796094000", "2026-11-30T16:00:00Z"},
	} {
		clock, err := answer.NewClock(c.layout, c.zone, c.round)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if got, err := clock.Read(c.text); err != nil || got.Format(time.RFC3339Nano) != c.want {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
	for _, c := range []struct{ layout, zone, text string }{
		{"2006-01-02", "UTC", "2026-13-01"}, {"2006-01-02", "UTC", "2027-02-29"}, {"2006-01-02", "UTC", "01/12/2026"}, {"2006-01-02", "UTC", "2026-12-01T00:00:00Z"},
		{"rfc3339", "", "2026-12-01T00:00:00"}, {"unix", "", "1796083200000"}, {"unix", "", "1.5"}, {"unix", "", ""}, {"rfc3339", "", "0001-01-01T00:00:00Z"},
	} {
		clock, err := answer.NewClock(c.layout, c.zone, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := clock.Read(c.text); err == nil {
			t.Errorf("%+v: read as %v", c, got)
		} else if c.text != "" && strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: the error shows the value: %v", c, err)
		}
	}
}

func TestScissors(t *testing.T) {
	s := answer.Scissors{}.And("secret-1", "abc", "")
	if s.Finds("abc") || !s.Finds("x secret-1") {
		t.Error("found is something else")
	}
	if got := s.Clean("a secret-1\n\x1b[2J\u202eb", 100); got != "a [redacted]\uFFFD\uFFFD[2J\uFFFDb" {
		t.Errorf("cleaned is %q", got)
	}
	if got := s.Clean("üüüü", 2); got != "üü…" {
		t.Errorf("shortened is %q", got)
	}
	if got := s.And("secret-1-and-more").Clean("secret-1-and-more", 100); got != "[redacted]" {
		t.Errorf("of a secret that begins with another remains %q", got)
	}
	more := s.And("secret-2")
	if s.Finds("secret-2") || !more.Finds("secret-2") {
		t.Error("And changed its receiver")
	}
}

func FuzzClock(f *testing.F) {
	f.Add("2006-01-02", "Asia/Shanghai", "2026-12-01")
	f.Add("Jan _2 06 3:04PM", "UTC", "Dec  1 26 9:00AM")
	f.Fuzz(func(t *testing.T, layout, zone, text string) {
		clock, err := answer.NewClock(layout, zone, "")
		if err != nil {
			return
		}
		if at, err := clock.Read(text); err == nil && (at.Year() < 1989 || at.Year() > 2200 || at.Location() != time.UTC) {
			t.Errorf("%q is read as %v", text, at)
		}
	})
}
