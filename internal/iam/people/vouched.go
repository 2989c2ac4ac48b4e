package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
)

// A Vouching is what an identity provider says of somebody who logs in.
type Vouching struct {
	Account  string
	User     string
	Provider string // name
	MFA      bool   // a second factor was proved to the provider, which is believed about it
	Code     string // of the user's own second factor, a recovery code or a proof; "" for none
	Login    string // which of the provider's logins it is: a proof is good for this one
	Duration time.Duration
	// Epoch is what Admit answered when only a code was missing; "" for who was not asked for one.
	Epoch string
	// Still answers nil while the provider may vouch for the user. It is asked after the row
	// was read whose change takes that right away.
	Still func(context.Context) error
}

// NotAdmitted is all that is said of somebody whom an identity provider knows and whom this
// server does not let in.
func NotAdmitted() error {
	return fault.LoginFailed.New("the identity provider knows you, but no user of this account who may log in is linked with you; ask an administrator, who finds what you are called in the audit log")
}

// Counted does what may log somebody in who proves elsewhere who they are, and counts it as an
// attempt of the network that the call comes from if it fails.
func (s *Service) Counted(ctx context.Context, call *authz.Call, act func() error) error {
	from, err := s.key("network", network(call.Source))
	if err != nil {
		return err
	}
	return s.counted(ctx, call, []Limit{{from, freeOfNetwork, longest, false}}, act)
}

// counted does what is an attempt to log in, if it may be made.
func (s *Service) counted(ctx context.Context, call *authz.Call, limits []Limit, act func() error) error {
	if err := s.charge(ctx, limits); err != nil {
		return s.Refusals.Refuse(ctx, call, ActionLogin, "", err)
	}
	err := act()
	s.settle(ctx, limits, err)
	return err
}

// settle takes back what was counted of an attempt, unless it failed as a guess does.
func (s *Service) settle(ctx context.Context, limits []Limit, err error) {
	if fault.Is(err, fault.LoginFailed) {
		return
	}
	if undone := s.Store.Refund(context.WithoutCancel(ctx), limits, err == nil); undone != nil {
		s.Logger.Warn("taking back a counted attempt to log in", "error", undone)
	}
}

// Admit begins a session of a user for whom an identity provider vouches, as a part of the
// operation op, which has seen to that. A user who has a second factor here must prove it
// here: MFARequired says that the code is missing, and is a *Wanted if a security key would do.
// The epoch then goes with the code, which serves only while all is as it was: no session
// began, none was ended, no factor was changed.
func (s *Service) Admit(ctx context.Context, op *iam.Operation, v Vouching) (issued role.Issued, epoch string, err error) {
	op.Record.Account, op.Record.Resource = v.Account, iam.UserARN(v.Account, v.User)
	if _, err := s.IAM.Acting(ctx, v.Account, v.User); fault.Is(err, fault.AccessKeyInactive) {
		return role.Issued{}, "", NotAdmitted()
	} else if err != nil {
		return role.Issued{}, "", err
	}
	u, err := s.IAM.User(ctx, v.Account, v.User)
	if err != nil {
		return role.Issued{}, "", err
	}
	p, err := s.Store.Person(ctx, v.Account, loginOf(v.User))
	if err != nil {
		return role.Issued{}, "", err
	}
	epoch = epochOf(u, p.Rev)
	since := epoch
	if IsProof(v.Code) {
		since = epochOf(u, p.Rev-1) // using the key has changed the person, once
	}
	if v.Epoch != "" && v.Epoch != since {
		return role.Issued{}, "", overtaken()
	}
	issued, err = s.admit(ctx, op, v, p)
	return issued, epoch, err
}

// epochOf stands for a user, and for the user's person at a revision.
func epochOf(u iam.User, person int64) string { return fmt.Sprintf("%d/%d", u.Rev, person) }

// A Wanted is the refusal of a login whose second factor could be a security key.
type Wanted struct {
	Begun Begun // its ceremony, whose proof stands for a code
	err   error
}

func (w *Wanted) Error() string { return w.err.Error() }

// Unwrap answers the fault.
func (w *Wanted) Unwrap() error { return w.err }

// digest binds a proof to the login at the provider that it was asked for.
func (v Vouching) digest() []byte {
	sum := sha256.Sum256(material.Binding("keyward-vouched/v1", v.Account, v.Provider, v.Login))
	return sum[:]
}

// want says that a second factor is missing and, to who has a security key, begins to ask for it.
func (s *Service) want(ctx context.Context, op *iam.Operation, v Vouching, p Person) error {
	if len(s.usable(p)) == 0 || s.Party.ID == "" {
		return missing()
	}
	asking := iam.Begin(s.Log, op.Call, ActionBeginProof)
	asking.Record.Account, asking.Record.Resource, asking.Record.Decision = p.Account, iam.UserARN(p.Account, p.User), "identity provider"
	begun, err := iam.Perform(ctx, asking, func() (Begun, error) {
		return s.beginCeremony(ctx, asking, p, Ceremony{Purpose: ToLogIn, Digest: v.digest()})
	})
	if err != nil {
		return err
	}
	return &Wanted{begun, missing()}
}

// overtaken is said of a login that waited for a code while something of the user changed.
func overtaken() error {
	return fault.LoginFailed.New("since this login asked for a code, the user logged in or was changed; begin again with keyward login --sso")
}

// admit is Admit for a person as p is.
func (s *Service) admit(ctx context.Context, op *iam.Operation, v Vouching, p Person) (role.Issued, error) {
	if p.HasMFA() && v.Code == "" {
		return role.Issued{}, s.want(ctx, op, v, p)
	}
	with, err := s.second(ctx, p, v.Code, v.digest(), s.tryCode)
	if err != nil {
		return role.Issued{}, err
	}
	session := Session{ID: rand.Text(), BegunAt: s.now(), Source: op.Call.From(), MFA: p.HasMFA(), Provider: v.Provider}
	issued, err := s.Roles.Login(op, role.Login{Account: v.Account, User: p.User, Session: session.ID, Duration: v.Duration, MFA: session.MFA, Vouched: v.MFA})
	if err != nil {
		return role.Issued{}, err
	}
	session.ExpiresAt = issued.Expires
	op.Record.Principal, op.Record.Decision = issued.Principal.ARN(), with.decision(v.proved(), session.MFA)
	return issued, iam.Retry(func() error {
		now, err := s.Store.Person(ctx, v.Account, p.Login)
		if fault.Is(err, fault.ResourceNotFound) || err == nil && !with.still(&p, &now) {
			return NotAdmitted() // what was proved is no longer so
		}
		if err != nil {
			return err
		}
		if v.Epoch != "" && now.Rev != p.Rev {
			return overtaken() // by another code, perhaps
		}
		if err := v.Still(ctx); err != nil {
			return err
		}
		if err := now.strike(with.recovery); err != nil {
			return err
		}
		now.add(session)
		return s.Store.SavePerson(ctx, op.Record, &now)
	})
}

// proved says what the identity provider vouched for, as records tell it.
func (v Vouching) proved() string {
	if v.MFA {
		return "identity provider and its second factor"
	}
	return "identity provider"
}

// add adds a session that begins, for which the one that began first makes room.
func (p *Person) add(session Session) {
	live := p.live(session.BegunAt)
	p.Sessions = append(live[max(0, len(live)+1-MaxSessions):], session)
}
