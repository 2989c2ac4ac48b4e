package iam

import (
	"context"
	"fmt"
	"strings"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// A Credential is what a signature is verified with, and who it then stands for.
type Credential struct {
	Secret    material.Bytes
	Principal authz.Principal
	// Refusal is why a request is refused although its signature is right, or nil. Only
	// who has proved to hold the secret may learn of it.
	Refusal error
}

// A signer is what is kept of an access key in memory.
type signer struct {
	key    AccessKey
	user   string // "account/name"
	secret material.Bytes
}

// An actor is what is kept of a user in memory.
type actor struct {
	principal authz.Principal // without access key
	enabled   bool
}

// Credential answers the credential of an access key. An id that was never issued, or
// was deleted, is answered with fault.AccessKeyNotFound. Once warm it reads nothing
// from the store; a change is in force for every call that begins after it.
func (s *Service) Credential(ctx context.Context, accessKeyID string) (Credential, error) {
	signer, err := s.secrets.Get(ctx, accessKeyID)
	if err != nil {
		return Credential{}, err
	}
	actor, err := s.users.Get(ctx, signer.user)
	if err != nil {
		return Credential{}, Inconsistent(err)
	}
	c := Credential{Secret: signer.secret, Principal: actor.principal}
	c.Principal.AccessKey, c.Principal.KeyReset = accessKeyID, signer.key.ResetAt
	switch {
	case !signer.key.Enabled:
		c.Refusal = fault.AccessKeyInactive.New("Specified access key is disabled.")
	case signer.key.Expired(s.clock()):
		c.Refusal = fault.AccessKeyInactive.New("Specified access key has expired.")
	case !actor.enabled:
		c.Refusal = fault.AccessKeyInactive.New("The user of the specified access key is disabled.")
	}
	return c, nil
}

// Principal answers a user with its policies in force, or [fault.ResourceNotFound].
func (s *Service) Principal(ctx context.Context, account, user string) (authz.Principal, error) {
	if err := checkUserName(user); err != nil {
		return authz.Principal{}, err
	}
	if _, err := s.store.User(ctx, account, user); err != nil {
		return authz.Principal{}, Explain(err, fault.Say("user"), user)
	}
	actor, err := s.users.Get(ctx, account+"/"+user)
	return actor.principal, err
}

func unknownKey() error { return fault.AccessKeyNotFound.New("Specified access key is not found.") }

func (s *Service) loadSigner(ctx context.Context, id string) (signer, error) {
	if !ValidAccessKeyID(id) {
		return signer{}, unknownKey()
	}
	key, err := s.store.AccessKey(ctx, id)
	if fault.Is(err, fault.ResourceNotFound) {
		return signer{}, unknownKey()
	}
	if err != nil {
		return signer{}, err
	}
	tenant, err := s.Tenant(ctx, key.Account)
	if err != nil {
		return signer{}, Inconsistent(err)
	}
	secret, err := tenant.Unwrap(key.binding(), key.Secret)
	return signer{key, key.Account + "/" + key.User, secret}, err
}

// Age drops the secrets of access keys, and the tenant keys, that were not used since the
// last call; package erase overwrites them once no request has them any more. It answers
// how many were dropped.
func (s *Service) Age() int { return s.secrets.Age() + s.tenants.Age() }

// loadActor reads a user and compiles its policies. A policy that is missing or not
// understood could deny something, so the user is then refused altogether.
func (s *Service) loadActor(ctx context.Context, id string) (actor, error) {
	account, name, _ := strings.Cut(id, "/")
	user, err := s.store.User(ctx, account, name)
	if err != nil {
		return actor{}, err
	}
	a := actor{authz.Principal{Account: account, Kind: user.Kind, Name: name}, user.Enabled}
	a.principal.Policies, err = s.Compiled(ctx, account, user.Policies)
	return a, err
}

// Compiled reads the policies of these names, for whoever has them. One that is missing or
// not understood is an error: it could deny something.
func (s *Service) Compiled(ctx context.Context, account string, names []string) ([]*authz.Policy, error) {
	var all []*authz.Policy
	for _, name := range names {
		p, err := s.compiled(ctx, account, name)
		if err != nil {
			return nil, Inconsistent(err)
		}
		all = append(all, p)
	}
	return all, nil
}

func (s *Service) compiled(ctx context.Context, account, name string) (*authz.Policy, error) {
	if p, ok := s.system.compiled[name]; ok {
		return p, nil
	}
	p, err := s.store.Policy(ctx, account, name)
	if err != nil {
		return nil, err
	}
	return authz.Compile(name, []byte(p.Document))
}

// Inconsistent makes an error that is no caller's fault of what the rules exclude: an
// access key without its user, a user without one of its policies.
func Inconsistent(err error) error {
	switch fault.KindOf(err) {
	case fault.ResourceNotFound, fault.InvalidParameter:
		return fmt.Errorf("the database was changed behind keyward's back: %s", err)
	}
	return err
}

// Delegate asks whether the caller may hand out what acts as a user of the account, as for
// an access key of that user, for a domain that keeps such credentials itself. It is a part
// of the operation of rec, whose decision it becomes if it is refused.
func (s *Service) Delegate(ctx context.Context, call *authz.Call, rec *audit.Record, user string) error {
	op := &Operation{call, rec, s.log}
	if call.Session != nil { // what ends by itself must not make what does not
		rec.Decision = "reserved to permanent credentials"
		return fault.NoPermission.New("temporary credentials cannot make permanent ones; sign with an access key of a user, or have an administrator who has one make them")
	}
	if err := op.Require(ActionCreateAccessKey, UserARN(call.Account, user)); err != nil {
		return err
	}
	if err := op.guardRoot(user); err != nil {
		return err
	}
	u, err := s.User(ctx, call.Account, user)
	if err != nil {
		return err
	}
	return s.RequireOwnOrGrant(ctx, op, u)
}

// Acting answers the principal that a user is, without an access key, for who proved to act
// as that user by a credential of another domain. One who is disabled or gone is refused
// with fault.AccessKeyInactive. Once warm it reads nothing from the store.
func (s *Service) Acting(ctx context.Context, account, user string) (authz.Principal, error) {
	a, err := s.users.Get(ctx, account+"/"+user)
	if fault.Is(err, fault.ResourceNotFound) {
		return authz.Principal{}, fault.AccessKeyInactive.New("the user %s, as whom the caller acts, is gone", user)
	}
	if err == nil && !a.enabled {
		err = fault.AccessKeyInactive.New("the user %s, as whom the caller acts, is disabled", user)
	}
	return a.principal, err
}
