package wechatpay_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/certificate"
	"github.com/keyward/keyward/internal/cloud/certificate/certificatetest"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/wechatpay"
	"github.com/keyward/keyward/internal/cloud/wechatpay/wechatpaytest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

const (
	mchid  = "1900000001"
	apiKey = "CANARYfakefakefakefakefakefake32"
)

// A world is a simulated WeChat Pay with one merchant and a clock.
type world struct {
	now      time.Time
	merchant *certificatetest.Issued
	service  *wechatpaytest.Service
	faults   *cloudtest.Faults
	settings map[string]string
	secrets  map[string]string
}

// rsaKey makes the one key of all tests, which take no time for more.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{now: time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)}
	w.merchant = certificatetest.Issue(t, certificatetest.Template{Name: mchid, Key: key, NotAfter: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)}, nil)
	w.service = wechatpaytest.New(t, mchid, []byte(apiKey), w.merchant.Certificate, func() time.Time { return w.now })
	w.service.Key = key
	w.faults = &cloudtest.Faults{Service: w.service, Wait: time.Millisecond}
	server := httptest.NewServer(w.faults)
	t.Cleanup(server.Close)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that break on purpose
	w.settings = map[string]string{"mchid": mchid, "url": server.URL + "/v3/certificates"}
	w.secrets = map[string]string{"certificate": string(w.merchant.PEM()), "private_key": string(w.merchant.KeyPEM(t)), "api_v3_key": apiKey}
	return w
}

func (w *world) open(t *testing.T) (accesskey.Provider, error) {
	t.Helper()
	in := form.Filling{Settings: w.settings, Credential: map[string]material.Bytes{}}
	for name, value := range w.secrets {
		in.Credential[name] = material.NewBytes([]byte(value))
	}
	kind := wechatpay.Kind()
	if err := kind.Form.Check(in); err != nil {
		t.Fatal(err)
	}
	return kind.Open(accesskey.Opening{Filling: in, Now: func() time.Time { return w.now }, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
}

func (w *world) observe(t *testing.T) (accesskey.Snapshot, error) {
	t.Helper()
	p, err := w.open(t)
	if err != nil {
		t.Fatal(err)
	}
	return p.Observe(t.Context())
}

func TestWhatIsObserved(t *testing.T) {
	w := newWorld(t)
	p, err := w.open(t)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := p.Check(t.Context())
	if diff := cmp.Diff(accesskey.Identity{Account: mchid, Principal: mchid, KeyID: certificate.ID(w.merchant.Certificate)}, identity); err != nil || diff != "" {
		t.Error(err, diff)
	}
	w.service.Apart = 36 * time.Hour
	s, err := p.Observe(t.Context())
	if err != nil || len(s.Keys) != 2 || len(s.Problems) != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if k := s.Keys[0]; k.Principal != "merchant" || !k.Expiry.At.Equal(w.merchant.Certificate.NotAfter) || k.Expiry.Basis != accesskey.Certificate {
		t.Errorf("the merchant's certificate: %+v", k)
	}
	cert := w.service.Current()[0]
	want := accesskey.Observed{
		ID: certificate.ID(cert), Principal: "platform", Name: "Tenpay.com sign", Status: accesskey.Active, CreatedAt: w.now,
		Expiry: accesskey.Expiry{At: cert.NotAfter.Add(-36 * time.Hour), Basis: accesskey.Provided},
		Detail: certificate.Describe(cert),
	}
	for name, value := range map[string]string{
		"mchid": mchid, "newest": certificate.Serial(cert), "effective_time": "2026-01-01T08:00:00Z", "expire_time": "2030-12-29T20:00:00Z",
		"not_after": "2030-12-31T08:00:00Z", "difference": "36h0m0s",
	} {
		want.Detail[name] = value
	}
	if diff := cmp.Diff(want, s.Keys[1]); diff != "" {
		t.Error(diff)
	}
	w.service.Apart = -time.Hour // the certificate itself ends first
	if s, err = p.Observe(t.Context()); err != nil || !s.Keys[1].Expiry.At.Equal(cert.NotAfter) || s.Keys[1].Expiry.Basis != accesskey.Certificate || s.Keys[1].Detail["difference"] != "-1h0m0s" {
		t.Errorf("%+v, %v", s, err)
	}
}

// Over eleven years and two replacements the newest certificate is known from the day on
// which it appears, and each answer verifies, whichever certificate signed it.
func TestReplacementsOverYears(t *testing.T) {
	w := newWorld(t)
	p, err := w.open(t)
	if err != nil {
		t.Fatal(err)
	}
	begin, both, seen := w.now, 0, map[string]bool{}
	for day := range 11 * 365 {
		if at := day % (5*365 - 10); at > 15 && day%30 != 0 {
			continue // the day begins a life, and an old one ends ten days later; else a look in a month is enough
		}
		w.now = begin.AddDate(0, 0, day)
		s, err := p.Observe(t.Context())
		if err != nil {
			t.Fatalf("day %d: %v", day, err)
		}
		platform := s.Keys[1:]
		newest := platform[len(platform)-1]
		for _, k := range platform {
			seen[k.ID] = true
			if k.Detail["newest"] != newest.Detail["serial"] || k.Status != accesskey.Active {
				t.Fatalf("day %d: %+v", day, k)
			}
		}
		if left := platform[0].Expiry.At.Sub(w.now); (len(platform) == 2) != (left <= 10*24*time.Hour) {
			t.Fatalf("day %d: %d certificates, the old one ends in %s", day, len(platform), left)
		}
		if len(platform) == 2 {
			both++
		}
	}
	if both != 20 || len(seen) != 3 {
		t.Errorf("on %d days there were two, %d in all", both, len(seen))
	}
	if s, err := p.Observe(t.Context()); err != nil || s.Keys[0].Status != accesskey.Expired {
		t.Errorf("the merchant's certificate did not expire: %+v, %v", s.Keys, err)
	}
}

func TestPublicKeyMode(t *testing.T) {
	w := newWorld(t)
	w.service.PublicKey = true
	s, err := w.observe(t)
	if err != nil || len(s.Keys) != 1 || len(s.Problems) != 1 || s.Problems[0].Lists || !strings.Contains(s.Problems[0].Reason, "does not expire") {
		t.Errorf("%+v, %v", s, err)
	}
	p, err := w.open(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhatGoesWrong(t *testing.T) {
	other := certificatetest.Issue(t, certificatetest.Template{Name: mchid, Algorithm: "RSA"}, nil)
	for name, c := range map[string]struct {
		change func(t *testing.T, w *world)
		kind   fault.Kind
		says   string
	}{
		"another merchant":  {func(_ *testing.T, w *world) { w.settings["mchid"] = "1900000002" }, fault.InvalidParameter, "SIGN_ERROR"},
		"replaced":          {func(_ *testing.T, w *world) { w.service.Client = other.Certificate }, fault.InvalidParameter, "replaced"},
		"another APIv3 key": {func(_ *testing.T, w *world) { w.secrets["api_v3_key"] = strings.Repeat("CANARY!!", 4) }, fault.InvalidParameter, "does not decrypt"},
		"another clock": {func(_ *testing.T, w *world) {
			at := w.now.Add(6 * time.Minute)
			w.service.Now = func() time.Time { return at }
		}, fault.InvalidParameter, "clock"},
		"another path":       {func(_ *testing.T, w *world) { w.settings["url"] += "s" }, fault.InvalidParameter, "NOT_FOUND"},
		"no route":           {func(_ *testing.T, w *world) { w.settings["url"] = "http://192.168.99.99/v3/certificates" }, fault.Unavailable, "reached"},
		"lost before":        {func(_ *testing.T, w *world) { w.faults.Next(cloudtest.LoseBefore, cloudtest.LoseBefore) }, fault.Unavailable, "reached"},
		"lost after":         {func(_ *testing.T, w *world) { w.faults.Next(cloudtest.LoseAfter, cloudtest.LoseAfter) }, fault.Unavailable, "reached"},
		"a nonce used twice": {func(_ *testing.T, w *world) { w.faults.Next(cloudtest.Double) }, fault.InvalidParameter, "SIGN_ERROR"},
		"an error":           {func(_ *testing.T, w *world) { w.faults.Next(cloudtest.Error500) }, fault.Unavailable, "500"},
		"overload":           {func(_ *testing.T, w *world) { w.faults.Next(cloudtest.Error503) }, fault.Unavailable, "503"},
		"throttled":          {func(_ *testing.T, w *world) { w.faults.Next(cloudtest.Throttle) }, fault.Throttled, "fewer"},
		"a proxy's page":     {func(_ *testing.T, w *world) { w.faults.Next(cloudtest.Garbage) }, fault.Unavailable, "malformed"},
		"huge":               {alter(func(http.Header, []byte) []byte { return make([]byte, 1<<20) }), fault.Unavailable, "cannot be read"},
		"a redirect": {func(_ *testing.T, w *world) {
			w.faults.Service = http.RedirectHandler("https://example.com/", http.StatusFound)
		}, fault.Unavailable, "302"},
		"a changed answer":   {alter(func(_ http.Header, b []byte) []byte { return append(b, ' ') }), fault.Unavailable, "does not verify"},
		"a later date":       {alter(func(_ http.Header, b []byte) []byte { return bytes.Replace(b, []byte("2030-"), []byte("2040-"), 1) }), fault.Unavailable, "does not verify"},
		"another serial":     {alter(func(h http.Header, b []byte) []byte { h.Set("Wechatpay-Serial", "00"); return b }), fault.Unavailable, "does not verify"},
		"no signature":       {alter(func(h http.Header, b []byte) []byte { h.Del("Wechatpay-Timestamp"); return b }), fault.Unavailable, "not signed"},
		"an old answer":      {alter(func(h http.Header, b []byte) []byte { h.Set("Wechatpay-Timestamp", "1700000000"); return b }), fault.Unavailable, "another time"},
		"a broken signature": {alter(func(h http.Header, b []byte) []byte { h.Set("Wechatpay-Signature", "!"); return b }), fault.Unavailable, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(t, w)
			_, err := w.observe(t)
			if !fault.Is(err, c.kind) || !strings.Contains(fault.Message(err), c.says) {
				t.Errorf("%v", err)
			}
			if text := err.Error(); strings.Contains(text, "CANARY") || strings.Contains(text, "PRIVATE") {
				t.Errorf("a secret is shown: %s", text)
			}
		})
	}
}

// alter changes what the service answers.
func alter(change func(h http.Header, body []byte) []byte) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) {
		w.faults.Service = http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			w.service.ServeHTTP(recorder, r)
			body := change(recorder.Header(), recorder.Body.Bytes())
			for name, values := range recorder.Header() {
				out.Header()[name] = values
			}
			_, _ = out.Write(body)
		})
	}
}

// With the public key, which is not known here, answers that hold certificates still prove
// themselves by the APIv3 key.
func TestSignedWithThePublicKey(t *testing.T) {
	w := newWorld(t)
	alter(func(h http.Header, b []byte) []byte {
		h.Set("Wechatpay-Serial", "PUB_KEY_ID_0119000000012024")
		return b
	})(t, w)
	if s, err := w.observe(t); err != nil || len(s.Keys) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestCredentialsThatAreRefused(t *testing.T) {
	other := certificatetest.Issue(t, certificatetest.Template{Algorithm: "RSA"}, nil)
	curve := certificatetest.Issue(t, certificatetest.Template{}, nil)
	for name, change := range map[string]func(w *world){
		"mchid":          func(w *world) { w.settings["mchid"] = `1","x="` },
		"url":            func(w *world) { w.settings["url"] = "ftp://a/" },
		"url with query": func(w *world) { w.settings["url"] = "https://a/?q=CANARY" },
		"url with user":  func(w *world) { w.settings["url"] = "https://u:CANARY@a/" },
		"no certificate": func(w *world) { w.secrets["certificate"] = "CANARY" },
		"no key":         func(w *world) { w.secrets["private_key"] = "CANARY" },
		"another's key":  func(w *world) { w.secrets["private_key"] = string(other.KeyPEM(t)) },
		"not RSA": func(w *world) {
			w.secrets["private_key"], w.secrets["certificate"] = string(curve.KeyPEM(t)), string(curve.PEM())
		},
		"short APIv3 key": func(w *world) { w.secrets["api_v3_key"] = "CANARY" },
		"long APIv3 key":  func(w *world) { w.secrets["api_v3_key"] = apiKey + "\n" },
	} {
		w := newWorld(t)
		change(w)
		if _, err := w.open(t); !fault.Is(err, fault.InvalidParameter) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	merchant := certificatetest.Issue(f, certificatetest.Template{Algorithm: "RSA"}, nil)
	service := wechatpaytest.New(f, mchid, []byte(apiKey), merchant.Certificate, func() time.Time { return time.Unix(1800000000, 0) })
	recorder := httptest.NewRecorder()
	service.Answer(recorder)
	f.Add(recorder.Body.Bytes())
	f.Add([]byte(`{"data":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if n, err := wechatpay.Decode(body, []byte(apiKey)); (n == 0) == (err == nil) {
			t.Errorf("%d certificates, %v", n, err)
		} else if err != nil && strings.Contains(err.Error(), apiKey) {
			t.Error(err)
		}
	})
}
