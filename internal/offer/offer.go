// Package offer keeps what keys of an account others may use without ever holding them:
// over the XKS Proxy API (package xks), as AWS KMS does with its external key stores.
//
// An [Offer] stands for one key store of the other side. It has a user of the account, as
// whom the other side acts: what that user's policies do not allow, and what is not
// published in the offer, cannot be done through it. It publishes [Key]s under external ids,
// each for encrypting, for decrypting or for both; an external id means the same key for as
// long as it is published. And it has two credentials at most, made here and shown once, which
// serve nothing else; two, so that one can be replaced without an outage.
//
// A [Service] offers the operations: those with which people manage offers, and those that
// the other side calls ([Service.Encrypt] and its like), for which package server/xks first
// has [Service.Recognize] tell whose signature it must be. Each ends in one audit record;
// that of a call of the other side names the request and the principal there, so that both
// logs can be laid side by side.
//
// Stored are offers in bound rows, the secrets wrapped under the account's tenant key and
// bound to the offer and its user. What the other side says of itself is kept in records and
// decides nothing.
package offer

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/xks"
)

// The limits of offers.
const (
	MaxOffers      = 100 // of one account
	MaxKeys        = 500 // published in one offer
	MaxCredentials = 2   // of one offer
)

// An Offer is keys of an account that somebody else may use.
type Offer struct {
	Account     string
	Name        string
	ID          string // random, so that another offer of this name is another one
	User        string // as whom the other side acts
	Keys        []Key  // sorted by id
	Credentials []string
	Sealed      []byte // the secrets by the credentials' ids, wrapped under the tenant's key
	CreatedAt   time.Time
	Rev         int64
}

// A Key is a key that an offer publishes.
type Key struct {
	ID  string // external, as the other side calls it
	Key key.ID
	Use Use
}

// A Use says what a published key may be used for.
type Use string

// The uses. [Nothing] keeps a key visible to the other side that it may not use.
const (
	Both        Use = "encrypt-decrypt"
	EncryptOnly Use = "encrypt"
	DecryptOnly Use = "decrypt"
	Nothing     Use = "none"
)

// Uses lists them all.
func Uses() []Use { return []Use{Both, EncryptOnly, DecryptOnly, Nothing} }

func (u Use) encrypts() bool { return u == Both || u == EncryptOnly }
func (u Use) decrypts() bool { return u == Both || u == DecryptOnly }

// words answers a use as the protocol has it.
func (u Use) words() []string {
	out := []string{}
	if u.encrypts() {
		out = append(out, xks.UsageEncrypt)
	}
	if u.decrypts() {
		out = append(out, xks.UsageDecrypt)
	}
	return out
}

// Prefix answers the path before /kms/xks/v1 at which an offer is served.
func (o Offer) Prefix() string { return "/xks/" + o.Account + "/" + o.Name }

// find answers where the key with an external id is, or would be.
func (o Offer) find(id string) (int, bool) {
	return slices.BinarySearchFunc(o.Keys, id, func(k Key, id string) int { return strings.Compare(k.ID, id) })
}

// published answers the key with an external id.
func (o Offer) published(id string) (Key, error) {
	i, ok := o.find(id)
	if !ok {
		return Key{}, fault.KeyNotFound.New("no key is published under this id")
	}
	return o.Keys[i], nil
}

var namePattern = lazy.Regexp(`^[a-z0-9][a-z0-9-]{0,62}$`)

// settings and fields are what the sealed secrets are bound to.
func (o Offer) settings() []form.Pair { return []form.Pair{{Name: "user", Value: o.User}} }

func (o Offer) fields() []string {
	return []string{"keyward-xks-offer/v1", o.Account, o.Name, o.ID, o.CreatedAt.UTC().Format(time.RFC3339Nano)}
}

func (o Offer) open(w material.Wrapper) (map[string]material.Bytes, error) {
	f, err := form.Open(w, o.settings(), o.Sealed, o.fields()...)
	return f.Credential, err
}

func (o *Offer) seal(w material.Wrapper, secrets map[string]material.Bytes) (err error) {
	o.Credentials = o.Credentials[:0:0]
	for id := range secrets {
		o.Credentials = append(o.Credentials, id)
	}
	slices.Sort(o.Credentials)
	o.Sealed, err = form.Seal(w, o.settings(), secrets, o.fields()...)
	return err
}

// A Store keeps offers.
//
// A method that takes a record commits its change together with the record, or does
// neither. What changed since it was read is [fault.Changed], what is not there
// [fault.ResourceNotFound]. Methods may be called concurrently.
type Store interface {
	// CreateOffer stores a new offer, or answers [fault.ResourceExists].
	CreateOffer(ctx context.Context, rec *audit.Record, o *Offer) error
	UpdateOffer(ctx context.Context, rec *audit.Record, o *Offer) error
	DeleteOffer(ctx context.Context, rec *audit.Record, o *Offer) error
	Offer(ctx context.Context, account, name string) (Offer, error)
	// Offers answers all offers of the account, by name.
	Offers(ctx context.Context, account string) ([]Offer, error)
}

// Users answers who users are; package iam does.
type Users interface {
	// Tenant answers the wrapper that protects an account's credentials at rest.
	Tenant(ctx context.Context, account string) (material.Wrapper, error)
	// Acting answers the principal that a user is, or [fault.AccessKeyInactive] for one who
	// is disabled or gone.
	Acting(ctx context.Context, account, user string) (authz.Principal, error)
	// Delegate asks, as a part of the operation of rec, whether the caller may hand out what
	// acts as a user.
	Delegate(ctx context.Context, c *authz.Call, rec *audit.Record, user string) error
}

// Keys does the work of a key as a part of the operation of rec: it asks the policies of the
// caller for the action that the method names, notes in rec what they said and which key
// worked, and leaves no record of its own.
type Keys interface {
	// DescribeFor answers a key by its id, alias or ARN (kms:DescribeKey).
	DescribeFor(ctx context.Context, c *authz.Call, rec *audit.Record, name string) (key.Key, error)
	// EncryptDetachedFor encrypts with the primary version (kms:Encrypt).
	EncryptDetachedFor(ctx context.Context, c *authz.Call, rec *audit.Record, in cryptography.DetachedInput) (material.Detached, error)
	// DecryptDetachedFor decrypts with the version that the message names (kms:Decrypt).
	DecryptDetachedFor(ctx context.Context, c *authz.Call, rec *audit.Record, in cryptography.DetachedInput) (material.Bytes, error)
}
