package vectors_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// digests has the hashes whose digests a key on a curve of 256 bits can sign. Of longer
// digests ECDSA itself takes the first 256 bits.
var digests = map[string]func(message []byte) []byte{
	"SHA-256":  func(m []byte) []byte { d := sha256.Sum256(m); return d[:] },
	"SHA-512":  func(m []byte) []byte { d := sha512.Sum512(m); return d[:32] },
	"SHA3-256": func(m []byte) []byte { d := sha3.Sum256(m); return d[:] },
	"SHA3-512": func(m []byte) []byte { d := sha3.Sum512(m); return d[:32] },
	"SHAKE128": func(m []byte) []byte { return sha3.SumSHAKE128(m, 32) },
	"SHAKE256": func(m []byte) []byte { return sha3.SumSHAKE256(m, 64)[:32] },
}

func verifyECDSA(spec material.Spec) operation {
	return func(g group) (func(testCase) answer, error) {
		public, err := material.OpenPublic(spec, g.PublicSPKI)
		if err != nil {
			return nil, err
		}
		digest := digests[g.Sha]
		if digest == nil {
			return nil, fmt.Errorf("the hash %s is not known here", g.Sha)
		}
		return func(c testCase) answer {
			signature := c.Sig
			if strings.Contains(g.Type, "P1363") {
				if signature, err = fromP1363(c.Sig); err != nil {
					return answer{wrong: err.Error()}
				}
			}
			a := verify(public, material.ECDSASHA256, digest(c.Msg), signature)
			if g.Type == "EcdsaBitcoinVerify" && highS(signature) {
				a.mayAccept = "Bitcoin refuses the high S; keyward accepts both, as Alibaba Cloud KMS does, and signs with the low one"
			}
			return a
		}, nil
	}
}

// fromP1363 writes r ‖ s as DER, which is what keyward takes. What is not twice 32 bytes
// stays as it is.
func fromP1363(signature []byte) ([]byte, error) {
	if len(signature) != 64 {
		return signature, nil
	}
	return asn1.Marshal(pairRS{new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])})
}

type pairRS struct{ R, S *big.Int }

// highS tells whether S lies in the upper half of the order of secp256k1.
func highS(signature []byte) bool {
	var pair pairRS
	_, err := asn1.Unmarshal(signature, &pair)
	half := new(big.Int).Rsh(secp256k1.Params().N, 1)
	return err == nil && pair.S.Cmp(half) > 0
}

func verify(public *material.Public, a material.Algorithm, digest, signature []byte) answer {
	ok, err := public.Verify(a, digest, signature)
	if err != nil {
		return answer{wrong: err.Error()}
	}
	return answer{accepted: ok}
}

// rsaSpec answers the spec of a modulus of so many bits, empty if keyward has none.
func rsaSpec(bits int) material.Spec {
	return map[int]material.Spec{2048: material.RSA2048, 3072: material.RSA3072, 4096: material.RSA4096}[bits]
}

const (
	otherSize = "keyward offers RSA keys of 2,048, 3,072 and 4,096 bits only"
	otherHash = "keyward's RSA signatures are over SHA-256 only"
)

func verifyPKCS1(g group) (func(testCase) answer, error) {
	if rsaSpec(g.KeySize) == "" {
		return skip(otherSize)
	}
	if g.Sha != "SHA-256" {
		return skip(otherHash)
	}
	public, err := material.OpenPublic(rsaSpec(g.KeySize), g.PublicSPKI)
	if err != nil {
		return nil, err
	}
	return func(c testCase) answer {
		return verify(public, material.PKCS1SHA256, digests["SHA-256"](c.Msg), c.Sig)
	}, nil
}

func verifyPSS(g group) (func(testCase) answer, error) {
	if rsaSpec(g.KeySize) == "" {
		return skip(otherSize)
	}
	if g.Sha != "SHA-256" || g.MgfSha != "SHA-256" {
		return skip("keyward's PSS has SHA-256 for the message and for MGF1 only")
	}
	spki, err := rsaSPKI(g.PublicPKCS1) // publicKeyDer may name PSS; keyward's keys do not
	if err != nil {
		return nil, err
	}
	public, err := material.OpenPublic(rsaSpec(g.KeySize), spki)
	if err != nil {
		return nil, err
	}
	return func(c testCase) answer {
		a := verify(public, material.PSSSHA256, digests["SHA-256"](c.Msg), c.Sig)
		if g.SaltLength != 32 {
			a.mayRefuse = "keyward's PSS has a salt of 32 bytes; other lengths are refused"
			if strings.HasSuffix(c.Comment, "s_len changed to 32") {
				a.mayAccept = "the vector is for an empty salt, and wrong in having the 32 bytes that keyward wants"
			}
		}
		return a
	}, nil
}

// rsaSPKI wraps an RSAPublicKey as an RSA key for any use.
func rsaSPKI(pkcs1 []byte) ([]byte, error) {
	type algorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue
	}
	return asn1.Marshal(struct {
		Algorithm algorithm
		Key       asn1.BitString
	}{
		algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue},
		asn1.BitString{Bytes: pkcs1, BitLength: 8 * len(pkcs1)},
	})
}

func signPKCS1(g group) (func(testCase) answer, error) {
	if rsaSpec(g.KeySize) == "" {
		return skip(otherSize)
	}
	if g.Sha != "SHA-256" {
		return skip(otherHash)
	}
	private, err := material.OpenPrivate(rsaSpec(g.KeySize), material.NewBytes(bytes.Clone(g.PrivatePKCS8)))
	if err != nil {
		return nil, err
	}
	return func(c testCase) answer {
		signature, err := private.Sign(material.PKCS1SHA256, digests["SHA-256"](c.Msg))
		if err != nil {
			return answer{wrong: err.Error()}
		}
		return answer{accepted: bytes.Equal(signature, c.Sig)}
	}, nil
}

func decryptOAEP(g group) (func(testCase) answer, error) {
	if rsaSpec(g.KeySize) == "" {
		return skip(otherSize)
	}
	algorithm := map[string]material.Algorithm{"SHA-1": material.OAEPSHA1, "SHA-256": material.OAEPSHA256}[g.Sha]
	if algorithm == "" || g.Sha != g.MgfSha {
		return skip("keyward's OAEP has SHA-256 or SHA-1, the same one for the label and for MGF1")
	}
	private, err := material.OpenPrivate(rsaSpec(g.KeySize), material.NewBytes(bytes.Clone(g.PrivatePKCS8)))
	if err != nil {
		return nil, err
	}
	return func(c testCase) answer {
		plaintext, err := private.Decrypt(algorithm, c.CT)
		if err != nil && !fault.Is(err, fault.InvalidCiphertext) {
			return answer{wrong: err.Error()}
		}
		if err == nil && !bytes.Equal(plaintext.Expose(), c.Msg) {
			return answer{wrong: "the plaintext is another one"}
		}
		a := answer{accepted: err == nil}
		if len(c.Label) != 0 {
			a.mayRefuse = "keyward's OAEP has an empty label, as Alibaba Cloud KMS has; other labels are refused"
		}
		return a
	}, nil
}

func openPublic(spec material.Spec) operation {
	return func(g group) (func(testCase) answer, error) {
		return func(c testCase) answer {
			spki, err := c.spki(g.Type)
			if err != nil {
				return answer{wrong: err.Error()}
			}
			_, err = material.OpenPublic(spec, spki)
			return answer{accepted: err == nil}
		}, nil
	}
}

// spki answers the public key of a case of key agreement.
func (c testCase) spki(kind string) ([]byte, error) {
	var text string
	if err := json.Unmarshal(c.Public, &text); err != nil {
		return nil, err
	}
	if kind == "EcdhPemTest" {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, nil // no PEM, and so no key either
		}
		return block.Bytes, nil
	}
	encoded, err := hex.DecodeString(text)
	if err != nil || kind != "EcdhEcpointTest" {
		return encoded, err
	}
	return pointSPKI(encoded)
}

// pointSPKI wraps an encoded point as a key on P-256.
func pointSPKI(point []byte) ([]byte, error) {
	return asn1.Marshal(struct {
		Algorithm []asn1.ObjectIdentifier
		Point     asn1.BitString
	}{
		[]asn1.ObjectIdentifier{{1, 2, 840, 10045, 2, 1}, {1, 2, 840, 10045, 3, 1, 7}},
		asn1.BitString{Bytes: point, BitLength: 8 * len(point)},
	})
}
