package interop_test

import (
	"bytes"
	"strings"
	"testing"

	kms "github.com/alibabacloud-go/kms-20160120/v3/client"
)

// binding is an encryption context as the SDK takes it.
type binding = map[string]any

// encrypt answers the ciphertext of a plaintext.
func encrypt(t testing.TB, c *kms.Client, id string, plain []byte, b binding) *string {
	t.Helper()
	return must(c.Encrypt(&kms.EncryptRequest{KeyId: &id, Plaintext: encoded(plain), EncryptionContext: b}))(t).Body.CiphertextBlob
}

// TestEncrypt encrypts and decrypts with each symmetric spec.
func TestEncrypt(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		for _, spec := range []string{aes256, aes192, aes128, sm4Spec} {
			k := create(t, c, spec, "")
			must(c.CreateAlias(&kms.CreateAliasRequest{KeyId: &k.id, AliasName: new("alias/" + spec)}))(t)
			for _, name := range []string{k.id, k.arn, "alias/" + spec} {
				for _, plain := range [][]byte{{0}, []byte("a secret"), bytes.Repeat([]byte{0xff}, 6144)} {
					sealed := must(c.Encrypt(&kms.EncryptRequest{KeyId: &name, Plaintext: encoded(plain)}))(t).Body
					if *sealed.KeyId != k.id || *sealed.KeyVersionId != k.version {
						t.Errorf("encrypted with %s: answered %s, version %s", name, *sealed.KeyId, *sealed.KeyVersionId)
					}
					opened := must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: sealed.CiphertextBlob}))(t).Body
					if !bytes.Equal(decoded(t, opened.Plaintext), plain) || *opened.KeyId != k.id || *opened.KeyVersionId != k.version {
						t.Errorf("%d bytes under a key of spec %s came back as %v", len(plain), spec, opened)
					}
				}
			}
			if one, two := encrypt(t, c, k.id, []byte("x"), nil), encrypt(t, c, k.id, []byte("x"), nil); *one == *two {
				t.Errorf("spec %s encrypts the same to the same", spec)
			}
		}
		k := create(t, c, aes256, "")
		refused(c.Encrypt(&kms.EncryptRequest{KeyId: &k.id, Plaintext: encoded(make([]byte, 6145))}))(t, 400, invalidParameter)
		refused(c.Encrypt(&kms.EncryptRequest{KeyId: &k.id, Plaintext: new("")}))(t, 400, missingParameter)
		for _, text := range []string{"not base64", "YQ", "YQ=", "Y Q==", "YQ==\n", "YR==", "_-8="} {
			refused(c.Encrypt(&kms.EncryptRequest{KeyId: &k.id, Plaintext: &text}))(t, 400, invalidParameter)
		}
		public := create(t, c, rsa2048, encryptDecrypt)
		refused(c.Encrypt(&kms.EncryptRequest{KeyId: &public.id, Plaintext: encoded("x")}))(t, 400, unsupportedOperation)
	})
}

// TestDecryptRefuses alters every byte of a ciphertext, and cuts it everywhere.
func TestDecryptRefuses(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		k := create(t, c, aes256, "")
		blob := decoded(t, encrypt(t, c, k.id, []byte("a secret"), nil))
		open := func(b []byte) error {
			return outcome(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: encoded(b)}))
		}
		for i := range blob {
			altered := bytes.Clone(blob)
			altered[i] ^= 1
			// A bit of the key's id names another key.
			if got := refusalOf(open(altered)); got != (refusal{400, invalidParameter}) && got != (refusal{404, keyNotFound}) {
				t.Errorf("with a bit of byte %d flipped the answer is %v", i, got)
			}
			if got := refusalOf(open(blob[:i])); got != (refusal{400, invalidParameter}) && (i > 0 || got.code != missingParameter) {
				t.Errorf("cut to %d bytes the answer is %v", i, got)
			}
		}
		if got := refusalOf(open(append(blob, 0))); got != (refusal{400, invalidParameter}) {
			t.Errorf("with a byte more the answer is %v", got)
		}
	})
}

// TestEncryptionContext decrypts only with the context that was encrypted with.
func TestEncryptionContext(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		k := create(t, c, aes256, "")
		given := binding{"app": "billing", "区域": "杭州", "": "empty", "quote\"\\": "<&>"}
		blob := encrypt(t, c, k.id, []byte("bound"), given)
		decrypt := func(blob *string, b binding) (*kms.DecryptResponse, error) {
			return c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob, EncryptionContext: b})
		}
		if got := decoded(t, must(decrypt(blob, given))(t).Body.Plaintext); string(got) != "bound" {
			t.Errorf("decrypted %q", got)
		}
		for _, other := range []binding{
			nil, {"app": "billing"}, {"app": "billing", "区域": "杭州", "": "empty"},
			{"app": "Billing", "区域": "杭州", "": "empty", "quote\"\\": "<&>"},
			{"app": "billing", "区域": "杭州", "": "empty", "quote\"\\": "<&>", "more": ""},
		} {
			refused(decrypt(blob, other))(t, 400, invalidParameter)
		}
		refused(decrypt(encrypt(t, c, k.id, []byte("free"), nil), binding{"app": "billing"}))(t, 400, invalidParameter)
		// The same text cut in two ways is not the same context.
		refused(decrypt(encrypt(t, c, k.id, []byte("cut"), binding{"ab": "c"}), binding{"a": "bc"}))(t, 400, invalidParameter)
		for _, wrong := range []binding{
			{"n": 1}, {"b": true}, {"null": nil}, {"list": []string{"a"}}, {"object": binding{"a": "b"}}, {"long": strings.Repeat("x", 8192)},
		} {
			refused(c.Encrypt(&kms.EncryptRequest{KeyId: &k.id, Plaintext: encoded("x"), EncryptionContext: wrong}))(t, 400, invalidParameter)
		}
		longest := binding{"k": strings.Repeat("x", 8192-len(`{"k":""}`))}
		must(decrypt(encrypt(t, c, k.id, []byte("long"), longest), longest))(t)
	})
}

// TestDataKeys generates data keys of each size.
func TestDataKeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		k := create(t, c, aes256, "")
		for _, row := range []struct {
			spec  string
			bytes int32 // 0 leaves it out
			size  int
		}{{"", 0, 32}, {"AES_256", 0, 32}, {"AES_128", 0, 16}, {"", 1, 1}, {"AES_128", 1024, 1024}, {"AES_256", 24, 24}} {
			in := kms.GenerateDataKeyRequest{KeyId: &k.id, EncryptionContext: binding{"for": "files"}}
			if row.spec != "" {
				in.KeySpec = &row.spec
			}
			if row.bytes != 0 {
				in.NumberOfBytes = &row.bytes
			}
			open := func(blob *string) []byte {
				return decoded(t, must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob, EncryptionContext: in.EncryptionContext}))(t).Body.Plaintext)
			}
			made := must(c.GenerateDataKey(&in))(t).Body
			plain := decoded(t, made.Plaintext)
			if len(plain) != row.size || !bytes.Equal(plain, open(made.CiphertextBlob)) || *made.KeyId != k.id || *made.KeyVersionId != k.version {
				t.Errorf("a data key of %q and %d bytes has %d", row.spec, row.bytes, len(plain))
			}
			hidden := must(c.GenerateDataKeyWithoutPlaintext(&kms.GenerateDataKeyWithoutPlaintextRequest{
				KeyId: in.KeyId, EncryptionContext: in.EncryptionContext, KeySpec: in.KeySpec, NumberOfBytes: in.NumberOfBytes,
			}))(t).Body
			if again := open(hidden.CiphertextBlob); len(again) != row.size || row.size >= 16 && bytes.Equal(plain, again) {
				t.Errorf("a data key without plaintext of %q and %d bytes has %d", row.spec, row.bytes, len(again))
			}
		}
		for _, size := range []int32{-1, 0, 1025} {
			refused(c.GenerateDataKey(&kms.GenerateDataKeyRequest{KeyId: &k.id, NumberOfBytes: &size}))(t, 400, invalidParameter)
		}
		refused(c.GenerateDataKey(&kms.GenerateDataKeyRequest{KeyId: &k.id, KeySpec: new("AES_512")}))(t, 400, invalidParameter)
		signing := create(t, c, p256, "")
		refused(c.GenerateDataKey(&kms.GenerateDataKeyRequest{KeyId: &signing.id}))(t, 400, "UnsupportedOperation")
		refused(c.GenerateDataKeyWithoutPlaintext(&kms.GenerateDataKeyWithoutPlaintextRequest{KeyId: &signing.id}))(t, 400, unsupportedOperation)
	})
}

// TestReEncrypt moves ciphertexts from key to key.
func TestReEncrypt(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.account(t).sdk(t)
		from, to, public := create(t, c, aes256, ""), create(t, c, sm4Spec, ""), create(t, c, rsa2048, encryptDecrypt)
		source, destination := binding{"from": "1"}, binding{"to": "2"}
		blob := encrypt(t, c, from.id, []byte("moves"), source)
		moved := must(c.ReEncrypt(&kms.ReEncryptRequest{
			CiphertextBlob: blob, SourceEncryptionContext: source, DestinationKeyId: &to.id, DestinationEncryptionContext: destination,
		}))(t).Body
		if *moved.KeyId != to.id || *moved.KeyVersionId != to.version {
			t.Errorf("re-encrypted to %s, version %s", *moved.KeyId, *moved.KeyVersionId)
		}
		opened := must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: moved.CiphertextBlob, EncryptionContext: destination}))(t).Body
		if got := decoded(t, opened.Plaintext); string(got) != "moves" || *opened.KeyId != to.id {
			t.Errorf("decrypted %q with %s", got, *opened.KeyId)
		}
		sealed := must(c.AsymmetricEncrypt(&kms.AsymmetricEncryptRequest{
			KeyId: &public.id, KeyVersionId: &public.version, Algorithm: new("RSAES_OAEP_SHA_256"), Plaintext: encoded("comes in"),
		}))(t).Body.CiphertextBlob
		moved = must(c.ReEncrypt(&kms.ReEncryptRequest{
			CiphertextBlob: sealed, SourceKeyId: &public.id, SourceKeyVersionId: &public.version,
			SourceEncryptionAlgorithm: new("RSAES_OAEP_SHA_256"), DestinationKeyId: &from.id,
		}))(t).Body
		if got := decoded(t, must(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: moved.CiphertextBlob}))(t).Body.Plaintext); string(got) != "comes in" {
			t.Errorf("decrypted %q", got)
		}
		for _, row := range []struct {
			in     kms.ReEncryptRequest
			status int
			code   string
		}{
			{kms.ReEncryptRequest{CiphertextBlob: blob, DestinationKeyId: &to.id}, 400, invalidParameter},
			{kms.ReEncryptRequest{CiphertextBlob: blob, SourceEncryptionContext: source}, 400, missingParameter},
			{kms.ReEncryptRequest{CiphertextBlob: blob, SourceEncryptionContext: source, DestinationKeyId: &public.id}, 400, unsupportedOperation},
			{kms.ReEncryptRequest{CiphertextBlob: blob, SourceEncryptionContext: source, DestinationKeyId: new("alias/none")}, 404, aliasNotFound},
			{kms.ReEncryptRequest{CiphertextBlob: sealed, SourceKeyId: &public.id, DestinationKeyId: &to.id}, 400, missingParameter},
			{kms.ReEncryptRequest{CiphertextBlob: blob, SourceKeyId: &public.id, SourceKeyVersionId: &public.version,
				SourceEncryptionAlgorithm: new("RSAES_OAEP_SHA_256"), DestinationKeyId: &to.id}, 400, invalidParameter},
		} {
			refused(c.ReEncrypt(&row.in))(t, row.status, row.code)
		}
	})
}

// TestDryRun checks the three answers of a call that is not to be performed.
func TestDryRun(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		a := s.account(t)
		c, dry := a.sdk(t), new("true")
		aes, sign, open := create(t, c, aes256, ""), create(t, c, p256, ""), create(t, c, sm2Spec, encryptDecrypt)
		blob := encrypt(t, c, aes.id, []byte("x"), nil)
		digest := encoded(make([]byte, 32))
		signature := must(c.AsymmetricSign(&kms.AsymmetricSignRequest{KeyId: &sign.id, KeyVersionId: &sign.version, Algorithm: new("ECDSA_SHA_256"), Digest: digest}))(t).Body.Value
		sealed := must(c.AsymmetricEncrypt(&kms.AsymmetricEncryptRequest{KeyId: &open.id, KeyVersionId: &open.version, Algorithm: new("SM2PKE"), Plaintext: encoded("x")}))(t).Body.CiphertextBlob
		calls := func(c *kms.Client) map[string]error {
			return map[string]error{
				"Encrypt":                         outcome(c.Encrypt(&kms.EncryptRequest{KeyId: &aes.id, Plaintext: encoded("x"), DryRun: dry})),
				"Decrypt":                         outcome(c.Decrypt(&kms.DecryptRequest{CiphertextBlob: blob, DryRun: dry})),
				"ReEncrypt":                       outcome(c.ReEncrypt(&kms.ReEncryptRequest{CiphertextBlob: blob, DestinationKeyId: &aes.id, DryRun: dry})),
				"GenerateDataKey":                 outcome(c.GenerateDataKey(&kms.GenerateDataKeyRequest{KeyId: &aes.id, DryRun: dry})),
				"GenerateDataKeyWithoutPlaintext": outcome(c.GenerateDataKeyWithoutPlaintext(&kms.GenerateDataKeyWithoutPlaintextRequest{KeyId: &aes.id, DryRun: dry})),
				"AsymmetricSign":                  outcome(c.AsymmetricSign(&kms.AsymmetricSignRequest{KeyId: &sign.id, KeyVersionId: &sign.version, Algorithm: new("ECDSA_SHA_256"), Digest: digest, DryRun: dry})),
				"AsymmetricVerify":                outcome(c.AsymmetricVerify(&kms.AsymmetricVerifyRequest{KeyId: &sign.id, KeyVersionId: &sign.version, Algorithm: new("ECDSA_SHA_256"), Digest: digest, Value: signature, DryRun: dry})),
				"AsymmetricEncrypt":               outcome(c.AsymmetricEncrypt(&kms.AsymmetricEncryptRequest{KeyId: &open.id, KeyVersionId: &open.version, Algorithm: new("SM2PKE"), Plaintext: encoded("x"), DryRun: dry})),
				"AsymmetricDecrypt":               outcome(c.AsymmetricDecrypt(&kms.AsymmetricDecryptRequest{KeyId: &open.id, KeyVersionId: &open.version, Algorithm: new("SM2PKE"), CiphertextBlob: sealed, DryRun: dry})),
				"GetPublicKey":                    outcome(c.GetPublicKey(&kms.GetPublicKeyRequest{KeyId: &sign.id, KeyVersionId: &sign.version, DryRun: dry})),
			}
		}
		for name, err := range calls(c) {
			if got := refusalOf(err); got != (refusal{400, "DryRunOperationError"}) {
				t.Errorf("a dry run of %s that would succeed is refused with %v", name, got)
			}
		}
		for name, err := range calls(s.user(t, a).sdk(t)) {
			if got := refusalOf(err); got != (refusal{403, "AccessDeniedError"}) {
				t.Errorf("a dry run of %s without permission is refused with %v", name, got)
			}
		}
		refused(c.Encrypt(&kms.EncryptRequest{KeyId: &aes.id, Plaintext: new("?"), DryRun: dry}))(t, 400, "ValidationError")
		refused(c.Encrypt(&kms.EncryptRequest{KeyId: &aes.id, DryRun: dry}))(t, 400, "ValidationError")
		refused(c.Encrypt(&kms.EncryptRequest{KeyId: &aes.id, Plaintext: encoded("x"), DryRun: new("maybe")}))(t, 400, invalidParameter)
		must(c.Encrypt(&kms.EncryptRequest{KeyId: &aes.id, Plaintext: encoded("x"), DryRun: new("false")}))(t)
	})
}
