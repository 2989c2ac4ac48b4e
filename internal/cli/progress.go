package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Redraw is how often a progress line is drawn at most.
const Redraw = 100 * time.Millisecond

// A Progress counts what is read through it and draws a line about it on a terminal.
// It is for one goroutine.
type Progress struct {
	r     io.Reader
	w     io.Writer // nil to draw nothing
	width int       // columns of the terminal
	name  string
	total int64 // bytes; 0 if unknown
	now   func() time.Time

	Done        int64
	start, next time.Time
}

// Progress answers a reader of r that shows on a terminal how far it is. The result's
// Finish must be called before anything else is written there.
func (c *Run) Progress(r io.Reader, name string, total int64) *Progress {
	p := &Progress{r: r, name: name, total: total, now: time.Now}
	if p.width = c.Columns(); p.width > 0 {
		p.w = c.Err
	}
	p.start = p.now()
	p.next = p.start.Add(Redraw)
	return p
}

// Columns answers how wide a line may be that is drawn again and again; 0 where none may be.
func (c *Run) Columns() int {
	if c.Getenv("TERM") == "dumb" || Truthy(c.Getenv("CI")) {
		return 0
	}
	return c.Width()
}

// Read reads on and draws the line when it is due.
func (p *Progress) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.Done += int64(n)
	if p.w != nil {
		if now := p.now(); !now.Before(p.next) {
			p.next = now.Add(Redraw)
			fmt.Fprintf(p.w, "\r%s\x1b[K", p.line(now.Sub(p.start)))
		}
	}
	return n, err
}

// Finish removes the line.
func (p *Progress) Finish() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// line answers what to draw: name, bar, share, amount, rate and remaining time, as far
// as they are known and fit.
func (p *Progress) line(elapsed time.Duration) string {
	rate := float64(p.Done) / max(elapsed.Seconds(), 0.001)
	facts := fmt.Sprintf(" %9s %9s/s", ByteCount(p.Done), ByteCount(int64(rate)))
	const bar = 20
	picture := ""
	if p.total > 0 {
		share := min(float64(p.Done)/float64(p.total), 1)
		full := int(share * bar)
		picture = fmt.Sprintf(" [%s%s] %3d%%", strings.Repeat("=", full), strings.Repeat(" ", bar-full), int(share*100))
		if rate > 0 {
			left := time.Duration(float64(max(p.total-p.Done, 0)) / rate * float64(time.Second))
			facts += " " + clock(left)
		}
	}
	room := p.width - 1 // a full last column makes some terminals begin a new line
	switch {
	case len(facts)+len(picture)+8 <= room:
		return Shorten(p.name, room-len(facts)-len(picture)) + picture + facts
	case len(facts)+8 <= room:
		return Shorten(p.name, room-len(facts)) + facts
	}
	return Shorten(ByteCount(p.Done), room)
}

// Shorten answers the end of s, the more telling part of a path, in at most n columns.
func Shorten(s string, n int) string {
	s = Printable(s)
	if width(s) <= n {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && width(string(runes))+1 > n {
		runes = runes[1:]
	}
	if n < 1 {
		return ""
	}
	return "…" + string(runes)
}

// ByteCount writes a number of bytes for a person.
func ByteCount(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/step, 0
	for value >= step && unit < 4 {
		value, unit = value/step, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[unit])
}

// clock writes a duration for a person: "1:02:03" or "02:03".
func clock(d time.Duration) string {
	s := int64(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", min(s/3600, 9999), s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}
