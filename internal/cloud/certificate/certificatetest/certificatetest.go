// Package certificatetest makes throw-away authorities, certificates and keys for tests.
package certificatetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// A Template is what a certificate shall say. What is empty gets a value that is good.
type Template struct {
	Name      string // common name
	Names     []string
	IPs       []net.IP
	Serial    *big.Int
	NotBefore time.Time
	NotAfter  time.Time
	Algorithm string // "RSA" (2048 bits), "RSA1024", "ECDSA", "Ed25519" or "SM2"; default ECDSA
	Authority bool   // it may issue others
	Key       crypto.Signer
}

// An Issued is a certificate with its key.
type Issued struct {
	Certificate *smx509.Certificate
	Key         crypto.Signer
}

// Issue makes a certificate that parent signs, or that signs itself if parent is nil.
func Issue(t testing.TB, template Template, parent *Issued) *Issued {
	t.Helper()
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = template.NotBefore.AddDate(5, 0, 0)
	}
	if template.Serial == nil {
		template.Serial = new(big.Int).SetBytes(random(16))
	}
	key := template.Key
	if key == nil {
		key = Key(t, template.Algorithm)
	}
	cert := &smx509.Certificate{
		SerialNumber: template.Serial, Subject: pkix.Name{CommonName: template.Name, Organization: []string{"throw-away"}},
		NotBefore: template.NotBefore, NotAfter: template.NotAfter, DNSNames: template.Names, IPAddresses: template.IPs,
		BasicConstraintsValid: true, IsCA: template.Authority, KeyUsage: smx509.KeyUsageDigitalSignature,
	}
	if template.Authority {
		cert.KeyUsage |= smx509.KeyUsageCertSign
	}
	issuer := &Issued{cert, key}
	if parent != nil {
		issuer = parent
	}
	der, err := smx509.CreateCertificate(rand.Reader, cert, issuer.Certificate, key.Public(), issuer.Key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := smx509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Issued{parsed, key}
}

// Key makes a private key of an algorithm of [Template].
func Key(t testing.TB, algorithm string) (key crypto.Signer) {
	t.Helper()
	var err error
	switch algorithm {
	case "", "ECDSA":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RSA":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "RSA1024":
		key, err = rsa.GenerateKey(rand.Reader, 1024)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "SM2":
		key, err = sm2.GenerateKey(rand.Reader)
	default:
		t.Fatalf("there is no algorithm %q", algorithm)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// PEM answers the certificate.
func (i *Issued) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate.Raw})
}

// KeyDER answers the private key in PKCS#8.
func (i *Issued) KeyDER(t testing.TB) []byte {
	t.Helper()
	der, err := smx509.MarshalPKCS8PrivateKey(i.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// KeyPEM answers the private key in PKCS#8.
func (i *Issued) KeyPEM(t testing.TB) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: i.KeyDER(t)})
}

// PKCS12 answers a PKCS#12 file that openssl makes of it, as old software did if options
// say "-legacy". Without openssl the test is skipped, and fails where CI is "true".
func (i *Issued) PKCS12(t testing.TB, password string, options ...string) []byte {
	t.Helper()
	tool, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed, which makes the PKCS#12 files of this test")
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pem"), filepath.Join(dir, "out.p12")
	if err := os.WriteFile(in, append(i.KeyPEM(t), i.PEM()...), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), tool, append([]string{"pkcs12", "-export", "-in", in, "-out", out, "-passout", "stdin"}, options...)...)
	command.Stdin = strings.NewReader(password + "\n")
	if message, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, message)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func random(n int) []byte {
	out := make([]byte, n)
	rand.Read(out)
	out[0] = out[0]&0x7f | 0x40 // a positive number of n bytes
	return out
}
