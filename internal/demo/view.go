package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A view shows the story: lines as they come and, at a terminal, a picture below them that
// is drawn again and again.
type view struct {
	out     io.Writer
	chinese bool
	size    func() (columns, lines int) // nil for no terminal
	now     func() time.Time
	began   time.Time

	mu    sync.Mutex // guards what follows
	drawn int        // lines of the picture that stand below
	stop  chan struct{}
	ended sync.WaitGroup
}

func newView(o Options) *view {
	return &view{out: o.Out, chinese: o.Chinese, size: o.Size, now: o.Now, began: o.Now()}
}

func (v *view) t(en, zh string) string {
	if v.chinese {
		return zh
	}
	return en
}

// say tells one thing, with how long the story takes already.
func (v *view) say(en, zh string, args ...any) {
	v.line("%5.1f s  %s", v.now().Sub(v.began).Seconds(), fmt.Sprintf(v.t(en, zh), args...))
}

// line writes a line above the picture.
func (v *view) line(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wipe()
	fmt.Fprintf(v.out, format+"\n", args...)
}

// wipe takes the picture away. The caller holds mu.
func (v *view) wipe() {
	if v.drawn > 0 {
		fmt.Fprintf(v.out, "\x1b[%dA\x1b[J", v.drawn)
		v.drawn = 0
	}
}

// attend draws a picture of the stage until the view is frozen, if there is a terminal.
func (v *view) attend(s *stage) {
	if v.size == nil {
		return
	}
	const every = 200 * time.Millisecond
	v.stop = make(chan struct{})
	v.ended.Go(func() {
		var rate meter
		for {
			select {
			case <-v.stop:
				return
			case <-time.After(every):
			}
			v.draw(picture(s, v, &rate))
		}
	})
}

func (v *view) draw(lines []string) {
	columns, rows := v.size()
	if columns < 20 || rows < len(lines)+2 {
		lines = nil // there is no room for it
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wipe()
	for _, line := range lines {
		fmt.Fprintln(v.out, clip(line, columns-1))
	}
	v.drawn = len(lines)
}

// freeze ends the drawing and takes the picture away.
func (v *view) freeze() {
	if v.stop != nil {
		close(v.stop)
		v.stop = nil
		v.ended.Wait()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wipe()
}

// cells answers how many columns a character takes.
func cells(r rune) int {
	if r >= 0x2e80 && r <= 0x9fff || r >= 0xff00 && r <= 0xff60 { // CJK and its punctuation: all that is said here
		return 2
	}
	return 1
}

// clip answers the part of a line that fits into so many columns.
func clip(line string, columns int) string {
	for i, r := range line {
		if columns -= cells(r); columns < 0 {
			return line[:i]
		}
	}
	return line
}

// pad answers a text that is at least so many columns wide.
func pad(text string, columns int) string {
	for _, r := range text {
		columns -= cells(r)
	}
	return text + strings.Repeat(" ", max(columns, 0))
}

// A meter answers a rate from counts.
type meter struct {
	at    time.Time
	count int64
	rate  float64
}

// read answers how many there are a second, over the last second or so.
func (m *meter) read(now time.Time, count int64) float64 {
	if took := now.Sub(m.at); m.at.IsZero() || took >= time.Second {
		if !m.at.IsZero() {
			m.rate = float64(count-m.count) / took.Seconds()
		}
		m.at, m.count = now, count
	}
	return m.rate
}
