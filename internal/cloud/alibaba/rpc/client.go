// Package rpc calls Alibaba Cloud's RPC services, such as IMS, RAM, STS and SMS.
//
// A [Client] signs requests (scheme ACS3-HMAC-SHA256), keeps within a rate, tries again
// what may be tried again, and turns errors into faults that wrap an [Error]. [Read] also
// refuses answers that lack what they must have. [Client.Once] is for what changes
// something that must not happen twice: it sends one request, and its error tells whether
// anything was sent.
//
// Who may call: package alibaba, for access keys, and package channel, for SMS. Nothing is
// stored. What the cloud answers is not trusted: answers are bounded in size, and their
// texts are cleaned ([Clean]). The credential is kept as material.Bytes and cut out of
// every error.
package rpc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

const (
	attempts    = 6                     // of one call
	firstPause  = time.Second           // before the second attempt; doubles with each
	longest     = 30 * time.Second      // of one pause
	patience    = 20 * time.Second      // for one attempt
	maxAnswer   = 8 << 20               // bytes; a report of 1,000 users is a third of a megabyte
	usualPace   = 50 * time.Millisecond // a guess: what throttles is found out by being throttled
	usualBurst  = 10
	userAgent   = "keyward"
	acceptsJSON = "application/json"
)

// A Credential is an access key of Alibaba Cloud.
type Credential struct {
	ID     string
	Secret material.Bytes
	Token  material.Bytes // of a temporary key; empty for a permanent one
}

// A Config is what a client is made of. What the credential holds must stay valid for as
// long as the client is used.
type Config struct {
	Credential Credential
	Now        func() time.Time
	HTTP       *http.Client  // such as of egress.HTTP; it follows no redirect
	Pace       time.Duration // between two requests, after a burst of ten; 0 for 50 ms
}

// A Client calls Alibaba Cloud's RPC services. It may be used concurrently.
type Client struct {
	credential Credential
	now        func() time.Time
	http       *http.Client
	pace       pace
	calls      atomic.Int64
}

// NewClient makes a client. It makes no request.
func NewClient(c Config) *Client {
	if c.Pace <= 0 {
		c.Pace = usualPace
	}
	return &Client{credential: c.Credential, now: c.Now, http: c.HTTP, pace: pace{every: c.Pace, burst: usualBurst}}
}

// With answers a client as this one, with a pace of its own and another credential.
func (c *Client) With(other Credential) *Client {
	return NewClient(Config{Credential: other, Now: c.now, HTTP: c.http, Pace: c.pace.every})
}

// KeyID answers the id of the client's credential.
func (c *Client) KeyID() string { return c.credential.ID }

// Calls answers how many requests were sent so far, repetitions among them.
func (c *Client) Calls() int { return int(c.calls.Load()) }

// An Operation is one call of an RPC service.
type Operation struct {
	Endpoint string // such as "https://ims.aliyuncs.com"
	Version  string // of the service's API, such as "2019-08-15"
	Action   string
	Params   map[string]string
	// Once forbids to repeat the call when it may have been performed: for what must
	// not happen twice, such as sending an SMS. Refused calls are repeated all the same.
	Once bool
}

// Call performs an operation and decodes the JSON object that it answers into out.
//
// Throttling, a lost connection, an answer that makes no sense and errors of the service
// are tried again with growing pauses, six attempts in all, for as long as ctx allows.
// Errors are faults; those that the service answered wrap an [*Error].
// [fault.InvalidParameter] is what a person has to correct, [fault.Throttled] and
// [fault.Unavailable] may be tried again later.
func (c *Client) Call(ctx context.Context, op Operation, out any) error {
	return c.call(ctx, op, func(body []byte) error { return json.Unmarshal(body, out) })
}

// An Answer is what an operation answers. A list that is absent is not an empty list: an
// answer that lacks what it must have is refused, so that nothing goes missing silently.
type Answer interface{ Complete() error }

// Read performs a call as [Client.Call] does and answers what it says. A call that is
// tried again starts with an empty answer.
func Read[T any, P interface {
	*T
	Answer
}](ctx context.Context, c *Client, op Operation) (T, error) {
	var out T
	err := c.call(ctx, op, func(body []byte) error {
		out = *new(T)
		if err := json.Unmarshal(body, &out); err != nil {
			return err
		}
		return P(&out).Complete()
	})
	if err != nil {
		return *new(T), err
	}
	return out, nil
}

// Once performs an operation as [Client.Call] does, but sends at most one request, whatever
// comes back. If nothing was sent the error wraps [egress.ErrUnsent], as far as the
// client's HTTP tells that, as [egress.Single] does. What was answered is erased.
func (c *Client) Once(ctx context.Context, op Operation, out any) error {
	if err := c.pace.wait(ctx); err != nil {
		return fault.Unavailable.Wrap(fmt.Errorf("%w: %w", egress.ErrUnsent, err), "the time was over before %s could be asked for; try again", op.Action)
	}
	_, err := c.try(ctx, op, func(body []byte) error { return json.Unmarshal(body, out) })
	return err
}

func (c *Client) call(ctx context.Context, op Operation, decode func(body []byte) error) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		if err := c.pace.wait(ctx); err != nil {
			return err
		}
		again, err := c.try(ctx, op, decode)
		if err == nil || again == never || again == ifRepeatable && op.Once || attempt == attempts || ctx.Err() != nil {
			return err
		}
		wait := max(jitter(pause), asked(err))
		pause = min(2*pause, longest)
		if e := Sleep(ctx, wait); e != nil {
			return err // of the last attempt: it says more than that time is up
		}
	}
}

// A repetition says whether a failed attempt may be followed by another.
type repetition int

const (
	never repetition = iota
	always
	ifRepeatable // the operation may have been performed
)

// try makes one attempt.
func (c *Client) try(ctx context.Context, op Operation, decode func(body []byte) error) (repetition, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := c.request(ctx, op)
	if err != nil {
		return never, err
	}
	c.calls.Add(1)
	resp, err := c.http.Do(r)
	if err != nil {
		return lost(op, err)
	}
	body, err := egress.ReadBody(resp, maxAnswer)
	defer clear(body) // a secret may be in it; what is kept is a copy
	switch {
	case errors.Is(err, egress.ErrTooLong):
		return never, fault.Unavailable.Wrap(err, "%s answered more than %d bytes to %s", r.URL.Host, maxAnswer, op.Action)
	case err != nil:
		return lost(op, err)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return never, fault.InvalidParameter.New("%s answers with a redirect, which is not followed; correct the endpoint", r.URL.Host)
	case resp.StatusCode != http.StatusOK:
		e := c.readError(op, resp.StatusCode, body)
		e.after = retryAfter(resp.Header.Get("Retry-After"))
		return e.repetition(), e.fault(c.credential)
	}
	if err := whole(body, decode); err != nil {
		return ifRepeatable, fault.Unavailable.Wrap(err, "the answer of %s to %s makes no sense; if this stays, look for a proxy in between", r.URL.Host, op.Action)
	}
	return never, nil
}

// whole decodes an answer, which must be a JSON object with a request id, as every
// answer of the service is: what a proxy says instead is none.
func whole(body []byte, decode func([]byte) error) error {
	var head struct{ RequestId string }
	if err := json.Unmarshal(body, &head); err != nil {
		return fmt.Errorf("decoding the answer: %w", err)
	}
	if head.RequestId == "" {
		return errors.New("decoding the answer: it has no RequestId")
	}
	if err := decode(body); err != nil {
		return fmt.Errorf("decoding the answer: %w", err)
	}
	return nil
}

// lost makes the fault of a request that got no answer. The error of net/http holds the
// URL with its query, so only its cause is kept.
func lost(op Operation, err error) (repetition, error) {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, egress.ErrRefused) {
		return never, fault.InvalidParameter.Wrap(err, "the endpoint of %s may not be reached: %v", op.Action, err)
	}
	return ifRepeatable, fault.Unavailable.Wrap(err, "no answer to %s; check that %s can be reached from here", op.Action, op.Endpoint)
}

// request builds a signed request. The parameters go into the query, in the spelling that
// the signature covers, as the vendor's own clients do it.
func (c *Client) request(ctx context.Context, op Operation) (*http.Request, error) {
	u, err := ReadEndpoint(op.Endpoint)
	if err != nil {
		return nil, err
	}
	u.Path, u.RawQuery = "/", canonicalQuery(op.Params)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("Accept", acceptsJSON)
	c.sign(r, op)
	return r, nil
}

// ReadEndpoint reads a URL that is a scheme and a host; [fault.InvalidParameter] is the
// error of all others.
func ReadEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, fault.InvalidParameter.New("the endpoint must look like https://ims.aliyuncs.com: a scheme and a host, nothing else")
	}
	return u, nil
}

// retryAfter reads the header of that name, of which only seconds are understood.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, longest)
}

// asked answers how long the service wants to be left alone.
func asked(err error) time.Duration {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.after
	}
	return 0
}

// jitter answers half of d to three halves of it, so that clients which were refused
// together do not come back together.
func jitter(d time.Duration) time.Duration {
	var b [1]byte
	rand.Read(b[:]) // never fails: the runtime ends the process instead
	return d/2 + d*time.Duration(b[0])/256
}
