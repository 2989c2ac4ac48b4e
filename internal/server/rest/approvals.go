package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/server/rest/words"
)

func approvalRoutes() []route {
	return []route{
		{"GET", "/v1/approval-rules", "ListApprovalRules", approval.ActionListRules, "Answers what the account wants approved by others, by name.", takes((*dialect).listApprovalRules)},
		{"PUT", "/v1/approval-rules/{rule}", "SetApprovalRule", approval.ActionSetRule, "Says what is to be approved by how many of whom, from the next request on; changing that needs approval under the rule.", takes((*dialect).setApprovalRule)},
		{"DELETE", "/v1/approval-rules/{rule}", "DeleteApprovalRule", approval.ActionDeleteRule, "Removes a rule about approvals, which needs approval under it.", takes((*dialect).deleteApprovalRule)},
		{"GET", "/v1/approvals", "ListApprovals", approval.ActionList, "Answers the newest requests that wait or waited for approval; without the permission those that the caller made or is to decide.", takes((*dialect).listApprovals)},
		{"GET", "/v1/approvals/{approval}", "GetApproval", approval.ActionGet, "Answers one of them.", takes((*dialect).getApproval)},
		{"POST", "/v1/approvals/{approval}/approve", "Approve", approval.ActionApprove, "Approves a request; needs a login of one of its approvers and a fresh code.", takes((*dialect).approve)},
		{"POST", "/v1/approvals/{approval}/reject", "Reject", approval.ActionReject, "Ends a request that waits for approval: as approving it, or by whoever made it.", takes((*dialect).reject)},
	}
}

func (d *dialect) listApprovalRules(ctx context.Context, q request, _ none) (api.ApprovalRuleList, error) {
	rules, err := d.Approvals.ListRules(ctx, q.call)
	return api.ApprovalRuleList{Rules: words.Each(rules, approvalRule)}, err
}

func (d *dialect) setApprovalRule(ctx context.Context, q request, in api.SetApprovalRuleRequest) (api.ApprovalRule, error) {
	life, _, err := words.Durations(in.Life, "")
	if err != nil {
		return api.ApprovalRule{}, d.refuse(ctx, q.call, approval.ActionSetRule, err)
	}
	rule, err := d.Approvals.SetRule(ctx, q.call, q.vars["rule"], approval.Terms{
		Need: in.Need, Approvers: in.Approvers, Actions: in.Actions, Resources: in.Resources, Exempt: in.Exempt, Life: life,
	})
	return approvalRule(rule), err
}

func (d *dialect) deleteApprovalRule(ctx context.Context, q request, _ none) (none, error) {
	return none{}, d.Approvals.DeleteRule(ctx, q.call, q.vars["rule"])
}

func (d *dialect) listApprovals(ctx context.Context, q request, in api.ListApprovalsRequest) (api.ApprovalList, error) {
	list, err := d.Approvals.List(ctx, q.call, !in.All)
	return api.ApprovalList{Approvals: words.Each(list, approvalOf)}, err
}

func (d *dialect) getApproval(ctx context.Context, q request, _ none) (api.Approval, error) {
	v, err := d.Approvals.Get(ctx, q.call, q.vars["approval"])
	return approvalOf(v), err
}

func (d *dialect) approve(ctx context.Context, q request, _ none) (api.Approval, error) {
	v, err := d.Approvals.Approve(ctx, q.call, q.vars["approval"])
	return approvalOf(v), err
}

func (d *dialect) reject(ctx context.Context, q request, _ none) (api.Approval, error) {
	v, err := d.Approvals.Reject(ctx, q.call, q.vars["approval"])
	return approvalOf(v), err
}

func approvalRule(r approval.Rule) api.ApprovalRule {
	return api.ApprovalRule{
		Name: r.Name, Need: r.Need, Approvers: r.Approvers, Actions: r.Actions, Resources: r.Resources, Exempt: append([]string{}, r.Exempt...),
		Life: api.FormatDuration(r.Life), SuspendedUntil: r.SuspendedUntil, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}

func approvalOf(v approval.View) api.Approval {
	return api.Approval{
		ID: v.ID, State: string(v.Standing), Requester: v.Requester, Behind: v.Behind, Action: v.Action, Resource: v.Resource,
		Also: words.Each(v.Also, func(p approval.Part) api.ApprovalPart { return api.ApprovalPart(p) }), Reason: v.Reason,
		Params: words.Each(v.Params, func(p approval.Param) api.ApprovalParam { return api.ApprovalParam(p) }), Source: v.Source,
		Wants: words.Each(v.Wants, func(w approval.Want) api.ApprovalWant {
			return api.ApprovalWant{Rule: w.Rule, Need: w.Need, Approvers: w.Approvers, Missing: v.Missing[w.Rule]}
		}),
		Approvals: words.Each(v.InForce, func(o approval.Vote) api.ApprovalVote {
			return api.ApprovalVote{User: o.User, At: o.At, Source: o.Source}
		}),
		CreatedAt: v.CreatedAt, ExpiresAt: v.ExpiresAt, EndedAt: v.EndedAt, EndedBy: v.EndedBy,
	}
}

// attempt answers the request as approvals know it.
func (d *dialect) attempt(q request, m match, path string, signed authn.Signed) approval.Attempt {
	return approval.Attempt{
		Approval: signed.Approval, Reason: signed.Reason,
		Spell:  func() ([]byte, []approval.Param) { return spell(q, path) },
		Refuse: func(ctx context.Context, err error) error { return d.refuse(ctx, q.call, m.action, err) },
	}
}

// spell answers all that a request says in one spelling, and its parameters for people: the
// names in the path, and the members of the query or of the body.
func spell(q request, path string) (text []byte, params []approval.Param) {
	text = fmt.Appendf(nil, "rest %q %q", q.method, path)
	for _, name := range slices.Sorted(maps.Keys(q.vars)) {
		params = append(params, approval.Param{Name: name, Value: q.vars[name]})
	}
	for name, value := range q.params.All() {
		text = fmt.Appendf(text, " %q=%q", name, value)
		params = append(params, approval.Param{Name: name, Value: value})
	}
	text = fmt.Appendf(text, " %q", q.body)
	var members map[string]json.RawMessage
	if json.Unmarshal(q.body, &members) == nil { // it was decoded already, strictly, if it is of any use
		for _, name := range slices.Sorted(maps.Keys(members)) {
			params = append(params, approval.Param{Name: name, Value: plain(members[name])})
		}
	}
	return text, params
}

// plain answers a member as people read it.
func plain(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return strconv.Quote(string(raw))
	}
	return compact.String()
}
