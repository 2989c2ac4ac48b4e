package inventory

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// A condition is a growing WHERE clause with its arguments.
type condition struct {
	text string
	args []any
}

// and demands one thing more, in which each argument stands as a question mark.
func (w *condition) and(part string, values ...any) {
	for _, v := range values {
		part = strings.Replace(part, "?", w.argument(v), 1)
	}
	if w.text != "" {
		part = " AND " + part
	}
	w.text += part
}

// argument adds an argument and answers its placeholder.
func (w *condition) argument(v any) string {
	w.args = append(w.args, v)
	return "$" + strconv.Itoa(len(w.args))
}

// A cursor is the place behind the last row of a page, in an order of a number and two texts,
// of which the first has no slash.
type cursor struct {
	at       int64
	name, id string
}

// String answers the cursor as [parseCursor] reads it.
func (c cursor) String() string { return fmt.Sprintf("%d/%s/%s", c.at, c.name, c.id) }

func parseCursor(text string) (c cursor, err error) {
	at, rest, _ := strings.Cut(text, "/")
	name, id, found := strings.Cut(rest, "/")
	c = cursor{name: name, id: id}
	if c.at, err = strconv.ParseInt(at, 10, 64); err != nil || !found {
		return cursor{}, fault.InvalidParameter.New("the cursor is none that this list answered")
	}
	return c, nil
}
