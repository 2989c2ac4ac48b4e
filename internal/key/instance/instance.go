// Package instance keeps instances: the places that an account has for keys. What
// Alibaba Cloud calls a KMS instance is one of them.
//
// An [Instance] has a [Class], which says where the material of its keys lives: wrapped in
// the database, in the server's hardware token, or at an external key manager. That one is
// reached over a connection that the instance has: settings, which may be shown, and a
// credential, which is wrapped under the account's tenant key and bound to the instance and
// the settings, so that who can change rows cannot have it sent elsewhere. A key is put into
// an instance when it is made, for ever; a key that names none is one of the default
// instance, which is no row and has no rules. docs/design/instances.md draws the states.
//
// An instance may be shared with other accounts, which then make keys of their own in it. The
// keys of its own account stay that account's alone; those of a borrower both may manage and
// use ([key.Key.DefaultPolicy]). Each other account that is let in, to the instance or by the
// policy of a key in it, counts against a quota, and goes on counting for a while.
//
// A [Service] offers the operations that manage instances: each asks the policies of the
// caller, and ends in one audit record. Nothing is stored of a connection that does not work
// when it is made or changed. Who may call: the API dialects, and the services of keys,
// which ask [Service.Place] where a key goes.
//
// How managers are spoken to is not known here: [Options.Manager] is package cloud/xks.
package instance

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
)

// MaxInstances is how many instances an account may have.
const MaxInstances = 100

// A Class says where the material of an instance's keys lives.
type Class string

// The classes.
const (
	Software Class = "software" // wrapped in the database
	Hardware Class = "hardware" // in the server's hardware token
	External Class = "external" // at an external key manager
)

// Classes lists them all.
func Classes() []Class { return []Class{Software, Hardware, External} }

// An Instance is a place for keys.
type Instance struct {
	Account   string
	ID        string // "kst-" and 26 characters that spell 128 random bits
	Name      string // unique in the account
	Class     Class
	Settings  []form.Pair  // of the connection to an external manager, by name
	Sealed    []byte       // its credential, wrapped under the tenant's key; empty for other classes
	Shares    []key.Access // accounts that may make keys in it, and those that might until a while ago
	CreatedAt time.Time
	Rev       int64
}

// sharedWith tells whether another account may make keys in the instance.
func (i Instance) sharedWith(account string) bool {
	return slices.Contains(i.Shares, key.Access{Account: account})
}

// Borrowers answers the accounts that may make keys in the instance besides its own.
func (i Instance) Borrowers() []string {
	var out []string
	for _, a := range i.Shares {
		if a.Until == 0 {
			out = append(out, a.Account)
		}
	}
	return out
}

// lent answers what a borrower may know of the instance.
func (i Instance) lent() Instance {
	return Instance{Account: i.Account, ID: i.ID, Name: i.Name, Class: i.Class, CreatedAt: i.CreatedAt}
}

const idPrefix = "kst-"

func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return idPrefix + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// namePattern leaves no name that could be an id.
var namePattern = lazy.Regexp(`^[a-z0-9][a-z0-9-]{0,62}$`)

func validName(name string) bool {
	return namePattern().MatchString(name) && !strings.HasPrefix(name, idPrefix)
}

// bound names what the sealed credential belongs to.
func (i Instance) bound() []string { return []string{"keyward-instance/v1", i.Account, i.ID} }

// Open answers the connection of an external instance. Whoever is done with it erases it.
func (i Instance) Open(ctx context.Context, t Tenants) (form.Filling, error) {
	w, err := t.Tenant(ctx, i.Account)
	if err != nil {
		return form.Filling{}, err
	}
	return form.Open(w, i.Settings, i.Sealed, i.bound()...)
}

// connect gives the instance a connection.
func (i *Instance) connect(ctx context.Context, t Tenants, f form.Filling) error {
	w, err := t.Tenant(ctx, i.Account)
	if err != nil {
		return err
	}
	i.Settings = form.Pairs(f.Settings)
	i.Sealed, err = form.Seal(w, i.Settings, f.Credential, i.bound()...)
	return err
}

// Tenants answers the wrapper that protects an account's credentials at rest.
type Tenants interface {
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
}

// A Store keeps instances.
//
// A method that takes a record commits its change together with the record, or does
// neither. What changed since it was read is [fault.Changed], what is not there
// [fault.ResourceNotFound]. Methods may be called concurrently.
type Store interface {
	// CreateInstance stores a new instance; [fault.ResourceExists] if its name is taken.
	CreateInstance(ctx context.Context, rec *audit.Record, i *Instance) error
	UpdateInstance(ctx context.Context, rec *audit.Record, i *Instance) error
	// DeleteInstance removes one that has no keys, or answers [fault.ResourceInUse].
	DeleteInstance(ctx context.Context, rec *audit.Record, i *Instance) error
	// Instance answers the instance with an id, whoever's it is.
	Instance(ctx context.Context, id string) (Instance, error)
	// Instances answers all instances of the account, by name.
	Instances(ctx context.Context, account string) ([]Instance, error)
	// InstancesLent answers the instances that others share with the account, by id.
	InstancesLent(ctx context.Context, account string) ([]Instance, error)
	// KeysIn answers how many keys an instance has, those that are being deleted included;
	// only those of an account if it is not empty.
	KeysIn(ctx context.Context, id, account string) (int, error)
	// KeysLetting answers the keys of an instance whose policies let other accounts in, or did.
	KeysLetting(ctx context.Context, id string) ([]key.Key, error)
}
