// Package key keeps KMS keys: cryptographic keys that are used here and never leave.
//
// A [Key] is a container of [Version]s, each with its own material. Symmetric keys
// encrypt with their primary version and decrypt with whichever version a ciphertext
// names; asymmetric keys are used by naming the version. Rotation adds a version and
// removes none. An [Alias] is a second name that can be pointed elsewhere.
//
// This package has what everything about keys is said in: the entities, the rules and
// states that they obey, the [Store] that keeps their metadata, and the [Keystore] that
// keeps their material. The packages below work on them:
//
//	lifecycle     the operations that manage keys        ─┐
//	cryptography  the operations that use them           ─┴► keyring ─► Keystore
//	keyring       finds the key that a call means, asks whether the caller may, and
//	              has its opened versions at hand
//	software      the keystore of keys whose material is wrapped in the database
//	instance      the places that accounts have for keys, of a class each
//
// Each operation takes the [authz.Call] of whoever wants it, in the order authorize,
// validate, act and record: API dialects, the command line and keyward's own jobs all
// come through the same methods, and each call ends in exactly one audit record, durable
// before the method returns. Nothing that is read from the store is trusted before its
// binding was checked.
package key

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/tag"
)

// An ID names a key: "key-" and 26 characters that spell 128 random bits.
type ID string

// A VersionID names a version of a key: a UUID.
type VersionID string

const idPrefix = "key-"

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID makes a random key id.
func NewID() ID {
	b := random16()
	return ID(idPrefix + idEncoding.EncodeToString(b[:]))
}

// Bytes answers the 128 bits that a ciphertext carries for the key; false for what is no
// id that [NewID] makes.
func (id ID) Bytes() (b [16]byte, ok bool) {
	s, ok := strings.CutPrefix(string(id), idPrefix)
	if !ok {
		return b, false
	}
	raw, err := idEncoding.DecodeString(s)
	if err != nil || len(raw) != 16 || idEncoding.EncodeToString(raw) != s {
		return b, false
	}
	return [16]byte(raw), true
}

// IDOf answers the id that a ciphertext names with 128 bits.
func IDOf(b [16]byte) ID { return ID(idPrefix + idEncoding.EncodeToString(b[:])) }

// NewVersionID makes a random version id.
func NewVersionID() VersionID {
	b := random16()
	b[6] = b[6]&0x0f | 0x40 // RFC 9562, version 4
	b[8] = b[8]&0x3f | 0x80
	return VersionOf(b)
}

// VersionOf answers the version id that a ciphertext names with 128 bits.
func VersionOf(b [16]byte) VersionID {
	return VersionID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

// Bytes answers the 128 bits that a ciphertext carries for the version; false for what is
// no UUID in its one spelling.
func (id VersionID) Bytes() (b [16]byte, ok bool) {
	raw, err := hex.DecodeString(strings.ReplaceAll(string(id), "-", ""))
	if err != nil || len(raw) != 16 {
		return b, false
	}
	return [16]byte(raw), VersionOf([16]byte(raw)) == id
}

func random16() (b [16]byte) {
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return b
}

// A Usage says what a key may be used for.
type Usage string

// The usages.
const (
	EncryptDecrypt Usage = "ENCRYPT/DECRYPT"
	SignVerify     Usage = "SIGN/VERIFY"
	MakeMAC        Usage = "GENERATE/VERIFY_MAC"
)

// The origins and protection levels of keys.
const (
	OriginKMS      = "Aliyun_KMS"         // the material was generated where it lives
	OriginExternal = "EXTERNAL"           // it is imported
	OriginManager  = "EXTERNAL_KEY_STORE" // an external key manager has it, and keyward another half

	LevelSoftware = "SOFTWARE"
	LevelHSM      = "HSM" // in a hardware token
)

// A Key is a KMS key without its material.
type Key struct {
	Account         string
	ID              ID
	Spec            material.Spec
	Usage           Usage
	More            []Usage // usages beside it, of asymmetric keys only, for life, too
	Origin          string
	ProtectionLevel string
	State           State
	Description     string
	Creator         string // account that created it; of a service key, the service that owns it
	CreatedAt       time.Time
	Primary         VersionID
	Versions        int // how many there are
	Rotation        Rotation
	DeleteAt        time.Time // zero unless the state is PendingDeletion
	Protected       bool      // deletion protection
	ProtectionNote  string
	Tags            []Tag     // sorted by key
	Empty           bool      // the material that is imported is not there, or that of a token is being destroyed
	ExpireAt        time.Time // when imported material is deleted; zero for never
	Policy          string    // the document of its own policy; empty for the default
	Instance        string    // id of the instance it was made in; empty for the default one
	External        string    // id at the external key manager, which other keys may have, too
	Lender          string    // account whose instance it is, unless it is the key's own
	Access          []Access  // other accounts that its policy lets in, or did until a while ago; in an instance only
	Rev             int64     // revision, kept by the store
}

// Owned tells whether the key is a service key: a service made it for itself, and nobody can
// delete it.
func (k Key) Owned() bool { return k.Creator != k.Account }

// For tells whether the key may be used so.
func (k Key) For(u Usage) bool { return k.Usage == u || slices.Contains(k.More, u) }

// Rotation is a key's rotation policy.
type Rotation struct {
	Enabled  bool
	Interval time.Duration // whole seconds; kept while disabled
	Last     time.Time     // when the primary version was made
}

// A RotationStatus is how the rotation policy stands, as the API words it.
type RotationStatus string

// The rotation statuses.
const (
	RotationEnabled   RotationStatus = "Enabled"
	RotationDisabled  RotationStatus = "Disabled"
	RotationSuspended RotationStatus = "Suspended" // the policy is on, the key is not enabled
)

// RotationStatus answers how the rotation policy stands.
func (k Key) RotationStatus() RotationStatus {
	switch {
	case !k.Rotation.Enabled:
		return RotationDisabled
	case k.State != Enabled:
		return RotationSuspended
	}
	return RotationEnabled
}

// NextRotation answers when the key is due to rotate; zero if its policy is off.
func (k Key) NextRotation() time.Time {
	if !k.Rotation.Enabled {
		return time.Time{}
	}
	return k.Rotation.Last.Add(k.Rotation.Interval)
}

// A Version is one version of a key and its material.
type Version struct {
	Account   string
	Key       ID
	ID        VersionID
	Number    int    // 1 for the first
	Wrapped   []byte // what the key's [Keystore] finds or opens the material by
	Public    []byte // SPKI DER; nil for keys that are not asymmetric
	Imported  []byte // tells whether material is what was imported at first; nil for generated material
	CreatedAt time.Time
	Rev       int64
}

// An Alias is another name for a key, unique in its account. Its name begins with "alias/".
type Alias struct {
	Account   string
	Name      string
	Key       ID
	CreatedAt time.Time
	Rev       int64
}

// A Tag is a label of a key.
type Tag = tag.Tag
