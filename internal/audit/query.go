package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
)

// A Query chooses records. Empty fields choose everything.
type Query struct {
	Account   string
	Action    string // ignoring case; with a * at its end every action that begins so
	Resource  string // ARN, or a part of it
	Principal string // ARN, or a part of it
	AccessKey string
	Result    string
	RequestID string
	From, To  time.Time // From inclusive, To exclusive
	Oldest    bool      // oldest first; otherwise newest first
	Limit     int       // at most so many; 1 to 1,000
	Cursor    string    // where an earlier answer ended
}

// maxScanned bounds the records that one call of List reads, so that a query which
// matches nothing ends with a cursor instead of reading the whole log in one go.
const maxScanned = 200_000

// List answers matching records of all logs in one order and, when there may be
// more, the cursor to go on with.
func List(ctx context.Context, r Reader, q Query) ([]Entry, string, error) {
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, "", fault.InvalidParameter.New("the limit must be between 1 and 1000")
	}
	from, skip, err := q.start()
	if err != nil {
		return nil, "", err
	}
	var out []Entry
	next, scanned := "", 0
	err = r.Search(ctx, from, !q.Oldest, func(b Batch) (bool, error) {
		leaves := strings.Split(strings.TrimSuffix(string(b.Leaves), "\n"), "\n")
		here := 0
		if b.Log == from.Log && b.First == from.First {
			here = skip
		}
		for ; here < len(leaves); here++ {
			if len(out) == q.Limit || scanned == maxScanned {
				next = cursor(Position{b.At, b.Log, b.First}, here)
				return false, nil
			}
			scanned++
			i := here
			if !q.Oldest {
				i = len(leaves) - 1 - here
			}
			e, err := ParseEntry([]byte(leaves[i]))
			if err != nil {
				return false, err
			}
			if q.matches(e) {
				out = append(out, e)
			}
		}
		past := q.Oldest && !q.To.IsZero() && !b.At.Before(q.To) ||
			!q.Oldest && !q.From.IsZero() && b.At.Before(q.From)
		return !past, nil
	})
	return out, next, err
}

// start answers the position to search from, inclusive, and how many records of the
// batch there an earlier answer has given.
func (q Query) start() (Position, int, error) {
	if q.Cursor != "" {
		return parseCursor(q.Cursor)
	}
	switch {
	case q.Oldest:
		return Position{At: q.From}, 0, nil
	case !q.To.IsZero():
		return Position{At: q.To}, 0, nil
	default:
		return Position{At: time.UnixMicro(1 << 60)}, 0, nil
	}
}

// isAction tells whether an action is the one that is asked for, or begins as that does.
func isAction(asked, action string) bool {
	if begin, open := strings.CutSuffix(asked, "*"); open {
		return len(action) >= len(begin) && strings.EqualFold(action[:len(begin)], begin)
	}
	return strings.EqualFold(action, asked)
}

func (q Query) matches(e Entry) bool {
	return (q.Account == "" || e.Account == q.Account) &&
		(q.Action == "" || isAction(q.Action, e.Action)) &&
		strings.Contains(e.Resource, q.Resource) &&
		strings.Contains(e.Principal, q.Principal) &&
		(q.AccessKey == "" || e.AccessKey == q.AccessKey) &&
		(q.Result == "" || e.Result == q.Result) &&
		(q.RequestID == "" || strings.EqualFold(e.RequestID, q.RequestID)) &&
		(q.From.IsZero() || !e.Time.Before(q.From)) &&
		(q.To.IsZero() || e.Time.Before(q.To))
}

func cursor(p Position, skip int) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %d %s", p.At.UnixMicro(), p.First, skip, p.Log))
}

func parseCursor(s string) (Position, int, error) {
	bad := func() (Position, int, error) {
		return Position{}, 0, fault.InvalidParameter.New("the cursor is malformed; pass on the one that the previous answer gave")
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	parts := strings.SplitN(string(raw), " ", 4)
	if err != nil || len(parts) != 4 || !utf8.Valid(raw) || bytes.IndexByte(raw, 0) >= 0 {
		return bad()
	}
	var n [3]int64
	for i := range n {
		if n[i], err = strconv.ParseInt(parts[i], 10, 64); err != nil || n[i] < 0 {
			return bad()
		}
	}
	return Position{At: time.UnixMicro(n[0]), Log: parts[3], First: n[1]}, int(n[2]), nil
}
