package alibaba

import (
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
)

// The credential report is a CSV table with a row for each user, named by its logon name,
// and one named <root> for the account itself. It says that keys exist and not which, so
// it stands in for the questions about logins, and for a list of keys only where nothing
// else tells of any: for the account's own.
// Source: the user guide of RAM, "Get a credential report".
const rootRow = "<root>"

// facts are what the report says of one user.
type facts struct {
	console, mfa accesskey.Fact
	at           time.Time            // of the last login
	keys         []accesskey.Observed // without ids, which the report does not tell
}

// slots are the columns of the keys; the additional ones are what accounts from before the
// limit of two may have.
var slots = []string{"access_key_1", "access_key_2", "additional_access_key_1", "additional_access_key_2", "additional_access_key_3"}

// readReport reads a page of a report: base64 of a CSV table whose first line names the
// columns. Columns that are not known are skipped; the page must have the column user. A
// page after the first may come without the names: header is then that of the first, which
// every page answers.
func readReport(content string, header []string) (map[string]facts, []string, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(content))
	if err != nil {
		return nil, nil, fmt.Errorf("decoding the credential report: %w", err)
	}
	table := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(raw), "\ufeff")))
	table.FieldsPerRecord = -1
	out := map[string]facts{}
	for {
		row, err := table.Read()
		switch {
		case errors.Is(err, io.EOF) && header == nil:
			return nil, nil, errors.New("reading the credential report: it is empty")
		case errors.Is(err, io.EOF):
			return out, header, nil
		case err != nil:
			return nil, nil, fmt.Errorf("reading the credential report: %w", err)
		case row[0] == "user":
			header = row
			continue
		case header == nil:
			return nil, nil, errors.New("reading the credential report: its first column is not the user")
		case len(row) != len(header):
			return nil, nil, errors.New("reading the credential report: a row has more or fewer fields than the table has columns")
		}
		cells := make(map[string]string, len(row))
		for i, name := range header {
			cells[name] = row[i]
		}
		out[row[0]] = readFacts(cells)
	}
}

func readFacts(cells map[string]string) facts {
	f := facts{console: fact(cells["password_exist"]), mfa: fact(cells["mfa_active"]), at: moment(cells["user_last_logon"])}
	if fact(cells["password_active"]) == accesskey.No {
		f.console = accesskey.No
	}
	for _, slot := range slots {
		if fact(cells[slot+"_exist"]) != accesskey.Yes {
			continue
		}
		k := accesskey.Observed{Status: accesskey.Active, ChangedAt: moment(cells[slot+"_last_rotated"]), Use: use(cells[slot+"_last_used"], "")}
		if fact(cells[slot+"_active"]) == accesskey.No {
			k.Status = accesskey.Inactive
		}
		f.keys = append(f.keys, k)
	}
	return f
}

// fact reads TRUE and FALSE; "-", "N/A" and the like tell nothing.
func fact(cell string) accesskey.Fact {
	switch strings.ToUpper(cell) {
	case "TRUE":
		return accesskey.Yes
	case "FALSE":
		return accesskey.No
	}
	return accesskey.Unknown
}
