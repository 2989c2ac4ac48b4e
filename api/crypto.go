package api

// In all requests here a key may be named by id, alias or ARN. An encryption context is
// a set of pairs that must be the same when decrypting. DryRun asks whether the request
// would succeed: the answer is then a Problem, with the code "DryRun" if it would.

// EncryptRequest asks to encrypt with the primary version of a symmetric key.
type EncryptRequest struct {
	Key       string            `json:"key"`
	Plaintext SecretBytes       `json:"plaintext"` // 1 to 6,144 bytes
	Context   map[string]string `json:"context,omitempty"`
	DryRun    bool              `json:"dryRun,omitempty"`
}

// Encrypted is what an encryption answers.
type Encrypted struct {
	Key        string `json:"key"`     // id
	Version    string `json:"version"` // id of the version that encrypted
	Ciphertext []byte `json:"ciphertext"`
}

// DecryptRequest asks to decrypt what was encrypted with a symmetric key. The
// ciphertext names its key.
type DecryptRequest struct {
	Ciphertext []byte            `json:"ciphertext"`
	Context    map[string]string `json:"context,omitempty"`
	DryRun     bool              `json:"dryRun,omitempty"`
}

// Decrypted is what a decryption answers.
type Decrypted struct {
	Key       string      `json:"key"`     // id
	Version   string      `json:"version"` // id of the version that decrypted
	Plaintext SecretBytes `json:"plaintext"`
}

// EncryptBatchRequest asks to encrypt 1 to 100 plaintexts with the primary version of a symmetric
// key, all with one context. The body has at most 64 KiB.
type EncryptBatchRequest struct {
	Key        string            `json:"key"`
	Plaintexts []SecretBytes     `json:"plaintexts"` // each of 1 to 6,144 bytes
	Context    map[string]string `json:"context,omitempty"`
	DryRun     bool              `json:"dryRun,omitempty"`
}

// An EncryptedBatch is what a batch of encryptions answers, in the order of the request.
type EncryptedBatch struct {
	Key     string          `json:"key"`     // id
	Version string          `json:"version"` // id of the version that encrypted
	Items   []EncryptedItem `json:"items"`
}

// An EncryptedItem has a ciphertext, or an error if this one could not be encrypted.
type EncryptedItem struct {
	Ciphertext []byte     `json:"ciphertext,omitempty"`
	Error      *ItemError `json:"error,omitempty"`
}

// DecryptBatchRequest asks to decrypt 1 to 100 ciphertexts of one symmetric key, all with one
// context. The body has at most 64 KiB.
type DecryptBatchRequest struct {
	Key         string            `json:"key"`
	Ciphertexts [][]byte          `json:"ciphertexts"`
	Context     map[string]string `json:"context,omitempty"`
	DryRun      bool              `json:"dryRun,omitempty"`
}

// A DecryptedBatch is what a batch of decryptions answers, in the order of the request.
type DecryptedBatch struct {
	Key   string          `json:"key"` // id
	Items []DecryptedItem `json:"items"`
}

// A DecryptedItem has a plaintext, or an error if this one could not be decrypted.
type DecryptedItem struct {
	Version   string      `json:"version,omitempty"` // id of the version that decrypted
	Plaintext SecretBytes `json:"plaintext,omitempty"`
	Error     *ItemError  `json:"error,omitempty"`
}

// An ItemError says why one item of a batch failed, as a Problem does for a request.
type ItemError struct {
	Code   string `json:"code"` // a row of docs/errors.md
	Detail string `json:"detail"`
}

// ReEncryptRequest asks to decrypt with one key and encrypt with another, without the
// plaintext leaving the server. The Source members other than SourceContext are for
// ciphertexts of asymmetric keys, which do not name their key.
type ReEncryptRequest struct {
	Ciphertext         []byte            `json:"ciphertext"`
	SourceContext      map[string]string `json:"sourceContext,omitempty"`
	SourceKey          string            `json:"sourceKey,omitempty"`
	SourceVersion      string            `json:"sourceVersion,omitempty"`
	SourceAlgorithm    string            `json:"sourceAlgorithm,omitempty"`
	DestinationKey     string            `json:"destinationKey"` // symmetric
	DestinationContext map[string]string `json:"destinationContext,omitempty"`
	DryRun             bool              `json:"dryRun,omitempty"`
}

// DataKeyRequest asks for a new random key, encrypted with a symmetric key.
type DataKeyRequest struct {
	Key     string            `json:"key"`
	Size    int               `json:"size,omitempty"` // bytes, 1 to 1,024; 0 means 32
	Context map[string]string `json:"context,omitempty"`
	DryRun  bool              `json:"dryRun,omitempty"`
}

// A DataKey is a new random key in the clear and encrypted.
type DataKey struct {
	Key        string      `json:"key"`     // id
	Version    string      `json:"version"` // id of the version that encrypted
	Ciphertext []byte      `json:"ciphertext"`
	Plaintext  SecretBytes `json:"plaintext"`
}

// ExportDataKeyRequest asks for a data key under a public key of the caller's.
type ExportDataKeyRequest struct {
	Ciphertext []byte            `json:"ciphertext"` // of the data key
	Context    map[string]string `json:"context,omitempty"`
	Wrapping   string            `json:"wrapping"`  // "RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1" or "SM2PKE"
	PublicKey  []byte            `json:"publicKey"` // RSA of 2,048 bits, or SM2: SubjectPublicKeyInfo DER
	DryRun     bool              `json:"dryRun,omitempty"`
}

// GenerateAndExportDataKeyRequest asks for a new random key, encrypted with a symmetric key
// and under a public key of the caller's.
type GenerateAndExportDataKeyRequest struct {
	Key       string            `json:"key"`
	Size      int               `json:"size,omitempty"` // bytes, 1 to 1,024 and what the wrapping has room for; 0 means 32
	Context   map[string]string `json:"context,omitempty"`
	Wrapping  string            `json:"wrapping"`  // as for an ExportDataKeyRequest
	PublicKey []byte            `json:"publicKey"` // as for an ExportDataKeyRequest
	DryRun    bool              `json:"dryRun,omitempty"`
}

// An ExportedDataKey is a data key that only the owner of a private key can read.
type ExportedDataKey struct {
	Key        string `json:"key"`                  // id
	Version    string `json:"version"`              // id of the version that encrypted the data key
	Ciphertext []byte `json:"ciphertext,omitempty"` // of a data key that was generated now
	Wrapped    []byte `json:"wrapped"`              // the data key under the public key
}

// SignRequest asks for a signature of a digest.
type SignRequest struct {
	Key       string `json:"key"`
	Version   string `json:"version"`   // id
	Algorithm string `json:"algorithm"` // "RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256", "ECDSA_SHA_256" or "SM2DSA"
	Digest    []byte `json:"digest"`    // 32 bytes
	DryRun    bool   `json:"dryRun,omitempty"`
}

// A Signature is what signing answers.
type Signature struct {
	Key       string `json:"key"`       // id
	Version   string `json:"version"`   // id
	Signature []byte `json:"signature"` // ECDSA and SM2: ASN.1 DER
}

// VerifyRequest asks whether a signature of a digest is valid.
type VerifyRequest struct {
	Key       string `json:"key"`
	Version   string `json:"version"`
	Algorithm string `json:"algorithm"`
	Digest    []byte `json:"digest"` // 32 bytes
	Signature []byte `json:"signature"`
	DryRun    bool   `json:"dryRun,omitempty"`
}

// A Verification is what verifying answers.
type Verification struct {
	Key     string `json:"key"`     // id
	Version string `json:"version"` // id
	Valid   bool   `json:"valid"`
}

// AsymmetricEncryptRequest asks to encrypt with the public half of an asymmetric key.
type AsymmetricEncryptRequest struct {
	Key       string      `json:"key"`
	Version   string      `json:"version"`
	Algorithm string      `json:"algorithm"` // "RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1" or "SM2PKE"
	Plaintext SecretBytes `json:"plaintext"`
	DryRun    bool        `json:"dryRun,omitempty"`
}

// AsymmetricDecryptRequest asks to decrypt with the private half of an asymmetric key.
type AsymmetricDecryptRequest struct {
	Key        string `json:"key"`
	Version    string `json:"version"`
	Algorithm  string `json:"algorithm"`
	Ciphertext []byte `json:"ciphertext"`
	DryRun     bool   `json:"dryRun,omitempty"`
}

// MACRequest asks for the message authentication code of a message.
type MACRequest struct {
	Key       string      `json:"key"`                 // of an HMAC spec
	Algorithm string      `json:"algorithm,omitempty"` // the key's: "HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512" or "HMAC_SM3"; may be left out
	Message   SecretBytes `json:"message"`             // 1 to 6,144 bytes
	DryRun    bool        `json:"dryRun,omitempty"`
}

// A MAC is a message authentication code.
type MAC struct {
	Key       string `json:"key"`     // id
	Version   string `json:"version"` // id of the key's one version
	Algorithm string `json:"algorithm"`
	MAC       []byte `json:"mac"` // whole: 28 to 64 bytes
}

// VerifyMACRequest asks whether a message authentication code is that of a message.
type VerifyMACRequest struct {
	Key       string      `json:"key"`
	Algorithm string      `json:"algorithm,omitempty"` // as for a MACRequest
	Message   SecretBytes `json:"message"`
	MAC       []byte      `json:"mac"` // whole: a shortened one is not valid
	DryRun    bool        `json:"dryRun,omitempty"`
}

// A MACVerification is what verifying a message authentication code answers.
type MACVerification struct {
	Key       string `json:"key"`     // id
	Version   string `json:"version"` // id
	Algorithm string `json:"algorithm"`
	Valid     bool   `json:"valid"`
}

// RandomRequest asks for random bytes.
type RandomRequest struct {
	Size int `json:"size,omitempty"` // bytes, 1 to 1,024; 0 means 32
}

// Random are random bytes, of which the server keeps nothing.
type Random struct {
	Bytes SecretBytes `json:"bytes"`
}
