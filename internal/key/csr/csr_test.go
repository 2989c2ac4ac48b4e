package csr_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key/csr"
	"github.com/keyward/keyward/internal/material"
)

func pair(t testing.TB, spec material.Spec) (*material.Private, *material.Public) {
	t.Helper()
	m, spki, err := material.Generate(spec)
	if err != nil {
		t.Fatal(err)
	}
	private, err := material.OpenPrivate(spec, m)
	if err != nil {
		t.Fatal(err)
	}
	public, err := material.OpenPublic(spec, spki)
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func encode(t testing.TB, r csr.Request, spec material.Spec, a material.Algorithm) string {
	t.Helper()
	private, public := pair(t, spec)
	text, err := r.Encode(public, a, func(digest []byte) ([]byte, error) { return private.Sign(a, digest) })
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var full = csr.Request{
	CommonName: "pay.example.com", Organization: `Example, "Pay" & Söhne GmbH; 支付`, Unit: "Keys", State: "浙江", Locality: "Hangzhou",
	Country: "CN", Email: "keys@example.com",
	Names: []string{"pay.example.com", "*.example.com", "192.0.2.1", "2001:db8::1", "ops@example.com", "https://example.com/pay"},
}

// openssl runs the program, and fails when it does.
func openssl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// OpenSSL verifies what comes out, for every spec and algorithm.
func TestOpenSSLVerifies(t *testing.T) {
	for _, spec := range material.Specs() {
		for _, a := range spec.SigningAlgorithms() {
			file := filepath.Join(t.TempDir(), "request.pem")
			if err := os.WriteFile(file, []byte(encode(t, full, spec, a)), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"req", "-in", file, "-noout", "-verify", "-subject", "-nameopt", "utf8,sep_multiline", "-text"}
			if spec == material.SM2 {
				args = append(args, "-vfyopt", "distid:1234567812345678")
			}
			out := openssl(t, args...)
			for _, line := range []string{"verify OK", "O=" + full.Organization, "CN=pay.example.com", "C=CN", "IP Address:192.0.2.1", "URI:https://example.com/pay", "DNS:*.example.com", "email:ops@example.com"} {
				if !strings.Contains(out, line) {
					t.Errorf("%s %s: lacks %q\n%s", spec, a, line, out)
				}
			}
		}
	}
}

// A certificate that an authority issues from a request verifies, and is for the key that signed the request.
func TestCertificateOfRequest(t *testing.T) {
	for _, spec := range []material.Spec{material.RSA2048, material.P256, material.SM2} {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		private, public := pair(t, spec)
		a := spec.SigningAlgorithms()[0]
		text, err := full.Encode(public, a, func(d []byte) ([]byte, error) { return private.Sign(a, d) })
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"request.pem": text, "public.pem": public.PEM()} {
			if err := os.WriteFile(at(name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		openssl(t, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", at("ca.key"), "-out", at("ca.pem"), "-subj", "/CN=authority", "-days", "2")
		issue := []string{"x509", "-req", "-in", at("request.pem"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-out", at("cert.pem"), "-days", "1"}
		if spec == material.SM2 {
			issue = append(issue, "-vfyopt", "distid:1234567812345678")
		}
		openssl(t, issue...)
		if out := openssl(t, "verify", "-CAfile", at("ca.pem"), at("cert.pem")); !strings.Contains(out, "OK") {
			t.Errorf("%s: %s", spec, out)
		}
		if got := openssl(t, "x509", "-in", at("cert.pem"), "-noout", "-pubkey"); strings.TrimSpace(got) != strings.TrimSpace(public.PEM()) {
			t.Errorf("%s: the certificate is for\n%s, want\n%s", spec, got, public.PEM())
		}
	}
}

// The standard library reads each field as it was written.
func TestFieldsAreVerbatim(t *testing.T) {
	block, rest := pem.Decode([]byte(encode(t, full, material.P256, material.ECDSASHA256)))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(rest) != 0 {
		t.Fatal("it is not one PEM block")
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || r.CheckSignature() != nil {
		t.Fatal(err, r.CheckSignature())
	}
	mail, _ := r.Subject.Names[len(r.Subject.Names)-1].Value.(string)
	got := csr.Request{CommonName: r.Subject.CommonName, Organization: r.Subject.Organization[0], Unit: r.Subject.OrganizationalUnit[0],
		State: r.Subject.Province[0], Locality: r.Subject.Locality[0], Country: r.Subject.Country[0], Email: mail, Names: r.DNSNames}
	for _, ip := range r.IPAddresses {
		got.Names = append(got.Names, ip.String())
	}
	got.Names = append(got.Names, r.EmailAddresses[0], r.URIs[0].String())
	if diff := cmp.Diff(full, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	long := strings.Repeat("x", 65)
	for name, r := range map[string]csr.Request{
		"control":       {CommonName: "a\nb"},
		"NUL":           {CommonName: "a\x00b"},
		"direction":     {CommonName: "a\u202eb"},
		"not UTF-8":     {CommonName: "a", Organization: "\xff"},
		"long":          {CommonName: long},
		"long O":        {CommonName: "a", Organization: long},
		"country":       {CommonName: "a", Country: "XX"},
		"small country": {CommonName: "a", Country: "cn"},
		"two countries": {CommonName: "a", Country: "CN DE"},
		"e-mail":        {CommonName: "a", Email: "keys"},
		"host":          {CommonName: "a", Names: []string{"a b"}},
		"empty name":    {CommonName: "a", Names: []string{""}},
		"wild in name":  {CommonName: "a", Names: []string{"a.*.example.com"}},
		"zone":          {CommonName: "a", Names: []string{"fe80::1%eth0"}},
	} {
		if err := r.Check(); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (csr.Request{}).Check(); !fault.Is(err, fault.MissingParameter) {
		t.Errorf("nothing: %v", err)
	}
	if err := full.Check(); err != nil {
		t.Error(err)
	}
}

// What passes the check encodes, and the standard library reads it.
func FuzzRequest(f *testing.F) {
	private, public := pair(f, material.P256)
	f.Add(full.CommonName, full.Organization, "CN", full.Email, "https://example.com")
	f.Add("a", "", "", "", "1.2.3.4")
	f.Fuzz(func(t *testing.T, cn, o, c, mail, name string) {
		r := csr.Request{CommonName: cn, Organization: o, Country: c, Email: mail, Names: []string{name}}
		if r.Check() != nil {
			return
		}
		text, err := r.Encode(public, material.ECDSASHA256, func(d []byte) ([]byte, error) { return private.Sign(material.ECDSASHA256, d) })
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode([]byte(text))
		got, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || got.CheckSignature() != nil {
			t.Fatalf("%v: %+v", err, r)
		}
		if got.Subject.CommonName != cn || o != "" && got.Subject.Organization[0] != o {
			t.Errorf("%q %q became %v", cn, o, got.Subject)
		}
	})
}
