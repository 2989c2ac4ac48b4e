package tencent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/tencent"
	"github.com/keyward/keyward/internal/cloud/tencent/tencenttest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

var (
	list   = tencent.Operation{Service: "cam", Version: "2019-01-16", Action: "ListAccessKeys", Repeat: true}
	create = tencent.Operation{Service: "cam", Version: "2019-01-16", Action: "CreateAccessKey", Limit: 5}
)

type answer struct {
	AccessKeys []struct{ AccessKeyId string }
	AccessKey  struct{ AccessKeyId, SecretAccessKey string }
}

// canned answers every request alike.
func canned(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func refusal(code string) http.Handler {
	return canned(200, fmt.Sprintf(`{"Response":{"Error":{"Code":%q,"Message":"words\u001b[31m of the vendor"},"RequestId":"r-1"}}`, code))
}

func TestRefusalsBecomeFaults(t *testing.T) {
	for _, one := range []struct {
		code     string
		kind     fault.Kind
		says     string
		requests int
	}{
		{"AuthFailure.SecretIdNotFound", fault.InvalidParameter, "secret_id", 1},
		{"AuthFailure.InvalidSecretId", fault.InvalidParameter, "secret_id", 1},
		{"AuthFailure.SignatureFailure", fault.InvalidParameter, "secret_key", 1},
		{"AuthFailure.TokenFailure", fault.InvalidParameter, "token", 1},
		{"AuthFailure.MFAFailure", fault.InvalidParameter, "second factor", 1},
		{"AuthFailure.AccessKeyIllegal", fault.InvalidParameter, "secret_id", 1},
		{"AuthFailure.SignatureExpire", fault.Unavailable, "clock", 1},
		{"AuthFailure.UnauthorizedOperation", fault.InvalidParameter, `"action":["cam:ListAccessKeys"]`, 1},
		{"UnauthorizedOperation", fault.InvalidParameter, `"action":["cam:ListAccessKeys"]`, 1},
		{"UnauthorizedOperation.IpNotInWhitelist", fault.InvalidParameter, "address", 1},
		{"IpInBlacklist", fault.InvalidParameter, "address", 1},
		{"RequestLimitExceeded", fault.Throttled, "too often", 5},
		{"RequestLimitExceeded.UinLimitExceeded", fault.Throttled, "too often", 5},
		{"InternalError", fault.Unavailable, "InternalError: words[31m of the vendor", 5},
		{"InternalError.SystemError", fault.Unavailable, "try again", 5},
		{"FailedOperation.Accesskey", fault.Unavailable, "FailedOperation.Accesskey", 1},
		{"InvalidParameter.UserNotExist", fault.InvalidParameter, "UserNotExist", 1},
		{"RequestLimitExceededBy", fault.InvalidParameter, "RequestLimitExceededBy", 1}, // no code below RequestLimitExceeded
	} {
		t.Run(one.code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, refusal(one.code), tencenttest.Key{ID: "AKIDfake", Secret: "fake"})
				err := c.Call(t.Context(), list, struct{}{}, &answer{})
				if fault.KindOf(err) != one.kind || !strings.Contains(fault.Message(err), one.says) || c.Calls() != one.requests {
					t.Errorf("after %d requests %v", c.Calls(), err)
				}
				if code(err) != one.code || !strings.Contains(err.Error(), "(request r-1)") {
					t.Errorf("the cause is %v", err)
				}
			})
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"page": canned(200, "<html>"), "empty": canned(200, ""), "other object": canned(200, `{"a":1}`), "null": canned(200, `{"Response":null}`),
		"list": canned(200, `{"Response":[]}`), "no request id": canned(200, `{"Response":{"AccessKeys":[]}}`), "not found": canned(404, "no"),
		"redirect": canned(302, `{"Response":{"AccessKeys":[],"RequestId":"r"}}`), "bad gateway": canned(502, `{"Response":{"AccessKeys":[],"RequestId":"r"}}`),
		"huge":       canned(200, `{"Response":{"RequestId":"r","AccessKeys":[]}}`+strings.Repeat(" ", 8<<20)),
		"wrong type": canned(200, `{"Response":{"RequestId":"r","AccessKeys":"none"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, h, tencenttest.Key{ID: "AKIDfake", Secret: "fake"})
				if err := c.Call(t.Context(), list, struct{}{}, &answer{}); !fault.Is(err, fault.Unavailable) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// What is lost is sent again only if that does no harm; what was refused is sent again.
func TestWhatIsSentAgain(t *testing.T) {
	for _, one := range []struct {
		fault      cloudtest.Fault
		op         tencent.Operation
		fine       bool
		keys, sent int
	}{
		{cloudtest.LoseBefore, list, true, 0, 2}, {cloudtest.LoseAfter, list, true, 0, 2}, {cloudtest.Error500, list, true, 0, 2},
		{cloudtest.Error503, list, true, 0, 2}, {cloudtest.Garbage, list, true, 0, 2}, {cloudtest.Throttle, list, true, 0, 2},
		{cloudtest.LoseBefore, create, false, 0, 1}, {cloudtest.LoseAfter, create, false, 1, 1}, {cloudtest.Error500, create, false, 0, 1},
		{cloudtest.Error503, create, false, 0, 1}, {cloudtest.Garbage, create, false, 0, 1}, {cloudtest.Throttle, create, true, 1, 2},
		{cloudtest.Delay, list, false, 0, 5}, // each attempt longer than its time
	} {
		t.Run(fmt.Sprint(one.op.Action, one.fault), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := tencenttest.New(time.Now)
				cloud.AddAccount(account)
				cloud.AddUser(account, tencenttest.User{Uin: 1, Name: "a"})
				k := cloud.AddKey(1, tencenttest.Key{})
				faults := &cloudtest.Faults{Service: cloud, Wait: time.Minute}
				faults.Next(one.fault)
				if one.fault == cloudtest.Delay {
					faults.Next(one.fault, one.fault, one.fault, one.fault)
				}
				c := client(t, faults, k)
				err := c.Call(t.Context(), one.op, struct{}{}, &answer{})
				if (err == nil) != one.fine || c.Calls() != one.sent || len(cloud.Keys(account)) != 1+one.keys {
					t.Errorf("after %d requests there are %d keys: %v", c.Calls(), len(cloud.Keys(account)), err)
				}
				if err != nil && !fault.Is(err, fault.Unavailable) {
					t.Errorf("a %s: %v", fault.KindOf(err), err)
				}
			})
		})
	}
}

func TestContextEndsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := client(t, refusal("RequestLimitExceeded"), tencenttest.Key{ID: "AKIDfake", Secret: "fake"})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if err := c.Call(ctx, list, struct{}{}, &answer{}); !fault.Is(err, fault.Throttled) || time.Since(begun) > 100*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if err := c.Call(ctx, list, struct{}{}, &answer{}); !errors.Is(err, context.DeadlineExceeded) || !fault.Is(err, fault.Unavailable) || c.Calls() != 1 {
			t.Errorf("after the context's end: %v", err)
		}
	})
}

// What stands before the API may ask for patience; it is not waited for without end.
func TestRetryAfter(t *testing.T) {
	for asked, want := range map[string]time.Duration{"5": 5 * time.Second, "3600": 8 * time.Second, "-1": 0, "soon": 0} {
		synctest.Test(t, func(t *testing.T) {
			cloud, first := tencenttest.New(time.Now), true
			k := cloud.Populate(account, 1)
			c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if first {
					first = false
					w.Header().Set("Retry-After", asked)
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				cloud.ServeHTTP(w, r)
			}), k)
			begun := time.Now()
			err := c.Call(t.Context(), list, struct{}{}, &answer{})
			if took := time.Since(begun); err != nil || took < want || took > max(want, time.Second) {
				t.Errorf("asked for %s, it took %v: %v", asked, took, err)
			}
		})
	}
}

// A client alone never meets the limit, however many goroutines use it.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := tencenttest.New(time.Now)
		cloud.AddAccount(account)
		k := cloud.AddKey(account, tencenttest.Key{})
		c := client(t, cloud, k)
		begun, done := time.Now(), make(chan error)
		for range 10 {
			go func() {
				var err error
				for range 30 {
					err = errors.Join(err, c.Call(t.Context(), list, struct{}{}, &answer{}))
				}
				done <- err
			}()
		}
		for range 10 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if c.Calls() != 300 || time.Since(begun) < 15*time.Second || time.Since(begun) > 25*time.Second {
			t.Errorf("%d requests in %v", c.Calls(), time.Since(begun))
		}
	})
}

func TestHosts(t *testing.T) {
	for endpoint, want := range map[string]string{
		"":                                     "https://sts.tencentcloudapi.com/",
		"https://cam.tencentcloudapi.com":      "https://sts.tencentcloudapi.com/",
		"https://cam.intl.tencentcloudapi.com": "https://sts.intl.tencentcloudapi.com/",
		"https://proxy.example.com:8443/":      "https://proxy.example.com:8443/",
		"https://eviltencentcloudapi.com":      "https://eviltencentcloudapi.com/",
	} {
		var got string
		h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.String() })
		c, err := tencent.NewClient(tencent.Options{Endpoint: endpoint, Now: time.Now, HTTP: &http.Client{Transport: wire{h}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Call(t.Context(), tencent.Operation{Service: "sts", Action: "X"}, struct{}{}, nil); err == nil || got != want {
			t.Errorf("%q leads to %s: %v", endpoint, got, err)
		}
	}
}

func opening(settings map[string]string, id, key string, allow []netip.Prefix) accesskey.Opening {
	return accesskey.Opening{
		Filling: form.Filling{Settings: settings, Credential: map[string]material.Bytes{
			"secret_id": material.NewBytes([]byte(id)), "secret_key": material.NewBytes([]byte(key)),
		}},
		Now: time.Now, Allow: allow,
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, one := range []struct {
		settings      map[string]string
		id, key, says string
		allow         []netip.Prefix
	}{
		{settings: map[string]string{"endpoint": "cam.tencentcloudapi.com"}, says: "endpoint"},
		{settings: map[string]string{"endpoint": "https://u:p@a"}, says: "endpoint", allow: local},
		{settings: map[string]string{"endpoint": "https://a/path"}, says: "endpoint"},
		{settings: map[string]string{"endpoint": "https://a?x"}, says: "endpoint"},
		{settings: map[string]string{"endpoint": "ftp://a"}, says: "endpoint", allow: local},
		{settings: map[string]string{"endpoint": "http://a"}, says: "https://"},
		{settings: map[string]string{"region": "a b"}, says: "region"},
		{id: "AKID\n", says: "secret_id"}, {id: "AKID/x", says: "secret_id"}, {key: "fake ", says: "secret_key"}, {key: "fäke", says: "secret_key"},
	} {
		_, err := tencent.Kind().Open(opening(one.settings, one.id, one.key, one.allow))
		if !fault.Is(err, fault.InvalidParameter) || !strings.Contains(fault.Message(err), one.says) {
			t.Errorf("%+v: %v", one, err)
		}
	}
}

// Through the guard of outgoing connections, over a real network.
func TestOpenedProviderReachesWhatIsAllowed(t *testing.T) {
	cloud := tencenttest.New(time.Now)
	k := cloud.Populate(account, 3)
	server := httptest.NewServer(cloud)
	defer server.Close()
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	p, err := tencent.Kind().Open(opening(map[string]string{"endpoint": server.URL, "region": "ap-guangzhou"}, k.ID, k.Secret, local))
	if err != nil {
		t.Fatal(err)
	}
	who, err := p.Check(t.Context())
	if err != nil || who.Account != fmt.Sprint(account) || who.KeyID != k.ID || who.Root {
		t.Errorf("%+v, %v", who, err)
	}
	s, err := p.Observe(t.Context())
	if err != nil || len(s.Keys) != len(cloud.Keys(account)) {
		t.Errorf("%d keys of %d: %v", len(s.Keys), len(cloud.Keys(account)), err)
	}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	if p, err = tencent.Kind().Open(opening(map[string]string{"endpoint": server.URL}, k.ID, k.Secret, elsewhere)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Check(t.Context()); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(fault.Message(err), "endpoint") {
		t.Errorf("an address that is not allowed: %v", err)
	}
}

func TestForm(t *testing.T) {
	k := tencent.Kind()
	whole := form.Filling{
		Settings:   map[string]string{"region": "", "endpoint": ""},
		Credential: map[string]material.Bytes{"secret_id": material.NewBytes([]byte("a")), "secret_key": material.NewBytes([]byte("b")), "token": {}},
	}
	if err := k.Form.Check(whole); err != nil {
		t.Error(err)
	}
	if err := k.Form.Check(form.Filling{}); !fault.Is(err, fault.MissingParameter) {
		t.Errorf("an empty form: %v", err)
	}
	for _, f := range append(k.Form.Settings, k.Form.Credential...) {
		if f.Help.English == "" || f.Help.Chinese == "" {
			t.Errorf("%s has no help", f.Name)
		}
	}
	if diff := cmp.Diff([]any{"tencent", 2, true, 24 * time.Hour}, []any{k.Name, k.Capabilities.MaxKeys, k.Capabilities.Disable, k.Capabilities.UseLag}); diff != "" {
		t.Error(diff)
	}
}
