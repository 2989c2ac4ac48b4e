// Package accesskey is the inventory of the keys that others issue: access keys of
// clouds, API keys of services, certificates and keys of payment platforms.
//
// Two kinds of facts meet in it. What a [Provider] tells is observed: it is replaced with
// every synchronisation and may be read again at any time, so its rows are not bound by a
// MAC and a change of one leaves no record of its own. What a person says – who owns a
// key, what it is for, when it expires, how old it may become – is declared: its rows are
// bound, and each change is an audit record. [AccessKey] joins the two.
//
// A [Source] is one configured account at a provider, with the credential that reads it.
// The credential is sealed with the tenant's key, is opened for the length of one
// synchronisation, and is never answered. Sources are synchronised by jobs (package job),
// each by one node at a time, at the pace that its provider allows.
//
// Who may call: the API dialects, jobs, and package expiry, which reads what expires. What
// is trusted: nothing that a provider answers; it is bounded, cleaned of control
// characters, and shown as what that provider says.
package accesskey

import (
	"time"
)

// A Status says whether a key can be used.
type Status string

// The states of a key at its provider.
const (
	Active   Status = "active"
	Inactive Status = "inactive" // switched off; can be switched on again
	Expired  Status = "expired"
	Deleted  Status = "deleted" // in a recycle bin; can be restored
	Gone     Status = "gone"    // the provider does not list it any more
)

// A Basis says where the date of an expiry comes from.
type Basis string

// The bases of an expiry, the strongest first.
const (
	Provided    Basis = "provider"    // the provider told it
	Certificate Basis = "certificate" // notAfter of an X.509 certificate
	Declared    Basis = "declared"    // a person said so
	Policy      Basis = "policy"      // the age that a key may reach by the source's rule; the key works on
)

// An Expiry is when a key stops to work, or should be replaced; the zero value is never.
type Expiry struct {
	At    time.Time
	Basis Basis // "" if At is zero
}

// A Fact is an answer that a provider may not give.
type Fact int

// The values of a Fact.
const (
	Unknown Fact = iota // the zero value: not read, or the provider does not tell
	No
	Yes
)

// FactOf answers Yes or No.
func FactOf(b bool) Fact {
	if b {
		return Yes
	}
	return No
}

// A Kind of principal that owns keys at a provider.
type Kind string

// The kinds of principals.
const (
	Root         Kind = "root" // the account itself
	User         Kind = "user"
	Collaborator Kind = "collaborator" // a user of another account
	Program      Kind = "program"      // a program's own identity, or a key that belongs to no user
)

// A Principal is who holds keys at a provider.
type Principal struct {
	ID        string // at the provider, for ever; the principal of keys
	Name      string
	Kind      Kind
	Remark    string
	CreatedAt time.Time

	Disabled   Fact
	Console    Fact      // can log in to the console
	ConsoleAt  time.Time // last login; zero if never or not told
	ConsoleMFA Fact      // a second factor guards the login
	ActionMFA  Fact      // a second factor guards sensitive operations

	Grants   []Grant // nil if not read
	Boundary string  // name of the permissions boundary; "" for none or not read
}

// A Grant is a policy that a principal has.
type Grant struct {
	Name  string
	ID    string
	Via   string   // "" directly, else the name of the group
	Admin bool     // grants everything
	Wide  []string // services that it grants wholly, such as "cos"
}

// A Use is the last use of a key that a provider tells of.
type Use struct {
	Known   Fact          // Yes: At holds; No: it was never used; Unknown: not told
	At      time.Time     // zero unless Known is Yes
	Lag     time.Duration // how far the provider's knowledge may be behind
	Service string        // "" if not told
	Region  string
	IP      string
}

// An Observed is what a provider tells of one key.
type Observed struct {
	ID        string // at the provider; never a secret
	Principal string // Principal.ID; "" for none
	Name      string // the provider's name or description
	Status    Status
	CreatedAt time.Time // zero if not told
	ChangedAt time.Time // when its status was last changed; zero if not told
	Expiry    Expiry    // by Provided or Certificate only
	Use       Use
	Tags      map[string]string
	Detail    map[string]string // what only this kind of key has: an issuer, a serial number, an algorithm
	UndoUntil time.Time         // of a Deleted key: until when it can be restored
}
