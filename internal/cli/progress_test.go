package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestProgressLine(t *testing.T) {
	for _, test := range []struct {
		width       int
		done, total int64
		want        string
	}{
		{80, 0, 100 << 20, "报表/big.tar [                    ]   0%       0 B       0 B/s"},
		{80, 25 << 20, 100 << 20, "报表/big.tar [=====               ]  25%  25.0 MiB  12.5 MiB/s 00:06"},
		{80, 100 << 20, 100 << 20, "报表/big.tar [====================] 100% 100.0 MiB  50.0 MiB/s 00:00"},
		{80, 200 << 20, 100 << 20, "报表/big.tar [====================] 100% 200.0 MiB 100.0 MiB/s 00:00"}, // the file grew
		{66, 25 << 20, 100 << 20, "…/big.tar [=====               ]  25%  25.0 MiB  12.5 MiB/s 00:06"},
		{40, 25 << 20, 100 << 20, "…表/big.tar  25.0 MiB  12.5 MiB/s 00:06"},
		{20, 25 << 20, 100 << 20, "25.0 MiB"},
		{80, 25 << 20, 0, "报表/big.tar  25.0 MiB  12.5 MiB/s"},
		{80, 3 << 40, 900 << 40, "报表/big.tar [                    ]   0%   3.0 TiB   1.5 TiB/s 09:58"},
	} {
		p := &Progress{name: "报表/big.tar", width: test.width, Done: test.done, total: test.total}
		if got := p.line(2 * time.Second); got != test.want {
			t.Errorf("%d columns, %d of %d:\n got %q\nwant %q", test.width, test.done, test.total, got, test.want)
		}
	}
}

// The line never reaches the end of the terminal, whatever there is to tell.
func TestProgressLineFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &Progress{
			name: rapid.String().Draw(t, "name"), width: rapid.IntRange(1, 200).Draw(t, "width"),
			Done: rapid.Int64Range(0, 1<<60).Draw(t, "done"), total: rapid.Int64Range(0, 1<<60).Draw(t, "total"),
		}
		line := p.line(time.Duration(rapid.Int64Range(0, 1<<50).Draw(t, "elapsed")))
		if width(line) >= p.width && p.width > 1 || strings.ContainsAny(line, "\n\r\x1b") {
			t.Fatalf("%d columns: %q", p.width, line)
		}
	})
}

func TestProgressIsDrawnNowAndThenAndRemoved(t *testing.T) {
	var drawn bytes.Buffer
	now := time.Unix(0, 0)
	p := &Progress{r: strings.NewReader(strings.Repeat("x", 1000)), w: &drawn, width: 80, name: "f", now: func() time.Time { return now }}
	p.start, p.next = now, now.Add(Redraw)
	buffer := make([]byte, 10)
	for {
		now = now.Add(Redraw / 4)
		if _, err := p.Read(buffer); err == io.EOF {
			break
		}
	}
	p.Finish()
	if n := strings.Count(drawn.String(), "\r"); n != 26 || !strings.HasSuffix(drawn.String(), "\r\x1b[K") {
		t.Errorf("it was drawn %d times: %q", n, &drawn)
	}
}

func TestProgressIsForTerminalsOnly(t *testing.T) {
	for _, test := range []struct {
		width int
		env   map[string]string
		drawn bool
	}{
		{80, nil, true},
		{0, nil, false},
		{80, map[string]string{"CI": "true"}, false},
		{80, map[string]string{"TERM": "dumb"}, false},
	} {
		c := &Run{Err: io.Discard, Width: func() int { return test.width }, Getenv: func(name string) string { return test.env[name] }}
		if p := c.Progress(strings.NewReader(""), "f", 1); (p.w != nil) != test.drawn {
			t.Errorf("%d columns, %v: drawn is %v", test.width, test.env, p.w != nil)
		}
	}
}

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "密钥": 4, "a密b": 4, "（）": 4, "é": 1, "e\u0301": 1, "…": 1, "한글": 4, "ｶﾅ": 2, "🔑": 2} {
		if got := width(s); got != want {
			t.Errorf("%q takes %d columns, want %d", s, got, want)
		}
	}
}

func TestPeriod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1, int64(60_000*Day)).Draw(t, "d"))
		got, err := ParsePeriod(Period(d))
		if err != nil || got != d {
			t.Fatalf("%v is written %q and read %v, error %v", d, Period(d), got, err)
		}
	})
	for _, bad := range []string{"", "0d", "-1d", "d", "1.5d", "99999999d", "0s", "-5m", "30", "1d1h"} {
		if got, err := ParsePeriod(bad); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		text string
		sign time.Duration
		want time.Time
	}{
		{"2026-01-31", 1, time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)},
		{"2026-01-31T08:00:00+08:00", 1, time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)},
		{"2d", 1, now.AddDate(0, 0, 2)},
		{"2h", -1, now.Add(-2 * time.Hour)},
	} {
		var got time.Time
		if err := (moment{&got, func() time.Time { return now }, test.sign}).Set(test.text); err != nil || !got.Equal(test.want) {
			t.Errorf("%q is %v, want %v; error %v", test.text, got, test.want, err)
		}
	}
	if err := (moment{new(time.Time), time.Now, 1}).Set("yesterday"); err == nil {
		t.Error("it understands yesterday")
	}
}
