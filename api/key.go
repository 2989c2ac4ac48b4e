package api

import "time"

// A Key is a KMS key without its material.
type Key struct {
	ID              string            `json:"id"`
	ARN             string            `json:"arn"`
	Spec            string            `json:"spec"`            // "Aliyun_AES_256", "EC_P256", …
	Usage           string            `json:"usage"`           // "ENCRYPT/DECRYPT", "SIGN/VERIFY" or "GENERATE/VERIFY_MAC"
	State           string            `json:"state"`           // "Enabled", "Disabled", "PendingDeletion" or "PendingImport": without material
	Origin          string            `json:"origin"`          // "Aliyun_KMS": made here; "EXTERNAL": imported; "EXTERNAL_KEY_STORE": at an external manager
	ProtectionLevel string            `json:"protectionLevel"` // "SOFTWARE", or "HSM": in the hardware token
	Description     string            `json:"description"`
	Creator         string            `json:"creator"`                 // account that created it
	Instance        string            `json:"instance,omitempty"`      // id of the instance that it was made in; left out for the default one
	ExternalKeyID   string            `json:"externalKeyId,omitempty"` // at the external manager
	CreatedAt       time.Time         `json:"createdAt"`
	DeleteAt        time.Time         `json:"deleteAt,omitzero"` // while deletion is pending: never before
	PrimaryVersion  string            `json:"primaryVersion"`    // encrypts and, for asymmetric keys, is the newest
	Versions        int               `json:"versions"`          // how many there are
	ExpireAt        time.Time         `json:"expireAt,omitzero"` // when imported material is deleted
	Rotation        Rotation          `json:"rotation"`
	Protection      Protection        `json:"protection"`
	Tags            map[string]string `json:"tags"`

	AdditionalUsages []string `json:"additionalUsages,omitempty"` // beside Usage, of asymmetric keys
}

// Rotation is how a key's automatic rotation stands.
type Rotation struct {
	Status          string    `json:"status"` // "Enabled", "Disabled" or "Suspended": on, but the key is not enabled
	IntervalSeconds int64     `json:"intervalSeconds,omitempty"`
	LastAt          time.Time `json:"lastAt"` // when the primary version was made
	NextAt          time.Time `json:"nextAt,omitzero"`
}

// Protection is a key's deletion protection, and the body that sets it.
type Protection struct {
	Enabled bool   `json:"enabled"`
	Note    string `json:"note,omitempty"` // why it is on
}

// CreateKeyRequest says what a new key is to be like. Everything may be left out.
type CreateKeyRequest struct {
	Spec            string            `json:"spec,omitempty"`            // default "Aliyun_AES_256"
	Usage           string            `json:"usage,omitempty"`           // default by spec: signing where the spec can sign
	Origin          string            `json:"origin,omitempty"`          // "EXTERNAL": its material will be imported; default "Aliyun_KMS"
	ProtectionLevel string            `json:"protectionLevel,omitempty"` // "SOFTWARE" (default), or "HSM": in the hardware token
	Description     string            `json:"description,omitempty"`
	Rotation        *RotationRequest  `json:"rotation,omitempty"`      // default off; symmetric specs only
	Tags            map[string]string `json:"tags,omitempty"`          // at most 20
	Alias           string            `json:"alias,omitempty"`         // another name that it gets at once: "alias/…"; if that is taken, nothing is made
	Instance        string            `json:"instance,omitempty"`      // id or name of the instance that it is made in, whose class decides where it lives
	ExternalKeyID   string            `json:"externalKeyId,omitempty"` // in an external instance: the key at the manager, which keys may share
	Policy          string            `json:"policy,omitempty"`        // the document of its policy; default: identity policies decide

	AdditionalUsages []string `json:"additionalUsages,omitempty"` // beside Usage, of asymmetric specs that can do several things
}

// RotationRequest switches a key's automatic rotation.
type RotationRequest struct {
	Enabled         bool  `json:"enabled"`
	IntervalSeconds int64 `json:"intervalSeconds,omitempty"` // 7 to 365 days; 0 keeps the one set before
}

// A KeyPolicy says who may do what with a key, beside what identity policies say.
type KeyPolicy struct {
	Document string `json:"document"` // in the policy language, 32,768 bytes at most; empty sets the default, which grants nobody anything
}

// ListKeysRequest chooses keys. An empty list chooses all; otherwise a key matches when,
// for each list, one of its entries does.
type ListKeysRequest struct {
	Limit     int      `json:"limit,omitempty"`     // keys at most, 1 to 100; 0 means 100
	Cursor    string   `json:"cursor,omitempty"`    // Next of the page before, asked for with the same limit
	States    []string `json:"states,omitempty"`    //
	Specs     []string `json:"specs,omitempty"`     //
	Usages    []string `json:"usages,omitempty"`    //
	Aliases   []string `json:"aliases,omitempty"`   // names of aliases that point at the key
	TagKeys   []string `json:"tagKeys,omitempty"`   //
	TagValues []string `json:"tagValues,omitempty"` //
	Instances []string `json:"instances,omitempty"` // ids or names
}

// A KeyList is one page of keys, oldest first.
type KeyList struct {
	Keys  []Key  `json:"keys"`
	Total int    `json:"total"`          // keys that match, on all pages
	Next  string `json:"next,omitempty"` // Cursor of the following page; empty on the last one
}

// DescriptionRequest sets a key's description.
type DescriptionRequest struct {
	Description string `json:"description"` // at most 8,192 bytes
}

// DeleteKeyRequest schedules a key's deletion.
type DeleteKeyRequest struct {
	Days int `json:"days"` // 7 to 366: how long it can be restored
}

// TagRequest adds tags; one that is there already gets the new value.
type TagRequest struct {
	Tags map[string]string `json:"tags"`
}

// UntagRequest removes tags; what is not there is passed over.
type UntagRequest struct {
	Keys []string `json:"keys"` // of the tags
}

// ImportParametersRequest asks for what is needed to wrap material for a key.
type ImportParametersRequest struct {
	Wrapping string `json:"wrapping"` // RSAES_OAEP_SHA_256, RSAES_OAEP_SHA_1, RSAES_PKCS1_V1_5 or SM2PKE; asymmetric keys: RSAES_OAEP_SHA_256_AES_256_ECB_PKCS7_PAD or SM2PKE_SM4_ECB
}

// ImportParameters are what is needed to wrap material for a key. They may be used more
// than once until they end.
type ImportParameters struct {
	Key       string      `json:"key"`       // id
	PublicKey []byte      `json:"publicKey"` // to wrap under, SubjectPublicKeyInfo DER
	Token     SecretBytes `json:"token"`     // to be sent with the material
	ExpireAt  time.Time   `json:"expireAt"`  // 24 hours later
}

// ImportRequest gives a key its material.
type ImportRequest struct {
	Token    SecretBytes `json:"token"`
	Material SecretBytes `json:"material"`          // wrapped: a raw symmetric key, or a private key in PKCS#8 DER
	ExpireAt time.Time   `json:"expireAt,omitzero"` // when it is deleted; left out: never
}

// A KeyVersion is one version of a key.
type KeyVersion struct {
	ID        string    `json:"id"`
	Key       string    `json:"key"`    // id
	Number    int       `json:"number"` // 1 for the first
	CreatedAt time.Time `json:"createdAt"`
}

// A KeyVersionList is one page of a key's versions, newest first.
type KeyVersionList struct {
	Versions []KeyVersion `json:"versions"`
	Total    int          `json:"total"`
	Next     string       `json:"next,omitempty"`
}

// A PublicKey is the public half of a version of an asymmetric key.
type PublicKey struct {
	Key     string `json:"key"`
	Version string `json:"version"`
	PEM     string `json:"pem"`           // SubjectPublicKeyInfo
	DER     []byte `json:"der"`           // the same
	JWK     *JWK   `json:"jwk,omitempty"` // left out for EC_SM2, for which none is defined
}

// A JWK is a public key as RFC 7517 writes it.
type JWK struct {
	Kty string `json:"kty"`           // "RSA" or "EC"
	Crv string `json:"crv,omitempty"` // "P-256" or "secp256k1"
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

// CSRRequest asks for a certificate signing request of a version of a key that signs. All
// but the common name may be left out.
type CSRRequest struct {
	Algorithm    string   `json:"algorithm,omitempty"`    // default: the first of the key's spec
	CommonName   string   `json:"commonName"`             // CN, at most 64 characters
	Organization string   `json:"organization,omitempty"` // O, at most 64, verbatim
	Unit         string   `json:"unit,omitempty"`         // OU, at most 64
	State        string   `json:"state,omitempty"`        // ST, at most 128
	Locality     string   `json:"locality,omitempty"`     // L, at most 128
	Country      string   `json:"country,omitempty"`      // C, ISO 3166-1 alpha-2 in capitals
	Email        string   `json:"email,omitempty"`        // E
	Names        []string `json:"names,omitempty"`        // subject alternative names: hosts, addresses, e-mail addresses, URIs; at most 100
}

// A CSR is a certificate signing request (PKCS #10).
type CSR struct {
	Key     string `json:"key"`
	Version string `json:"version"`
	PEM     string `json:"pem"`
}

// An Alias is another name for a key.
type Alias struct {
	Name      string    `json:"name"` // begins with "alias/"
	ARN       string    `json:"arn"`
	Key       string    `json:"key"` // id
	CreatedAt time.Time `json:"createdAt"`
}

// CreateAliasRequest names a new alias.
type CreateAliasRequest struct {
	Name string `json:"name"` // begins with "alias/"
	Key  string `json:"key"`  // id, alias or ARN
}

// PointAliasRequest points an alias at another key.
type PointAliasRequest struct {
	Key string `json:"key"` // id, alias or ARN
}

// An AliasList is one page of aliases, by name.
type AliasList struct {
	Aliases []Alias `json:"aliases"`
	Total   int     `json:"total"`
	Next    string  `json:"next,omitempty"`
}
