package federation_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cloud/openid/openidtest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/store/storetest"
)

// Who logs in at the provider has a session as any other: it is listed, and whatever ends
// those of a password ends it; so does whatever takes the provider's word away.
func TestWhatEndsASession(t *testing.T) {
	storetest.Each(t, func(t *testing.T, database string) {
		w := startWorld(t, database)
		ctx := t.Context()
		i := must(w.login(t))(t)
		if who := w.as(t, i); who.ARN() != "acs:ram::"+w.account+":user/alice" || !who.Session.Person || who.Session.MFA || who.Session.Vouched {
			t.Errorf("the session is of %s: %+v", who.ARN(), who.Session)
		}
		p := must(w.people.Profile(ctx, w.root(), "alice"))(t)
		if len(p.Sessions) != 1 || p.Sessions[0].Provider != "corp" || p.Sessions[0].Source != "192.0.2.7" || len(p.Password) != 0 {
			t.Errorf("listed is %+v", p)
		}
		no, yes := false, true
		for name, c := range map[string]struct{ end, back func() error }{
			"logout":   {func() error { return w.people.Logout(ctx, w.as(t, i)) }, nil},
			"ended":    {func() error { return w.people.EndSessions(ctx, w.root(), "alice") }, nil},
			"unlinked": {func() error { return w.Unlink(ctx, w.root(), "corp", "alice") }, func() error { _, err := w.Link(ctx, w.root(), "corp", "alice", subject); return err }},
			"disabled": {func() error {
				_, err := w.iam.UpdateUser(ctx, w.root(), "alice", iam.UserChange{Enabled: &no})
				return err
			}, func() error {
				_, err := w.iam.UpdateUser(ctx, w.root(), "alice", iam.UserChange{Enabled: &yes})
				return err
			}},
			"no corp": {func() error { return w.DeleteProvider(ctx, w.root(), "corp") }, func() error { w.add(t, ""); _, err := w.Link(ctx, w.root(), "corp", "alice", subject); return err }},
			"expired": {func() error { w.advance(time.Hour); return nil }, nil},
			"user gone": {func() error { return w.iam.DeleteUser(ctx, w.root(), "alice") }, func() error {
				_, err := w.iam.CreateUser(ctx, w.root(), "alice", "")
				return errors.Join(err, relink(ctx, w))
			}},
		} {
			i = must(w.login(t))(t)
			check(t, c.end())
			if !w.over(t, i) {
				t.Errorf("%s: the session goes on", name)
			}
			if c.back == nil {
				continue
			}
			begun := w.begin
			if name == "no corp" {
				begun = func(testing.TB) federation.Finish { return federation.Finish{} }
			}
			if _, err := w.finish(t, begun(t)); !fault.Is(err, fault.LoginFailed) {
				t.Errorf("%s: a new login: %v", name, err)
			}
			check(t, c.back())
		}
		must(w.login(t))(t)
	})
}

// relink links a user who was made anew, and was not linked any more.
func relink(ctx context.Context, w *world) error {
	shown, err := w.Show(ctx, w.root(), "corp")
	if err != nil || len(shown.Links) != 0 {
		return fmt.Errorf("a link outlives its user: %+v, %w", shown.Links, err)
	}
	_, err = w.Link(ctx, w.root(), "corp", "alice", subject)
	return err
}

// A transaction serves who began it, once, in time, for the provider that it was begun with.
func TestTransactions(t *testing.T) {
	w := newWorld(t)
	mallory := w.begin(t)
	for name, change := range map[string]func(f *federation.Finish){
		"another state":             func(f *federation.Finish) { f.State = mallory.State },
		"no state":                  func(f *federation.Finish) { f.State = "" },
		"another verifier":          func(f *federation.Finish) { f.Verifier = "b" + verifier[1:] },
		"no verifier":               func(f *federation.Finish) { f.Verifier = "" },
		"the challenge as verifier": func(f *federation.Finish) { f.Verifier = challenge() },
		"another's transaction":     func(f *federation.Finish) { f.Transaction = mallory.Transaction },
		"another's code":            func(f *federation.Finish) { f.Code = mallory.Code }, // injected into this login: its nonce tells
		"another's everything":      func(f *federation.Finish) { f.Code, f.State = mallory.Code, mallory.State },
		"another issuer":            func(f *federation.Finish) { f.Issuer = "https://evil.example.com" },
		"no transaction":            func(f *federation.Finish) { f.Transaction = "" },
		"a part of a transaction":   func(f *federation.Finish) { f.Transaction = f.Transaction[:len(f.Transaction)-4] },
		"a changed transaction":     func(f *federation.Finish) { f.Transaction = f.Transaction[:20] + "AAAA" + f.Transaction[24:] },
		"a transaction with a line": func(f *federation.Finish) { f.Transaction = f.Transaction[:20] + "\n" + f.Transaction[20:] },
		"too late":                  func(*federation.Finish) { w.advance(federation.Patience) },
		"a provider made anew": func(*federation.Finish) {
			check(t, w.DeleteProvider(t.Context(), w.root(), "corp"))
			w.add(t, "")
			must(w.Link(t.Context(), w.root(), "corp", "alice", subject))(t)
		},
	} {
		in := w.begin(t)
		change(&in)
		before := len(w.records(t))
		issued, err := w.finish(t, in)
		wantKind(t, err, fault.LoginFailed)
		if left := w.records(t)[before:]; len(left) != 1 || left[0].Action != "keyward:Login" || left[0].Result != "LoginFailed" {
			t.Errorf("%s left %+v", name, left)
		}
		if issued.Token != "" || issued.Secret.Len() != 0 {
			t.Errorf("%s: there are credentials", name)
		}
	}
	if p := must(w.people.Profile(t.Context(), w.root(), "alice"))(t); len(p.Sessions) != 0 {
		t.Errorf("there are sessions: %+v", p.Sessions)
	}
}

// A transaction and its code serve once, even with a provider that takes codes again, and
// whoever races.
func TestOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, database string) {
		w := startWorld(t, database)
		in := w.begin(t)
		var done atomic.Int32
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := w.finish(t, in); err == nil {
					done.Add(1)
				} else {
					wantKind(t, err, fault.LoginFailed)
				}
			})
		}
		all.Wait()
		if done.Load() != 1 || w.provider.Hits("/token") != 1 {
			t.Errorf("%d of ten logged in, %d codes went out", done.Load(), w.provider.Hits("/token"))
		}
	})
}

// Nobody is taken for another by a name that looks or sounds the same.
func TestTricksWithNames(t *testing.T) {
	w := newWorld(t)
	must(w.iam.CreateUser(t.Context(), w.root(), "bob", ""))(t)
	must(w.Link(t.Context(), w.root(), "corp", "bob", "bob@example.com"))(t)
	for _, value := range []string{
		"Bob@example.com", "BOB@EXAMPLE.COM", "bob@example.com ", " bob@example.com", "bob@example.com\x00", "bob@example.com\n", "ｂob@example.com", "bоb@example.com",
		"bob@example.com\u200b", "bob\u202e@example.com", "bob@еxample.com", "bob", "bob@example.com@evil.example.com", "%", "bob%40example.com", "admin", "root", "' OR '1'='1",
		"ﬁ", "e\u0301", strings.Repeat("a", 256), "\ufffd",
	} {
		w.provider.Person(openidtest.Claims{"sub": value})
		if _, err := w.login(t); !fault.Is(err, fault.LoginFailed) {
			t.Errorf("%q: %v", value, err)
		}
		if _, err := w.Link(t.Context(), w.root(), "corp", "admin", value); err == nil && w.Unlink(t.Context(), w.root(), "corp", "admin") != nil {
			t.Errorf("%q is linked for good", value)
		}
	}
	w.provider.Person(openidtest.Claims{"sub": "bob@example.com"})
	if i := must(w.login(t))(t); i.Principal.Name != "bob" {
		t.Errorf("bob is %s", i.Principal.Name)
	}
}

// Whoever tries codes without end waits longer and longer, and the provider hears nothing of
// it; others do not wait.
func TestGuesses(t *testing.T) {
	w := newWorld(t)
	var err error
	tried := 0
	for ; tried < 100; tried++ {
		in := w.begin(t)
		in.Code = "guessed"
		if _, err = w.finish(t, in); !fault.Is(err, fault.LoginFailed) {
			break
		}
	}
	if !fault.Is(err, fault.Throttled) || tried != 50 || w.provider.Hits("/token") != 50 {
		t.Errorf("after %d attempts: %v; the provider heard of %d", tried, err, w.provider.Hits("/token"))
	}
	call := w.stranger()
	call.Source = netip.MustParseAddr("198.51.100.1")
	if _, _, err := w.Finish(t.Context(), call, w.begin(t)); err != nil {
		t.Errorf("alice, from elsewhere: %v", err)
	}
}

// Whom nobody is linked with and who is disabled get one answer; the audit log tells an
// administrator what to link.
func TestOneAnswer(t *testing.T) {
	w := newWorld(t)
	no := false
	must(w.iam.UpdateUser(t.Context(), w.root(), "alice", iam.UserChange{Enabled: &no}))(t)
	_, disabled := w.login(t)
	w.provider.Person(openidtest.Claims{"sub": "00u-nobody"})
	_, unknown := w.login(t)
	if disabled == nil || unknown == nil || fault.Message(disabled) != fault.Message(unknown) {
		t.Errorf("%v\n%v", disabled, unknown)
	}
	all := w.records(t)
	last := all[len(all)-1]
	if last.Account != w.account || last.Params["Claim"] != "00u-nobody" || last.Params["IdentityProvider"] != "corp" || last.Resource != "" {
		t.Errorf("the record is %+v", last)
	}
}

// Strangers learn neither accounts nor providers, and begin nothing that comes back elsewhere
// than to the machine where they are.
func TestBegin(t *testing.T) {
	w := newWorld(t)
	begin := func(in federation.Start) error {
		_, err := w.Begin(t.Context(), w.stranger(), in)
		return err
	}
	before := len(w.records(t))
	check(t, begin(federation.Start{Account: "example", Provider: "corp", Redirect: home, Challenge: challenge()}))
	check(t, begin(federation.Start{Account: w.account, Redirect: "http://[::1]:1/callback", Challenge: challenge()}))
	if n := len(w.records(t)); n != before {
		t.Errorf("beginning left %d records", n-before)
	}
	account := begin(federation.Start{Account: "other", Provider: "corp", Redirect: home, Challenge: challenge()})
	provider := begin(federation.Start{Provider: "other", Redirect: home, Challenge: challenge()})
	if !fault.Is(account, fault.ResourceNotFound) || !fault.Is(provider, fault.ResourceNotFound) || fault.Message(account) != fault.Message(provider) {
		t.Errorf("%v\n%v", account, provider)
	}
	for _, redirect := range []string{
		"", "http://127.0.0.1/callback", "http://127.0.0.1:0/callback", "https://127.0.0.1:8400/callback", "http://localhost:8400/callback", "http://127.0.0.1:8400/", "http://127.0.0.1:8400/callback/",
		"http://127.0.0.1:8400/callback?x=1", "http://127.0.0.1:8400/callback#x", "http://u@127.0.0.1:8400/callback", "http://127.0.0.2:8400/callback", "http://127.0.0.1:08400/callback",
		"http://[::ffff:127.0.0.1]:8400/callback", "http://192.0.2.1:8400/callback", "http://evil.example.com/callback", "http://127.0.0.1:8400@evil.example.com/callback", "http://127.0.0.1:8400/../callback",
		"HTTP://127.0.0.1:8400/callback", "http://127.0.0.1:65536/callback", "keyward://callback", "http://[::1%25lo]:8400/callback",
	} {
		if err := begin(federation.Start{Redirect: redirect, Challenge: challenge()}); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("coming back to %q: %v", redirect, err)
		}
	}
	for _, c := range []string{"", "short", challenge() + "=", challenge()[:42] + "_", strings.Repeat("+", 43), challenge()[:20] + "\n" + challenge()[20:42]} {
		if err := begin(federation.Start{Redirect: home, Challenge: c}); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("the challenge %q: %v", c, err)
		}
	}
}

// A second factor of keyward's own is asked for here, whatever the provider vouches for; one
// that the provider vouches for is no proof for what is dangerous.
func TestSecondFactors(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	check(t, w.iam.AttachPolicy(ctx, w.root(), "alice", "AdministratorAccess"))
	dangerous := func(i role.Issued, code string) error {
		call := w.as(t, i)
		if code != "" {
			if err := w.people.Prove(ctx, call, code); err != nil {
				return err
			}
		}
		return w.iam.DetachPolicy(ctx, call, "alice", "AdministratorAccess")
	}
	check(t, w.DeleteProvider(ctx, w.root(), "corp"))
	w.add(t, "amr")
	must(w.Link(ctx, w.root(), "corp", "alice", subject))(t)
	w.provider.Person(openidtest.Claims{"sub": subject, "amr": []string{"mfa"}})
	vouched := must(w.login(t))(t)
	if s := w.as(t, vouched).Session; s.MFA || !s.Vouched {
		t.Errorf("the session is %+v", s)
	}
	wantKind(t, dangerous(vouched, ""), fault.MFANotSetUp)

	// Who stole the session can set one up, but not log in with it.
	code, recovery := w.enroll(t, vouched)
	wantKind(t, dangerous(vouched, ""), fault.MFANotSetUp)
	wantKind(t, dangerous(vouched, code()), fault.MFANotSetUp)

	in := w.begin(t)
	_, again, err := w.Finish(ctx, w.stranger(), in)
	wantKind(t, err, fault.MFARequired)
	_, _, err = w.Finish(ctx, w.stranger(), in)
	wantKind(t, err, fault.LoginFailed) // that one was used
	in.Transaction, in.Code = again, ""
	for _, wrong := range []string{"000000", "", "x", strings.Repeat("1", 300)} {
		in.MFACode = wrong
		_, _, err := w.Finish(ctx, w.stranger(), in)
		if err == nil {
			t.Errorf("the code %q serves", wrong)
		}
	}
	w.advance(time.Minute)
	in.MFACode = code()
	stolen := in
	stolen.Verifier = "b" + verifier[1:]
	_, err = w.finish(t, stolen)
	wantKind(t, err, fault.LoginFailed)
	own := must(w.finish(t, in))(t)
	if s := w.as(t, own).Session; !s.MFA || !s.Vouched {
		t.Errorf("the session is %+v", s)
	}
	_, err = w.finish(t, in) // the code was used
	wantKind(t, err, fault.LoginFailed)
	wantKind(t, dangerous(own, ""), fault.MFARequired)

	in = w.begin(t)
	in.MFACode = string(recovery[0].Expose())
	must(w.finish(t, in))(t)
	if all := w.records(t); all[len(all)-1].Decision != "identity provider and its second factor and recovery code" {
		t.Errorf("the record says %q", all[len(all)-1].Decision)
	}
	in = w.begin(t)
	in.MFACode = string(recovery[0].Expose())
	_, err = w.finish(t, in)
	wantKind(t, err, fault.LoginFailed)

	w.advance(time.Minute)
	check(t, dangerous(own, code()))
}

// A login that waits for a code ends with the first one that serves, and with whatever ends
// sessions or changes factors.
func TestWhatEndsTheWaitForACode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, database string) {
		w := startWorld(t, database)
		ctx := t.Context()
		_, recovery := w.enroll(t, must(w.login(t))(t))
		wait := func() federation.Finish {
			in := w.begin(t)
			_, again, err := w.Finish(ctx, w.stranger(), in)
			wantKind(t, err, fault.MFARequired)
			in.Transaction, in.Code = again, ""
			return in
		}
		next := func() string {
			code := string(recovery[0].Expose())
			recovery = recovery[1:]
			return code
		}
		sessions := func() int { return len(must(w.people.Profile(ctx, w.root(), "alice"))(t).Sessions) }

		in := wait()
		before := sessions()
		var all sync.WaitGroup
		for range 4 {
			mine := in
			mine.MFACode = next()
			all.Go(func() { _, _ = w.finish(t, mine) })
		}
		all.Wait()
		if n := sessions() - before; n != 1 {
			t.Errorf("four codes began %d sessions", n)
		}
		no, yes := false, true
		for name, end := range map[string]func() error{
			"another login": func() error { in := w.begin(t); in.MFACode = next(); _, err := w.finish(t, in); return err },
			"ended":         func() error { return w.people.EndSessions(ctx, w.root(), "alice") },
			"disabled": func() error {
				_, off := w.iam.UpdateUser(ctx, w.root(), "alice", iam.UserChange{Enabled: &no})
				_, on := w.iam.UpdateUser(ctx, w.root(), "alice", iam.UserChange{Enabled: &yes})
				return errors.Join(off, on)
			},
		} {
			in := wait()
			check(t, end())
			in.MFACode = next()
			if _, err := w.finish(t, in); !fault.Is(err, fault.LoginFailed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		in = wait()
		check(t, w.people.RemoveMFA(ctx, w.root(), "alice", ""))
		if _, err := w.finish(t, in); !fault.Is(err, fault.LoginFailed) || sessions() != 0 {
			t.Errorf("without a code: %v", err)
		}
	})
}

// A role that is assumed with a session knows what the session's second factor was.
func TestRolesKnow(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	check(t, w.iam.AttachPolicy(ctx, w.root(), "alice", "AdministratorAccess"))
	trust := `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::` + w.account + `:root"]},"Condition":{"Bool":{"acs:MFAPresent":"true"}}}]}`
	must(w.roles.CreateRole(ctx, w.root(), role.NewRole{Name: "deployer", Trust: trust}))(t)
	assume := func(i role.Issued) (role.Issued, error) {
		return w.roles.AssumeRole(ctx, w.as(t, i), role.Assumption{Role: "deployer", Session: "one"})
	}
	_, err := assume(must(w.login(t))(t))
	wantKind(t, err, fault.NoPermission)
	check(t, w.DeleteProvider(ctx, w.root(), "corp"))
	w.add(t, "acr=strong")
	must(w.Link(ctx, w.root(), "corp", "alice", subject))(t)
	w.provider.Person(openidtest.Claims{"sub": subject, "acr": "strong"})
	i := must(w.login(t))(t)
	acting := must(assume(i))(t)
	if s := w.as(t, acting).Session; s.MFA || !s.Vouched || !s.Person {
		t.Errorf("the role's session is %+v", s)
	}
	check(t, w.Unlink(ctx, w.root(), "corp", "alice"))
	if !w.over(t, acting) {
		t.Error("the role's session outlives the link")
	}
}

// Adding a provider gives no power, linking a user takes what making an access key for the
// user takes, and nobody links root.
func TestPower(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	document := `{"Version":"1","Statement":[{"Effect":"Allow","Action":["ram:CreateOIDCProvider","ram:DeleteOIDCProvider","keyward:*"],"Resource":"*"}]}`
	must(w.iam.CreateUser(ctx, w.root(), "mallory", ""))(t)
	must(w.iam.CreatePolicy(ctx, w.root(), iam.NewPolicy{Name: "sso", Document: document}))(t)
	check(t, w.iam.AttachPolicy(ctx, w.root(), "mallory", "sso"))
	mallory := w.call(must(w.iam.Acting(ctx, w.account, "mallory"))(t))
	must(w.CreateProvider(ctx, mallory, federation.NewProvider{Name: "evil", Issuer: w.provider.URL, ClientID: openidtest.ClientID}))(t)
	check(t, w.iam.AttachPolicy(ctx, w.root(), "alice", "AdministratorAccess"))
	for _, victim := range []string{"alice", "admin", "root"} {
		_, err := w.Link(ctx, mallory, "evil", victim, subject)
		wantKind(t, err, fault.NoPermission)
	}
	must(w.Link(ctx, mallory, "evil", "mallory", subject))(t)
	_, err := w.Link(ctx, w.root(), "corp", "root", "00u-root")
	wantKind(t, err, fault.UnsupportedOperation)
	_, err = w.Link(ctx, w.root(), "corp", "nobody", "00u")
	wantKind(t, err, fault.ResourceNotFound)
	_, err = w.Link(ctx, w.root(), "none", "alice", "00u")
	wantKind(t, err, fault.ResourceNotFound)
	for _, c := range []struct{ user, value string }{{"alice", "00u-second"}, {"admin", subject}} {
		_, err = w.Link(ctx, w.root(), "corp", c.user, c.value)
		wantKind(t, err, fault.ResourceExists)
	}
	wantKind(t, w.Unlink(ctx, w.root(), "corp", "admin"), fault.ResourceNotFound)

	// A provider of the same name has nobody's links.
	check(t, w.DeleteProvider(ctx, mallory, "corp"))
	must(w.CreateProvider(ctx, mallory, federation.NewProvider{Name: "corp", Issuer: w.provider.URL, ClientID: openidtest.ClientID}))(t)
	check(t, w.DeleteProvider(ctx, mallory, "evil"))
	_, err = w.login(t)
	wantKind(t, err, fault.LoginFailed)

	nobody := w.call(authz.Principal{Account: w.account, Kind: authz.User, Name: "nobody"})
	_, list := w.Providers(ctx, nobody)
	_, show := w.Show(ctx, nobody, "corp")
	_, create := w.CreateProvider(ctx, nobody, federation.NewProvider{Name: "x"})
	for _, err := range []error{list, show, create, w.DeleteProvider(ctx, nobody, "corp"), w.Unlink(ctx, nobody, "corp", "alice")} {
		wantKind(t, err, fault.NoPermission)
	}
}

// What cannot work is not added, and what is sealed opens for its provider only.
func TestProviders(t *testing.T) {
	w := newWorld(t)
	good := federation.NewProvider{Name: "good", Issuer: w.provider.URL, ClientID: "c", Claim: "email", MFA: "acr=phr"}
	for name, c := range map[string]struct {
		change func(p *federation.NewProvider)
		want   fault.Kind
	}{
		"taken":        {func(p *federation.NewProvider) { p.Name = "corp" }, fault.ResourceExists},
		"a name":       {func(p *federation.NewProvider) { p.Name = "Corp" }, fault.InvalidParameter},
		"no issuer":    {func(p *federation.NewProvider) { p.Issuer = "" }, fault.InvalidParameter},
		"a long one":   {func(p *federation.NewProvider) { p.Issuer = "https://" + strings.Repeat("a", 600) }, fault.InvalidParameter},
		"a slash more": {func(p *federation.NewProvider) { p.Issuer += "/" }, fault.Unavailable},
		"no client":    {func(p *federation.NewProvider) { p.ClientID = "" }, fault.InvalidParameter},
		"no claim":     {func(p *federation.NewProvider) { p.Claim = "a b" }, fault.InvalidParameter},
		"no factor":    {func(p *federation.NewProvider) { p.MFA = "acr=" }, fault.InvalidParameter},
		"mfa":          {func(p *federation.NewProvider) { p.MFA = "mfa" }, fault.InvalidParameter},
		"a long key":   {func(p *federation.NewProvider) { p.Secret = material.NewBytes(make([]byte, 1025)) }, fault.InvalidParameter},
	} {
		in := good
		c.change(&in)
		if _, err := w.CreateProvider(t.Context(), w.root(), in); !fault.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, issuer := range []string{"example.com", "ftp://example.com", "https://u@example.com", "https://example.com?x=1", "https://example.com?", "https://example.com/#x", "https://", "javascript:alert(1)"} {
		in := good
		in.Issuer = issuer
		if _, err := w.CreateProvider(t.Context(), w.root(), in); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("the issuer %q: %v", issuer, err)
		}
	}
	all := must(w.Providers(t.Context(), w.root()))(t)
	if len(all) != 1 || strings.Contains(string(all[0].Secret), openidtest.Secret) {
		t.Fatalf("there is %+v", all)
	}
	check(t, w.Inspect(t.Context(), all[0]))
	all[0].Issuer = "https://evil.example.com"
	if w.Inspect(t.Context(), all[0]) == nil {
		t.Error("the secret opens for another issuer")
	}
	for n := range federation.MaxProviders - 1 {
		in := good
		in.Name = fmt.Sprint("more-", n)
		must(w.CreateProvider(t.Context(), w.root(), in))(t)
	}
	_, err := w.CreateProvider(t.Context(), w.root(), good)
	wantKind(t, err, fault.LimitExceeded)
}

// No record and no error has what a login is made of.
func TestNothingSecretIsTold(t *testing.T) {
	w := newWorld(t)
	in := w.begin(t)
	issued := must(w.finish(t, in))(t)
	w.provider.Do(openidtest.Wrong{Claims: func(c openidtest.Claims) { c["nonce"] = "other" }})
	failed := w.begin(t)
	_, err := w.finish(t, failed)
	for _, issuer := range []string{"https://bot:fake-password@sso.example.com", "https://sso.example.com/?token=fake-password", "https://bot:fake-password@%zz"} {
		_, refused := w.CreateProvider(t.Context(), w.root(), federation.NewProvider{Name: "typed", Issuer: issuer, ClientID: "c"})
		wantKind(t, refused, fault.InvalidParameter)
		err = errors.Join(err, refused)
	}
	text := fmt.Sprintf("%+v %v", w.records(t), err)
	for _, secret := range []string{in.Code, in.Transaction, verifier, failed.Code, failed.State, openidtest.Secret, string(issued.Secret.Expose()), issued.Token, "fake-access-token", "fake-password"} {
		if strings.Contains(text, secret) {
			t.Errorf("told is %s", secret)
		}
	}
}
