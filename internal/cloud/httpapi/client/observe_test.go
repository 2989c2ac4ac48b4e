package client_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/httpapi"
	"github.com/keyward/keyward/internal/cloud/httpapi/client"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/httpapitest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// canary is the credential of these tests: nothing may show it.
const canary = "fake-canary-7f3a"

// open makes an inventory's provider of a definition.
func open(d *definition.Definition, t client.Target) (accesskey.Provider, error) {
	c, err := client.Open(d, t)
	if err != nil {
		return nil, err
	}
	return c.Provider(), nil
}

func secret(text string) material.Bytes { return material.NewBytes([]byte(text)) }

// provider opens a definition on a service in memory.
func provider(t testing.TB, text string, service http.Handler, vars map[string]string) accesskey.Provider {
	t.Helper()
	d, err := definition.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := open(d, client.Target{Vars: vars, Credential: map[string]material.Bytes{"token": secret(canary)}, HTTP: httpapitest.Client(service), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func observe(t testing.TB, text string, service http.HandlerFunc) (accesskey.Snapshot, error) {
	t.Helper()
	return provider(t, text, service, map[string]string{"account": "7"}).Observe(t.Context())
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestObserve(t *testing.T) {
	var asked *http.Request
	got, err := observe(t, httpapitest.Small, func(w http.ResponseWriter, r *http.Request) {
		asked = r
		answering(200, `{"keys":[{"id":"a","name":"one\u0007","state":"on","expires":"2026-12-01T08:00:00+08:00"},{"id":17,"state":"off"},{"id":"c","state":"odd","expires":"soon"}]}`)(w, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	if asked.URL.String() != "https://api.example.com/v1/accounts/7/keys" || asked.Header.Get("Authorization") != "Bearer "+canary || asked.Header.Get("User-Agent") != "keyward" {
		t.Errorf("asked %s with %v", asked.URL, asked.Header)
	}
	want := accesskey.Snapshot{
		Keys: []accesskey.Observed{
			{ID: "a", Name: "one\uFFFD", Status: accesskey.Active, Expiry: accesskey.Expiry{At: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Basis: accesskey.Provided}},
			{ID: "17", Status: accesskey.Inactive},
			{ID: "c", Status: accesskey.Active},
		},
		Problems: []accesskey.Problem{
			{What: "list", Subject: "c", Reason: `the definition does not know the status "odd"; the key counts as active until statusMap says what it means`},
			{What: "list", Subject: "c", Reason: "expiresAt: reading /expires: it is not written like 2006-01-02T15:04:05Z07:00"},
		},
		Account: accesskey.Account{Detail: map[string]string{"definition": "small v1"}},
		Calls:   1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whatever is wrong with an answer is a clear error, of a kind that says whether to try
// again, and it shows neither the credential nor anything of a URL's query.
func TestBadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		service http.HandlerFunc
		kind    fault.Kind
		want    string
	}{
		"401 that echoes": {answering(401, "bad "+canary), fault.InvalidParameter, "refuses the credential"},
		"403":             {answering(403, ""), fault.InvalidParameter, "lacks a right"},
		"404":             {answering(404, ""), fault.InvalidParameter, "check the variables"},
		"418":             {answering(418, ""), fault.Unavailable, "unexpected status 418"},
		"500":             {answering(500, canary), fault.Unavailable, "status 500"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/"+canary, http.StatusFound)
		}, fault.InvalidParameter, "not followed"},
		"huge":               {answering(200, `{"keys":"`+strings.Repeat("x", 300<<10)+`"}`), fault.Unavailable, "longer than 262144"},
		"not JSON":           {answering(200, "<html>"+canary), fault.Unavailable, "not JSON"},
		"empty":              {answering(200, ""), fault.Unavailable, "not JSON"},
		"two values":         {answering(200, `{"keys":[]}{"keys":[]}`), fault.Unavailable, "something follows"},
		"cut short":          {answering(200, `{"keys":[{"id":"a"}`), fault.Unavailable, "not JSON"},
		"deep":               {answering(200, strings.Repeat("[", 100_000)), fault.Unavailable, "not JSON"},
		"no list":            {answering(200, `{"keys":{}}`), fault.Unavailable, "no list"},
		"list is missing":    {answering(200, `{}`), fault.Unavailable, "no list"},
		"list is null":       {answering(200, `{"keys":null}`), fault.Unavailable, "no list"},
		"key without id":     {answering(200, `{"keys":[{"id":"a"},{"name":"x"}]}`), fault.Unavailable, "key 2 of the list"},
		"id is an object":    {answering(200, `{"keys":[{"id":{}}]}`), fault.Unavailable, "no single value"},
		"id is null":         {answering(200, `{"keys":[{"id":null}]}`), fault.Unavailable, "empty"},
		"id with a newline":  {answering(200, `{"keys":[{"id":"a\nb"}]}`), fault.Unavailable, "control characters"},
		"id that is endless": {answering(200, `{"keys":[{"id":"`+strings.Repeat("x", 300)+`"}]}`), fault.Unavailable, "too long"},
		"id is a secret":     {answering(200, `{"keys":[{"id":"`+canary+`"}]}`), fault.Unavailable, "holds a secret"},
		"connection breaks":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fault.Unavailable, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := observe(t, httpapitest.Small, c.service)
				if fault.KindOf(err) != c.kind || !strings.Contains(fault.Message(err), c.want) {
					t.Errorf("answered %v", err)
				}
				if err != nil && strings.Contains(err.Error()+fmt.Sprintf("%+v", err), canary) {
					t.Errorf("the error shows the credential: %v", err)
				}
				if diff := cmp.Diff(accesskey.Snapshot{}, got); diff != "" {
					t.Errorf("beside an error something was seen: %s", diff)
				}
			})
		})
	}
}

func TestSlowService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := observe(t, httpapitest.Edit(t, `v1"}`, `v1", timeout: 5s}`), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "within 5s") {
			t.Errorf("answered %v", err)
		}
		if took := time.Since(start); took != 18*time.Second { // three times 5 s, and pauses of 1 s and 2 s
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		p := provider(t, httpapitest.Small, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), map[string]string{"account": "7"})
		if _, err := p.Observe(ctx); err == nil || time.Since(start) != time.Second {
			t.Errorf("it ended %v after it began, with %v", time.Since(start), err)
		}
	})
}

// Throttling is heeded as the service asks, and never for longer than a minute.
func TestThrottling(t *testing.T) {
	for _, c := range []struct {
		header string
		waits  time.Duration
		calls  int
	}{{"7", 14 * time.Second, 3}, {"", 3 * time.Second, 3}, {"3600", 0, 1}, {"nonsense", 3 * time.Second, 3}} {
		synctest.Test(t, func(t *testing.T) {
			calls, start := 0, time.Now()
			_, err := observe(t, httpapitest.Small, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Retry-After", c.header)
				w.WriteHeader(429)
			})
			if !fault.Is(err, fault.Throttled) || calls != c.calls || time.Since(start) != c.waits {
				t.Errorf("%q: %v after %d calls and %v", c.header, err, calls, time.Since(start))
			}
		})
	}
}

// pagesOf is a definition with pages, and a service that has so many keys on them.
func pagesOf(t *testing.T, kind, query string) string {
	t.Helper()
	return httpapitest.Edit(t, `keys"}`, `keys", query: `+query+`}`, "items: /keys", "items: /keys\n      page: "+kind)
}

func TestPages(t *testing.T) {
	key := func(i int) string { return fmt.Sprintf(`{"id":"k%d"}`, i) }
	list := func(from, to int) string {
		var all []string
		for i := from; i <= to; i++ {
			all = append(all, key(i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	for name, c := range map[string]struct {
		text  string
		pages map[string]string // by raw query
		link  map[string]string
		keys  int
		want  string // of the error
	}{
		"numbers, count of pages": {pagesOf(t, "{kind: number, pages: /pages, total: /total}", `{p: "{{page}}"}`), map[string]string{"p=1": `{"pages":2,"total":3,"keys":` + list(1, 2) + `}`, "p=2": `{"pages":2,"total":3,"keys":` + list(3, 3) + `}`}, nil, 3, ""},
		"numbers from 0":          {pagesOf(t, "{kind: number, pages: /pages, first: 0}", `{p: "{{page}}"}`), map[string]string{"p=0": `{"pages":2,"keys":` + list(1, 2) + `}`, "p=1": `{"pages":2,"keys":` + list(3, 3) + `}`}, nil, 3, ""},
		"numbers, full pages":     {pagesOf(t, "{kind: number, size: 2}", `{p: "{{page}}"}`), map[string]string{"p=1": `{"keys":` + list(1, 2) + `}`, "p=2": `{"keys":` + list(3, 4) + `}`, "p=3": `{"keys":[]}`}, nil, 4, ""},
		"a key moves to page 2":   {pagesOf(t, "{kind: number, size: 2, total: /total}", `{p: "{{page}}"}`), map[string]string{"p=1": `{"total":3,"keys":` + list(1, 2) + `}`, "p=2": `{"total":3,"keys":` + list(2, 3) + `}`, "p=3": `{"total":3,"keys":[]}`}, nil, 3, ""},
		"a key falls between":     {pagesOf(t, "{kind: number, size: 2, total: /total}", `{p: "{{page}}"}`), map[string]string{"p=1": `{"total":4,"keys":` + list(1, 2) + `}`, "p=2": `{"total":4,"keys":` + list(4, 4) + `}`}, nil, 0, "there are 4 keys, and its pages have 3"},
		"no count of pages":       {pagesOf(t, "{kind: number, pages: /pages}", `{p: "{{page}}"}`), map[string]string{"p=1": `{"keys":` + list(1, 2) + `}`}, nil, 0, "no number at /pages"},
		"cursors":                 {pagesOf(t, "{kind: cursor, next: /next}", `{c: "{{cursor}}"}`), map[string]string{"": `{"next":"x y","keys":` + list(1, 2) + `}`, "c=x+y": `{"next":"","keys":` + list(3, 3) + `}`}, nil, 3, ""},
		"cursors in a circle":     {pagesOf(t, "{kind: cursor, next: /next}", `{c: "{{cursor}}"}`), map[string]string{"": `{"next":"a","keys":` + list(1, 2) + `}`, "c=a": `{"next":"b","keys":` + list(3, 3) + `}`, "c=b": `{"next":"a","keys":[]}`}, nil, 0, "circle"},
		"more, but no cursor":     {pagesOf(t, "{kind: cursor, next: /next, more: /more}", `{c: "{{cursor}}"}`), map[string]string{"": `{"more":true,"keys":` + list(1, 2) + `}`}, nil, 0, "and not at /next which"},
		"more is no truth":        {pagesOf(t, "{kind: cursor, next: /next, more: /more}", `{c: "{{cursor}}"}`), map[string]string{"": `{"keys":` + list(1, 2) + `}`}, nil, 0, "does not say at /more"},
		"links":                   {pagesOf(t, "{kind: link}", `{n: "2"}`), map[string]string{"n=2": `{"keys":` + list(1, 2) + `}`, "n=2&p=2": `{"keys":` + list(3, 3) + `}`}, map[string]string{"n=2": `</v1/accounts/7/keys?n=2>; rel="first", </v1/accounts/7/keys?n=2&p=2>; title="x"; rel=next`}, 3, ""},
		"link to another host":    {pagesOf(t, "{kind: link}", `{n: "2"}`), map[string]string{"n=2": `{"keys":[]}`}, map[string]string{"n=2": `<https://evil.example/v1/accounts/7/keys?p=2>; rel="next"`}, 0, "another host or path"},
		"link to another path":    {pagesOf(t, "{kind: link}", `{n: "2"}`), map[string]string{"n=2": `{"keys":[]}`}, map[string]string{"n=2": `</v1/reset?p=2>; rel="next"`}, 0, "another host or path"},
		"link in a circle":        {pagesOf(t, "{kind: link}", `{n: "2"}`), map[string]string{"n=2": `{"keys":[]}`}, map[string]string{"n=2": `<?n=2>; rel="next"`}, 0, "circle"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := observe(t, c.text, func(w http.ResponseWriter, r *http.Request) {
					body, ok := c.pages[r.URL.RawQuery]
					if !ok {
						t.Errorf("asked for %q", r.URL.RawQuery)
					}
					if link := c.link[r.URL.RawQuery]; link != "" {
						w.Header().Set("Link", link)
					}
					_, _ = io.WriteString(w, body)
				})
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) || len(got.Keys) != c.keys {
					t.Errorf("%d keys, %v", len(got.Keys), err)
				}
			})
		})
	}
}

func TestEndlessList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		_, err := observe(t, pagesOf(t, "{kind: cursor, next: /next}", `{c: "{{cursor}}"}`), func(w http.ResponseWriter, _ *http.Request) {
			calls++
			_, _ = fmt.Fprintf(w, `{"next":"c%d","keys":[{"id":"k%d"}]}`, calls, calls)
		})
		if !fault.Is(err, fault.Unavailable) || calls != 1000 {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
}

// A definition's pace is kept between the requests of a list.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, start := 0, time.Now()
		text := strings.Replace(pagesOf(t, "{kind: number, pages: /pages}", `{p: "{{page}}"}`), `v1"}`, `v1", rate: 30/m}`, 1)
		_, err := observe(t, text, func(w http.ResponseWriter, _ *http.Request) {
			calls++
			_, _ = fmt.Fprintf(w, `{"pages":10,"keys":[{"id":"k%d"}]}`, calls)
		})
		if took := time.Since(start); err != nil || calls != 10 || took != 18*time.Second {
			t.Errorf("%d calls in %v, %v", calls, took, err)
		}
	})
}

// Between the client and the platform everything goes wrong that can. Whatever is seen is
// all that there is; else there is an error, or a problem says that keys may be missing.
func TestNoKeyIsSilentlyMissing(t *testing.T) {
	text, _ := httpapi.ShippedText("story")
	complete, failed := 0, 0
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			story, first := httpapitest.NewStory(time.Now, time.Time{})
			story.PageSize = 1
			http := httpapitest.Client(story)
			post(t, http, first, "second")
			faults := &cloudtest.Faults{Service: story, Rate: 0.4, Wait: 30 * time.Second}
			faults.Seed(seed)
			d, err := definition.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			p, err := open(d, client.Target{Vars: map[string]string{"url": "https://story.example"}, Credential: map[string]material.Bytes{"token": secret(first)}, HTTP: httpapitest.Client(faults), Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Observe(t.Context())
			if err != nil {
				failed++
				if k := fault.KindOf(err); k != fault.Unavailable && k != fault.Throttled {
					t.Errorf("seed %d: an error that says not to try again: %v", seed, err)
				}
				return
			}
			complete++
			if len(got.Keys) != 2 || got.Keys[0].ID != "k1" || got.Keys[1].ID != "k2" {
				t.Errorf("seed %d: seen are %+v with the problems %+v", seed, got.Keys, got.Problems)
			}
		})
	}
	if complete < 30 || failed < 10 {
		t.Errorf("%d were complete, %d failed: the faults prove nothing", complete, failed)
	}
}

func post(t *testing.T, c *http.Client, token, name string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "https://story.example/keys", strings.NewReader(`{"name":"`+name+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.Do(r)
	if err != nil || resp.StatusCode != 201 {
		t.Fatalf("creating a key: %v, %v", resp, err)
	}
}

// What a definition declares secret, and the credential, are cut wherever they turn up.
func TestSecretsAreCut(t *testing.T) {
	text := httpapitest.Edit(t, "items: /keys", "items: /keys\n      redact: [/token]", "name: {pointer: /name, optional: true}", "name: /name\n        principal: /owner\n        detail: {note: /note}")
	got, err := observe(t, text, answering(200, `{"keys":[{"id":"a","token":"fake-other-1","name":"x fake-other-1 y","owner":"`+canary+`","note":"`+canary+canary+`","state":"`+canary+`","expires":"`+canary+`"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(shown); strings.Contains(text, canary) || strings.Contains(text, "fake-other") || !strings.Contains(text, "x [redacted] y") {
		t.Errorf("seen is %s", text)
	}
}

// A list without the credential's own key may lack others: then none may be called gone.
func TestStatusThatFailsLeavesAProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := httpapitest.Edit(t, "  operations:", "  operations:\n    status: {request: {method: GET, path: /self, query: {q: private}}, map: {id: /id}}")
		got, err := observe(t, text, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/self" {
				panic(http.ErrAbortHandler)
			}
			answering(200, `{"keys":[{"id":"a","state":"on"}]}`)(w, r)
		})
		if err != nil || len(got.Keys) != 1 || len(got.Problems) != 1 || !got.Problems[0].Lists || strings.Contains(got.Problems[0].Reason, "private") {
			t.Errorf("seen is %+v, %v", got, err)
		}
	})
}

// HTTP Basic sends a credential encoded; an answer that shows it in that form is cut, too.
func TestBasicIsCut(t *testing.T) {
	text := httpapitest.Edit(t, `{headers: {Authorization: "Bearer {{secret.token}}"}}`, `{basic: {user: u, password: "{{secret.token}}"}}`)
	encoded := base64.StdEncoding.EncodeToString([]byte("u:" + canary))
	got, err := observe(t, text, answering(200, `{"keys":[{"id":"a","name":"Basic `+encoded+`","state":"on"}]}`))
	if err != nil || len(got.Keys) != 1 || got.Keys[0].Name != "Basic [redacted]" {
		t.Errorf("seen is %+v, %v", got.Keys, err)
	}
}

func TestMissingOperations(t *testing.T) {
	d, err := definition.Parse([]byte(httpapitest.Small))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Open(d, client.Target{Vars: map[string]string{"account": "1"}, Credential: map[string]material.Bytes{"token": secret(canary)}, HTTP: httpapitest.Client(http.NotFoundHandler()), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	_, status := c.Status(t.Context())
	_, verify := c.Verify(t.Context(), "a", secret(canary))
	if err := errors.Join(status, verify); !fault.Is(status, fault.UnsupportedOperation) || !fault.Is(verify, fault.UnsupportedOperation) || c.Calls() != 0 {
		t.Errorf("answered %v", err)
	}
}

// FuzzAnswer holds that no answer is more than an error, and that nothing that is seen
// shows a secret or commands a terminal.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"keys":[{"id":"a","name":"one","state":"on","expires":"2026-12-01T08:00:00+08:00"}]}`))
	f.Add([]byte(`{"keys":[{"id":"` + canary + `","name":"\u001b[2J` + canary + `"}]}`))
	d, err := definition.Parse([]byte(httpapitest.Small))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := open(d, client.Target{
			Vars: map[string]string{"account": "7"}, Credential: map[string]material.Bytes{"token": secret(canary)}, HTTP: httpapitest.Client(answering(200, string(body))),
			Now: time.Now, Wait: func(context.Context, time.Duration) error { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Observe(t.Context())
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("an error without a kind: %v", err)
		}
		for _, k := range got.Keys {
			if text := k.ID + k.Name; strings.Contains(text, canary) || strings.ContainsAny(text, "\x00\x1b\n\r") || k.ID == "" {
				t.Errorf("seen is %q", text)
			}
		}
	})
}
