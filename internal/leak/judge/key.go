package judge

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"sync"
)

// A PrivateKey is what is known of a private key that was found.
type PrivateKey struct {
	Algorithm string // "RSA", "EC", "Ed25519", "SM2", "DSA", "OpenSSH", "PGP", "unknown"
	Encrypted bool   // it needs a password, which is not known
	// Identity is the same in every form of the key: the DER of its public half
	// (SubjectPublicKeyInfo) where it is understood, otherwise the private DER itself.
	Identity []byte
}

// Keys judges private keys, and remembers the public halves of the last ones: the same key
// stands in many places, and to derive its public half takes a thousand times as long as to read
// it. What a file itself says of the public half proves nothing. The zero value works, for any
// number of goroutines. Of a private key a hash is kept, and no more.
type Keys struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]PrivateKey
}

// maxKnown is how many keys are remembered: some hundred kilobytes.
const maxKnown = 1024

// DER parses a private key in PKCS#8, PKCS#1 or SEC 1, and an encrypted one in PKCS#8.
func (k *Keys) DER(der []byte) (PrivateKey, bool) {
	der, ok := element(der)
	if !ok {
		return PrivateKey{}, false
	}
	name := sha256.Sum256(der)
	k.mu.Lock()
	key, ok := k.known[name]
	k.mu.Unlock()
	if ok {
		return key, true
	}
	if key, ok = derive(der); !ok {
		return uncommon(der)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil || len(k.known) >= maxKnown {
		k.known = map[[sha256.Size]byte]PrivateKey{}
	}
	k.known[name] = key
	return key, true
}

// derive answers a key by its public half.
func derive(der []byte) (PrivateKey, bool) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return public(k)
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return public(k)
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return public(k)
	}
	return PrivateKey{}, false
}

func public(key any) (PrivateKey, bool) {
	holder, ok := key.(interface{ Public() crypto.PublicKey })
	if !ok { // X25519: no signatures, no Public
		return PrivateKey{}, false
	}
	spki, err := x509.MarshalPKIXPublicKey(holder.Public())
	if err != nil {
		return PrivateKey{}, false
	}
	algorithm := "EC"
	switch {
	case bytes.Contains(spki, oidRSA):
		algorithm = "RSA"
	case bytes.Contains(spki, oidEd25519):
		algorithm = "Ed25519"
	}
	return PrivateKey{Algorithm: algorithm, Identity: spki}, true
}

// Object identifiers as they stand in DER, with tag and length.
var (
	oidRSA     = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01}
	oidEd25519 = []byte{0x06, 0x03, 0x2b, 0x65, 0x70}
	oidSM2     = []byte{0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d} // 1.2.156.10197.1.301, GM/T 0006
	oidPBES2   = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d}
	oidPKCS7   = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07} // data, envelopedData, encryptedData begin so
)

// uncommon parses what crypto/x509 does not: keys on curves that it lacks, of which the
// structure and the named curve are checked, and encrypted PKCS#8.
func uncommon(der []byte) (PrivateKey, bool) {
	var pkcs8 struct {
		Version   int
		Algorithm asn1.RawValue
		Key       []byte
		Rest      asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(der, &pkcs8); err == nil && pkcs8.Version <= 1 && len(pkcs8.Key) >= 32 && bytes.Contains(pkcs8.Algorithm.FullBytes, []byte{0x06}) {
		algorithm := "unknown"
		if bytes.Contains(pkcs8.Algorithm.FullBytes, oidSM2) {
			algorithm = "SM2"
		}
		return PrivateKey{Algorithm: algorithm, Identity: pkcs8.Key}, true
	}
	var sec1 struct {
		Version int
		Key     []byte
		Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
		Public  asn1.BitString        `asn1:"optional,explicit,tag:1"`
	}
	if _, err := asn1.Unmarshal(der, &sec1); err == nil && sec1.Version == 1 && len(sec1.Key) >= 24 && len(sec1.Curve) > 0 {
		algorithm := "EC"
		if sec1.Curve.String() == "1.2.156.10197.1.301" {
			algorithm = "SM2"
		}
		return PrivateKey{Algorithm: algorithm, Identity: sec1.Key}, true
	}
	var encrypted struct {
		Algorithm asn1.RawValue
		Data      []byte
	}
	if _, err := asn1.Unmarshal(der, &encrypted); err == nil && len(encrypted.Data) >= 32 && bytes.Contains(encrypted.Algorithm.FullBytes, oidPBES2) {
		return PrivateKey{Algorithm: "unknown", Encrypted: true, Identity: encrypted.Data}, true
	}
	return PrivateKey{}, false
}

// element answers the one ASN.1 element that der begins with, without what follows it.
func element(der []byte) ([]byte, bool) {
	var raw asn1.RawValue
	if _, err := asn1.Unmarshal(der, &raw); err != nil || raw.Tag != asn1.TagSequence {
		return nil, false
	}
	return raw.FullBytes, true
}

// PKCS12 tells whether bytes are a PKCS#12 file: version 3, and content in a PKCS#7 wrapping.
func PKCS12(der []byte) bool {
	var pfx struct {
		Version int
		Safe    asn1.RawValue
		Mac     asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(der, &pfx)
	return err == nil && pfx.Version == 3 && bytes.HasPrefix(pfx.Safe.Bytes, oidPKCS7)
}

// Base64DER parses a private key in base64, of either alphabet, with or without padding
// and line breaks.
func (k *Keys) Base64DER(text []byte) (PrivateKey, bool) {
	clean := make([]byte, 0, len(text))
	for _, c := range text {
		switch {
		case c == '-':
			clean = append(clean, '+')
		case c == '_':
			clean = append(clean, '/')
		case isLetter(c), '0' <= c && c <= '9', c == '+', c == '/':
			clean = append(clean, c)
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	der := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
	n, err := base64.RawStdEncoding.Decode(der, clean)
	if err != nil && n == 0 {
		return PrivateKey{}, false
	}
	return k.DER(der[:n])
}

// PEM judges a PEM block of a private key whose line breaks may have been escaped or lost.
// kind is what stands in its first line before "PRIVATE KEY", such as "RSA ".
func (k *Keys) PEM(kind string, body []byte) (PrivateKey, bool) {
	if kind == "PGP " {
		raw, ok := decoded(body)
		return PrivateKey{Algorithm: "PGP", Identity: raw}, ok && len(raw) > 100
	}
	if bytes.Contains(body, []byte("Proc-Type")) && bytes.Contains(body, []byte("ENCRYPTED")) {
		return PrivateKey{Algorithm: "unknown", Encrypted: true, Identity: body}, len(body) > 200
	}
	if raw, ok := decoded(body); ok {
		if bytes.HasPrefix(raw, []byte("openssh-key-v1\x00")) { // whatever the first line says
			encrypted := !bytes.HasPrefix(raw[15:], []byte("\x00\x00\x00\x04none"))
			return PrivateKey{Algorithm: "OpenSSH", Encrypted: encrypted, Identity: raw}, true
		}
		if key, ok := k.DER(raw); ok {
			return key, true
		}
		return PrivateKey{Algorithm: "DSA", Identity: raw}, kind == "DSA " && len(raw) > 200
	}
	return PrivateKey{}, false
}

// decoded answers what base64 stands in the body of a PEM block. Headers, escapes of line
// breaks, and the quotes and signs that join strings in programs are no part of it.
func decoded(body []byte) ([]byte, bool) {
	clean := make([]byte, 0, len(body))
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if bytes.Contains(line, []byte(": ")) || len(line) > 0 && line[0] == '=' { // a header; the checksum of PGP
			continue
		}
		for i := 0; i < len(line); i++ {
			switch c := line[i]; {
			case c == '\\' && i+1 < len(line) && (line[i+1] == 'n' || line[i+1] == 'r' || line[i+1] == 't'):
				i++
			case c == '+' && i+1 < len(line) && (line[i+1] == ' ' || line[i+1] == '"') || c == '+' && i+1 == len(line) && i > 0 && (line[i-1] == ' ' || line[i-1] == '"'):
			case isLetter(c), '0' <= c && c <= '9', c == '+', c == '/':
				clean = append(clean, c)
			}
		}
	}
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
	n, err := base64.RawStdEncoding.Decode(raw, clean)
	return raw[:n], err == nil && n > 30
}
