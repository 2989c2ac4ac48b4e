package certificate_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/certificate"
	"github.com/keyward/keyward/internal/cloud/certificate/certificatetest"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

var (
	now   = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	local = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
)

func open(t testing.TB, directories []string, settings map[string]string, passwords string) (accesskey.Provider, error) {
	t.Helper()
	kind := certificate.Kind(directories)
	in := form.Filling{Settings: settings, Credential: map[string]material.Bytes{"passwords": material.NewBytes([]byte(passwords))}}
	if err := kind.Form.Check(in); err != nil {
		t.Fatal(err)
	}
	return kind.Open(accesskey.Opening{Filling: in, Now: func() time.Time { return now }, Allow: local})
}

func observe(t testing.TB, directories []string, settings map[string]string, passwords string) accesskey.Snapshot {
	t.Helper()
	p, err := open(t, directories, settings, passwords)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := p.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// problems answers what and why in one line each.
func problems(s accesskey.Snapshot) string {
	var out []string
	for _, p := range s.Problems {
		out = append(out, fmt.Sprintf("%s: %s (%v)", p.What, p.Reason, p.Lists))
	}
	return strings.Join(out, "\n")
}

func names(s accesskey.Snapshot) []string {
	var out []string
	for _, k := range s.Keys {
		out = append(out, k.Name)
	}
	return out
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	root := certificatetest.Issue(t, certificatetest.Template{Name: "root", Authority: true}, nil)
	leaf := certificatetest.Issue(t, certificatetest.Template{
		Name: "pay.example.com", Names: []string{"pay.example.com", "www.example.com"}, IPs: []net.IP{{10, 0, 0, 7}},
		Algorithm: "RSA", NotAfter: time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC),
	}, root)
	sm := certificatetest.Issue(t, certificatetest.Template{Name: "国密商户", Algorithm: "SM2"}, nil)
	old := certificatetest.Issue(t, certificatetest.Template{Name: "old", Algorithm: "RSA1024", NotAfter: now.Add(-time.Hour)}, root)
	early := certificatetest.Issue(t, certificatetest.Template{Name: "early", NotBefore: now.Add(time.Hour)}, root)
	write(t, filepath.Join(dir, "chain.pem"), slices.Concat(leaf.KeyPEM(t), leaf.PEM(), []byte("words between\n"), root.PEM()))
	write(t, filepath.Join(dir, "again.der"), leaf.Certificate.Raw)
	write(t, filepath.Join(dir, "sm2.pem"), sm.PEM())
	write(t, filepath.Join(dir, "old.p12"), old.PKCS12(t, "000000", "-legacy"))
	write(t, filepath.Join(dir, "early.p12"), early.PKCS12(t, "fake-密码"))

	s := observe(t, []string{dir}, map[string]string{"files": filepath.Join(dir, "*.pem") + ", " + filepath.Join(dir, "again.der") + " " + filepath.Join(dir, "*.p12")}, "wrong\n000000\r\nfake-密码\n")
	if problems(s) != "" {
		t.Error(problems(s))
	}
	if diff := cmp.Diff([]string{"pay.example.com", "root", "国密商户", "early", "old"}, names(s)); diff != "" {
		t.Fatal(diff)
	}
	want := accesskey.Observed{
		ID: certificate.ID(leaf.Certificate), Principal: filepath.Join(dir, "chain.pem"), Name: "pay.example.com", Status: accesskey.Active,
		CreatedAt: leaf.Certificate.NotBefore, Expiry: accesskey.Expiry{At: time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC), Basis: accesskey.Certificate},
		Detail: map[string]string{
			"subject": "CN=pay.example.com,O=throw-away", "issuer": "CN=root,O=throw-away", "serial": certificate.Serial(leaf.Certificate),
			"names": "pay.example.com, www.example.com, 10.0.0.7", "algorithm": "RSA", "key_bits": "2048", "signature": "ECDSA-SHA256",
			"not_before": "2026-01-01T00:00:00Z", "position": "leaf", "found": filepath.Join(dir, "chain.pem") + ", " + filepath.Join(dir, "again.der"),
		},
	}
	if diff := cmp.Diff(want, s.Keys[0]); diff != "" {
		t.Error(diff)
	}
	if k := s.Keys[1]; k.Detail["position"] != "root" {
		t.Errorf("the root is %v", k.Detail)
	}
	if k := s.Keys[2]; k.Detail["algorithm"] != "SM2" || k.Detail["signature"] != "SM2-SM3" || k.Detail["weak"] != "" {
		t.Errorf("SM2 is %v", k.Detail)
	}
	if k := s.Keys[3]; k.Status != accesskey.Inactive {
		t.Errorf("what is not yet valid is %s", k.Status)
	}
	if k := s.Keys[4]; k.Status != accesskey.Expired || k.Detail["weak"] != "RSA of 1024 bits" {
		t.Errorf("the old one is %s, %v", k.Status, k.Detail)
	}
	if len(s.Principals) != 5 {
		t.Errorf("the places are %v", s.Principals)
	}
}

func TestFilesThatAreNotRead(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	leaf := certificatetest.Issue(t, certificatetest.Template{Name: "leaf"}, nil)
	write(t, filepath.Join(outside, "secret.pem"), leaf.PEM())
	for link, target := range map[string]string{
		"absolute.pem": filepath.Join(outside, "secret.pem"),
		"relative.pem": "../" + filepath.Base(outside) + "/secret.pem",
		"directory":    outside,
		"inside.pem":   "data/leaf.pem",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "data", "leaf.pem"), leaf.PEM())
	write(t, filepath.Join(dir, "huge.pem"), append(leaf.PEM(), make([]byte, 1<<20)...))
	write(t, filepath.Join(dir, "text.pem"), []byte("CANARY-fake"))
	write(t, filepath.Join(dir, "store.jks"), []byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2})
	write(t, filepath.Join(dir, "locked.p12"), leaf.PKCS12(t, "CANARY-fake"))
	write(t, filepath.Join(dir, "half.pem"), slices.Concat(leaf.PEM(), []byte("-----BEGIN CERTIFICATE-----\nMIIBAAAA\n-----END CERTIFICATE-----\n")))
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"absolute.pem": "escapes", "relative.pem": "escapes", "directory/secret.pem": "escapes", "directory/*": "no file fits",
		"missing.pem": "no such file", "*.none": "no file fits", "data": "plain file", "pipe": "plain file",
		"huge.pem": "larger than 1048576", "text.pem": "no certificate", "store.jks": "keytool", "locked.p12": "passwords",
		"half.pem": "block 2 is malformed",
	} {
		path := filepath.Join(dir, name)
		s := observe(t, []string{dir}, map[string]string{"files": path}, "CANARY-wrong")
		if got := problems(s); !strings.Contains(got, want) || !strings.HasPrefix(got, path+": ") || !strings.HasSuffix(got, "(true)") || strings.Contains(got, "CANARY") {
			t.Errorf("%s: %q", name, got)
		}
		if subject := s.Problems[0].Subject; subject != path && !strings.Contains(name, "*") || subject != "" && strings.Contains(name, "*") {
			t.Errorf("%s: the subject is %q", name, subject)
		}
		if n := len(s.Keys); n != 0 && name != "half.pem" || n != 1 && name == "half.pem" {
			t.Errorf("%s: %d certificates", name, n)
		}
	}
	if s := observe(t, []string{dir}, map[string]string{"files": filepath.Join(dir, "inside.pem")}, ""); len(s.Keys) != 1 || problems(s) != "" {
		t.Errorf("a link that stays inside: %d keys, %s", len(s.Keys), problems(s))
	}
	for _, refused := range []string{
		filepath.Join(outside, "secret.pem"), dir, dir + "x/a.pem", filepath.Join(dir, "..", filepath.Base(outside), "secret.pem"),
		"relative.pem", "../a.pem", filepath.Join(dir, "[a"), "/",
	} {
		if _, err := open(t, []string{dir}, map[string]string{"files": refused}, ""); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%q: %v", refused, err)
		}
	}
	if _, err := open(t, nil, map[string]string{"files": "/etc/x.pem"}, ""); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), "inventory.certificate_dirs") {
		t.Errorf("without allowed directories: %v", err)
	}
}

// serve presents a chain on a port of its own; talk is what is said before TLS.
func serve(t *testing.T, config *tls.Config, talk func(net.Conn) error) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if talk == nil || talk(conn) == nil {
					_ = tls.Server(conn, config).HandshakeContext(t.Context())
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func chain(key *certificatetest.Issued, more ...*certificatetest.Issued) tls.Certificate {
	out := tls.Certificate{PrivateKey: key.Key, Certificate: [][]byte{key.Certificate.Raw}}
	for _, c := range more {
		out.Certificate = append(out.Certificate, c.Certificate.Raw)
	}
	return out
}

// script answers lines to lines, as a server that is given by its first words.
func script(greeting string, answers ...string) func(net.Conn) error {
	return func(conn net.Conn) error {
		in := bufio.NewReader(conn)
		if _, err := io.WriteString(conn, greeting); err != nil {
			return err
		}
		for _, answer := range answers {
			if _, err := in.ReadString('\n'); err != nil {
				return err
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestEndpoints(t *testing.T) {
	dir := t.TempDir()
	root := certificatetest.Issue(t, certificatetest.Template{Name: "root", Authority: true}, nil)
	middle := certificatetest.Issue(t, certificatetest.Template{Name: "middle", Authority: true}, root)
	one := certificatetest.Issue(t, certificatetest.Template{Name: "one", Names: []string{"one.example.com"}, IPs: []net.IP{{127, 0, 0, 1}}}, middle)
	two := certificatetest.Issue(t, certificatetest.Template{Name: "two", Names: []string{"two.example.com"}, Algorithm: "RSA"}, middle)
	expired := certificatetest.Issue(t, certificatetest.Template{Name: "expired", Names: []string{"one.example.com"}, NotAfter: now.Add(-time.Second)}, middle)
	write(t, filepath.Join(dir, "root.pem"), root.PEM())
	byName := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c := chain(one, middle)
		if hello.ServerName == "two.example.com" {
			c = chain(two, middle)
		}
		return &c, nil
	}}
	server := serve(t, byName, nil)
	mutual := serve(t, &tls.Config{Certificates: []tls.Certificate{chain(one, middle)}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, nil)
	lonely := serve(t, &tls.Config{Certificates: []tls.Certificate{chain(one)}}, nil)
	late := serve(t, &tls.Config{Certificates: []tls.Certificate{chain(expired, middle)}}, nil)
	smtp := serve(t, byName, script("220-hello\r\n220 there\r\n", "250-fine\r\n250 STARTTLS\r\n", "220 go\r\n"))
	imap := serve(t, byName, script("* OK hello\r\n", "* by the way\r\na OK go\r\n"))
	refusing := serve(t, byName, script("220 hello\r\n", "250 fine\r\n", "502 no\r\n"))
	endless := serve(t, byName, func(conn net.Conn) error {
		for {
			if _, err := conn.Write(make([]byte, 4096)); err != nil {
				return err
			}
		}
	})
	plain := serve(t, byName, func(conn net.Conn) error {
		_, err := io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
		return errors.Join(err, io.EOF)
	})
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	for _, c := range []struct {
		endpoint string
		names    []string
		problem  string
		lists    bool
	}{
		{server, []string{"one", "middle"}, "", false},
		{server + "#one.example.com", []string{"one", "middle"}, "", false},
		{server + "#two.example.com", []string{"two", "middle"}, "", false},
		{server + "#three.example.com", []string{"one", "middle"}, "not for three.example.com but for one.example.com", false},
		{mutual, []string{"one", "middle"}, "", false},
		{lonely, []string{"one"}, "does not verify", false},
		{late + "#one.example.com", []string{"expired", "middle"}, "has expired", false},
		{"smtp://" + smtp + "#two.example.com", []string{"two", "middle"}, "", false},
		{"imap://" + imap + "#two.example.com", []string{"two", "middle"}, "", false},
		{"smtp://" + refusing, nil, "does not offer", true},
		{"smtp://" + endless, nil, "ended the conversation", true},
		{plain, nil, "no certificate was presented", true},
		{dead.Addr().String(), nil, "refused", true},
		{"192.168.77.77:443", nil, "operator allowed", true},
	} {
		s := observe(t, []string{dir}, map[string]string{"endpoints": c.endpoint, "roots": filepath.Join(dir, "root.pem")}, "")
		if diff := cmp.Diff(c.names, names(s)); diff != "" {
			t.Errorf("%s: %s", c.endpoint, diff)
		}
		if got := problems(s); c.problem == "" && got != "" || !strings.Contains(got, c.problem) || len(s.Problems) > 0 && s.Problems[0].Lists != c.lists {
			t.Errorf("%s: %q, not %q", c.endpoint, got, c.problem)
		}
		if len(s.Keys) == 0 && s.Problems[0].Subject != c.endpoint {
			t.Errorf("%s: %+v", c.endpoint, s.Problems)
		}
		if len(s.Keys) > 0 && (s.Keys[0].Principal != c.endpoint || len(s.Problems) > 0 && s.Problems[0].Subject != s.Keys[0].ID) {
			t.Errorf("%s: %+v", c.endpoint, s)
		}
	}
	if s := observe(t, nil, map[string]string{"endpoints": server}, ""); !strings.Contains(problems(s), "does not verify") {
		t.Errorf("an authority that nobody trusts: %s", problems(s))
	}
}

func TestEndpointsThatAreRefused(t *testing.T) {
	for _, bad := range []string{
		"https://a", "ftp://a:21", "a:0", "a:70000", "a:b", "://a", "#name", "a:443/path", "u@a:443", "a?b", "a:443#b#c", "1:2:3:x", "[::1", "[::1]x:443", "a]b",
	} {
		if p, err := open(t, nil, map[string]string{"endpoints": bad}, ""); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%q: %v %v", bad, p, err)
		}
	}
	for _, fine := range []string{"a", "a:443", "[::1]:443", "::1", "smtp://a", "imap://[::1]:143#b", "a:443, b:443 c"} {
		if _, err := open(t, nil, map[string]string{"endpoints": fine}, ""); err != nil {
			t.Errorf("%q: %v", fine, err)
		}
	}
	if _, err := open(t, nil, nil, ""); !fault.Is(err, fault.MissingParameter) {
		t.Errorf("nothing to watch: %v", err)
	}
	if _, err := open(t, nil, map[string]string{"endpoints": "a"}, strings.Repeat("CANARY\n", 17)); !fault.Is(err, fault.InvalidParameter) || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("many passwords: %v", err)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.pem")
	p, err := open(t, []string{dir}, map[string]string{"files": path}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Check(t.Context()); !fault.Is(err, fault.InvalidParameter) || !strings.Contains(fault.Message(err), path) {
		t.Errorf("nothing to see: %v", err)
	}
	write(t, path, certificatetest.Issue(t, certificatetest.Template{Name: "a"}, nil).PEM())
	if identity, err := p.Check(t.Context()); err != nil || identity.Account != "x509" {
		t.Errorf("%+v, %v", identity, err)
	}
}

// What the system trusts verifies, also where the server then refuses us for want of a
// certificate. Roots are read once in a process, so this one starts another.
func TestRootsOfTheSystem(t *testing.T) {
	if path := os.Getenv("KEYWARD_TEST_LEAF"); path != "" {
		pair, err := tls.LoadX509KeyPair(path, path)
		if err != nil {
			t.Fatal(err)
		}
		open := serve(t, &tls.Config{Certificates: []tls.Certificate{pair}}, nil)
		mutual := serve(t, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, nil)
		for _, address := range []string{open, mutual} {
			if s := observe(t, nil, map[string]string{"endpoints": address + "#one.example.com"}, ""); len(s.Keys) != 1 || problems(s) != "" {
				t.Errorf("%s: %v, %s", address, names(s), problems(s))
			}
		}
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("only here the roots of the system are those that a variable names")
	}
	dir := t.TempDir()
	// Both verifiers look at the clock of the machine or of the test, so it is valid for long.
	long := certificatetest.Template{NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)}
	long.Name, long.Authority = "root", true
	root := certificatetest.Issue(t, long, nil)
	long.Name, long.Authority, long.Names = "one", false, []string{"one.example.com"}
	leaf := certificatetest.Issue(t, long, root)
	write(t, filepath.Join(dir, "root.pem"), root.PEM())
	write(t, filepath.Join(dir, "leaf.pem"), append(leaf.PEM(), leaf.KeyPEM(t)...))
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRootsOfTheSystem$", "-test.v")
	again.Env = append(os.Environ(), "SSL_CERT_FILE="+filepath.Join(dir, "root.pem"), "SSL_CERT_DIR="+dir, "KEYWARD_TEST_LEAF="+filepath.Join(dir, "leaf.pem"))
	if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v: %s", err, out)
	}
}
