// Package ical writes calendars in the form of RFC 5545, which calendar programs import.
//
// A calendar is written whole, from events that have a beginning and no length: a key
// expires at one instant. An event keeps its UID for as long as it is about the same
// thing, so that a calendar that is imported again moves it and does not double it. Lines
// end with CRLF and are folded at 75 octets, never within a character. Who may call: the
// API. Texts may be anybody's: what means something to the format is escaped, and control
// characters are left out.
package ical

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"
)

// maxLine is how many octets a line has at most, without its end (RFC 5545, 3.1).
const maxLine = 75

// An Event is something that happens at one instant.
type Event struct {
	UID         string // the same for ever for the same thing; UID makes one
	At          time.Time
	Summary     string // one line
	Description string // may have lines
	Categories  string // "" for none
}

// UID answers what identifies a thing that is named by parts.
func UID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16]) + "@keyward"
}

// Calendar writes a calendar of events, which are said to be as they are now.
func Calendar(name string, events []Event, now time.Time) string {
	var b strings.Builder
	line := func(property, value string) { fold(&b, property+":"+value) }
	line("BEGIN", "VCALENDAR")
	line("VERSION", "2.0")
	line("PRODID", "-//keyward//access keys//EN")
	line("CALSCALE", "GREGORIAN")
	line("METHOD", "PUBLISH")
	line("X-WR-CALNAME", escape(name))
	for _, e := range events {
		line("BEGIN", "VEVENT")
		line("UID", e.UID)
		line("DTSTAMP", stamp(now))
		line("DTSTART", stamp(e.At))
		line("SUMMARY", escape(e.Summary))
		line("DESCRIPTION", escape(e.Description))
		if e.Categories != "" {
			line("CATEGORIES", escape(e.Categories))
		}
		line("TRANSP", "TRANSPARENT") // nobody is busy then
		line("END", "VEVENT")
	}
	line("END", "VCALENDAR")
	return b.String()
}

// stamp writes an instant in UTC, without fractions: the second that it is in.
func stamp(t time.Time) string { return t.UTC().Format("20060102T150405Z") }

// escape writes a TEXT value (RFC 5545, 3.3.11).
func escape(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case strings.ContainsRune(`\;,`, r):
			b.WriteString(`\` + string(r))
		case r < ' ' || r >= 0x7f && r < 0xa0:
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// fold writes one line, broken where it is too long: what follows begins with a space.
func fold(b *strings.Builder, line string) {
	for room := maxLine; len(line) > room; room = maxLine - 1 {
		end := room
		for !utf8.RuneStart(line[end]) {
			end--
		}
		b.WriteString(line[:end] + "\r\n ")
		line = line[end:]
	}
	b.WriteString(line + "\r\n")
}
