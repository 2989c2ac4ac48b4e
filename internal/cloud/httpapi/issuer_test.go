package httpapi_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/httpapitest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

// opening fills in what a source has.
func opening(definition, file string, vars map[string]string, credential string) accesskey.Opening {
	text, err := json.Marshal(vars)
	if err != nil {
		panic(err)
	}
	o := accesskey.Opening{
		Filling: form.Filling{Settings: map[string]string{"vars": string(text)}, Credential: map[string]material.Bytes{"credential": secret(credential)}},
		Now:     time.Now, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
	if definition != "" {
		o.Settings["definition"] = definition
	} else {
		o.Credential["definition_file"] = secret(file)
	}
	return o
}

// Every shipped definition makes keys by the means that its provider gives, or says why not.
func TestShippedIssuers(t *testing.T) {
	day := 24 * time.Hour
	want := map[string]rotation.Means{
		"adyen":             {Archetype: rotation.FixedOverlap, Overlap: day, Activates: 5 * time.Minute, Verifies: true},
		"cloudflare":        {Archetype: rotation.Multi, Tagged: true, Listed: true, Activates: time.Minute, UseLag: day, Verifies: true},
		"gitlab":            {Archetype: rotation.Multi, Tagged: true, Listed: true, UseLag: day, Verifies: true},
		"grafana":           {Archetype: rotation.Multi, Tagged: true, Listed: true, UseLag: 5 * time.Minute, Verifies: true},
		"openai":            {Archetype: rotation.Multi, Tagged: true, Listed: true, UseLag: day, Verifies: true},
		"paddle":            {Archetype: rotation.Pending, Overlap: day, Repeats: true, UseLag: day, Verifies: true},
		"sendgrid":          {Archetype: rotation.Multi, MaxKeys: 100, Tagged: true, Listed: true, Verifies: true},
		"story":             {Archetype: rotation.Multi, MaxKeys: 2, Tagged: true, Listed: true, Verifies: true},
		"twilio":            {Archetype: rotation.Multi, Tagged: true, Listed: true, Verifies: true},
		"twilio-auth-token": {Archetype: rotation.Promote, Verifies: true},
	}
	kind := httpapi.Issuer()
	if kind.Name != httpapi.Kind().Name {
		t.Errorf("it is of the kind %s", kind.Name)
	}
	for _, name := range httpapi.Shipped() {
		text, _ := httpapi.ShippedText(name)
		def, err := definition.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var credential []string
		for part := range def.Credential {
			if value := recordedCredential[name+"/"+part]; len(def.Credential) == 1 {
				credential = append(credential, value)
			} else {
				credential = append(credential, part+"="+value)
			}
		}
		i, err := kind.Open(opening(name, "", recordedVars[name], strings.Join(credential, "\n")), "")
		if name == "stripe" {
			if !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), "encrypted") {
				t.Errorf("stripe: %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want[name], i.Means()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A definition of somebody's own makes keys only if its contract passes.
func TestOwnDefinitionMustHold(t *testing.T) {
	story, first := httpapitest.NewStory(time.Now, time.Time{})
	server := httptest.NewServer(story)
	defer server.Close()
	own, _ := httpapi.ShippedText("story")
	alone, _, _ := strings.Cut(string(own), "\n---\n")
	vars := map[string]string{"url": server.URL}
	for file, want := range map[string]string{
		alone: "no document of kind HTTPContract",
		strings.Replace(string(own), "map: {id: /id, secret: /key,", "map: {id: /id, secret: /id,", 1):        "create: a second key: the new key has another secret",
		strings.Replace(string(own), "    quota: {", "    permanent: {status: [500]}\n    quota: {", 1):       "service broken: expected",
		string(own)[:strings.Index(string(own), "  - name: a key is deleted")]:                                "delete: coverage",
		strings.Replace(string(own), "credential: {token: fake-story-key-1}", "credential: {tok: fake-x}", 1): "no part \"tok\"",
	} {
		if _, err := httpapi.Issuer().Open(opening("", file, vars, first), ""); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), want) {
			t.Errorf("answered %v, expected %q", err, want)
		}
		if _, err := httpapi.Kind().Open(opening("", file, vars, first)); err != nil {
			t.Errorf("it cannot even be read: %v", err)
		}
	}
	i, err := httpapi.Issuer().Open(opening("", string(own), vars, first), "")
	if err != nil {
		t.Fatal(err)
	}
	minted, err := i.Create(t.Context(), rotation.Attempt{ID: strings.Repeat("0", 32), Tag: "keyward/1/1", Old: "k1"})
	if err != nil || minted.ID != "k2" || !story.Accepts(string(minted.Parts["secret"].Expose())) {
		t.Fatalf("made is %+v, %v", minted, err)
	}
	if v, err := i.Verify(t.Context(), minted.ID, minted.Parts); v != rotation.Accepted {
		t.Errorf("it is %s, %v", v, err)
	}
	keys, err := i.Keys(t.Context())
	if err != nil || len(keys) != 2 || keys[1].Tag != "keyward/1/1" {
		t.Errorf("listed are %+v, %v", keys, err)
	}
	if err := i.Delete(t.Context(), "k2", "k1"); err != nil || story.Accepts(string(minted.Parts["secret"].Expose())) {
		t.Errorf("deleted: %v", err)
	}
}
