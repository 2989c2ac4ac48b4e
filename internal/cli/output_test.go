package cli

import (
	"encoding/csv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// No cell is calculated by a spreadsheet, and every other one comes back as it was.
func TestCSVIsHarmless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ \t]?[=+\-@'",\r\n;]{0,3}[a-z(0-9]{0,5}`)).Draw(t, "cell")
		var b strings.Builder
		table := Table{Rows: [][]string{{"first", cell, "last"}}}
		if err := table.writeCSV(&b); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
		if err != nil || len(rows) != 1 || len(rows[0]) != 3 || !strings.HasSuffix(b.String(), "\r\n") {
			t.Fatalf("%q: %v %v", b.String(), rows, err)
		}
		have, plain := rows[0][1], Printable(cell)
		if start := strings.TrimLeft(have, " "); start != "" && strings.ContainsAny(start[:1], "=+-@\t\r") {
			t.Fatalf("%q begins a formula", have)
		}
		if have != plain && have != "'"+plain && plain != "-" {
			t.Fatalf("%q became %q", cell, have)
		}
	})
}
