package alibaba_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/alibaba/alibabatest"
	"github.com/keyward/keyward/internal/cloud/alibaba/rpc"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// who is the operation that needs no right.
func who() rpc.Operation {
	return rpc.Operation{Endpoint: "https://sts.aliyuncs.com", Version: "2015-04-01", Action: "GetCallerIdentity"}
}

func TestWhatIsTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		faults []cloudtest.Fault
		once   bool
		calls  int
		want   fault.Kind // "" for success
	}{
		"nothing wrong":          {nil, false, 1, ""},
		"lost before":            {[]cloudtest.Fault{cloudtest.LoseBefore}, false, 2, ""},
		"lost after":             {[]cloudtest.Fault{cloudtest.LoseAfter}, false, 2, ""},
		"doubled":                {[]cloudtest.Fault{cloudtest.Double}, false, 2, ""}, // the answer is that the nonce was used
		"late":                   {[]cloudtest.Fault{cloudtest.Delay}, false, 2, ""},
		"500":                    {[]cloudtest.Fault{cloudtest.Error500}, false, 2, ""},
		"503":                    {[]cloudtest.Fault{cloudtest.Error503, cloudtest.Error503}, false, 3, ""},
		"throttled":              {[]cloudtest.Fault{cloudtest.Throttle}, false, 2, ""},
		"garbage":                {[]cloudtest.Fault{cloudtest.Garbage}, false, 2, ""},
		"throttled for ever":     {sixOf(cloudtest.Throttle), false, 6, fault.Throttled},
		"broken for ever":        {sixOf(cloudtest.Error500), false, 6, fault.Unavailable},
		"once: lost before":      {[]cloudtest.Fault{cloudtest.LoseBefore}, true, 1, fault.Unavailable},
		"once: lost after":       {[]cloudtest.Fault{cloudtest.LoseAfter}, true, 1, fault.Unavailable},
		"once: doubled":          {[]cloudtest.Fault{cloudtest.Double}, true, 1, fault.Unavailable},
		"once: 500":              {[]cloudtest.Fault{cloudtest.Error500}, true, 1, fault.Unavailable},
		"once: throttled, again": {[]cloudtest.Fault{cloudtest.Throttle}, true, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults := &cloudtest.Faults{Service: cloud(company(), alibabatest.Config{}), Wait: time.Minute}
				faults.Next(test.faults...)
				c := clientOf(faults, credential())
				op := who()
				op.Once = test.once
				var out struct{ AccountId string }
				err := c.Call(t.Context(), op, &out)
				if fault.KindOf(err) != test.want || c.Calls() != test.calls {
					t.Errorf("%d calls, want %d; error %v, want %q", c.Calls(), test.calls, err, test.want)
				}
				if err == nil && out.AccountId != account {
					t.Errorf("the answer is %+v", out)
				}
			})
		})
	}
}

func sixOf(f cloudtest.Fault) []cloudtest.Fault { return []cloudtest.Fault{f, f, f, f, f, f} }

// Pauses grow, and the time that the caller gives is kept.
func TestRetriesEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := &cloudtest.Faults{Service: http.NotFoundHandler(), Rate: 1, Only: []cloudtest.Fault{cloudtest.Throttle}}
		faults.Seed(1)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		err := clientOf(faults, credential()).Call(ctx, who(), &struct{}{})
		if !fault.Is(err, fault.Throttled) || time.Since(begin) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		begin = time.Now()
		err = clientOf(faults, credential()).Call(t.Context(), who(), &struct{}{})
		if took := time.Since(begin); !fault.Is(err, fault.Throttled) || took < 15*time.Second || took > time.Minute {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// The client keeps its pace: a burst, and then one call every 50 ms.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(cloud(company(), alibabatest.Config{}), credential())
		begin := time.Now()
		for range 110 {
			if err := c.Call(t.Context(), who(), &struct{}{}); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("110 calls took %v, want 5 s", took)
		}
	})
}

func TestErrorsAreTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(cloud(company(), alibabatest.Config{}), credential())
		op := rpc.Operation{Endpoint: "https://ims.aliyuncs.com", Version: "2019-08-15", Action: "CreateAccessKey"}
		err := c.Call(t.Context(), op, &struct{}{})
		var e *rpc.Error
		if !errors.As(err, &e) || !e.Denied() || e.Needs != "ram:CreateAccessKey" || e.Status != http.StatusForbidden || e.Code != "NoPermission" || e.RequestID == "" {
			t.Fatalf("got %#v in %v", e, err)
		}
		op.Action = "GetLoginProfile"
		op.Params = map[string]string{"UserPrincipalName": "nobody@example.onaliyun.com"}
		if err := c.Call(t.Context(), op, &struct{}{}); !fault.Is(err, fault.ResourceNotFound) {
			t.Errorf("nobody: %v", err)
		}
		op.Action = "LaunchRocket"
		if err := c.Call(t.Context(), op, &struct{}{}); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("no such action: %v", err)
		}
	})
}

// What the service says becomes a fault that says what to do.
func TestFaultsOfCodes(t *testing.T) {
	for code, want := range map[string]struct {
		kind fault.Kind
		text string
	}{
		`{"Code":"Forbidden","Message":"There is a risk of leakage of this AccessKey."}`:              {fault.InvalidParameter, "because it was found in public"},
		`{"Code":"Forbidden.RAM","Message":"no","AccessDeniedDetail":{"AuthAction":"dysms:SendSms"}}`: {fault.InvalidParameter, `{"Effect":"Allow","Action":"dysms:SendSms","Resource":"*"}`},
		`{"Code":"InvalidTimeStamp.Expired","Message":"x"}`:                                           {fault.InvalidParameter, "clock"},
		`{"Code":"Inactive","Message":"Your ram service is inactive"}`:                                {fault.InvalidParameter, "activate"},
		`{"Code":"LimitExceeded.User.AccessKey","Message":"beyond the current limits"}`:               {fault.LimitExceeded, "beyond"},
		`{"Code":"Throttling.Api","Message":"x"}`:                                                     {fault.Throttled, "too many requests"},
		`{"Code":"ServiceUnavailable","Message":"x"}`:                                                 {fault.Unavailable, "ServiceUnavailable"},
		`<html>proxy</html>`: {fault.Unavailable, "not one of the service"},
		`{"Code":"InvalidAccessKeyIdx","Message":"another code that begins alike"}`: {fault.InvalidParameter, "refuses"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, code)
			})
			err := clientOf(h, credential()).Call(t.Context(), who(), &struct{}{})
			if !fault.Is(err, want.kind) || !strings.Contains(fault.Message(err), want.text) {
				t.Errorf("%s: %v", code, err)
			}
		})
	}
}

// An answer that lacks its list is no empty list, and one that is too long is not read.
func TestAnswersThatAreNone(t *testing.T) {
	for name, body := range map[string]string{
		"no request id":  `{"AccountId":"1"}`,
		"no account":     `{"RequestId":"r"}`,
		"control in id":  `{"RequestId":"r","AccountId":"1\u0007"}`,
		"not an object":  `[]`,
		"cut off":        `{"RequestId":"r","AccountId":"1`,
		"another type":   `{"RequestId":"r","AccountId":{}}`,
		"too long an id": `{"RequestId":"r","AccountId":"` + strings.Repeat("1", 300) + `"}`,
		"endless":        `{"RequestId":"r","AccountId":"1","x":"` + strings.Repeat("x", 9<<20) + `"}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
			if _, err := providerOf(t, h, credential()).Check(t.Context()); !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// A service that repeats the credential does not get it into an error, and neither does a
// connection that breaks.
func TestNoErrorHoldsTheCredential(t *testing.T) {
	const token = "fake-canary-token"
	secrets := []string{readerSecret, token}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-acs-security-token") != token {
			t.Error("the token is not sent, so this test proves nothing")
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"Code":"X.`+readerSecret+`","Message":"you said `+token+` and `+readerSecret+`","RequestId":"`+token+`"}`)
	})
	synctest.Test(t, func(t *testing.T) {
		with := rpc.Credential{ID: readerID, Secret: material.NewBytes([]byte(readerSecret)), Token: material.NewBytes([]byte(token))}
		op := who()
		op.Params = map[string]string{"PhoneNumbers": "fake-canary-parameter"}
		broken := &cloudtest.Faults{Service: h}
		broken.Next(sixOf(cloudtest.LoseAfter)...)
		for want, err := range map[fault.Kind]error{
			fault.InvalidParameter: clientOf(h, with).Call(t.Context(), op, &struct{}{}),
			fault.Unavailable:      clientOf(broken, with).Call(t.Context(), op, &struct{}{}),
		} {
			if !fault.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
			for _, secret := range append(secrets, "fake-canary-parameter") {
				if strings.Contains(err.Error(), secret) || strings.Contains(fault.Message(err), secret) {
					t.Errorf("%q is in %v", secret, err)
				}
			}
		}
	})
}

// The verifier that the simulated cloud uses was written apart from this signer.
func TestParametersAreSignedAsTheyAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Every character that is escaped in one way here and another there.
		weird := map[string]string{"a b": "~-_.!*'()+ /?&=%", "密钥": "支付\n", "empty": ""}
		c := cloud(company(), alibabatest.Config{})
		op := who()
		op.Params = weird
		var got map[string][]string
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.URL.Query()
			c.ServeHTTP(w, r)
		})
		if err := clientOf(h, credential()).Call(t.Context(), op, &struct{}{}); err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{}
		for k, v := range weird {
			want[k] = []string{v}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("parameters differ (-want +got):\n%s", diff)
		}
	})
}

// A service that says how long it wants to be left alone is left alone, within reason.
func TestRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"20": 20 * time.Second, "86400": 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c, first := cloud(company(), alibabatest.Config{}), true
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if first {
					first = false
					w.Header().Set("Retry-After", header)
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				c.ServeHTTP(w, r)
			})
			if err := clientOf(h, credential()).Call(t.Context(), who(), &struct{}{}); err != nil || time.Since(start) != want {
				t.Errorf("after %s the answer comes in %v: %v", header, time.Since(start), err)
			}
		})
	}
}
