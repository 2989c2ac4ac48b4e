package watch

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

const (
	mostAsked = 50                     // credentials that issuers are asked about in one look
	askAgain  = 24 * time.Hour         // after which the same one is asked about again
	between   = 500 * time.Millisecond // two questions
	askedName = 16                     // digits of a blind by which it is remembered that one was asked about
)

// A Candidate is a secret that was found and whose issuer may be asked about it.
type Candidate struct {
	Blind string // exposure.Seen.Blind
	Rule  string
	KeyID string // the identifier that stood with it; "" for none
	Value material.Bytes
}

// A Verifier asks issuers whether credentials work, by calls that change nothing; package
// cloud/liveness has one. It may be used concurrently.
type Verifier interface {
	// Issuers answers the words for all that can be asked, sorted.
	Issuers() []string
	// Rules answers the rules that find what some issuers may be asked about.
	Rules(issuers []string) []string
	// Asks answers whose word a candidate is tried at; "" if nobody is certain to have issued
	// it.
	Asks(c Candidate) string
	// Try asks. What is not certain is unknown.
	Try(ctx context.Context, c Candidate) exposure.Verdict
}

// SetIssuers says which issuers are asked whether what is found in a repository works, in
// place of those that were; none for nobody. The repository is looked at at once.
func (s *Service) SetIssuers(ctx context.Context, c *authz.Call, name string, issuers []string) (out Standing, err error) {
	err = s.do(ctx, c, "keyward:SetRepositoryIssuers", name, func(rec *audit.Record) error {
		known := s.o.Verifier.Issuers()
		issuers = slices.Compact(slices.Sorted(slices.Values(issuers)))
		for _, one := range issuers {
			if !slices.Contains(known, one) {
				return fault.InvalidParameter.New("no issuer %.40q can be asked; those that can are %s", one, strings.Join(known, ", "))
			}
		}
		if out, err = s.standing(ctx, c.Account, name); err != nil {
			return err
		}
		rec.Param("Before", strings.Join(out.Issuers, ","))
		rec.Param("Issuers", strings.Join(issuers, ","))
		out.Issuers = issuers
		return s.o.Store.UpdateRepository(ctx, rec, &out.Repository, s.soon(out.Repository))
	})
	if err != nil {
		return Standing{}, err
	}
	return out, nil
}

// verify asks issuers about what was found and is told, each credential at most once a day,
// and puts what they say beside it. That one is asked is on record before it is. What the
// harvest says of who may be asked counts for nothing: a process that read a stranger's bytes
// made it.
func (s *Service) verify(ctx context.Context, call *authz.Call, of *Standing, h Harvest) error {
	told := map[string]bool{}
	for i := range h.Seen {
		h.Seen[i].Verdict = exposure.Verdict{}
		told[h.Seen[i].Blind] = told[h.Seen[i].Blind] || h.Seen[i].Severity >= of.Severity
	}
	maps.DeleteFunc(of.State.Asked, func(_ string, at time.Time) bool { return s.now().Sub(at) >= askAgain })
	said := map[string]exposure.Verdict{}
	for _, c := range h.Values {
		asks := s.o.Verifier.Asks(c)
		if _, already := of.State.Asked[asked(c)]; already || !told[c.Blind] || !slices.Contains(of.Issuers, asks) {
			continue
		}
		if len(said) == mostAsked {
			break // the others are asked about by the next look that searches
		}
		if len(said) > 0 {
			if err := pause(ctx, between); err != nil {
				return err
			}
		}
		if err := s.recordAsking(ctx, call, of, c); err != nil {
			return err
		}
		said[c.Blind] = s.o.Verifier.Try(ctx, c)
		if of.State.Asked == nil {
			of.State.Asked = map[string]time.Time{}
		}
		of.State.Asked[asked(c)] = s.now()
	}
	for i := range h.Seen {
		h.Seen[i].Verdict = said[h.Seen[i].Blind]
	}
	return nil
}

// asked answers by which name it is remembered that somebody was asked about a candidate.
func asked(c Candidate) string { return c.Blind[:min(askedName, len(c.Blind))] }

// recordAsking has it on record that an issuer is about to be asked. Without that nobody is.
func (s *Service) recordAsking(ctx context.Context, call *authz.Call, of *Standing, c Candidate) error {
	rec := audit.NewRecord(call, "keyward:VerifyCredential")
	rec.Resource, rec.Result = s.ARN(of.Account, of.Name), audit.ResultOK
	rec.Param("Issuer", s.o.Verifier.Asks(c))
	rec.Param("Rule", clean(c.Rule, maxText))
	if c.KeyID != "" {
		rec.Param("KeyId", clean(c.KeyID, maxText))
	}
	return s.o.Log.Append(ctx, rec)
}

// erase overwrites the secrets of a harvest.
func (h Harvest) erase() {
	for _, c := range h.Values {
		c.Value.Zero()
	}
}

// pause waits, or answers why not.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
