package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/form"
)

// Show writes a result: as the JSON of v, or as the table or the CSV that fill makes of it.
func (c *Run) Show(v any, fill func(*Table)) error {
	if c.Output == "json" {
		return WriteJSON(c.Out, v)
	}
	var t Table
	fill(&t)
	if c.Output == "csv" {
		return t.writeCSV(c.Out)
	}
	return t.Write(c.Out)
}

// ShowParts writes a result of which the parts have columns of their own, one below the other.
func (c *Run) ShowParts(v any, parts ...func(*Table)) error {
	if c.Output == "json" {
		return WriteJSON(c.Out, v)
	}
	for _, fill := range parts {
		if err := c.Show(v, fill); err != nil {
			return err
		}
	}
	return nil
}

// A Table is rows whose columns line up on a terminal, where a Chinese character is
// two columns wide.
type Table struct {
	Indent string // before every row
	Rows   [][]string
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Write writes the table; no cell commands the terminal.
func (t *Table) Write(w io.Writer) error {
	var widths []int
	for _, row := range t.Rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(Printable(cell)))
		}
	}
	var b strings.Builder
	for _, row := range t.Rows {
		line := t.Indent
		for i, cell := range row {
			cell = Printable(cell)
			line += cell + strings.Repeat(" ", widths[i]-width(cell)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// WriteJSON writes v for programs and for people who look on.
func WriteJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// ShowJSON writes a result that a person was told of otherwise.
func (c *Run) ShowJSON(v any) error {
	if c.Output != "json" {
		return nil
	}
	return WriteJSON(c.Out, v)
}

// Printable replaces what would move the cursor or otherwise command the terminal:
// names and descriptions are somebody else's.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// width answers how many columns s takes on a terminal.
func width(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.Is(unicode.Mn, r):
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

// Rows answers how many rows lines take on a terminal, which breaks those that are longer than
// its columns; with 0 columns it breaks none.
func Rows(lines string, columns int) (rows int) {
	for line := range strings.Lines(lines) {
		rows++
		if columns > 0 {
			rows += max(width(strings.TrimSuffix(line, "\n"))-1, 0) / columns
		}
	}
	return rows
}

// wide tells whether a character takes two columns: the ranges that Unicode's East
// Asian Width gives to Chinese, Japanese and Korean text, and emoji.
func wide(r rune) bool {
	return r >= 0x1100 && (r <= 0x115F ||
		r >= 0x2E80 && r <= 0x303E || r >= 0x3041 && r <= 0xA4CF || r >= 0xAC00 && r <= 0xD7A3 ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0xFE30 && r <= 0xFE6F || r >= 0xFF00 && r <= 0xFF60 ||
		r >= 0xFFE0 && r <= 0xFFE6 || r >= 0x1F300 && r <= 0x1FAFF || r >= 0x20000 && r <= 0x3FFFD)
}

// When writes a moment for a person, "-" for none.
func When(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// YesNo writes a truth for a person.
func (c *Run) YesNo(b bool) string {
	if b {
		return c.T("yes", "是")
	}
	return c.T("no", "否")
}

// OrDash writes "-" for nothing.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Pairs writes names and their values for a person, in the order of the names.
func Pairs(m map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+"="+m[name])
	}
	return strings.Join(out, ", ")
}

// Of picks from a text of the server.
func (c *Run) Of(t api.Text) string { return c.T(t.English, t.Chinese) }

// Word picks from a text that belongs to the server's words.
func (c *Run) Word(t form.Text) string { return c.T(t.English, t.Chinese) }

// Told answers what a server tells in both languages. One of an older release, or of what it stored
// then, has no Chinese.
func (c *Run) Told(en, zh string) string { return c.T(en, cmp.Or(zh, en)) }

// SeverityText puts how bad something is into words.
func (c *Run) SeverityText(s string) string {
	names := map[string]string{
		"critical": "严重", "high": "高", "medium": "中", "low": "低", "info": "提示", "warning": "警告", "emergency": "紧急",
	}
	if names[s] == "" {
		return s
	}
	return c.T(s, names[s])
}
