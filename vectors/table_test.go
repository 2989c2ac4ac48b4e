package vectors_test

import (
	"crypto/sha1"
	"crypto/sha256"

	"github.com/emmansun/gmsm/sm3"
)

// A row says what becomes of some files of Wycheproof.
type row struct {
	files string    // patterns of names without "_test.json"
	text  string    // which operation of keyward runs them, or why none does
	run   operation // nil if none does
}

const notOnCurve = "keyward offers no keys on these curves; that their public keys are refused is tested below"

// rows has every file of Wycheproof once.
var rows = []row{
	{"ecdsa_secp256r1_*", "`material.Public.Verify`, `ECDSA_SHA_256` with `EC_P256`", verifyECDSA("EC_P256")},
	{"ecdsa_secp256k1_*", "`material.Public.Verify`, `ECDSA_SHA_256` with `EC_P256K`", verifyECDSA("EC_P256K")},
	{"rsa_signature_*", "`material.Public.Verify`, `RSA_PKCS1_SHA_256`", verifyPKCS1},
	{"rsa_pss_*", "`material.Public.Verify`, `RSA_PSS_SHA_256`", verifyPSS},
	{"rsa_pkcs1_*_sig_gen", "`material.Private.Sign`, `RSA_PKCS1_SHA_256`", signPKCS1},
	{"rsa_oaep_* rsa_three_primes_oaep_*", "`material.Private.Decrypt`, `RSAES_OAEP_SHA_256` and `RSAES_OAEP_SHA_1`", decryptOAEP},
	{"aes_gcm", "the GCM of `material.AEAD`, suite 1, and `AEAD.Open` with the flaw carried over", openAEAD(aesSuite)},
	{"aes_gmac", "the same, with an empty plaintext", openAEAD(aesSuite)},
	{"sm4_gcm", "the GCM of `material.AEAD`, suite 3, and `AEAD.Open` with the flaw carried over", openAEAD(sm4Suite)},
	{"hkdf_sha256", "the HKDF of package `seal`, and the derivation of `material.AEAD` with the vector's key", deriveHKDF},
	{"hmac_sha256", "`mac.Key.Verify`, `HMAC_SHA_256`; the HMAC of package `authn`; the derivation of `material.AEAD`, suite 1, with the vector's key", computeHMAC("HMAC_SHA_256", sha256.New, aesSuite)},
	{"hmac_sm3", "`mac.Key.Verify`, `HMAC_SM3`; the HMAC of package `authn`; the derivation of `material.AEAD`, suite 3, with the vector's key", computeHMAC("HMAC_SM3", sm3.New, sm4Suite)},
	{"hmac_sha1", "the HMAC of package `authn` (signature RPC 1.0)", computeHMAC("", sha1.New)},
	{"hmac_sha224", "`mac.Key.Verify`, `HMAC_SHA_224`", verifyMAC("HMAC_SHA_224")},
	{"hmac_sha384", "`mac.Key.Verify`, `HMAC_SHA_384`", verifyMAC("HMAC_SHA_384")},
	{"hmac_sha512", "`mac.Key.Verify`, `HMAC_SHA_512`", verifyMAC("HMAC_SHA_512")},
	{"ecdh_secp256r1 ecdh_secp256r1_pem ecdh_secp256r1_ecpoint", "`material.OpenPublic`, `EC_P256`, on the public key", openPublic("EC_P256")},
	{"ecdh_secp256k1", "`material.OpenPublic`, `EC_P256K`, on the public key", openPublic("EC_P256K")},

	{"rsa_pkcs1_????", "keyward offers no RSAES-PKCS1 decryption: its padding is an oracle", nil},
	{"ecdsa_brainpool* ecdsa_secp160* ecdsa_secp192* ecdsa_secp224* ecdsa_secp384* ecdsa_secp521*", notOnCurve, nil},
	{"ecdh_brainpool* ecdh_secp224* ecdh_secp384* ecdh_secp521* ecdh_sect*", notOnCurve, nil},
	{"ecdh_secp256?1_webcrypto", "keyward reads no JWK", nil},
	{"ed25519 ed448", "keyward offers no Ed25519 or Ed448 keys", nil},
	{"x25519 x25519_* x448 x448_*", "keyward offers no key agreement", nil},
	{"dsa_*", "keyward offers no DSA", nil},
	{"mldsa_*", "keyward offers no ML-DSA", nil},
	{"mlkem_*", "keyward offers no ML-KEM", nil},
	{"bls_*", "keyward offers no BLS", nil},
	{"ec_prime_order_curves", "keyward takes no curve parameters, only named curves", nil},
	{"primality", "keyward imports RSA keys whole; that their numbers fit is tested where they are read", nil},
	{"aes_wrap aes_kwp aria_wrap aria_kwp camellia_wrap seed_wrap", "keyward wraps imported and exported keys under RSA and SM2, in other ways than these", nil},
	{"aes_cbc_pkcs5 aria_cbc_pkcs5 camellia_cbc_pkcs5", "keyward offers no CBC", nil},
	{"aes_ccm sm4_ccm aria_ccm camellia_ccm seed_ccm", "keyward offers no CCM", nil},
	{"aes_xts", "keyward offers no XTS", nil},
	{"aes_eax", "keyward offers no EAX", nil},
	{"aes_gcm_siv aes_siv_cmac aead_aes_siv_cmac", "keyward offers no SIV", nil},
	{"aes_ff1_*", "keyward offers no format-preserving encryption", nil},
	{"aes_cmac aria_cmac camellia_cmac", "keyward offers no CMAC", nil},
	{"aria_gcm seed_gcm", "keyward offers no ARIA and no SEED", nil},
	{"aegis* morus* ascon*", "keyward offers no AEGIS, MORUS or Ascon", nil},
	{"chacha20_poly1305 xchacha20_poly1305", "keyward offers no ChaCha20; package age tests its own", nil},
	{"c2sp_chunked_encryption_*", "keyward offers no streaming encryption", nil},
	{"a128cbc_hs256 a192cbc_hs384 a256cbc_hs512 json_web_*", "keyward offers no JOSE", nil},
	{"hkdf_sha1 hkdf_sha384 hkdf_sha512", "keyward derives with HKDF over SHA-256 and SM3 only", nil},
	{"hmac_sha512_* hmac_sha3_*", "keyward offers no HMAC over shortened SHA-512 or SHA-3", nil},
	{"kmac* siphash* vmac*", "keyward offers no KMAC, SipHash or VMAC", nil},
	{"pbkdf2_* pbes2_*", "keyward stretches passphrases with Argon2id", nil},
}
