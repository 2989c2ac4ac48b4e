package approval

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
)

// A requester is who sends a request, as approval requests keep it.
type requester struct{ identity, behind, since string }

func (w requester) is(r Request) bool {
	return w == requester{r.Requester, r.Behind, r.Since}
}

// identify answers who sends a request: the identity, the user whom a session came of, and
// what a later user or role of the same name has not.
func (s *Service) identify(ctx context.Context, c *authz.Call) (requester, error) {
	account, user, err := s.Roles.Origin(ctx, c.Principal)
	if err != nil {
		return requester{}, err
	}
	w := requester{identity: c.Identity(), behind: iam.UserARN(account, user), since: role.IDOf(c.Principal)}
	if w.since == "" {
		u, err := s.Users.User(ctx, c.Account, c.Name)
		if err != nil {
			return requester{}, err
		}
		w.since = strconv.FormatInt(u.CreatedAt.UnixMicro(), 10)
	}
	return w, nil
}

// open opens an approval request for what was refused, or answers the one that there is.
func (k *Check) open(ctx context.Context, a Attempt) error {
	s, c := k.s, a.call
	who, err := s.identify(ctx, c)
	if err != nil {
		return err
	}
	digest, params, _, err := k.digest(ctx, a)
	if err != nil {
		return err
	}
	now := s.now()
	r := Request{
		Account: c.Account, ID: "apr-" + strings.ToLower(rand.Text())[:20], Requester: who.identity, Behind: who.behind, Since: who.since,
		Action: k.parts[0].Action, Resource: k.parts[0].Resource, Also: slices.Clone(k.parts[1:]), Reason: a.Reason, Digest: digest, Params: redacted(params), Source: c.From(), State: Open, CreatedAt: now,
	}
	life := MaxLife
	slices.SortFunc(k.bound, func(x, y compiledRule) int { return strings.Compare(x.Name, y.Name) })
	for _, rule := range k.bound {
		life = min(life, rule.Life)
		r.Wants = append(r.Wants, Want{Rule: rule.Name, Rev: rule.Rev, Need: rule.Need, Approvers: rule.Approvers})
	}
	r.ExpiresAt = now.Add(life)
	if found, err := s.again(ctx, r); err != nil || found != nil {
		return orPending(found, err)
	}
	asking := *c
	asking.Approval = nil // asking needs none
	rec := audit.NewRecord(&asking, ActionRequest)
	rec.Nonce = nil // the refused request's record has it
	err = s.Log.Do(ctx, rec, func() error {
		rec.Resource, rec.Decision = s.arn(c.Account, "approval/"+r.ID), "own"
		rec.Param("Action", r.Action)
		rec.Param("On", r.Resource)
		for _, p := range r.Also {
			rec.Param("Action", p.Action)
			rec.Param("On", p.Resource)
		}
		rec.Param("Reason", r.Reason)
		if err := s.satisfiable(ctx, r); err != nil {
			return err
		}
		return s.Store.OpenApproval(ctx, rec, &r, now.Add(-Kept), look(r.Account, now))
	})
	return orPending(&Pending{r.ID, fault.ApprovalRequired.New("%s needs the approval of others: %s. The approval request %s is open until %s; when it is approved, send the same request again with its id in the header x-acs-approval-id",
		doing(k.parts), wantsOf(k.bound), r.ID, r.ExpiresAt.Format(time.RFC3339))}, err)
}

func orPending(p *Pending, err error) error {
	if err != nil {
		return err
	}
	return p
}

// again answers that the requester has asked for the very request already, if that still stands.
func (s *Service) again(ctx context.Context, want Request) (*Pending, error) {
	mine, err := s.Store.OpenApprovals(ctx, want.Account, want.CreatedAt)
	if err != nil {
		return nil, err
	}
	for _, r := range mine {
		if r.Digest != want.Digest || !slices.Equal(r.Parts(), want.Parts()) || want.Reason != "" && r.Reason != want.Reason || r.Requester != want.Requester || r.Behind != want.Behind || r.Since != want.Since || !sameWants(r.Wants, want.Wants) {
			continue
		}
		view, err := s.view(ctx, r)
		if err != nil {
			return nil, err
		}
		switch view.Standing {
		case Approved:
			return &Pending{r.ID, fault.ApprovalRequired.New("the approval request %s is approved: send the request again with its id in the header x-acs-approval-id", r.ID)}, nil
		case Open:
			return &Pending{r.ID, fault.ApprovalRequired.New("the approval request %s still waits: %s", r.ID, view.waits())}, nil
		}
	}
	return nil, nil
}

func sameWants(a, b []Want) bool {
	return slices.EqualFunc(a, b, func(x, y Want) bool { return x.Rule == y.Rule && x.Rev == y.Rev })
}

// satisfiable refuses a request that can never be approved: too few of a rule's approvers
// are others, and could decide.
func (s *Service) satisfiable(ctx context.Context, r Request) error {
	for _, w := range r.Wants {
		able, err := s.able(ctx, r.Account, w.Approvers, r.Behind)
		if err != nil {
			return err
		}
		if able < w.Need {
			return fault.StateConflict.New("the rule %s wants %d approvals, and only %d others could approve now; ask an approver who can log in with a second factor to make the request, have others set theirs up, or ask the operator: keyward operator approval suspend", w.Rule, w.Need, able)
		}
	}
	return nil
}

// able answers how many of the users could decide now, without the one that is behind.
func (s *Service) able(ctx context.Context, account string, users []string, behind string) (n int, err error) {
	for _, user := range users {
		if isUser(behind, account, user) {
			continue
		}
		_, ok, err := s.prover(ctx, account, user)
		if err != nil {
			return 0, err
		}
		if ok {
			n++
		}
	}
	return n, nil
}

// A View is an approval request and where it stands.
type View struct {
	Request
	Standing State
	InForce  []Vote         // votes that count
	Missing  map[string]int // approvals that are still wanted, by rule
}

// waits says what an approval request waits for.
func (v View) waits() fault.Text {
	var texts []fault.Text
	for _, w := range v.Wants {
		if n := v.Missing[w.Rule]; n > 0 {
			texts = append(texts, fault.Say("%d more of %s", n, strings.Join(w.Approvers, ", ")))
		}
	}
	return list(texts)
}

// view finds out where an approval request stands.
func (s *Service) view(ctx context.Context, r Request) (View, error) {
	compiled, err := s.rules.Get(ctx, r.Account)
	if err != nil {
		return View{}, err
	}
	rules := map[string]Rule{}
	for _, c := range compiled {
		rules[c.Name] = c.Rule
	}
	v := View{Request: r}
	for _, vote := range r.Votes {
		proof, ok, err := s.prover(ctx, r.Account, vote.User)
		if err != nil {
			return View{}, err
		}
		if ok && proof.User == vote.Proof.User && proof.Factor.Equal(vote.Proof.Factor) {
			v.InForce = append(v.InForce, vote)
		}
	}
	inForce := func(vote Vote) bool {
		return slices.ContainsFunc(v.InForce, func(o Vote) bool { return o.User == vote.User })
	}
	v.Standing, v.Missing = r.Standing(s.now(), rules, inForce), r.Missing(inForce)
	return v, nil
}

// request reads an approval request of the account.
func (s *Service) request(ctx context.Context, account, id string) (Request, error) {
	if len(id) > 64 {
		return Request{}, errUnknown()
	}
	r, err := s.Store.Approval(ctx, account, id)
	if fault.Is(err, fault.ResourceNotFound) {
		err = errUnknown()
	}
	return r, err
}

// sees tells whether the caller may look at an approval request without a permission: whoever
// made it, and whom it waits for.
func sees(c *authz.Call, r *Request) bool {
	own := c.Identity() == r.Requester || isUser(r.Behind, c.Account, c.Name) && c.Kind == authz.User
	return own || c.Kind == authz.User && r.Voter(c.Name)
}

// Get answers an approval request: to whoever may see all, made it, or is to decide.
func (s *Service) Get(ctx context.Context, c *authz.Call, id string) (v View, err error) {
	rec := audit.NewRecord(c, ActionGet)
	err = s.Log.Do(ctx, rec, func() error {
		denied := rec.Permit(c, authz.Request{Resource: s.arn(c.Account, "approval/"+id)})
		r, err := s.request(ctx, c.Account, id)
		if denied != nil && (err != nil || !sees(c, &r)) {
			return denied
		}
		if err != nil {
			return err
		}
		if denied != nil {
			rec.Decision = "own"
		}
		v, err = s.view(ctx, r)
		return err
	})
	return v, err
}

// List answers the newest approval requests: all, to who may see all, and otherwise those that
// the caller made or is to decide. open leaves out those that have ended.
func (s *Service) List(ctx context.Context, c *authz.Call, open bool) (out []View, err error) {
	rec := audit.NewRecord(c, ActionList)
	err = s.Log.Do(ctx, rec, func() error {
		denied := rec.Permit(c, authz.Request{Resource: s.arn(c.Account, "approval/*")})
		if denied != nil {
			rec.Decision = "own"
		}
		read := s.Store.Approvals
		if open {
			read = func(ctx context.Context, account string) ([]Request, error) {
				return s.Store.OpenApprovals(ctx, account, s.now())
			}
		}
		all, err := read(ctx, c.Account)
		if err != nil {
			return err
		}
		for _, r := range all {
			if denied != nil && !sees(c, &r) {
				continue
			}
			v, err := s.view(ctx, r)
			if err != nil {
				return err
			}
			if !open || v.Standing == Open || v.Standing == Approved {
				out = append(out, v)
			}
		}
		return nil
	})
	return out, err
}

// Approve approves a request. It needs a login of one of the rule's approvers, of that user
// and no role, and a fresh code for this very decision.
func (s *Service) Approve(ctx context.Context, c *authz.Call, id string) (View, error) {
	return s.decide(ctx, c, ActionApprove, id, func(v *View) error {
		if v.Standing != Open && v.Standing != Approved {
			return ended(*v)
		}
		proof, ok, err := s.prover(ctx, c.Account, c.Name)
		if err == nil && !ok {
			err = fault.MFANotSetUp.New("only who has a second factor can decide: keyward user mfa enroll")
		}
		if err != nil {
			return err
		}
		if slices.ContainsFunc(v.InForce, func(o Vote) bool { return o.User == c.Name }) {
			return fault.StateConflict.New("you have approved this already")
		}
		v.Votes = slices.DeleteFunc(v.Votes, func(o Vote) bool { return o.User == c.Name }) // that lost its force
		v.Votes = append(v.Votes, Vote{User: c.Name, At: s.now(), Source: c.From(), Proof: proof})
		return nil
	})
}

// Reject ends an approval request, approved ones included: as Approve, or by whoever made it,
// who needs no code.
func (s *Service) Reject(ctx context.Context, c *authz.Call, id string) (View, error) {
	return s.decide(ctx, c, ActionReject, id, func(v *View) error {
		if v.Standing != Open && v.Standing != Approved {
			return ended(*v)
		}
		v.State, v.EndedAt, v.EndedBy = Rejected, s.now(), c.Identity()
		return nil
	})
}

// decide lets somebody who may decide change an approval request.
func (s *Service) decide(ctx context.Context, c *authz.Call, action, id string, apply func(*View) error) (v View, err error) {
	rec := audit.NewRecord(c, action)
	err = s.Log.Do(ctx, rec, func() error {
		rec.Resource, rec.Decision = s.arn(c.Account, "approval/"+id), "approver"
		return iam.Retry(func() error {
			r, err := s.request(ctx, c.Account, id)
			if err != nil {
				return err
			}
			if err := s.mayDecide(ctx, c, rec, &r); err != nil {
				return err
			}
			if v, err = s.view(ctx, r); err != nil {
				return err
			}
			if err := apply(&v); err != nil {
				return err
			}
			if err := s.Store.SaveApproval(ctx, rec, &v.Request, look(c.Account, s.now())); err != nil {
				return err
			}
			v, err = s.view(ctx, v.Request)
			return err
		})
	})
	return v, err
}

// mayDecide tells whether the caller may decide about an approval request: one of its
// approvers, logged in, as themselves, with a fresh code. Withdrawing is the requester's.
func (s *Service) mayDecide(ctx context.Context, c *authz.Call, rec *audit.Record, r *Request) error {
	who, err := s.identify(ctx, c)
	if err != nil {
		return err
	}
	if who.is(*r) || who.behind == r.Behind {
		rec.Decision = "own"
		if rec.Action == ActionReject {
			return nil
		}
		return fault.NotApprover.New("nobody approves a request of their own, as whomever they act; have another approver decide, or withdraw it: keyward approval reject %s", r.ID)
	}
	if c.Kind != authz.User || !r.Voter(c.Name) {
		rec.Decision = "no approver"
		return fault.NotApprover.New("only the people whom the rule names decide about this, as themselves and not as a role; others may withdraw what they asked for themselves")
	}
	if c.Session == nil || !c.Session.Person {
		rec.Decision = "no login"
		return fault.NotApprover.New("approvers decide as people who logged in, and not with an access key: keyward login %s", c.Name)
	}
	if !c.Fresh {
		rec.Decision = string(authz.NotFresh)
		return fault.MFARequired.New("deciding needs a code of your second factor, which serves for this decision only")
	}
	return nil
}
