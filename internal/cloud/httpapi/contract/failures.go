package contract

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/cloud/httpapi/client"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
)

// A failure is a way in which a service fails, tried with every operation.
type failure struct {
	name    string
	answer  Response
	kinds   []fault.Kind // that its error may have
	effects []string     // that its error may tell, of what changes something
}

// failures are all of them. A status that a definition declares as throttling or a quota is
// another error; it is an error in any case.
func (r *runner) failures(ctx context.Context, c Case) {
	fine := c.Exchanges[0].Response.Status // what an answer that is no answer has, too
	if fine == http.StatusNoContent {
		fine = http.StatusOK
	}
	for _, f := range []failure{
		{"credential refused", Response{Status: 401}, []fault.Kind{fault.InvalidParameter}, []string{"refused"}},
		{"right missing", Response{Status: 403}, []fault.Kind{fault.InvalidParameter, fault.Throttled}, []string{"refused", "none"}},
		{"throttled", Response{Status: 429, Headers: map[string]string{"Retry-After": "7"}}, []fault.Kind{fault.Throttled}, []string{"none"}},
		{"service broken", Response{Status: 500}, []fault.Kind{fault.Unavailable}, []string{"unknown"}},
		{"service overloaded", Response{Status: 503}, []fault.Kind{fault.Unavailable, fault.Throttled}, []string{"unknown", "none"}},
		{"redirect", Response{Status: 302, Headers: map[string]string{"Location": "https://elsewhere.example/"}}, []fault.Kind{fault.InvalidParameter}, []string{"unknown"}},
		{"no JSON", Response{Status: fine, Text: "<html>a proxy's page</html>"}, []fault.Kind{fault.Unavailable}, []string{"unknown"}},
		{"another JSON", Response{Status: fine, Text: `{"unexpected":true}`}, []fault.Kind{fault.Unavailable}, []string{"unknown"}},
		{"too long an answer", Response{Status: fine, Text: `"` + strings.Repeat("x", r.def.MaxBody()) + `"`}, []fault.Kind{fault.Unavailable}, []string{"unknown"}},
	} {
		f.answer.Text = r.echo(c, f.answer.Text)
		evidence, err := r.failing(ctx, c, f)
		r.report.add(c.Operation, f.name, err, evidence)
	}
	if !c.reads() {
		r.lost(ctx, c)
		return
	}
	evidence, err := r.play(ctx, c, &replay{exchanges: c.Exchanges, lose: 1})
	r.report.add(c.Operation, "connection lost once", err, evidence)
}

// echo makes an answer without text show the credential, as careless services do.
func (r *runner) echo(c Case, text string) string {
	if text != "" {
		return text
	}
	var b strings.Builder
	for _, secret := range r.file.Credential {
		fmt.Fprintf(&b, "not accepted: %s\n", secret)
	}
	if c.Expect.Minted != nil {
		fmt.Fprintf(&b, "made: %s\n", c.Expect.Minted.Secret)
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
	looked := r.def.Checks(c.Operation) || c.Expect.Minted != nil
	switch {
	case p.wrong != nil:
		return "", p.wrong
	case c.Operation == definition.Verify && (f.answer.Status == 401 || f.answer.Status == 403) && err == nil && s.verdict == rotation.Refused:
		return string(s.verdict), nil
	case c.Operation == definition.Verify && f.name == "another JSON" && err == nil && s.verdict == rotation.Stranger:
		return string(s.verdict), nil
	case (c.Operation == definition.Verify || !c.reads()) && f.name == "another JSON" && err == nil && !looked:
		return "only the status is looked at", nil
	case err == nil:
		return "", errors.New("it was taken for a good answer")
	case !slices.Contains(f.kinds, fault.KindOf(err)):
		return "", fmt.Errorf("expected one of the errors %v, got %w", f.kinds, err)
	case !c.reads() && !slices.Contains(f.effects, effect(err)):
		return "", fmt.Errorf("the error says of its effect: %s; possible is: %s", effect(err), strings.Join(f.effects, ", "))
	case !c.reads() && p.sent != 1:
		return "", fmt.Errorf("it was sent %d times", p.sent)
	}
	return fault.Message(err), r.quiet(c, err.Error())
}

// coverage says what no case tries.
func (r *runner) coverage() {
	has := func(match func(Case) bool) bool { return slices.ContainsFunc(r.file.Cases, match) }
	miss := func(op definition.OperationName, reason string) { r.report.add(op, "coverage", errors.New(reason), "") }
	for _, op := range operations {
		if r.def.Has(op) && !has(func(c Case) bool { return c.Operation == op && c.succeeds() }) {
			miss(op, "no case shows that it works")
		}
	}
	if r.def.Pages() && !has(func(c Case) bool {
		return c.Operation == definition.List && c.succeeds() && len(c.Exchanges) > 1
	}) {
		miss(definition.List, "no case has more than one page")
	}
	expires := func(c Case) bool {
		return slices.ContainsFunc(c.Expect.Keys, func(k Key) bool { return !k.ExpiresAt.IsZero() })
	}
	if r.def.TellsExpiry() && !has(expires) {
		miss("", "no case has a key that expires")
	}
	if r.def.Writes() && r.def.Tells(definition.Quota) && !has(func(c Case) bool { return c.Expect.Effect == "full" }) {
		miss(r.def.Mints().Name, "no case has the error quota")
	}
}

// Live asks the service itself, with a person's credential: it makes the calls that a
// synchronisation makes, and no other. It does not verify keys, for it has none in hand.
func Live(ctx context.Context, def *definition.Definition, target client.Target) (Report, error) {
	report := Report{Definition: def.Name, Version: def.Version, Live: true}
	c, err := client.Open(def, target)
	if err != nil {
		return report, err
	}
	for _, op := range operations[:2] {
		if !def.Has(op) {
			continue
		}
		before := c.Calls()
		s, err := ask(ctx, c, Case{Operation: op})
		if err != nil {
			err = errors.New(fault.Message(err))
		}
		report.add(op, "live", err, summary(s.keys, c.Calls()-before))
		for _, k := range s.keys {
			for _, p := range k.Problems {
				report.add(op, "key "+k.ID, errors.New(p.Reason), "")
			}
		}
	}
	return report, nil
}
