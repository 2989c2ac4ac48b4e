// Package wire is what the channels share: one request and what its end means, a message
// that is cut to a channel's limit, and the words around it.
//
// The outcome of a request is one of three, and the difference decides whether somebody
// is told twice or not at all. Nothing was sent before the connection stood: that is
// [message.Retry]. From the moment the first byte of the request left, silence is
// [message.Unclear]. An answer is sorted by whoever knows its codes, and by its status
// otherwise ([Sort]).
//
// Addresses of robots hold their credential. So no error that leaves this package names an
// address, and whatever a channel answers is searched for the credential before a person
// or the log gets it ([Client.Clean]).
//
// Who may call: the packages below package channel. What is trusted: the settings that an
// administrator entered, within what package egress lets through. Answers are not.
package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/message"
)

const (
	patience  = 20 * time.Second // for one request, from the name to the last byte of the answer
	maxAnswer = 64 << 10         // bytes of an answer; the longest that means something has some hundred
	maxQuote  = 160              // runes of an answer that a reason quotes
	maxAfter  = 24 * time.Hour   // how long a channel may tell us to wait
)

// A Client posts to one channel. It may be used concurrently.
type Client struct {
	name    fault.Text
	opening message.Opening
	http    *http.Client
}

// New makes a client of a channel that reasons call by its name. It makes no request.
func New(name fault.Text, o message.Opening) *Client {
	return &Client{name, o, egress.HTTP(o.Allow)}
}

// Name answers what reasons call the channel.
func (c *Client) Name() fault.Text { return c.name }

// A Reply is what a channel answered.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte // nil if it was lost or longer than any answer
}

// Post sends a body of JSON and answers what came back, whatever its status. Its errors
// are of type [*message.SendError].
func (c *Client) Post(ctx context.Context, to string, body []byte, header http.Header) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, left := Watch(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil { // the error would quote the address
		return Reply{}, Permanent("the address of %s cannot be read; enter it again", c.name)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "keyward")
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return Reply{}, c.broken(err, left())
	}
	content, err := egress.ReadBody(resp, maxAnswer)
	if err != nil && resp.StatusCode < 300 {
		e := Unclear("the answer of %s was lost; the message may have arrived", c.name)
		e.Err = c.cleaned(err)
		return Reply{}, e
	}
	return Reply{resp.StatusCode, resp.Header, content}, nil
}

// Watch answers a context for one HTTP request, and a function that tells whether anything
// of the request may have left this machine.
func Watch(ctx context.Context) (_ context.Context, left func() bool) {
	var flag atomic.Bool // is set before the first byte is written
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { flag.Store(true) }}), flag.Load
}

// broken sorts the end of a request that had no answer.
func (c *Client) broken(err error, left bool) *message.SendError {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // its text begins with the address
	}
	var certificate *tls.CertificateVerificationError
	var e *message.SendError
	switch {
	case errors.Is(err, egress.ErrRefused):
		e = Permanent("%s is not at a public address; if that is right, an operator must allow its network", c.name)
	case left:
		e = Unclear("%s did not answer; the message may have arrived", c.name)
	case errors.As(err, &certificate):
		e = Retry(0, "the certificate of %s is not trusted; if a proxy stands before it, it must let the connection through", c.name)
	default:
		e = Retry(0, "%s cannot be reached; check the network, the name service and the firewall", c.name)
	}
	e.Err = c.cleaned(err)
	return e
}

func (c *Client) cleaned(err error) error { return errors.New(c.Clean(err.Error())) }

// Clean is [Clean] for this client's channel.
func (c *Client) Clean(text string) string { return Clean(text, c.opening) }

// Clean answers the beginning of a text from outside as one line without control
// characters, and without what the channel's credential is made of.
func Clean(text string, o message.Opening) string {
	for _, secret := range o.Credential {
		whole := strings.TrimSpace(string(secret.Expose()))
		if len(whole) >= 4 { // shorter ones would make holes in every text
			text = strings.ReplaceAll(text, whole, "[redacted]")
		}
		parts := []string{url.QueryEscape(whole), base64.StdEncoding.EncodeToString([]byte(o.Settings["user"] + ":" + whole))}
		if u, err := url.Parse(whole); err == nil && u.Host != "" {
			parts = append(parts, strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' })...)
			for _, values := range u.Query() {
				parts = append(parts, values...)
			}
		}
		for _, part := range parts {
			if len(part) >= 8 { // shorter ones, such as "hook" in an address, are no secrets
				text = strings.ReplaceAll(text, part, "[redacted]")
			}
		}
	}
	return message.Cut(oneLine(text), maxQuote)
}

// Garbage is the error of an answer of success that is none of the channel's.
func (c *Client) Garbage() *message.SendError {
	return Unclear("what answered is not %s; check the address, and whether a proxy stands before it", c.name)
}

// Decode reads an answer of JSON, whatever fields it has besides.
func Decode(r Reply, into any) bool { return json.Unmarshal(r.Body, into) == nil }

// Sort answers what a status means on which the channel says nothing more: nil for success.
// The quote is what the channel said, if it said something.
func (c *Client) Sort(r Reply, quote string) *message.SendError {
	status := fault.Say("status %d", r.Status)
	if quote = c.Clean(quote); quote != "" {
		status = fault.Say("status %d (%s)", r.Status, quote)
	}
	switch s := r.Status; {
	case s >= 200 && s < 300:
		return nil
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return Permanent("%s refuses the credential with %s; enter a valid one", c.name, status)
	case s == http.StatusNotFound || s == http.StatusGone:
		return Permanent("%s answers %s: what the address names was removed; enter a new one", c.name, status)
	case s == http.StatusRequestTimeout || s == http.StatusTooEarly || s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable:
		return Retry(c.after(r.Header), "%s is overloaded or limits us: %s", c.name, status)
	case s >= 500 && s != http.StatusNotImplemented:
		return Unclear("%s failed with %s; the message may have arrived", c.name, status)
	case s >= 300 && s < 400:
		return Permanent("%s redirects with status %d; enter the address that it leads to", c.name, s)
	default:
		return Permanent("%s does not take the message: %s; check its settings", c.name, status)
	}
}

// after reads Retry-After, which holds seconds or a date (RFC 9110, section 10.2.3).
func (c *Client) after(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(c.opening.Now()), 0), maxAfter)
	}
	return 0
}

// Address reads an address from a field of the credential, or from the setting of that
// name: https, or http if the operator allowed networks. Its errors do not quote it.
func Address(o message.Opening, field string) (*url.URL, error) {
	text := strings.TrimSpace(o.Settings[field])
	if secret, ok := o.Credential[field]; ok {
		text = strings.TrimSpace(string(secret.Expose()))
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || strings.ContainsFunc(text, unicode.IsSpace):
		return nil, fault.InvalidParameter.New("the field %q is no address; it looks like https://host/path", field)
	case u.Scheme == "http" && len(o.Allow) == 0:
		return nil, fault.InvalidParameter.New("the field %q needs https; http is for networks that the operator allowed", field)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fault.InvalidParameter.New("the field %q must begin with https://", field)
	}
	port := map[string]uint64{"https": 443, "http": 80}[u.Scheme]
	if u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
			return nil, fault.InvalidParameter.New("the field %q is no address; it looks like https://host/path", field)
		}
	}
	return u, Look(o, field, u.Hostname(), uint16(port), u.Scheme == "http")
}

// Look refuses a host, from a field of the form, that does not exist or that the guard of
// outgoing connections would not let through. What the name service cannot tell now is no
// reason to refuse it. Its errors do not quote the host.
func Look(o message.Opening, field, host string, port uint16, plain bool) error {
	if o.Look == nil {
		return nil
	}
	err := o.Look(host, port, plain)
	var unknown *net.DNSError
	switch {
	case errors.Is(err, egress.ErrRefused):
		return fault.InvalidParameter.New("the field %q leads to an address that is not public, or without encryption to one that is; if that is right, an operator must allow its network with egress.allow", field)
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return fault.InvalidParameter.New("the field %q names a host that does not exist; check how it is spelt", field)
	}
	return nil
}

// Permanent makes an error of this class. The format is a literal, as that of [fault.Say]; the
// reason ends with what to do.
func Permanent(format string, args ...any) *message.SendError {
	return &message.SendError{Class: message.Permanent, Reason: fault.Say(format, args...)}
}

// Retry makes an error of this class; after is 0 if the channel did not say.
func Retry(after time.Duration, format string, args ...any) *message.SendError {
	return &message.SendError{Class: message.Retry, After: after, Reason: fault.Say(format, args...)}
}

// Unclear makes an error of this class.
func Unclear(format string, args ...any) *message.SendError {
	return &message.SendError{Class: message.Unclear, Reason: fault.Say(format, args...)}
}

// JSON encodes a payload, which is made of texts and numbers only, as a person would
// write it: < and & stay.
func JSON(payload any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(payload); err != nil {
		panic(err) // a payload of another kind is a mistake of the program
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
