package tencent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
)

const (
	mainland = "https://cam.tencentcloudapi.com"
	domain   = ".tencentcloudapi.com" // and of the international site ".intl.tencentcloudapi.com"

	maxAnswer = 8 << 20 // bytes; all users of an account come in one answer
	patience  = 30 * time.Second
)

// An Operation is one action of the API.
type Operation struct {
	Service string // "cam"
	Version string // of the service's API, a date
	Action  string // "ListUsers"
	Region  string // "" for services without regions
	Limit   int    // calls in a second that Tencent Cloud allows; 0 for 20
	// Repeat says that it does no harm twice. Only then is it sent again after an answer
	// was lost; what was refused for being called too often is sent again anyway.
	Repeat bool
}

// String answers the name by which policies know the action, such as "cam:ListUsers".
func (op Operation) String() string { return op.Service + ":" + op.Action }

// Options are what a [Client] is made of.
type Options struct {
	// Endpoint is an https URL without a path; "" is the mainland site. Of a host of
	// Tencent Cloud's the first label is replaced by the service that is called, so
	// "https://cam.intl.tencentcloudapi.com" is the international site for all of them.
	// Any other host, such as a proxy's, is asked for all services. With http, Allow must
	// contain the host's addresses.
	Endpoint string
	Signer   Signer
	Allow    []netip.Prefix   // networks that are not public and may be reached all the same
	Now      func() time.Time // dates the requests
	HTTP     *http.Client     // nil for package egress's
}

// A Client calls the API of Tencent Cloud. It keeps to the rate limits of each action,
// tries again what can be tried again, and reads no answer without end. It may be used
// concurrently.
type Client struct {
	endpoint *url.URL
	signer   Signer
	now      func() time.Time
	http     *http.Client
	pace     pace
	calls    atomic.Int64
}

// NewClient makes a client; it makes no request. It refuses an endpoint and a credential
// that cannot be sent with [fault.InvalidParameter].
func NewClient(o Options) (*Client, error) {
	if o.Endpoint == "" {
		o.Endpoint = mainland
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fault.InvalidParameter.New("endpoint must be a URL such as %s, without user, path and query", mainland)
	}
	if u.Scheme == "http" && len(o.Allow) == 0 {
		return nil, fault.InvalidParameter.New("endpoint must begin with https://; http needs the operator to allow its network")
	}
	if err := o.Signer.check(); err != nil {
		return nil, err
	}
	if o.HTTP == nil {
		o.HTTP = egress.HTTP(o.Allow)
	}
	return &Client{endpoint: &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}, signer: o.Signer, now: o.Now, http: o.HTTP}, nil
}

// Calls answers how many requests were sent so far.
func (c *Client) Calls() int { return int(c.calls.Load()) }

// Call performs an operation: in is encoded as JSON, and a successful answer is decoded
// into out, which is a pointer. An error is a fault that wraps what the service answered
// ([Error]), if it did; out is then not to be used. It ends soon after ctx does.
func (c *Client) Call(ctx context.Context, op Operation, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding the parameters of %s: %w", op, err)
	}
	for failed := 1; ; failed++ {
		if err := c.pace.wait(ctx, op); err != nil {
			return op.explain(err)
		}
		answer, err := c.send(ctx, op, body)
		if err == nil {
			if err := json.Unmarshal(answer, out); err != nil {
				return op.explain(fmt.Errorf("decoding the answer: %w", err))
			}
			return nil
		}
		var e *Error
		refused := errors.As(err, &e) && e.throttled() // so it was not done
		lost := op.Repeat && (e == nil || e.below("InternalError")) && !errors.Is(err, egress.ErrRefused)
		var asked time.Duration
		if e != nil {
			asked = e.after
		}
		if !refused && !lost || failed == attempts || sleep(ctx, backoff(failed, asked)) != nil {
			return op.explain(err)
		}
	}
}

// Once performs an operation as [Client.Call] does, but sends at most one request,
// whatever comes back. If nothing was sent the error wraps [egress.ErrUnsent], as far as
// the client's HTTP tells that, as [egress.Single] does. What was answered is erased.
func (c *Client) Once(ctx context.Context, op Operation, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding the parameters of %s: %w", op, err)
	}
	if err := c.pace.wait(ctx, op); err != nil {
		return op.explain(fmt.Errorf("%w: %w", egress.ErrUnsent, err))
	}
	answer, err := c.send(ctx, op, body)
	defer clear(answer)
	if err == nil {
		if err = json.Unmarshal(answer, out); err != nil {
			err = fmt.Errorf("decoding the answer: %w", err)
		}
	}
	if err != nil {
		return op.explain(err)
	}
	return nil
}

// send sends a request once, and answers the JSON object of a successful answer.
func (c *Client) send(ctx context.Context, op Operation, body []byte) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u := *c.endpoint
	if strings.HasSuffix(u.Hostname(), domain) {
		_, rest, _ := strings.Cut(u.Host, ".")
		u.Host = op.Service + "." + rest
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "keyward")
	r.Header.Set("X-TC-Action", op.Action)
	r.Header.Set("X-TC-Version", op.Version)
	r.Header.Set("X-TC-Language", "en-US")
	if op.Region != "" {
		r.Header.Set("X-TC-Region", op.Region)
	}
	c.signer.Sign(r, op.Service, body, c.now())
	c.calls.Add(1)
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("sending a request: %w", err)
	}
	answer, err := egress.ReadBody(resp, maxAnswer)
	if err != nil {
		return nil, err
	}
	defer clear(answer) // a secret may be in it; what is answered is a copy
	return open(resp, answer)
}

// open takes the result out of an answer. The API answers status 200 for errors, too;
// other statuses come from what stands before it.
func open(resp *http.Response, answer []byte) (json.RawMessage, error) {
	var whole struct{ Response json.RawMessage }
	var part struct {
		Error     *struct{ Code, Message string }
		RequestID string `json:"RequestId"`
	}
	err := json.Unmarshal(answer, &whole)
	if err == nil && len(whole.Response) > 0 {
		err = json.Unmarshal(whole.Response, &part)
	}
	switch {
	case err == nil && part.Error != nil:
		return nil, &Error{Code: clean(part.Error.Code, 128), Message: clean(part.Error.Message, 300), RequestID: clean(part.RequestID, 64)}
	case resp.StatusCode == http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // 0 if it says nothing of use
		return nil, &Error{Code: "RequestLimitExceeded", Message: "HTTP status 429", after: time.Duration(min(max(seconds, 0), 60)) * time.Second}
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("reading the answer: HTTP status %d", resp.StatusCode)
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	case part.RequestID == "":
		return nil, errors.New("reading the answer: it is not one of this API")
	}
	return whole.Response, nil
}
