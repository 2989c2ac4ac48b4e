// Package secret keeps values that others use as they are: passwords, API keys,
// certificates with their keys. Unlike a KMS key, a secret leaves keyward, to those who
// may read it.
//
// A [Secret] is a container of [Version]s, none of which ever changes. A [Stage] is a
// label that stands on one version at a time: readers who name no version get the one
// with [Current], [Previous] follows it, [Pending] is what a rotation has not finished
// with. Putting a value, rotating and rolling back are all the same act: a stage moves.
//
// Each value is encrypted with a data key of its own, which a KMS key protects: so that
// who disables the key, or takes it out of somebody's policies, takes the secrets, too.
// The value is bound to its account, secret, version and time; a row that was swapped
// does not open. docs/design/ciphertext.md has the format.
//
// A [Service] offers the product's operations. Each takes the [authz.Call] of whoever
// wants it, in the order authorize, validate, act and record, and ends in exactly one
// audit record, durable before the method returns: a value never leaves before it is
// recorded who got it. Reading takes kms:GetSecretValue on the secret and kms:Decrypt on
// its key; writing takes kms:GenerateDataKey on the key.
//
// Who may call: the API dialects; and sinks, rollouts, targets and rotations, which take
// values as a part of their own operations ([Service.ValueFor]). What
// is stored: metadata in bound rows, values encrypted. What is trusted: nothing that was
// read from the store before its binding was checked.
package secret

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/tag"
)

// A Stage labels one version of a secret.
type Stage string

// The stages that keyward itself knows, named as Alibaba Cloud KMS names them. Callers
// may have others of their own.
const (
	Current  Stage = "ACSCurrent"  // what readers get; every secret has it
	Previous Stage = "ACSPrevious" // what was current before; moves by itself
	Pending  Stage = "ACSPending"  // made, but not in use yet
)

// A Kind says how a value is meant to be read. keyward stores both alike.
type Kind string

// The kinds of value.
const (
	Text   Kind = "text"   // UTF-8
	Binary Kind = "binary" // any bytes
)

// A Secret is a named value that changes, without the value. Its name is unique in its
// account, and free again once it was deleted; its id is never used again.
type Secret struct {
	Account     string
	Name        string
	ID          string // 32 hexadecimal digits
	Description string
	Key         key.ID // that the next version will be encrypted with
	Creator     string // ARN
	CreatedAt   time.Time
	UpdatedAt   time.Time // of the last change to anything here
	DeleteAt    time.Time // zero unless it is about to be deleted
	Versions    int       // how many there are
	Made        int       // how many were ever made
	Stages      []Label   // sorted by stage
	Tags        []tag.Tag // sorted by key
	Rev         int64     // revision, kept by the store
}

// A Label is where a stage stands.
type Label struct {
	Stage   Stage
	Version string
}

// MarshalJSON keeps a label as a pair, which is how the store writes it.
func (l Label) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]string{string(l.Stage), l.Version})
}

// UnmarshalJSON reads the pair back.
func (l *Label) UnmarshalJSON(b []byte) error {
	var pair [2]string
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	l.Stage, l.Version = Stage(pair[0]), pair[1]
	return nil
}

// At answers the version that a stage stands on, "" if it stands on none.
func (s Secret) At(stage Stage) string {
	for _, l := range s.Stages {
		if l.Stage == stage {
			return l.Version
		}
	}
	return ""
}

// On answers the stages that stand on a version.
func (s Secret) On(version string) []Stage {
	var out []Stage
	for _, l := range s.Stages {
		if l.Version == version {
			out = append(out, l.Stage)
		}
	}
	return out
}

// A Version is one value of a secret, encrypted. It never changes.
type Version struct {
	Account   string
	Secret    string // id of the secret
	ID        string // chosen by the caller, or a UUID
	Name      string // of the secret
	Number    int    // 1 for the first
	Kind      Kind
	Key       key.ID // that Wrapped is encrypted with
	Wrapped   []byte // the data key, a ciphertext of the KMS key
	Sealed    []byte // the value under the data key
	CreatedAt time.Time
	Marks     []Mark // of a version that is about to be stored
	Rev       int64
}

// A Mark is a keyed hash of a version's value, or of a part of it, by which package
// exposure knows it again when somebody finds it where it should not stand. It has a row of
// its own, which goes with the version.
type Mark struct {
	Account string
	Mark    string // 64 hexadecimal digits
	Secret  string // id of the secret
	Version string
	Name    string // of the secret
	KeyID   string // the identifier that stands beside it in the value; "" for none
	Strong  bool   // nobody guesses what it is of: who has that, had the secret
	Rev     int64
}

// Marked answers marks as those of the version.
func (v Version) Marked(marks []Mark) []Mark {
	for i := range marks {
		m := &marks[i]
		m.Account, m.Secret, m.Version, m.Name = v.Account, v.Secret, v.ID, v.Name
	}
	return marks
}

// A Value is a version in the clear.
type Value struct {
	Secret  Secret
	Version Version
	Stages  []Stage // that stand on the version
	Data    material.Bytes
}

// newID makes the id of a secret.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}
