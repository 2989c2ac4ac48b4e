package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server"
)

func edge(proxies ...string) *server.Edge {
	zero := func() float64 { return 0 }
	e := &server.Edge{
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Metrics: server.NewMetrics("test", server.Gauges{Sealed: zero, AuditSize: zero, TamperedRows: zero}),
	}
	for _, p := range proxies {
		e.TrustedProxies = append(e.TrustedProxies, netip.MustParsePrefix(p))
	}
	return e
}

// The metrics name accounts and keys: a stranger gets none of them, however the request is forwarded.
func TestMetricsAreForTheirNetworksOnly(t *testing.T) {
	here := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16")}
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("account 42")) })
	for _, test := range []struct {
		peer, forwarded string
		proxies         []string
		want            int
	}{
		{"127.0.0.1:9", "", nil, 200},
		{"10.1.2.3:9", "", nil, 200},
		{"[::ffff:10.1.2.3]:9", "", nil, 200},
		{"10.2.2.3:9", "", nil, 403},
		{"203.0.113.9:9", "127.0.0.1", nil, 403},
		{"127.0.0.1:9", "203.0.113.9", []string{"127.0.0.1/32"}, 403},
		{"127.0.0.1:9", "127.0.0.1, 203.0.113.9", []string{"127.0.0.1/32"}, 403},
		{"127.0.0.1:9", "10.1.2.3", []string{"127.0.0.1/32"}, 200},
		{"@", "", nil, 403}, // a Unix socket
	} {
		e := edge(test.proxies...)
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr = test.peer
		r.Header.Set("X-Forwarded-For", test.forwarded)
		w := httptest.NewRecorder()
		e.Only(here, metrics).ServeHTTP(w, r)
		if w.Code != test.want || (w.Code == 200) != strings.Contains(w.Body.String(), "42") {
			t.Errorf("%+v: %d %.60q", test, w.Code, w.Body.String())
		}
	}
}

func TestSourceIsBelievedFromTrustedProxiesOnly(t *testing.T) {
	for _, test := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:99", "", "192.0.2.1"},
		{"192.0.2.1:99", "198.51.100.1", "192.0.2.1"}, // a stranger may say what it likes
		{"10.0.0.1:99", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:99", "203.0.113.9, 198.51.100.1", "198.51.100.1"}, // what the client wrote itself comes first
		{"10.0.0.1:99", "198.51.100.1, 10.0.0.2", "198.51.100.1"},
		{"10.0.0.1:99", "nonsense", "10.0.0.1"},
		{"[::ffff:10.0.0.1]:99", "198.51.100.1", "198.51.100.1"},
	} {
		var have netip.Addr
		h := edge("10.0.0.0/8").Handle("test", 10, func(_ http.ResponseWriter, _ *http.Request, x *server.Exchange, _ error) { have = x.Source })
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.peer
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if have.String() != test.want {
			t.Errorf("%s saying %q is %s, want %s", test.peer, test.forwarded, have, test.want)
		}
	}
}

func TestLimitsBeforeAuthentication(t *testing.T) {
	for name, test := range map[string]struct {
		make func() *http.Request
		want fault.Kind
	}{
		"small": {func() *http.Request { return httptest.NewRequest("POST", "/", strings.NewReader("0123456789")) }, ""},
		"body":  {func() *http.Request { return httptest.NewRequest("POST", "/", strings.NewReader("0123456789x")) }, fault.TooLarge},
		"URL":   {func() *http.Request { return httptest.NewRequest("GET", "/?"+strings.Repeat("a", server.MaxURL), nil) }, fault.TooLarge},
		"header": {func() *http.Request {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X", strings.Repeat("a", server.MaxHeader))
			return r
		}, fault.TooLarge},
	} {
		var have error
		h := edge().Handle("test", 10, func(_ http.ResponseWriter, _ *http.Request, _ *server.Exchange, err error) { have = err })
		h.ServeHTTP(httptest.NewRecorder(), test.make())
		if fault.KindOf(have) != test.want {
			t.Errorf("%s: %v", name, have)
		}
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	h := edge().Handle("test", 10, func(http.ResponseWriter, *http.Request, *server.Exchange, error) { panic("boom") })
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "boom") || w.Header().Get("x-acs-request-id") == "" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
}

// Who is refused is told the limit that was reached, and no other, which may be none.
func TestRateNamesItsLimit(t *testing.T) {
	call := &authz.Call{Principal: authz.Principal{Account: "1", AccessKey: "a"}, Time: time.Now()}
	for want, l := range map[string]*server.Limiter{"at most 1 calls a second per access key": {PerKey: 1}, "at most 1 calls a second per account": {PerAccount: 1}} {
		if err := l.Admit(call); err != nil {
			t.Fatal(err)
		}
		if err := l.Admit(call); !fault.Is(err, fault.Throttled) || !strings.Contains(err.Error(), want+".") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	l := &server.Limiter{PerKey: 1}
	if err := l.AdmitVisitor("192.0.2.1", call.Time); err != nil {
		t.Fatal(err)
	}
	if err := l.AdmitVisitor("192.0.2.1", call.Time); !fault.Is(err, fault.Throttled) || strings.Contains(err.Error(), "access key") {
		t.Errorf("a visitor is told: %v", err)
	}
	if err := l.AdmitVisitor("192.0.2.2", call.Time); err != nil {
		t.Errorf("another visitor: %v", err)
	}
}

func TestRateIsBoundedByKeyAndAccount(t *testing.T) {
	l := &server.Limiter{PerKey: 10, PerAccount: 15}
	now := time.Now()
	admitted := func(key string, at time.Time, calls int) (n int) {
		for range calls {
			if l.Admit(&authz.Call{Principal: authz.Principal{Account: "1", AccessKey: key}, Time: at}) == nil {
				n++
			}
		}
		return n
	}
	if n := admitted("a", now, 20); n != 10 {
		t.Errorf("%d of 20 calls of one key were admitted, want 10", n)
	}
	if n := admitted("b", now, 20); n != 5 {
		t.Errorf("%d calls of a second key were admitted, want the account's last 5", n)
	}
	if n := admitted("a", now.Add(500*time.Millisecond), 20); n != 5 {
		t.Errorf("half a second later %d were admitted, want 5", n)
	}
	if n := admitted("a", now.Add(time.Hour), 20); n != 10 {
		t.Errorf("an hour later %d were admitted, want 10", n)
	}
}

func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := server.LimitConnections(inner, 2)
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial()
	dial()
	first := <-accepted
	<-accepted
	third := dial()
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("a third connection was kept")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	dial()
	<-accepted // the place is free again
}

// A crowd is a listener whose clients have any addresses.
type crowd struct {
	net.Listener
	from []string
}

type stranger struct {
	net.Conn
	from netip.AddrPort
}

func (s stranger) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.from) }
func (s stranger) Close() error         { return nil }

func (c *crowd) Accept() (net.Conn, error) {
	if len(c.from) == 0 {
		return nil, net.ErrClosed
	}
	next := stranger{from: netip.MustParseAddrPort(c.from[0])}
	c.from = c.from[1:]
	return next, nil
}

// Who has a network of IPv6 has no address to spare.
func TestConnectionsOfIPv6AreCountedByNetwork(t *testing.T) {
	l := server.LimitConnections(&crowd{from: []string{
		"[2001:db8:0:1::1]:1", "[2001:db8:0:1::2]:1", "[2001:db8:0:1:ffff::3]:1", "[2001:db8:0:2::1]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1", "192.0.2.1:2", "192.0.2.2:1",
	}}, 2)
	var got []string
	for {
		c, err := l.Accept()
		if err != nil {
			break
		}
		got = append(got, c.RemoteAddr().String())
	}
	want := []string{"[2001:db8:0:1::1]:1", "[2001:db8:0:1::2]:1", "[2001:db8:0:2::1]:1", "192.0.2.1:1", "192.0.2.1:1", "192.0.2.2:1"}
	if !slices.Equal(got, want) {
		t.Errorf("accepted were %q, want %q", got, want)
	}
}

// writeCertificate makes a certificate for name and puts it where the server reads it.
func writeCertificate(t *testing.T, dir, name string, at time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestCertificateIsReadAgainWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := writeCertificate(t, dir, "first", time.Now().Add(-time.Hour))
	cfg := server.TLS(certFile, keyFile, "1.3", slog.New(slog.DiscardHandler))
	if cfg.MinVersion != tls.VersionTLS13 {
		t.Errorf("minimum version %x", cfg.MinVersion)
	}
	name := func() string {
		c, err := cfg.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return parsed.Subject.CommonName
	}
	if n := name(); n != "first" {
		t.Fatalf("serves %q", n)
	}
	writeCertificate(t, dir, "second", time.Now())
	deadline := time.Now().Add(10 * time.Second)
	for name() != "second" {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is never served")
		}
		time.Sleep(20 * time.Millisecond) // the files are looked at once a second
	}
	if err := os.WriteFile(certFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := name(); n != "second" {
		t.Errorf("with a broken file it serves %q", n)
	}
}
