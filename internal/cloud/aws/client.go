package aws

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/keyward/keyward/internal/egress"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

const (
	maxAnswer = 16 << 20         // bytes; the credential report of 20,000 users
	patience  = 30 * time.Second // for one request
	attempts  = 6                // of one call
	firstWait = 500 * time.Millisecond
	longWait  = 30 * time.Second // however long Retry-After says
	// AWS tells no limit of IAM's; ten requests a second leave room for others in the account.
	pace     = 100 * time.Millisecond
	slowest  = 2 * time.Second
	maxLost  = 3   // calls in a row without any answer, after which none is made
	maxPages = 500 // of one list
	maxSkew  = 5 * time.Minute
)

// A service is one of AWS's, in one place.
type service struct{ name, version, url, region string }

// A client makes signed calls, one at a time.
type client struct {
	http          *http.Client
	now           func() time.Time
	id            string
	secret, token material.Bytes

	calls int           // requests so far
	next  time.Time     // before it no request is made
	every time.Duration // between two requests; grows when AWS throttles
	lost  int           // calls in a row that no attempt of was answered
}

// A refusal is a well-formed answer that says no.
type refusal struct {
	right    string // such as "iam:ListUsers"
	status   int
	code     string        // of the service, cleaned; "" if it told none
	explicit bool          // a deny, not a missing allow
	skew     time.Duration // by which this machine's clock is before the service's
}

func (r *refusal) Error() string { return fmt.Sprintf("%s: HTTP %d %q", r.right, r.status, r.code) }

// call makes one call that reads, and repeats it while that may help. The
// error is a *refusal, a fault, or that of ctx.
func (c *client) call(ctx context.Context, s service, action string, params url.Values, out any) error {
	if c.lost >= maxLost {
		return fault.Unavailable.New("%s was not called: %s does not answer", s.name+":"+action, s.url)
	}
	form := url.Values{"Action": {action}, "Version": {s.version}}
	maps.Copy(form, params)
	wait := firstWait
	for try := 1; ; try++ {
		after, err := c.once(ctx, s, form, out)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("calling %s:%s: %w", s.name, action, ctx.Err())
		case err == nil || after < 0:
			c.lost = 0
			return err
		case try == attempts:
			c.lost++
			return err
		}
		if err := sleep(ctx, max(wait, after)); err != nil {
			return fmt.Errorf("calling %s:%s: %w", s.name, action, err)
		}
		wait *= 2
	}
}

// single makes one call with at most one request, whatever comes back: for what changes
// something. If nothing was sent the error wraps [egress.ErrUnsent], as far as the HTTP
// client tells that. Of a call that answers nothing out is nil.
func (c *client) single(ctx context.Context, s service, action string, params url.Values, out any) error {
	params.Set("Action", action)
	params.Set("Version", s.version)
	_, err := c.once(ctx, s, params, out)
	return err
}

const never = time.Duration(-1) // asking again is useless

// once sends one request. With an error it answers after what time another may succeed.
func (c *client) once(ctx context.Context, s service, form url.Values, out any) (after time.Duration, err error) {
	if err := c.turn(ctx); err != nil {
		return never, fmt.Errorf("%w: %w", egress.ErrUnsent, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	action, body := form.Get("Action"), form.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		return never, fmt.Errorf("making a request: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("User-Agent", "keyward")
	c.sign(r, s, body, c.now())
	resp, err := c.http.Do(r)
	if err != nil {
		if errors.Is(err, egress.ErrRefused) {
			return never, fault.InvalidParameter.Wrap(err, "the address of %s may not be reached; an operator may allow its network", s.name)
		}
		return 0, fault.Unavailable.Wrap(bare(err), "%s could not be reached", s.url)
	}
	content, err := egress.ReadBody(resp, maxAnswer)
	if errors.Is(err, egress.ErrTooLong) {
		return never, fault.Unavailable.Wrap(err, "the answer to %s:%s is too long to be believed", s.name, action)
	}
	if err != nil {
		return 0, fault.Unavailable.Wrap(bare(err), "the answer to %s:%s broke off", s.name, action)
	}
	defer clear(content) // a secret may be in it; what is kept is a copy
	if resp.StatusCode/100 != 2 {
		return c.refused(resp, s.name+":"+action, content)
	}
	if err := decode(content, action, out); err != nil {
		return 0, fault.Unavailable.Wrap(err, "what answered %s:%s is not AWS", s.name, action)
	}
	c.every = max(pace, c.every*9/10)
	return never, nil
}

// turn waits until the next request may be made.
func (c *client) turn(ctx context.Context) error {
	c.every = max(pace, c.every)
	now := c.now()
	wait := min(c.next.Sub(now), c.every) // a clock that was set back is not waited for
	c.next = now.Add(max(wait, 0) + c.every)
	c.calls++
	return sleep(ctx, wait)
}

// throttling are the codes by which AWS asks for patience; LimitExceeded, a quota, is none.
var throttling = []string{"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown"}

// refused tells apart what to ask again and what not.
func (c *client) refused(resp *http.Response, right string, content []byte) (time.Duration, error) {
	var said struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	_ = xml.Unmarshal(content, &said) // what is no XML has no code
	no := &refusal{right: right, status: resp.StatusCode, code: codeOnly(said.Code), explicit: strings.Contains(said.Message, "explicit deny")}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		no.skew = c.now().Sub(date)
	}
	after := time.Duration(0)
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		after = min(max(time.Duration(seconds), 0)*time.Second, longWait)
	}
	switch {
	case no.status == http.StatusTooManyRequests || slices.Contains(throttling, no.code):
		c.every = min(2*c.every, slowest)
		return after, fault.Throttled.Wrap(no, "AWS throttles %s", right)
	case no.status >= 500:
		return after, fault.Unavailable.Wrap(no, "AWS answered %s with HTTP %d", right, no.status)
	case no.status < 400:
		return never, fault.Unavailable.Wrap(no, "the address of AWS redirects elsewhere; that is not followed")
	}
	return never, no
}

// decode finds the result in an answer. An answer without it, or one that breaks off, is
// an error, never an empty list. With a nil out there is no result, but a whole answer.
func decode(content []byte, action string, out any) error {
	d := xml.NewDecoder(bytes.NewReader(content))
	depth, found := 0, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && found {
			return nil
		}
		if err != nil {
			return fmt.Errorf("decoding the answer to %s: %w", action, err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 && t.Name.Local != action+"Response" {
				return fmt.Errorf("decoding the answer to %s: it is another document", action)
			}
			found = found || out == nil
			if depth == 1 && t.Name.Local == action+"Result" && !found {
				if err := d.DecodeElement(out, &t); err != nil {
					return fmt.Errorf("decoding the answer to %s: %w", action, err)
				}
				found = true
				continue
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// bare takes the URL out of an error of net/http.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// codeOnly answers an error code of AWS, or "" for what cannot be one.
func codeOnly(s string) string {
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) && r != '.' }) {
		return ""
	}
	return s
}

// clean answers at most n bytes of a text, without what could disturb a screen.
func clean(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(n, len(s))], "")
}

// The codes on which more than the text for a person depends.
const (
	accessDenied = "AccessDenied"
	noSuchEntity = "NoSuchEntity"
)

// codeOf answers the code with which AWS refused, or "".
func codeOf(err error) string {
	var no *refusal
	if errors.As(err, &no) {
		return no.code
	}
	return ""
}

// explain makes the error of a call a fault for whoever added the source.
func explain(err error) error {
	var no *refusal
	if !errors.As(err, &no) || fault.KindOf(err) != fault.Internal {
		return err
	}
	switch no.code {
	case accessDenied, "AccessDeniedException", "UnauthorizedOperation":
		if no.explicit {
			return fault.InvalidParameter.Wrap(no, "%s is denied to the credential explicitly, by a policy, a boundary or the organization; that deny must be lifted", no.right)
		}
		return fault.InvalidParameter.Wrap(no, `the credential may not call %s; add to its policy: {"Effect":"Allow","Action":"%s","Resource":"*"}`, no.right, no.right)
	case "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId":
		return fault.InvalidParameter.Wrap(no, "AWS does not accept the access key id: it does not exist, is inactive, or belongs to another partition (set region)")
	case "SignatureDoesNotMatch", "RequestExpired", "IncompleteSignature":
		if no.skew.Abs() > maxSkew {
			return fault.Unavailable.Wrap(no, "the clock of this machine differs from that of AWS by %s; set it right", no.skew.Round(time.Second))
		}
		return fault.InvalidParameter.Wrap(no, "AWS does not accept the signature: the secret_access_key does not belong to the access key id")
	case "ExpiredToken", "ExpiredTokenException":
		return fault.InvalidParameter.Wrap(no, "the session_token has expired; a user's own access key does not")
	case "":
		return fault.InvalidParameter.Wrap(no, "%s was answered with HTTP %d, and not by AWS; look at endpoint", no.right, no.status)
	}
	return fault.InvalidParameter.Wrap(no, "AWS refused %s: %s", no.right, no.code)
}
