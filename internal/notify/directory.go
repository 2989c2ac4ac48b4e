package notify

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/oncall"
)

// SetPerson stores a person, a new one or a changed one.
func (s *Service) SetPerson(ctx context.Context, c *authz.Call, p oncall.Person) (oncall.Person, error) {
	err := s.do(ctx, c, "keyward:SetPerson", "person/"+p.Name, func(rec *audit.Record) error {
		if err := p.Check(); err != nil {
			return err
		}
		d, err := s.o.Directory.Directory(ctx, c.Account)
		if err != nil {
			return err
		}
		p.Account, p.Rev = c.Account, 0
		if have, ok := d.Person(p.Name); ok {
			p.Rev = have.Rev
		} else if len(d.People) >= oncall.MaxPeople {
			return fault.LimitExceeded.New("the account has %d people, which is the limit", oncall.MaxPeople)
		}
		return s.o.Directory.SavePerson(ctx, rec, &p)
	})
	return p, err
}

// RemovePerson forgets a person whom no rota and no level of the plan names.
func (s *Service) RemovePerson(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:RemovePerson", "person/"+name, func(rec *audit.Record) error {
		d, err := s.o.Directory.Directory(ctx, c.Account)
		if err != nil {
			return err
		}
		p, ok := d.Person(name)
		if !ok {
			return fault.ResourceNotFound.New("there is no person %q; list them with: keyward person list", name)
		}
		return s.o.Directory.DeletePerson(ctx, rec, &p)
	})
}

// SetRota stores a rota, a new one or a changed one.
func (s *Service) SetRota(ctx context.Context, c *authz.Call, r oncall.Rota) (oncall.Rota, error) {
	err := s.do(ctx, c, "keyward:SetRota", "rota/"+r.Name, func(rec *audit.Record) error {
		r.Start = r.Start.UTC().Truncate(time.Microsecond)
		if err := r.Check(); err != nil {
			return err
		}
		d, err := s.o.Directory.Directory(ctx, c.Account)
		if err != nil {
			return err
		}
		r.Account, r.Rev = c.Account, 0
		if have, ok := d.Rota(r.Name); ok {
			r.Rev = have.Rev
		} else if len(d.Rotas) >= oncall.MaxRotas {
			return fault.LimitExceeded.New("the account has %d rotas, which is the limit", oncall.MaxRotas)
		}
		return s.o.Directory.SaveRota(ctx, rec, &r)
	})
	return r, err
}

// RemoveRota forgets a rota that no level of the plan names.
func (s *Service) RemoveRota(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "keyward:RemoveRota", "rota/"+name, func(rec *audit.Record) error {
		d, err := s.o.Directory.Directory(ctx, c.Account)
		if err != nil {
			return err
		}
		r, ok := d.Rota(name)
		if !ok {
			return fault.ResourceNotFound.New("there is no rota %q; list them with: keyward rota list", name)
		}
		return s.o.Directory.DeleteRota(ctx, rec, &r)
	})
}

// Directory answers the people and rotas of the account, by name.
func (s *Service) Directory(ctx context.Context, c *authz.Call) (d oncall.Directory, err error) {
	err = s.do(ctx, c, "keyward:ListPeople", "person/*", func(*audit.Record) error {
		d, err = s.o.Directory.Directory(ctx, c.Account)
		return err
	})
	return d, err
}

// SetPlan makes an account's own plan. Its levels name people and rotas that there are:
// one that is misspelt would be told nothing, and nobody would notice before it matters.
func (s *Service) SetPlan(ctx context.Context, c *authz.Call, p oncall.Plan) (oncall.Plan, error) {
	err := s.do(ctx, c, "keyward:SetEscalation", "escalation", func(rec *audit.Record) error {
		if err := p.Check(); err != nil {
			return err
		}
		have, err := s.o.Config.Plan(ctx, c.Account)
		if err != nil {
			return err
		}
		p.Account, p.Rev = c.Account, have.Rev
		return s.o.Config.SavePlan(ctx, rec, &p)
	})
	return p, err
}

// Plan answers an account's plan.
func (s *Service) Plan(ctx context.Context, c *authz.Call) (p oncall.Plan, err error) {
	err = s.do(ctx, c, "keyward:GetEscalation", "escalation", func(*audit.Record) error {
		p, err = s.o.Config.Plan(ctx, c.Account)
		return err
	})
	return p, err
}
