package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
)

// Approvals is the store of package approval.
type Approvals struct{ *Store }

func approvalRuleRow(r *approval.Rule) row {
	return row{table: "approval_rule", keys: 2, rev: &r.Rev, columns: []column{
		text("account", &r.Account),
		text("name", &r.Name),
		number("need", &r.Need),
		document("approvers", &r.Approvers),
		document("actions", &r.Actions),
		document("resources", &r.Resources),
		document("exempt", &r.Exempt),
		seconds("life", &r.Life),
		instant("suspended_until", &r.SuspendedUntil),
		instant("created_at", &r.CreatedAt),
		instant("updated_at", &r.UpdatedAt),
	}}
}

func approvalRow(r *approval.Request) row {
	return row{table: "approval_request", keys: 2, rev: &r.Rev, columns: []column{
		text("account", &r.Account),
		text("id", &r.ID),
		text("requester", &r.Requester),
		text("behind", &r.Behind),
		text("since", &r.Since),
		text("action", &r.Action),
		text("resource", &r.Resource),
		text("digest", &r.Digest),
		document("params", &r.Params),
		text("source", &r.Source),
		document("wants", &r.Wants),
		document("votes", &r.Votes),
		text("state", &r.State),
		instant("created_at", &r.CreatedAt),
		instant("expires_at", &r.ExpiresAt),
		instant("ended_at", &r.EndedAt),
		text("ended_by", &r.EndedBy),
	}}
}

// SaveRule implements approval.Store.
func (s Approvals) SaveRule(ctx context.Context, rec *audit.Record, r *approval.Rule, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if r.Rev == 0 {
			have, err := t.count(ctx, `SELECT COUNT(*) FROM approval_rule WHERE account = $1`, r.Account)
			if err != nil {
				return err
			}
			if have >= approval.MaxRules {
				return fault.LimitExceeded.New("the account has %d approval rules, which is the limit; remove one first", have)
			}
		}
		if err := t.save(ctx, s.keys, approvalRuleRow(r)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// DeleteRule implements approval.Store.
func (s Approvals) DeleteRule(ctx context.Context, rec *audit.Record, r *approval.Rule, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.remove(ctx, approvalRuleRow(r)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// Rules implements approval.Store.
func (s Approvals) Rules(ctx context.Context, account string) ([]approval.Rule, error) {
	return list(ctx, s.Store, s.db.read, approvalRuleRow, `WHERE account = $1 ORDER BY name`, account)
}

// forgetAtOnce bounds what one new approval request has to clear away.
const forgetAtOnce = 20

// OpenApproval implements approval.Store.
func (s Approvals) OpenApproval(ctx context.Context, rec *audit.Record, r *approval.Request, forget time.Time, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		const open = `SELECT COUNT(*) FROM approval_request WHERE account = $1 AND state = 'open' AND expires_at > $2`
		mine, err := t.count(ctx, open+` AND behind = $3`, r.Account, micros(r.CreatedAt), r.Behind)
		if err != nil {
			return err
		}
		all, err := t.count(ctx, open, r.Account, micros(r.CreatedAt))
		if err != nil {
			return err
		}
		if mine >= approval.MaxOpen || all >= approval.MaxOpenAll {
			return fault.LimitExceeded.New("%d of your approval requests are open, and %d of the account, of at most %d and %d; withdraw one (keyward approval reject ID), or wait", mine, all, approval.MaxOpen, approval.MaxOpenAll)
		}
		old, err := list(ctx, s.Store, t.sql, approvalRow,
			`WHERE account = $1 AND created_at < $2 AND (state <> 'open' AND ended_at < $2 OR state = 'open' AND expires_at < $2) ORDER BY created_at LIMIT $3`,
			r.Account, micros(forget), forgetAtOnce)
		if err != nil {
			return err
		}
		for i := range old {
			if err := t.remove(ctx, approvalRow(&old[i])); err != nil {
				return err
			}
		}
		if err := t.insert(ctx, s.keys, approvalRow(r)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// SaveApproval implements approval.Store.
func (s Approvals) SaveApproval(ctx context.Context, rec *audit.Record, r *approval.Request, jobs []job.Job) error {
	return s.mutate(ctx, rec, func(ctx context.Context, t *tx) error {
		if err := t.update(ctx, s.keys, approvalRow(r)); err != nil {
			return err
		}
		return t.schedule(ctx, jobs)
	})
}

// UseApproval implements approval.Store. What the approval rests on is held until the
// transaction ends, so that whoever changes it waits, or was waited for.
func (s Approvals) UseApproval(used approval.Request, votes []approval.Vote, jobs []job.Job) audit.Change {
	return func(ctx context.Context, at audit.Tx) ([]audit.Effect, error) {
		t, r := at.(*tx), used
		before := len(t.effects)
		err := t.rests(ctx, r, votes)
		if err == nil {
			err = t.update(ctx, s.keys, approvalRow(&r))
		}
		if fault.Is(err, fault.Changed) {
			err = fault.StateConflict.New("the approval request %s was used or decided, or what it rests on was changed, at this very moment; look at it: keyward approval show %s", r.ID, r.ID)
		}
		if err == nil {
			err = t.schedule(ctx, jobs)
		}
		if err != nil {
			return nil, unavailable(err, "using an approval")
		}
		return slices.Clone(t.effects[before:]), nil
	}
}

// rests answers Changed if a rule, or a user whose vote counts, is not as it was.
func (t *tx) rests(ctx context.Context, r approval.Request, votes []approval.Vote) error {
	for _, w := range r.Wants {
		if err := t.holds(ctx, w.Rev, `SELECT rev FROM approval_rule WHERE account = $1 AND name = $2`, r.Account, w.Rule); err != nil {
			return err
		}
	}
	for _, v := range votes {
		if err := t.holds(ctx, v.Proof.User, `SELECT rev FROM iam_user WHERE account = $1 AND name = $2`, r.Account, v.User); err != nil {
			return err
		}
		if err := t.holds(ctx, micros(v.Proof.Factor), `SELECT CASE WHEN factors_at > confirmed_at THEN factors_at ELSE confirmed_at END FROM iam_person WHERE account = $1 AND login = $2`, r.Account, strings.ToLower(v.User)); err != nil {
			return err
		}
	}
	return nil
}

// holds answers Changed if a query for one number does not find this one, and otherwise holds
// the row until the transaction ends.
func (t *tx) holds(ctx context.Context, want int64, query string, args ...any) error {
	if t.db.Shared() { // an embedded database has one writer
		query += ` FOR SHARE`
	}
	var have int64
	err := t.sql.QueryRowContext(ctx, query, args...).Scan(&have)
	if errors.Is(err, sql.ErrNoRows) || err == nil && have != want {
		return fault.Changed.New("what an approval rests on was changed")
	}
	if err != nil {
		return fmt.Errorf("reading what an approval rests on: %w", err)
	}
	return nil
}

// Approval implements approval.Reader.
func (s Approvals) Approval(ctx context.Context, account, id string) (approval.Request, error) {
	r := approval.Request{Account: account, ID: id}
	err := s.load(ctx, approvalRow(&r))
	if errors.Is(err, errNoRow) {
		err = fault.ResourceNotFound.New("there is no such approval request")
	}
	return r, err
}

// OpenApprovals implements approval.Reader.
func (s Approvals) OpenApprovals(ctx context.Context, account string, now time.Time) ([]approval.Request, error) {
	return list(ctx, s.Store, s.db.read, approvalRow, `WHERE account = $1 AND state = 'open' AND expires_at > $2 ORDER BY created_at DESC, id`, account, micros(now))
}

// Approvals implements approval.Reader.
func (s Approvals) Approvals(ctx context.Context, account string) ([]approval.Request, error) {
	return list(ctx, s.Store, s.db.read, approvalRow, `WHERE account = $1 ORDER BY created_at DESC, id LIMIT 100`, account)
}
