// Package people lets users log in who are people: with a password and, as soon as they
// have set one up, a second factor.
//
// A login yields temporary credentials (package role), so that everything that signs
// requests goes on working unchanged and no cookie or bearer token exists. What makes them
// different from other sessions is their first link, which leads here: each session is an
// entry in the row of its [Person], and whoever takes that entry out has ended it, on every
// node, within a second. Logging out does, and so do a new password, the removal of the
// second factor, an administrator who says so, and the deletion of the user; a user who is
// disabled is refused anyway.
//
// An administrator gives a user an initial password, which this package makes, shows once
// and accepts for three days, for one login that must replace it. A new password is set in
// no other way than in a login that proves the old one: there is one place where passwords
// are compared, and one where they change.
//
// Three things stand between a stranger and a password. Its hash is made by Argon2id
// (package password) and sealed under the tenant key, so that a stolen database is of no
// use. Attempts are limited ([Limit]) for each user from each network, for each user and for
// each network, with delays that grow, in the database, so that all nodes and all spellings
// count together; an attempt is counted before anything is compared, so that a thousand at
// once are no more than one after the other. And an answer tells nothing: unknown users,
// users without a password and wrong ones take the same way through the same work to the
// same words. docs/design/people.md has the states and what remains.
//
// A second factor is the secret of an authenticator app, or a security key ([SecurityKey]).
// Both are proved in a login and again for each request that does what is dangerous. A key is
// used on a page of the server, which shows what it is used for ([Ceremony]).
//
// Stored are the sealed hash, the sealed secret of the second factor, digests of recovery
// codes, the public keys of security keys, and the sessions. Of a code's step, which a code is used up by, and of the counts
// of attempts, the database is believed: who can write it can give himself more attempts.
package people

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/material"
)

// Limits. docs/people.md tells them to users.
const (
	MinPassword   = 12  // characters
	MaxPassword   = 128 // characters
	InitialLife   = 72 * time.Hour
	MaxSessions   = 20 // of one person; the one that began first makes room for another
	RecoveryCodes = 10
)

// A Person is how a user logs in.
type Person struct {
	Account     string
	Login       string // the user's name in lower case: nobody logs in by another spelling
	User        string
	Password    []byte    // hash, wrapped under the account's tenant key; empty for none
	PasswordAt  time.Time // when it was set
	Initial     bool      // an administrator knows it
	Secret      []byte    // of the second factor, wrapped; empty for none
	SecretAt    time.Time // when it was made
	ConfirmedAt time.Time // when a code proved that the person has it; zero for not yet
	Recovery    []string  // digests of the recovery codes that are left
	FactorsAt   time.Time // when a second factor was last added or taken away; zero if that was the app, before there were others
	Keys        []SecurityKey
	Sessions    []Session // in the order in which they began
	Rev         int64     // revision, kept by the store
}

// A Session is a login that is in force.
type Session struct {
	ID        string    `json:"id"`
	BegunAt   time.Time `json:"begunAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	Source    string    `json:"source,omitempty"` // address that it began from
	MFA       bool      `json:"mfa,omitempty"`    // a second factor was proved

	Provider string `json:"provider,omitempty"` // identity provider that vouched for the user; "" for a password
}

// HasMFA tells whether a login needs a second factor.
func (p *Person) HasMFA() bool { return p.hasApp() || len(p.Keys) > 0 }

// layout writes times in bindings as precisely as the store keeps them.
const layout = "2006-01-02T15:04:05.000000Z"

// binding is what a wrapped value of the person is bound to.
func (p *Person) binding(what string, at time.Time) []byte {
	return material.Binding("kms-row/v1", "iam_person", p.Account, p.Login, what, at.UTC().Format(layout))
}

// live answers the sessions that have not expired.
func (p *Person) live(now time.Time) []Session {
	var out []Session
	for _, s := range p.Sessions {
		if now.Before(s.ExpiresAt) {
			out = append(out, s)
		}
	}
	return out
}

// loginOf answers the one spelling of a user's name under which everything about its logins
// is kept. Names are ASCII; a few other characters are spellings, too, such as the Kelvin sign.
func loginOf(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// A Store keeps people. The contract of iam.Store holds for what takes a record.
type Store interface {
	// SavePerson stores p, anew if its Rev is 0; its user must be there.
	SavePerson(ctx context.Context, rec *audit.Record, p *Person) error
	Person(ctx context.Context, account, login string) (Person, error)
	// Linked tells whether an identity provider may vouch for a user.
	Linked(ctx context.Context, account, user string) (bool, error)
	Attempts
	Ceremonies
}

// Attempts counts attempts to prove something, for all nodes together. What it keeps is not
// bound and not recorded.
type Attempts interface {
	// Charge counts one attempt against each limit, whoever races, and answers a zero time.
	// If one of them makes callers wait until later than now, it answers until when, and
	// counts nothing.
	Charge(ctx context.Context, now time.Time, limits []Limit) (until time.Time, err error)
	// Refund takes back an attempt that was charged, and the wait that it began. If it was
	// a success, nothing is left of what Clears.
	Refund(ctx context.Context, limits []Limit, success bool) error
	// Advance moves the newest step that was used of a second factor forward, and tells
	// whether step was newer. Of callers who race with one step one is told so.
	Advance(ctx context.Context, now time.Time, key string, step int64) (bool, error)
}

// A Limit is how many attempts something may take. All of them that failed count until an
// hour has passed without one.
type Limit struct {
	Key     string        // of what is counted; tells nothing of it
	Free    int           // attempts before the first wait
	Longest time.Duration // of a wait
	Clears  bool          // a success forgets the attempts that failed before it
}

// Forgotten is how long after the last of them attempts are forgotten. It is longer than
// any wait, so that nobody gains by waiting for it.
const Forgotten = time.Hour

// Wait answers how long to wait after so many attempts that failed: a second, then twice as
// long each time.
func (l Limit) Wait(attempts int) time.Duration {
	if attempts < l.Free {
		return 0
	}
	return min(time.Second<<min(attempts-l.Free, 30), l.Longest)
}

// network answers what attempts from an address are counted together with: IPv6 networks are
// given out as /64 and more.
func network(source netip.Addr) string {
	if !source.IsValid() {
		return "local"
	}
	bits := 32
	if source = source.Unmap(); source.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(source.WithZone(""), bits).Masked().String()
}
