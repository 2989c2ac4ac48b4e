package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/fault"
)

// A failure is a way in which a service fails, tried with every operation that reads.
type failure struct {
	name   string
	answer Response
	kinds  []fault.Kind // that its error may have
}

// failures are all of them. A status that a definition declares as throttling or a quota is
// another error; it is an error in any case.
func (r *runner) failures(ctx context.Context, c Case) {
	for _, f := range []failure{
		{"credential refused", Response{Status: 401}, []fault.Kind{fault.InvalidParameter}},
		{"right missing", Response{Status: 403}, []fault.Kind{fault.InvalidParameter, fault.Throttled}},
		{"throttled", Response{Status: 429, Headers: map[string]string{"Retry-After": "7"}}, []fault.Kind{fault.Throttled}},
		{"service broken", Response{Status: 500}, []fault.Kind{fault.Unavailable}},
		{"service overloaded", Response{Status: 503}, []fault.Kind{fault.Unavailable, fault.Throttled}},
		{"redirect", Response{Status: 302, Headers: map[string]string{"Location": "https://elsewhere.example/"}}, []fault.Kind{fault.InvalidParameter}},
		{"no JSON", Response{Status: 200, Text: "<html>a proxy's page</html>"}, []fault.Kind{fault.Unavailable}},
		{"another JSON", Response{Status: 200, Text: `{"unexpected":true}`}, []fault.Kind{fault.Unavailable}},
		{"too long an answer", Response{Status: 200, Text: `"` + strings.Repeat("x", 5<<20) + `"`}, []fault.Kind{fault.Unavailable}},
	} {
		f.answer.Text = r.echo(f.answer.Text)
		evidence, err := r.failing(ctx, c, f)
		r.report.add(c.Operation, f.name, err, evidence)
	}
	evidence, err := r.play(ctx, c, &replay{exchanges: c.Exchanges, lose: 1})
	r.report.add(c.Operation, "connection lost once", err, evidence)
}

// echo makes an answer without text show the credential, as careless services do.
func (r *runner) echo(text string) string {
	if text != "" {
		return text
	}
	var b strings.Builder
	for _, secret := range r.file.Credential {
		fmt.Fprintf(&b, "not accepted: %s\n", secret)
	}
	return b.String()
}

func (r *runner) failing(ctx context.Context, c Case, f failure) (string, error) {
	p := &replay{exchanges: c.Exchanges, instead: &f.answer}
	client, err := r.client(p)
	if err != nil {
		return "", err
	}
	s, err := ask(ctx, client, c)
	switch {
	case p.wrong != nil:
		return "", p.wrong
	case c.Operation == httpapi.Verify && (f.answer.Status == 401 || f.answer.Status == 403) && err == nil && !s.verified:
		return "accepted: false", nil
	case c.Operation == httpapi.Verify && f.name == "another JSON" && err == nil && !r.def.Checks(httpapi.Verify):
		return "only the status is looked at", nil
	case err == nil:
		return "", errors.New("it was taken for a good answer")
	case !slices.Contains(f.kinds, fault.KindOf(err)):
		return "", fmt.Errorf("expected one of the errors %v, got %w", f.kinds, err)
	}
	return fault.Message(err), r.quiet(err.Error())
}

// coverage says what no case tries.
func (r *runner) coverage() {
	has := func(match func(Case) bool) bool { return slices.ContainsFunc(r.file.Cases, match) }
	for _, op := range reads {
		if r.def.Has(op) && !has(func(c Case) bool { return c.Operation == op && c.succeeds() }) {
			r.report.add(op, "coverage", errors.New("no case shows that it works"), "")
		}
	}
	if r.def.Pages() && !has(func(c Case) bool { return c.Operation == httpapi.List && c.succeeds() && len(c.Exchanges) > 1 }) {
		r.report.add(httpapi.List, "coverage", errors.New("no case has more than one page"), "")
	}
	expires := func(c Case) bool {
		return slices.ContainsFunc(c.Expect.Keys, func(k Key) bool { return !k.ExpiresAt.IsZero() })
	}
	if r.def.TellsExpiry() && !has(expires) {
		r.report.add("", "coverage", errors.New("no case has a key that expires"), "")
	}
}

// Live asks the service itself, with a person's credential: it makes the calls that a
// synchronisation makes, and no other. It does not verify keys, for it has none in hand.
func Live(ctx context.Context, def *httpapi.Definition, target httpapi.Target) (Report, error) {
	report := Report{Definition: def.Name, Version: def.Version, Live: true}
	client, err := def.Open(target)
	if err != nil {
		return report, err
	}
	for _, op := range reads[:2] {
		if !def.Has(op) {
			continue
		}
		before := client.Calls()
		s, err := ask(ctx, client, Case{Operation: op})
		if err != nil {
			err = errors.New(fault.Message(err))
		}
		report.add(op, "live", err, summary(s.keys, client.Calls()-before))
		for _, k := range s.keys {
			for _, p := range k.Problems {
				report.add(op, "key "+k.ID, errors.New(p.Reason), "")
			}
		}
	}
	return report, nil
}
