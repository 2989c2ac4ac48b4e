// Package client calls keyward's native REST API and, on the server's machine, its
// operator API. On a machine with an agent it gives programs a [Key], which changes under
// them without a failed call. It needs nothing but the standard library.
//
// A [Client] has one method for each operation, which takes what stands in the request's
// path and then the request type of package api. Every request is signed with the access
// key, over method, path, query, body and the headers that matter, with a fresh nonce, so
// that it cannot be changed, and not be used a second time, by whoever reads it.
//
// What the server refuses is answered as an [*Error], whose Code tells why. Any other
// error means that there was no answer: a request that changes something may then have
// been performed or not. Only GET requests are tried again by themselves.
//
// A Client is safe for concurrent use. It writes nothing down: secrets leave it in
// requests only.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/keyward/keyward/api"
)

const (
	defaultTimeout = 30 * time.Second
	maxAnswer      = 64 << 20 // bytes; the largest is a page of audit records
	retries        = 2        // of a GET whose connection broke
	pause          = 100 * time.Millisecond
)

// A Config says where the server is and who calls it.
type Config struct {
	Endpoint        string // "https://kms.example.com:7420", without a path
	AccessKeyID     string
	AccessKeySecret string
	SecurityToken   string        // of temporary credentials; "" for a permanent access key
	HTTPClient      *http.Client  // for a private CA or a proxy; nil for one of its own
	Timeout         time.Duration // of one call with its retries; 0 means 30 s
	Language        string        // in which the server says what it refuses: "en", "zh"; "" for English
	// AllowPlaintext permits an http:// endpoint that is not on this machine. Whoever is
	// on the way then reads plaintexts and new secrets.
	AllowPlaintext bool
	// Code is asked for what proves the caller's second factor when the server wants that for
	// a request, which is then repeated with it. nil for never.
	Code func(ctx context.Context, w Wanted) (string, error)
	// Await is asked what to do while a request waits for others' approval: nil sends it
	// again, so wait a little; an error ends the call. nil for never.
	Await func(ctx context.Context, refusal *Error) error
	// Reason tells those who must approve a request why it is made; "" for nothing.
	Reason string
}

// Wanted is a request for which the server wants the second factor to be proved.
type Wanted struct {
	Message string           // the server's
	Request api.ProofRequest // for [Client.BeginProof]
}

// String answers the configuration without the secret.
func (c Config) String() string {
	return fmt.Sprintf("{Endpoint:%s AccessKeyID:%s AccessKeySecret:[redacted]}", c.Endpoint, c.AccessKeyID)
}

// GoString answers the configuration without the secret.
func (c Config) GoString() string { return "client.Config" + c.String() }

// Format writes the configuration without the secret, for every verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// A Client calls the REST API as the user whose access key it has.
type Client struct {
	server transport
}

// New makes a Client. It does not connect.
func New(c Config) (*Client, error) {
	t, err := c.transport()
	if err != nil {
		return nil, fmt.Errorf("configuring client: %w", err)
	}
	if c.AccessKeyID == "" || c.AccessKeySecret == "" {
		return nil, errors.New("configuring client: the access key id or its secret is empty")
	}
	t.sign, t.code = newSigner(c.AccessKeyID, c.AccessKeySecret, c.SecurityToken), c.Code
	t.await, t.reason = c.Await, oneLine(c.Reason)
	return &Client{t}, nil
}

// oneLine answers a text as a header can carry it.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}

// transport answers what carries requests, unsigned.
func (c Config) transport() (transport, error) {
	base, err := parseEndpoint(c.Endpoint, c.AllowPlaintext)
	if err != nil {
		return transport{}, err
	}
	return transport{http: withoutRedirects(c.HTTPClient), base: base, timeout: cmp.Or(c.Timeout, defaultTimeout), language: c.Language}, nil
}

func parseEndpoint(endpoint string, plaintext bool) (string, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", errors.New("the endpoint is no URL; it must look like https://host:port")
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.User != nil,
		strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
		return "", fmt.Errorf("the endpoint %q must look like https://host:port", u.Redacted())
	case u.Scheme == "http" && !plaintext && !loopback(u.Hostname()):
		return "", fmt.Errorf("the endpoint %q would send secrets over the network in the clear; use https, or allow plaintext explicitly", endpoint)
	}
	return u.Scheme + "://" + strings.TrimSuffix(u.Host, ":"), nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// withoutRedirects answers a copy of c that follows none: a signature is for one place.
func withoutRedirects(c *http.Client) *http.Client {
	copied := http.Client{}
	if c != nil {
		copied = *c
	}
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}

// An Error is the server's refusal of a request. Nothing was changed, and no more was
// answered than this.
type Error struct {
	Status    int    // of HTTP
	Code      string // "KeyNotFound"; empty when the answer is not keyward's
	Message   string // what is wrong and what to do next
	RequestID string // under which the audit log and the server's log have it
	Approval  string // of ApprovalRequired: the id of the approval request
}

// Error answers all of it in one line.
func (e *Error) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return fmt.Sprintf("%s (%s, request %s)", e.Message, e.Code, e.RequestID)
}

// A transport carries requests to one server.
type transport struct {
	http     *http.Client
	base     string
	timeout  time.Duration
	language string                             // "" for the server's choice
	sign     func(r *http.Request, body []byte) // nil where whoever connects is trusted, or logs in
	code     func(ctx context.Context, w Wanted) (string, error)
	await    func(ctx context.Context, refusal *Error) error
	reason   string // for who must approve

	// What goes with one request.
	proof    string // what code answered
	approval string // id of others' approval
}

// none is the answer of operations that answer nothing.
type none struct{}

// call makes one request. in is a request type of package api, or nil for none. How long people
// take to approve it, or to prove their second factor, counts for no timeout.
func call[Out any](ctx context.Context, t transport, method, path string, in any) (Out, error) {
	for {
		out, err := proved[Out](ctx, t, method, path, in)
		var refusal *Error
		if t.await == nil || !errors.As(err, &refusal) || refusal.Code != "ApprovalRequired" {
			return out, err
		}
		if err := t.await(ctx, refusal); err != nil {
			return out, errors.Join(err, refusal)
		}
	}
}

// proved makes a request. One that wants others' approval, or the second factor to be proved,
// was not performed, so that it may be sent again: with the id of the approval, which may have
// been given by now, and with a code or a proof.
func proved[Out any](ctx context.Context, t transport, method, path string, in any) (Out, error) {
	for {
		out, err := once[Out](ctx, t, method, path, in)
		var refusal *Error
		switch {
		case !errors.As(err, &refusal):
			return out, err
		case refusal.Code == "ApprovalRequired" && refusal.Approval != "" && t.approval == "":
			t.approval = refusal.Approval
		case refusal.Code == "MFARequired" && t.code != nil && t.proof == "":
			target, body, err := encode(method, path, in)
			if err == nil {
				t.proof, err = t.code(ctx, Wanted{refusal.Message, api.ProofRequest{Method: method, Target: target, Body: string(body)}})
			}
			if err != nil || t.proof == "" {
				return out, errors.Join(err, refusal)
			}
		default:
			return out, err
		}
	}
}

// once makes a request without regard to what it is answered.
func once[Out any](ctx context.Context, t transport, method, path string, in any) (Out, error) {
	var out Out
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	answer, err := t.open(ctx, method, path, in)
	if err != nil {
		return out, err
	}
	defer answer.Close()
	if _, ok := any(out).(none); ok {
		return out, nil
	}
	body, err := io.ReadAll(io.LimitReader(answer, maxAnswer))
	if err != nil {
		return out, fmt.Errorf("reading the server's answer: %w", err)
	}
	if err := json.Unmarshal(body, &out); err != nil {
		var empty Out
		return empty, errors.New("reading the server's answer: it is not the JSON that was expected; is the endpoint a keyward server of this release?")
	}
	return out, nil
}

// open sends a request and answers the body of a success.
func (t transport) open(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	if strings.Contains(path, "//") || strings.HasSuffix(path, "/") {
		return nil, errors.New("calling keyward: a name is empty")
	}
	target, body, err := encode(method, t.base+path, in)
	if err != nil {
		return nil, fmt.Errorf("calling keyward: %w", err)
	}
	for try := 0; ; try++ {
		resp, err := t.send(ctx, method, target, body)
		if err == nil {
			return accept(resp)
		}
		if method != http.MethodGet || try == retries || ctx.Err() != nil || !broken(err) {
			return nil, fmt.Errorf("calling keyward: %w", err)
		}
		select {
		case <-time.After(pause << try):
		case <-ctx.Done():
			return nil, fmt.Errorf("calling keyward: %w", err)
		}
	}
}

// broken tells whether err is one of the connection, and not of what was sent over it.
func broken(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func (t transport) send(ctx context.Context, method, target string, body []byte) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, target, reader)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "keyward-client")
	if t.language != "" {
		r.Header.Set("Accept-Language", t.language)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if t.proof != "" {
		r.Header.Set(headerCode, t.proof)
	}
	if t.reason != "" {
		r.Header.Set(headerReason, t.reason)
	}
	if t.approval != "" {
		r.Header.Set(headerApproval, t.approval)
	}
	if t.sign != nil {
		t.sign(r, body)
	}
	return t.http.Do(r)
}

// accept answers the body of a success and turns everything else into an Error.
func accept(resp *http.Response) (io.ReadCloser, error) {
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the server's answer: %w", err)
	}
	var p api.Problem
	if json.Unmarshal(body, &p) != nil || p.Code == "" {
		return nil, &Error{Status: resp.StatusCode, Message: fmt.Sprintf(
			"the server answered %q, which is not an answer of keyward; check the endpoint and what stands before it", resp.Status)}
	}
	return nil, &Error{Status: resp.StatusCode, Code: p.Code, Message: p.Detail, RequestID: p.RequestID, Approval: resp.Header.Get(headerApproval)}
}
