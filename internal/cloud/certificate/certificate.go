// Package certificate watches X.509 certificates: in files of this server (PEM, DER,
// PKCS#12) and as TLS endpoints present them. It is the provider kind "x509", and it holds
// what other providers need to read certificates and private keys.
//
// Each certificate of each chain becomes one observed key, whose id is the SHA-256
// fingerprint, so that one certificate at ten places is one key, and a renewed one is
// another. The places are its principals. What does not answer, does not verify or does
// not carry the name that was asked for becomes a problem of the snapshot, with what to do.
//
// Files are read with the server's rights, at the wish of whoever adds a source. So only
// directories that the operator named are read, no link leads out of them, and neither
// devices nor files of more than 1 MiB are read. Private keys in files are passed over;
// those in PKCS#12 are opened, because the certificates lie under the same password, and
// dropped at once. Endpoints are reached through package egress.
//
// Certificates of SM2 (GB/T 20518) are read like others, through package smx509, which
// follows crypto/x509. Endpoints of TLCP (GB/T 38636) are not: nothing here speaks it.
//
// Who may call: app, which makes the kind, and the providers beside it. What is trusted:
// nothing that a file or an endpoint says; a chain verifies only up to the system's roots
// and those that the source names.
package certificate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"github.com/keyward/keyward/internal/cloud/pkcs12"
)

// X509 is a certificate, of SM2 or of any other algorithm.
type X509 = smx509.Certificate

// maxCertificates bounds what is taken of one file: the bundles of operating systems have
// about 150.
const maxCertificates = 1000

// maxKey bounds a private key in DER: RSA of 8192 bits fits. To check one takes time that
// grows with the cube of its size.
const maxKey = 5000

// Parse reads the certificates of a file: PEM, one or several of DER, or the Base64 of
// DER, as consoles show it. What else stands in PEM is passed over. With an error there
// may be certificates all the same: those that could be read.
func Parse(content []byte) ([]*X509, error) {
	if text := bytes.TrimSpace(content); bytes.HasPrefix(text, []byte("MII")) {
		if der, err := decode(text); err == nil {
			content = der
		}
	}
	if !bytes.Contains(content, []byte("-----BEGIN")) {
		if bytes.HasPrefix(content, []byte{0xfe, 0xed, 0xfe, 0xed}) {
			return nil, errors.New("it is a Java key store; convert it with: keytool -importkeystore -deststoretype PKCS12")
		}
		// What is read shares memory with its input, which the caller may overwrite.
		certs, err := smx509.ParseCertificates(bytes.Clone(content))
		if err != nil || len(certs) == 0 || len(certs) > maxCertificates {
			return nil, errors.New("it is no certificate in PEM or DER")
		}
		return certs, nil
	}
	var out []*X509
	var bad error
	for n := 1; ; n++ {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			continue
		}
		if len(out) == maxCertificates {
			return out, fmt.Errorf("it holds more than %d certificates", maxCertificates)
		}
		cert, err := smx509.ParseCertificate(block.Bytes)
		if err != nil {
			bad = fmt.Errorf("the certificate in its PEM block %d is malformed: %w", n, err)
			continue
		}
		out = append(out, cert)
	}
	if len(out) == 0 && bad == nil {
		bad = errors.New("it holds no certificate")
	}
	return out, bad
}

// ParseKey reads a private key: PEM, DER, or the Base64 of DER, in PKCS#8, PKCS#1 or
// SEC 1. Its errors say what to do and hold nothing of the key.
func ParseKey(content []byte) (crypto.Signer, error) {
	der := content
	if bytes.Contains(content, []byte("-----BEGIN")) {
		der = nil
		for rest := content; der == nil; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				return nil, errors.New("it holds no private key in PEM")
			}
			switch {
			case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
				return nil, errors.New("the private key is encrypted; give it without a password: openssl pkey -in FILE")
			case strings.HasSuffix(block.Type, "PRIVATE KEY"):
				der = block.Bytes
			}
		}
	} else if decoded, err := decode(der); err == nil {
		der = decoded
	}
	if len(der) > maxKey {
		return nil, fmt.Errorf("it is no private key: it has %d bytes, and keys have at most %d", len(der), maxKey)
	}
	key, err := smx509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if key, err = smx509.ParseTypedECPrivateKey(der); err != nil {
			key, err = smx509.ParsePKCS1PrivateKey(der)
		}
	}
	if err != nil { // the parser's words are left out: what it read is secret
		return nil, errors.New("it is no private key in PKCS#8, PKCS#1 or SEC 1; paste the whole file, or the whole line of Base64")
	}
	signer, ok := key.(crypto.Signer)
	if !ok || Fingerprint(signer.Public()) == "" { // such as zero on an elliptic curve
		return nil, errors.New("the private key cannot sign")
	}
	return signer, nil
}

// ParsePublicKey reads a public key: PEM, DER or the Base64 of DER, as PKIX or PKCS#1.
func ParsePublicKey(content []byte) (crypto.PublicKey, error) {
	der := content
	if block, _ := pem.Decode(content); block != nil {
		der = block.Bytes
	} else if decoded, err := decode(der); err == nil {
		der = decoded
	}
	key, err := smx509.ParsePKIXPublicKey(der)
	if err != nil {
		key, err = smx509.ParsePKCS1PublicKey(der)
	}
	if err != nil {
		return nil, errors.New("it is no public key; paste the whole file, or the whole line of Base64")
	}
	return key, nil
}

// Open reads a PKCS#12 file: the certificates and the one private key, nil if there is
// none. Its errors are those of [pkcs12.Open], and what is wrong with the key.
func Open(content, password []byte) (crypto.Signer, []*X509, error) {
	contents, err := pkcs12.Open(content, password)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		for _, der := range contents.Keys {
			clear(der)
		}
	}()
	var certs []*X509
	for _, der := range contents.Certificates {
		cert, err := smx509.ParseCertificate(der)
		if err != nil {
			return nil, nil, fmt.Errorf("a certificate in the PKCS#12 file is malformed: %w", err)
		}
		certs = append(certs, cert)
	}
	switch {
	case len(certs) > maxCertificates:
		return nil, nil, fmt.Errorf("the PKCS#12 file holds more than %d certificates; export those that belong to the key", maxCertificates)
	case len(contents.Keys) > 1:
		return nil, nil, errors.New("the PKCS#12 file holds more than one private key; export one of them")
	case len(contents.Keys) == 0:
		return nil, certs, nil
	}
	key, err := ParseKey(contents.Keys[0])
	return key, certs, err
}

// decode reads Base64 of one or several lines.
func decode(text []byte) ([]byte, error) {
	return base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(text), nil)))
}

// SameKey answers whether two public keys are the same, of whatever types.
func SameKey(a, b crypto.PublicKey) bool {
	one, err := smx509.MarshalPKIXPublicKey(a)
	if err != nil {
		return false
	}
	other, err := smx509.MarshalPKIXPublicKey(b)
	return err == nil && bytes.Equal(one, other)
}

// Fingerprint answers the SHA-256 of a public key as SubjectPublicKeyInfo, in hex, or "" of
// what is no public key.
func Fingerprint(key crypto.PublicKey) string {
	der, err := smx509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// ID answers what a certificate is known by: the SHA-256 of its DER, in hex.
func ID(c *X509) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Proves answers nil if the key signs what the public key verifies.
func Proves(key crypto.Signer, public crypto.PublicKey) error {
	if !SameKey(key.Public(), public) {
		return errors.New("the private key is not that of the public key")
	}
	message := make([]byte, 32)
	rand.Read(message)
	var ok bool
	sum := sha256.Sum256(message)
	switch k := key.(type) {
	case *sm2.PrivateKey:
		signature, err := k.SignWithSM2(rand.Reader, nil, message)
		ok = err == nil && sm2.VerifyASN1WithSM2(&k.PublicKey, nil, message, signature)
	case *ecdsa.PrivateKey:
		signature, err := ecdsa.SignASN1(rand.Reader, k, sum[:])
		ok = err == nil && ecdsa.VerifyASN1(&k.PublicKey, sum[:], signature)
	case *rsa.PrivateKey:
		signature, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
		ok = err == nil && rsa.VerifyPKCS1v15(&k.PublicKey, crypto.SHA256, sum[:], signature) == nil
	case ed25519.PrivateKey:
		ok = ed25519.Verify(k.Public().(ed25519.PublicKey), message, ed25519.Sign(k, message))
	}
	if !ok {
		return errors.New("what the private key signs does not verify: the key is damaged, or of an algorithm that is not supported")
	}
	return nil
}

// Algorithm answers the name of a public key's algorithm and its size in bits; 0 if that
// is not known.
func Algorithm(key crypto.PublicKey) (name string, bits int) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		if k.Curve == sm2.P256() {
			return "SM2", 256
		}
		return "ECDSA", k.Params().BitSize
	case ed25519.PublicKey:
		return "Ed25519", 256
	default:
		return "unknown", 0
	}
}

// weakSignatures are those whose hash has collisions.
var weakSignatures = []smx509.SignatureAlgorithm{
	smx509.MD2WithRSA, smx509.MD5WithRSA, smx509.SHA1WithRSA, smx509.DSAWithSHA1, smx509.ECDSAWithSHA1,
}

// Weakness answers what is weak about a certificate, or "".
func Weakness(c *X509) string {
	var weak []string
	switch name, bits := Algorithm(c.PublicKey); {
	case name == "RSA" && bits < 2048, name == "ECDSA" && bits < 256:
		weak = append(weak, fmt.Sprintf("%s of %d bits", name, bits))
	case name == "unknown":
		weak = append(weak, "an algorithm that is not known")
	}
	root := bytes.Equal(c.RawSubject, c.RawIssuer) // nobody relies on the signature of a root
	if !root && slices.Contains(weakSignatures, c.SignatureAlgorithm) {
		weak = append(weak, "signed with "+c.SignatureAlgorithm.String())
	}
	return strings.Join(weak, ", ")
}
