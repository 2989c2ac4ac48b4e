package contract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/httpapi/client"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

// A Result is what came of one case.
type Result struct {
	Operation definition.OperationName `json:"operation,omitempty"` // "" for the contract as a whole
	Case      string                   `json:"case"`
	OK        bool                     `json:"ok"`
	Evidence  string                   `json:"evidence"`
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

func (r *Report) add(op definition.OperationName, name string, err error, evidence string) {
	one := Result{op, name, err == nil, evidence}
	if err != nil {
		one.Evidence = err.Error()
	}
	r.Results = append(r.Results, one)
}

// operations are those that a contract is about.
var operations = []definition.OperationName{
	definition.Status, definition.List, definition.Verify,
	definition.Create, definition.Rotate, definition.Disable, definition.Enable, definition.Delete, definition.Promote, definition.Abandon,
}

// Recorded runs a definition's file against its own exchanges. An error means that the file
// could not be read; whatever else is wrong stands in the report.
func Recorded(ctx context.Context, text []byte) (Report, error) {
	def, err := definition.Parse(text)
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
	for _, op := range operations {
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
	refused := c.Expect.Verdict != "" && c.Expect.Verdict != rotation.Accepted
	return c.Expect.Error == "" && !refused && c.Exchanges[0].Response.Status < 300
}

// Holds answers nil if a definition's file passes its own contract, or the first thing
// that is wrong.
func Holds(text []byte) error {
	report, err := Recorded(context.Background(), text)
	if err != nil {
		return err
	}
	for _, one := range report.Results {
		if !one.OK {
			return fmt.Errorf("%s: %s: %s", one.Operation, one.Case, one.Evidence)
		}
	}
	return nil
}

// A runner runs one contract.
type runner struct {
	def    *definition.Definition
	file   *File
	report Report
}

// client opens the definition on a replay, with a clock that moves only while it waits.
func (r *runner) client(p *replay) (*client.Client, error) {
	now := r.file.Now
	credential := map[string]material.Bytes{}
	for name, value := range r.file.Credential {
		credential[name] = material.NewBytes([]byte(value))
	}
	sender := &http.Client{Transport: p, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return client.Open(r.def, client.Target{
		Vars: r.file.Vars, Credential: credential, HTTP: sender, Once: sender,
		Now:  func() time.Time { return now },
		Wait: func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil },
	})
}

// A seen is what an operation came to.
type seen struct {
	keys    []client.Seen
	verdict rotation.Verdict
	minted  Minted
}

// ask makes the call that a case is about.
func ask(ctx context.Context, c *client.Client, of Case) (s seen, err error) {
	switch of.Operation {
	case definition.List:
		s.keys, err = c.List(ctx)
	case definition.Status:
		var one client.Seen
		if one, err = c.Status(ctx); err == nil {
			s.keys = []client.Seen{one}
		}
	case definition.Verify:
		s.verdict, err = c.Verify(ctx, of.Key.ID, material.NewBytes([]byte(of.Key.Secret)))
	default:
		s.minted, err = change(ctx, c, of)
	}
	return s, err
}

// play runs a case and holds what came of it against what it expects.
func (r *runner) play(ctx context.Context, c Case, p *replay) (evidence string, err error) {
	if !r.def.Has(c.Operation) {
		return "", fmt.Errorf("the definition has no %s", c.Operation)
	}
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
	case want != "" && c.Expect.Effect != "" && effect(err) != c.Expect.Effect:
		return "", fmt.Errorf("expected the effect %s, got %s: %v", c.Expect.Effect, effect(err), err)
	case want != "":
		return fault.Message(err), r.quiet(c, err.Error())
	case err != nil:
		return "", err
	case p.at != len(p.exchanges):
		return "", fmt.Errorf("only %d of %d recorded requests were made", p.at, len(p.exchanges))
	case c.Operation == definition.Verify && s.verdict != c.Expect.Verdict:
		return "", fmt.Errorf("the key is %s; expected is %s", s.verdict, orNone(string(c.Expect.Verdict)))
	case c.Operation == definition.Verify:
		return string(s.verdict), nil
	case !c.reads():
		return r.made(c, s.minted)
	}
	if err := compare(s.keys, c); err != nil {
		return "", err
	}
	return summary(s.keys, p.at), r.quiet(c, fmt.Sprintf("%+v", s.keys))
}

func orNone(text string) string { return cmp.Or(text, "nothing") }

// quiet refuses a text that shows a part of the credential, or the secret of a key.
func (r *runner) quiet(c Case, text string) error {
	if m := c.Expect.Minted; m != nil && strings.Contains(text, m.Secret) {
		return errors.New("the secret of the new key is shown")
	}
	for name, secret := range r.file.Credential {
		if strings.Contains(text, secret) {
			return fmt.Errorf("the part %s of the credential is shown", name)
		}
	}
	return nil
}

// compare holds keys against those that a case expects, in the order of the service.
func compare(got []client.Seen, c Case) error {
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
func summary(keys []client.Seen, requests int) string {
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
