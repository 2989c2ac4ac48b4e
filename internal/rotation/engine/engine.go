// Package engine carries rotations out: it stores what package rotation decides, acts at
// providers, seals what they answer, and tells people what it cannot do.
//
// A [Service] offers the operations on plans and rotations, in the order authorize,
// validate, act and record. Its jobs look at each rotation when its time comes, and at each
// plan once an hour. One look is a loop: read the rotation, see what is to be seen, decide,
// store, act, and again, until there is something to wait for. What is stored is compared
// with what was read, so of two processes that look at the same rotation one goes on.
//
// A new key's credential exists at first in one answer of the provider only. It goes at
// once, sealed, to a file of the [spool.Spool], which is on the disk before anything else happens,
// then into the secret, as a version that no reader gets; the file goes when the rotation
// that names the version is stored. A crash anywhere between leaves the credential in one of
// these places, or a key without a credential, which the rotation finds and deletes.
//
// Who may call: the API dialects; package app runs the jobs while the server is unsealed.
// What is stored: see package rotation. What is trusted: nothing that a provider answers
// beyond what an issuer has checked.
package engine

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/spool"
	"github.com/keyward/keyward/internal/secret"
)

// The kinds of jobs that rotations need.
const (
	JobStep = "rotation.step" // looks at a rotation; its subject is the rotation's id
	JobPlan = "rotation.plan" // looks whether a plan is due; its subject is the plan's name
)

// A Store keeps plans and rotations.
//
// A method that takes a record commits its change together with the record and the jobs,
// or does neither. What changed since it was read is [fault.Changed], what is not there
// [fault.ResourceNotFound], what is there already [fault.ResourceExists]. A value whose Rev
// is 0 is new. Methods may be called concurrently.
type Store interface {
	// SavePlan stores a plan. The provider and the rollout that it names must be there, and
	// nobody removes them as long as it names them.
	SavePlan(ctx context.Context, rec *audit.Record, p *rotation.Plan, jobs []job.Job) error
	DeletePlan(ctx context.Context, rec *audit.Record, p *rotation.Plan) error
	Plan(ctx context.Context, account, name string) (rotation.Plan, error)
	// Plans answers all plans of the account, by name.
	Plans(ctx context.Context, account string) ([]rotation.Plan, error)
	// SaveRotation stores a rotation, and with it what the waves of its rollout are to have
	// then ([rotation.Rotation.Generations]). While it is not over the rollout is its own. Of
	// a plan only one rotation is under way: another is [fault.ResourceExists]. The plan, if
	// one is given, is stored, too, and must be as it was read: a new rotation comes with it.
	SaveRotation(ctx context.Context, rec *audit.Record, r *rotation.Rotation, p *rotation.Plan, jobs []job.Job) error
	Rotation(ctx context.Context, account, id string) (rotation.Rotation, error)
	// Rotations answers at most limit rotations of a plan, or of all plans if it is "", the
	// newest first.
	Rotations(ctx context.Context, account, plan string, limit int) ([]rotation.Rotation, error)
	// UnderWay answers the rotation of a plan that is not over.
	UnderWay(ctx context.Context, account, plan string) (r rotation.Rotation, found bool, err error)
}

// Rollouts tells how the nodes stand; package rollout's service is behind it.
type Rollouts interface {
	// Members answers a rollout and its members, as nodes last said that they stand;
	// [fault.ResourceNotFound] if there is none of the name.
	Members(ctx context.Context, account, name string) (rollout.Rollout, []rollout.Member, error)
}

// Incidents is where troubles are told; package notify's service is behind it.
type Incidents interface {
	Report(ctx context.Context, account string, c notify.Condition) error
	End(ctx context.Context, account, condition string) error
}

// Tenants answers the wrapper that protects what an account has in the spool.
type Tenants interface {
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
}

// A Counter counts, for metrics, what becomes of rotations. Its methods may be called
// concurrently.
type Counter interface {
	Stepped(step string)  // a rotation came to a step
	Halted(reason string) // a rotation halted
}

// Options says what a Service is made of. All fields but Count are required.
type Options struct {
	Store     Store
	Inventory *accesskey.Service
	Secrets   *secret.Service
	Rollouts  Rollouts
	Incidents Incidents
	Tenants   Tenants
	Spool     *spool.Spool
	Log       *audit.Log
	Kinds     []rotation.KindOfIssuer
	Count     Counter // nil for nobody counts
	Region    string  // of the ARNs
	Now       func() time.Time
	Fresh     func() bool // whether cached values may be used
	Logger    *slog.Logger
}

// A Service offers the operations on plans and rotations, and carries these out. Its
// methods may be called concurrently.
type Service struct {
	o     Options
	plans *cache.Cache[string, []rotation.Plan] // of an account
}

// New makes a Service.
func New(o Options) *Service {
	return &Service{o, cache.New(maxAccounts, o.Fresh, func(ctx context.Context, account string) ([]rotation.Plan, error) {
		return o.Store.Plans(ctx, account)
	})}
}

// Changed forgets what the service has cached of a row that was changed; table "" means
// everything. The store's change feed calls it.
func (s *Service) Changed(table, id string) {
	switch table {
	case "":
		s.plans.Clear()
	case "rotation_plan":
		account, _, _ := strings.Cut(id, "/")
		s.plans.Forget(account)
	}
}

// ARN answers the name of a plan, and of its rotations, as policies know it.
func (s *Service) ARN(account, plan string) string {
	return "acs:keyward:" + s.o.Region + ":" + account + ":rotation/" + plan
}

// Handlers answers what looks at jobs about rotations. They wait for providers, so they
// should run beside each other.
func (s *Service) Handlers() map[string]job.Handler {
	return map[string]job.Handler{JobStep: s.step, JobPlan: s.lookAtPlan}
}

// do runs one operation on a plan that ends in one record.
func (s *Service) do(ctx context.Context, c *authz.Call, action, plan string, fn func(*audit.Record) error) error {
	return s.o.Log.Perform(ctx, c, action, s.ARN(c.Account, plan), fn)
}

// self is the principal of what rotations do.
func (s *Service) self(account string) *authz.Call {
	return &authz.Call{
		Principal: authz.Principal{Account: account, Kind: authz.Service, Name: "rotations"},
		Time:      s.o.Now(), Scheme: "job",
	}
}

// Now answers the time by the service's clock.
func (s *Service) Now() time.Time { return s.now() }

func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Microsecond) }

func (s *Service) kind(name string) (rotation.KindOfIssuer, bool) {
	for _, k := range s.o.Kinds {
		if k.Name == name {
			return k, true
		}
	}
	return rotation.KindOfIssuer{}, false
}

// Policy answers the rights that replacing keys at a kind of provider needs beside those of
// reading, in the provider's own form; "" if there are none to name.
func (s *Service) Policy(kind string) string {
	k, _ := s.kind(kind)
	return k.Policy
}

// open opens the issuer of a plan. What a person does by hand has none. Who opens it erases
// the loan.
func (s *Service) open(ctx context.Context, p rotation.Plan) (rotation.Issuer, accesskey.Loan, error) {
	loan, err := s.o.Inventory.Borrow(ctx, p.Account, p.Source)
	if err != nil {
		return nil, loan, err
	}
	k, ok := s.kind(loan.Kind)
	var issuer rotation.Issuer
	if ok {
		issuer, err = k.Open(loan.Opening, p.Principal)
	} else {
		issuer, err = s.byHand(ctx, p)
	}
	if err != nil {
		loan.Erase()
		return nil, loan, err
	}
	return issuer, loan, nil
}
