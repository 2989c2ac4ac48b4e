package people

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cache"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material/password"
	"github.com/keyward/keyward/internal/material/webauthn"
)

// The operations' names in policies and in the audit log: RAM's where RAM has them.
const (
	ActionLogin          = "keyward:Login"
	ActionLogout         = "keyward:Logout"
	ActionGetLogin       = "ram:GetLoginProfile"
	ActionSetPassword    = "ram:UpdateLoginProfile"
	ActionRemovePassword = "ram:DeleteLoginProfile"
	ActionEndSessions    = "ram:EndUserSessions"
	ActionEnrollMFA      = "ram:CreateVirtualMFADevice"
	ActionConfirmMFA     = "ram:BindMFADevice"
	ActionRemoveMFA      = "ram:UnbindMFADevice"
	ActionListMFA        = "ram:ListMFADevices"
	ActionAddKey         = "keyward:AddSecurityKey"
	ActionConfirmKey     = "keyward:ConfirmSecurityKey"
	ActionBeginProof     = "keyward:BeginProof"  // asks a person to use a security key
	ActionOpenProof      = "keyward:OpenProof"   // the person sees for what
	ActionAnswerProof    = "keyward:AnswerProof" // and uses it, or refuses
)

// Options says what a Service is made of. All fields but Party and Copied are required.
type Options struct {
	Store    Store
	IAM      *iam.Service
	Roles    *role.Service
	Log      *audit.Log
	Refusals *refusal.Recorder
	Hasher   *password.Hasher
	// Digest answers a text that stands for data and tells nothing of it.
	Digest func(data []byte) (string, error)
	Party  webauthn.Party // the server as security keys know it; zero where they cannot be used
	// Copied hears of a security key that counted backwards, as a copy of it would.
	Copied func(ctx context.Context, account, user, key string) error
	Logger *slog.Logger
	Now    func() time.Time // clock
	Fresh  func() bool      // whether the change feed is up to date; see package cache
}

// A Service is the rules about how people log in. Its methods may be called concurrently.
type Service struct {
	Options
	common common
	logins *cache.Cache[place, map[string]bool] // the sessions of a person
}

// A place is where a person is found.
type place struct{ account, login string }

// maxCached is of how many people the sessions stay in memory.
const maxCached = 1 << 14

// New makes a Service. Connect its Changed to the store's change feed.
func New(o Options) *Service {
	s := &Service{Options: o, common: readCommon(commonText)}
	s.logins = cache.New(maxCached, o.Fresh, s.load)
	return s
}

// now answers the time as precisely as the store keeps it.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// Changed tells that a row was changed; see [iam.Service.Changed].
func (s *Service) Changed(table, id string) {
	switch account, login, _ := strings.Cut(id, "/"); table {
	case "iam_person":
		s.logins.Forget(place{account, login})
	case "":
		s.logins.Clear()
	}
}

func (s *Service) load(ctx context.Context, at place) (map[string]bool, error) {
	p, err := s.Store.Person(ctx, at.account, at.login)
	if err != nil {
		return nil, err
	}
	in := make(map[string]bool, len(p.Sessions))
	for _, session := range p.Sessions {
		in[session.ID] = true
	}
	return in, nil
}

// InForce implements role.Logins. Expiry is in the session's own ticket.
func (s *Service) InForce(ctx context.Context, account, user, session string) (bool, error) {
	in, err := s.logins.Get(ctx, place{account, loginOf(user)})
	if fault.Is(err, fault.ResourceNotFound) {
		return false, nil
	}
	return in[session], err
}

// Profile answers how a user logs in. Of a user for whom that was never
// said it answers a Person with a Rev of 0.
func (s *Service) Profile(ctx context.Context, call *authz.Call, user string) (Person, error) {
	op := iam.Begin(s.Log, call, ActionGetLogin)
	return iam.Perform(ctx, op, func() (Person, error) {
		if err := op.Authorize(iam.UserARN(call.Account, user)); err != nil {
			return Person{}, err
		}
		u, err := s.IAM.User(ctx, call.Account, user)
		if err != nil {
			return Person{}, err
		}
		p, err := s.person(ctx, u)
		p.Sessions = p.live(s.now())
		return p, err
	})
}

// EndSessions ends all sessions of a user who logged in, and all that came of them.
func (s *Service) EndSessions(ctx context.Context, call *authz.Call, user string) error {
	op := iam.Begin(s.Log, call, ActionEndSessions)
	return op.Run(ctx, func() error {
		if err := op.AuthorizeChange(user); err != nil {
			return err
		}
		return s.change(ctx, op, user, func(p *Person) error {
			p.Sessions = nil
			return nil
		})
	})
}

// Logout ends the session of the caller, who logged in.
func (s *Service) Logout(ctx context.Context, call *authz.Call) error {
	op, err := s.own(call, ActionLogout)
	return op.Run(ctx, func() error {
		if err != nil {
			return err
		}
		return s.change(ctx, op, call.Name, func(p *Person) error {
			for i, session := range p.Sessions {
				if session.ID == call.Session.Name {
					p.Sessions = append(p.Sessions[:i:i], p.Sessions[i+1:]...)
					break
				}
			}
			return nil
		})
	})
}

// own begins an operation that everybody who logged in may do, upon themselves only.
func (s *Service) own(call *authz.Call, action string) (*iam.Operation, error) {
	op := iam.Begin(s.Log, call, action)
	op.Record.Resource, op.Record.Decision = iam.UserARN(call.Account, call.Name), "own"
	if call.Kind == authz.User && call.Session != nil && call.Session.Person {
		return op, nil
	}
	return op, reserved(op)
}

// reserved answers that an operation is for people who logged in.
func reserved(op *iam.Operation) error {
	op.Record.Decision = "reserved to people who logged in"
	return fault.NoPermission.New("only somebody who logged in can do this, for themselves; run: keyward login")
}

// person reads how a user logs in; Rev is 0 if it was never said.
func (s *Service) person(ctx context.Context, u iam.User) (Person, error) {
	p, err := s.Store.Person(ctx, u.Account, loginOf(u.Name))
	if fault.Is(err, fault.ResourceNotFound) {
		return Person{Account: u.Account, Login: loginOf(u.Name), User: u.Name}, nil
	}
	return p, err
}

// change lets apply change how a user of the caller's account logs in, and stores it, again
// if need be.
func (s *Service) change(ctx context.Context, op *iam.Operation, user string, apply func(*Person) error) error {
	return iam.Retry(func() error {
		u, err := s.IAM.User(ctx, op.Call.Account, user)
		if err != nil {
			return err
		}
		p, err := s.person(ctx, u)
		if err != nil {
			return err
		}
		if err := apply(&p); err != nil {
			return err
		}
		p.Sessions = p.live(s.now())
		return s.Store.SavePerson(ctx, op.Record, &p)
	})
}

// authorizeFor authorizes an operation that decides how another user, or the caller, logs
// in: whoever does could log in as that user.
func (s *Service) authorizeFor(ctx context.Context, op *iam.Operation, user string) error {
	if err := op.AuthorizeChange(user); err != nil {
		return err
	}
	if user == iam.RootName {
		return fault.UnsupportedOperation.New("root does not log in: it is for setting up the account, with an access key; give a person a user of their own")
	}
	u, err := s.IAM.User(ctx, op.Call.Account, user)
	if err != nil {
		return err
	}
	return s.IAM.RequireOwnOrGrant(ctx, op, u)
}
