package identity

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
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// Approvals is the store of package approval.
type Approvals struct{ *bound.Store }

func approvalRuleRow(r *approval.Rule) bound.Row {
	return bound.Row{Table: "approval_rule", Keys: 2, Rev: &r.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &r.Account),
		bound.Text("name", &r.Name),
		bound.Number("need", &r.Need),
		bound.Document("approvers", &r.Approvers),
		bound.Document("actions", &r.Actions),
		bound.Document("resources", &r.Resources),
		bound.Document("exempt", &r.Exempt),
		bound.Seconds("life", &r.Life),
		bound.Instant("suspended_until", &r.SuspendedUntil),
		bound.Instant("created_at", &r.CreatedAt),
		bound.Instant("updated_at", &r.UpdatedAt),
	}}
}

func approvalRow(r *approval.Request) bound.Row {
	return bound.Row{Table: "approval_request", Keys: 2, Rev: &r.Rev, Columns: []bound.Column{
		bound.Text("account", &r.Account),
		bound.Text("id", &r.ID),
		bound.Text("requester", &r.Requester),
		bound.Text("behind", &r.Behind),
		bound.Text("since", &r.Since),
		bound.Text("action", &r.Action),
		bound.Text("resource", &r.Resource),
		bound.Text("digest", &r.Digest),
		bound.Document("params", &r.Params),
		bound.Text("source", &r.Source),
		bound.Document("wants", &r.Wants),
		bound.Document("votes", &r.Votes),
		bound.Text("state", &r.State),
		bound.Instant("created_at", &r.CreatedAt),
		bound.Instant("expires_at", &r.ExpiresAt),
		bound.Instant("ended_at", &r.EndedAt),
		bound.Text("ended_by", &r.EndedBy),
		bound.Added(bound.Document("also", &r.Also)),
		bound.Added(bound.Text("reason", &r.Reason)),
	}}
}

// SaveRule implements approval.Store.
func (s Approvals) SaveRule(ctx context.Context, rec *audit.Record, r *approval.Rule, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if r.Rev == 0 {
			have, err := t.Count(ctx, `SELECT COUNT(*) FROM approval_rule WHERE account = $1`, r.Account)
			if err != nil {
				return err
			}
			if have >= approval.MaxRules {
				return fault.LimitExceeded.New("the account has %d approval rules, which is the limit; remove one first", have)
			}
		}
		if err := t.Save(ctx, approvalRuleRow(r)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// DeleteRule implements approval.Store.
func (s Approvals) DeleteRule(ctx context.Context, rec *audit.Record, r *approval.Rule, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, approvalRuleRow(r)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// Rules implements approval.Store.
func (s Approvals) Rules(ctx context.Context, account string) ([]approval.Rule, error) {
	return bound.List(ctx, s.Store, s.DB, approvalRuleRow, `WHERE account = $1 ORDER BY name`, account)
}

// forgetAtOnce bounds what one new approval request has to clear away.
const forgetAtOnce = 20

// OpenApproval implements approval.Store.
func (s Approvals) OpenApproval(ctx context.Context, rec *audit.Record, r *approval.Request, forget time.Time, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		const open = `SELECT COUNT(*) FROM approval_request WHERE account = $1 AND state = 'open' AND expires_at > $2`
		mine, err := t.Count(ctx, open+` AND behind = $3`, r.Account, database.Micros(r.CreatedAt), r.Behind)
		if err != nil {
			return err
		}
		all, err := t.Count(ctx, open, r.Account, database.Micros(r.CreatedAt))
		if err != nil {
			return err
		}
		if mine >= approval.MaxOpen || all >= approval.MaxOpenAll {
			return fault.LimitExceeded.New("%d of your approval requests are open, and %d of the account, of at most %d and %d; withdraw one (keyward approval reject ID), or wait", mine, all, approval.MaxOpen, approval.MaxOpenAll)
		}
		old, err := bound.List(ctx, s.Store, t, approvalRow,
			`WHERE account = $1 AND created_at < $2 AND (state <> 'open' AND ended_at < $2 OR state = 'open' AND expires_at < $2) ORDER BY created_at LIMIT $3`,
			r.Account, database.Micros(forget), forgetAtOnce)
		if err != nil {
			return err
		}
		for i := range old {
			if err := t.Remove(ctx, approvalRow(&old[i])); err != nil {
				return err
			}
		}
		if err := t.Insert(ctx, approvalRow(r)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// SaveApproval implements approval.Store.
func (s Approvals) SaveApproval(ctx context.Context, rec *audit.Record, r *approval.Request, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Update(ctx, approvalRow(r)); err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// UseApproval implements approval.Store. What the approval rests on is held until the
// transaction ends, so that whoever changes it waits, or was waited for.
func (s Approvals) UseApproval(used approval.Request, on approval.Rests, jobs []job.Job) audit.Change {
	return s.Change("using an approval", func(ctx context.Context, t *bound.Tx) error {
		r := used
		err := s.rests(ctx, t, r, on)
		if err == nil {
			err = t.Update(ctx, approvalRow(&r))
		}
		if fault.Is(err, fault.Changed) {
			err = fault.StateConflict.New("the approval request %s was used or decided, or what it rests on was changed, at this very moment; look at it: keyward approval show %s", r.ID, r.ID)
		}
		if err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// rests answers Changed if a rule, a user whose vote counts, or what the request names is not
// as it was.
func (s Approvals) rests(ctx context.Context, t *bound.Tx, r approval.Request, on approval.Rests) error {
	for _, w := range r.Wants {
		if err := s.holds(ctx, t, w.Rev, `SELECT rev FROM approval_rule WHERE account = $1 AND name = $2`, r.Account, w.Rule); err != nil {
			return err
		}
	}
	for _, v := range on.Votes {
		if err := s.holds(ctx, t, v.Proof.User, `SELECT rev FROM iam_user WHERE account = $1 AND name = $2`, r.Account, v.User); err != nil {
			return err
		}
		if err := s.holds(ctx, t, database.Micros(v.Proof.Factor), `SELECT CASE WHEN factors_at > confirmed_at THEN factors_at ELSE confirmed_at END FROM iam_person WHERE account = $1 AND login = $2`, r.Account, strings.ToLower(v.User)); err != nil {
			return err
		}
	}
	hold := ""
	if s.DB.Shared() {
		hold = ` FOR NO KEY UPDATE` // as whoever changes the rows takes them: two uses at once wait, and not in a circle
	}
	marks, err := named(ctx, t, hold, r.Account, on.Named.In)
	if err == nil && !slices.Equal(marks, on.Named.Marks) {
		err = fault.Changed.New("what an approval rests on was changed")
	}
	return err
}

// replaceable are the tables of what may be replaced under its name, and what tells one from a
// later one of the name.
var replaceable = []struct{ table, mark string }{
	{"iam_user", "created_at"}, {"iam_role", "id || '/' || generation"}, {"iam_policy", "document"}, {"iam_identity_provider", "id"}, {"secret", "id"},
}

// Named implements approval.Reader.
func (s Approvals) Named(ctx context.Context, account, text string) ([]string, error) {
	marks, err := named(ctx, s.DB, "", account, text)
	return marks, database.Unavailable(err, "reading what a request names")
}

func named(ctx context.Context, from database.Queryer, hold, account, text string) (marks []string, err error) {
	for _, of := range replaceable {
		rows, err := from.QueryContext(ctx, `SELECT name, `+of.mark+` FROM `+of.table+` WHERE account = $1 AND replace($2, name, '') <> $2 ORDER BY name`+hold, account, text)
		if err != nil {
			return nil, fmt.Errorf("reading what a request names: %w", err)
		}
		found, err := marksIn(rows, of.table, text)
		if err != nil {
			return nil, fmt.Errorf("reading what a request names: %w", err)
		}
		marks = append(marks, found...)
	}
	return marks, nil
}

// marksIn reads names and marks, and leaves out what is only a part of a longer name.
func marksIn(rows *sql.Rows, table, text string) (marks []string, err error) {
	defer rows.Close()
	for rows.Next() {
		var name, mark string
		if err := rows.Scan(&name, &mark); err != nil {
			return nil, err
		}
		if approval.Names(text, name) {
			marks = append(marks, fmt.Sprintf("%s/%s %q", table, name, mark))
		}
	}
	return marks, rows.Err()
}

// holds answers Changed if a query for one number does not find this one, and otherwise holds
// the row until the transaction ends.
func (s Approvals) holds(ctx context.Context, t *bound.Tx, want int64, query string, args ...any) error {
	if s.DB.Shared() { // an embedded database has one writer
		query += ` FOR SHARE`
	}
	var have int64
	err := t.QueryRowContext(ctx, query, args...).Scan(&have)
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
	err := s.Load(ctx, approvalRow(&r))
	if errors.Is(err, bound.ErrNoRow) {
		err = fault.ResourceNotFound.New("there is no such approval request")
	}
	return r, err
}

// OpenApprovals implements approval.Reader.
func (s Approvals) OpenApprovals(ctx context.Context, account string, now time.Time) ([]approval.Request, error) {
	return bound.List(ctx, s.Store, s.DB, approvalRow, `WHERE account = $1 AND state = 'open' AND expires_at > $2 ORDER BY created_at DESC, id`, account, database.Micros(now))
}

// Approvals implements approval.Reader.
func (s Approvals) Approvals(ctx context.Context, account string) ([]approval.Request, error) {
	return bound.List(ctx, s.Store, s.DB, approvalRow, `WHERE account = $1 ORDER BY created_at DESC, id LIMIT 100`, account)
}
