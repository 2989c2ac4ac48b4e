package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
	"github.com/keyward/keyward/internal/cloud/httpapi/template"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// A Target is what a definition is opened on.
type Target struct {
	Vars       map[string]string
	Credential map[string]material.Bytes // valid until the client is not used any more
	// HTTP sends requests; it follows no redirect. [egress.HTTP] makes one.
	HTTP *http.Client
	Now  func() time.Time
	// Wait returns after so long, or with an error when ctx ends; nil for the real time.
	Wait func(ctx context.Context, d time.Duration) error
}

// A Client reads one account by a definition. One goroutine uses it at a time.
type Client struct {
	def    *Definition
	target Target
	values template.Values // vars.* and secret.*
	cut    answer.Scissors // for what must never be shown
	next   time.Time       // when the next request may be sent
	calls  int
}

// Open makes a client. It makes no request. Its errors are [fault.MissingParameter] and
// [fault.InvalidParameter] and name a variable or a part of the credential.
func (d *Definition) Open(target Target) (*Client, error) {
	c := &Client{def: d, target: target, values: template.Values{}}
	if c.target.Wait == nil {
		c.target.Wait = wait
	}
	if err := c.setVars(); err != nil {
		return nil, err
	}
	for name := range target.Credential {
		if _, ok := d.Credential[name]; !ok {
			return nil, fault.InvalidParameter.New("the definition %s knows no part %q of a credential; it knows %s", d.Name, name, names(d.Credential))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Credential)) {
		secret := target.Credential[name]
		if secret.Len() == 0 {
			return nil, fault.MissingParameter.New("%v", missing("part of the credential", name, d.Credential[name].Help.English))
		}
		text := string(secret.Expose()) // it becomes a header's text in any case
		c.values["secret."+name] = text
		c.cut = c.cut.And(text)
	}
	if _, err := d.base.url(c.values); err != nil {
		return nil, fault.InvalidParameter.New("the base URL: %v", err)
	}
	for _, name := range []OperationName{List, Status} {
		if op := d.ops[name]; op != nil { // a credential that cannot stand in a header is found out now
			r, err := c.request(context.Background(), op, c.with(template.Values{"page": "1", "cursor": ""}), nil)
			if err != nil {
				return nil, err
			}
			_, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			c.cut = c.cut.And(encoded) // of Basic
		}
	}
	return c, nil
}

func names[V any](m map[string]V) string {
	if len(m) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

func (c *Client) setVars() error {
	d := c.def
	for name := range c.target.Vars {
		if _, ok := d.Vars[name]; !ok {
			return fault.InvalidParameter.New("the definition %s has no variable %q; it has %s", d.Name, name, names(d.Vars))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Vars)) {
		value := c.target.Vars[name]
		if value == "" {
			value = string(d.Vars[name].Default)
		}
		if value == "" {
			return fault.MissingParameter.New("%v", missing("variable", name, d.Vars[name].Help.English))
		}
		if err := d.checkVar(name, value); err != nil {
			return fault.InvalidParameter.New("the variable %q: %v", name, err)
		}
		switch d.Vars[name].Type {
		case "integer":
			c.values["vars."+name] = json.Number(value)
		case "json":
			var v any
			if err := answer.Decode([]byte(value), &v); err != nil {
				return fault.InvalidParameter.New("the variable %q: %v", name, err)
			}
			c.values["vars."+name] = v
		default:
			c.values["vars."+name] = value
		}
	}
	return nil
}

// with answers the client's values and these.
func (c *Client) with(more template.Values) template.Values {
	out := maps.Clone(c.values)
	maps.Copy(out, more)
	out["now"] = c.target.Now()
	return out
}

// request makes a request; query, if not nil, takes the place of the operation's own.
func (c *Client) request(ctx context.Context, op *operationPlan, values template.Values, query url.Values) (*http.Request, error) {
	fill := func(t *template.Template) (string, error) {
		text, err := t.Text(values)
		if err != nil {
			return "", fault.InvalidParameter.New("the operation %s: %v", op.name, err)
		}
		return text, nil
	}
	u, err := op.base.url(values)
	if err != nil {
		return nil, fault.InvalidParameter.New("the operation %s: %v", op.name, err)
	}
	path, err := fill(op.path)
	if err != nil {
		return nil, err
	}
	u = u.JoinPath(path)
	if query == nil {
		query = url.Values{}
		for name, t := range op.query {
			text, err := fill(t)
			if err != nil {
				return nil, err
			}
			if text != "" {
				query.Set(name, text)
			}
		}
	}
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, op.Request.Method, u.String(), nil)
	if err != nil {
		return nil, fault.InvalidParameter.New("the operation %s: its URL cannot be made", op.name)
	}
	r.Header.Set("User-Agent", "keyward")
	r.Header.Set("Accept", "application/json")
	for _, set := range []map[string]*template.Template{op.headers, op.auth.headers} {
		for name, t := range set {
			text, err := fill(t)
			if err != nil {
				return nil, err
			}
			r.Header.Set(name, text)
		}
	}
	if op.auth.user != nil {
		user, err := fill(op.auth.user)
		if err != nil {
			return nil, err
		}
		password, err := fill(op.auth.password)
		if err != nil {
			return nil, err
		}
		if strings.Contains(user, ":") {
			return nil, fault.InvalidParameter.New("the operation %s: the user's name may have no colon", op.name)
		}
		r.SetBasicAuth(user, password)
	}
	return r, nil
}

// A reply is what the service said, and passed the operation's tests.
type reply struct {
	status int
	header http.Header
	body   any
	url    *url.URL // that it answers
}

// A read may be repeated, because it changes nothing.
const (
	attempts   = 3
	maxPatient = time.Minute // for a service that says when to come again
)

// read sends an operation that reads, and repeats it if that may help.
func (c *Client) read(ctx context.Context, op *operationPlan, values template.Values, query url.Values) (reply, error) {
	if !op.name.reads() {
		return reply{}, fmt.Errorf("sending %s: only what reads is sent", op.name)
	}
	for attempt := 1; ; attempt++ {
		a, again, err := c.once(ctx, op, values, query)
		if err == nil || again < 0 || attempt == attempts || ctx.Err() != nil {
			return a, err
		}
		if again == 0 {
			again = time.Duration(attempt) * time.Second
		}
		if again > maxPatient {
			return a, err
		}
		if stopped := c.target.Wait(ctx, again); stopped != nil {
			return a, err
		}
	}
}

// once sends one request. again says when to try it again: never if negative, after a
// time of one's own choice if 0.
func (c *Client) once(ctx context.Context, op *operationPlan, values template.Values, query url.Values) (a reply, again time.Duration, err error) {
	now := c.target.Now()
	if early := c.next.Sub(now); early > 0 {
		if err := c.target.Wait(ctx, early); err != nil {
			return reply{}, -1, c.fault(fault.Unavailable, op, "waiting for the next request: %v", err)
		}
		now = now.Add(early)
	}
	c.next = now.Add(c.def.gap)
	ctx, cancel := context.WithTimeout(ctx, c.def.timeout)
	defer cancel()
	r, err := c.request(ctx, op, values, query)
	if err != nil {
		return reply{}, -1, err
	}
	c.calls++
	resp, err := c.target.HTTP.Do(r)
	if err != nil {
		return reply{}, c.again(err), c.unreachable(op, err)
	}
	text, err := egress.ReadBody(resp, c.def.maxBody)
	if err != nil {
		return reply{}, c.again(err), c.unreachable(op, err)
	}
	a = reply{status: resp.StatusCode, header: resp.Header, url: r.URL}
	if badJSON := answer.Decode(text, &a.body); badJSON != nil && slices.Contains(op.Success.Status, a.status) {
		return reply{}, 0, c.fault(fault.Unavailable, op, "the answer cannot be read: %v", badJSON)
	}
	again, err = c.judge(op, a)
	return a, again, err
}

// again answers whether an error of the connection may pass.
func (c *Client) again(err error) time.Duration {
	if errors.Is(err, egress.ErrRefused) || errors.Is(err, egress.ErrTooLong) {
		return -1
	}
	return 0
}

// unreachable words an error of the connection, without the URL.
func (c *Client) unreachable(op *operationPlan, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	switch {
	case errors.Is(err, egress.ErrRefused):
		return c.fault(fault.InvalidParameter, op, "%v", err)
	case errors.Is(err, egress.ErrTooLong):
		return c.fault(fault.Unavailable, op, "the answer is longer than %d bytes; if that is right, raise maxBody in the definition or lower the size of a page", c.def.maxBody)
	case errors.Is(err, context.DeadlineExceeded):
		return c.fault(fault.Unavailable, op, "there was no whole answer within %v", c.def.timeout)
	}
	return c.fault(fault.Unavailable, op, "the service cannot be reached: %v", err)
}

// fault makes an error for a person, with every secret cut out of it.
func (c *Client) fault(kind fault.Kind, op *operationPlan, format string, args ...any) error {
	return kind.New("%s: %s: %s", c.def.Name, op.name, c.cut.Clean(fmt.Sprintf(format, args...), 500))
}

// is tells whether an answer belongs to a class of errors.
func (r errorRule) is(a reply) bool {
	if !slices.Contains(r.Status, a.status) {
		return false
	}
	if r.Pointer == "" {
		return true
	}
	found, _ := answer.Lookup(a.body, r.Pointer)
	text, ok := answer.Text(found)
	return ok && slices.Contains(r.In, scalar(text))
}

// judge decides what an answer means: nil, or an error and when to try again.
func (c *Client) judge(op *operationPlan, a reply) (again time.Duration, err error) {
	if slices.Contains(op.Success.Status, a.status) {
		if t := op.Success.Test; t != nil && !t.passes(a.body) {
			return 0, c.fault(fault.Unavailable, op, "the answer does not say that it worked: %s is not %s", t.Pointer, t.Equals)
		}
		return 0, nil
	}
	later := retryAfter(a.header, c.target.Now())
	switch {
	case op.name == Verify && slices.Contains(op.Refused.Status, a.status):
		return -1, errKeyRefused
	case c.def.errors[throttled].is(a), a.status == http.StatusTooManyRequests:
		return later, c.fault(fault.Throttled, op, "the service asks for fewer requests (status %d)%s", a.status, after(later))
	case c.def.errors[permanent].is(a):
		return -1, c.fault(fault.InvalidParameter, op, "the service refuses the request for good (status %d); check the variables and the rights of the credential", a.status)
	case a.status >= 300 && a.status < 400:
		return -1, c.fault(fault.InvalidParameter, op, "the service redirects to another address (status %d); redirects are not followed: correct the base URL", a.status)
	case a.status == http.StatusUnauthorized:
		return -1, c.fault(fault.InvalidParameter, op, "the service refuses the credential (status 401); enter a valid one")
	case a.status == http.StatusForbidden:
		return -1, c.fault(fault.InvalidParameter, op, "the credential lacks a right (status 403)%s", c.rights())
	case a.status == http.StatusNotFound:
		return -1, c.fault(fault.InvalidParameter, op, "there is no such thing at the service (status 404); check the variables")
	case a.status >= 500, a.status == http.StatusRequestTimeout:
		return later, c.fault(fault.Unavailable, op, "the service has a problem (status %d)", a.status)
	}
	return -1, c.fault(fault.Unavailable, op, "the service answers with the unexpected status %d", a.status)
}

// errKeyRefused is answered when a key that is verified is not accepted.
var errKeyRefused = errors.New("the service refuses the key")

func (c *Client) rights() string {
	if c.def.Rights.English == "" {
		return ""
	}
	return "; it needs: " + c.def.Rights.English
}

func after(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf("; try again in %v", d.Round(time.Second))
}

// retryAfter answers how long a service asks to wait (RFC 9110, 10.2.3), 0 if it does not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// wait returns after d, or with an error as soon as ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Calls answers how many requests were made so far, repetitions among them.
func (c *Client) Calls() int { return c.calls }
