// Package simulation explains what a user may do: it asks the policies that are in force
// the question that a request would ask, and answers what each statement makes of it.
//
// Nothing is done and nothing is changed; the simulation itself is an operation with an
// audit record. Who may call: whoever has [Action] on the user and, for a question about a
// key, kms:GetKeyPolicy on the key, because the answer tells what their policies say. What
// another account has is never looked at: its owner simulates its own users.
package simulation

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

// Action is what policies and the audit log call the operation.
const Action = "ram:SimulatePolicy"

// A Resource is a resource with a policy of its own.
type Resource struct {
	ARN        string
	Policy     *authz.ResourcePolicy // nil for none
	Attributes []authz.Attribute     // the condition keys that it has
}

// Options says what a Service is made of. All fields are required.
type Options struct {
	Log *audit.Log
	Now func() time.Time
	// Principal answers a user with its policies in force, or [fault.ResourceNotFound].
	Principal func(ctx context.Context, account, user string) (authz.Principal, error)
	// Key answers the key that an ARN means, if the caller may see its policy.
	Key func(ctx context.Context, c *authz.Call, rec *audit.Record, arn string) (Resource, error)
}

// A Service simulates. Its methods may be called concurrently.
type Service struct{ Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// A Question is what a user might ask for, and in what circumstances.
type Question struct {
	User       string
	Action     string
	Resource   string // ARN
	Source     netip.Addr
	Time       time.Time // zero for now
	Insecure   bool      // not over TLS
	Attributes []authz.Attribute
}

// An Answer is what would be decided, and what each statement makes of the question.
type Answer struct {
	authz.Decision
	Resource string // the key that an alias points at, or what was asked for
	Verdicts []authz.Verdict
}

// Simulate answers a question about a user of the caller's account.
func (s *Service) Simulate(ctx context.Context, c *authz.Call, q Question) (out Answer, err error) {
	rec := audit.NewRecord(c, Action)
	err = s.Log.Do(ctx, rec, func() error {
		out, err = s.simulate(ctx, c, rec, q)
		return err
	})
	return audit.Kept(out, err)
}

func (s *Service) simulate(ctx context.Context, c *authz.Call, rec *audit.Record, q Question) (Answer, error) {
	if err := rec.Permit(c, authz.Request{Resource: iam.UserARN(c.Account, q.User)}); err != nil {
		return Answer{}, err
	}
	if q.Action == "" || q.Resource == "" || len(q.Action) > 128 {
		return Answer{}, fault.MissingParameter.New("name the action, such as kms:Encrypt, and the full name of the resource")
	}
	who, err := s.Principal(ctx, c.Account, q.User)
	if err != nil {
		return Answer{}, err
	}
	on := Resource{ARN: q.Resource}
	if isKey(q.Resource) {
		asked := *rec // the record stays that of the user; a refusal is the key's
		if on, err = s.Key(ctx, c, rec, q.Resource); err != nil {
			return Answer{}, err
		}
		rec.Resource, rec.Decision, rec.Params = asked.Resource, asked.Decision, asked.Params
	}
	rec.Param("SimulatedAction", q.Action)
	rec.Param("SimulatedResource", on.ARN)
	if q.Time.IsZero() {
		q.Time = s.Now()
	}
	call := &authz.Call{Principal: who, Time: q.Time, Source: q.Source, Secure: !q.Insecure}
	out := Answer{Resource: on.ARN}
	out.Decision, out.Verdicts = call.Explain(authz.Request{Action: q.Action, Resource: on.ARN, Policy: on.Policy, Attributes: append(q.Attributes, on.Attributes...)})
	return out, nil
}

// isKey tells whether an ARN names a key, or an alias of one.
func isKey(arn string) bool {
	part := strings.SplitN(arn, ":", 5)
	return len(part) == 5 && part[1] == "kms" && (strings.HasPrefix(part[4], "key/") || strings.HasPrefix(part[4], "alias/"))
}
