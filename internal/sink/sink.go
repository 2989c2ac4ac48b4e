// Package sink copies secrets to other keepers of secrets, such as a HashiCorp Vault or
// an OpenBao that a company has already, and keeps the copies as they are here.
//
// A [Sink] is one place at one other keeper, with a credential for it and a choice of
// secrets. For each secret that it chooses there is a [Copy], which says how the copy
// stands: synced, pending, failed, drifted. A copy is made from the version that is
// current; what changed here is written there. What somebody changed *there* is not
// overwritten: the copy has drifted, which is told and stays so until a person has it
// overwritten ([Service.Sync]) or it is again what it was.
//
// Writing to another keeper is an outside act: the intent is stored, which puts it on
// record that the value leaves; then it is written, only if nobody wrote there since it
// was last read; then the outcome is stored. After a crash between these steps the next
// look finds the intent, reads what is there, and takes it for its own work if it is the
// value that was to be written.
//
// Who may call: the API dialects; jobs look at each sink every minute. What is stored:
// sinks with their credentials wrapped, and copies, in bound rows; no value and nothing
// made of one. What is trusted: what a [Target] reads is compared, never kept.
package sink

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

// A Sink is one place to which secrets are copied.
type Sink struct {
	Account   string
	Name      string // chosen by a person, for ever
	ID        string // 32 hexadecimal digits, never used again
	Kind      string // KindOfSink.Name
	Settings  []form.Pair
	Sealed    []byte    // the credential, wrapped under the tenant's key
	Secrets   []string  // names of the secrets; one that ends in * stands for all that begin so
	Tags      []string  // tag keys: secrets with one of them are chosen, too
	Overwrite time.Time // copies that had drifted until then are overwritten
	CreatedAt time.Time
	Rev       int64
}

// bound names what the sealed credential belongs to.
func (s *Sink) bound() []string { return []string{"keyward-sink/v1", s.Account, s.ID, s.Kind} }

// A Status is how a copy stands.
type Status string

// The statuses.
const (
	Synced  Status = "synced"  // it is there what it is here
	Pending Status = "pending" // it is to be written, or its writing was interrupted
	Failed  Status = "failed"  // the last attempt failed; it is tried again
	Drifted Status = "drifted" // somebody changed it there
)

// A Copy is how one secret stands at one sink.
type Copy struct {
	Account  string
	Sink     string // id of the sink
	Secret   string // name
	Status   Status
	Version  string    // id of the secret's version that was last found there, or was to be written there
	Written  string    // id of the one that was last found there: not Version while it is not known whether writing succeeded
	Remote   int       // the number that the other keeper gave to Written or, before Version was to be written, to what was there
	At       time.Time // of the last change of anything here
	SyncedAt time.Time // when it was last found or made to be right
	Failures int       // attempts in a row that failed
	Error    string    // why the last one failed, or what drifted
	Chinese  string    // Error in Chinese
	Rev      int64
}

// A KindOfSink is a kind of other keeper.
type KindOfSink struct {
	Name string // "vault"
	Form form.Form
	// Place names the settings that say where copies stand: with another value of one,
	// they stand elsewhere.
	Place []string
	// Open makes the target of what was filled in. It does not reach out.
	Open func(Opening) (Target, error)
}

// An Opening is what a target is made of.
type Opening struct {
	form.Filling
	Now   func() time.Time
	Allow []netip.Prefix // networks that may be reached although they are not public
}

// A Target is another keeper of secrets. Its errors are faults whose messages may be
// shown: they never hold a value or a credential. One that will go on for all secrets
// wraps [ErrAway]. Methods need not be callable concurrently.
type Target interface {
	// Check proves that the place can be reached and the credential is accepted.
	Check(ctx context.Context) error
	// Read answers what is there under the name of a secret.
	Read(ctx context.Context, name string) (Remote, error)
	// Write writes a value, if what is there still has the number after, which is 0 for
	// nothing; otherwise it answers [fault.Changed] and has no effect. It answers the
	// number of what it wrote.
	Write(ctx context.Context, name string, value material.Bytes, after int) (number int, err error)
	// Close gives back what the target holds, such as connections.
	Close()
}

// A Remote is what a target read.
type Remote struct {
	Number int  // of the newest version there; 0 if nothing was ever there
	Gone   bool // it was deleted there
	Value  material.Bytes
}

// ErrAway is wrapped by errors that concern the target as a whole: it cannot be reached,
// is sealed, or does not accept the credential.
var ErrAway = errors.New("the target as a whole does not serve")
