package paysim_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/httpapi/client"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/paysim"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/issuertest"
)

// The definition of the platform keeps the contract of issuers, whatever happens between.
func TestIssuer(t *testing.T) {
	def, err := definition.Parse(paysim.Definition())
	if err != nil {
		t.Fatal(err)
	}
	issuertest.Run(t, issuertest.World{Canary: paysim.Canary, Start: func(t *testing.T) issuertest.Provider {
		platform := paysim.New(time.Now)
		admin := platform.AddMerchant("shop")
		platform.AddMerchant("other")
		consumer := func(merchant string) issuertest.Credential {
			id, secret, err := platform.AddKey(merchant, "first", 0)
			if err != nil {
				t.Fatal(err)
			}
			return issuertest.Credential{ID: id, Parts: map[string]string{"key_id": id, "key_secret": secret}}
		}
		forbidden := false
		return issuertest.Provider{
			Service: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if forbidden && r.Method != http.MethodGet {
					http.Error(w, `{"error":"forbidden"}`, http.StatusForbidden)
					return
				}
				platform.ServeHTTP(w, r)
			}),
			Old: consumer("shop"), Stranger: consumer("other"),
			Open: func(via http.RoundTripper) (rotation.Issuer, error) {
				c, err := client.Open(def, client.Target{
					Vars: map[string]string{"url": "https://pay.example", "merchant": "shop"}, Credential: map[string]material.Bytes{"admin": material.NewBytes([]byte(admin))},
					HTTP: &http.Client{Transport: via}, Once: &http.Client{Transport: via}, Now: time.Now,
				})
				if err != nil {
					return nil, err
				}
				return client.NewIssuer(c, "")
			},
			Truth:  func() map[string]accesskey.Status { return truth(platform) },
			Effect: effect,
			Forbid: func() { forbidden = true },
		}
	}})
}

// Over a real connection, as a source with a definition of its own: a create whose answer
// is lost arrives once, and its key is found by its mark.
func TestOverHTTP(t *testing.T) {
	platform := paysim.New(time.Now)
	admin := platform.AddMerchant("shop")
	old, _, err := platform.AddKey("shop", "first", 0)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(platform)
	defer server.Close()
	i, err := httpapi.Issuer().Open(accesskey.Opening{
		Filling: form.Filling{
			Settings:   map[string]string{"vars": `{"url":"` + server.URL + `","merchant":"shop"}`},
			Credential: map[string]material.Bytes{"credential": material.NewBytes([]byte(admin)), "definition_file": material.NewBytes(paysim.Definition())},
		},
		Now: time.Now, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := rotation.Means{Archetype: rotation.Pair, MaxKeys: 2, Tagged: true, Listed: true, UseLag: time.Second, Verifies: true}
	if diff := cmp.Diff(want, i.Means()); diff != "" {
		t.Error(diff)
	}
	if keys, err := i.Keys(t.Context()); err != nil || len(keys) != 1 || keys[0].ID != old { // a connection that could be reused
		t.Fatalf("listed are %+v, %v", keys, err)
	}
	platform.Creating.Next(cloudtest.LoseAfter)
	attempt := rotation.Attempt{ID: "0123456789abcdef0123456789abcdef", Tag: "keyward/1/1", Old: old}
	_, err = i.Create(t.Context(), attempt)
	if err == nil || errors.Is(err, rotation.ErrNoEffect) || errors.Is(err, rotation.ErrRefused) {
		t.Errorf("the lost answer is %v", err)
	}
	keys, err := i.Keys(t.Context())
	if err != nil || len(keys) != 2 || keys[1].Tag != attempt.Tag {
		t.Fatalf("listed are %+v, %v", keys, err)
	}
	if _, err := i.Create(t.Context(), attempt); !errors.Is(err, rotation.ErrFull) {
		t.Errorf("a third key: %v", err)
	}
	if err := i.Delete(t.Context(), keys[1].ID, old); err != nil {
		t.Fatal(err)
	}
	minted, err := i.Create(t.Context(), attempt)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := i.Verify(t.Context(), minted.ID, minted.Parts); v != rotation.Accepted {
		t.Errorf("the new key is %s, %v", v, err)
	}
	server.Close()
	if _, err := i.Create(t.Context(), attempt); !errors.Is(err, rotation.ErrNoEffect) {
		t.Errorf("without anybody who listens: %v", err)
	}
}

// truth answers the keys of the merchant shop.
func truth(platform *paysim.Platform) map[string]accesskey.Status {
	out := map[string]accesskey.Status{}
	for _, life := range platform.Lives() {
		if life.Merchant != "shop" || life.Ended() {
			continue
		}
		out[life.ID] = accesskey.Active
		for _, e := range life.Events {
			switch e.What {
			case paysim.Disabled:
				out[life.ID] = accesskey.Inactive
			case paysim.Enabled:
				out[life.ID] = accesskey.Active
			}
		}
	}
	return out
}

func effect(r *http.Request, _ []byte) issuertest.Effect {
	switch {
	case r.Method == http.MethodGet:
		return issuertest.Nothing
	case r.Method == http.MethodDelete:
		return issuertest.Deletes
	case strings.HasSuffix(r.URL.Path, "/disable"):
		return issuertest.Disables
	case strings.HasSuffix(r.URL.Path, "/enable"):
		return issuertest.Enables
	}
	return issuertest.Creates
}
