package main

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/material"
)

// The tests are inside package main because nobody can import it.

func testPool(host string) *pool {
	return &pool{form: form{host: host, action: "Encrypt", query: "KeyId=k&Plaintext=aGVsbG8%3D", keyID: "test", secret: "not a secret"}}
}

// TestRequestsAreSigned has the product's verifier check what is sent.
func TestRequestsAreSigned(t *testing.T) {
	p := testPool("127.0.0.1:7420")
	p.sign(time.Second / fastest * 20)
	v := &authn.Verifier{Now: time.Now, Lookup: func(context.Context, string, string) (authn.Credential, error) {
		return authn.Credential{Secret: material.NewBytes([]byte("not a secret"))}, nil
	}}
	nonces := map[string]bool{}
	for i := range p.marks {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p.append(nil, i))))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := v.Verify(t.Context(), authn.Request{Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Header: r.Header})
		if err != nil {
			t.Fatal(err)
		}
		plain, _ := signed.Params.Value("Plaintext")
		if diff := cmp.Diff([]string{"Encrypt", versionKMS, "aGVsbG8="}, []string{signed.Action, signed.Version, plain}); diff != "" {
			t.Fatalf("request (-want +got):\n%s", diff)
		}
		nonces[string(signed.Nonce)] = true
	}
	if len(nonces) != len(p.marks) || len(nonces) < 10 {
		t.Errorf("%d requests have %d nonces", len(p.marks), len(nonces))
	}
}

// TestReadsAreSigned does so for the REST dialect, and sees that each path is asked for
// once before any is asked for again.
func TestReadsAreSigned(t *testing.T) {
	p := &pool{form: form{host: "127.0.0.1:7420", keyID: "test", secret: "not a secret", paths: []string{"/v1/secrets/a/value", "/v1/secrets/b/value", "/v1/secrets/c/value"}}}
	p.signMany(6)
	v := &authn.Verifier{Now: time.Now, Lookup: func(context.Context, string, string) (authn.Credential, error) {
		return authn.Credential{Secret: material.NewBytes([]byte("not a secret"))}, nil
	}}
	asked := map[string]int{}
	for i := range p.marks {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p.append(nil, i))))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.VerifyREST(t.Context(), authn.Request{Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Header: r.Header}); err != nil {
			t.Fatal(err)
		}
		asked[r.Method+" "+r.URL.Path]++
	}
	want := map[string]int{"GET /v1/secrets/a/value": 2, "GET /v1/secrets/b/value": 2, "GET /v1/secrets/c/value": 2}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

const goodAnswer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length:  5\r\n\r\nhello"

func TestReadAnswer(t *testing.T) {
	for text, want := range map[string]string{
		goodAnswer: "",
		"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nwhy": "HTTP/1.1 400 Bad Request: why",
		"HTTP/1.1 200 OK\r\n\r\n":                                  "the answer has no Content-Length",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n":            `the Content-Length "Content-Length: -1" is no size`,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell":         "EOF",
		"HTTP/1.1 200 OK\r\nContent-Length: 5":                     "reading the headers: EOF",
		"":                                                         "reading the status line: EOF",
	} {
		size, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		got := ""
		if err != nil {
			got = err.Error()
		} else if size != 5 {
			t.Errorf("%q: %d bytes", text, size)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(goodAnswer))
	f.Add([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 99999999999\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		size, err := readAnswer(bufio.NewReader(bytes.NewReader(b)))
		if err == nil && (size < 0 || size > len(b)) {
			t.Errorf("a body of %d bytes in an answer of %d", size, len(b))
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add("12 (key) ward) S 1 1 1 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 1 2 3")
	f.Add("")
	f.Fuzz(func(t *testing.T, stat string) {
		if used, err := parseStat(stat); err == nil && used < 0 {
			t.Errorf("a CPU time of %v", used)
		}
	})
}

func TestParseStat(t *testing.T) {
	used, err := parseStat("12 (key) ward) S 1 1 1 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 1 2 3")
	if err != nil || used != 3*time.Second {
		t.Errorf("%v, %v; want 3s", used, err)
	}
	own, err := process{pid: os.Getpid()}.cpu()
	if err != nil || own < 0 {
		t.Errorf("of this process: %v, %v", own, err)
	}
}

// compete has a contender take one turn with four connections to a handler.
func compete(t *testing.T, h http.Handler) result {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	address := s.Listener.Addr().String()
	p := testPool(address)
	p.sign(20 * time.Millisecond)
	c := &contender{name: t.Name(), process: process{os.Getpid(), address}, pool: p}
	if err := c.enter(4); err != nil {
		t.Fatal(err)
	}
	defer c.leave()
	if err := c.take(20 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	return c.result
}

func TestContenderCountsAnswersAndFailures(t *testing.T) {
	if r := compete(t, answerFixed(300)); r.failures != 0 || len(r.latencies) == 0 || r.elapsed < 20*time.Millisecond {
		t.Errorf("%d failures, %d answers in %v", r.failures, len(r.latencies), r.elapsed)
	}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	if r := compete(t, refuse); r.failures != 4 || len(r.latencies) != 0 {
		t.Errorf("a handler that refuses: %d failures, %d answers", r.failures, len(r.latencies))
	}
}

// TestNoRequestIsSentTwice: a turn ends with its pool, or the server would rightly
// refuse a replay.
func TestNoRequestIsSentTwice(t *testing.T) {
	var seen sync.Map
	var sent, twice atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent.Add(1)
		if _, known := seen.LoadOrStore(r.Header.Get("x-acs-signature-nonce"), true); known {
			twice.Add(1)
		}
		w.Header().Set("Content-Length", "0")
	})
	s := httptest.NewServer(h)
	defer s.Close()
	address := s.Listener.Addr().String()
	p := testPool(address)
	p.sign(time.Second / fastest * 100)
	c := &contender{process: process{os.Getpid(), address}, pool: p}
	if err := c.enter(3); err != nil {
		t.Fatal(err)
	}
	defer c.leave()
	if err := c.take(time.Minute); err != nil { // the pool ends it
		t.Fatal(err)
	}
	if int(sent.Load()) != len(p.marks) || twice.Load() != 0 || c.result.failures != 0 {
		t.Errorf("sent %d of %d, %d twice, %d failures", sent.Load(), len(p.marks), twice.Load(), c.result.failures)
	}
}

func TestJournalWritesBeforeTheAnswer(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{file: file, queue: make(chan chan error, 8)}
	var run sync.WaitGroup
	run.Go(j.run)
	var answered atomic.Int64
	h := j.before(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := answered.Add(1)
		if info, err := file.Stat(); err != nil || info.Size() < n*recordSize {
			t.Errorf("answer %d with %d bytes written (%v)", n, info.Size(), err)
		}
	}))
	ask := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
		return w.Code
	}
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if status := ask(); status != http.StatusOK {
				t.Errorf("status %d", status)
			}
		})
	}
	all.Wait()
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if status := ask(); status != http.StatusInternalServerError || answered.Load() != 32 {
		t.Errorf("with the file closed: status %d, %d answers", status, answered.Load())
	}
	close(j.queue)
	run.Wait()
}

func TestAnswerHasTheSizeAskedFor(t *testing.T) {
	w := httptest.NewRecorder()
	answerFixed(321).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Body.Len() != 321 {
		t.Errorf("%d bytes", w.Body.Len())
	}
}

func TestTable(t *testing.T) {
	times := func(n int) []time.Duration { // n ms, n-1 ms, …
		all := make([]time.Duration, n)
		for i := range all {
			all[i] = time.Duration(n-i) * time.Millisecond
		}
		return all
	}
	var b bytes.Buffer
	failures := printRows(&b, "Encrypt", 16, []*contender{
		{name: limitA, result: result{elapsed: time.Second, cpu: 2 * time.Millisecond, latencies: times(100)}},
		{name: limitB, result: result{elapsed: 2 * time.Second, cpu: 2 * time.Millisecond, latencies: times(100)}},
		{name: "sqlite", result: result{elapsed: 4 * time.Second, cpu: 4 * time.Millisecond, heap: heap{6400, 810_000}, latencies: times(100), failures: 2}},
		{name: "postgres", result: result{failures: 1}},
	})
	want := `| Encrypt | 16 | limit A | 100 | 1.00 | 2.00 | – | 20.0 | 1.00 | – | – | 51.00 | 100.00 | 0 |
| Encrypt | 16 | limit B | 50 | 0.50 | 1.00 | – | 20.0 | 1.00 | – | – | 51.00 | 100.00 | 0 |
| Encrypt | 16 | sqlite | 25 | 0.25 | 0.50 | – | 40.0 | 2.00 | 64.0 | 8.1 | 51.00 | 100.00 | 2 |
| Encrypt | 16 | postgres | 0 | 0.00 | 0.00 | – | 0.0 | 0.00 | – | – | 0.00 | 0.00 | 1 |
`
	if diff := cmp.Diff(want, b.String()); diff != "" || failures != 3 {
		t.Errorf("%d failures; table (-want +got):\n%s", failures, diff)
	}
	if strings.Count(tableHead, "|") != 2*strings.Count(strings.SplitN(want, "\n", 2)[0], "|") {
		t.Error("the head has other columns than the rows")
	}
}

func TestParseHeap(t *testing.T) {
	h, err := parseHeap("# HELP go_memstats_mallocs_total x\ngo_memstats_alloc_bytes_total 1.5e+06\ngo_memstats_mallocs_total 42\n")
	if want := (heap{42, 1.5e6}); err != nil || h != want {
		t.Errorf("have %v, %v", h, err)
	}
	for _, bad := range []string{"", "go_memstats_mallocs_total 42\n", "go_memstats_mallocs_total x\ngo_memstats_alloc_bytes_total 1\n"} {
		if _, err := parseHeap(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestParse(t *testing.T) {
	t.Setenv(postgresVariable, "")
	p, err := parse([]string{"-connections", "2,8", "-operations", "Decrypt"})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{p.connections, len(p.operations), p.operations[0].name, p.databases, p.duration}
	if diff := cmp.Diff([]any{[]int{2, 8}, 1, "Decrypt", []string{"sqlite"}, 3 * time.Second}, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	for _, bad := range [][]string{{"-operations", "Sign"}, {"-connections", "0"}, {"-database", "mysql"}, {"-database", "postgres"}, {"-connections", ""}, {"-secrets", "0"}, {"-inventory", "10", "-accounts", "11"}, {"-inventory", "-1"}, {"-agents", "-1"}, {"-agents", "10001"}, {"-rotations", "-1"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestParseWaiting(t *testing.T) {
	n, err := parseWaiting("# HELP keyward_agents_waiting Agents.\n# TYPE keyward_agents_waiting gauge\nkeyward_agents_waiting 1.0e+04\n")
	if err != nil || n != 10_000 {
		t.Errorf("have %d, %v", n, err)
	}
	if _, err := parseWaiting("keyward_agents 3\n"); err == nil {
		t.Error("a number is found where there is none")
	}
}

func TestPrimitiveSigns(t *testing.T) {
	sign, err := signRSA()
	if err != nil {
		t.Fatal(err)
	}
	if err := sign(); err != nil {
		t.Error(err)
	}
}
