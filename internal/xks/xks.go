// Package xks has the wire format of the XKS Proxy API, version 1: how a key management
// service has keys used that stay elsewhere. AWS published it
// (github.com/aws/aws-kms-xksproxy-api-spec, version 1.0.3) and calls it with its KMS;
// keyward stands at both ends, as server in package server/xks and as client in cloud/xks.
//
// Four operations, all POST of JSON, lie below a prefix that stands for one key store:
//
//	PREFIX/kms/xks/v1/health                  GetHealthStatus
//	PREFIX/kms/xks/v1/keys/ID/metadata        GetKeyMetadata
//	PREFIX/kms/xks/v1/keys/ID/encrypt         Encrypt, by AES-GCM
//	PREFIX/kms/xks/v1/keys/ID/decrypt         Decrypt
//
// Requests are signed by Signature Version 4 (sign.go) with a credential that serves this
// protocol only; answers are believed because TLS says who answers.
//
// This package holds types, limits and checks that follow from the specification, and the
// arithmetic of the signature; no rule of the product, no clock, no state, no network. All
// that comes from the other side is untrusted until it was checked here: what the server
// reads by [EncryptRequest.Check] and its like, what the client reads by
// [EncryptResponse.Check] and its like.
package xks

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
)

// The limits of version 1, in bytes before base64 unless they say otherwise.
const (
	MaxPlaintext = 4300
	MaxData      = 8192 // additional authenticated data
	MaxMetadata  = 20   // of a ciphertext
	MaxPath      = 128  // of the prefix with /kms/xks/v1
	MaxBody      = 40 << 10
	tagSize      = 16
	maxUsages    = 10
	maxFleet     = 10
	maxName      = 2048 // characters of an ARN
)

// The words of version 1.
const (
	KeySpec       = "AES_256"
	Algorithm     = "AES_GCM"
	CDIVAlgorithm = "SHA_256"
	UsageEncrypt  = "ENCRYPT"
	UsageDecrypt  = "DECRYPT"
	Enabled       = "ENABLED"
	Disabled      = "DISABLED"
	Active        = "ACTIVE"
	Degraded      = "DEGRADED"
	Unavailable   = "UNAVAILABLE"
)

// An Operation is the end of a path.
type Operation string

// The operations.
const (
	GetHealthStatus Operation = "health"
	GetKeyMetadata  Operation = "metadata"
	Encrypt         Operation = "encrypt"
	Decrypt         Operation = "decrypt"
)

const base = "/kms/xks/v1"

var (
	prefixPattern = lazy.Regexp(`^(/[A-Za-z0-9_-]+)*$`)
	keyPattern    = lazy.Regexp(`^[A-Za-z0-9._-]{1,128}$`)
)

// A Path is the path of a request.
type Path struct {
	Prefix string // "" or "/" and what stands before /kms/xks/v1
	Key    string // external key id; "" for [GetHealthStatus]
	Operation
}

// String answers the path as it is sent.
func (p Path) String() string {
	if p.Operation == GetHealthStatus {
		return p.Prefix + base + "/health"
	}
	return p.Prefix + base + "/keys/" + p.Key + "/" + string(p.Operation)
}

// ParsePath reads the escaped path of a request; ok tells whether it is one.
func ParsePath(path string) (p Path, ok bool) {
	prefix, rest, found := strings.Cut(path, base+"/")
	if !found || !ValidPrefix(prefix) {
		return Path{}, false
	}
	if rest == string(GetHealthStatus) {
		return Path{Prefix: prefix, Operation: GetHealthStatus}, true
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 3 || parts[0] != "keys" || !ValidKey(parts[1]) || !slices.Contains([]Operation{GetKeyMetadata, Encrypt, Decrypt}, Operation(parts[2])) {
		return Path{}, false
	}
	return Path{prefix, parts[1], Operation(parts[2])}, true
}

// ValidPrefix tells whether a prefix may stand before /kms/xks/v1.
func ValidPrefix(prefix string) bool {
	return len(prefix)+len(base) <= MaxPath && prefixPattern().MatchString(prefix)
}

// ValidKey tells whether an external key id may be one.
func ValidKey(id string) bool { return keyPattern().MatchString(id) && strings.Trim(id, ".") != "" }

// RequestMetadata says on whose behalf the other service asks. Members that a later
// version adds are passed over.
type RequestMetadata struct {
	Principal  string `json:"awsPrincipalArn,omitempty"`
	SourceVPC  string `json:"awsSourceVpc,omitempty"`
	SourceVPCE string `json:"awsSourceVpce,omitempty"`
	Key        string `json:"kmsKeyArn,omitempty"`
	Operation  string `json:"kmsOperation,omitempty"`
	RequestID  string `json:"kmsRequestId,omitempty"`
	ViaService string `json:"kmsViaService,omitempty"`
}

// check refuses metadata that lacks what an operation must have.
func (m RequestMetadata) check(principal, key bool) error {
	for _, text := range []string{m.Principal, m.SourceVPC, m.SourceVPCE, m.Key, m.Operation, m.RequestID, m.ViaService} {
		if len(text) > maxName {
			return errors.New("a member of requestMetadata is too long")
		}
	}
	switch {
	case m.Operation == "" || m.RequestID == "":
		return errors.New("requestMetadata lacks kmsOperation or kmsRequestId")
	case principal && m.Principal == "":
		return errors.New("requestMetadata lacks awsPrincipalArn")
	case key && m.Key == "":
		return errors.New("requestMetadata lacks kmsKeyArn")
	}
	return nil
}

// HealthRequest is the body of GetHealthStatus.
type HealthRequest struct {
	Metadata RequestMetadata `json:"requestMetadata"`
}

// Check refuses what the specification does not allow.
func (r HealthRequest) Check() error { return r.Metadata.check(false, false) }

// HealthResponse is what GetHealthStatus answers.
type HealthResponse struct {
	FleetSize int       `json:"xksProxyFleetSize"`
	Vendor    string    `json:"xksProxyVendor"`
	Model     string    `json:"xksProxyModel"`
	EKMVendor string    `json:"ekmVendor"`
	Fleet     []Manager `json:"ekmFleetDetails"`
}

// A Manager is one of the key managers behind a proxy.
type Manager struct {
	ID     string `json:"id"`
	Model  string `json:"model"`
	Health string `json:"healthStatus"`
}

// Check refuses what the specification does not allow.
func (r HealthResponse) Check() error {
	if r.FleetSize < 1 || r.Vendor == "" || r.Model == "" || r.EKMVendor == "" || len(r.Fleet) < 1 || len(r.Fleet) > maxFleet {
		return fault.Say("the health status lacks what it must have")
	}
	for _, m := range r.Fleet {
		if m.ID == "" || m.Model == "" || !slices.Contains([]string{Active, Degraded, Unavailable}, m.Health) {
			return fault.Say("the health status has a key manager that is not described")
		}
	}
	return nil
}

// Serves tells whether at least one key manager can do its work.
func (r HealthResponse) Serves() bool {
	return slices.ContainsFunc(r.Fleet, func(m Manager) bool { return m.Health != Unavailable })
}

// MetadataRequest is the body of GetKeyMetadata.
type MetadataRequest struct {
	Metadata RequestMetadata `json:"requestMetadata"`
}

// Check refuses what the specification does not allow.
func (r MetadataRequest) Check() error { return r.Metadata.check(true, false) }

// MetadataResponse is what GetKeyMetadata answers.
type MetadataResponse struct {
	Spec   string   `json:"keySpec"`
	Usage  []string `json:"keyUsage"`
	Status string   `json:"keyStatus"`
}

// Check refuses what the specification does not allow, and keys that cannot encrypt and
// decrypt now.
func (r MetadataResponse) Check() error {
	switch {
	case len(r.Usage) > maxUsages || r.Status != Enabled && r.Status != Disabled:
		return fault.Say("the key's metadata is not what it must be")
	case r.Spec != KeySpec:
		return fault.Say("the external key is not of the spec %s", KeySpec)
	case !slices.Contains(r.Usage, UsageEncrypt) || !slices.Contains(r.Usage, UsageDecrypt):
		return fault.Say("the external key may not both encrypt and decrypt; allow both there")
	case r.Status != Enabled:
		return fault.Say("the external key is disabled; enable it there")
	}
	return nil
}

// EncryptRequest is the body of Encrypt.
type EncryptRequest struct {
	Metadata      RequestMetadata `json:"requestMetadata"`
	Data          []byte          `json:"additionalAuthenticatedData,omitempty"`
	Plaintext     []byte          `json:"plaintext"`
	Algorithm     string          `json:"encryptionAlgorithm"`
	CDIVAlgorithm string          `json:"ciphertextDataIntegrityValueAlgorithm,omitempty"`
}

// Check refuses what the specification does not allow. What is larger than a proxy must
// take is told by [EncryptRequest.TooLarge].
func (r EncryptRequest) Check() error {
	switch {
	case len(r.Plaintext) == 0:
		return errors.New("plaintext is missing")
	case r.Algorithm != Algorithm:
		return errors.New("encryptionAlgorithm must be AES_GCM")
	case r.CDIVAlgorithm != "" && r.CDIVAlgorithm != CDIVAlgorithm:
		return errors.New("ciphertextDataIntegrityValueAlgorithm must be SHA_256")
	}
	return r.Metadata.check(true, true)
}

// TooLarge tells whether the request exceeds what every proxy takes.
func (r EncryptRequest) TooLarge() bool {
	return len(r.Plaintext) > MaxPlaintext || len(r.Data) > MaxData
}

// EncryptResponse is what Encrypt answers.
type EncryptResponse struct {
	Ciphertext         []byte `json:"ciphertext"`
	CiphertextMetadata []byte `json:"ciphertextMetadata,omitempty"`
	IV                 []byte `json:"initializationVector"`
	Tag                []byte `json:"authenticationTag"`
	CDIV               []byte `json:"ciphertextDataIntegrityValue,omitempty"`
}

// Check refuses an answer that cannot be that of a request with a CDIV, for a plaintext of
// this size and with this additional data.
func (r EncryptResponse) Check(size int, data []byte) error {
	if err := checkParts(r.IV, r.Tag, r.CiphertextMetadata); err != nil {
		return err
	}
	if len(r.Ciphertext) != size {
		return fault.Say("the ciphertext is not as long as the plaintext")
	}
	if subtle.ConstantTimeCompare(r.CDIV, r.Integrity(data)) != 1 {
		return fault.Say("the integrity value does not belong to the ciphertext and its additional data")
	}
	return nil
}

// Integrity computes the ciphertext data integrity value.
func (r EncryptResponse) Integrity(data []byte) []byte {
	sum := sha256.Sum256(slices.Concat(data, r.CiphertextMetadata, r.IV, r.Ciphertext, r.Tag))
	return sum[:]
}

// DecryptRequest is the body of Decrypt.
type DecryptRequest struct {
	Metadata           RequestMetadata `json:"requestMetadata"`
	Data               []byte          `json:"additionalAuthenticatedData,omitempty"`
	Algorithm          string          `json:"encryptionAlgorithm"`
	Ciphertext         []byte          `json:"ciphertext"`
	CiphertextMetadata []byte          `json:"ciphertextMetadata,omitempty"`
	IV                 []byte          `json:"initializationVector"`
	Tag                []byte          `json:"authenticationTag"`
}

// Check refuses what the specification does not allow.
func (r DecryptRequest) Check() error {
	switch {
	case len(r.Ciphertext) == 0:
		return errors.New("ciphertext is missing")
	case r.Algorithm != Algorithm:
		return errors.New("encryptionAlgorithm must be AES_GCM")
	}
	if err := checkParts(r.IV, r.Tag, r.CiphertextMetadata); err != nil {
		return err
	}
	return r.Metadata.check(true, true)
}

// TooLarge tells whether the request exceeds what every proxy takes.
func (r DecryptRequest) TooLarge() bool {
	return len(r.Ciphertext) > MaxPlaintext || len(r.Data) > MaxData
}

// DecryptResponse is what Decrypt answers.
type DecryptResponse struct {
	Plaintext []byte `json:"plaintext"`
}

func checkParts(iv, tag, metadata []byte) error {
	if len(iv) != 12 && len(iv) != 16 || len(tag) != tagSize || len(metadata) > MaxMetadata {
		return fault.Say("initializationVector, authenticationTag or ciphertextMetadata has not the size it must have")
	}
	return nil
}
