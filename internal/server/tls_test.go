package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/server"
)

// certify answers a certificate for a name from an issuer, or from itself.
func certify(t testing.TB, name string, until time.Time, issuer *tls.Certificate) *tls.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour * 24), NotAfter: until,
		IsCA: issuer == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent, by := template, any(private)
	if issuer != nil {
		parent, by = issuer.Leaf, issuer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}

// Only a client with the name, from the authority, and not expired, gets through the handshake.
func TestOnlyClients(t *testing.T) {
	const name = "cks.kms.us-east-1.amazonaws.com"
	later := time.Now().Add(time.Hour)
	authority, another := certify(t, "authority", later, nil), certify(t, "authority", later, nil)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if err := server.OnlyClients(s.TLS, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Leaf.Raw}), name); err != nil {
		t.Fatal(err)
	}
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	for what, test := range map[string]struct {
		certificate *tls.Certificate
		in          bool
	}{
		"the client":    {certify(t, name, later, authority), true},
		"another name":  {certify(t, "cks.kms.us-east-2.amazonaws.com", later, authority), false},
		"another CA":    {certify(t, name, later, another), false},
		"by itself":     {certify(t, name, later, nil), false},
		"expired":       {certify(t, name, time.Now().Add(-time.Minute), authority), false},
		"nobody at all": {&tls.Certificate{}, false},
	} {
		c := s.Client()
		transport := c.Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return test.certificate, nil }
		resp, err := (&http.Client{Transport: transport}).Get(s.URL)
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != test.in {
			t.Errorf("%s: %v", what, err)
		}
		transport.CloseIdleConnections()
	}
	if server.OnlyClients(&tls.Config{}, []byte("no PEM"), name) == nil {
		t.Error("authorities that are none are taken")
	}
}
