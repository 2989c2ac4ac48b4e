package interop_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secp256k1ecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// publicKey answers a key's public half as DER.
func publicKey(t *testing.T, c *kms.Client, k handle) []byte {
	t.Helper()
	body := must(c.GetPublicKey(&kms.GetPublicKeyRequest{KeyId: &k.id, KeyVersionId: &k.version}))(t).Body
	block, rest := pem.Decode([]byte(*body.PublicKey))
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 || *body.KeyId != k.id || *body.KeyVersionId != k.version {
		t.Fatalf("the public key of %s, version %s, is\n%s", *body.KeyId, *body.KeyVersionId, *body.PublicKey)
	}
	return block.Bytes
}

func parsed[T any](t *testing.T, key any, err error) T {
	t.Helper()
	typed, ok := must(key, err)(t).(T)
	if !ok {
		t.Fatalf("the public key is a %T", key)
	}
	return typed
}

func rsaKey(t *testing.T, der []byte) *rsa.PublicKey {
	t.Helper()
	key, err := x509.ParsePKIXPublicKey(der)
	return parsed[*rsa.PublicKey](t, key, err)
}

func sm2Key(t *testing.T, der []byte) *ecdsa.PublicKey {
	t.Helper()
	key, err := smx509.ParsePKIXPublicKey(der)
	return parsed[*ecdsa.PublicKey](t, key, err)
}

// secp256k1Key reads what package x509 does not know.
func secp256k1Key(t *testing.T, der []byte) *secp256k1.PublicKey {
	t.Helper()
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	rest := must(asn1.Unmarshal(der, &info))(t)
	var curve asn1.ObjectIdentifier
	must(asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &curve))(t)
	if len(rest) != 0 || info.Algorithm.Algorithm.String() != "1.2.840.10045.2.1" || curve.String() != "1.3.132.0.10" {
		t.Fatalf("the public key is of algorithm %v on curve %v", info.Algorithm.Algorithm, curve)
	}
	return must(secp256k1.ParsePubKey(info.Key.Bytes))(t)
}

// A verification checks, outside the server, a signature of message by the key in der.
type verification func(t *testing.T, der, message, signature []byte) bool

// digest is what the API signs: SHA-256, and for SM2 SM3 over Z and the message.
func digest(t *testing.T, spec string, der, message []byte) []byte {
	t.Helper()
	if spec == sm2Spec {
		return must(sm2.CalculateSM2Hash(sm2Key(t, der), message, nil))(t)
	}
	sum := sha256.Sum256(message)
	return sum[:]
}

func verifyPSS(t *testing.T, der, message, signature []byte) bool {
	sum := sha256.Sum256(message)
	return rsa.VerifyPSS(rsaKey(t, der), crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: 32}) == nil
}

func verifyPKCS1(t *testing.T, der, message, signature []byte) bool {
	sum := sha256.Sum256(message)
	return rsa.VerifyPKCS1v15(rsaKey(t, der), crypto.SHA256, sum[:], signature) == nil
}

func verifyP256(t *testing.T, der, message, signature []byte) bool {
	sum := sha256.Sum256(message)
	key, err := x509.ParsePKIXPublicKey(der)
	return ecdsa.VerifyASN1(parsed[*ecdsa.PublicKey](t, key, err), sum[:], signature)
}

func verifyP256K(t *testing.T, der, message, signature []byte) bool {
	sum := sha256.Sum256(message)
	return must(secp256k1ecdsa.ParseDERSignature(signature))(t).Verify(sum[:], secp256k1Key(t, der))
}

func verifySM2(t *testing.T, der, message, signature []byte) bool {
	return sm2.VerifyASN1WithSM2(sm2Key(t, der), nil, message, signature)
}

// TestSign has other libraries verify what the server signs.
func TestSign(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		for _, row := range []struct {
			spec   string
			verify map[string]verification // by algorithm
		}{
			{rsa2048, map[string]verification{"RSA_PSS_SHA_256": verifyPSS, "RSA_PKCS1_SHA_256": verifyPKCS1}},
			{rsa3072, map[string]verification{"RSA_PSS_SHA_256": verifyPSS, "RSA_PKCS1_SHA_256": verifyPKCS1}},
			{rsa4096, map[string]verification{"RSA_PSS_SHA_256": verifyPSS, "RSA_PKCS1_SHA_256": verifyPKCS1}},
			{p256, map[string]verification{"ECDSA_SHA_256": verifyP256}},
			{p256k, map[string]verification{"ECDSA_SHA_256": verifyP256K}},
			{sm2Spec, map[string]verification{"SM2DSA": verifySM2}},
		} {
			k := create(t, c, row.spec, signVerify)
			der := publicKey(t, c, k)
			for algorithm, verify := range row.verify {
				signed(t, c, k, signing{row.spec, algorithm, der, verify})
			}
		}
	})
}

// A signing is one way to sign.
type signing struct {
	spec, algorithm string
	der             []byte
	verify          verification
}

// signed signs a message and has it verified, by the server and without it.
func signed(t *testing.T, c *kms.Client, k handle, w signing) {
	t.Helper()
	message, other := []byte("pay 1 yuan"), []byte("pay 9 yuan")
	sum := digest(t, w.spec, w.der, message)
	out := must(c.AsymmetricSign(&kms.AsymmetricSignRequest{KeyId: &k.id, KeyVersionId: &k.version, Algorithm: &w.algorithm, Digest: encoded(sum)}))(t).Body
	signature := decoded(t, out.Value)
	if *out.KeyId != k.id || *out.KeyVersionId != k.version {
		t.Errorf("%s signs as %s, version %s", w.algorithm, *out.KeyId, *out.KeyVersionId)
	}
	if !w.verify(t, w.der, message, signature) || w.verify(t, w.der, other, signature) {
		t.Errorf("%s with %s does not verify outside", w.spec, w.algorithm)
	}
	verify := func(sum []byte, signature []byte) *bool {
		return must(c.AsymmetricVerify(&kms.AsymmetricVerifyRequest{
			KeyId: &k.arn, KeyVersionId: &k.version, Algorithm: &w.algorithm, Digest: encoded(sum), Value: encoded(signature),
		}))(t).Body.Value
	}
	if !*verify(sum, signature) {
		t.Errorf("the server does not verify its own %s", w.algorithm)
	}
	if *verify(digest(t, w.spec, w.der, other), signature) || *verify(sum, append(bytes.Clone(signature), 0)) || *verify(sum, []byte("forged")) {
		t.Errorf("the server verifies a wrong %s", w.algorithm)
	}
	refused(c.AsymmetricSign(&kms.AsymmetricSignRequest{KeyId: &k.id, KeyVersionId: &k.version, Algorithm: &w.algorithm, Digest: encoded(sum[:31])}))(t, 400, invalidParameter)
}

// An encryption encrypts, outside the server, to the key in der.
type encryption func(t *testing.T, der, plain []byte) []byte

func oaepSHA256(t *testing.T, der, plain []byte) []byte {
	return must(rsa.EncryptOAEP(sha256.New(), rand.Reader, rsaKey(t, der), plain, nil))(t)
}

func oaepSHA1(t *testing.T, der, plain []byte) []byte {
	return must(rsa.EncryptOAEP(sha1.New(), rand.Reader, rsaKey(t, der), plain, nil))(t)
}

func sm2PKE(t *testing.T, der, plain []byte) []byte {
	return must(sm2.Encrypt(rand.Reader, sm2Key(t, der), plain, sm2.NewPlainEncrypterOpts(sm2.MarshalUncompressed, sm2.C1C3C2)))(t)
}

// TestPublicKeyEncryption has the server decrypt what others encrypt, up to the limits
// that the algorithms have.
func TestPublicKeyEncryption(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		for _, row := range []struct {
			spec, algorithm string
			encrypt         encryption
			most            int
		}{
			{rsa2048, "RSAES_OAEP_SHA_256", oaepSHA256, 190}, {rsa2048, "RSAES_OAEP_SHA_1", oaepSHA1, 214},
			{rsa3072, "RSAES_OAEP_SHA_256", oaepSHA256, 318}, {rsa3072, "RSAES_OAEP_SHA_1", oaepSHA1, 342},
			{rsa4096, "RSAES_OAEP_SHA_256", oaepSHA256, 446}, {rsa4096, "RSAES_OAEP_SHA_1", oaepSHA1, 470},
			{sm2Spec, "SM2PKE", sm2PKE, 6047},
		} {
			k := create(t, c, row.spec, encryptDecrypt)
			der := publicKey(t, c, k)
			seal := func(plain []byte) (*kms.AsymmetricEncryptResponse, error) {
				return c.AsymmetricEncrypt(&kms.AsymmetricEncryptRequest{KeyId: &k.arn, KeyVersionId: &k.version, Algorithm: &row.algorithm, Plaintext: encoded(plain)})
			}
			open := func(blob []byte) (*kms.AsymmetricDecryptResponse, error) {
				return c.AsymmetricDecrypt(&kms.AsymmetricDecryptRequest{KeyId: &k.id, KeyVersionId: &k.version, Algorithm: &row.algorithm, CiphertextBlob: encoded(blob)})
			}
			for _, plain := range [][]byte{{0}, bytes.Repeat([]byte("k"), row.most)} {
				outside := row.encrypt(t, der, plain)
				if got := must(open(outside))(t).Body; !bytes.Equal(decoded(t, got.Plaintext), plain) || *got.KeyId != k.id || *got.KeyVersionId != k.version {
					t.Errorf("%s with %s: what is encrypted outside is decrypted as %v", row.spec, row.algorithm, got)
				}
				inside := decoded(t, must(seal(plain))(t).Body.CiphertextBlob)
				if len(inside) != len(outside) || !bytes.Equal(decoded(t, must(open(inside))(t).Body.Plaintext), plain) {
					t.Errorf("%s with %s: the server makes %d bytes, others %d", row.spec, row.algorithm, len(inside), len(outside))
				}
				inside[len(inside)/2] ^= 1
				refused(open(inside))(t, 400, invalidParameter)
			}
			refused(seal(make([]byte, row.most+1)))(t, 400, invalidParameter)
		}
	})
}

// TestAsymmetricRefuses asks asymmetric keys for what they do not do.
func TestAsymmetricRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		sign, open, aes := create(t, c, rsa2048, ""), create(t, c, sm2Spec, encryptDecrypt), create(t, c, aes256, "")
		other := create(t, c, p256, "")
		digest := encoded(make([]byte, 32))
		for _, row := range []struct {
			key                handle
			version, algorithm string
			status             int
			code               string
		}{
			{open, open.version, "SM2DSA", 400, unsupportedOperation},
			{aes, aes.version, "SM2DSA", 400, unsupportedOperation},
			{sign, sign.version, "ECDSA_SHA_256", 400, unsupportedOperation},
			{sign, sign.version, "RSA_PSS_SHA_512", 400, unsupportedOperation},
			{sign, "", "RSA_PSS_SHA_256", 400, missingParameter},
			{sign, sign.version, "", 400, missingParameter},
			{sign, other.version, "RSA_PSS_SHA_256", 404, "Forbidden.KeyVersionNotFound"},
			{sign, "no-version", "RSA_PSS_SHA_256", 404, "Forbidden.KeyVersionNotFound"},
		} {
			refused(c.AsymmetricSign(&kms.AsymmetricSignRequest{KeyId: &row.key.id, KeyVersionId: &row.version, Algorithm: &row.algorithm, Digest: digest}))(t, row.status, row.code)
			refused(c.AsymmetricVerify(&kms.AsymmetricVerifyRequest{KeyId: &row.key.id, KeyVersionId: &row.version, Algorithm: &row.algorithm, Digest: digest, Value: digest}))(t, row.status, row.code)
		}
		for _, row := range []struct {
			key       handle
			algorithm string
		}{{sign, "RSAES_OAEP_SHA_256"}, {aes, "SM2PKE"}, {open, "RSAES_OAEP_SHA_256"}} {
			refused(c.AsymmetricEncrypt(&kms.AsymmetricEncryptRequest{KeyId: &row.key.id, KeyVersionId: &row.key.version, Algorithm: &row.algorithm, Plaintext: encoded("x")}))(t, 400, unsupportedOperation)
			refused(c.AsymmetricDecrypt(&kms.AsymmetricDecryptRequest{KeyId: &row.key.id, KeyVersionId: &row.key.version, Algorithm: &row.algorithm, CiphertextBlob: encoded("x")}))(t, 400, unsupportedOperation)
		}
		refused(c.GetPublicKey(&kms.GetPublicKeyRequest{KeyId: &aes.id, KeyVersionId: &aes.version}))(t, 400, unsupportedOperation)
		refused(c.GetPublicKey(&kms.GetPublicKeyRequest{KeyId: &sign.id, KeyVersionId: &other.version}))(t, 404, "Forbidden.KeyVersionNotFound")
	})
}

// TestAdditionalUsages has the SDK sign and decrypt with one key, which its general call makes.
func TestAdditionalUsages(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		made := must(askGeneric(c, "CreateKey", map[string]string{"KeySpec": sm2Spec, "KeyUsage": "SIGN/VERIFY", "AdditionalKeyUsages": encryptDecrypt}))(t)["KeyMetadata"].(map[string]any)
		if made["KeyUsage"] != "SIGN/VERIFY" || made["AdditionalKeyUsages"] != encryptDecrypt {
			t.Errorf("the key is %v", made)
		}
		id, version, digest := made["KeyId"].(string), made["PrimaryKeyVersion"].(string), encoded(make([]byte, 32))
		must(c.AsymmetricSign(&kms.AsymmetricSignRequest{KeyId: &id, KeyVersionId: &version, Algorithm: new("SM2DSA"), Digest: digest}))(t)
		sealed := must(c.AsymmetricEncrypt(&kms.AsymmetricEncryptRequest{KeyId: &id, KeyVersionId: &version, Algorithm: new("SM2PKE"), Plaintext: encoded("both")}))(t).Body
		opened := must(c.AsymmetricDecrypt(&kms.AsymmetricDecryptRequest{KeyId: &id, KeyVersionId: &version, Algorithm: new("SM2PKE"), CiphertextBlob: sealed.CiphertextBlob}))(t).Body
		if *opened.Plaintext != *encoded("both") {
			t.Errorf("it decrypts to %s", *opened.Plaintext)
		}
		for _, more := range []string{"SIGN/VERIFY", "GENERATE/VERIFY_MAC", "ENCRYPT/DECRYPT,ENCRYPT/DECRYPT", ","} {
			refused(askGeneric(c, "CreateKey", map[string]string{"KeySpec": sm2Spec, "AdditionalKeyUsages": more}))(t, 400, invalidParameter)
		}
	})
}
