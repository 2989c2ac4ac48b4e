package scrub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/sink"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/database"
	"github.com/keyward/keyward/internal/store/fleet"
	"github.com/keyward/keyward/internal/store/identity"
	"github.com/keyward/keyward/internal/store/kms"
	"github.com/keyward/keyward/internal/target"
	"github.com/keyward/keyward/internal/watch"
)

// A pass is one scrub under way.
type pass struct {
	*Options
	report Report
	unseen map[anchor.Key]struct{} // rows that must be there and were not met yet
	away   error                   // why the database was not there for a while: what was found then says nothing
}

func (p *pass) found(problem Problem, table, id string, why error) {
	if database.Away(why) {
		p.away = why
		return
	}
	if len(p.report.Findings) == maxFindings {
		p.report.More++
		return
	}
	p.report.Findings = append(p.report.Findings, Finding{problem, table, id, why.Error()})
}

// run looks at everything: the file, the logs, the rows, what is missing. It answers an
// error only when it cannot go on; a finding is none.
func (p *pass) run(ctx context.Context) error {
	damage, err := p.DB.CheckFile(ctx)
	if err != nil {
		p.found(Unreadable, "", "", err)
	}
	for _, line := range damage {
		p.found(Unreadable, "", "", errors.New(line))
	}
	p.unseen = map[anchor.Key]struct{}{}
	for k := range p.Anchor.Live() {
		p.unseen[k] = struct{}{}
	}
	if err := p.logs(ctx); err != nil {
		return err
	}
	limit := 2*int64(len(p.unseen)) + 100_000 // a damaged index can go round in circles
	err = p.Store.Walk(ctx, func(r bound.Found) error {
		if p.report.Rows++; p.report.Rows > limit {
			return errors.New("walking the rows does not come to an end")
		}
		return p.row(ctx, r)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		p.found(Unreadable, "", "", err)
	}
	return p.missing(ctx)
}

// logs verifies the audit logs from their first record, and that the anchor, which the
// rows are compared with, knows what they tell.
func (p *pass) logs(ctx context.Context) error {
	strays, err := p.DB.Strays(ctx)
	if err != nil {
		p.found(Unreadable, "", "", err)
	}
	for _, log := range strays {
		p.found(Log, "", log, errors.New("it has records and no signed head"))
	}
	fresh, err := anchor.Open(ctx, p.Logs)
	var tampered *audit.TamperError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &tampered):
		p.found(Log, "", tampered.Log, tampered)
		return nil
	case err != nil:
		p.found(Log, "", "", err)
		return nil
	}
	p.report.Records = fresh.Records()
	if err := p.Anchor.CatchUp(ctx); err != nil {
		p.found(Log, "", "", err)
	} else if !p.Anchor.Contains(fresh) {
		p.found(Log, "", "", errors.New("what the node remembers of the logs is not what they hold; restart the node"))
	}
	return nil
}

// row looks at one row: at itself, at what is wrapped in it, at what it refers to.
func (p *pass) row(ctx context.Context, r bound.Found) error {
	delete(p.unseen, anchor.KeyOf(r.Table, r.ID))
	if r.Err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.found(problemOf(r.Err), r.Table, r.ID, r.Err)
		return nil
	}
	switch v := r.Value.(type) {
	case iam.Account:
		p.opens(r, p.IAM.InspectAccount(v))
	case iam.User:
		p.holder(ctx, r, v.Account, v.Policies)
	case role.Role:
		p.holder(ctx, r, v.Account, v.Policies)
	case iam.AccessKey:
		p.opens(r, p.IAM.InspectAccessKey(ctx, v))
		p.refers(r, second(p.identities().User(ctx, v.Account, v.User)))
	case people.Person:
		p.opens(r, p.People.Inspect(ctx, v))
		p.refers(r, second(p.identities().User(ctx, v.Account, v.User)))
	case key.Key:
		p.refers(r, second(p.keys().Version(ctx, v.Account, v.ID, v.Primary)))
		plans, err := p.Keys.Plans(ctx, v)
		if err != nil {
			return err
		}
		return p.jobs(ctx, r, plans)
	case key.Version:
		k, err := p.keys().Key(ctx, v.Account, v.Key)
		if p.refers(r, err); err == nil {
			p.opens(r, p.Ring.Inspect(ctx, k, v))
		}
	case key.Alias:
		p.refers(r, second(p.keys().Key(ctx, v.Account, v.Key)))
	case secret.Secret:
		for _, label := range v.Stages {
			p.refers(r, second(p.keys().SecretVersion(ctx, v.Account, v.ID, label.Version)))
		}
		plans, err := p.Secrets.Plans(ctx, v)
		if err != nil {
			return err
		}
		return p.jobs(ctx, r, plans)
	case secret.Version:
		of, err := p.keys().Secret(ctx, v.Account, v.Name)
		if err == nil && of.ID != v.Secret {
			err = errors.New("the secret of this name is another one")
		}
		p.refers(r, err)
		p.opens(r, p.Secrets.Inspect(ctx, v))
	default:
		return p.watched(ctx, r)
	}
	return ctx.Err()
}

// holder looks at what a user or a role refers to.
func (p *pass) holder(ctx context.Context, r bound.Found, account string, policies []string) {
	p.refers(r, second(p.identities().Account(ctx, account)))
	for _, name := range p.IAM.Custom(policies) {
		p.refers(r, second(p.identities().Policy(ctx, account, name)))
	}
}

// watched looks at a row of the services around keys and secrets, most of which have to be
// looked at again and again. Of a type that it does not know it needs nothing but the row.
func (p *pass) watched(ctx context.Context, r bound.Found) (err error) {
	var needs []job.Need
	switch v := r.Value.(type) {
	case sink.Sink:
		needs = p.Sinks.Needs(v)
	case target.Target:
		p.refers(r, second(fleet.Store{Store: p.Store}.Node(ctx, v.Account, v.Name)))
		needs = p.Targets.Needs(v)
	case watch.Repository:
		p.opens(r, p.Repositories.Inspect(ctx, v))
		needs = p.Repositories.Needs(v)
	case offer.Offer:
		p.opens(r, p.Offers.Inspect(ctx, v))
	case instance.Instance:
		p.opens(r, p.Instances.Inspect(ctx, v))
	case federation.Provider:
		p.opens(r, p.Federation.Inspect(ctx, v))
	case federation.Link:
		p.refers(r, second(p.identities().User(ctx, v.Account, v.User)))
		p.refers(r, second(p.identities().IdentityProvider(ctx, v.Account, v.Provider)))
	case accesskey.Source:
		needs = p.Stock.Needs(v)
	case notify.Channel:
		needs, err = p.Alerts.Needs(ctx, v)
	case notify.Incident:
		needs = p.Alerts.Looks(v)
	case fleet.PlanRecord:
		needs = p.Rotations.PlanNeeds(v.Plan)
	case fleet.RotationRecord:
		needs = p.Rotations.Needs(v.Rotation)
	}
	if err != nil {
		return err
	}
	return errors.Join(p.needs(ctx, r, needs), ctx.Err())
}

func (p *pass) identities() identity.Store { return identity.Store{Store: p.Store} }

func (p *pass) keys() kms.Store { return kms.Store{Store: p.Store} }

func second[T any](_ T, err error) error { return err }

// opens notes that what is wrapped in a row did not open.
func (p *pass) opens(r bound.Found, err error) {
	if err != nil && !fault.Is(err, fault.Sealed) {
		p.gone(Sealed, r, err)
	}
}

// refers notes that what a row refers to is not there.
func (p *pass) refers(r bound.Found, err error) {
	if err != nil {
		p.gone(Dangling, r, fmt.Errorf("it refers to a row that cannot be used: %w", err))
	}
}

// gone notes a problem of a row, unless it was changed or removed while it was looked at.
func (p *pass) gone(problem Problem, r bound.Found, why error) {
	ctx := context.Background() // a point read
	if again, err := p.Store.Unchanged(ctx, r); again || err != nil {
		p.found(problem, r.Table, r.ID, errors.Join(why, err)) // with err the database may be away
	}
}

// grace is how much later than it is due a job may be planned: the longest that package job
// puts one off which failed, and the lease of one that is being done.
const grace = 12 * time.Minute

// jobs plans what a row needs and is not planned.
func (p *pass) jobs(ctx context.Context, r bound.Found, plans []job.Job) error {
	needs := make([]job.Need, len(plans))
	for i, j := range plans {
		needs[i].Job = j
	}
	return p.needs(ctx, r, needs)
}

// needs plans what a row needs, unless it stands where the need lets it.
func (p *pass) needs(ctx context.Context, r bound.Found, needs []job.Need) error {
	for _, j := range needs {
		latest := p.Now().Add(j.Ahead)
		if j.Due.After(latest) {
			latest = j.Due
		}
		restored, err := p.Store.EnsureJob(ctx, j.Job, latest.Add(grace))
		if err != nil {
			return err
		}
		if restored {
			p.gone(Job, r, fmt.Errorf("%s was not planned for %s; it is now", j.Kind, j.Due.UTC().Format(time.RFC3339)))
		}
	}
	return nil
}

// missing finds out the names of the rows that were not met, from the logs, and tells of
// those that are still not there.
func (p *pass) missing(ctx context.Context) error {
	for k := range p.unseen {
		if p.Anchor.Agrees(k, 0, nil) {
			delete(p.unseen, k) // removed by keyward meanwhile
		}
	}
	if len(p.unseen) == 0 {
		return nil
	}
	err := p.Anchor.Names(ctx, p.unseen, func(table, id string) error {
		if err := p.Store.Missing(ctx, table, id); err != nil {
			p.found(problemOf(err), table, id, err)
		}
		return ctx.Err()
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		p.found(Log, "", "", err)
	}
	for range p.unseen {
		p.found(Missing, "", "", errors.New("a row that the node remembers is not there, and the logs cannot be read for its name"))
	}
	return nil
}
