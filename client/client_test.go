package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

const secret = "fake-secret"

func config(endpoint string) client.Config {
	return client.Config{Endpoint: endpoint, AccessKeyID: "FAKEID", AccessKeySecret: secret}
}

// serve answers a client of a server that does what handler does.
func serve(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	c, err := client.New(config(s.URL))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigHidesItsSecret(t *testing.T) {
	c := config("https://kms.example.com")
	made, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{c, &c, made, *made, []client.Config{c}, struct{ C client.Config }{c}} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s of %T shows it: %s", verb, v, text)
			}
		}
	}
	if s := c.String() + c.GoString(); strings.Contains(s, secret) || !strings.Contains(s, "FAKEID") {
		t.Errorf("as text: %s", s)
	}
}

func TestNewRefusesWhatWouldNotBeSafe(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"https://kms.example.com": true, "https://kms.example.com:7420/": true, "https://[2001:db8::1]:7420": true,
		"http://127.0.0.1:7420": true, "http://127.9.9.9": true, "http://[::1]:7420": true, "http://localhost:7420": true,
		"http://kms.example.com": false, "http://10.0.0.1:7420": false, "http://localhost.example.com": false,
		"http://127.0.0.1.example.com": false, "ftp://127.0.0.1": false, "127.0.0.1:7420": false, "": false, "https://": false,
		"https://kms.example.com/v1": false, "https://kms.example.com?x=y": false, "https://user:fake@kms.example.com": false,
		"https://kms.example.com:port": false,
	} {
		_, err := client.New(config(endpoint))
		if (err == nil) != ok {
			t.Errorf("%q: %v", endpoint, err)
		}
		if err != nil && strings.Contains(err.Error(), "fake") {
			t.Errorf("%q: the error shows a password: %v", endpoint, err)
		}
	}
	c := config("http://kms.example.com")
	c.AllowPlaintext = true
	if _, err := client.New(c); err != nil {
		t.Errorf("plaintext that was allowed: %v", err)
	}
	for _, c := range []client.Config{{Endpoint: "https://x", AccessKeyID: "a"}, {Endpoint: "https://x", AccessKeySecret: "a"}} {
		if _, err := client.New(c); err == nil {
			t.Errorf("%v is accepted", c)
		}
	}
}

func TestProblemsBecomeErrors(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", api.ProblemType)
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(api.Problem{Status: 409, Code: "KeyDisabled", Detail: "enable it first", RequestID: "R"})
	})
	err := c.EnableKey(t.Context(), "k")
	var e *client.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&client.Error{Status: 409, Code: "KeyDisabled", Message: "enable it first", RequestID: "R"}, e); diff != "" {
		t.Error(diff)
	}
	if e.Error() != "enable it first (KeyDisabled, request R)" {
		t.Errorf("as text: %s", e)
	}
}

func TestOtherAnswersAreNotTaken(t *testing.T) {
	for status, want := range map[int]int{502: 502, 307: 307, 200: 0} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Error("a redirect was followed")
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>")
		})
		_, err := c.WhoAmI(t.Context())
		var e *client.Error
		if err == nil || errors.As(err, &e) != (want != 0) || e != nil && (e.Status != want || e.Code != "") {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// Each try is signed anew; only a GET is tried again, and only if the connection broke.
func TestRetries(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken int32
		call   func(context.Context, *client.Client) error
		tries  int32
		ok     bool
	}{
		{"a GET", 2, func(ctx context.Context, c *client.Client) error { _, err := c.WhoAmI(ctx); return err }, 3, true},
		{"a GET that breaks for good", 9, func(ctx context.Context, c *client.Client) error { _, err := c.WhoAmI(ctx); return err }, 3, false},
		{"a POST", 1, func(ctx context.Context, c *client.Client) error { return c.EnableKey(ctx, "k") }, 1, false},
		{"a DELETE", 1, func(ctx context.Context, c *client.Client) error { return c.DeleteUser(ctx, "u") }, 1, false},
	} {
		var tries atomic.Int32
		nonces := make(chan string, 9)
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			nonces <- r.Header.Get("x-acs-signature-nonce")
			if tries.Add(1) <= c.broken {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, "{}")
		})
		if err := c.call(t.Context(), server); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if tries.Load() != c.tries {
			t.Errorf("%s was tried %d times, want %d", c.name, tries.Load(), c.tries)
		}
		seen := map[string]bool{}
		for range tries.Load() {
			seen[<-nonces] = true
		}
		if len(seen) != int(tries.Load()) || seen[""] {
			t.Errorf("%s: the nonces of %d tries are %v", c.name, tries.Load(), seen)
		}
	}
}

func TestRefusalIsNotRetried(t *testing.T) {
	var tries atomic.Int32
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		tries.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := c.WhoAmI(t.Context()); err == nil || tries.Load() != 1 {
		t.Errorf("%v after %d tries", err, tries.Load())
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	cfg := config(s.URL)
	cfg.Timeout = time.Millisecond
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WhoAmI(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("answered %v", err)
	}
}

// What is sent, as the server sees it.
func TestRequests(t *testing.T) {
	type seen struct{ Method, Target, Type, Body string }
	var last seen
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		last = seen{r.Method, r.RequestURI, r.Header.Get("Content-Type"), string(body)}
		_, _ = io.WriteString(w, "{}")
	})
	ctx := t.Context()
	if err := c.EnableKey(ctx, "alias/a/b"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(seen{"POST", "/v1/keys/alias~a~b/enable", "", ""}, last); diff != "" {
		t.Error(diff)
	}
	if _, err := c.ListKeys(ctx, api.ListKeysRequest{Limit: 7, Usages: []string{"ENCRYPT/DECRYPT", "SIGN/VERIFY"}, TagValues: []string{"a b"}}); err != nil {
		t.Error(err)
	}
	if want := "/v1/keys?limit=7&tagValues=a%20b&usages=ENCRYPT%2FDECRYPT%2CSIGN%2FVERIFY"; last.Target != want {
		t.Errorf("asked for %s, want %s", last.Target, want)
	}
	if err := c.TagKey(ctx, "acs:kms:r:1:key/k", api.TagRequest{Tags: map[string]string{"a": "b"}}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(seen{"POST", "/v1/keys/acs%3Akms%3Ar%3A1%3Akey~k/tags", "application/json", `{"tags":{"a":"b"}}`}, last); diff != "" {
		t.Error(diff)
	}
	last = seen{}
	if err := c.EnableKey(ctx, ""); err == nil || last != (seen{}) {
		t.Errorf("a key without a name: %v, sent %+v", err, last)
	}
	if err := c.UntagKey(ctx, "k", api.UntagRequest{Keys: []string{"a,b"}}); err == nil || last != (seen{}) {
		t.Errorf("a comma in a list: %v, sent %+v", err, last)
	}
}

func TestTheServerIsAskedForALanguage(t *testing.T) {
	var asked []string
	serve := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Accept-Language"))
		_, _ = io.WriteString(w, "{}")
	}))
	defer serve.Close()
	for _, language := range []string{"", "zh"} {
		made := config(serve.URL)
		made.Language = language
		c, err := client.New(made)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.WhoAmI(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := client.Login(t.Context(), made, api.LoginRequest{}); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"", "", "zh", "zh"}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestExportThatBreaksOffIsAnError(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "line\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	socket := t.TempDir() + "/operator.sock"
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Listener.Close() // of TCP, which is not wanted
	s.Listener = l
	s.Start()
	defer s.Close()
	var b strings.Builder
	if err := client.Operator(socket).ExportAudit(t.Context(), &b); err == nil || b.String() != "line\n" {
		t.Errorf("%v after %q", err, b.String())
	}
}
