package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/httpapi/httpapitest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/issuertest"
)

// Issuers of every archetype keep their contract, whatever happens between.
func TestIssuer(t *testing.T) {
	for name, plan := range plans {
		t.Run(name, func(t *testing.T) {
			issuertest.Run(t, issuertest.World{Canary: canary, Start: func(t *testing.T) issuertest.Provider {
				s := &service{pending: name == "pending"}
				return s.provider(plan.text)
			}})
			i, err := issue(plan.text, http.DefaultTransport)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plan.means, i.Means()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzIssuer(f *testing.F) {
	s := &service{}
	issuertest.Fuzz(f, s.provider(plans["multi"].text), `{"id":"k2","secret":"`+canary+`"}`, `{"keys":[{"id":"a","tag":"keyward/1/1"}]}`, `{"error":"full"}`)
}

var attempt = rotation.Attempt{ID: "0123456789abcdef0123456789abcdef", Tag: "keyward/1/1", Old: "k1", Expire: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)}

// classes are the errors that say what a call did.
var classes = map[string]error{"none": rotation.ErrNoEffect, "refused": rotation.ErrRefused, "full": rotation.ErrFull, "absent": rotation.ErrAbsent}

// class answers which of them an error is, "" for none.
func class(err error) (out string) {
	for name, c := range classes {
		if errors.Is(err, c) {
			out += name
		}
	}
	return out
}

// What a service answers decides whether a call may be made again, and a status that is
// no clear word leaves it open.
func TestEffectOfAnswers(t *testing.T) {
	for _, c := range []struct {
		plan           string
		status         int
		body           string
		create, delete string // the class
	}{
		{"multi", 400, "", "refused", "refused"},
		{"multi", 401, "", "refused", "refused"},
		{"multi", 403, "", "refused", "refused"},
		{"multi", 404, "", "refused", "gone"},
		{"multi", 408, "", "", ""},
		{"multi", 409, "", "refused", "refused"},
		{"multi, idempotent by a header", 409, "", "", ""},
		{"multi", 410, "", "refused", "gone"},
		{"multi", 422, "", "refused", "refused"},
		{"multi", 422, `{"error":"full"}`, "full", "full"},
		{"multi", 425, "", "", ""},
		{"multi", 429, "", "none", "none"},
		{"multi", 301, "", "", ""},
		{"multi", 303, "", "", ""},
		{"multi", 307, "", "refused", "refused"},
		{"multi", 308, "", "refused", "refused"},
		{"multi", 500, "", "", ""},
		{"multi", 502, "<html>", "", ""},
		{"multi", 503, "", "", ""},
		{"multi", 200, `{"id":"k2","secret":"` + canary + `"}`, "", ""}, // another status of success than declared
		{"multi", 201, "", "", ""},
		{"multi", 201, "<html>" + canary, "", ""},
		{"multi", 201, `{"id":"k2"}`, "", ""},
		{"multi", 201, `{"id":"k2","secret":""}`, "", ""},
		{"multi", 201, `{"id":"k2","secret":{"x":"` + canary + `"}}`, "", ""},
		{"multi", 201, `{"secret":"fake-fresh-1"}`, "", ""},
		{"multi", 201, `{"id":"","secret":"fake-fresh-1"}`, "", ""},
		{"multi", 201, `{"id":"fake-fresh-1","secret":"fake-fresh-1"}`, "", ""},
		{"multi", 201, `{"id":"k1","secret":"fake-fresh-1"}`, "", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			i, err := issue(plans[c.plan].text, httpapitest.Client(answering(c.status, c.body)).Transport)
			if err != nil {
				t.Fatal(err)
			}
			minted, created := i.Create(t.Context(), attempt)
			deleted := i.Delete(t.Context(), "k1", "k2")
			if created == nil || class(created) != c.create || len(minted.Parts) > 0 {
				t.Errorf("%d %s: creating answers %q, %v", c.status, c.body, class(created), created)
			}
			if c.delete == "gone" && deleted != nil || c.delete != "gone" && (deleted == nil || class(deleted) != c.delete) {
				t.Errorf("%d %s: deleting answers %q, %v", c.status, c.body, class(deleted), deleted)
			}
			for _, err := range []error{created, deleted} {
				if err != nil && (fault.Is(err, fault.Internal) || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "fake-fresh")) {
					t.Errorf("%d %s: the error is %v", c.status, c.body, err)
				}
			}
		})
	}
}

// A repetition bears the mark of its attempt, and says nothing that it did not say before.
func TestRepetitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		p := s.provider(plans["multi, idempotent by a header"].text)
		i, err := p.Open(httpapitest.Client(s).Transport)
		if err != nil {
			t.Fatal(err)
		}
		var first rotation.Minted
		for n := range 3 {
			minted, err := i.Create(t.Context(), attempt)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				first = minted
			}
			if got := s.last.Header.Get("Idempotency-Key"); got != attempt.ID || minted.ID != first.ID || !minted.Parts["secret"].Equal(first.Parts["secret"]) {
				t.Errorf("repetition %d bears %q and makes %s", n, got, minted.ID)
			}
			if !minted.Expiry.Equal(attempt.Expire) {
				t.Errorf("it expires %v", minted.Expiry)
			}
			time.Sleep(time.Hour)
		}
		if s.last.GetBody != nil {
			t.Error("the request can be sent again")
		}
	})
}

// Of two places the second is filled; then it becomes the first, or is emptied.
func TestPromote(t *testing.T) {
	text, _ := httpapi.ShippedText("twilio-auth-token")
	var asked []string
	answers := map[string]int{"POST /v1/AuthTokens/Secondary": 201, "POST /v1/AuthTokens/Promote": 200, "DELETE /v1/AuthTokens/Secondary": 204}
	i, err := issue(string(text), httpapitest.Client(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line := r.Method + " " + r.URL.Path
		asked = append(asked, line)
		answering(answers[line], `{"secondary_auth_token":"fake-fresh-1","auth_token":"fake-fresh-1"}`)(w, r)
	})).Transport)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rotation.Means{Archetype: rotation.Promote, Verifies: true}, i.Means()); diff != "" {
		t.Error(diff)
	}
	minted, err := i.Create(t.Context(), rotation.Attempt{Old: "primary"})
	if err != nil || minted.ID != "secondary" || len(minted.Parts) != 1 || string(minted.Parts["auth_token"].Expose()) != "fake-fresh-1" {
		t.Errorf("made is %+v, %v", minted, err)
	}
	if err := i.Delete(t.Context(), "primary", "secondary"); err != nil {
		t.Error(err)
	}
	if err := i.Delete(t.Context(), "secondary", "primary"); err != nil {
		t.Error(err)
	}
	answers = map[string]int{"POST /v1/AuthTokens/Promote": 404, "DELETE /v1/AuthTokens/Secondary": 404}
	if err := i.Delete(t.Context(), "primary", "secondary"); class(err) != "refused" {
		t.Errorf("without a second one to promote: %v", err)
	}
	if err := i.Delete(t.Context(), "secondary", "primary"); err != nil {
		t.Errorf("without a second one to abandon: %v", err)
	}
	want := []string{
		"POST /v1/AuthTokens/Secondary", "POST /v1/AuthTokens/Promote", "DELETE /v1/AuthTokens/Secondary",
		"POST /v1/AuthTokens/Promote", "DELETE /v1/AuthTokens/Secondary",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	for id, heir := range map[string]string{"primary": "primary", "secondary": "secondary", "third": "primary"} {
		if err := i.Delete(t.Context(), id, heir); class(err) != "refused" || len(asked) != len(want) {
			t.Errorf("deleting %s for %s: %v", id, heir, err)
		}
	}
	if _, err := i.Keys(t.Context()); class(err) != "refused" || !fault.Is(err, fault.UnsupportedOperation) {
		t.Errorf("listing: %v", err)
	}
	if err := errors.Join(i.Disable(t.Context(), "primary"), i.Enable(t.Context(), "primary")); class(err) != "refused" || len(asked) != len(want) {
		t.Errorf("switching off: %v", err)
	}
}

// A secret that takes the old one's place keeps its id, and no list tells them apart.
func TestSameID(t *testing.T) {
	text, _ := httpapi.ShippedText("adyen")
	i, err := issue(string(text), httpapitest.Client(answering(200, `{"apiKey":"fake-fresh-1"}`)).Transport)
	if err != nil {
		t.Fatal(err)
	}
	want := rotation.Means{Archetype: rotation.FixedOverlap, Overlap: 24 * time.Hour, Activates: 5 * time.Minute, Verifies: true}
	if diff := cmp.Diff(want, i.Means()); diff != "" {
		t.Error(diff)
	}
	minted, err := i.Create(t.Context(), rotation.Attempt{Old: "S2-1"})
	if err != nil || minted.ID != "S2-1" || string(minted.Parts["secret"].Expose()) != "fake-fresh-1" || string(minted.Parts["id"].Expose()) != "S2-1" {
		t.Errorf("made is %+v, %v", minted, err)
	}
}

// A roll replaces the secret in place, if its definition says that this is the way.
func TestRoll(t *testing.T) {
	text := fmt.Sprintf(writing, "archetype: roll", `    rotate: {request: {method: POST, path: "/keys/{{key.id}}/reset"}, map: {secret: /secret}}`+"\n")
	asked := ""
	i, err := issue(text, httpapitest.Client(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path
		answering(200, `{"secret":"fake-fresh-1"}`)(w, r)
	})).Transport)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rotation.Means{Archetype: rotation.Roll, Verifies: true}, i.Means()); diff != "" {
		t.Error(diff)
	}
	minted, err := i.Create(t.Context(), attempt)
	if err != nil || minted.ID != "k1" || asked != "POST /keys/k1/reset" {
		t.Errorf("made is %+v by %s, %v", minted, asked, err)
	}
}

// What cannot be sent is refused before anything is.
func TestRefusedBeforehand(t *testing.T) {
	calls := 0
	i, err := issue(plans["multi"].text, httpapitest.Client(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ })).Transport)
	if err != nil {
		t.Fatal(err)
	}
	long := attempt
	long.Tag = strings.Repeat("x", 65)
	_, tagged := i.Create(t.Context(), long)
	other := attempt
	other.Principal = "somebody"
	_, foreign := i.Create(t.Context(), other)
	_, missing := i.Verify(t.Context(), "k1", nil)
	for name, err := range map[string]error{
		"mark too long": tagged, "another principal": foreign, "no secret": missing, "its own heir": i.Delete(t.Context(), "k1", "k1"), "no disable": i.Disable(t.Context(), "k1"),
		"an id that is a path": i.Delete(t.Context(), "..", "k2"), "no id": i.Delete(t.Context(), "", "k2"),
	} {
		if class(err) != "refused" {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Create(ended, attempt); class(err) != "none" {
		t.Errorf("given up: %v", err)
	}
	if calls != 0 {
		t.Errorf("%d requests were sent", calls)
	}
}

// A definition that does not say how keys are made is no issuer's.
func TestNoIssuer(t *testing.T) {
	stripe, _ := httpapi.ShippedText("stripe")
	stripe = []byte(strings.Replace(string(stripe), "api_version: {type: string, ", `api_version: {type: string, default: 2026-10-28.preview, `, 1))
	for text, want := range map[string]string{string(stripe): "encrypted", strings.Replace(httpapitest.Small, `"[0-9]+"`, `"[0-9]+", default: 7`, 1): "only reads"} {
		if _, err := issue(text, http.DefaultTransport); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), want) {
			t.Errorf("answered %v, expected %q", err, want)
		}
	}
}
