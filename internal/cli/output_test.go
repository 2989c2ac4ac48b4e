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

// What is drawn in place is taken away whole, also where the terminal broke its lines.
func TestRows(t *testing.T) {
	for _, test := range []struct {
		lines   string
		columns int
		want    int
	}{
		{"", 80, 0}, {"\n", 80, 1}, {"ab\ncd\n", 80, 2}, {"ab\ncd\n", 0, 2},
		{"1234567890\n", 10, 1}, {"12345678901\nx\n", 10, 3}, {"密钥密钥密\n", 10, 1}, {"密钥密钥密x\n", 10, 2},
	} {
		if rows := Rows(test.lines, test.columns); rows != test.want {
			t.Errorf("%q on %d columns: %d rows, want %d", test.lines, test.columns, rows, test.want)
		}
	}
}
