package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/template"
	"github.com/keyward/keyward/internal/fault"
)

// What a list may grow to before it is taken for a mistake.
const (
	maxPages = 1_000
	maxKeys  = 100_000
)

// A cursor is where the reading of a list stands.
type cursor struct {
	page  int
	next  string     // the cursor of the next page
	query url.Values // of the next page, if the service gave all of it
	seen  map[string]bool
}

// list reads all items of all pages. It answers every item or an error: a list that is cut
// short would make keys look as if they were gone.
func (c *Client) list(ctx context.Context, op *definition.Operation) ([]any, error) {
	var items []any
	total := -1
	at := cursor{page: op.Page.FirstNumber(), seen: map[string]bool{}}
	for range maxPages {
		a, err := c.read(ctx, op, c.with(template.Values{"page": strconv.Itoa(at.page), "cursor": at.next}), at.query)
		if err != nil {
			return nil, err
		}
		found, ok := answer.Lookup(a.body, op.Items)
		page, array := found.([]any)
		if !ok || !array {
			return nil, c.fault(fault.Unavailable, nil, op, fault.Say("the answer has no list at %q", op.Items))
		}
		items = append(items, page...)
		if len(items) > maxKeys {
			return nil, c.fault(fault.LimitExceeded, nil, op, fault.Say("there are more than %d keys", maxKeys))
		}
		if op.Page.Total != "" {
			if total, err = number(a.body, op.Page.Total); err != nil {
				return nil, c.fault(fault.Unavailable, nil, op, fault.Say("%v", err))
			}
		}
		more, err := at.advance(op, a, len(page))
		if err != nil {
			return nil, c.fault(fault.Unavailable, nil, op, fault.Say("%v", err))
		}
		if more {
			continue
		}
		items = distinct(items)
		if total >= 0 && total != len(items) {
			return nil, c.fault(fault.Unavailable, nil, op, fault.Say("the service says that there are %d keys, and its pages have %d: keys were changed meanwhile; try again", total, len(items)))
		}
		return items, nil
	}
	return nil, c.fault(fault.Unavailable, nil, op, fault.Say("the list does not end after %d pages", maxPages))
}

// distinct leaves of equal items one: a list that shifts between two pages tells one twice.
func distinct(items []any) []any {
	var out []any
	seen := map[string][]any{}
	for _, item := range items {
		key := fmt.Sprint(item)
		same := false
		for _, other := range seen[key] {
			same = same || reflect.DeepEqual(item, other)
		}
		if !same {
			seen[key] = append(seen[key], item)
			out = append(out, item)
		}
	}
	return out
}

// number reads a number that counts something.
func number(v any, pointer string) (int, error) {
	found, _ := answer.Lookup(v, pointer)
	text, _ := answer.Text(found)
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("the answer has no number at %s", pointer)
	}
	return n, nil
}

// advance moves to the next page; more is false if there is none.
func (at *cursor) advance(op *definition.Operation, a reply, count int) (more bool, err error) {
	g := op.Page
	switch g.Kind {
	case "number":
		at.page++
		if g.Size > 0 {
			return count >= g.Size, nil
		}
		pages, err := number(a.body, g.Pages)
		return at.page-g.FirstNumber() < pages, err
	case "cursor":
		next, err := follow(g, a)
		if next == "" || err != nil {
			return false, err
		}
		at.next = next
		return true, at.note(next)
	case "link":
		return at.link(g, a)
	}
	return false, nil
}

// follow reads what leads to the next page out of an answer, "" if there is none.
func follow(g definition.Page, a reply) (string, error) {
	if g.More != "" {
		found, _ := answer.Lookup(a.body, g.More)
		more, ok := found.(bool)
		if !ok {
			return "", fmt.Errorf("the answer does not say at %s whether there are more pages", g.More)
		}
		if !more {
			return "", nil
		}
	}
	found, _ := answer.Lookup(a.body, g.Next)
	text, _ := answer.Text(found)
	if text == "" && g.More != "" {
		return "", fmt.Errorf("the answer says that there are more pages, and not at %s which", g.Next)
	}
	return text, nil
}

// link takes the next page from a URL in the answer or in its header Link (RFC 8288). Only
// the query is taken: the URL is of the same host and path, or refused.
func (at *cursor) link(g definition.Page, a reply) (bool, error) {
	target, err := nextLink(a.header), error(nil)
	if g.Next != "" {
		target, err = follow(g, a)
	}
	if target == "" || err != nil {
		return false, err
	}
	u, err := a.url.Parse(target)
	if err != nil || u.Scheme != a.url.Scheme || u.Host != a.url.Host || u.EscapedPath() != a.url.EscapedPath() {
		return false, fmt.Errorf("the next page is at another host or path; it is not followed")
	}
	at.query = u.Query()
	return true, at.note(u.RawQuery)
}

// note refuses to go in a circle.
func (at *cursor) note(next string) error {
	if at.seen[next] {
		return fmt.Errorf("the pages go in a circle")
	}
	at.seen[next] = true
	return nil
}

// nextLink answers the target of the link with the relation "next", "" if there is none.
func nextLink(h http.Header) string {
	for _, value := range h.Values("Link") {
		for value != "" {
			_, after, found := strings.Cut(value, "<")
			target, rest, closed := strings.Cut(after, ">")
			if !found || !closed {
				break
			}
			parameters, others, _ := strings.Cut(rest, ",")
			for _, p := range strings.Split(parameters, ";") {
				name, relation, _ := strings.Cut(strings.TrimSpace(p), "=")
				if strings.EqualFold(name, "rel") && strings.Trim(relation, `"`) == "next" {
					return target
				}
			}
			value = others
		}
	}
	return ""
}
