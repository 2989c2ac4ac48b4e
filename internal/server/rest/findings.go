package rest

import (
	"cmp"
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func findingRoutes() []route {
	return []route{
		{"GET", "/v1/findings", "ListFindings", "keyward:ListFindings", "Answers one page of findings that match, the most severe first.", takes((*dialect).listFindings)},
		{"GET", "/v1/findings/{id}", "GetFinding", "keyward:GetFinding", "Answers a finding.", takes((*dialect).getFinding)},
		{"POST", "/v1/findings/{id}/suppress", "SuppressFinding", "keyward:SuppressFinding", "Accepts a finding until a date, with an owner and a reason.", takes((*dialect).suppressFinding)},
		{"POST", "/v1/findings/{id}/resolve", "ResolveFinding", "keyward:ResolveFinding", "Takes a finding for mended until something newer says otherwise.", takes((*dialect).resolveFinding)},
		{"GET", "/v1/checks", "ListChecks", "keyward:ListChecks", "Answers every check with its thresholds and the number of its findings.", takes((*dialect).listChecks)},
	}
}

func (d *dialect) listFindings(ctx context.Context, q request, in api.ListFindingsRequest) (api.FindingList, error) {
	severity, err := severity(cmp.Or(in.Severity, finding.Low.String()))
	if err != nil {
		return api.FindingList{}, d.refuse(ctx, q.call, "keyward:ListFindings", err)
	}
	found, next, err := d.Findings.List(ctx, q.call, finding.Query{
		Rule: in.Rule, Severity: severity, State: finding.State(in.State), Provider: in.Provider, Subject: in.Subject, After: in.Cursor, Limit: cmp.Or(in.Limit, defaultLimit),
	})
	return api.FindingList{Findings: words.Each(found, d.finding), Next: next}, err
}

func (d *dialect) getFinding(ctx context.Context, q request, _ none) (api.KeyFinding, error) {
	f, err := d.Findings.Get(ctx, q.call, q.vars["id"])
	return d.finding(f), err
}

func (d *dialect) suppressFinding(ctx context.Context, q request, in api.SuppressFindingRequest) (api.KeyFinding, error) {
	f, err := d.Findings.Suppress(ctx, q.call, q.vars["id"], finding.Verdict{Owner: in.Owner, Reason: in.Reason, Until: in.Until})
	return d.finding(f), err
}

func (d *dialect) resolveFinding(ctx context.Context, q request, _ none) (api.KeyFinding, error) {
	f, err := d.Findings.Resolve(ctx, q.call, q.vars["id"])
	return d.finding(f), err
}

func (d *dialect) listChecks(ctx context.Context, q request, _ none) (api.CheckList, error) {
	rules, err := d.Findings.Rules(ctx, q.call)
	if err != nil {
		return api.CheckList{}, err
	}
	out := api.CheckList{Checks: words.Each(rules, check)}
	last, err := d.Checks.Last(ctx, q.call.Account)
	if !last.At.IsZero() {
		out.Run = &api.CheckRun{At: last.At, TookMS: int(last.Took.Milliseconds()), Seen: last.Seen, Of: last.Of, Error: last.Error, ErrorZh: last.Chinese}
	}
	return out, err
}

func findingFact(f notify.Fact) api.FindingFact { return api.FindingFact{Name: f.Name, Value: f.Value} }

func (d *dialect) finding(f finding.Finding) api.KeyFinding {
	r := d.Findings.Rule(f.Rule)
	fix := r.Advice(&f)
	out := api.KeyFinding{
		ID: f.ID, Rule: f.Rule, Title: words.Text(r.Title), Why: words.Text(r.Why), Severity: f.Severity.String(), State: string(f.State(d.Findings.Now())),
		Subject: api.FindingSubject{Provider: f.Subject.Provider, Kind: string(f.Subject.Kind), ID: f.Subject.ID, Name: f.Subject.Name},
		Owner:   f.Owner, Evidence: words.Each(f.Evidence, findingFact), Fix: api.FindingFix{Line: fix.Command, Text: words.Text(fix.Text)},
		FirstSeen: f.FirstSeen, LastSeen: f.LastSeen, ResolvedAt: f.ResolvedAt, ResolvedBy: f.ResolvedBy,
	}
	if p := f.Suppression; p != nil {
		out.Suppression = &api.KeySuppression{Owner: p.Owner, Reason: p.Reason, By: p.By, At: p.At, Until: p.Until}
	}
	return out
}

func check(s finding.Standing) api.Check {
	r := s.Rule
	return api.Check{
		ID: r.ID, Severity: r.Severity.String(), Title: words.Text(r.Title), Why: words.Text(r.Why), Limits: words.Each(r.Limits, findingFact),
		Answered: r.Answered(), Partly: words.Text(r.Partly), Needs: words.Text(r.Needs),
		Open: s.Count.Open, Suppressed: s.Count.Suppressed, Resolved: s.Count.Resolved,
	}
}
