package instance

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

// Options says what a Service is made of. All fields are required.
type Options struct {
	Store   Store
	Tenants Tenants
	Log     *audit.Log
	Region  string // of the ARNs
	Now     func() time.Time
	Manager Manager
	Quota   int // other accounts that one instance may let in
	// Token answers nil if the server has a hardware token that works now, and otherwise
	// [fault.UnsupportedOperation] or [fault.KeyUnavailable].
	Token func(context.Context) error
}

// A Manager is how external key managers are reached.
type Manager struct {
	Form form.Form
	// Check proves, on behalf of an account, that a connection works. One that cannot be is
	// [fault.InvalidParameter], one that does not work now [fault.KeyUnavailable].
	Check func(ctx context.Context, account string, f form.Filling) error
}

// A Service offers the operations. Its methods may be called concurrently.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// ARN answers the name of an instance as policies know it.
func (s *Service) ARN(account, id string) string {
	return "acs:kms:" + s.o.Region + ":" + account + ":keystore/" + id
}

// do runs one operation that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action string, fn func(*audit.Record) error) error {
	rec := audit.NewRecord(c, action)
	return s.o.Log.Do(ctx, rec, func() error { return fn(rec) })
}

// may asks whether the caller may perform the operation on an instance, or on all ("*").
func (s *Service) may(c *authz.Call, rec *audit.Record, id string) error {
	return rec.Permit(c, authz.Request{Resource: s.ARN(c.Account, id)})
}

// reach answers an instance with an id or a name: of the account, or by its id one that is
// shared with it.
func (s *Service) reach(ctx context.Context, account, name string) (Instance, error) {
	i, err := s.find(ctx, account, name)
	if !fault.Is(err, fault.ResourceNotFound) || !strings.HasPrefix(name, idPrefix) {
		return i, err
	}
	lent, missing := s.o.Store.Instance(ctx, name)
	if missing != nil || !lent.sharedWith(account) {
		return Instance{}, err
	}
	return lent, nil
}

// find answers the account's instance with an id or a name.
func (s *Service) find(ctx context.Context, account, name string) (Instance, error) {
	all, err := s.o.Store.Instances(ctx, account)
	if err != nil {
		return Instance{}, err
	}
	i := slices.IndexFunc(all, func(i Instance) bool { return i.ID == name || i.Name == name })
	if i < 0 {
		return Instance{}, fault.ResourceNotFound.New("The specified DKMS Instance is not found.")
	}
	return all[i], nil
}

// resolve answers the instance with an id or a name, if the caller may do with it what rec
// says. Who may not does not learn whether there is one.
func (s *Service) resolve(ctx context.Context, c *authz.Call, rec *audit.Record, name string) (Instance, error) {
	return s.permitted(c, rec, name, func() (Instance, error) { return s.find(ctx, c.Account, name) })
}

func (s *Service) permitted(c *authz.Call, rec *audit.Record, name string, find func() (Instance, error)) (Instance, error) {
	i, err := find()
	id := i.ID
	if err != nil {
		id = name
	}
	if denied := s.may(c, rec, id); denied != nil {
		return Instance{}, denied
	}
	return i, err
}

// Create makes an instance. An external one has a connection, which is tried first.
func (s *Service) Create(ctx context.Context, c *authz.Call, name string, class Class, connection form.Filling) (out Instance, err error) {
	err = s.do(ctx, c, "kms:CreateKmsInstance", func(rec *audit.Record) error {
		out = Instance{Account: c.Account, ID: newID(), Name: name, Class: class, CreatedAt: s.o.Now().UTC().Truncate(time.Microsecond)}
		if err := s.may(c, rec, out.ID); err != nil {
			return err
		}
		if !validName(name) {
			return fault.InvalidParameter.New("the name of an instance has lower-case letters, digits and hyphens, at most 63, and does not begin with %s", idPrefix)
		}
		rec.Param("Name", name)
		rec.Param("Class", string(class))
		have, err := s.o.Store.Instances(ctx, c.Account)
		if err != nil {
			return err
		}
		if len(have) >= MaxInstances {
			return fault.LimitExceeded.New("the account has %d instances, which is the limit", MaxInstances)
		}
		if err := s.furnish(ctx, &out, connection); err != nil {
			return err
		}
		return s.o.Store.CreateInstance(ctx, rec, &out)
	})
	return audit.Kept(out, err)
}

// furnish gives a new instance what its class needs.
func (s *Service) furnish(ctx context.Context, i *Instance, connection form.Filling) error {
	if i.Class == External {
		return s.connect(ctx, i, connection)
	}
	if len(connection.Settings)+len(connection.Credential) > 0 {
		return fault.InvalidParameter.New("only an instance of the class %s has a connection", External)
	}
	switch i.Class {
	case Software:
		return nil
	case Hardware:
		return s.o.Token(ctx)
	}
	return fault.InvalidParameter.New("the class of an instance is one of %v", Classes())
}

// connect gives an instance a connection that works.
func (s *Service) connect(ctx context.Context, i *Instance, f form.Filling) error {
	if err := s.o.Manager.Form.Check(f); err != nil {
		return err
	}
	if err := s.o.Manager.Check(ctx, i.Account, f); err != nil {
		return err
	}
	return i.connect(ctx, s.o.Tenants, f)
}

// Connect gives an external instance another connection, such as a new credential, if it
// works. The keys stay, and so do their ids at the manager.
func (s *Service) Connect(ctx context.Context, c *authz.Call, name string, connection form.Filling) (out Instance, err error) {
	err = s.do(ctx, c, "kms:ConnectKmsInstance", func(rec *audit.Record) error {
		return rec.Again(func() error {
			if out, err = s.resolve(ctx, c, rec, name); err != nil {
				return err
			}
			if out.Class != External {
				return fault.UnsupportedOperation.New("only an instance of the class %s has a connection", External)
			}
			if err = s.connect(ctx, &out, connection); err != nil {
				return err
			}
			return s.o.Store.UpdateInstance(ctx, rec, &out)
		})
	})
	return audit.Kept(out, err)
}

// List answers all instances of the account, by name, and then those that others share with
// it.
func (s *Service) List(ctx context.Context, c *authz.Call) (out []Instance, err error) {
	err = s.do(ctx, c, "kms:ListKmsInstances", func(rec *audit.Record) error {
		if err := s.may(c, rec, "*"); err != nil {
			return err
		}
		if out, err = s.o.Store.Instances(ctx, c.Account); err != nil {
			return err
		}
		lent, err := s.o.Store.InstancesLent(ctx, c.Account)
		for _, i := range lent {
			out = append(out, i.lent())
		}
		return err
	})
	return audit.Kept(out, err)
}

// A Standing is an instance and how it stands.
type Standing struct {
	Instance
	Keys    int    // how many it has; for a borrower, of its own
	Trouble string // why its keys cannot be used now, for people; "" if they can
	Guests  int    // other accounts that count against the quota; not told to a borrower
	Quota   int
}

// Show answers one instance, and asks what it stands on whether it works now.
func (s *Service) Show(ctx context.Context, c *authz.Call, name string) (out Standing, err error) {
	err = s.do(ctx, c, "kms:GetKmsInstance", func(rec *audit.Record) error {
		i, err := s.permitted(c, rec, name, func() (Instance, error) { return s.reach(ctx, c.Account, name) })
		if err != nil {
			return err
		}
		if out.Trouble, err = s.trouble(ctx, i); err != nil {
			return err
		}
		out.Instance, out.Quota = i, s.o.Quota
		if i.Account != c.Account {
			out.Instance, out.Quota = i.lent(), 0
			out.Keys, err = s.o.Store.KeysIn(ctx, i.ID, c.Account)
			return err
		}
		guests, err := s.guests(ctx, i)
		if err != nil {
			return err
		}
		out.Guests = len(guests)
		out.Keys, err = s.o.Store.KeysIn(ctx, i.ID, "")
		return err
	})
	return audit.Kept(out, err)
}

// trouble answers why the keys of an instance cannot be used now.
func (s *Service) trouble(ctx context.Context, i Instance) (string, error) {
	var err error
	switch i.Class {
	case Hardware:
		err = s.o.Token(ctx)
	case External:
		var f form.Filling
		if f, err = i.Open(ctx, s.o.Tenants); err != nil {
			return "", err
		}
		defer f.Erase()
		err = s.o.Manager.Check(ctx, i.Account, f)
	}
	if err == nil || fault.Is(err, fault.Internal) {
		return "", err
	}
	return fault.Message(err), nil
}

// Delete removes an instance without keys.
func (s *Service) Delete(ctx context.Context, c *authz.Call, name string) error {
	return s.do(ctx, c, "kms:ReleaseKmsInstance", func(rec *audit.Record) error {
		i, err := s.resolve(ctx, c, rec, name)
		if err != nil {
			return err
		}
		return s.o.Store.DeleteInstance(ctx, rec, &i)
	})
}

// Place answers the instance with an id or a name in which a new key of the account may be
// put. It is a part of the operation that makes the key, which has the permission and the
// record.
func (s *Service) Place(ctx context.Context, account, name string) (Instance, error) {
	return s.reach(ctx, account, name)
}

// Choose answers the ids of the instances that are meant by ids or names; what there is not
// stays as it is, and so names nothing.
func (s *Service) Choose(ctx context.Context, account string, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	all, err := s.o.Store.Instances(ctx, account)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(names)
	for n, name := range out {
		for _, i := range all {
			if i.Name == name {
				out[n] = i.ID
			}
		}
	}
	return out, nil
}

// Inspect tells whether the stored connection of an instance opens. It is for the scrub:
// nothing is kept of it.
func (s *Service) Inspect(ctx context.Context, i Instance) error {
	if i.Class != External {
		return nil
	}
	f, err := i.Open(ctx, s.o.Tenants)
	f.Erase()
	return err
}
