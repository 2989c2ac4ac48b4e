package people_test

import (
	"database/sql"
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
	"github.com/keyward/keyward/internal/material/webauthn"
	"github.com/keyward/keyward/internal/material/webauthn/webauthntest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// link answers the link of what was begun.
func link(b people.Begun) string { return strings.TrimPrefix(b.URL, party.Origin+people.CeremonyPath) }

// approve uses a security key on the page of what was begun, as the page asks.
func (w *world) approve(t testing.TB, b people.Begun, device *webauthntest.Key) error {
	t.Helper()
	p := must(w.Open(t.Context(), w.stranger(), link(b)))(t)
	if p.Code != b.Code {
		t.Errorf("the page shows %s, the terminal %s", p.Code, b.Code)
	}
	a := device.Approve(p.Challenge)
	return w.Answer(t.Context(), w.stranger(), link(b), people.Answer{Approval: &a})
}

// register makes a credential on the page of what was begun.
func (w *world) register(t testing.TB, b people.Begun, device *webauthntest.Key) error {
	t.Helper()
	r := device.Register(must(w.Open(t.Context(), w.stranger(), link(b)))(t).Challenge)
	return w.Answer(t.Context(), w.stranger(), link(b), people.Answer{Made: &r})
}

// add gives whoever calls a security key, and answers the recovery codes.
func (w *world) add(t testing.TB, call *authz.Call, name string) (*webauthntest.Key, []string) {
	t.Helper()
	device := webauthntest.New(t, party, webauthn.ES256)
	b := must(w.AddKey(t.Context(), call, name))(t)
	check(t, w.register(t, b, device))
	var codes []string
	for _, code := range must(w.ConfirmKey(t.Context(), call, string(b.Proof.Expose())))(t) {
		codes = append(codes, string(code.Expose()))
	}
	return device, codes
}

// begin begins to log alice in.
func (w *world) begin(t testing.TB) people.Begun {
	t.Helper()
	return must(w.BeginLogin(t.Context(), w.stranger(), people.Attempt{User: "alice", Password: text(first)}))(t)
}

// loginBy logs alice in with a security key, as an administrator.
func (w *world) loginBy(t testing.TB, device *webauthntest.Key) role.Issued {
	t.Helper()
	b := w.begin(t)
	check(t, w.approve(t, b, device))
	return must(w.try(t, "192.0.2.7", "alice", first, string(b.Proof.Expose())))(t)
}

// A scene is alice, an administrator with the security key "blue", who is logged in by it.
type scene struct {
	*world
	device *webauthntest.Key
	issued role.Issued
	spare  string // an access key
}

func newScene(t *testing.T) *scene { return setScene(t, newWorld(t)) }

func setScene(t *testing.T, w *world) *scene {
	t.Helper()
	check(t, w.iam.AttachPolicy(t.Context(), w.root(), "alice", "AdministratorAccess"))
	device, _ := w.add(t, w.as(t, w.login(t)), "blue")
	s := &scene{world: w, device: device}
	s.issued = w.loginBy(t, device)
	s.spare = must(w.iam.CreateAccessKey(t.Context(), w.root(), iam.NewAccessKey{User: "alice"}))(t).AccessKey.ID
	return s
}

// digest stands for the request to reset the spare access key.
func (s *scene) digest() []byte {
	return people.RequestDigest("POST", "/v1/access-keys/"+s.spare+"/reset", "", nil)
}

func (s *scene) ask(t testing.TB, i role.Issued) people.Begun {
	t.Helper()
	return must(s.BeginApproval(t.Context(), s.as(t, i), people.Approvable{
		Action: iam.ActionResetAccessKey, Details: []people.Detail{{Name: "id", Value: s.spare}}, Digest: s.digest(),
	}))(t)
}

// reset makes the request with a proof.
func (s *scene) reset(t testing.TB, i role.Issued, b people.Begun, digest []byte) error {
	t.Helper()
	call := s.as(t, i)
	if err := s.ProveRequest(t.Context(), call, string(b.Proof.Expose()), digest); err != nil {
		return err
	}
	_, err := s.iam.ResetAccessKey(t.Context(), call, s.spare)
	return err
}

// A key is a second factor: logins need it, and what is dangerous needs it anew, for that
// request alone.
func TestSecurityKey(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s := setScene(t, startWorld(t, url))
		_, err := s.try(t, "192.0.2.7", "alice", first, "")
		wantKind(t, err, fault.MFARequired)
		if !s.as(t, s.issued).Session.MFA {
			t.Error("the session does not know of the key")
		}
		wantKind(t, s.iam.DeleteUser(t.Context(), s.as(t, s.issued), "admin"), fault.MFARequired)
		b := s.ask(t, s.issued)
		wantKind(t, s.reset(t, s.issued, b, s.digest()), fault.LoginFailed) // nobody approved yet
		check(t, s.approve(t, b, s.device))
		if state := must(s.ProofState(t.Context(), string(b.Proof.Expose())))(t); state != people.Approved {
			t.Errorf("it is %s", state)
		}
		check(t, s.reset(t, s.issued, b, s.digest()))
		records := s.records(t)
		last, answered := records[len(records)-1], records[len(records)-2]
		if last.Action != iam.ActionResetAccessKey || last.Params["MFA"] != "security key blue" {
			t.Errorf("the record is %+v", last)
		}
		if answered.Action != people.ActionAnswerProof || answered.Params["Operation"] != iam.ActionResetAccessKey || answered.Params["Key"] != "blue" || answered.Decision != "security key" {
			t.Errorf("the answer's record is %+v", answered)
		}
		wantKind(t, s.reset(t, s.issued, b, s.digest()), fault.LoginFailed) // once
	})
}

// A proof is good for its request, its session and its minutes.
func TestProofIsBound(t *testing.T) {
	s := newScene(t)
	for name, c := range map[string]func(b people.Begun) error{
		"another request": func(b people.Begun) error {
			return s.reset(t, s.issued, b, people.RequestDigest("POST", "/v1/access-keys/"+s.spare+"/reset", "", []byte("{}")))
		},
		"another session": func(b people.Begun) error { return s.reset(t, s.loginBy(t, s.device), b, s.digest()) },
		"a login": func(b people.Begun) error {
			_, err := s.try(t, "192.0.2.7", "alice", first, string(b.Proof.Expose()))
			return err
		},
		"too late": func(b people.Begun) error {
			s.advance(people.CeremonyLife)
			return s.reset(t, s.issued, b, s.digest())
		},
		"the link": func(b people.Begun) error {
			call := s.as(t, s.issued)
			return s.ProveRequest(t.Context(), call, "kwproof_"+link(b), s.digest())
		},
		"the key is gone": func(b people.Begun) error {
			i := s.issued
			check(t, s.RemoveMFA(t.Context(), s.root(), "alice", "blue"))
			wantKind(t, s.refusal(t, i), fault.SecurityTokenInvalid)
			s.device, _ = s.add(t, s.as(t, s.login(t)), "green")
			s.issued = s.loginBy(t, s.device)
			return s.reset(t, s.issued, b, s.digest())
		},
	} {
		b := s.ask(t, s.issued)
		check(t, s.approve(t, b, s.device))
		if err := c(b); !fault.Is(err, fault.LoginFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := s.begin(t)
	check(t, s.approve(t, b, s.device))
	wantKind(t, s.reset(t, s.issued, b, s.digest()), fault.LoginFailed) // a login's is for no request
	must(s.iam.UpdateUser(t.Context(), s.root(), "alice", iam.UserChange{Enabled: new(bool)}))(t)
	_, err := s.try(t, "192.0.2.7", "alice", first, string(b.Proof.Expose()))
	wantKind(t, err, fault.LoginFailed) // disabled meanwhile
}

// What the page is sent that is not the answer of the person's own key approves nothing, and
// the person can still answer.
func TestBadAnswers(t *testing.T) {
	s := newScene(t)
	s.user(t, "mallory")
	hers, _ := s.add(t, s.as(t, must(s.try(t, "192.0.2.8", "mallory", first, ""))(t)), "hers")
	b := s.ask(t, s.issued)
	other := must(s.Open(t.Context(), s.stranger(), link(s.ask(t, s.issued))))(t).Challenge
	page := must(s.Open(t.Context(), s.stranger(), link(b)))(t)
	made := webauthntest.New(t, party, webauthn.ES256).Register(page.Challenge)
	var answers []people.Answer
	sign := func(device *webauthntest.Key, challenge []byte) {
		a := device.Approve(challenge)
		answers = append(answers, people.Answer{Approval: &a})
	}
	sign(hers, page.Challenge)
	sign(s.device, other)
	answers[len(answers)-1].Approval.ID = hers.ID
	answers = append(answers, people.Answer{Made: &made})
	sign(s.device, other)
	for _, change := range []func(*webauthntest.Key){
		func(d *webauthntest.Key) { d.Flags = webauthntest.Present },
		func(d *webauthntest.Key) { d.Origin = "https://keyward.test.evil.example" },
		func(d *webauthntest.Key) { d.Host = "test" },
		func(d *webauthntest.Key) { d.Counter = 1 },
	} {
		device := *s.device
		change(&device)
		sign(&device, page.Challenge)
	}
	for i, a := range answers {
		if err := s.Answer(t.Context(), s.stranger(), link(b), a); !fault.Is(err, fault.LoginFailed) && !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("answer %d: %v", i, err)
		}
	}
	records := s.records(t)
	if last := records[len(records)-1]; last.Result != string(fault.LoginFailed) || last.Params["Reason"] != webauthn.ErrCounter.Error() || last.Params["Key"] != "blue" {
		t.Errorf("a counter that went back left %+v", last)
	}
	if diff := cmp.Diff([]string{"alice/blue"}, s.copied); diff != "" {
		t.Errorf("told of copies (-want +have)\n%s", diff)
	}
	if state := must(s.ProofState(t.Context(), string(b.Proof.Expose())))(t); state != people.Waiting {
		t.Errorf("it is %s", state)
	}
	check(t, s.approve(t, b, s.device))
	wantKind(t, s.approve(t, b, s.device), fault.StateConflict)
	wantKind(t, s.Answer(t.Context(), s.stranger(), link(b), people.Answer{}), fault.StateConflict)
	check(t, s.reset(t, s.issued, b, s.digest()))
}

// Who refuses has refused.
func TestRefusal(t *testing.T) {
	s := newScene(t)
	b := s.begin(t)
	check(t, s.Answer(t.Context(), s.stranger(), link(b), people.Answer{}))
	if state := must(s.ProofState(t.Context(), string(b.Proof.Expose())))(t); state != people.Refused {
		t.Errorf("it is %s", state)
	}
	wantKind(t, s.approve(t, b, s.device), fault.StateConflict)
	_, err := s.try(t, "192.0.2.7", "alice", first, string(b.Proof.Expose()))
	wantKind(t, err, fault.LoginFailed)
}

// Of browsers that race one answers, and of requests that race one is let in.
func TestRaces(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s := setScene(t, startWorld(t, url))
		b := s.ask(t, s.issued)
		challenge := must(s.Open(t.Context(), s.stranger(), link(b)))(t).Challenge
		race := func(what string, do func() error) {
			var all sync.WaitGroup
			results := make([]error, 8)
			for i := range results {
				all.Go(func() { results[i] = do() })
			}
			all.Wait()
			won := 0
			for _, err := range results {
				if err == nil {
					won++
				} else if !fault.Is(err, fault.StateConflict) && !fault.Is(err, fault.Changed) && !fault.Is(err, fault.LoginFailed) && !fault.Is(err, fault.ResourceNotFound) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if won != 1 {
				t.Errorf("%s: %d won", what, won)
			}
		}
		var one sync.Mutex
		race("answers", func() error {
			one.Lock()
			a := s.device.Approve(challenge)
			one.Unlock()
			return s.Answer(t.Context(), s.stranger(), link(b), people.Answer{Approval: &a})
		})
		race("requests", func() error {
			call := s.as(t, s.issued)
			return s.ProveRequest(t.Context(), call, string(b.Proof.Expose()), s.digest())
		})
	})
}

// The command line asks one node, the browser reaches another; and a node starts again.
func TestTwoNodes(t *testing.T) {
	url := storetest.Postgres(t)
	s := setScene(t, startWorld(t, url))
	b := s.ask(t, s.issued)
	other := startNode(t, url, "keyward.test/other", s.keys, s.clock)
	other.account = s.account
	check(t, other.approve(t, b, s.device))
	if state := must(s.ProofState(t.Context(), string(b.Proof.Expose())))(t); state != people.Approved {
		t.Errorf("it is %s", state)
	}
	check(t, s.reset(t, s.issued, b, s.digest()))
}

// Adding a factor to those that there are needs one of them; the last one that goes takes the
// recovery codes along.
func TestFactors(t *testing.T) {
	w := newWorld(t)
	check(t, w.iam.AttachPolicy(t.Context(), w.root(), "alice", "AdministratorAccess"))
	old := w.login(t)
	late := must(w.AddKey(t.Context(), w.as(t, old), "late"))(t)
	check(t, w.register(t, late, webauthntest.New(t, party, webauthn.EdDSA)))
	blue, codes := w.add(t, w.as(t, old), "blue")
	if len(codes) != people.RecoveryCodes {
		t.Errorf("%d recovery codes", len(codes))
	}
	_, err := w.ConfirmKey(t.Context(), w.as(t, old), string(late.Proof.Expose()))
	wantKind(t, err, fault.MFARequired) // it was begun when there was none
	_, err = w.AddKey(t.Context(), w.as(t, old), "red")
	wantKind(t, err, fault.MFARequired)
	i := w.loginBy(t, blue)
	e := must(w.EnrollMFA(t.Context(), w.as(t, i)))(t)
	a := &app{w: w, secret: decode32(t, e.Secret)}
	_, err = w.ConfirmMFA(t.Context(), w.as(t, i), a.code())
	wantKind(t, err, fault.MFARequired)
	_, err = w.try(t, "192.0.2.7", "alice", first, a.code())
	wantKind(t, err, fault.LoginFailed) // what is not confirmed is no factor
	fresh := w.as(t, i)
	fresh.Fresh = true
	if more := must(w.ConfirmMFA(t.Context(), fresh, a.code()))(t); len(more) != 0 {
		t.Errorf("%d more recovery codes", len(more))
	}
	for n := range people.MaxKeys - 1 {
		w.add(t, fresh, fmt.Sprint("key", n))
	}
	_, err = w.AddKey(t.Context(), fresh, "nine")
	wantKind(t, err, fault.LimitExceeded)
	check(t, w.RemoveMFA(t.Context(), w.root(), "alice", "key0"))
	i = must(w.try(t, "192.0.2.7", "alice", first, codes[0]))(t)
	fresh = w.as(t, i)
	fresh.Fresh = true
	for _, name := range []string{"", "app", "a b", "blue/", strings.Repeat("x", 65), ".."} {
		_, err = w.AddKey(t.Context(), fresh, name)
		wantKind(t, err, fault.InvalidParameter)
	}
	_, err = w.AddKey(t.Context(), fresh, "blue")
	wantKind(t, err, fault.ResourceExists)
	b := must(w.AddKey(t.Context(), fresh, "again"))(t)
	wantKind(t, w.register(t, b, blue), fault.ResourceExists) // one key is one factor

	wantKind(t, w.RemoveMFA(t.Context(), w.root(), "alice", "none"), fault.ResourceNotFound)
	for _, name := range []string{"app", "blue", "key1", "key2", "key3", "key4", "key5"} {
		check(t, w.RemoveMFA(t.Context(), w.root(), "alice", name))
	}
	if p := must(w.Profile(t.Context(), w.root(), "alice"))(t); !p.HasMFA() || len(p.Recovery) != people.RecoveryCodes-1 || len(p.Sessions) != 0 {
		t.Errorf("left are %+v", p)
	}
	check(t, w.RemoveMFA(t.Context(), w.root(), "alice", "key6"))
	if p := must(w.Profile(t.Context(), w.root(), "alice"))(t); p.HasMFA() || len(p.Recovery) != 0 {
		t.Errorf("left are %+v", p)
	}
	w.login(t)
}

// Ceremonies do not pile up, whoever begins them, and those that are guessed are not there.
func TestFloods(t *testing.T) {
	s := newScene(t)
	firstLogin, approval := s.begin(t), s.ask(t, s.issued)
	for range 2 * people.MaxCeremonies {
		s.advance(time.Second)
		s.begin(t)
	}
	_, err := s.ProofState(t.Context(), string(firstLogin.Proof.Expose()))
	wantKind(t, err, fault.ResourceNotFound)
	must(s.ProofState(t.Context(), string(approval.Proof.Expose())))(t) // strangers' logins do not end it
	if n := s.rows(t, `SELECT COUNT(*) FROM ceremony`); n != people.MaxCeremonies+1 {
		t.Errorf("%d are kept", n)
	}
	s.advance(people.CeremonyLife + time.Second)
	s.begin(t)
	if n := s.rows(t, `SELECT COUNT(*) FROM ceremony`); n != 1 {
		t.Errorf("%d are kept", n)
	}
	if n := s.rows(t, `SELECT COUNT(*) FROM ceremony WHERE id LIKE '%' || $1 || '%'`, link(approval)); n != 0 {
		t.Error("a link is stored")
	}
	for _, guess := range []string{"", "x", link(approval), strings.ToLower(link(approval))} {
		_, err := s.Open(t.Context(), s.stranger(), guess)
		wantKind(t, err, fault.ResourceNotFound)
		wantKind(t, s.Answer(t.Context(), s.stranger(), guess, people.Answer{}), fault.ResourceNotFound)
	}
	_, err = s.BeginLogin(t.Context(), s.stranger(), people.Attempt{User: "alice", Password: text("wrong wrong wrong")})
	wantKind(t, err, fault.LoginFailed)
	s.user(t, "bob")
	_, err = s.BeginLogin(t.Context(), s.stranger(), people.Attempt{User: "bob", Password: text(first)})
	wantKind(t, err, fault.StateConflict)
	seen := []string{}
	for range 100 {
		b := s.begin(t)
		if l := link(b); len(l) != 26 || slices.Contains(seen, l) || strings.Contains(string(b.Proof.Expose()), l) {
			t.Fatalf("a link is %q", l)
		}
		seen = append(seen, link(b))
	}
}

// rows counts what a query finds.
func (w *world) rows(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	check(t, w.open(t).QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}

// open opens the database beside keyward.
func (w *world) open(t *testing.T) *sql.DB {
	t.Helper()
	db := must(sql.Open("sqlite", strings.TrimPrefix(w.url, "sqlite:")))(t)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Whoever edits the database can neither add a key nor approve anything.
func TestEditedDatabase(t *testing.T) {
	for name, edit := range map[string]string{
		"a state":   `UPDATE ceremony SET state = 'approved'`,
		"a digest":  `UPDATE ceremony SET digest = x'00'`,
		"a detail":  `UPDATE ceremony SET details = '[]'`,
		"an expiry": `UPDATE ceremony SET expires_at = expires_at + 1000000`,
		"a key":     `UPDATE iam_person SET keys = replace(keys, '"counter":', '"counter":9')`,
		"no key":    `UPDATE iam_person SET keys = '[]'`,
	} {
		s := newScene(t)
		b := s.ask(t, s.issued)
		must(s.open(t).ExecContext(t.Context(), edit))(t)
		page, err := s.Open(t.Context(), s.stranger(), link(b))
		if err == nil {
			a := s.device.Approve(page.Challenge)
			err = s.Answer(t.Context(), s.stranger(), link(b), people.Answer{Approval: &a})
		}
		if !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.ProveRequest(t.Context(), s.as(t, s.issued), string(b.Proof.Expose()), s.digest()); err == nil {
			t.Errorf("%s: a request was let in", name)
		}
	}
}
