package kubernetes_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/kubernetes"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/target"
)

func open(url, keys string) (target.Place, error) {
	return kubernetes.Kind().Open(target.Opening{
		Filling: form.Filling{
			Settings:   map[string]string{"server": url, "namespace": "shop", "secret": "pay", "selector": "app=shop", "keys": keys},
			Credential: map[string]material.Bytes{"token": material.NewBytes([]byte("fake-token"))},
		},
		Now: time.Now, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
}

// What is no template of keys is refused, before anything is sent.
func TestKeys(t *testing.T) {
	for keys, ok := range map[string]bool{
		"": true, "a=primary": true, "a=primary.x, b=fallback.x": true, "a.b_c-D=primary.x.y": true,
		"a": false, "a=": false, "=primary": false, "a=primary.": false, "a=secondary": false, "a=primary,a=fallback": false, "a/b=primary": false, "a=primary,": false,
		strings.Repeat("a", 254) + "=primary": false,
	} {
		if _, err := open("https://127.0.0.1:1", keys); (err == nil) != ok || err != nil && !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%q: %v", keys, err)
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add("id=primary.access_key_id,old=fallback")
	f.Fuzz(func(t *testing.T, keys string) {
		if _, err := open("https://127.0.0.1:1", keys); err != nil && !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%q: %v", keys, err)
		}
	})
}

// Whatever an API server answers, it is understood or refused, and its words are not repeated.
func FuzzAnswers(f *testing.F) {
	f.Add(`{"metadata":{"annotations":{"keyward/rollout":"pay","keyward/generation":"7"}},"data":{"primary":"ZmFrZQ=="},"items":[{"metadata":{"name":"canary!"}}]}`)
	f.Add(`{"metadata":{"annotations":{"keyward/generation":"x"}}}`)
	var answer string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	f.Cleanup(s.Close)
	p, err := open(s.URL, "")
	if err != nil {
		f.Fatal(err)
	}
	d := target.Delivery{Account: "1000000000000001", Target: "there"}
	d.Rollout, d.Primary, d.Generation = "pay", material.NewBytes([]byte("fake")), rollout.Generation{Number: 7, Primary: "v1"}
	f.Fuzz(func(t *testing.T, text string) {
		answer = text
		found, err := p.Look(context.Background(), d)
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("%v", err)
		}
		if strings.ContainsAny(found.Waiting, "!\x1b\x00") {
			t.Errorf("it repeats %q", found.Waiting)
		}
	})
}
