package interop_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// A recipient has a key pair of its own.
type recipient struct {
	spec, algorithm string
	public          []byte // SubjectPublicKeyInfo
	open            func(wrapped []byte) ([]byte, error)
}

func recipients(t *testing.T) []recipient {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	spki := must(x509.MarshalPKIXPublicKey(key.Public()))(t)
	national := must(sm2.GenerateKey(rand.Reader))(t)
	return []recipient{
		{rsa2048, "RSAES_OAEP_SHA_256", spki, func(b []byte) ([]byte, error) { return rsa.DecryptOAEP(sha256.New(), nil, key, b, nil) }},
		{rsa2048, "RSAES_OAEP_SHA_1", spki, func(b []byte) ([]byte, error) { return rsa.DecryptOAEP(sha1.New(), nil, key, b, nil) }},
		{sm2Spec, "SM2PKE", must(smx509.MarshalPKIXPublicKey(national.Public()))(t), func(b []byte) ([]byte, error) {
			return national.Decrypt(nil, b, sm2.NewPlainDecrypterOpts(sm2.C1C3C2))
		}},
	}
}

// TestExportDataKey has other libraries open what is exported for them.
func TestExportDataKey(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		k, b := create(t, c, aes256, ""), binding{"for": "files"}
		for _, to := range recipients(t) {
			made := must(c.GenerateAndExportDataKey(&kms.GenerateAndExportDataKeyRequest{
				KeyId: &k.arn, KeySpec: new("AES_128"), EncryptionContext: b, PublicKeyBlob: encoded(to.public), WrappingAlgorithm: &to.algorithm, WrappingKeySpec: &to.spec,
			}))(t).Body
			again := kms.ExportDataKeyRequest{
				CiphertextBlob: made.CiphertextBlob, EncryptionContext: b, PublicKeyBlob: encoded(to.public), WrappingAlgorithm: &to.algorithm, WrappingKeySpec: &to.spec,
			}
			exported := must(c.ExportDataKey(&again))(t).Body
			plain := decoded(t, must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: made.CiphertextBlob, EncryptionContext: b}))(t).Body.Plaintext)
			for _, wrapped := range []*string{made.ExportedDataKey, exported.ExportedDataKey} {
				if opened, err := to.open(decoded(t, wrapped)); err != nil || len(opened) != 16 || !bytes.Equal(opened, plain) {
					t.Errorf("%s: %d bytes were exported, %v", to.algorithm, len(opened), err)
				}
			}
			if *made.KeyId != k.id || *made.KeyVersionId != k.version || *exported.KeyId != k.id || *exported.KeyVersionId != k.version {
				t.Errorf("%s: %v, %v", to.algorithm, made, exported)
			}
			again.EncryptionContext = nil
			refused(c.ExportDataKey(&again))(t, 400, invalidParameter)
			again.EncryptionContext, again.DryRun = b, new("true")
			refused(c.ExportDataKey(&again))(t, 400, "DryRunOperationError")
			again.DryRun, again.WrappingKeySpec = nil, new("EC_P256")
			refused(c.ExportDataKey(&again))(t, 400, invalidParameter)
			again.WrappingKeySpec, again.WrappingAlgorithm = &to.spec, new("RSAES_PKCS1_V1_5")
			refused(c.ExportDataKey(&again))(t, 400, invalidParameter)
			again.WrappingAlgorithm, again.PublicKeyBlob = &to.algorithm, encoded("rubbish")
			refused(c.ExportDataKey(&again))(t, 400, invalidParameter)
		}
	})
}
