// Package client asks a service, by a definition of package definition, what keys it has,
// and has it make and end keys.
//
// The rule of what is read: all or an error. A page that is missing, a total that does not
// agree, a list that goes in a circle is an error, for a list that is cut short makes keys
// look as if they were gone. What is odd about one key – a status that nobody declared, a
// date that cannot be read – is a problem of that key, which is listed all the same. What
// reads is repeated where that may help.
//
// The rule of what changes something: it is sent once, on a connection of its own, and
// never repeated; [Issuer] says of each error whether the call had an effect, by the words
// of package rotation, and leaves it open wherever that is not certain. A key that was
// made and whose secret cannot be read exists.
//
// Who may call: package httpapi, package contract. Nothing is stored. Not trusted: the
// answers, which are bounded, cleaned and cut of every secret.
package client

import (
	"context"
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
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/template"
	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// A Target is what a definition is opened on.
type Target struct {
	Vars       map[string]string
	Credential map[string]material.Bytes // valid until the client is not used any more
	// HTTP sends requests that read; it follows no redirect. [egress.HTTP] makes one.
	HTTP *http.Client
	// Once sends requests that change something, each on a connection of its own, and
	// follows no redirect. [egress.Single] makes one. A client that only reads needs none.
	Once *http.Client
	Now  func() time.Time
	// Wait returns after so long, or with an error when ctx ends; nil for the real time.
	Wait func(ctx context.Context, d time.Duration) error
}

// A Client asks one account by a definition. One goroutine uses it at a time.
type Client struct {
	def    *definition.Definition
	target Target
	values template.Values // vars.* and secret.*
	cut    answer.Scissors // for what must never be shown
	next   time.Time       // when the next request may be sent
	calls  int
}

// Open makes a client. It makes no request. Its errors are [fault.MissingParameter] and
// [fault.InvalidParameter] and name a variable or a part of the credential.
func Open(def *definition.Definition, target Target) (*Client, error) {
	values, err := def.Values(target.Vars, target.Credential)
	if err != nil {
		return nil, err
	}
	c := &Client{def: def, target: target, values: values}
	if c.target.Wait == nil {
		c.target.Wait = wait
	}
	for _, name := range slices.Sorted(maps.Keys(target.Credential)) {
		c.cut = c.cut.And(string(target.Credential[name].Expose()))
	}
	for _, name := range []definition.OperationName{definition.List, definition.Status} {
		if op := def.Operation(name); op != nil { // a credential that cannot stand in a header is found out now
			r, err := op.Fill(context.Background(), c.with(template.Values{"page": "1", "cursor": ""}), nil)
			if err != nil {
				return nil, err
			}
			_, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			c.cut = c.cut.And(encoded) // of Basic
		}
	}
	return c, nil
}

// with answers the client's values and these.
func (c *Client) with(more template.Values) template.Values {
	out := maps.Clone(c.values)
	maps.Copy(out, more)
	out["now"] = c.target.Now()
	return out
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
func (c *Client) read(ctx context.Context, op *definition.Operation, values template.Values, query url.Values) (reply, error) {
	for attempt := 1; ; attempt++ {
		a, err := c.send(ctx, c.target.HTTP, op, request{values: values, query: query})
		again := time.Duration(-1)
		if err == nil {
			again, err = c.judge(op, a)
		} else if passes(err) {
			again = 0
		}
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

// A request is what an operation is filled with.
type request struct {
	values template.Values
	query  url.Values // instead of the operation's own; nil for that
	header http.Header
}

// How far a request that was not answered came. The errors of send wrap one of these.
var (
	errNotSent = errors.New("it was not sent")
	errBarred  = errors.New("it cannot be sent like this")
	errTooMuch = errors.New("the answer is too long")
	errBroken  = errors.New("there was no whole answer")
	errNoJSON  = errors.New("the answer is no JSON")
)

// passes tells whether an error of send may pass.
func passes(err error) bool { return !errors.Is(err, errBarred) && !errors.Is(err, errTooMuch) }

// send sends one request, in its turn, and reads the answer, whatever it says.
func (c *Client) send(ctx context.Context, by *http.Client, op *definition.Operation, q request) (reply, error) {
	now := c.target.Now()
	if early := c.next.Sub(now); early > 0 {
		if err := c.target.Wait(ctx, early); err != nil {
			return reply{}, c.fault(fault.Unavailable, errNotSent, op, fault.Say("waiting for the next request: %v", err))
		}
		now = now.Add(early)
	}
	if err := ctx.Err(); err != nil {
		return reply{}, c.fault(fault.Unavailable, errNotSent, op, fault.Say("it was given up before it was sent: %v", err))
	}
	c.next = now.Add(c.def.Gap())
	ctx, cancel := context.WithTimeout(ctx, c.def.Timeout())
	defer cancel()
	r, err := op.Fill(ctx, q.values, q.query)
	if err != nil {
		return reply{}, fault.KindOf(err).Wrap(errBarred, "%s", c.clean(fault.TextOf(err)))
	}
	maps.Copy(r.Header, q.header)
	c.calls++
	resp, err := by.Do(r)
	if err != nil {
		return reply{}, c.unreachable(op, err)
	}
	text, err := egress.ReadBody(resp, c.def.MaxBody())
	defer clear(text)
	if err != nil {
		return reply{}, c.unreachable(op, err)
	}
	a := reply{status: resp.StatusCode, header: resp.Header, url: r.URL}
	if len(text) == 0 && !op.Reads() {
		return a, nil // of what changes something there may be nothing to say
	}
	if badJSON := answer.Decode(text, &a.body); badJSON != nil && slices.Contains(op.Success.Status, a.status) {
		return a, c.fault(fault.Unavailable, errNoJSON, op, fault.Say("the answer cannot be read: %v", badJSON))
	}
	return a, nil
}

// unreachable words an error of the connection, without the URL.
func (c *Client) unreachable(op *definition.Operation, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	came := errBroken
	if errors.Is(err, egress.ErrUnsent) {
		came = errNotSent
	}
	switch {
	case errors.Is(err, egress.ErrRefused):
		return c.fault(fault.InvalidParameter, errBarred, op, fault.Say("%v", err))
	case errors.Is(err, egress.ErrTooLong):
		return c.fault(fault.Unavailable, errTooMuch, op, fault.Say("the answer is longer than %d bytes; if that is right, raise maxBody in the definition or lower the size of a page", c.def.MaxBody()))
	case errors.Is(err, context.DeadlineExceeded):
		return c.fault(fault.Unavailable, came, op, fault.Say("there was no whole answer within %v", c.def.Timeout()))
	}
	return c.fault(fault.Unavailable, came, op, fault.Say("the service cannot be reached: %v", err))
}

// fault makes an error for a person, with every secret cut out of it; cause may be nil.
func (c *Client) fault(kind fault.Kind, cause error, op *definition.Operation, what fault.Text) error {
	return kind.Wrap(cause, "%s: %s: %s", c.def.Name, op.Name, c.clean(what))
}

// clean cuts every secret out of a text, in both languages, and its end off if it is long.
func (c *Client) clean(t fault.Text) fault.Text {
	return fault.Both(c.cut.Clean(t.String(), 500), c.cut.Clean(t.Chinese(), 500))
}

// judge decides what an answer to an operation that reads means: nil, or an error and when
// to try again: never if negative, after a time of one's own choice if 0.
func (c *Client) judge(op *definition.Operation, a reply) (again time.Duration, err error) {
	if slices.Contains(op.Success.Status, a.status) {
		return 0, c.worked(op, a)
	}
	later, class := retryAfter(a.header, c.target.Now()), c.def.Class(a.status, a.body)
	switch {
	case op.Name == definition.Verify && slices.Contains(op.Refused.Status, a.status):
		return -1, errKeyRefused
	case class == definition.Throttled, a.status == http.StatusTooManyRequests:
		return later, c.throttled(nil, op, a)
	case class == definition.Permanent:
		return -1, c.permanent(nil, op, a)
	case a.status >= 500, a.status == http.StatusRequestTimeout:
		return later, c.unwelcome(nil, op, a)
	}
	return -1, c.unwelcome(nil, op, a)
}

// worked holds an answer with a status of success against the operation's test.
func (c *Client) worked(op *definition.Operation, a reply) error {
	if t := op.Success.Test; t != nil && !t.Passes(a.body) {
		return c.fault(fault.Unavailable, nil, op, fault.Say("the answer does not say that it worked: %s is not %s", t.Pointer, t.Equals))
	}
	return nil
}

// throttled words that there were too many requests.
func (c *Client) throttled(cause error, op *definition.Operation, a reply) error {
	later := ""
	if d := retryAfter(a.header, c.target.Now()); d > 0 {
		later = fmt.Sprintf("; try again in %v", d.Round(time.Second))
	}
	return c.fault(fault.Throttled, cause, op, fault.Say("the service asks for fewer requests (status %d)%s", a.status, later))
}

// permanent words an answer that the definition calls permanent.
func (c *Client) permanent(cause error, op *definition.Operation, a reply) error {
	return c.fault(fault.InvalidParameter, cause, op, fault.Say("the service refuses the request for good (status %d); check the variables and the rights of the credential", a.status))
}

// unwelcome words a status of which the definition says nothing.
func (c *Client) unwelcome(cause error, op *definition.Operation, a reply) error {
	switch {
	case a.status >= 300 && a.status < 400:
		return c.fault(fault.InvalidParameter, cause, op, fault.Say("the service redirects to another address (status %d); redirects are not followed: correct the base URL", a.status))
	case a.status == http.StatusUnauthorized:
		return c.fault(fault.InvalidParameter, cause, op, fault.Say("the service refuses the credential (status 401); enter a valid one"))
	case a.status == http.StatusForbidden:
		return c.fault(fault.InvalidParameter, cause, op, fault.Say("the credential lacks a right (status 403)%s", c.rights()))
	case a.status == http.StatusNotFound:
		return c.fault(fault.InvalidParameter, cause, op, fault.Say("there is no such thing at the service (status 404); check the variables"))
	case a.status >= 500, a.status == http.StatusRequestTimeout:
		return c.fault(fault.Unavailable, cause, op, fault.Say("the service has a problem (status %d)", a.status))
	}
	return c.fault(fault.Unavailable, cause, op, fault.Say("the service answers with the unexpected status %d", a.status))
}

// errKeyRefused is answered when a key that is verified is not accepted.
var errKeyRefused = errors.New("the service refuses the key")

func (c *Client) rights() string {
	if c.def.Rights.English == "" {
		return ""
	}
	return "; it needs: " + c.def.Rights.English
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
