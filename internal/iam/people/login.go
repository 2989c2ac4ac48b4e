package people

import (
	"context"
	"crypto/rand"
	"math"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/totp"
)

// How many attempts there are before the first wait, and how long waits become. Those of a
// user from anywhere are waited for less long, because strangers can bring them about.
const (
	freeOfPair    = 5 // of one user from one network
	freeOfUser    = 20
	freeOfNetwork = 50
	longest       = 15 * time.Minute
	longestOfUser = time.Minute
)

// An Attempt is what somebody says who wants to log in.
type Attempt struct {
	Account     string // id or name; "" for the only one
	User        string
	Password    material.Bytes
	Code        string         // of the second factor, or a recovery code; "" for none
	NewPassword material.Bytes // to be the password from now on; empty to leave it as it is
	Duration    time.Duration  // of the session: 15 minutes to 12 hours; 0 means an hour
}

// wrong is all that is ever said of a login that fails.
func wrong() error {
	return fault.LoginFailed.New("the user, the password or the code is not right, or the user may not log in; passwords and codes are not told apart")
}

// Login begins a session of a user who proves to be it. With a new password it ends all
// other sessions of the user.
//
// Its faults are Throttled, when there were too many attempts; LoginFailed; and, told only
// to who has the password, PasswordChangeRequired when it is an initial one and MFARequired
// when a code is missing. None of the last two counts as a failure.
func (s *Service) Login(ctx context.Context, call *authz.Call, in Attempt) (role.Issued, error) {
	return attempt(ctx, s, call, ActionLogin, in, func(op *iam.Operation, at place) (role.Issued, error) { return s.login(ctx, op, at, in) })
}

// attempt makes an operation of somebody who has yet to prove a password one of those that
// are counted.
func attempt[T any](ctx context.Context, s *Service, call *authz.Call, action string, in Attempt, do func(*iam.Operation, place) (T, error)) (T, error) {
	var none T
	account, err := s.IAM.FindAccount(ctx, in.Account)
	if err != nil {
		return none, err
	}
	at := place{account, loginOf(in.User)}
	limits, err := s.limits(call, at)
	if err != nil {
		return none, err
	}
	limits[0].Clears = action == ActionLogin // who only begins to log in has not shown to be no guesser of codes
	var out T
	err = s.counted(ctx, call, limits, func() (err error) {
		op := iam.Begin(s.Log, call, action)
		out, err = iam.Perform(ctx, op, func() (T, error) { return do(op, at) })
		return err
	})
	return out, err
}

// limits answers what an attempt to log in counts against.
func (s *Service) limits(call *authz.Call, at place) ([]Limit, error) {
	from := network(call.Source)
	pair, err1 := s.key("pair", at.account, at.login, from)
	user, err2 := s.key("user", at.account, at.login)
	net, err3 := s.key("network", from)
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return nil, err
		}
	}
	return []Limit{{pair, freeOfPair, longest, true}, {user, freeOfUser, longestOfUser, false}, {net, freeOfNetwork, longest, false}}, nil
}

// charge counts an attempt, or refuses it.
func (s *Service) charge(ctx context.Context, limits []Limit) error {
	now := s.now()
	until, err := s.Store.Charge(ctx, now, limits)
	if err == nil && !until.IsZero() {
		err = fault.Throttled.New("there were too many attempts; try again in %d seconds", int(math.Ceil(until.Sub(now).Seconds())))
	}
	return err
}

// login does what a login is made of, for an attempt that was counted.
func (s *Service) login(ctx context.Context, op *iam.Operation, at place, in Attempt) (role.Issued, error) {
	p, old, err := s.verify(ctx, op, at, in.Password)
	if err != nil {
		return role.Issued{}, err
	}
	if err := s.checkReplacement(p, in); err != nil {
		return role.Issued{}, err
	}
	if p.HasMFA() && in.Code == "" {
		return role.Issued{}, missing()
	}
	with, err := s.second(ctx, p, in.Code, nil, s.useCode)
	if err != nil {
		return role.Issued{}, err
	}
	session := Session{ID: rand.Text(), BegunAt: s.now(), Source: op.Call.From(), MFA: p.HasMFA()}
	issued, err := s.Roles.Login(op, role.Login{Account: p.Account, User: p.User, Session: session.ID, Duration: in.Duration, MFA: session.MFA})
	if err != nil {
		return role.Issued{}, err
	}
	session.ExpiresAt = issued.Expires
	var hash material.Bytes
	if in.NewPassword.Len() > 0 {
		hash, err = s.Hasher.Hash(ctx, in.NewPassword)
	} else if old {
		hash, err = s.Hasher.Hash(ctx, in.Password)
	}
	if err != nil {
		return role.Issued{}, err
	}
	op.Record.Principal = issued.Principal.ARN()
	op.Record.Decision = with.decision("password", session.MFA)
	return issued, iam.Retry(func() error { return s.begin(ctx, op, p, entry{session, with, hash, in.NewPassword.Len() > 0}) })
}

// A second is what a login proved beside the password; zero where nothing was needed, or a
// code.
type second struct {
	recovery string // digest of a recovery code
	key      string // id of a security key
}

// second uses up the code, by use, or the proof that a login came with, which must be of this
// digest.
func (s *Service) second(ctx context.Context, p Person, code string, digest []byte, use func(context.Context, Person, string) (recovery string, err error)) (with second, err error) {
	switch {
	case !p.HasMFA():
	case IsProof(code):
		var c Ceremony
		c, err = s.useProof(ctx, p, code, Ceremony{Purpose: ToLogIn, Digest: digest})
		with.key = c.Key
	case totp.WellFormed(code) && !p.hasApp():
		err = wrong() // there are security keys only
	default:
		with.recovery, err = use(ctx, p, code)
	}
	return with, err
}

func missing() error { return fault.MFARequired.New("a code of the second factor is needed, too") }

// still tells whether what was proved of the second factors that a person had holds of those
// that the person has now.
func (w second) still(had, has *Person) bool {
	return has.ConfirmedAt == had.ConfirmedAt && has.HasMFA() == had.HasMFA() && (w.key == "" || has.keyOf(w.key) != nil)
}

// verify answers the person whose password it is, and whether its hash should be renewed.
// Whatever is wrong, the work is the same.
func (s *Service) verify(ctx context.Context, op *iam.Operation, at place, password material.Bytes) (p Person, old bool, err error) {
	p, err = s.Store.Person(ctx, at.account, at.login)
	if err != nil && !fault.Is(err, fault.ResourceNotFound) {
		return Person{}, false, err
	}
	hash := s.Hasher.Decoy()
	if p.User != "" {
		op.Record.Account, op.Record.Resource = p.Account, iam.UserARN(p.Account, p.User)
	}
	if len(p.Password) > 0 {
		if hash, err = s.unwrap(ctx, &p, "password", p.PasswordAt, p.Password); err != nil {
			return Person{}, false, err
		}
		defer hash.Zero()
	} else if err := s.pretend(ctx, at, hash); err != nil {
		return Person{}, false, err
	}
	right, old, err := s.Hasher.Verify(ctx, password, hash)
	if err != nil {
		return Person{}, false, err
	}
	if !right || len(p.Password) == 0 || p.Initial && !s.now().Before(p.PasswordAt.Add(InitialLife)) {
		return Person{}, false, wrong()
	}
	if _, err := s.IAM.Acting(ctx, p.Account, p.User); fault.Is(err, fault.AccessKeyInactive) {
		return Person{}, false, wrong()
	} else if err != nil {
		return Person{}, false, err
	}
	return p, old, nil
}

// pretend takes as long as to read a person and to open the hash of the password. Of an account
// that is not there it has no key to do so with; accounts' ids are no secrets.
func (s *Service) pretend(ctx context.Context, at place, hash material.Bytes) error {
	p, now := Person{Account: at.account, Login: at.login}, s.now()
	wrapped, err := s.wrap(ctx, &p, "password", now, hash)
	for range 4 { // one is the hash; the others, by measurement, the row and its MAC
		if err == nil {
			var opened material.Bytes
			opened, err = s.unwrap(ctx, &p, "password", now, wrapped)
			opened.Zero()
		}
	}
	if fault.Is(err, fault.ResourceNotFound) {
		return nil
	}
	return err
}

// checkReplacement checks the new password, which an initial one must have.
func (s *Service) checkReplacement(p Person, in Attempt) error {
	switch {
	case in.NewPassword.Len() == 0 && p.Initial:
		return fault.PasswordChangeRequired.New("the password is an initial one, which an administrator knows; choose a new one")
	case in.NewPassword.Len() == 0:
		return nil
	case in.NewPassword.Equal(in.Password):
		return fault.InvalidParameter.New("the new password is the old one")
	}
	return s.common.checkPassword(in.NewPassword, p.Login)
}

// An entry is what a login changes of a person.
type entry struct {
	session  Session
	with     second
	hash     material.Bytes // of the password; empty to keep it as it is
	replaced bool           // the hash is of another password
}

// begin stores a session of a person who was verified as they are in p.
func (s *Service) begin(ctx context.Context, op *iam.Operation, p Person, e entry) error {
	now, err := s.Store.Person(ctx, p.Account, p.Login)
	if fault.Is(err, fault.ResourceNotFound) || err == nil && (len(now.Password) == 0 || now.PasswordAt != p.PasswordAt || !e.with.still(&p, &now)) {
		return wrong() // what was proved is no longer so
	}
	if err != nil {
		return err
	}
	if err := now.strike(e.with.recovery); err != nil {
		return err
	}
	if e.replaced {
		now.Initial, now.Sessions, now.PasswordAt = false, nil, e.session.BegunAt
	}
	if e.hash.Len() > 0 {
		if now.Password, err = s.wrap(ctx, &now, "password", now.PasswordAt, e.hash); err != nil {
			return err
		}
	}
	now.add(e.session)
	return s.Store.SavePerson(ctx, op.Record, &now)
}

// decision says by what a login was allowed, as records tell it: by what was proved first, and
// by a second factor.
func (w second) decision(first string, mfa bool) string {
	switch {
	case w.key != "":
		return first + " and security key"
	case w.recovery != "":
		return first + " and recovery code"
	case mfa:
		return first + " and code"
	}
	return first
}
