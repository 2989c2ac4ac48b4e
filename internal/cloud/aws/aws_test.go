package aws_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/aws"
	"github.com/keyward/keyward/internal/cloud/aws/awstest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

// direct carries requests to a handler without a network, so that time can be virtual.
type direct struct{ service http.Handler }

func (d direct) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			err = io.ErrUnexpectedEOF
		} else if p != nil {
			panic(p)
		}
	}()
	in := r.Clone(r.Context())
	in.Host = r.URL.Host
	w := httptest.NewRecorder()
	d.service.ServeHTTP(w, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

func opening(c awstest.Credential) accesskey.Opening {
	return accesskey.Opening{
		Filling: form.Filling{
			Settings: map[string]string{},
			Credential: map[string]material.Bytes{
				"access_key_id": material.NewBytes([]byte(c.ID)), "secret_access_key": material.NewBytes([]byte(c.Secret)),
			},
		},
		Now: time.Now,
	}
}

func open(t *testing.T, service http.Handler, in accesskey.Opening) accesskey.Provider {
	t.Helper()
	if err := aws.Kind().Form.Check(in.Filling); err != nil {
		t.Fatal(err)
	}
	p, err := aws.OpenWith(in, &http.Client{
		Transport: direct{service}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// virtual runs a test in virtual time, in 2026.
func virtual(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)))
		f(t)
	})
}

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

func TestObserve(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cloud := awstest.New(time.Now)
		cloud.SetRootMFA(true)
		cloud.AddPolicy(awstest.Administrator, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
		cloud.AddPolicy("arn:aws:iam::123456789012:policy/fence", `{"Statement":[]}`)
		cloud.AddGroup("ops", awstest.Group{
			Attached: []string{awstest.Administrator},
			Inline:   map[string]string{"deploy": `{"Statement":[{"Effect":"Allow","Action":["s3:*","ec2:Describe*"],"Resource":["*"]},{"Effect":"Allow","NotAction":"iam:*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*"}]}`},
		})
		alice := cloud.AddUser(awstest.User{
			Name: "alice,smith", Console: true, ConsoleAt: day(20), MFA: true, Groups: []string{"ops"},
			Boundary: "arn:aws:iam::123456789012:policy/fence",
			Tags:     map[string]string{"team": "pay\x1b[31m", "AKIA0000000000000002": "for the till"},
		}, day(1))
		first := cloud.AddKey("alice,smith", day(2))
		second := cloud.AddKey("alice,smith", day(3))
		cloud.Disable(second.ID, day(9))
		cloud.Use(first.ID, day(10).Add(time.Minute), "s3", "eu-west-1")
		cloud.Use(first.ID, day(10).Add(2*time.Minute), "ec2", "eu-west-1") // within 15 minutes: not told
		cloud.Use(first.ID, time.Now().Add(-time.Minute), "sns", "eu-west-1")
		root := cloud.AddKey(awstest.Root, day(5))
		cloud.Use(root.ID, day(6), "iam", "us-east-1")
		reader := cloud.Populate(0, aws.Kind().Policy)

		began := time.Now()
		got, err := open(t, cloud, opening(reader)).Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const lag, old = 15 * time.Minute, 4*time.Hour + 15*time.Minute
		never := accesskey.Use{Known: accesskey.No, Lag: lag}
		tags := map[string]string{"team": "pay[31m"}
		readerID := got.Principals[1].ID
		want := accesskey.Snapshot{
			Identity: accesskey.Identity{Account: "123456789012", Principal: "user/reader", KeyID: reader.ID},
			Principals: []accesskey.Principal{
				{ID: alice, Name: "alice,smith", Kind: accesskey.User, CreatedAt: day(1), Disabled: accesskey.No, Console: accesskey.Yes, ConsoleAt: day(20), ConsoleMFA: accesskey.Yes,
					Boundary: "fence", Grants: []accesskey.Grant{
						{Name: "AdministratorAccess", ID: awstest.Administrator, Via: "ops", Admin: true},
						{Name: "deploy", Via: "ops", Wide: []string{"*", "s3"}}}},
				{ID: readerID, Name: "reader", Kind: accesskey.User, CreatedAt: began.AddDate(0, 0, -1).UTC(), Disabled: accesskey.No, Console: accesskey.No, ConsoleMFA: accesskey.No,
					Grants: []accesskey.Grant{{Name: "keyward"}}},
				{ID: "123456789012", Name: "root", Kind: accesskey.Root, CreatedAt: began.UTC(), Disabled: accesskey.No, ConsoleMFA: accesskey.Yes},
			},
			Keys: []accesskey.Observed{
				{ID: first.ID, Principal: alice, Name: "for the till", Status: accesskey.Active, CreatedAt: day(2), ChangedAt: day(2), Tags: tags,
					Use: accesskey.Use{Known: accesskey.Yes, At: day(10).Add(time.Minute), Lag: lag, Service: "s3", Region: "eu-west-1"}},
				{ID: second.ID, Principal: alice, Status: accesskey.Inactive, CreatedAt: day(3), ChangedAt: day(9), Tags: tags, Use: never},
				{ID: reader.ID, Principal: readerID, Status: accesskey.Active, CreatedAt: began.AddDate(0, 0, -1).UTC(), ChangedAt: began.AddDate(0, 0, -1).UTC(), Use: never},
				{ID: "123456789012/root/1", Principal: "123456789012", Name: "root access key", Status: accesskey.Active, ChangedAt: day(5),
					Use:    accesskey.Use{Known: accesskey.Yes, At: day(6), Lag: old, Service: "iam", Region: "us-east-1"},
					Detail: map[string]string{"id": "told only to root; this is its place in the credential report"}},
			},
			Account: accesskey.Account{RootMFA: accesskey.Yes, RootKey: accesskey.Yes, Quota: 2, Detail: map[string]string{"password_policy": "none"}},
			Calls:   got.Calls,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if got.Calls != cloud.Count("") || got.Calls > 18 {
			t.Errorf("%d calls told, %d made", got.Calls, cloud.Count(""))
		}

		// Root sees the ids of its own keys.
		got, err = open(t, cloud, opening(root)).Observe(t.Context())
		if err != nil || !got.Identity.Root || len(got.Problems) > 0 || got.Keys[len(got.Keys)-1].ID != root.ID {
			t.Errorf("as root: %+v, %v", got, err)
		}
	})
}

func TestListsAreReadWhole(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cloud := awstest.New(time.Now)
		cloud.PageSize, cloud.Rate, cloud.Burst = 3, 4, 2 // slower than the client would like
		reader := cloud.Populate(40, aws.Kind().Policy)
		began := time.Now()
		got, err := open(t, cloud, opening(reader)).Observe(t.Context())
		if err != nil || len(got.Problems) > 0 {
			t.Fatalf("%+v, %v", got.Problems, err)
		}
		if diff := cmp.Diff(truth(cloud), told(got)); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(began); took < time.Duration(cloud.Count("ListAccessKeys"))*time.Second/4 {
			t.Errorf("%d calls took %s", got.Calls, took)
		}
	})
}

// truth is the keys of users with their states, told what a snapshot says of them.
func truth(c *awstest.Cloud) map[string]accesskey.Status {
	out := map[string]accesskey.Status{}
	for _, k := range c.Keys() {
		id := k.ID
		if k.User == awstest.Root {
			id = c.Account + "/root/1"
		}
		out[id] = accesskey.Inactive
		if k.Active {
			out[id] = accesskey.Active
		}
	}
	return out
}

func told(s accesskey.Snapshot) map[string]accesskey.Status {
	out := map[string]accesskey.Status{}
	for _, k := range s.Keys {
		out[k.ID] = k.Status
	}
	return out
}

// TestEveryRightIsNeeded holds that the printed policy is enough, that nothing in it is
// superfluous, and that what is missing is named.
func TestEveryRightIsNeeded(t *testing.T) {
	policy := aws.Kind().Policy
	rights := strings.Split(policy, `"iam:`)[1:]
	if len(rights) < 8 {
		t.Fatalf("found %d rights in %s", len(rights), policy)
	}
	for _, right := range rights {
		right, _, _ = strings.Cut(right, `"`)
		t.Run(right, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				cloud := awstest.New(time.Now)
				cut := strings.Replace(policy, `"iam:`+right+`"`, `"iam:None"`, 1)
				if right == "ListUsers" { // it is asked only instead of another
					cut = strings.Replace(cut, `"iam:GetAccountAuthorizationDetails"`, `"iam:None"`, 1)
				}
				reader := cloud.Populate(5, cut)
				got, err := open(t, cloud, opening(reader)).Observe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(got.Problems, func(p accesskey.Problem) bool { return p.What == "iam:"+right })
				if i < 0 {
					t.Fatalf("it is not among the problems: %+v", got.Problems)
				}
				p := got.Problems[i]
				if !p.Denied || !strings.Contains(p.Reason, `{"Effect":"Allow","Action":"iam:`+right+`","Resource":"*"}`) {
					t.Errorf("%+v", p)
				}
				if hidden := !cmp.Equal(truth(cloud), told(got)); hidden && !p.Lists {
					t.Errorf("keys are missing, and nothing tells so: %+v", got.Problems)
				}
				if limit := map[bool]int{true: 2, false: 1}[right == "ListUsers"]; len(got.Problems) > limit {
					t.Errorf("one missing right makes %d problems: %+v", len(got.Problems), got.Problems)
				}
			})
		})
	}
}

func TestCheck(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cloud := awstest.New(time.Now)
		reader := cloud.Populate(1, aws.Kind().Policy)
		got, err := open(t, cloud, opening(reader)).Check(t.Context())
		if diff := cmp.Diff(accesskey.Identity{Account: "123456789012", Principal: "user/reader", KeyID: reader.ID}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		late := opening(reader)
		late.Now = func() time.Time { return time.Now().Add(-20 * time.Minute) }
		page := func(status int, body string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "https://169.254.169.254/")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
		}
		refused := func(code, message string) http.Handler {
			return page(http.StatusForbidden, "<ErrorResponse><Error><Code>"+code+"</Code><Message>"+message+"</Message></Error></ErrorResponse>")
		}
		for name, one := range map[string]struct {
			service http.Handler
			opening accesskey.Opening
			kind    fault.Kind
			says    string
		}{
			"unknown key":      {cloud, opening(awstest.Credential{ID: "AKIA9999999999999999", Secret: "x"}), fault.InvalidParameter, "does not exist"},
			"wrong secret":     {cloud, opening(awstest.Credential{ID: reader.ID, Secret: "x"}), fault.InvalidParameter, "secret_access_key"},
			"wrong clock":      {cloud, late, fault.Unavailable, "-20m"},
			"expired token":    {refused("ExpiredToken", ""), opening(reader), fault.InvalidParameter, "session_token"},
			"explicit deny":    {refused("AccessDenied", "with an explicit deny in a service control policy"), opening(reader), fault.InvalidParameter, "must be lifted"},
			"another code":     {refused("OptInRequired", ""), opening(reader), fault.InvalidParameter, "OptInRequired"},
			"a hostile code":   {refused("Oops\x1b[31m "+reader.ID, ""), opening(reader), fault.InvalidParameter, "not by AWS"},
			"a proxy's page":   {page(407, "<html>log in</html>"), opening(reader), fault.InvalidParameter, "HTTP 407"},
			"another page":     {page(200, "<html></html>"), opening(reader), fault.Unavailable, "not AWS"},
			"an empty answer":  {page(200, "<GetCallerIdentityResponse/>"), opening(reader), fault.Unavailable, "not AWS"},
			"nobody":           {page(200, "<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>"), opening(reader), fault.Unavailable, "not AWS"},
			"a redirect":       {page(302, ""), opening(reader), fault.Unavailable, "redirects"},
			"throttling":       {page(429, ""), opening(reader), fault.Throttled, "throttles"},
			"a broken service": {page(503, ""), opening(reader), fault.Unavailable, "HTTP 503"},
			"a huge answer":    {page(200, strings.Repeat("x", 17<<20)), opening(reader), fault.Unavailable, "too long"},
		} {
			_, err := open(t, one.service, one.opening).Check(t.Context())
			if fault.KindOf(err) != one.kind || !strings.Contains(fault.Message(err), one.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	good := awstest.Credential{ID: "AKIA0000000000000001", Secret: "x"}
	for name, change := range map[string]func(*accesskey.Opening){
		"key id":            func(o *accesskey.Opening) { o.Credential["access_key_id"] = material.NewBytes([]byte("AKIA\r\nX: y")) },
		"region":            func(o *accesskey.Opening) { o.Settings["region"] = "evil.example/" },
		"endpoint's query":  func(o *accesskey.Opening) { o.Settings["endpoint"] = "https://aws.example/?x=y" },
		"endpoint's user":   func(o *accesskey.Opening) { o.Settings["endpoint"] = "https://a:b@aws.example" },
		"endpoint's scheme": func(o *accesskey.Opening) { o.Settings["endpoint"] = "file:///etc/passwd" },
	} {
		in := opening(good)
		change(&in)
		if _, err := aws.Kind().Open(in); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for region, want := range map[string][4]string{
		"us-east-1":      {"https://iam.amazonaws.com/", "us-east-1", "https://sts.us-east-1.amazonaws.com/", "us-east-1"},
		"eu-west-3":      {"https://iam.amazonaws.com/", "us-east-1", "https://sts.eu-west-3.amazonaws.com/", "eu-west-3"},
		"cn-northwest-1": {"https://iam.cn-north-1.amazonaws.com.cn/", "cn-north-1", "https://sts.cn-northwest-1.amazonaws.com.cn/", "cn-northwest-1"},
		"us-gov-east-1":  {"https://iam.us-gov.amazonaws.com/", "us-gov-west-1", "https://sts.us-gov-east-1.amazonaws.com/", "us-gov-east-1"},
	} {
		if diff := cmp.Diff(want, aws.Endpoints(region)); diff != "" {
			t.Errorf("%s: %s", region, diff)
		}
	}
}

// TestNetwork goes over a socket, through the guard of outgoing connections.
func TestNetwork(t *testing.T) {
	cloud := awstest.New(time.Now)
	cloud.ReportTakes = 0
	reader := cloud.Populate(2, aws.Kind().Policy)
	server := httptest.NewServer(cloud)
	defer server.Close()
	in := opening(reader)
	in.Settings["endpoint"] = server.URL
	p, err := aws.Kind().Open(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Check(t.Context()); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(fault.Message(err), "operator") {
		t.Errorf("the guard let it pass: %v", err)
	}
	in.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	if p, err = aws.Kind().Open(in); err != nil {
		t.Fatal(err)
	}
	got, err := p.Check(t.Context())
	if err != nil || got.Account != cloud.Account {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCanary has a service that says back all that it was sent, in every place.
func TestCanary(t *testing.T) {
	const secret, token = "canarysecretcanarysecret", "canarytokencanarytoken"
	in := opening(awstest.Credential{ID: "AKIA0000000000000001", Secret: secret})
	in.Credential["session_token"] = material.NewBytes([]byte(token))
	for _, status := range []int{200, 302, 400, 403, 429, 500} {
		virtual(t, func(t *testing.T) {
			var saw string
			known := false
			p := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				saw = fmt.Sprint(r.Header)
				if strings.Contains(saw, secret) {
					t.Error("the secret was sent")
				}
				if body, _ := io.ReadAll(r.Body); known && strings.Contains(string(body), "GetCallerIdentity") {
					_, _ = io.WriteString(w, "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account><Arn>arn:aws:iam::1:user/x</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>")
					return
				}
				w.WriteHeader(status)
				_, _ = fmt.Fprintf(w, "<ErrorResponse><Error><Code>%[1]s</Code><Message>%[1]s</Message></Error></ErrorResponse>", strings.ReplaceAll(saw, "&", ""))
			}), in)
			_, err := p.Check(t.Context())
			if err == nil || !strings.Contains(saw, token) {
				t.Fatalf("%v; the service saw %s", err, saw)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if s := fmt.Sprintf("%+v %#v", e, e); strings.Contains(s, "canary") {
					t.Errorf("HTTP %d: %s", status, s)
				}
			}
			known = true
			got, err := p.Observe(t.Context())
			if s := fmt.Sprintf("%+v %v", got, err); err != nil || len(got.Problems) < 3 || strings.Contains(s, "canary") {
				t.Errorf("HTTP %d: %s", status, s)
			}
		})
	}
}

func TestContextEnds(t *testing.T) {
	virtual(t, func(t *testing.T) {
		cloud := awstest.New(time.Now)
		reader := cloud.Populate(500, aws.Kind().Policy)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		_, err := open(t, cloud, opening(reader)).Observe(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 21*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// TestDocumentedPolicy holds that the page shows the policy that is printed.
func TestDocumentedPolicy(t *testing.T) {
	page, err := os.ReadFile("../../../docs/providers/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```json\n"+aws.Kind().Policy+"\n```") {
		t.Errorf("docs/providers/aws.md shows another policy than\n%s", aws.Kind().Policy)
	}
}
