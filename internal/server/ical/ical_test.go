package ical_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/server/ical"
)

func TestCalendarIsWhatTheRFCSays(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 23, 30, 0, 0, time.FixedZone("", 8*3600))
	have := ical.Calendar("keyward", []ical.Event{{
		UID: "u@keyward", At: at, Summary: "a, b; c\\d", Description: "one\ntwo\x07", Categories: "policy",
	}}, at.Add(-time.Hour))
	want := strings.ReplaceAll(`BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//keyward//access keys//EN
CALSCALE:GREGORIAN
METHOD:PUBLISH
X-WR-CALNAME:keyward
BEGIN:VEVENT
UID:u@keyward
DTSTAMP:20260301T143000Z
DTSTART:20260301T153000Z
SUMMARY:a\, b\; c\\d
DESCRIPTION:one\ntwo
CATEGORIES:policy
TRANSP:TRANSPARENT
END:VEVENT
END:VCALENDAR
`, "\n", "\r\n")
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

// No text breaks out of its line, and every one comes back when lines are unfolded.
func TestTextsStayInTheirLines(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("aé密\U0001F511 ,;\\\n\r:\"")), -1, -1, 400).Draw(t, "text")
		calendar := ical.Calendar(text, []ical.Event{{UID: ical.UID("a", text), Summary: text, Description: text}}, time.Unix(0, 0))
		for line := range strings.SplitSeq(strings.TrimSuffix(calendar, "\r\n"), "\r\n") {
			if len(line) > 75 || strings.ContainsAny(line, "\r\n") || !utf8.ValidString(line) {
				t.Fatalf("the line %q", line)
			}
		}
		unfolded := strings.ReplaceAll(calendar, "\r\n ", "")
		_, rest, _ := strings.Cut(unfolded, "SUMMARY:")
		line, _, _ := strings.Cut(rest, "\r\n")
		plain := strings.NewReplacer(`\n`, "\n", `\\`, `\`, `\;`, ";", `\,`, ",").Replace(line)
		if want := strings.ReplaceAll(text, "\r", ""); plain != want {
			t.Fatalf("%q came back as %q", want, plain)
		}
		if n := strings.Count(unfolded, "\r\n"); n != 15 {
			t.Fatalf("the calendar has %d lines", n)
		}
	})
}

func TestUIDsDependOnEveryPart(t *testing.T) {
	t.Parallel()
	if again := strings.Clone("b"); ical.UID("a", "b") != ical.UID("a", again) || ical.UID("ab", "") == ical.UID("a", "b") || ical.UID("a", "b") == ical.UID("a", "c") {
		t.Error("UIDs are not stable or not different")
	}
}
