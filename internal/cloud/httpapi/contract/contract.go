package contract

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// A Result is what came of one case.
type Result struct {
	Operation httpapi.OperationName `json:"operation,omitempty"` // "" for the contract as a whole
	Case      string                `json:"case"`
	OK        bool                  `json:"ok"`
	Evidence  string                `json:"evidence"`
}

// A Report is what came of a contract.
type Report struct {
	Definition string   `json:"definition"`
	Version    int      `json:"version"`
	Live       bool     `json:"live"` // the service itself was asked
	Results    []Result `json:"results"`
}

// OK tells whether nothing is wrong.
func (r Report) OK() bool {
	return len(r.Results) > 0 && !slices.ContainsFunc(r.Results, func(one Result) bool { return !one.OK })
}

func (r *Report) add(op httpapi.OperationName, name string, err error, evidence string) {
	one := Result{op, name, err == nil, evidence}
	if err != nil {
		one.Evidence = err.Error()
	}
	r.Results = append(r.Results, one)
}

// reads are the operations that a contract is about.
var reads = []httpapi.OperationName{httpapi.Status, httpapi.List, httpapi.Verify}

// Recorded runs a definition's file against its own exchanges. An error means that the file
// could not be read; whatever else is wrong stands in the report.
func Recorded(ctx context.Context, text []byte) (Report, error) {
	def, err := httpapi.Parse(text)
	if err != nil {
		return Report{}, err
	}
	f, err := Read(text)
	if err != nil {
		return Report{}, err
	}
	r := &runner{def: def, file: f, report: Report{Definition: def.Name, Version: def.Version}}
	for _, c := range f.Cases {
		evidence, err := r.play(ctx, c, &replay{exchanges: c.Exchanges})
		r.report.add(c.Operation, c.Name, err, evidence)
	}
	for _, op := range reads {
		i := slices.IndexFunc(f.Cases, func(c Case) bool { return c.Operation == op && c.succeeds() })
		if i >= 0 && def.Has(op) {
			r.failures(ctx, f.Cases[i])
		}
	}
	r.coverage()
	return r.report, nil
}

// succeeds tells whether a case is one in which all goes well.
func (c Case) succeeds() bool {
	return c.Expect.Error == "" && (c.Expect.Verified == nil || *c.Expect.Verified) && c.Exchanges[0].Response.Status < 300
}

// A runner runs one contract.
type runner struct {
	def    *httpapi.Definition
	file   *File
	report Report
}

// client opens the definition on a replay, with a clock that moves only while it waits.
func (r *runner) client(p *replay) (*httpapi.Client, error) {
	now := r.file.Now
	credential := map[string]material.Bytes{}
	for name, value := range r.file.Credential {
		credential[name] = material.NewBytes([]byte(value))
	}
	return r.def.Open(httpapi.Target{
		Vars: r.file.Vars, Credential: credential,
		HTTP: &http.Client{Transport: p, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Now:  func() time.Time { return now },
		Wait: func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil },
	})
}

// A seen is what an operation came to.
type seen struct {
	keys     []httpapi.Seen
	verified bool
}

func ask(ctx context.Context, c *httpapi.Client, of Case) (s seen, err error) {
	switch of.Operation {
	case httpapi.List:
		s.keys, err = c.List(ctx)
	case httpapi.Status:
		var one httpapi.Seen
		if one, err = c.Status(ctx); err == nil {
			s.keys = []httpapi.Seen{one}
		}
	default:
		s.verified, err = c.Verify(ctx, of.Key.ID, material.NewBytes([]byte(of.Key.Secret)))
	}
	return s, err
}

// play runs a case and holds what came of it against what it expects.
func (r *runner) play(ctx context.Context, c Case, p *replay) (evidence string, err error) {
	client, err := r.client(p)
	if err != nil {
		return "", err
	}
	s, err := ask(ctx, client, c)
	switch want := fault.Kind(c.Expect.Error); {
	case p.wrong != nil:
		return "", p.wrong
	case want != "" && fault.KindOf(err) != want:
		return "", fmt.Errorf("expected the error %s, got %v", want, err)
	case want != "":
		return fault.Message(err), r.quiet(err.Error())
	case err != nil:
		return "", err
	case p.at != len(p.exchanges):
		return "", fmt.Errorf("only %d of %d recorded requests were made", p.at, len(p.exchanges))
	case c.Operation == httpapi.Verify && (c.Expect.Verified == nil || s.verified != *c.Expect.Verified):
		return "", fmt.Errorf("the key is accepted: %t; expected is something else", s.verified)
	case c.Operation == httpapi.Verify:
		return fmt.Sprintf("accepted: %t", s.verified), nil
	}
	if err := compare(s.keys, c); err != nil {
		return "", err
	}
	return summary(s.keys, p.at), r.quiet(fmt.Sprintf("%+v", s.keys))
}

// quiet refuses a text that shows a part of the credential.
func (r *runner) quiet(text string) error {
	for name, secret := range r.file.Credential {
		if strings.Contains(text, secret) {
			return fmt.Errorf("the part %s of the credential is shown", name)
		}
	}
	return nil
}

// compare holds keys against those that a case expects, in the order of the service.
func compare(got []httpapi.Seen, c Case) error {
	if len(got) != len(c.Expect.Keys) {
		return fmt.Errorf("%d keys are seen, expected are %d", len(got), len(c.Expect.Keys))
	}
	problems := 0
	for i, want := range c.Expect.Keys {
		k := got[i]
		problems += len(k.Problems)
		for _, f := range []struct{ name, got, want string }{
			{"id", k.ID, want.ID}, {"status", string(k.Status), want.Status}, {"name", k.Name, want.Name}, {"principal", k.Principal, want.Principal},
			{"createdAt", moment(k.CreatedAt), moment(want.CreatedAt)}, {"lastUsedAt", moment(k.Use.At), moment(want.LastUsedAt)},
		} {
			if f.want != "" && f.got != f.want {
				return fmt.Errorf("key %s: %s is %q, expected is %q", k.ID, f.name, f.got, f.want)
			}
		}
		if !k.Expiry.At.Equal(want.ExpiresAt) || !want.ExpiresAt.IsZero() && k.Expiry.Basis != accesskey.Provided {
			return fmt.Errorf("key %s: expiresAt is %q, expected is %q", k.ID, moment(k.Expiry.At), moment(want.ExpiresAt))
		}
	}
	if problems != c.Expect.Problems {
		return fmt.Errorf("%d problems are reported, expected are %d", problems, c.Expect.Problems)
	}
	return nil
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// summary says in a line what was seen.
func summary(keys []httpapi.Seen, requests int) string {
	var first time.Time
	problems := 0
	for _, k := range keys {
		problems += len(k.Problems)
		if at := k.Expiry.At; !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	text := fmt.Sprintf("keys: %d, requests: %d", len(keys), requests)
	if !first.IsZero() {
		text += ", first expiry: " + moment(first)
	}
	if problems > 0 {
		text += fmt.Sprintf(", problems: %d", problems)
	}
	return text
}
