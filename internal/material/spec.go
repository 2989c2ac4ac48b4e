package material

import (
	"slices"

	"github.com/keyward/keyward/internal/fault"
)

// A Spec names a type of key, as Alibaba Cloud KMS does.
type Spec string

// The specs that keyward offers.
const (
	AES256  Spec = "Aliyun_AES_256"
	AES192  Spec = "Aliyun_AES_192"
	AES128  Spec = "Aliyun_AES_128"
	SM4     Spec = "Aliyun_SM4"
	RSA2048 Spec = "RSA_2048"
	RSA3072 Spec = "RSA_3072"
	RSA4096 Spec = "RSA_4096"
	P256    Spec = "EC_P256"
	P256K   Spec = "EC_P256K" // secp256k1
	SM2     Spec = "EC_SM2"
	// HMAC keys are named like the one algorithm that each is for, and as long as its MAC.
	HMAC224 Spec = "HMAC_SHA_224"
	HMAC256 Spec = "HMAC_SHA_256"
	HMAC384 Spec = "HMAC_SHA_384"
	HMAC512 Spec = "HMAC_SHA_512"
	HMACSM3 Spec = "HMAC_SM3"
)

// An Algorithm names a way to use a key, as Alibaba Cloud KMS does.
type Algorithm string

// The algorithms that keyward offers.
const (
	OAEPSHA256  Algorithm = "RSAES_OAEP_SHA_256" // MGF1 with SHA-256, empty label
	OAEPSHA1    Algorithm = "RSAES_OAEP_SHA_1"   // MGF1 with SHA-1, empty label
	SM2PKE      Algorithm = "SM2PKE"             // 0x04 ‖ C1 ‖ C3 ‖ C2, GB/T 32918.4
	PSSSHA256   Algorithm = "RSA_PSS_SHA_256"    // MGF1 with SHA-256, salt of 32 bytes
	PKCS1SHA256 Algorithm = "RSA_PKCS1_SHA_256"
	ECDSASHA256 Algorithm = "ECDSA_SHA_256" // ASN.1 DER signature
	SM2DSA      Algorithm = "SM2DSA"        // ASN.1 DER signature over SM3(Z_A ‖ M)
)

// digestSize is the length of the digest that every signature algorithm takes.
const digestSize = 32

// A specRow says what one spec is and what it can do.
type specRow struct {
	spec       Spec
	bits       int   // of the secret key or the RSA modulus; 0 for curves
	suite      Suite // of the ciphertext; 0 for specs that do not encrypt symmetrically
	mac        bool  // an HMAC key
	signing    []Algorithm
	encryption []Algorithm
}

var (
	rsaSigning    = []Algorithm{PSSSHA256, PKCS1SHA256}
	rsaEncryption = []Algorithm{OAEPSHA256, OAEPSHA1}

	specs = []specRow{
		{spec: AES256, bits: 256, suite: SuiteAES},
		{spec: AES192, bits: 192, suite: SuiteAES},
		{spec: AES128, bits: 128, suite: SuiteAES},
		{spec: SM4, bits: 128, suite: SuiteSM4},
		{spec: RSA2048, bits: 2048, signing: rsaSigning, encryption: rsaEncryption},
		{spec: RSA3072, bits: 3072, signing: rsaSigning, encryption: rsaEncryption},
		{spec: RSA4096, bits: 4096, signing: rsaSigning, encryption: rsaEncryption},
		{spec: P256, signing: []Algorithm{ECDSASHA256}},
		{spec: P256K, signing: []Algorithm{ECDSASHA256}},
		{spec: SM2, signing: []Algorithm{SM2DSA}, encryption: []Algorithm{SM2PKE}},
		{spec: HMAC224, bits: 224, mac: true},
		{spec: HMAC256, bits: 256, mac: true},
		{spec: HMAC384, bits: 384, mac: true},
		{spec: HMAC512, bits: 512, mac: true},
		{spec: HMACSM3, bits: 256, mac: true},
	}
)

// Specs lists every spec.
func Specs() []Spec {
	all := make([]Spec, 0, len(specs))
	for _, row := range specs {
		all = append(all, row.spec)
	}
	return all
}

// row answers the table row of s; an unknown spec has an empty one, which can do nothing.
func (s Spec) row() specRow {
	for _, row := range specs {
		if row.spec == s {
			return row
		}
	}
	return specRow{}
}

// Valid tells whether keyward offers the spec.
func (s Spec) Valid() bool { return s.row().spec != "" }

// Symmetric tells whether keys of this spec are used with a [Cipher].
func (s Spec) Symmetric() bool { return s.row().suite != 0 }

// MAC tells whether keys of this spec make message authentication codes, with the algorithm
// that has the name of the spec.
func (s Spec) MAC() bool { return s.row().mac }

// Asymmetric tells whether keys of this spec have a private and a public half.
func (s Spec) Asymmetric() bool { row := s.row(); return row.spec != "" && !row.secret() }

// secret tells whether a key is secret bytes of a fixed length.
func (s Spec) secret() bool { return s.row().secret() }

func (row specRow) secret() bool { return row.suite != 0 || row.mac }

// rsa tells whether a key is one of RSA.
func (row specRow) rsa() bool { return row.bits != 0 && !row.secret() }

// SigningAlgorithms lists the algorithms that keys of this spec sign with.
func (s Spec) SigningAlgorithms() []Algorithm { return slices.Clone(s.row().signing) }

// EncryptionAlgorithms lists the public-key encryption algorithms of this spec;
// symmetric specs have none, their keys belong to a [Cipher].
func (s Spec) EncryptionAlgorithms() []Algorithm { return slices.Clone(s.row().encryption) }

// MaxPlaintext answers how many bytes the algorithm encrypts at most with a key of
// this spec, 0 if it is not an encryption algorithm of the spec.
func (s Spec) MaxPlaintext(a Algorithm) int {
	row := s.row()
	if !slices.Contains(row.encryption, a) {
		return 0
	}
	switch a {
	case OAEPSHA256:
		return row.bits/8 - 2*32 - 2
	case OAEPSHA1:
		return row.bits/8 - 2*20 - 2
	default: // SM2PKE: the service's limit of 6,144 bytes is on the ciphertext
		return 6144 - sm2Overhead
	}
}

// checkSigning refuses an algorithm that the spec does not sign with and a digest of the wrong size.
func (s Spec) checkSigning(a Algorithm, digest []byte) error {
	if !slices.Contains(s.row().signing, a) {
		return unsupported(s, fault.Say("sign"), s.row().signing)
	}
	if len(digest) != digestSize {
		return fault.InvalidParameter.New("the digest has %d bytes; it must have %d", len(digest), digestSize)
	}
	return nil
}

// checkEncryption refuses an algorithm that the spec does not encrypt with.
func (s Spec) checkEncryption(a Algorithm) error {
	if !slices.Contains(s.row().encryption, a) {
		return unsupported(s, fault.Say("encrypt"), s.row().encryption)
	}
	return nil
}

func unsupported(s Spec, verb fault.Text, possible []Algorithm) error {
	if len(possible) == 0 {
		return fault.UnsupportedOperation.New("a key of spec %s does not %s with any algorithm; use a key of another spec", s, verb)
	}
	return fault.UnsupportedOperation.New("a key of spec %s does not %s with this algorithm; use one of %v", s, verb, possible)
}

// KeySize answers the length in bytes of a key that is secret bytes, 0 for asymmetric specs.
func (s Spec) KeySize() int {
	if row := s.row(); row.secret() {
		return row.bits / 8
	}
	return 0
}
