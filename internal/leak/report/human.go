package report

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/keyward/keyward/internal/leak"
)

// A Style says how a person reads.
type Style struct {
	Chinese bool
	Places  int // of each finding, at most
}

// Place writes a place as path:line:column, with what it was encoded in and its commit or layer.
func Place(l leak.Location) string {
	s := l.Path
	if l.Line > 0 {
		s += fmt.Sprintf(":%d:%d", l.Line, l.Column)
	}
	if l.Via != "" {
		s += " (" + l.Via + ")"
	}
	if l.Commit != "" {
		s += " @" + l.Commit[:min(len(l.Commit), 12)]
	}
	if l.Layer != "" {
		s += " @" + l.Layer
	}
	if l.Hidden {
		s += " (hidden)"
	}
	return s
}

// Human writes the findings for a person: what, where, and what to do next.
func Human(w io.Writer, r Report, style Style) error {
	t := func(text leak.Text) string {
		if style.Chinese {
			return text.Chinese
		}
		return text.English
	}
	say := func(en, zh string) string { return t(leak.Text{English: en, Chinese: zh}) }
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s  %s", t(severityWords[f.Severity]), t(f.Title))
		if f.Redacted != "" {
			fmt.Fprintf(&b, "  %s", printable(f.Redacted))
		}
		if f.KeyID != "" && f.KeyID != f.Redacted {
			fmt.Fprintf(&b, say("  of %s", "  属于 %s"), printable(f.KeyID))
		}
		fmt.Fprintf(&b, say("  (%s, %s)\n", "（%s，%s）\n"), t(confidenceWords[f.Confidence]), f.Rule)
		for i, l := range f.Locations {
			if i == style.Places {
				fmt.Fprintf(&b, say("    and %d more places\n", "    以及另外 %d 处\n"), len(f.Locations)-i)
				break
			}
			fmt.Fprintf(&b, "    %s\n", printable(Place(l)))
		}
		fmt.Fprintf(&b, say("    to do: %s\n    fingerprint: %s\n\n", "    处理：%s\n    指纹：%s\n\n"), t(f.Advice), f.Fingerprint)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

var severityWords = [...]leak.Text{
	leak.Low:      {English: "LOW", Chinese: "低危"},
	leak.Medium:   {English: "MEDIUM", Chinese: "中危"},
	leak.High:     {English: "HIGH", Chinese: "高危"},
	leak.Critical: {English: "CRITICAL", Chinese: "严重"},
}

var confidenceWords = [...]leak.Text{
	leak.Possible: {English: "possible", Chinese: "可能"},
	leak.Likely:   {English: "likely", Chinese: "很可能"},
	leak.Certain:  {English: "certain", Chinese: "确定"},
}

// printable replaces what would command the terminal: paths are somebody else's.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
