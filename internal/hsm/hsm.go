// Package hsm is the static side of hardware keys: it speaks with the process that has the
// token, keyward-pkcs11, over a Unix socket.
//
// PKCS#11 modules are C libraries of their vendors. They are loaded by a process of their
// own, so that the server stays static, and so that what such a library does wrong ends
// that process and no other. The two speak the protocol of this package (wire.go): frames
// of at most 32 KiB, one request at a time on a connection, a version in each frame. Each
// side asks the kernel who the other is, and talks to nobody but the users that it was
// told of.
//
// A key in the token is an [Object]: an AES key or the private half of a key pair that was
// generated there, that is sensitive and was never extractable. It is named by label and
// id, which are bound to a key and its version, and found by both: the helper refuses two
// of one name, and one that could ever be read. The public half leaves the token when it
// is generated, and is stored as that of any other key.
//
// What is trusted: the token, to keep keys and to draw random numbers. Not trusted: what
// lies in it (others may have put it there), that it answers in time, that it stays. A
// token or helper that cannot be reached is [ErrAway]; nothing has happened then, or, of
// what was cut off in the middle, nothing that matters.
//
// docs/design/hardware.md has the states of the token's connection and the format of the
// ciphertexts.
package hsm

import (
	"errors"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// An Object names a key in the token.
type Object struct {
	Label string // at most 64 bytes, of the key
	ID    []byte // 16 bytes, of its version
	Spec  material.Spec
}

// A Sighting stands for one time at which the helper looked a key up and found it. While it
// is the same, so is the key; with another one it may have been exchanged in the token.
type Sighting string

// A State is how the token stands.
type State string

// The states of a token's connection.
const (
	Searching State = "searching" // there is no such token now; it is looked for
	Ready     State = "ready"
	Refused   State = "refused" // the PIN is wrong, locked or missing; a person must act
	Away      State = "away"    // the helper cannot be reached; it never says so itself
)

// A Status is what the helper tells of the token.
type Status struct {
	State    State     `json:"state"`
	Detail   string    `json:"detail,omitempty"`   // what is wrong and what to do, for a person
	DetailZh string    `json:"detailZh,omitempty"` // Detail in Chinese
	Since    time.Time `json:"since"`              // when the state began
	Label    string    `json:"label"`              // of the token that is wanted
	Serial   string    `json:"serial,omitempty"`
	Maker    string    `json:"maker,omitempty"` // manufacturer and model
	Sessions int       `json:"sessions"`        // at once
	Lost     int       `json:"lost"`            // how often the token was lost since the helper began
	Offers   []Offer   `json:"offers,omitempty"`
}

// An Offer is a key spec that the token makes keys of, or why it does not.
type Offer struct {
	Spec     material.Spec `json:"spec"`
	Reason   string        `json:"reason,omitempty"`   // empty if it does
	ReasonZh string        `json:"reasonZh,omitempty"` // Reason in Chinese
}

// Trouble answers what is wrong and what to do, nothing if the token is ready.
func (s Status) Trouble() fault.Text { return fault.Both(s.Detail, s.DetailZh) }

// Reason answers why the token makes no keys of a spec, nothing if it does.
func (s Status) Reason(spec material.Spec) fault.Text {
	for _, o := range s.Offers {
		if o.Spec == spec {
			return fault.Both(o.Reason, o.ReasonZh)
		}
	}
	return fault.Say("keyward makes no hardware keys of this spec")
}

// What the helper answers, other than a result. Each is wrapped with what the helper said.
var (
	ErrAway        = errors.New("the hardware token cannot be reached")
	ErrMissing     = errors.New("the key is not in the token")
	ErrUnsupported = errors.New("the token does not offer that")
	ErrInvalid     = errors.New("the token did not accept the ciphertext")
	ErrUntrusted   = errors.New("the key in the token is not one that the token alone knows")
	errRefused     = errors.New("the helper did not understand the request")
	errToken       = errors.New("the token failed")
)
