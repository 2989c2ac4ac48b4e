// Package keytest wires the services of keys on a store, as a server does, for tests and
// measurements of whatever stands on them.
package keytest

import (
	"cmp"
	"context"
	"encoding/hex"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/byok"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/key/keyring"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/key/software"
	"github.com/keyward/keyward/internal/material"
)

// Options says what Services are made of. Store, Tenants, Log and Now are required.
type Options struct {
	Store interface {
		key.Store
		key.AliasStore
		instance.Store
		KeyOwner(ctx context.Context, id key.ID) (string, error)
	}
	Tenants software.Tenants
	Log     *audit.Log
	Region  string // default "cn-test"
	Now     func() time.Time
	After   func(context.Context, time.Duration) (time.Duration, error) // default: the service began just now
	Fresh   func() bool                                                 // default: always
	// Around answers the keystore of all keys, which may use the one of software keys; default:
	// it is that.
	Around      func(key.Importer) key.Importer
	DefaultKeys int // that an account may have; default: any number
	// External answers, of the keystore of software keys, that of external keys and how its
	// managers are reached; default: there are none.
	External func(key.Keystore) (key.Keystore, instance.Manager)
	// Known refuses principals that an account does not have; default: it has any.
	Known func(ctx context.Context, account string, principals []string) error
	// Used is told of every use of a key; default: nobody is.
	Used func(c *authz.Call, action string, k *key.Key, v key.VersionID, of material.Context)
}

type (
	// Keys are the operations that manage keys.
	Keys = lifecycle.Service
	// Crypto are the operations that use keys.
	Crypto = cryptography.Service
	// Imports are the operations that import material.
	Imports = byok.Service
)

// Services are all of the operations on the software keys of one node.
type Services struct {
	*keyring.Ring
	*Keys
	*Crypto
	Imports   *Imports
	Instances *instance.Service
}

// New makes Services.
func New(o Options) *Services {
	if o.After == nil {
		o.After = func(_ context.Context, d time.Duration) (time.Duration, error) { return d, nil }
	}
	if o.Fresh == nil {
		o.Fresh = func() bool { return true }
	}
	if o.Used == nil {
		o.Used = func(*authz.Call, string, *key.Key, key.VersionID, material.Context) {}
	}
	if o.Known == nil {
		o.Known = func(context.Context, string, []string) error { return nil }
	}
	if o.Around == nil {
		o.Around = func(k key.Importer) key.Importer { return k }
	}
	keystore := o.Around(software.New(o.Tenants))
	var external key.Keystore = keystore
	var manager instance.Manager
	if o.External != nil {
		external, manager = o.External(keystore)
	}
	instances := instance.New(instance.Options{
		Store: o.Store, Tenants: o.Tenants, Log: o.Log, Region: cmp.Or(o.Region, "cn-test"), Now: o.Now, Manager: manager, Quota: 3,
		Token: func(context.Context) error {
			return fault.UnsupportedOperation.New("this server has no hardware token")
		},
	})
	ring := keyring.New(keyring.Options{
		Store: o.Store, Aliases: o.Store, Owner: o.Store.KeyOwner, Region: cmp.Or(o.Region, "cn-test"), Fresh: o.Fresh,
		Keystore: func(_ context.Context, k key.Key) (key.Keystore, error) {
			if k.Origin == key.OriginManager {
				return external, nil
			}
			return keystore, nil
		},
	})
	return &Services{
		Ring: ring, Instances: instances,
		Keys:    lifecycle.New(lifecycle.Options{Ring: ring, Store: o.Store, Aliases: o.Store, Log: o.Log, Now: o.Now, After: o.After, Instances: instances, Known: o.Known, DefaultKeys: o.DefaultKeys}),
		Imports: byok.New(byok.Options{Ring: ring, Store: o.Store, Tenants: o.Tenants, Log: o.Log, Now: o.Now}),
		Crypto:  cryptography.New(cryptography.Options{Ring: ring, Log: o.Log, Used: o.Used, ContextDigest: func(b []byte) (string, error) { return hex.EncodeToString(b), nil }}),
	}
}
