package cli

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
)

// writeCSV writes the rows as RFC 4180 says. A cell for "none" is empty, and one that a
// spreadsheet would take for a formula begins with an apostrophe: names and remarks are
// somebody else's.
func (t *Table) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = harmless(Printable(cell))
		}
		if err := out.Write(cells); err != nil {
			return fmt.Errorf("writing the result: %w", err)
		}
	}
	if out.Flush(); out.Error() != nil {
		return fmt.Errorf("writing the result: %w", out.Error())
	}
	return nil
}

// harmless answers a cell that no spreadsheet calculates.
func harmless(cell string) string {
	if cell == "-" {
		return ""
	}
	if first := strings.TrimLeft(cell, " "); first != "" && strings.ContainsRune("=+-@", rune(first[0])) {
		return "'" + cell
	}
	return cell
}
