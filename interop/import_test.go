package interop_test

import (
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"testing"
	"time"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// wrapped has the SDK ask for parameters and answers an import of what wrap makes of them.
func wrapped(t *testing.T, c *kms.Client, id, algorithm string, wrap func(*rsa.PublicKey) []byte) *kms.ImportKeyMaterialRequest {
	t.Helper()
	spec := "RSA_2048"
	p := must(c.GetParametersForImport(&kms.GetParametersForImportRequest{KeyId: &id, WrappingAlgorithm: &algorithm, WrappingKeySpec: &spec}))(t).Body
	der := must(base64.StdEncoding.DecodeString(*p.PublicKey))(t)
	if ends := must(time.Parse(time.RFC3339, *p.TokenExpireTime))(t); time.Until(ends) < 23*time.Hour {
		t.Errorf("the token ends %s", ends)
	}
	sealed := base64.StdEncoding.EncodeToString(wrap(rsaKey(t, der)))
	return &kms.ImportKeyMaterialRequest{KeyId: &id, ImportToken: p.ImportToken, EncryptedKeyMaterial: &sealed}
}

// TestImport brings keys of others: they work, and are what was sent.
func TestImport(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		origin, p256 := "EXTERNAL", "EC_P256"
		raw := make([]byte, 32)
		rand.Read(raw)
		oaep := func(to *rsa.PublicKey) []byte {
			return must(rsa.EncryptOAEP(sha256.New(), rand.Reader, to, raw, nil))(t)
		}

		id := must(c.CreateKey(&kms.CreateKeyRequest{Origin: &origin}))(t).Body.KeyMetadata.KeyId
		plain := base64.StdEncoding.EncodeToString([]byte("hello"))
		refused(c.Encrypt(&kms.EncryptRequest{KeyId: id, Plaintext: &plain}))(t, 409, "Rejected.PendingImport")
		in := wrapped(t, c, *id, "RSAES_OAEP_SHA_256", oaep)
		soon := time.Now().Add(time.Hour).Unix()
		in.KeyMaterialExpireUnix = &soon
		must(c.ImportKeyMaterial(in))(t)
		blob := must(c.Encrypt(&kms.EncryptRequest{KeyId: id, Plaintext: &plain}))(t).Body.CiphertextBlob
		if m := must(c.DescribeKey(&kms.DescribeKeyRequest{KeyId: id}))(t).Body.KeyMetadata; *m.KeyState != "Enabled" || *m.Origin != origin || *m.MaterialExpireTime == "" {
			t.Errorf("imported, the key is %s of %s until %q", *m.KeyState, *m.Origin, *m.MaterialExpireTime)
		}
		must(c.DeleteKeyMaterial(&kms.DeleteKeyMaterialRequest{KeyId: id}))(t)
		refused(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob}))(t, 409, "Rejected.PendingImport")
		rand.Read(raw[:1])
		short := wrapped(t, c, *id, "RSAES_OAEP_SHA_256", func(to *rsa.PublicKey) []byte { return oaep(to)[1:] })
		refused(c.ImportKeyMaterial(short))(t, 400, "InvalidKeyMaterial")
		must(c.ImportKeyMaterial(in))(t)
		if back := must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob}))(t).Body.Plaintext; *back != plain {
			t.Errorf("it decrypts to %s", *back)
		}

		signer := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
		k := must(c.CreateKey(&kms.CreateKeyRequest{Origin: &origin, KeySpec: &p256}))(t).Body.KeyMetadata
		must(c.ImportKeyMaterial(wrapped(t, c, *k.KeyId, "RSAES_OAEP_SHA_256_AES_256_ECB_PKCS7_PAD", func(to *rsa.PublicKey) []byte {
			pkcs8 := must(x509.MarshalPKCS8PrivateKey(signer))(t)
			for n, i := aes.BlockSize-len(pkcs8)%aes.BlockSize, 0; i < n; i++ {
				pkcs8 = append(pkcs8, byte(n))
			}
			out, block := oaep(to), must(aes.NewCipher(raw))(t)
			for at := 0; at < len(pkcs8); at += aes.BlockSize {
				block.Encrypt(pkcs8[at:], pkcs8[at:])
			}
			return append(out, pkcs8...)
		})))(t)
		der := publicKey(t, c, handle{id: *k.KeyId, version: *k.PrimaryKeyVersion})
		if got, err := x509.ParsePKIXPublicKey(der); !signer.PublicKey.Equal(parsed[*ecdsa.PublicKey](t, got, err)) {
			t.Error("the public key is not the one of what was imported")
		}
	})
}
