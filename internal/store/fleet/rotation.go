package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/store/bound"
)

// Rotations is the store of package rotation's engine. A rotation changes its rollout in its
// own transaction.
type Rotations struct{ *bound.Store }

// What grows with versions of keyward – a plan's care, a rotation's state – is kept as the
// text that was written, which is what the MAC covers: a later version may spell it in
// another way.

// A PlanRecord is a plan as its row has it: its care is the text beside it.
type PlanRecord struct {
	rotation.Plan
	care string
}

func rotationPlanRow(p *PlanRecord) bound.Row {
	return bound.Row{Table: "rotation_plan", Keys: 2, Rev: &p.Rev, Reused: true, Columns: []bound.Column{
		bound.Text("account", &p.Account),
		bound.Text("name", &p.Name),
		bound.Text("source", &p.Source),
		bound.Text("principal", &p.Principal),
		bound.Text("key_id", &p.Key),
		bound.Text("secret", &p.Secret),
		bound.Text("rollout", &p.Rollout),
		bound.Text("care", &p.care),
		bound.Flag("auto", &p.Auto),
		bound.Instant("last_at", &p.LastAt),
		bound.Instant("created_at", &p.CreatedAt),
	}}
}

func encodePlan(p rotation.Plan) (*PlanRecord, error) {
	care, err := json.Marshal(p.Care)
	if err != nil {
		return nil, fmt.Errorf("encoding plan %s: %w", p.Name, err)
	}
	return &PlanRecord{p, string(care)}, nil
}

func (p PlanRecord) decode() (rotation.Plan, error) {
	if err := json.Unmarshal([]byte(p.care), &p.Care); err != nil {
		return rotation.Plan{}, fmt.Errorf("decoding plan %s: %w", p.Name, err)
	}
	return p.Plan, nil
}

// A RotationRecord is a rotation as its row has it: what has no column is in the text beside
// it.
type RotationRecord struct {
	rotation.Rotation
	body string
}

func rotationRow(r *RotationRecord) bound.Row {
	return bound.Row{Table: "rotation", Keys: 2, Rev: &r.Rev, Columns: []bound.Column{
		bound.Text("account", &r.Account),
		bound.Text("id", &r.ID),
		bound.Text("plan", &r.Plan),
		bound.Instant("created_at", &r.CreatedAt),
		bound.Instant("ended_at", &r.EndedAt),
		bound.Text("body", &r.body),
	}}
}

func encodeRotation(r rotation.Rotation) (*RotationRecord, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding rotation %s: %w", r.ID, err)
	}
	return &RotationRecord{r, string(body)}, nil
}

func (r RotationRecord) decode() (rotation.Rotation, error) {
	if err := json.Unmarshal([]byte(r.body), &r.Rotation); err != nil {
		return rotation.Rotation{}, fmt.Errorf("decoding rotation %s: %w", r.ID, err)
	}
	return r.Rotation, nil
}

// decoded decodes what was read.
func decoded[R interface{ decode() (T, error) }, T any](some []R, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	out := make([]T, len(some))
	for i, r := range some {
		if out[i], err = r.decode(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SavePlan implements engine.Store.
func (s Rotations) SavePlan(ctx context.Context, rec *audit.Record, p *rotation.Plan, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		if err := named(ctx, t, p); err != nil {
			return err
		}
		err := s.putPlan(ctx, t, p)
		if fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("there is a plan %s already; choose another name", p.Name)
		}
		if err != nil {
			return err
		}
		return t.Schedule(ctx, jobs)
	})
}

// named refuses a plan whose provider or rollout is not there any more, and keeps them there until
// the transaction ends.
func named(ctx context.Context, t *bound.Tx, p *rotation.Plan) error {
	if err := t.Hold(ctx, "accesskey_source", "rollout"); err != nil {
		return err
	}
	want := 1
	if p.Rollout != "" {
		want = 2
	}
	there, err := t.Count(ctx, `SELECT (SELECT COUNT(*) FROM accesskey_source WHERE account = $1 AND name = $2) +
		(SELECT COUNT(*) FROM rollout WHERE account = $1 AND name = $3)`, p.Account, p.Source, p.Rollout)
	if err == nil && there < want {
		err = fault.ResourceNotFound.New("the provider or the rollout that plan %s names was removed meanwhile; name another, or make it again", p.Name)
	}
	return err
}

func (s Rotations) putPlan(ctx context.Context, t *bound.Tx, p *rotation.Plan) error {
	stored, err := encodePlan(*p)
	if err != nil {
		return err
	}
	err = t.Save(ctx, rotationPlanRow(stored))
	p.Rev = stored.Rev
	return err
}

// DeletePlan implements engine.Store.
func (s Rotations) DeletePlan(ctx context.Context, rec *audit.Record, p *rotation.Plan) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		return t.Remove(ctx, rotationPlanRow(&PlanRecord{Plan: *p}))
	})
}

// Plan implements engine.Store.
func (s Rotations) Plan(ctx context.Context, account, name string) (rotation.Plan, error) {
	p := PlanRecord{Plan: rotation.Plan{Account: account, Name: name}}
	err := s.Load(ctx, rotationPlanRow(&p))
	if errors.Is(err, bound.ErrNoRow) {
		return rotation.Plan{}, fault.ResourceNotFound.New("there is no plan %q", name)
	}
	if err != nil {
		return rotation.Plan{}, err
	}
	return p.decode()
}

// Plans implements engine.Store.
func (s Rotations) Plans(ctx context.Context, account string) ([]rotation.Plan, error) {
	return decoded(bound.List(ctx, s.Store, s.DB, rotationPlanRow, `WHERE account = $1 ORDER BY name`, account))
}

// SaveRotation implements engine.Store.
func (s Rotations) SaveRotation(ctx context.Context, rec *audit.Record, r *rotation.Rotation, p *rotation.Plan, jobs []job.Job) error {
	return s.Mutate(ctx, rec, func(ctx context.Context, t *bound.Tx) error {
		stored, err := encodeRotation(*r)
		if err != nil {
			return err
		}
		err = t.Save(ctx, rotationRow(stored))
		if r.Rev = stored.Rev; fault.Is(err, fault.ResourceExists) {
			return fault.ResourceExists.New("a rotation of plan %s is under way already", r.Plan)
		}
		if err != nil {
			return err
		}
		if r.Rollout != "" {
			if err := s.deliver(ctx, t, r); err != nil {
				return err
			}
		}
		if p != nil {
			if err := s.putPlan(ctx, t, p); err != nil {
				return err
			}
		}
		return t.Schedule(ctx, jobs)
	})
}

// deliver makes the rollout of a rotation what the rotation says, and the rotation its owner
// until it is over.
func (s Rotations) deliver(ctx context.Context, t *bound.Tx, r *rotation.Rotation) error {
	have, err := bound.List(ctx, s.Store, t, rolloutRow, `WHERE account = $1 AND name = $2`, r.Account, r.Rollout)
	if err != nil {
		return err
	}
	if len(have) == 0 {
		return fault.ResourceNotFound.New("there is no rollout %q any more", r.Rollout)
	}
	ro := have[0]
	if ro.Owner != "" && ro.Owner != r.ID {
		return fault.ResourceInUse.New("rollout %s belongs to rotation %s", ro.Name, ro.Owner)
	}
	owner := r.ID
	if r.Over() {
		owner = ""
	}
	if len(ro.Now) != len(r.Terms.Waves) {
		return fault.StateConflict.New("rollout %s has %d waves, and the rotation was planned for %d", ro.Name, len(ro.Now), len(r.Terms.Waves))
	}
	now := r.Generations(ro.Now)
	if ro.Owner == owner && slices.Equal(ro.Now, now) {
		return nil
	}
	ro.Now, ro.Owner, ro.ChangedAt = now, owner, r.ChangedAt
	return t.Update(ctx, rolloutRow(&ro))
}

// Rotation implements engine.Store.
func (s Rotations) Rotation(ctx context.Context, account, id string) (rotation.Rotation, error) {
	r := RotationRecord{Rotation: rotation.Rotation{Account: account, ID: id}}
	err := s.Load(ctx, rotationRow(&r))
	if errors.Is(err, bound.ErrNoRow) {
		return rotation.Rotation{}, fault.ResourceNotFound.New("there is no rotation %q", id)
	}
	if err != nil {
		return rotation.Rotation{}, err
	}
	return r.decode()
}

// Rotations implements engine.Store.
func (s Rotations) Rotations(ctx context.Context, account, plan string, limit int) ([]rotation.Rotation, error) {
	return decoded(bound.List(ctx, s.Store, s.DB, rotationRow,
		`WHERE account = $1 AND ($2 = '' OR plan = $2 OR id = $2) ORDER BY created_at DESC, id LIMIT $3`, account, plan, limit))
}

// UnderWay implements engine.Store.
func (s Rotations) UnderWay(ctx context.Context, account, plan string) (rotation.Rotation, bool, error) {
	some, err := decoded(bound.List(ctx, s.Store, s.DB.Ready(), rotationRow, `WHERE account = $1 AND plan = $2 AND ended_at = 0`, account, plan))
	if err != nil || len(some) == 0 {
		return rotation.Rotation{}, false, err
	}
	return some[0], true, nil
}
