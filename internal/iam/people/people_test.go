package people_test

import (
	"context"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/storetest"
)

func decode32(t testing.TB, s material.Bytes) material.Bytes {
	t.Helper()
	return material.NewBytes(must(base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(s.Expose())))(t))
}

// An initial password serves for one login, which must replace it, for three days.
func TestInitialPassword(t *testing.T) {
	w := newWorld(t)
	must(w.iam.CreateUser(t.Context(), w.root(), "bob", ""))(t)
	initial := must(w.SetPassword(t.Context(), w.root(), "bob"))(t)
	in := people.Attempt{User: "bob", Password: initial.Password}
	_, err := w.Login(t.Context(), w.stranger(), in)
	wantKind(t, err, fault.PasswordChangeRequired)
	for _, weak := range []string{"short", string(initial.Password.Expose()), "Password2026!", "bobbobbobbob"} {
		in.NewPassword = text(weak)
		_, err = w.Login(t.Context(), w.stranger(), in)
		wantKind(t, err, fault.InvalidParameter)
	}
	in.NewPassword = text(second)
	i := must(w.Login(t.Context(), w.stranger(), in))(t)
	check(t, w.refusal(t, i))
	_, err = w.Login(t.Context(), w.stranger(), in)
	wantKind(t, err, fault.LoginFailed)
	must(w.try(t, "192.0.2.7", "bob", second, ""))(t)

	initial = must(w.SetPassword(t.Context(), w.root(), "bob"))(t)
	wantKind(t, w.refusal(t, i), fault.SecurityTokenInvalid)
	w.advance(people.InitialLife)
	_, err = w.Login(t.Context(), w.stranger(), people.Attempt{User: "bob", Password: initial.Password, NewPassword: text(first)})
	wantKind(t, err, fault.LoginFailed)
}

// TestL2NamedPersonIsNotTakenOver holds that a person without any policy, whom a role trusts, is
// given a password by those only who could give what the role may do.
func TestL2NamedPersonIsNotTakenOver(t *testing.T) {
	w := newWorld(t)
	must(w.iam.CreatePolicy(t.Context(), w.root(), iam.NewPolicy{Name: "desk", Document: `{"Version":"1","Statement":[{"Effect":"Allow","Action":"ram:*LoginProfile","Resource":"*"}]}`}))(t)
	must(w.iam.CreateUser(t.Context(), w.root(), "mallory", ""))(t)
	must(w.iam.CreateUser(t.Context(), w.root(), "vic", ""))(t)
	check(t, w.iam.AttachPolicy(t.Context(), w.root(), "mallory", "desk"))
	key := must(w.iam.CreateAccessKey(t.Context(), w.root(), iam.NewAccessKey{User: "mallory"}))(t)
	mallory := w.call(must(w.iam.Credential(t.Context(), key.AccessKey.ID))(t).Principal)
	must(w.SetPassword(t.Context(), mallory, "vic"))(t)
	trust := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::` + w.account + `:user/vic"}}]}`
	must(w.roles.CreateRole(t.Context(), w.root(), role.NewRole{Name: "vip", Trust: trust}))(t)
	_, err := w.SetPassword(t.Context(), mallory, "vic")
	wantKind(t, err, fault.NoPermission)
}

// Who logs in acts as the user, under its policies, and is known for a person.
func TestSession(t *testing.T) {
	w := newWorld(t)
	call := w.as(t, w.login(t))
	if call.ARN() != "acs:ram::"+w.account+":user/alice" || !call.Session.Person || call.Session.MFA {
		t.Errorf("the session is %s, %+v", call.ARN(), call.Session)
	}
	may := func() bool {
		return w.as(t, w.login(t)).Decide(authz.Request{Action: "kms:ListKeys", Resource: "acs:kms:any:" + w.account + ":key/"}).Allowed
	}
	if may() {
		t.Error("a user without policies may do something")
	}
	check(t, w.iam.AttachPolicy(t.Context(), w.root(), "alice", "AliyunKMSReadOnlyAccess"))
	if !may() {
		t.Error("the user's policies are not the session's")
	}
	i := w.login(t)
	w.advance(time.Hour)
	wantKind(t, w.refusal(t, i), fault.SecurityTokenExpired)
	_, err := w.roles.Federate(t.Context(), call, role.Federation{Session: "on"})
	wantKind(t, err, fault.NoPermission)
}

// What somebody assumes who logged in is a person's session, too, and ends with the login.
func TestRoleOfAPerson(t *testing.T) {
	w := newWorld(t)
	a := w.enroll(t)
	trust := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::` + w.account + `:root"},"Condition":{"Bool":{"acs:MFAPresent":"true"}}}]}`
	must(w.roles.CreateRole(t.Context(), w.root(), role.NewRole{Name: "deployer", Trust: trust}))(t)
	check(t, w.iam.AttachPolicy(t.Context(), w.root(), "alice", "AdministratorAccess"))
	login := must(w.try(t, "192.0.2.7", "alice", first, a.code()))(t)
	i := must(w.roles.AssumeRole(t.Context(), w.as(t, login), role.Assumption{Role: "deployer", Session: "ci"}))(t)
	if s := w.as(t, i).Session; !s.Person || !s.MFA {
		t.Errorf("the role's session is %+v", s)
	}
	key := must(w.iam.CreateAccessKey(t.Context(), w.root(), iam.NewAccessKey{User: "alice"}))(t)
	c := must(w.iam.Credential(t.Context(), key.AccessKey.ID))(t)
	_, err := w.roles.AssumeRole(t.Context(), w.call(c.Principal), role.Assumption{Role: "deployer", Session: "ci"})
	wantKind(t, err, fault.NoPermission)
	check(t, w.Logout(t.Context(), w.as(t, login)))
	wantKind(t, w.refusal(t, i), fault.SecurityTokenInvalid)
}

// Each of these ends a login from the next request on, and logging in again works unless it
// must not.
func TestWhatEndsASession(t *testing.T) {
	admin := func(f func(*people.Service, context.Context, *authz.Call, string) error) func(testing.TB, *world, role.Issued) {
		return func(t testing.TB, w *world, _ role.Issued) { check(t, f(w.Service, t.Context(), w.root(), "alice")) }
	}
	for name, end := range map[string]func(testing.TB, *world, role.Issued){
		"logout":          func(t testing.TB, w *world, i role.Issued) { check(t, w.Logout(t.Context(), w.as(t, i))) },
		"end sessions":    admin((*people.Service).EndSessions),
		"remove password": admin((*people.Service).RemovePassword),
		"set password": func(t testing.TB, w *world, _ role.Issued) {
			must(w.SetPassword(t.Context(), w.root(), "alice"))(t)
		},
		"new password": func(t testing.TB, w *world, _ role.Issued) {
			must(w.Login(t.Context(), w.stranger(), people.Attempt{User: "alice", Password: text(first), NewPassword: text(second)}))(t)
		},
		"disable": func(t testing.TB, w *world, _ role.Issued) {
			must(w.iam.UpdateUser(t.Context(), w.root(), "alice", iam.UserChange{Enabled: new(bool)}))(t)
			_, err := w.try(t, "192.0.2.7", "alice", first, "")
			wantKind(t, err, fault.LoginFailed)
		},
		"delete": func(t testing.TB, w *world, _ role.Issued) {
			check(t, w.iam.DeleteUser(t.Context(), w.root(), "alice"))
		},
		"delete and create": func(t testing.TB, w *world, _ role.Issued) {
			check(t, w.iam.DeleteUser(t.Context(), w.root(), "alice"))
			must(w.iam.CreateUser(t.Context(), w.root(), "Alice", ""))(t)
			_, err := w.try(t, "192.0.2.7", "alice", first, "")
			wantKind(t, err, fault.LoginFailed)
		},
		"too many others": func(t testing.TB, w *world, _ role.Issued) {
			for range people.MaxSessions {
				w.login(t)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			i := w.login(t)
			check(t, w.refusal(t, i))
			end(t, w, i)
			wantKind(t, w.refusal(t, i), fault.SecurityTokenInvalid)
		})
	}
	t.Run("removal of the second factor", func(t *testing.T) {
		w := newWorld(t)
		a := w.enroll(t)
		i := must(w.try(t, "192.0.2.7", "alice", first, a.code()))(t)
		check(t, w.RemoveMFA(t.Context(), w.root(), "alice", ""))
		wantKind(t, w.refusal(t, i), fault.SecurityTokenInvalid)
		w.login(t)
	})
}

// Only one session of two ends when one logs out.
func TestLogoutEndsOneSession(t *testing.T) {
	w := newWorld(t)
	a, b := w.login(t), w.login(t)
	check(t, w.Logout(t.Context(), w.as(t, a)))
	check(t, w.refusal(t, b))
	p := must(w.Profile(t.Context(), w.root(), "alice"))(t)
	if len(p.Sessions) != 1 || p.Sessions[0].ID != b.Principal.Session.Name {
		t.Errorf("the sessions are %+v", p.Sessions)
	}
	wantKind(t, w.Logout(t.Context(), w.root()), fault.NoPermission)
}

// Once it is confirmed, a second factor is asked for, and only from who has the password.
func TestMFA(t *testing.T) {
	w := newWorld(t)
	a := w.enroll(t)
	_, err := w.try(t, "192.0.2.7", "alice", first, "")
	wantKind(t, err, fault.MFARequired)
	_, err = w.try(t, "192.0.2.7", "alice", second, "")
	wantKind(t, err, fault.LoginFailed)
	_, err = w.try(t, "192.0.2.7", "alice", second, a.code())
	wantKind(t, err, fault.LoginFailed)
	i := must(w.try(t, "192.0.2.7", "alice", first, a.code()))(t)
	if !w.as(t, i).Session.MFA {
		t.Error("the session does not know of its second factor")
	}
	_, err = w.EnrollMFA(t.Context(), w.as(t, i))
	wantKind(t, err, fault.StateConflict)
	_, err = w.ConfirmMFA(t.Context(), w.as(t, i), a.code())
	wantKind(t, err, fault.StateConflict)
	for _, call := range []*authz.Call{w.root(), w.stranger()} {
		_, err = w.EnrollMFA(t.Context(), call)
		wantKind(t, err, fault.NoPermission)
		_, err = w.ConfirmMFA(t.Context(), call, a.code())
		wantKind(t, err, fault.NoPermission)
	}
}

// A secret that nobody confirmed asks for nothing, and a wrong code confirms nothing.
func TestUnconfirmedMFA(t *testing.T) {
	w := newWorld(t)
	i := w.login(t)
	must(w.EnrollMFA(t.Context(), w.as(t, i)))(t)
	for range 5 {
		_, err := w.ConfirmMFA(t.Context(), w.as(t, i), "000000")
		wantKind(t, err, fault.LoginFailed)
	}
	_, err := w.ConfirmMFA(t.Context(), w.as(t, i), "000000")
	wantKind(t, err, fault.Throttled)
	w.login(t)
}

// Each recovery code stands for a code once, however it is spelt.
func TestRecoveryCodes(t *testing.T) {
	w := newWorld(t)
	a := w.enroll(t)
	if len(a.recovery) != people.RecoveryCodes {
		t.Fatalf("there are %d codes", len(a.recovery))
	}
	must(w.try(t, "192.0.2.7", "alice", first, a.recovery[0]))(t)
	must(w.try(t, "192.0.2.7", "alice", first, " "+strings.ToUpper(strings.ReplaceAll(a.recovery[1], "-", " "))))(t)
	for _, code := range []string{a.recovery[0], strings.ReplaceAll(a.recovery[0], "-", ""), a.recovery[2][:18], "-"} {
		_, err := w.try(t, "192.0.2.8", "alice", first, code)
		wantKind(t, err, fault.LoginFailed)
	}
	if p := must(w.Profile(t.Context(), w.root(), "alice"))(t); len(p.Recovery) != people.RecoveryCodes-2 {
		t.Errorf("%d are left", len(p.Recovery))
	}
}

// L6: of a code in fifty spellings, a hundred at once, one attempt succeeds, and the
// guesses are counted.
func TestL6CodesServeOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url)
		a := w.enroll(t)
		code := a.code()
		spellings := []string{code}
		for i := range 16 {
			spellings = append(spellings, strings.Repeat(" ", i+1)+code, code+strings.Repeat("\t", i+1), strings.Repeat("0", i+1)+code)
		}
		spellings = append(spellings, code[:3]+" "+code[3:])
		var mu sync.Mutex
		var in int
		kinds := map[fault.Kind]bool{}
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { // from many networks, so that only the code stands against it
				spelt := code
				if i%2 == 1 {
					spelt = spellings[i/2]
				}
				_, err := w.try(t, fmt.Sprintf("198.51.100.%d", i), "alice", first, spelt)
				mu.Lock()
				defer mu.Unlock()
				kinds[fault.KindOf(err)] = true
				if err == nil {
					in++
				}
			})
		}
		all.Wait()
		_, err := w.try(t, "203.0.113.9", "alice", first, code)
		if err == nil {
			in++
		}
		if said := fault.Message(err); fault.Is(err, fault.LoginFailed) && !strings.Contains(said, "wait for the next one") {
			t.Errorf("who uses a code twice is told: %s", said)
		}
		if in != 1 {
			t.Errorf("%d attempts succeeded: %v", in, kinds)
		}
		if !kinds[fault.Throttled] {
			t.Error("nobody had to wait")
		}
		w.advance(people.Forgotten)
		must(w.try(t, "192.0.2.7", "alice", first, a.code()))(t)
	})
}

// L3: a thousand spellings of a name share one counter.
func TestL3SpellingsShareACounter(t *testing.T) {
	w := newWorld(t)
	var last error
	free := 0
	for i := range 1000 {
		name := []byte("alice")
		for at := range name {
			if i>>at&1 == 1 {
				name[at] -= 'a' - 'A'
			}
		}
		spelt := strings.Repeat(" ", i>>5&3) + string(name) + strings.Repeat([]string{" ", "\t", "\n", "\u00a0", "\u3000"}[i%5], i>>7)
		if _, last = w.try(t, "192.0.2.7", spelt, second, ""); fault.Is(last, fault.LoginFailed) {
			free++
		}
	}
	if free != 5 || !fault.Is(last, fault.Throttled) {
		t.Errorf("%d attempts were free; the last one: %v", free, last)
	}
	_, err := w.try(t, "192.0.2.7", "alice", first, "")
	wantKind(t, err, fault.Throttled)
}

// L5: the second factor belongs to the user and not to the name that was typed.
func TestL5EverySpellingNeedsMFA(t *testing.T) {
	w := newWorld(t)
	w.enroll(t)
	for _, account := range []string{"", w.account, "Example", "EXAMPLE", "example"} {
		for _, name := range []string{"alice", "Alice", "ALICE", " alice", "alice\t", "aLiCe "} {
			_, err := w.Login(t.Context(), w.stranger(), people.Attempt{Account: account, User: name, Password: text(first)})
			if kind := fault.KindOf(err); kind != fault.MFARequired {
				t.Errorf("%q of %q: %v", name, account, err)
			}
		}
	}
	for _, name := range []string{"ａｌｉｃｅ", "alıce", "alice\x00", "alice/", "al\u200bice", ""} {
		_, err := w.Login(t.Context(), w.from("203.0.113.1"), people.Attempt{User: name, Password: text(first)})
		if err == nil || fault.Is(err, fault.MFARequired) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Waits double from the fifth failure on, end, are forgotten after an hour, and a success in
// between begins anew.
func TestWaits(t *testing.T) {
	w := newWorld(t)
	fail := func(want fault.Kind) {
		t.Helper()
		_, err := w.try(t, "192.0.2.7", "alice", second, "")
		wantKind(t, err, want)
	}
	for range 5 {
		fail(fault.LoginFailed)
	}
	for wait := time.Second; wait < 20*time.Second; wait *= 2 {
		fail(fault.Throttled)
		w.advance(wait - time.Microsecond)
		fail(fault.Throttled)
		w.advance(time.Microsecond)
		fail(fault.LoginFailed)
	}
	w.advance(time.Minute)
	w.login(t)
	for range 5 {
		fail(fault.LoginFailed)
	}
	fail(fault.Throttled)
	w.advance(people.Forgotten + time.Second)
	for range 5 {
		fail(fault.LoginFailed)
	}
	fail(fault.Throttled)
	must(w.try(t, "198.51.100.1", "alice", first, ""))(t) // strangers elsewhere keep nobody out
}

// However many networks a stranger has, attempts on one user are slowed down, never for
// longer than a minute; and so are attempts of one network on many users.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	free := 0
	for i := range 40 {
		if _, err := w.try(t, fmt.Sprintf("2001:db8:%x::1", i), "alice", second, ""); fault.Is(err, fault.LoginFailed) {
			free++
		}
	}
	if free != 20 {
		t.Errorf("%d attempts on one user were free", free)
	}
	w.advance(time.Minute)
	must(w.try(t, "192.0.2.7", "alice", first, ""))(t)
	free = 0
	for i := range 80 {
		if _, err := w.try(t, fmt.Sprintf("2001:db8:77:1::%x", i), fmt.Sprint("user", i), second, ""); fault.Is(err, fault.LoginFailed) {
			free++
		}
	}
	if free != 50 {
		t.Errorf("%d attempts from one network were free", free)
	}
}

// Of many attempts at once no more are made than one after the other.
func TestAttemptsAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url)
		results := make(chan error, 40)
		for range 40 {
			go func() {
				_, err := w.try(t, "192.0.2.7", "alice", second, "")
				results <- err
			}()
		}
		kinds := map[fault.Kind]int{}
		for range 40 {
			kinds[fault.KindOf(<-results)]++
		}
		if diff := cmp.Diff(map[fault.Kind]int{fault.LoginFailed: 5, fault.Throttled: 35}, kinds); diff != "" {
			t.Error(diff)
		}
	})
}

// Who may not grant a user's policies cannot decide how the user logs in.
func TestPowerDoesNotGrow(t *testing.T) {
	w := newWorld(t)
	document := `{"Version":"1","Statement":[{"Effect":"Allow","Action":["ram:UpdateLoginProfile","ram:UnbindMFADevice"],"Resource":"*"}]}`
	must(w.iam.CreatePolicy(t.Context(), w.root(), iam.NewPolicy{Name: "desk", Document: document}))(t)
	check(t, w.iam.AttachPolicy(t.Context(), w.root(), "alice", "desk"))
	w.user(t, "boss")
	check(t, w.iam.AttachPolicy(t.Context(), w.root(), "boss", "AdministratorAccess"))
	key := must(w.iam.CreateAccessKey(t.Context(), w.root(), iam.NewAccessKey{User: "alice"}))(t).AccessKey.ID
	desk := w.call(must(w.iam.Credential(t.Context(), key))(t).Principal) // a person would need codes
	for _, user := range []string{"boss", "root", "admin"} {
		_, err := w.SetPassword(t.Context(), desk, user)
		wantKind(t, err, fault.NoPermission)
		wantKind(t, w.RemoveMFA(t.Context(), desk, user, ""), fault.NoPermission)
	}
	_, err := w.SetPassword(t.Context(), w.root(), "root")
	wantKind(t, err, fault.UnsupportedOperation)
	_, err = w.Login(t.Context(), w.stranger(), people.Attempt{User: "root", Password: text(first)})
	wantKind(t, err, fault.LoginFailed)
	must(w.SetPassword(t.Context(), desk, "alice"))(t)
	for _, refused := range []error{
		w.RemovePassword(t.Context(), desk, "boss"), w.EndSessions(t.Context(), desk, "boss"),
	} {
		wantKind(t, refused, fault.NoPermission)
	}
	_, err = w.Profile(t.Context(), desk, "boss")
	wantKind(t, err, fault.NoPermission)
}

// The log says who logged in and who failed to, and nothing that was typed.
func TestRecords(t *testing.T) {
	w := newWorld(t)
	a := w.enroll(t)
	before := len(w.records(t))
	code := a.code()
	must(w.try(t, "192.0.2.7", "ALICE", first, code))(t)
	must(w.try(t, "192.0.2.7", "alice", first, a.recovery[0]))(t)
	_, _ = w.try(t, "192.0.2.7", "alice", "typed-in-vain", "")
	_, _ = w.try(t, "192.0.2.7", "typed-in-vain", first, "")
	var have []string
	for _, e := range w.records(t)[before:] {
		have = append(have, strings.Join([]string{e.Action, strings.ReplaceAll(e.Resource, w.account, "N"), strings.ReplaceAll(e.Principal, w.account, "N"), e.Decision, e.Result}, " "))
		if leaf := fmt.Sprint(e); strings.Contains(leaf, "typed-in-vain") || strings.Contains(leaf, first) || strings.Contains(leaf, code) {
			t.Errorf("the record has what was typed: %s", leaf)
		}
	}
	if diff := cmp.Diff([]string{
		"keyward:Login acs:ram::N:user/alice acs:ram::N:user/alice password and code OK",
		"keyward:Login acs:ram::N:user/alice acs:ram::N:user/alice password and recovery code OK",
		"keyward:Login acs:ram::N:user/alice   LoginFailed",
		"keyward:Login    LoginFailed",
	}, have); diff != "" {
		t.Error(diff)
	}
}

// Answers tell nothing of users, whatever is wrong.
func TestL4OneAnswer(t *testing.T) {
	w := newWorld(t)
	must(w.iam.CreateUser(t.Context(), w.root(), "nopassword", ""))(t)
	w.user(t, "disabled")
	must(w.iam.UpdateUser(t.Context(), w.root(), "disabled", iam.UserChange{Enabled: new(bool)}))(t)
	a := w.enroll(t)
	var answers []string
	for _, in := range []people.Attempt{
		{User: "alice", Password: text(second)}, {User: "alice", Password: text(second), Code: a.code()}, {User: "alice", Password: text(first), Code: "123456"},
		{User: "unknown", Password: text(first)}, {User: "nopassword", Password: text("")}, {User: "disabled", Password: text(first)}, {User: "root", Password: text(first)},
		{Account: "unknown", User: "alice", Password: text(first)}, {Account: "1234567890123456", User: "alice", Password: text(first)}, {User: "\x00", Password: text(first)},
	} {
		_, err := w.Login(t.Context(), w.stranger(), in)
		answers = append(answers, err.Error())
	}
	if slices.Sort(answers); len(slices.Compact(answers)) != 1 {
		t.Errorf("the answers differ: %q", answers)
	}
}
