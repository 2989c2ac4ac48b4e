package people_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
)

// admin logs alice in, as an administrator with a second factor.
func (w *world) admin(t *testing.T, a *app) role.Issued {
	t.Helper()
	check(t, w.iam.AttachPolicy(t.Context(), w.root(), "alice", "AdministratorAccess"))
	i := must(w.try(t, "192.0.2.7", "alice", first, a.code()))(t)
	w.advance(time.Minute)
	return i
}

// A code lets the one request do what is dangerous that it came with, and no other.
func TestFreshCode(t *testing.T) {
	w := newWorld(t)
	a := w.enroll(t)
	i := w.admin(t, a)
	key := must(w.iam.CreateAccessKey(t.Context(), w.root(), iam.NewAccessKey{User: "alice"}))(t).AccessKey.ID
	reset := func(c *authz.Call) error {
		_, err := w.iam.ResetAccessKey(t.Context(), c, key)
		return err
	}
	call := w.as(t, i)
	wantKind(t, reset(call), fault.MFARequired)
	code := a.code()
	check(t, w.Prove(t.Context(), call, code))
	check(t, reset(call))
	records := w.records(t)
	last := records[len(records)-1]
	if last.Action != iam.ActionResetAccessKey || last.Params["MFA"] != "code" {
		t.Errorf("the record is %+v", last)
	}
	wantKind(t, w.Prove(t.Context(), w.as(t, i), code), fault.LoginFailed)
	wantKind(t, reset(w.as(t, i)), fault.MFARequired)
	_, err := w.try(t, "192.0.2.7", "alice", first, code)
	wantKind(t, err, fault.LoginFailed) // one code, one use, whatever for
}

// It is the person behind a role's session who proves; nobody else can.
func TestWhoProves(t *testing.T) {
	w := newWorld(t)
	a := w.enroll(t)
	i := w.admin(t, a)
	trust := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::` + w.account + `:root"}}]}`
	must(w.roles.CreateRole(t.Context(), w.root(), role.NewRole{Name: "deployer", Trust: trust}))(t)
	check(t, w.roles.AttachPolicy(t.Context(), w.root(), "deployer", "AdministratorAccess"))
	assumed := must(w.roles.AssumeRole(t.Context(), w.as(t, i), role.Assumption{Role: "deployer", Session: "ci"}))(t)
	call := w.as(t, assumed)
	wantKind(t, w.iam.DeleteUser(t.Context(), call, "admin"), fault.MFARequired)
	check(t, w.Prove(t.Context(), call, a.code()))
	wantKind(t, w.iam.DeleteUser(t.Context(), call, "admin"), fault.ResourceInUse)

	key := must(w.iam.CreateAccessKey(t.Context(), w.root(), iam.NewAccessKey{User: "alice"}))(t).AccessKey.ID
	program := w.call(must(w.iam.Credential(t.Context(), key))(t).Principal)
	w.advance(time.Minute)
	wantKind(t, w.Prove(t.Context(), program, a.code()), fault.InvalidParameter)
	wantKind(t, w.iam.DeleteUser(t.Context(), program, "admin"), fault.ResourceInUse)
	wantKind(t, w.Prove(t.Context(), w.as(t, i), a.recovery[0]), fault.LoginFailed)
}

// A session that began without a second factor cannot prove one, also if one was set up
// since: whoever stole it could have done that.
func TestLateFactorProvesNothing(t *testing.T) {
	w := newWorld(t)
	old := w.login(t)
	a := w.enroll(t)
	wantKind(t, w.Prove(t.Context(), w.as(t, old), a.code()), fault.MFANotSetUp)
}

// An offline store cannot use a code up.
type offline struct{ people.Store }

func (offline) Advance(context.Context, time.Time, string, int64) (bool, error) {
	return false, fault.Unavailable.New("the database cannot be read now; try again")
}

// Whose code could not be looked at has not guessed.
func TestCodesOfABadHour(t *testing.T) {
	w := newWorld(t)
	a := w.enroll(t)
	call := w.as(t, w.admin(t, a))
	w.advance(time.Minute)
	whole := w.Store
	w.Store = offline{whole}
	for range 10 {
		if err := w.Prove(t.Context(), call, a.code()); !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
	}
	w.Store = whole
	if err := w.Prove(t.Context(), call, a.code()); err != nil {
		t.Error(err)
	}
}

// Guesses of codes are counted, however many come at once, and of one code one is accepted.
func TestGuessesOfCodes(t *testing.T) {
	w := newWorld(t)
	a := w.enroll(t)
	i := w.admin(t, a)
	code := a.code()
	var proved, refused atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		call := w.as(t, i)
		all.Go(func() {
			if w.Prove(t.Context(), call, code) == nil {
				proved.Add(1)
			}
		})
	}
	all.Wait()
	if proved.Load() != 1 {
		t.Errorf("%d requests were let in by one code", proved.Load())
	}
	w.advance(people.Forgotten + time.Second)
	i = must(w.try(t, "192.0.2.7", "alice", first, a.code()))(t)
	for range 20 {
		call := w.as(t, i)
		all.Go(func() {
			if fault.Is(w.Prove(t.Context(), call, "000000"), fault.LoginFailed) {
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if refused.Load() != 5 {
		t.Errorf("%d guesses were looked at", refused.Load())
	}
}
