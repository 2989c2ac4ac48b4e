package aws

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
)

// rootUser is what the credential report calls the account's own user.
const rootUser = "<root_account>"

// maxRows of a report are read; an account has 5,000 users unless AWS was asked for more.
const maxRows = 100_000

// A reportRow is what the credential report tells of one user.
type reportRow struct {
	user, arn string
	created   time.Time
	console   accesskey.Fact
	consoleAt time.Time
	mfa       accesskey.Fact
	slots     [2]slot
}

// A slot is one of the two access keys of a user, whose id the report does not tell.
type slot struct {
	active  bool
	rotated time.Time // created or status changed; zero if there is no such key
	use     accesskey.Use
}

// parseReport reads the CSV of the credential report. Columns are found by their names,
// since AWS has added some. A value of another form than documented is an error: a report
// that is misunderstood is worse than none.
func parseReport(content []byte) ([]reportRow, error) {
	r := csv.NewReader(bytes.NewReader(content))
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("reading the report's header: %w", err)
	}
	fields := fields{columns: make(map[string]int, len(header))}
	for i, name := range header {
		fields.columns[name] = i
	}
	var rows []reportRow
	for {
		fields.row, err = r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the report: %w", err)
		}
		if len(rows) == maxRows {
			return nil, fmt.Errorf("reading the report: it has more than %d rows", maxRows)
		}
		row := reportRow{
			user: clean(fields.text("user"), 128), arn: clean(fields.text("arn"), 2048), created: fields.time("user_creation_time"),
			console: fields.fact("password_enabled"), consoleAt: fields.time("password_last_used"), mfa: fields.fact("mfa_active"),
			slots: [2]slot{fields.slot("access_key_1_"), fields.slot("access_key_2_")},
		}
		if fields.err != nil {
			return nil, fmt.Errorf("reading row %d of the report: %w", len(rows)+1, fields.err)
		}
		rows = append(rows, row)
	}
}

// fields reads the values of one row and keeps the first error.
type fields struct {
	columns map[string]int
	row     []string
	err     error
}

func (f *fields) fail(name string) {
	if f.err == nil {
		f.err = fmt.Errorf("column %s is missing or has another form", name)
	}
}

func (f *fields) text(name string) string {
	i, ok := f.columns[name]
	if !ok || f.row[i] == "" {
		f.fail(name)
		return ""
	}
	return f.row[i]
}

// absent are the words for no value: it does not apply, nobody knows it, or it is not
// told of the root user.
func absent(v string) bool { return v == "N/A" || v == "no_information" || v == "not_supported" }

func (f *fields) time(name string) time.Time {
	v := f.text(name)
	if v == "" || absent(v) {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, v)
	if err != nil || at.IsZero() {
		f.fail(name)
		return time.Time{}
	}
	return at.UTC()
}

func (f *fields) fact(name string) accesskey.Fact {
	switch v := f.text(name); {
	case strings.EqualFold(v, "true"):
		return accesskey.Yes
	case strings.EqualFold(v, "false"):
		return accesskey.No
	case !absent(v):
		f.fail(name)
	}
	return accesskey.Unknown
}

func (f *fields) slot(prefix string) slot {
	s := slot{active: f.fact(prefix+"active") == accesskey.Yes, rotated: f.time(prefix + "last_rotated")}
	at := f.time(prefix + "last_used_date")
	s.use = used(at, s.rotated, f.text(prefix+"last_used_region"), f.text(prefix+"last_used_service"))
	if f.text(prefix+"last_used_date") == "no_information" {
		s.use.Known = accesskey.Unknown
	}
	return s
}

// tracked is when AWS began to record uses; of an older key without a use nothing is known.
var tracked = time.Date(2015, 4, 22, 0, 0, 0, 0, time.UTC)

// used makes a Use of what AWS tells of a key that is at least as old as created.
func used(at, created time.Time, region, service string) accesskey.Use {
	use := accesskey.Use{Known: accesskey.No, Lag: useLag}
	switch {
	case !at.IsZero():
		use.Known, use.At = accesskey.Yes, at
	case created.Before(tracked):
		use.Known = accesskey.Unknown
	}
	if !absent(region) {
		use.Region = clean(region, 64)
	}
	if !absent(service) {
		use.Service = clean(service, 128)
	}
	return use
}

// match answers which slot of the report is which of a user's keys, -1 where that is not
// certain: the report tells no ids and may be four hours old.
func match(keys []accesskey.Observed, slots [2]slot) []int {
	fits := func(k accesskey.Observed, s slot) bool {
		return !s.rotated.IsZero() && s.active == (k.Status == accesskey.Active) && !s.rotated.Before(k.CreatedAt)
	}
	answer := make([]int, len(keys))
	for i := range answer {
		answer[i] = -1
	}
	switch {
	case len(keys) == 1 && fits(keys[0], slots[0]) != fits(keys[0], slots[1]):
		answer[0] = 0
		if fits(keys[0], slots[1]) {
			answer[0] = 1
		}
	case len(keys) == 2:
		straight := fits(keys[0], slots[0]) && fits(keys[1], slots[1])
		crossed := fits(keys[0], slots[1]) && fits(keys[1], slots[0])
		if straight && !crossed {
			answer[0], answer[1] = 0, 1
		} else if crossed && !straight {
			answer[0], answer[1] = 1, 0
		}
	}
	return answer
}
