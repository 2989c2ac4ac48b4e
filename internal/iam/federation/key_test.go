package federation_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/webauthn"
	"github.com/keyward/keyward/internal/material/webauthn/webauthntest"
)

// party is the server as security keys know it.
var party = webauthn.Party{ID: "keyward.test", Origin: "https://keyward.test"}

// on answers what a page asks a key to sign.
func (w *world) on(t testing.TB, b people.Begun) (link string, challenge []byte) {
	t.Helper()
	link = strings.TrimPrefix(b.URL, party.Origin+people.CeremonyPath)
	return link, must(w.people.Open(t.Context(), w.stranger(), link))(t).Challenge
}

// A user whose only second factor is a security key proves it on the page, for that login alone.
func TestSecurityKeyOfWhoIsVouchedFor(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	device := webauthntest.New(t, party, webauthn.ES256)
	first := must(w.login(t))(t)
	adding := must(w.people.AddKey(ctx, w.as(t, first), "blue"))(t)
	link, challenge := w.on(t, adding)
	made := device.Register(challenge)
	check(t, w.people.Answer(ctx, w.stranger(), link, people.Answer{Made: &made}))
	must(w.people.ConfirmKey(ctx, w.as(t, first), string(adding.Proof.Expose())))(t)

	asked := func() (federation.Finish, people.Begun) {
		t.Helper()
		in := w.begin(t)
		_, again, err := w.Finish(ctx, w.stranger(), in)
		wantKind(t, err, fault.MFARequired)
		var key *people.Wanted
		if !errors.As(err, &key) || key.Begun.HasApp || again == "" {
			t.Fatalf("asked is %+v", err)
		}
		in.Transaction, in.Code, in.MFACode = again, "", string(key.Begun.Proof.Expose())
		return in, key.Begun
	}
	use := func(b people.Begun) {
		t.Helper()
		link, challenge := w.on(t, b)
		a := device.Approve(challenge)
		check(t, w.people.Answer(ctx, w.stranger(), link, people.Answer{Approval: &a}))
	}
	in, _ := asked()
	_, err := w.finish(t, in)
	wantKind(t, err, fault.LoginFailed) // nobody used it yet
	in, b := asked()
	use(b)
	other, _ := asked()
	other.MFACode = string(b.Proof.Expose())
	_, err = w.finish(t, other)
	wantKind(t, err, fault.LoginFailed) // it is for another login
	issued := must(w.finish(t, in))(t)
	if !w.as(t, issued).Session.MFA {
		t.Error("the session does not know of the key")
	}
	_, err = w.finish(t, in)
	wantKind(t, err, fault.LoginFailed) // it was used
	records := w.records(t)
	told := map[string]bool{}
	for _, r := range records {
		told[r.Action+": "+r.Decision] = true
	}
	for _, want := range []string{"keyward:BeginProof: identity provider", "keyward:AnswerProof: security key", "keyward:Login: identity provider and security key"} {
		if !told[want] {
			t.Errorf("no record says %q", want)
		}
	}

	// A proof of such a login is none of one with a password, and ends with the sessions.
	initial := must(w.people.SetPassword(ctx, w.root(), "alice"))(t)
	in, b = asked()
	use(b)
	_, err = w.people.Login(ctx, w.stranger(), people.Attempt{
		Account: w.account, User: "alice", Password: initial.Password, NewPassword: material.NewBytes([]byte("fake horse battery staple")), Code: string(b.Proof.Expose()),
	})
	wantKind(t, err, fault.LoginFailed)
	check(t, w.people.EndSessions(ctx, w.root(), "alice"))
	_, err = w.finish(t, in)
	wantKind(t, err, fault.LoginFailed)
	in, b = asked()
	use(b)
	w.advance(people.CeremonyLife + time.Second)
	_, err = w.finish(t, in)
	wantKind(t, err, fault.LoginFailed)
}
