package rest_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	checks "github.com/keyward/keyward/internal/accesskey/check"
	"github.com/keyward/keyward/internal/accesskey/checkup"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/store/inventory"
)

// inspectors makes the inbox; the tests fill it themselves.
func (w *world) inspectors() {
	shelf, stock := inventory.Findings{Store: w.node.Store}, inventory.Store{Store: w.node.Store}
	w.findings = finding.New(finding.Options{Store: shelf, Ledger: shelf, Incidents: w.alerts, Rules: slices.Concat(checks.Rules(checks.Defaults()), exposure.Rules()), Log: w.node.Log, Region: region, Now: w.now})
	w.checks = checkup.New(checkup.Options{Store: stock, Inventory: stock, Findings: w.findings, Log: w.node.Log, Now: w.now})
}

// find puts an old and an unused key into an account's inbox, and answers the ids of the
// findings.
func (w *world) find(t testing.TB, account string) (old, unused string) {
	t.Helper()
	subject := finding.Subject{Provider: "prod", Kind: finding.Key, ID: "AKfake", Name: "build"}
	evidence := []notify.Fact{{Name: "key", Value: "AKfake"}, {Name: "user", Value: "ci"}}
	must(w.findings.Reconcile(t.Context(), finding.Batch{Account: account, Source: checks.Source, Provider: "prod", At: w.findings.Now(), Found: []finding.Finding{
		{Rule: "AK03", Subject: subject, Platform: "aws", Severity: finding.Medium, Owner: "alice", Evidence: evidence},
		{Rule: "AK04", Subject: subject, Platform: "aws", Severity: finding.High, Owner: "alice", Evidence: evidence},
	}}))(t)
	return finding.Name(checks.Source, "AK03", subject), finding.Name(checks.Source, "AK04", subject)
}

// findingSteps are the operations on findings, in an order in which they all succeed.
func (s *scene) findingSteps() []step {
	const missing = "ResourceNotFound"
	return []step{
		{"ListFindings", func(ctx context.Context, c *client.Client) error {
			return drop(c.ListFindings(ctx, api.ListFindingsRequest{State: "open", Severity: "medium"}))
		}, ""},
		{"GetFinding", func(ctx context.Context, c *client.Client) error { return drop(c.GetFinding(ctx, s.old)) }, missing},
		{"SuppressFinding", func(ctx context.Context, c *client.Client) error {
			return drop(c.SuppressFinding(ctx, s.old, api.SuppressFindingRequest{Owner: "bob", Reason: "moves next month", Until: time.Now().Add(60 * 24 * time.Hour)}))
		}, missing},
		{"ResolveFinding", func(ctx context.Context, c *client.Client) error { return drop(c.ResolveFinding(ctx, s.unused)) }, missing},
		{"ListChecks", func(ctx context.Context, c *client.Client) error { return drop(c.ListChecks(ctx)) }, ""},
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.account(t, "Owner")
	c, ctx := w.client(t, owner), t.Context()
	old, unused := w.find(t, owner.account)
	ids := func(in api.ListFindingsRequest) string {
		t.Helper()
		var out []string
		for {
			list := must(c.ListFindings(ctx, in))(t)
			for _, f := range list.Findings {
				out = append(out, f.Rule)
			}
			if in.Cursor = list.Next; in.Cursor == "" {
				return strings.Join(out, " ")
			}
		}
	}
	for _, l := range []struct {
		in   api.ListFindingsRequest
		want string
	}{
		{api.ListFindingsRequest{}, "AK04 AK03"}, {api.ListFindingsRequest{Limit: 1}, "AK04 AK03"},
		{api.ListFindingsRequest{Severity: "high"}, "AK04"}, {api.ListFindingsRequest{Severity: "critical"}, ""},
		{api.ListFindingsRequest{Rule: "AK03"}, "AK03"}, {api.ListFindingsRequest{Provider: "other"}, ""},
		{api.ListFindingsRequest{Subject: "AKfake"}, "AK04 AK03"}, {api.ListFindingsRequest{Subject: "prod/AKfake"}, "AK04 AK03"}, {api.ListFindingsRequest{Subject: "x"}, ""},
	} {
		if got := ids(l.in); got != l.want {
			t.Errorf("%+v: have %q, want %q", l.in, got, l.want)
		}
	}
	f := must(c.GetFinding(ctx, unused))(t)
	if diff := cmp.Diff(api.FindingSubject{Provider: "prod", Kind: "key", ID: "AKfake", Name: "build"}, f.Subject); diff != "" || f.State != "open" || f.Severity != "high" ||
		f.Fix.Line != "aws iam update-access-key --user-name ci --access-key-id AKfake --status Inactive" {
		t.Errorf("have %+v", f)
	}

	until := time.Now().Add(30 * 24 * time.Hour).UTC().Truncate(time.Microsecond)
	f = must(c.SuppressFinding(ctx, old, api.SuppressFindingRequest{Owner: "bob", Reason: "moves", Until: until}))(t)
	if f.State != "suppressed" || f.Suppression == nil || f.Suppression.Owner != "bob" || !f.Suppression.Until.Equal(until) || !strings.HasSuffix(f.Suppression.By, ":user/admin") {
		t.Errorf("have %+v", f.Suppression)
	}
	if f = must(c.ResolveFinding(ctx, unused))(t); f.State != "resolved" || f.ResolvedBy == "" {
		t.Errorf("have %+v", f)
	}
	for state, want := range map[string]string{"open": "", "suppressed": "AK03", "resolved": "AK04"} {
		if got := ids(api.ListFindingsRequest{State: state}); got != want {
			t.Errorf("%s: have %q, want %q", state, got, want)
		}
	}
	counts := map[string][3]int{}
	for _, c := range must(c.ListChecks(ctx))(t).Checks {
		if c.Open+c.Suppressed+c.Resolved > 0 {
			counts[c.ID] = [3]int{c.Open, c.Suppressed, c.Resolved}
		}
	}
	if diff := cmp.Diff(map[string][3]int{"AK03": {0, 1, 0}, "AK04": {0, 0, 1}}, counts); diff != "" {
		t.Errorf("counts (-want +have):\n%s", diff)
	}

	year := time.Now().Add(365 * 24 * time.Hour)
	for name, call := range map[string]struct {
		err  error
		want string
	}{
		"no severity":    {drop(c.ListFindings(ctx, api.ListFindingsRequest{Severity: "bad"})), "InvalidParameter"},
		"no state":       {drop(c.ListFindings(ctx, api.ListFindingsRequest{State: "closed"})), "InvalidParameter"},
		"no rule":        {drop(c.ListFindings(ctx, api.ListFindingsRequest{Rule: "AK99"})), "InvalidParameter"},
		"no cursor":      {drop(c.ListFindings(ctx, api.ListFindingsRequest{Cursor: "x"})), "InvalidParameter"},
		"no page":        {drop(c.ListFindings(ctx, api.ListFindingsRequest{Limit: 1001})), "InvalidParameter"},
		"no owner":       {drop(c.SuppressFinding(ctx, old, api.SuppressFindingRequest{Reason: "x", Until: year})), "MissingParameter"},
		"no reason":      {drop(c.SuppressFinding(ctx, old, api.SuppressFindingRequest{Owner: "x", Reason: " ", Until: year})), "MissingParameter"},
		"no end":         {drop(c.SuppressFinding(ctx, old, api.SuppressFindingRequest{Owner: "x", Reason: "x"})), "InvalidParameter"},
		"past":           {drop(c.SuppressFinding(ctx, old, api.SuppressFindingRequest{Owner: "x", Reason: "x", Until: time.Now().Add(-time.Hour)})), "InvalidParameter"},
		"for too long":   {drop(c.SuppressFinding(ctx, old, api.SuppressFindingRequest{Owner: "x", Reason: "x", Until: year.Add(49 * time.Hour)})), "InvalidParameter"},
		"over already":   {drop(c.SuppressFinding(ctx, unused, api.SuppressFindingRequest{Owner: "x", Reason: "x", Until: year})), "StateConflict"},
		"twice":          {drop(c.ResolveFinding(ctx, unused)), "StateConflict"},
		"not there":      {drop(c.GetFinding(ctx, "ak03-nothing")), "ResourceNotFound"},
		"moved, allowed": {drop(c.SuppressFinding(ctx, old, api.SuppressFindingRequest{Owner: "x", Reason: "x", Until: year})), ""},
	} {
		if got := codeOf(t, call.err); got != call.want {
			t.Errorf("%s: have %q, want %q", name, got, call.want)
		}
	}
}
