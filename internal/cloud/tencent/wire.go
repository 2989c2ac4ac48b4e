package tencent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/keyward/keyward/internal/lazy"
)

// clean makes text of a provider's fit to be shown: what moves a cursor, hides or
// reorders other text is removed, and what is longer than max characters is cut.
func clean(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.C, r) || r == unicode.ReplacementChar || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return -1
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > max {
		return string(runes[:max-1]) + "…"
	}
	return s
}

// text is a string, a number or null of an answer: the API writes the same id once as
// this and once as that. null is "".
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*t = ""
		return nil
	}
	var s string
	if b[0] != '"' {
		var n json.Number
		if err := json.Unmarshal(b, &n); err != nil {
			return err
		}
		s = n.String()
	} else if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*t = text(clean(s, 256))
	return nil
}

// id is what later calls name something by. It is never cleaned: what does not look like
// an id makes the answer unreadable.
type id string

var identifier = lazy.Regexp(`^[A-Za-z0-9_.-]{1,128}$`)

// UnmarshalJSON implements json.Unmarshaler.
func (i *id) UnmarshalJSON(b []byte) error {
	s := string(bytes.Trim(b, `"`))
	if s == "null" || !identifier().MatchString(s) {
		return errors.New("reading an id: it is none")
	}
	*i = id(s)
	return nil
}

// uin is the number of an account or a user, as parameters want it.
func (i id) uin() (uint64, error) {
	n, err := strconv.ParseUint(string(i), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the number of a user: %w", err)
	}
	return n, nil
}

// zone is where the times are that carry no zone. The reference does not say; the console
// shows the same digits, and the vendor's other services use China Standard Time.
var zone = time.FixedZone("UTC+8", 8*60*60)

// moment reads "2006-01-02 15:04:05"; what is none is the zero time, which is "not told".
func (t text) moment() time.Time { return parse(time.DateTime, string(t)) }

// day reads "2006-01-02", as the day's first moment.
func (t text) day() time.Time { return parse(time.DateOnly, string(t)) }

func parse(layout, s string) time.Time {
	at, err := time.ParseInLocation(layout, s, zone)
	if err != nil || at.Unix() <= 0 {
		return time.Time{} // "0000-00-00 00:00:00" and the beginning of Unix time mean no time
	}
	return at.UTC()
}

// milliseconds reads a Unix time.
func (t text) milliseconds() time.Time {
	n, err := strconv.ParseInt(string(t), 10, 64)
	if err != nil || n <= 0 || n > 1<<48 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}
