package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/httpapi/client"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/httpapitest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

// canary is the credential of these tests: nothing may show it.
const canary = "fake-canary-7f3a"

func secret(text string) material.Bytes { return material.NewBytes([]byte(text)) }

func TestKind(t *testing.T) {
	story, first := httpapitest.NewStory(time.Now, time.Date(2099, 12, 1, 3, 0, 0, 0, httpapitest.Zone))
	server := httptest.NewServer(story)
	defer server.Close()
	own, _ := httpapi.ShippedText("story")
	vars := `{"url":"` + server.URL + `"}`
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	kind := httpapi.Kind()
	opening := func(settings map[string]string, credential map[string]string) accesskey.Opening {
		o := accesskey.Opening{Filling: form.Filling{Settings: settings, Credential: map[string]material.Bytes{}}, Now: time.Now, Allow: loopback}
		for name, value := range credential {
			o.Credential[name] = secret(value)
		}
		if err := kind.Form.Check(o.Filling); err != nil {
			t.Fatal(err)
		}
		return o
	}
	for name, o := range map[string]accesskey.Opening{
		"shipped": opening(map[string]string{"definition": "story", "vars": vars}, map[string]string{"credential": first + "\n"}),
		"own":     opening(map[string]string{"vars": vars}, map[string]string{"credential": first, "definition_file": string(own)}),
	} {
		p, err := kind.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		who, err := p.Check(t.Context())
		if err != nil || who.KeyID != "k1" {
			t.Errorf("%s: it belongs to %+v, %v", name, who, err)
		}
		got, err := p.Observe(t.Context())
		if err != nil || len(got.Keys) != 1 || !got.Keys[0].Expiry.At.Equal(time.Date(2099, 11, 30, 16, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: seen is %+v, %v", name, got, err)
		}
		if diff := cmp.Diff(&accesskey.Capabilities{MaxKeys: 2, Expiry: true}, got.Account.Can); diff != "" {
			t.Errorf("%s: what can be undone, as the definition declares: %s", name, diff)
		}
	}
	blocked := opening(map[string]string{"definition": "story", "vars": vars}, map[string]string{"credential": first})
	blocked.Allow = nil
	p, err := kind.Open(blocked)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Observe(t.Context()); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), "refused by the guard") {
		t.Errorf("this machine is reached: %v", err)
	}
	for name, c := range map[string]struct {
		settings, credential map[string]string
		want                 string
	}{
		"nothing":           {nil, map[string]string{"credential": "x"}, "give either"},
		"both":              {map[string]string{"definition": "story"}, map[string]string{"credential": "x", "definition_file": "a: b"}, "give either"},
		"unknown":           {map[string]string{"definition": "nope"}, map[string]string{"credential": "x"}, "there are adyen, cloudflare"},
		"broken":            {nil, map[string]string{"credential": "x", "definition_file": "a: b"}, "line 1, column 1"},
		"no variables":      {map[string]string{"definition": "story"}, map[string]string{"credential": "x"}, `"url" is missing`},
		"bad variables":     {map[string]string{"definition": "story", "vars": "url=x"}, map[string]string{"credential": "x"}, "JSON object"},
		"unknown variable":  {map[string]string{"definition": "story", "vars": `{"ur":"x"}`}, map[string]string{"credential": "x"}, "it has url"},
		"bad URL":           {map[string]string{"definition": "story", "vars": `{"url":"ftp://x"}`}, map[string]string{"credential": "x"}, "https://host/path"},
		"URL with password": {map[string]string{"definition": "story", "vars": `{"url":"https://u:p@x"}`}, map[string]string{"credential": "x"}, "no user"},
		"pattern":           {map[string]string{"definition": "cloudflare", "vars": `{"account":"../x"}`}, map[string]string{"credential": "x"}, "does not look like"},
		"empty credential":  {map[string]string{"definition": "openai"}, map[string]string{"credential": "\n"}, "is missing"},
		"two lines":         {map[string]string{"definition": "openai"}, map[string]string{"credential": "a\nb"}, "printable ASCII"},
		"no parts":          {map[string]string{"definition": "twilio", "vars": `{"account":"AC00000000000000000000000000000001"}`}, map[string]string{"credential": canary}, "NAME=VALUE"},
		"unknown part":      {map[string]string{"definition": "twilio", "vars": `{"account":"AC00000000000000000000000000000001"}`}, map[string]string{"credential": "sid=a\ntoken=" + canary}, "NAME=VALUE"},
		"colon in a user":   {map[string]string{"definition": "twilio", "vars": `{"account":"AC00000000000000000000000000000001"}`}, map[string]string{"credential": "sid=a:b\nsecret=" + canary}, "no colon"},
	} {
		_, err := kind.Open(opening(c.settings, c.credential))
		if k := fault.KindOf(err); k != fault.InvalidParameter && k != fault.MissingParameter || !strings.Contains(fault.Message(err), c.want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: answered %v", name, err)
		}
	}
}

// The inventory sends nothing that changes something.
func TestOnlyReadsAreSent(t *testing.T) {
	for _, name := range httpapi.Shipped() {
		text, _ := httpapi.ShippedText(name)
		service, err := httpapitest.Recorded(text)
		if err != nil {
			t.Fatal(err)
		}
		spy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "GET" {
				t.Errorf("%s: sent %s %s", name, r.Method, r.URL)
			}
			service.ServeHTTP(w, r)
		})
		d, err := definition.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		target := client.Target{HTTP: httpapitest.Client(spy), Now: time.Now, Vars: recordedVars[name], Credential: map[string]material.Bytes{}, Wait: func(context.Context, time.Duration) error { return nil }}
		for part := range d.Credential {
			target.Credential[part] = secret(recordedCredential[name+"/"+part])
		}
		c, err := client.Open(d, target)
		if err != nil {
			t.Fatal(err)
		}
		p := c.Provider()
		if _, err := p.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := p.Observe(t.Context()); err != nil || len(got.Keys) == 0 {
			t.Errorf("%s: %d keys, %v", name, len(got.Keys), err)
		}
	}
}
