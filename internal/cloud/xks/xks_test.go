package xks_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/cloud/xks"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/offer/offertest"
	"github.com/keyward/keyward/internal/store/storetest"
	protocol "github.com/keyward/keyward/internal/xks"
)

// local is an inner cipher as keys of software have one.
type local struct{ *material.Cipher }

func (c local) Seal(_ context.Context, plaintext []byte, of material.Context) ([]byte, error) {
	return c.Cipher.Seal(plaintext, of)
}

func (c local) Open(_ context.Context, ciphertext []byte, of material.Context) (material.Bytes, error) {
	return c.Cipher.Open(ciphertext, of)
}

// A world is keyward at both ends, and somebody between them.
type world struct {
	*offertest.World
	server *httptest.Server
	origin xks.Origin

	mu      sync.Mutex   // guards meddle and seen
	between http.Handler // answers instead of the proxy; nil for nobody
	seen    [][]byte     // bodies of requests
}

func newWorld(t testing.TB) *world {
	w := &world{World: offertest.Start(t, storetest.SQLite(t))}
	w.origin = xks.Origin{Account: w.Account, Key: "key-1"}
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.mu.Lock()
		w.seen = append(w.seen, body)
		h := w.between
		w.mu.Unlock()
		if h == nil {
			h = w.Handler
		}
		h.ServeHTTP(rw, r)
	}))
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug) // clients that do not believe it
	w.server.StartTLS()
	t.Cleanup(w.server.Close)
	return w
}

// put puts somebody between both ends.
func (w *world) put(h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.between = nil
	if h != nil {
		w.between = h
	}
}

// meddle has the true answers of an operation changed before they arrive.
func (w *world) meddle(operation string, change func(map[string]any)) {
	w.put(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, operation) {
			w.Handler.ServeHTTP(rw, r)
			return
		}
		rec := httptest.NewRecorder()
		w.Handler.ServeHTTP(rec, r)
		var answer map[string]any
		_ = json.Unmarshal(rec.Body.Bytes(), &answer) // it is ours
		change(answer)
		_ = json.NewEncoder(rw).Encode(answer)
	})
}

func (w *world) options(t testing.TB) xks.Options {
	return xks.Options{
		Endpoint: w.server.URL, Configuration: material.NewBytes(w.Configuration(t)), Now: w.Now, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Authorities: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw}), Timeout: 5 * time.Second,
	}
}

func (w *world) client(t testing.TB, change func(*xks.Options)) *xks.Client {
	t.Helper()
	o := w.options(t)
	if change != nil {
		change(&o)
	}
	c, err := xks.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func cipher(t testing.TB, c *xks.Client, o xks.Origin, external string, id byte) *xks.Cipher {
	t.Helper()
	inner, err := material.NewCipher(material.AES256, material.NewBytes(bytes.Repeat([]byte{id}, 32)), [16]byte{id}, [16]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return &xks.Cipher{Client: c, Origin: o, External: external, Inner: local{inner}, Header: material.Header{Suite: material.SuiteExternal, Key: [16]byte{id}, Version: [16]byte{1}}}
}

// What is encrypted by both decrypts by both, the manager sees nothing of it, and several keys
// may share one external key without opening each other's ciphertexts.
func TestDoubleEncryption(t *testing.T) {
	w := newWorld(t)
	w.NewKey(t, "shared", offer.Both)
	client := w.client(t, nil)
	first, second := cipher(t, client, w.origin, "shared", 1), cipher(t, client, w.origin, "shared", 2)
	of, plain := material.Context{"app": "canary-context"}, []byte(strings.Repeat("canary-plaintext ", 361))[:6144]
	sealed, err := first.Seal(t.Context(), plain, of)
	check(t, err)
	back, err := first.Open(t.Context(), sealed, of)
	check(t, err)
	if !bytes.Equal(back.Expose(), plain) {
		t.Error("it decrypts to something else")
	}
	for _, body := range w.seen {
		var in struct{ Plaintext, Ciphertext, AdditionalAuthenticatedData []byte }
		check(t, json.Unmarshal(body, &in))
		if s := string(slices.Concat(body, in.Plaintext, in.AdditionalAuthenticatedData)); strings.Contains(s, "canary") || len(in.Plaintext) > 200 {
			t.Errorf("the manager was told %q", s)
		}
	}
	other := bytes.Clone(sealed)
	copy(other[4:20], second.Header.Append(nil)[4:20])
	for name, open := range map[string]func() (material.Bytes, error){
		"another key":            func() (material.Bytes, error) { return second.Open(t.Context(), sealed, of) },
		"another key, relabeled": func() (material.Bytes, error) { return second.Open(t.Context(), other, of) },
		"another context":        func() (material.Bytes, error) { return first.Open(t.Context(), sealed, material.Context{"app": "x"}) },
		"no context":             func() (material.Bytes, error) { return first.Open(t.Context(), sealed, nil) },
	} {
		if _, err := open(); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := 0; i < len(sealed); i += 7 {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := first.Open(t.Context(), changed, of); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("byte %d was changed: %v", i, err)
		}
		if _, err := first.Open(t.Context(), sealed[:i], of); !fault.Is(err, fault.InvalidCiphertext) {
			t.Errorf("cut to %d: %v", i, err)
		}
	}
	check(t, client.Check(t.Context(), w.origin, "shared"))
	health, err := client.Health(t.Context(), w.origin)
	if check(t, err); !health.Serves() || health.Vendor != "keyward" {
		t.Errorf("%+v", health)
	}
}

// A manager that does its work wrongly is not believed, whatever it does; and when it does it
// rightly again, so does keyward: nothing of the wrong answers was kept.
func TestMisbehaviour(t *testing.T) {
	w := newWorld(t)
	w.NewKey(t, "foo", offer.Both)
	w.NewKey(t, "bar", offer.Both)
	of := material.Context{"a": "b"}
	honest := cipher(t, w.client(t, nil), w.origin, "foo", 1)
	sealed, err := honest.Seal(t.Context(), []byte("canary-plaintext"), of)
	check(t, err)
	another, err := honest.Seal(t.Context(), []byte("canary-another"), of)
	check(t, err)
	var replayed any // what the manager answered for another message
	w.meddle("decrypt", func(a map[string]any) { replayed = a["plaintext"] })
	_, err = honest.Open(t.Context(), another, of)
	check(t, err)
	for name, begin := range w.misbehaviours(t, replayed) {
		t.Run(name, func(t *testing.T) {
			c := cipher(t, w.client(t, func(o *xks.Options) {
				if name == "slow" {
					o.Timeout = 50 * time.Millisecond
				}
			}), w.origin, "foo", 1)
			begin()
			out, err := c.Seal(t.Context(), []byte("canary-plaintext"), of)
			unavailable(t, "encrypting", err)
			if out != nil {
				t.Error("something was encrypted")
			}
			if name != "another key's" { // which decrypts as it should
				back, err := c.Open(t.Context(), sealed, of)
				if name == "another message" && fault.Is(err, fault.InvalidCiphertext) { // the two do not fit each other
					err = fault.KeyUnavailable.New("")
				}
				if unavailable(t, "decrypting", err); back.Len() != 0 {
					t.Error("something was decrypted")
				}
			}
			w.put(nil)
			if back, err := c.Open(t.Context(), sealed, of); err != nil || string(back.Expose()) != "canary-plaintext" {
				t.Errorf("afterwards it does not decrypt: %v", err)
			}
		})
	}
}

// misbehaviours are what a manager may do wrongly with its key "foo", each of which begins when
// it is called. replayed is what it answered for another message.
func (w *world) misbehaviours(t *testing.T, replayed any) map[string]func() {
	status := func(code int, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(code); _, _ = io.WriteString(rw, body) }
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect is followed") }))
	t.Cleanup(elsewhere.Close)
	return map[string]func(){
		"slow":          func() { w.put(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }) },
		"hangs up":      func() { w.put(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }) },
		"huge":          func() { w.put(status(200, `{"ciphertext":"`+strings.Repeat("A", protocol.MaxBody)+`"}`)) },
		"no JSON":       func() { w.put(status(200, "canary-answer")) },
		"empty":         func() { w.put(status(200, "{}")) },
		"error without": func() { w.put(status(500, "canary-answer")) },
		"another status": func() {
			w.put(status(404, `{"errorName":"InvalidCiphertextException","errorMessage":"canary-answer"}`))
		},
		"unknown error": func() { w.put(status(400, `{"errorName":"canary-answer"}`)) },
		"accepted":      func() { w.put(status(202, `{"plaintext":"AAAA"}`)) },
		"redirect": func() {
			w.put(func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, elsewhere.URL, http.StatusTemporaryRedirect)
			})
		},
		"throttles": func() { w.put(status(429, `{"errorName":"ThrottlingException"}`)) },
		"denies":    func() { w.put(status(403, `{"errorName":"AccessDeniedException"}`)) },
		"wrong tag": func() {
			w.meddle("crypt", func(a map[string]any) {
				a["authenticationTag"], a["plaintext"] = "AAAAAAAAAAAAAAAAAAAAAA==", flip(a["plaintext"])
			})
		},
		"wrong integrity": func() {
			w.meddle("crypt", func(a map[string]any) { a["ciphertextDataIntegrityValue"], a["plaintext"] = "AAAA", nil })
		},
		"another key's":   func() { w.put(w.insteadOf("foo", "bar")) },
		"another message": func() { w.meddle("decrypt", func(a map[string]any) { a["plaintext"] = replayed }) },
		"other text": func() {
			w.meddle("crypt", func(a map[string]any) { a["plaintext"] = flip(a["plaintext"]); a["ciphertext"] = flip(a["ciphertext"]) })
		},
		"longer text": func() { w.meddle("crypt", func(a map[string]any) { a["plaintext"], a["ciphertext"] = "AAAA", "AAAA" }) },
	}
}

// insteadOf has the manager work with another of its keys than it is asked for, when it
// encrypts: what it answers is in order, but of no use.
func (w *world) insteadOf(id, other string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/"+id+"/encrypt") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(err)
			}
			path := strings.Replace(r.URL.Path, "/"+id+"/", "/"+other+"/", 1)
			again := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
			again.Host = r.Host
			again.Header.Set("Content-Type", "application/json")
			w.Credential.Sign(protocol.Request{Host: again.Host, Path: path, Header: again.Header, Body: body}, "us-east-1", w.Now())
			r = again
		}
		w.Handler.ServeHTTP(rw, r)
	}
}

// flip changes the first letter of base64.
func flip(v any) any {
	s, ok := v.(string)
	if !ok || s == "" {
		return v
	}
	if s[0] == 'A' {
		return "B" + s[1:]
	}
	return "A" + s[1:]
}

func unavailable(t testing.TB, what string, err error) {
	t.Helper()
	if !fault.Is(err, fault.KeyUnavailable) || strings.Contains(fault.Message(err), "canary") || strings.Contains(err.Error(), "canary") {
		t.Errorf("%s: %v", what, err)
	}
}

// The server is believed by its certificate, which comes from an authority and may be pinned.
func TestWhoIsBelieved(t *testing.T) {
	w := newWorld(t)
	w.NewKey(t, "foo", offer.Both)
	sum := sha256.Sum256(w.server.Certificate().Raw)
	pin := hex.EncodeToString(sum[:])
	for name, test := range map[string]struct {
		change func(*xks.Options)
		good   bool
	}{
		"authority":          {nil, true},
		"none":               {func(o *xks.Options) { o.Authorities = nil }, false},
		"pin":                {func(o *xks.Options) { o.Fingerprint = pin }, true},
		"pin alone":          {func(o *xks.Options) { o.Authorities, o.Fingerprint = nil, pin }, false},
		"pin with colons":    {func(o *xks.Options) { o.Fingerprint = strings.ToUpper(pin[:2]) + ":" + pin[2:] }, true},
		"another pin":        {func(o *xks.Options) { o.Fingerprint = strings.Repeat("00", 32) }, false},
		"another secret":     {func(o *xks.Options) { o.Configuration = changed(w.Configuration(t), "RawSecretAccessKey\":\"", "A") }, false},
		"no allowed network": {func(o *xks.Options) { o.Allow = nil }, false},
	} {
		_, err := w.client(t, test.change).Health(t.Context(), w.origin)
		if test.good {
			check(t, err)
			continue
		}
		if unavailable(t, name, err); err == nil {
			t.Errorf("%s is believed", name)
		}
	}
}

// Whoever knows neither the protocol nor TLS is told what to look at.
func TestRefusalsAreExplained(t *testing.T) {
	w := newWorld(t)
	for name, status := range protocol.Statuses {
		if name == protocol.InvalidCiphertextException { // which is the ciphertext's fault
			continue
		}
		w.put(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(status)
			_ = json.NewEncoder(rw).Encode(protocol.NewError(name, ""))
		})
		_, err := w.client(t, nil).Health(t.Context(), w.origin)
		if _, why, _ := strings.Cut(fault.Message(err), string(name)+": "); len(why) < 10 {
			t.Errorf("%s is told as %q", name, fault.Message(err))
		}
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	plain.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	t.Cleanup(plain.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	w.put(http.NotFound)
	for want, change := range map[string]func(*xks.Options){
		"name its authority": func(o *xks.Options) { o.Authorities = nil },
		"the fingerprint":    func(o *xks.Options) { o.Fingerprint = strings.Repeat("00", 32) },
		"check its port":     func(o *xks.Options) { o.Endpoint = "https" + strings.TrimPrefix(plain.URL, "http") },
		"the firewalls":      func(o *xks.Options) { o.Endpoint = gone.URL },
		"XksProxyUriPath":    nil, // another server, which answers 404
	} {
		if _, err := w.client(t, change).Health(t.Context(), w.origin); !strings.Contains(fault.Message(err), want) {
			t.Errorf("%q is not in %q", want, fault.Message(err))
		}
	}
}

// changed inserts something behind a mark.
func changed(b []byte, mark, with string) material.Bytes {
	return material.NewBytes([]byte(strings.Replace(string(b), mark, mark+with, 1)))
}

// Options that cannot be are refused before anything is sent.
func TestOptions(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*xks.Options){
		"no endpoint":   func(o *xks.Options) { o.Endpoint = "" },
		"a path":        func(o *xks.Options) { o.Endpoint += "/x" },
		"a user":        func(o *xks.Options) { o.Endpoint = "https://u@h" },
		"plain":         func(o *xks.Options) { o.Endpoint, o.Allow = "http://h", nil },
		"no file":       func(o *xks.Options) { o.Configuration = material.Bytes{} },
		"another path":  func(o *xks.Options) { o.Configuration = changed(w.Configuration(t), "/kms/xks/v1", "/x") },
		"another id":    func(o *xks.Options) { o.Configuration = changed(w.Configuration(t), `AccessKeyId":"`, "a") },
		"a fingerprint": func(o *xks.Options) { o.Fingerprint = "00" },
		"authorities":   func(o *xks.Options) { o.Authorities = []byte("x") },
		"a certificate": func(o *xks.Options) { o.Certificate = []byte("x") },
	} {
		o := w.options(t)
		change(&o)
		if _, err := xks.New(o); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A proxy that fails five times in a row is left alone for a second, then two, up to thirty;
// one request tries it, and one success ends that.
func TestBreaker(t *testing.T) {
	var b xks.Breaker
	now := time.Unix(0, 0)
	for range 4 {
		b.Enter(now)
		b.Leave(now, false)
	}
	b.Enter(now)
	b.Leave(now, true)
	for i := range 5 {
		if !b.Enter(now) {
			t.Fatalf("closed after %d failures", i)
		}
		b.Leave(now, false)
	}
	var rests []time.Duration
	for range 7 {
		begin := now
		for !b.Enter(now) {
			now = now.Add(time.Second)
		}
		rests = append(rests, now.Sub(begin))
		if b.Enter(now) {
			t.Error("two requests try it at once")
		}
		b.Leave(now, false)
	}
	s := time.Second
	if diff := cmp.Diff([]time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}, rests); diff != "" {
		t.Error(diff)
	}
	now = now.Add(30 * s)
	if !b.Enter(now) {
		t.Error("it is not tried after its rest")
	}
	b.Abandon()
	if !b.Enter(now) {
		t.Error("a request that was abandoned keeps others out")
	}
	b.Leave(now, true)
	for range 2 {
		if !b.Enter(now) {
			t.Error("it is not used after a success")
		}
	}
}

// A client stops asking a proxy that is down, and asks again when that is up.
func TestOutage(t *testing.T) {
	w := newWorld(t)
	c := w.client(t, nil)
	w.put(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
	for range 20 {
		_, err := c.Health(t.Context(), w.origin)
		unavailable(t, "down", err)
	}
	if n := len(w.seen); n != 5 {
		t.Errorf("%d requests were made", n)
	}
	w.put(nil)
	w.Pass(1100 * time.Millisecond)
	_, err := c.Health(t.Context(), w.origin)
	check(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		if _, err := c.Health(gone, w.origin); err == nil {
			t.Error("it succeeds for who has gone")
		}
	}
	_, err = c.Health(t.Context(), w.origin)
	check(t, err)
}

// Whatever ciphertext somebody hands in, it opens or is invalid, and nothing panics.
func FuzzOpen(f *testing.F) {
	client, err := xks.New(xks.Options{
		Endpoint: "https://192.0.2.1", Now: time.Now, Timeout: time.Millisecond,
		Configuration: material.NewBytes([]byte(`{"XksProxyUriPath":"/kms/xks/v1","XksProxyAuthenticationCredential":{"AccessKeyId":"AAAAAAAAAAAAAAAAAAAAAAAAAA","RawSecretAccessKey":"` + strings.Repeat("a", 43) + `"}}`)),
	})
	if err != nil {
		f.Fatal(err)
	}
	c := cipher(f, client, xks.Origin{Account: "1", Key: "k"}, "x", 1)
	f.Add(c.Header.Append(nil))
	f.Add(append(c.Header.Append(nil), make([]byte, 300)...))
	f.Fuzz(func(t *testing.T, ciphertext []byte) {
		if _, err := c.Open(t.Context(), ciphertext, nil); !fault.Is(err, fault.InvalidCiphertext) && !fault.Is(err, fault.KeyUnavailable) {
			t.Errorf("have %v", err)
		}
	})
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
