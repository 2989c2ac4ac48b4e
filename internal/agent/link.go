package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent/identity"
	"github.com/keyward/keyward/internal/fault"
)

const (
	maxAnswer     = 64 << 20         // bytes
	maxRetryAfter = 10 * time.Minute // that is believed
	tolerated     = 30 * time.Second // by which the time may be off without being wrong
)

// A refusal is an answer of the server that is no success.
type refusal struct {
	status     int
	code       string
	detail     string
	retryAfter time.Duration
}

// Error answers what the server said.
func (r *refusal) Error() string {
	if r.code == "" {
		return fmt.Sprintf("the server answered %d, which is not an answer of keyward", r.status)
	}
	return fmt.Sprintf("the server answered: %s (%s)", r.detail, r.code)
}

// retryAfter answers how long the server asked to be left alone.
func retryAfter(err error) time.Duration {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.retryAfter
	}
	return 0
}

// A link carries requests to the server. It may be used concurrently.
type link struct {
	server string
	http   http.RoundTripper
	clock  *clock
	node   identity.Node // zero before it joined: then nothing is signed
	keys   identity.Keys
	// language of refusals; "" is English
	language string

	mu   sync.Mutex // guards what follows
	last time.Time  // that was signed
}

// newTransport answers a way to the server that trusts the authorities in ca, or those
// of the system if it is empty.
func newTransport(ca string) (http.RoundTripper, error) {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 2 * time.Minute,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		HTTP2:           &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second}, // or a connection that a partition cut is used for minutes
	}
	if ca != "" {
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, fault.InvalidParameter.New("there is no certificate in PEM among the authorities")
		}
	}
	return t, nil
}

// checkServer refuses a URL over which secrets or a token would go in the clear.
func checkServer(server string) (string, error) {
	u, err := url.Parse(server)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", u.User != nil,
		strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
		return "", fault.InvalidParameter.New("the server's URL must look like https://host:port")
	case u.Scheme == "http" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback():
		return "", fault.InvalidParameter.New("the server's URL %q must begin with https://, or lead to this machine", server)
	}
	return u.Scheme + "://" + u.Host, nil
}

// post makes one request. If the server does not believe its time, the server's own time
// is taken over and the request repeated.
func (l *link) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding a request: %w", err)
	}
	resp, err := l.send(ctx, path, body)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && l.correct(resp) {
		_ = resp.Body.Close() // it was only read
		resp, err = l.send(ctx, path, body)
	}
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("reading the server's answer: %w", err)
	case resp.StatusCode != http.StatusOK:
		return refused(resp, content, l.clock.Now())
	}
	if err := json.Unmarshal(content, out); err != nil {
		return errors.New("reading the server's answer: it is not the JSON that was expected") // what it is may be secret
	}
	return nil
}

func (l *link) send(ctx context.Context, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "keyward-agent")
	if l.language != "" {
		r.Header.Set("Accept-Language", l.language)
	}
	if l.node.Name != "" {
		at := l.moment().Format(time.RFC3339Nano)
		message := delivery.SignedMessage(path, l.node.Path(), at, body)
		r.Header.Set(delivery.NodeHeader, l.node.Path())
		r.Header.Set(delivery.TimeHeader, at)
		r.Header.Set(delivery.SignatureHeader, base64.StdEncoding.EncodeToString(l.keys.Sign(message)))
	}
	resp, err := l.http.RoundTrip(r) // which follows no redirect
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", l.server, err)
	}
	return resp, nil
}

// moment answers a time to sign. It is later than that of every request before: the
// server takes what was signed earlier for something that was sent again. What it heard of
// the server's time is off by how long the answers took, now more, now less.
func (l *link) moment() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	if ahead := l.last.Sub(now); ahead >= 0 && ahead < tolerated { // more is a clock that was set right
		now = l.last.Add(time.Microsecond) // which is what the server tells apart
	}
	l.last = now
	return now
}

// correct takes over the server's time if it is another, and tells whether it was.
func (l *link) correct(resp *http.Response) bool {
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || date.Sub(l.clock.Now()).Abs() <= tolerated {
		return false
	}
	l.clock.sync(date)
	return true
}

// refused answers what an answer that is no success says.
func refused(resp *http.Response, content []byte, now time.Time) error {
	r := &refusal{status: resp.StatusCode}
	var p api.Problem
	if json.Unmarshal(content, &p) == nil && p.Code != "" {
		r.code, r.detail = p.Code, p.Detail
	}
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
		r.retryAfter = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		r.retryAfter = at.Sub(now)
	}
	r.retryAfter = min(max(r.retryAfter, 0), maxRetryAfter)
	return r
}
