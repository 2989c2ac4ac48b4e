package alerts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/oncall"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
)

// A storedPlan is a plan as one document.
type storedPlan struct {
	account, body string
	rev           int64
}

func planRow(p *storedPlan) bound.Row {
	return bound.Row{Table: "notify_plan", Keys: 1, Rev: &p.rev, Columns: []bound.Column{bound.Text("account", &p.account), bound.Text("body", &p.body)}}
}

func personRow(p *oncall.Person) bound.Row {
	return bound.Row{Table: "notify_person", Keys: 2, Rev: &p.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &p.Account),
		bound.Text("name", &p.Name),
		bound.Text("email", &p.Email),
		bound.Text("mobile", &p.Mobile),
		bound.Document("ids", &p.IDs),
		bound.Text("language", &p.Language),
	}}
}

func rotaRow(r *oncall.Rota) bound.Row {
	return bound.Row{Table: "notify_rota", Keys: 2, Rev: &r.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &r.Account),
		bound.Text("name", &r.Name),
		bound.Document("people", &r.People),
		bound.Instant("start_at", &r.Start),
		bound.Seconds("turn", &r.Turn),
	}}
}

// SavePlan implements notify.ConfigStore.
func (s Store) SavePlan(ctx context.Context, rec *audit.Record, p *oncall.Plan) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding plan: %w", err)
	}
	stored := storedPlan{p.Account, string(body), p.Rev}
	err = s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Hold(ctx, "notify_person", "notify_rota"); err != nil {
			return err
		}
		d, err := s.directory(ctx, t, p.Account)
		if err != nil {
			return err
		}
		if unknown := d.Unknown(p.Levels); len(unknown) > 0 {
			return fault.InvalidParameter.New("the levels name whom nobody knows: %s; add them first, with keyward person set or keyward rota set", strings.Join(unknown, ", "))
		}
		return t.Save(ctx, planRow(&stored))
	})
	p.Rev = stored.rev
	return err
}

// Plan implements notify.ConfigStore.
func (s Store) Plan(ctx context.Context, account string) (oncall.Plan, error) {
	stored := storedPlan{account: account}
	err := s.Load(ctx, planRow(&stored))
	if errors.Is(err, bound.ErrNoRow) {
		p := oncall.DefaultPlan()
		p.Account = account
		return p, nil
	}
	if err != nil {
		return oncall.Plan{Account: account, Rev: stored.rev}, err
	}
	return stored.decode()
}

func (p storedPlan) decode() (oncall.Plan, error) {
	out := oncall.Plan{Account: p.account, Rev: p.rev}
	if err := json.Unmarshal([]byte(p.body), &out); err != nil {
		return out, fmt.Errorf("decoding plan: %w", err)
	}
	return out, nil
}

// unplanned refuses what a level of the plan names.
func (s Store) unplanned(ctx context.Context, t *bound.Tx, account, who string) error {
	plans, err := bound.List(ctx, s.Store, t, planRow, `WHERE account = $1`, account)
	if err != nil {
		return err
	}
	for _, stored := range plans {
		p, err := stored.decode()
		if err != nil {
			return err
		}
		if slices.Contains(slices.Concat(p.Levels...), who) {
			return fault.ResourceInUse.New("the escalation names %s; change it first", who)
		}
	}
	return nil
}

// SavePerson implements notify.DirectoryStore.
func (s Store) SavePerson(ctx context.Context, rec *audit.Record, p *oncall.Person) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error { return t.Save(ctx, personRow(p)) })
}

// DeletePerson implements notify.DirectoryStore. It looks for who names the person once it has the
// floor of people.
func (s Store) DeletePerson(ctx context.Context, rec *audit.Record, p *oncall.Person) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, personRow(p)); err != nil {
			return err
		}
		d, err := s.directory(ctx, t, p.Account)
		if err != nil {
			return err
		}
		for _, r := range d.Rotas {
			if slices.Contains(r.People, p.Name) {
				return fault.ResourceInUse.New("the rota %s names %s; take the person off it first", r.Name, p.Name)
			}
		}
		return s.unplanned(ctx, t, p.Account, "person:"+p.Name)
	})
}

// SaveRota implements notify.DirectoryStore.
func (s Store) SaveRota(ctx context.Context, rec *audit.Record, r *oncall.Rota) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Hold(ctx, "notify_person"); err != nil {
			return err
		}
		d, err := s.directory(ctx, t, r.Account)
		if err != nil {
			return err
		}
		for _, name := range r.People {
			if _, ok := d.Person(name); !ok {
				return fault.InvalidParameter.New("there is no person %q; add the person first", name)
			}
		}
		return t.Save(ctx, rotaRow(r))
	})
}

// DeleteRota implements notify.DirectoryStore. It looks for who names the rota once it has the
// floor of rotas.
func (s Store) DeleteRota(ctx context.Context, rec *audit.Record, r *oncall.Rota) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := t.Remove(ctx, rotaRow(r)); err != nil {
			return err
		}
		return s.unplanned(ctx, t, r.Account, "rota:"+r.Name)
	})
}

// Directory implements notify.DirectoryStore.
func (s Store) Directory(ctx context.Context, account string) (oncall.Directory, error) {
	return s.directory(ctx, s.DB, account)
}

func (s Store) directory(ctx context.Context, from database.Queryer, account string) (d oncall.Directory, err error) {
	if d.People, err = bound.List(ctx, s.Store, from, personRow, `WHERE account = $1 ORDER BY name`, account); err != nil {
		return d, err
	}
	d.Rotas, err = bound.List(ctx, s.Store, from, rotaRow, `WHERE account = $1 ORDER BY name`, account)
	return d, err
}
