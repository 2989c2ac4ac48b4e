package finding

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
)

// prefix begins the names of the conditions that are findings.
const prefix = "finding/"

// Reconcile takes in what a look found, for keyward itself and without a record: whoever
// looks records that it did.
func (s *Service) Reconcile(ctx context.Context, b Batch) (Tally, error) {
	known, err := s.o.Ledger.Known(ctx, b.Account, b.Source, b.Provider)
	if err != nil {
		return Tally{}, err
	}
	changed, t, err := Decide(known, b)
	if err != nil || len(changed) == 0 {
		return t, err
	}
	return t, s.o.Ledger.Save(ctx, b.Account, changed)
}

// Retire resolves everything that a source found about providers that are not there any more.
func (s *Service) Retire(ctx context.Context, account, source string, there []string, at time.Time) (t Tally, err error) {
	have, err := s.o.Ledger.Providers(ctx, account, source)
	if err != nil {
		return t, err
	}
	for _, provider := range have {
		if slices.Contains(there, provider) {
			continue
		}
		some, err := s.Reconcile(ctx, Batch{Account: account, Source: source, Provider: provider, At: at, ReadAt: at})
		if err != nil {
			return t, err
		}
		t.Add(some)
	}
	return t, s.o.Ledger.Forget(ctx, account, at.Add(-keep))
}

// Announce has people told of the findings that are open and critical or of a rule that is
// told, and that others are over. It answers when the next suppression ends, zero if there is none.
func (s *Service) Announce(ctx context.Context, account string) (next time.Time, err error) {
	now := s.Now()
	// All of them are read and their MACs compared: a suppression that nobody made would
	// silence a finding.
	suppressions, err := s.o.Store.Suppressions(ctx, account, now)
	if err != nil {
		return next, err
	}
	silent := silenced(suppressions)
	for _, p := range suppressions {
		if next.IsZero() || p.Until.Before(next) {
			next = p.Until
		}
	}
	conditions := map[string]notify.Condition{}
	told := []Query{{Severity: Critical}}
	for _, r := range s.o.Rules {
		if r.Told {
			told = append(told, Query{Rule: r.ID})
		}
	}
	for _, q := range told {
		for _, q.State = range []State{Open, Suppressed} { // the suppressed ones, too: see above
			if err := s.each(ctx, account, q, now, func(f *Finding) {
				if c := s.condition(f); !silent[f.ID] {
					conditions[c.Name] = c
				}
			}); err != nil {
				return next, err
			}
		}
	}
	ours := func(condition string) bool { return strings.HasPrefix(condition, prefix) }
	return next, s.o.Incidents.Reconcile(ctx, account, ours, conditions)
}

// Silent answers the ids of the findings that a person accepts now, for keyward's own work.
func (s *Service) Silent(ctx context.Context, account string) (map[string]bool, error) {
	suppressions, err := s.o.Store.Suppressions(ctx, account, s.Now())
	return silenced(suppressions), err
}

func silenced(suppressions []Suppression) map[string]bool {
	out := map[string]bool{}
	for _, p := range suppressions {
		out[p.Finding] = true
	}
	return out
}

// each calls fn with every finding that matches.
func (s *Service) each(ctx context.Context, account string, q Query, now time.Time, fn func(*Finding)) error {
	for q.Now, q.Limit = now, MaxPage; ; {
		found, rest, err := s.o.Store.Findings(ctx, account, q)
		if err != nil {
			return err
		}
		for i := range found {
			fn(&found[i])
		}
		if q.After = rest; rest == "" {
			return nil
		}
	}
}

// toldOf are the facts of which people are told beside what is wrong.
var toldOf = []string{"key", "user", "secret", "match", "origin", "what"}

// condition answers what people are told of a finding.
func (s *Service) condition(f *Finding) notify.Condition {
	r := s.Rule(f.Rule)
	facts := []notify.Fact{
		{Name: "check", Value: f.Rule + " " + r.Title.English + " / " + r.Title.Chinese}, {Name: "provider", Value: f.Subject.Provider},
		{Name: "fix", Value: "keyward finding show " + f.ID},
	}
	for _, e := range f.Evidence {
		if slices.Contains(toldOf, e.Name) {
			facts = append(facts, e)
		}
	}
	severity := message.Critical
	if f.Severity != Critical {
		severity = message.Warning
	}
	return notify.Condition{
		Name: prefix + f.ID, Kind: notify.KeyFinding, Subject: f.Subject.String(), Owner: f.Owner, Severity: severity, Facts: facts,
	}
}
