package interop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// An authority issues certificates for the tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
	file        string // with pem
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "interop tests " + rand.Text()}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key))(t)
	a.certificate = must(x509.ParseCertificate(der))(t)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	succeed(t, os.WriteFile(a.file, a.pem, 0o600))
	return a
}

// issue writes a certificate for 127.0.0.1 to a file, and its key beside it.
func (a *authority) issue(t *testing.T, file string, serial int64) string {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key))(t)
	private := must(x509.MarshalPKCS8PrivateKey(key))(t)
	succeed(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	succeed(t, os.WriteFile(file+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return file
}

// serial answers the serial number of the certificate that the server shows.
func (a *authority) serial(t *testing.T, s *server) int64 {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	conn := must(tls.Dial("tcp", s.address, &tls.Config{RootCAs: roots}))(t)
	defer conn.Close() //nolint:errcheck // nothing was sent
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TestTLS drives the SDK over TLS, and renews the server's certificate meanwhile.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	file := ca.issue(t, filepath.Join(t.TempDir(), "server.pem"), 1)
	s := newServer(t, options{cert: file})
	a := s.account(t)
	config := a.config()
	config.Protocol, config.Ca = new("HTTPS"), new(string(ca.pem))
	core(t, must(kms.NewClient(config))(t))
	if got := ca.serial(t, s); got != 1 {
		t.Errorf("the server shows the certificate %d", got)
	}
	ca.issue(t, file, 2)
	await(t, "the server shows the new certificate", func() bool { return ca.serial(t, s) == 2 })
	core(t, must(kms.NewClient(config))(t))

	if _, err := tls.Dial("tcp", s.address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("the server speaks TLS 1.2")
	}
}
