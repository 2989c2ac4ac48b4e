package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

// A compiledRule is a rule that is ready to be compared with requests.
type compiledRule struct {
	Rule
	arn       string
	covers    *authz.Policy
	approvers []string // ARNs, in lower case
	exempt    []string // ARNs, in lower case
}

// compile makes a rule ready; it answers InvalidParameter for patterns that are none.
func (s *Service) compile(r Rule) (compiledRule, error) {
	covers, err := authz.Compile("approval rule", document(r))
	if err != nil {
		return compiledRule{}, err
	}
	c := compiledRule{Rule: r, arn: s.arn(r.Account, "approval-rule/"+r.Name), covers: covers}
	for _, user := range r.Approvers {
		c.approvers = append(c.approvers, strings.ToLower("acs:ram::"+r.Account+":user/"+user))
	}
	for _, who := range r.Exempt {
		c.exempt = append(c.exempt, strings.ToLower("acs:ram::"+r.Account+":"+who))
	}
	return c, nil
}

// harmless are the dangerous operations on a user that let nobody decide in an approver's
// place: an access key approves nothing.
var harmless = []string{
	"ram:AttachPolicyToUser", "ram:DetachPolicyFromUser", "ram:CreateAccessKey", "ram:UpdateAccessKey", "ram:ResetAccessKey", "ram:DeleteAccessKey",
}

// binds tells whether the rule wants a request, which is dangerous, approved.
func (r *compiledRule) binds(c *authz.Call, q authz.Request) bool {
	if r.Suspended(c.Time) {
		return false
	}
	if r.guards(c, q) {
		return true
	}
	return !slices.Contains(r.exempt, strings.ToLower(c.Identity())) && r.covers.Covers(c, q)
}

// guards tells whether a request could switch the rule off: by changing it, by acting as one
// of its approvers, or as somebody whom it exempts. Those change themselves as they like.
func (r *compiledRule) guards(c *authz.Call, q authz.Request) bool {
	on := strings.ToLower(q.Resource)
	switch {
	case q.Resource == r.arn, slices.Contains(r.exempt, on) && on != strings.ToLower(c.Identity()):
		return true
	case slices.Contains(r.approvers, on):
		return !slices.ContainsFunc(harmless, func(a string) bool { return strings.EqualFold(a, q.Action) })
	}
	return false
}

// A Check is what a principal's account wants approved, for one request. It implements
// audit.Approval.
type Check struct {
	s     *Service
	rules []compiledRule

	presented *Request // approved by enough, and what was asked is this very request
	votes     []Vote   // of it, that count
	named     Named    // by it
	let       bool     // it let something through

	bound   []compiledRule // those that bind a part of the operation
	parts   []Part         // of the operation, that a rule binds
	refused bool           // something was not approved
}

// Demand implements authz.Approval. Of an operation with several parts the later ones may be
// asked about although the first was refused, so that one approval is of all; what is refused
// is not performed ([Check.Use]).
func (k *Check) Demand(c *authz.Call, q authz.Request) error {
	var bound []compiledRule
	for i := range k.rules {
		if k.rules[i].binds(c, q) {
			bound = append(bound, k.rules[i])
		}
	}
	if len(bound) == 0 {
		return nil
	}
	part := Part{q.Action, q.Resource}
	if !slices.Contains(k.parts, part) {
		k.parts = append(k.parts, part)
	}
	approved := k.presented != nil && slices.Contains(k.presented.Parts(), part) // an alias may lead elsewhere by now: that is another request
	for _, r := range bound {
		if !slices.ContainsFunc(k.bound, func(b compiledRule) bool { return b.Name == r.Name }) {
			k.bound = append(k.bound, r)
		}
		approved = approved && k.presented.names(r.Name)
	}
	if approved {
		k.let = true
		return nil
	}
	k.refused = true
	return k.refusal()
}

// refusal says what is not approved.
func (k *Check) refusal() error {
	return fault.ApprovalRequired.New("%s needs the approval of others: %s", doing(k.parts), wantsOf(k.bound))
}

// doing says what an operation does.
func doing(parts []Part) fault.Text {
	var all []fault.Text
	for _, p := range parts {
		all = append(all, fault.Say("%s on %s", p.Action, p.Resource))
	}
	return list(all)
}

// wantsOf says who must approve.
func wantsOf(rules []compiledRule) fault.Text {
	var all []fault.Text
	for _, r := range rules {
		all = append(all, fault.Say("%d of %s (rule %s)", r.Need, strings.Join(r.Approvers, ", "), r.Name))
	}
	return list(all)
}

// list puts texts beside each other.
func list(texts []fault.Text) (all fault.Text) {
	for i, t := range texts {
		if i > 0 {
			t = fault.Say("%s; %s", all, t)
		}
		all = t
	}
	return all
}

func (r *Request) names(rule string) bool {
	return slices.ContainsFunc(r.Wants, func(w Want) bool { return w.Rule == rule })
}

// Use implements audit.Approval.
func (k *Check) Use() audit.Change {
	if k.refused { // of one of several parts
		return func(context.Context, audit.Tx) ([]audit.Effect, error) { return nil, k.refusal() }
	}
	if !k.let {
		return nil
	}
	used := *k.presented
	used.State, used.EndedAt, used.EndedBy = Used, k.s.now(), used.Requester
	return k.s.Store.UseApproval(used, Rests{k.votes, k.named}, look(used.Account, used.EndedAt))
}

// For answers what the principal's account wants approved, as what authz.Principal.Approval is
// for one request; nil for nothing. Once warm it reads nothing.
func (s *Service) For(ctx context.Context, p authz.Principal) (authz.Approval, error) {
	rules, err := s.rules.Get(ctx, p.Account)
	if err != nil || len(rules) == 0 {
		return nil, err
	}
	return &Check{s: s, rules: rules}, nil
}

// Header is where a request names an approval request, and the refusal of one answers it.
const Header = "x-acs-approval-id"

// An Attempt is a request as a dialect has it, past its signature.
type Attempt struct {
	call     *authz.Call
	Approval string // id of an approval request that it names; "" for none
	Reason   string // why it is made, for approvers; "" for none
	// Spell answers, in one spelling, all that the request says, but for what signs it; and the
	// parameters that it has, which are kept as [Shown] allows.
	Spell func() (text []byte, params []Param)
	// Refuse records a refusal before the operation and answers it.
	Refuse func(ctx context.Context, err error) error
}

// A Pending is the refusal of a request that waits for an approval.
type Pending struct {
	ID  string // of the approval request
	err error
}

func (p *Pending) Error() string { return p.err.Error() }

// Unwrap answers the fault.
func (p *Pending) Unwrap() error { return p.err }

// IDOf answers the id of the approval request that a refused request waits for, "" for none.
func IDOf(err error) string {
	if err == nil { // nearly always, and errors.As allocates
		return ""
	}
	var p *Pending
	if errors.As(err, &p) {
		return p.ID
	}
	return ""
}

// Guard performs an operation. If the request names an approval request that was approved, and
// is the very request, what needs that approval goes through; if an approval is wanted, an
// approval request is opened, or the one that is open already is answered, as a *Pending. attempt
// is called only where the account of the call wants anything approved.
func Guard[T any](ctx context.Context, c *authz.Call, attempt func() Attempt, act func(context.Context) (T, error)) (T, error) {
	var none T
	k, _ := c.Approval.(*Check)
	if k == nil {
		return act(ctx)
	}
	a := attempt()
	a.call = c
	var err error
	if a.Reason, err = plainly(a.Reason); err == nil && a.Approval != "" {
		err = k.present(ctx, a)
	}
	if err != nil {
		return none, a.Refuse(ctx, err)
	}
	out, err := act(ctx)
	if !k.refused || !fault.Is(err, fault.ApprovalRequired) {
		return out, err
	}
	return none, k.open(ctx, a)
}

// errUnknown is answered for what is not there, and for what is another's.
func errUnknown() error {
	return fault.ResourceNotFound.New("you have no such approval request; check its id, or see: keyward approval list")
}

// present takes the approval that the request names, if it is of this very request.
func (k *Check) present(ctx context.Context, a Attempt) error {
	r, err := k.s.request(ctx, a.call.Account, a.Approval)
	if err != nil {
		return err
	}
	who, err := k.s.identify(ctx, a.call)
	if err != nil {
		return err
	}
	digest, _, named, err := k.digest(ctx, a)
	switch {
	case err != nil:
		return err
	case !who.is(r):
		return errUnknown()
	case digest != r.Digest || a.Reason != "" && a.Reason != r.Reason:
		return fault.InvalidParameter.New("the approval %s is for another request: each parameter must be as it was, and so must the reason, if it is given again, and the users, roles, policies, identity providers and secrets that it names; to ask anew, send this request without the approval's id", r.ID)
	}
	view, err := k.s.view(ctx, r)
	switch {
	case err != nil:
		return err
	case view.Standing == Open:
		return &Pending{r.ID, fault.ApprovalRequired.New("the approval request %s still waits: %s", r.ID, view.waits())}
	case view.Standing != Approved:
		return ended(view)
	}
	k.presented, k.votes, k.named = &r, view.InForce, named
	return nil
}

// ended says why an approval request is of no more use.
func ended(v View) error {
	why := map[State]fault.Text{
		Used: fault.Say("was used already"), Rejected: fault.Say("was rejected by %s", v.EndedBy),
		Lapsed: fault.Say("has lapsed"), Void: fault.Say("is void, because a rule was changed"),
	}[v.Standing]
	return fault.StateConflict.New("the approval request %s %s; to ask anew, send the request without the approval's id", v.ID, why)
}

// digest answers what stands for all that the request says and for what it names, and both.
func (k *Check) digest(ctx context.Context, a Attempt) (digest string, params []Param, named Named, err error) {
	text, params := a.Spell()
	if named, err = k.s.named(ctx, a.call.Account, params); err != nil {
		return "", nil, Named{}, err
	}
	digest, err = k.s.Digest(fmt.Appendf(nil, "keyward-approval/v2\x00%q\x00%q", text, named.Marks))
	return digest, params, named, err
}
