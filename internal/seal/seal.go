// Package seal protects everything that keyward stores: it turns an operator's passphrase,
// the shares of several, or the key of a hardware token into a [Root], this into a
// [Keyring], and the keyring into the keys that wrap tenant keys, authenticate rows and
// seal keyward's own secrets.
//
// The hierarchy, from the top (docs/design/hierarchy.md has the whole):
//
//	passphrase ── Argon2id ──► opens one [Envelope], which holds the root key
//	k of n shares ── Shamir ─► opens another one, which holds the same root key
//	a token's key ── AES-GCM ► opens another one, likewise
//	root key   ── AEAD ──────► opens each [Epoch], which holds a master secret
//	master secret ── HKDF ───► one key for each purpose and epoch
//	KEK of the epoch ── AEAD ► opens a tenant key: [Keyring.Tenant]
//	tenant key ── AEAD ──────► protects material: [material.Wrapper]
//
// Who may call: package app unseals; the other packages get what they need of the
// keyring through interfaces that they declare. What is stored: envelopes and
// epochs through [Store], and blobs wherever the callers keep them. What is
// trusted: nothing that comes from the store. Each blob is authenticated together
// with the place it belongs to, parameters are bounded before they cost anything,
// and a store that was never initialised is told from a wrong passphrase.
//
// While unsealed the master secrets live in locked pages outside the Go heap
// and all other keys are derived when needed; [Keyring.Close] erases the pages, and
// from then on every operation is refused.
package seal

import (
	"context"
	"time"
)

// An Envelope is the root key as one unseal provider protects it. Several may
// exist, each opening the same root key. The store keeps all fields byte for byte,
// times in microseconds; any change to one of them is detected.
type Envelope struct {
	ID          string
	Name        string // by which an operator calls it; empty in the first release, see Title
	Provider    string // "passphrase", "shamir" or "pkcs11"
	Recovery    bool   // meant for recovery only; it opens as any other
	Params      []byte // JSON: how the provider derives its key
	Wrapped     []byte // blob with the root key
	RootEpoch   uint32 // generation of the root key, from 1
	Fingerprint []byte // HMAC-SHA256 of the root key over a constant
	CreatedAt   time.Time
}

// An Epoch is one master secret under the root key. The newest wraps and seals;
// older ones open what was made under them.
type Epoch struct {
	Number    uint32 // from 1
	Wrapped   []byte // blob with the master secret
	CreatedAt time.Time
}

// Store keeps envelopes and epochs. Its contract:
//
//   - Envelopes and Epochs answer all rows, in any order; none if Initialize never
//     succeeded.
//   - Initialize stores both durably or neither. If there already is an envelope or
//     an epoch it stores nothing and answers a ResourceExists fault, also to all but
//     one of several concurrent callers.
type Store interface {
	Envelopes(ctx context.Context) ([]Envelope, error)
	Epochs(ctx context.Context) ([]Epoch, error)
	Initialize(ctx context.Context, envelope Envelope, epoch Epoch) error
}

// A Label names a purpose of the keyring's own keys. Each has its own key in each epoch.
type Label string

// The purposes for [Keyring.SealBytes] and [Keyring.OpenBytes].
const (
	AuditSign Label = "kms/audit-sign/v1" // the key that signs checkpoints, at rest
	Token     Label = "kms/token/v1"      // page tokens, session tokens, logins: in callers' hands
)

// The purposes for [Keyring.HMAC].
const (
	AuditHMAC Label = "kms/audit-hmac/v1" // correlates secret values in the audit log
	Lookup    Label = "kms/lookup/v1"     // finds a token without storing it; nothing does yet
	Link      Label = "kms/link/v1"       // links in messages, in people's hands
)

// The purposes that have methods of their own.
const (
	tenantLabel Label = "kms/kek/v1"
	rowLabel    Label = "kms/row-mac/v1"
)
