package people

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/material/webauthn"
)

// MaxKeys is how many security keys a person has at most.
const MaxKeys = 8

// App is what the authenticator app is called among a person's second factors.
const App = "app"

// A SecurityKey is a person's second factor that signs what it approves. It is stored in the
// person's row, which is bound: whoever edits the database cannot add one.
type SecurityKey struct {
	Name      string    `json:"name"`
	ID        string    `json:"id"` // of the credential, in base64url
	PublicKey []byte    `json:"publicKey"`
	Algorithm int       `json:"algorithm"`
	Counter   uint32    `json:"counter"`
	Model     string    `json:"model,omitempty"`
	Eligible  bool      `json:"eligible,omitempty"`
	BackedUp  bool      `json:"backedUp,omitempty"`
	Host      string    `json:"host"` // that it belongs to
	AddedAt   time.Time `json:"addedAt"`
	UsedAt    time.Time `json:"usedAt,omitzero"` // when it last approved something
}

// credential answers the key as package webauthn verifies it.
func (k *SecurityKey) credential() webauthn.Key {
	id, _ := base64.RawURLEncoding.DecodeString(k.ID) // as learn wrote it
	return webauthn.Key{ID: id, PublicKey: k.PublicKey, Algorithm: k.Algorithm, Counter: k.Counter, Model: k.Model, Eligible: k.Eligible, BackedUp: k.BackedUp}
}

// learn takes over what a verified answer says of the key.
func (k *SecurityKey) learn(c webauthn.Key) {
	k.ID, k.PublicKey, k.Algorithm = base64.RawURLEncoding.EncodeToString(c.ID), c.PublicKey, c.Algorithm
	k.Counter, k.Model, k.Eligible, k.BackedUp = c.Counter, c.Model, c.Eligible, c.BackedUp
}

// keyOf answers the person's security key of an id, nil if there is none.
func (p *Person) keyOf(id string) *SecurityKey {
	for i := range p.Keys {
		if p.Keys[i].ID == id {
			return &p.Keys[i]
		}
	}
	return nil
}

// hasApp tells whether an authenticator app is a second factor.
func (p *Person) hasApp() bool { return !p.ConfirmedAt.IsZero() }

// usable answers the person's security keys that belong to the host that people reach the
// server at today.
func (s *Service) usable(p Person) []SecurityKey {
	return slices.DeleteFunc(slices.Clone(p.Keys), func(k SecurityKey) bool { return k.Host != s.Party.ID })
}

// Factors answers the caller's second factors, who logged in.
func (s *Service) Factors(ctx context.Context, call *authz.Call) (Person, error) {
	op, refused := s.own(call, ActionListMFA)
	return iam.Perform(ctx, op, func() (Person, error) {
		if refused != nil {
			return Person{}, refused
		}
		return s.Store.Person(ctx, call.Account, loginOf(call.Name))
	})
}

// AddKey begins the ceremony in which the caller, who logged in, makes a credential on a
// security key. It has no effect until [Service.ConfirmKey]. Who has a second factor must
// prove it in the same request.
func (s *Service) AddKey(ctx context.Context, call *authz.Call, name string) (Begun, error) {
	op, refused := s.own(call, ActionAddKey)
	return iam.Perform(ctx, op, func() (Begun, error) {
		if refused != nil {
			return Begun{}, refused
		}
		p, err := s.Store.Person(ctx, call.Account, loginOf(call.Name))
		if err != nil {
			return Begun{}, err
		}
		if err := p.mayAdd(name); err != nil {
			return Begun{}, err
		}
		op.Record.Param("Key", name)
		if p.HasMFA() && !call.Fresh {
			return Begun{}, needsProof()
		}
		return s.beginCeremony(ctx, op, p, Ceremony{
			Purpose: ToAdd, Session: call.AccessKey, Fresh: call.Fresh, Action: ActionAddKey, Details: []Detail{{"name", name}},
		})
	})
}

// mayAdd tells whether the person can have one more security key, of this name.
func (p *Person) mayAdd(name string) error {
	switch {
	case !iam.ValidRoleName(name) || name == App:
		return fault.InvalidParameter.New("the name of a security key has 1 to 64 letters, digits, dots, hyphens and underscores, and is not %q", App)
	case slices.ContainsFunc(p.Keys, func(k SecurityKey) bool { return k.Name == name }):
		return fault.ResourceExists.New("there is a security key %q already; choose another name", name)
	case len(p.Keys) >= MaxKeys:
		return fault.LimitExceeded.New("there are %d security keys already; remove one first", MaxKeys)
	}
	return nil
}

// ConfirmKey makes the security key that a ceremony of [Service.AddKey] made one of the
// caller's second factors. With the first of all factors it answers recovery codes, this once.
func (s *Service) ConfirmKey(ctx context.Context, call *authz.Call, proof string) ([]material.Bytes, error) {
	op, refused := s.own(call, ActionConfirmKey)
	return iam.Perform(ctx, op, func() ([]material.Bytes, error) {
		if refused != nil {
			return nil, refused
		}
		p, err := s.Store.Person(ctx, call.Account, loginOf(call.Name))
		if err != nil {
			return nil, err
		}
		c, err := s.useProof(ctx, p, proof, Ceremony{Purpose: ToAdd, Session: call.AccessKey})
		if err != nil {
			return nil, err
		}
		made := c.Made[0]
		op.Record.Param("Key", made.Name)
		return s.addFactor(ctx, op, c.Fresh, func(now *Person) error {
			if err := now.mayAdd(made.Name); err != nil {
				return err
			}
			now.Keys = append(now.Keys, made)
			return nil
		})
	})
}

// A Page is what the page of a ceremony shows, and what it asks the browser for.
type Page struct {
	Ceremony
	Code      string // which whoever began it sees, too
	Challenge []byte
	Host      string   // that the credentials belong to
	Handle    []byte   // of the person, which tells nothing of them
	Keys      []string // ids of the person's security keys
}

// Open answers the page of a link. Any other link than that of a ceremony that waits or was
// answered is ResourceNotFound.
func (s *Service) Open(ctx context.Context, call *authz.Call, link string) (Page, error) {
	c, err := s.ceremony(ctx, link)
	if err != nil {
		return Page{}, s.Refusals.Refuse(ctx, call, ActionOpenProof, "", err)
	}
	op := s.byLink(call, ActionOpenProof, c)
	return iam.Perform(ctx, op, func() (Page, error) {
		p, err := s.Store.Person(ctx, c.Account, c.Login)
		if err != nil {
			return Page{}, err
		}
		handle := sha256.Sum256(material.Binding("keyward-user-handle/v1", p.Account, p.Login))
		page := Page{Ceremony: c, Code: CodeOf(link), Challenge: c.challenge(link), Host: s.Party.ID, Handle: handle[:]}
		for _, k := range s.usable(p) {
			page.Keys = append(page.Keys, k.ID)
		}
		return page, nil
	})
}

// byLink begins an operation of whoever has the link of a ceremony.
func (s *Service) byLink(call *authz.Call, action string, c Ceremony) *iam.Operation {
	linked := *call
	linked.Principal = authz.Principal{Account: c.Account, Kind: authz.Service, Name: "link"}
	op := iam.Begin(s.Log, &linked, action)
	op.Record.Resource, op.Record.Decision = iam.UserARN(c.Account, c.User), "link"
	op.Record.Param("For", string(c.Purpose))
	op.Record.Param("Operation", c.Action)
	return op
}

// An Answer is what a page posts: one of its members is set, or none to refuse.
type Answer struct {
	Made     *webauthn.Registration
	Approval *webauthn.Assertion
}

// Answer ends a ceremony: with what a security key says, or with the person's refusal. A key
// that did not verify its user, or that belongs to somebody else, leaves it as it was.
func (s *Service) Answer(ctx context.Context, call *authz.Call, link string, a Answer) error {
	c, err := s.ceremony(ctx, link)
	if err != nil {
		return s.Refusals.Refuse(ctx, call, ActionAnswerProof, "", err)
	}
	op := s.byLink(call, ActionAnswerProof, c)
	err = op.Run(ctx, func() error {
		if c.State != Waiting {
			return fault.StateConflict.New("this was answered already")
		}
		p, err := s.Store.Person(ctx, c.Account, c.Login)
		if err != nil {
			return err
		}
		changed := &p
		switch {
		case a.Approval != nil && c.Purpose != ToAdd:
			err = s.approve(op, &c, &p, link, *a.Approval)
		case a.Made != nil && c.Purpose == ToAdd:
			changed, err = nil, s.make(op, &c, p, link, *a.Made)
		case a.Made == nil && a.Approval == nil:
			changed, c.State, op.Record.Decision = nil, Refused, "refused on the page"
		default:
			err = fault.InvalidParameter.New("this is not what the page was asked for")
		}
		if err != nil {
			return err
		}
		return s.Store.AnswerCeremony(ctx, op.Record, &c, changed)
	})
	if errors.Is(err, webauthn.ErrCounter) && a.Approval != nil {
		s.tellCopied(ctx, c, base64.RawURLEncoding.EncodeToString(a.Approval.ID))
	}
	return err
}

// tellCopied tells that a person's security key may have been copied; what it signed was
// refused already.
func (s *Service) tellCopied(ctx context.Context, c Ceremony, id string) {
	p, err := s.Store.Person(ctx, c.Account, c.Login)
	if k := p.keyOf(id); err == nil && k != nil && s.Copied != nil {
		err = s.Copied(context.WithoutCancel(ctx), c.Account, c.User, k.Name)
	}
	s.Logger.Warn("a security key may have been copied: it counted backwards", "user", iam.UserARN(c.Account, c.User), "error", err)
}

// approve takes the answer of one of the person's security keys.
func (s *Service) approve(op *iam.Operation, c *Ceremony, p *Person, link string, a webauthn.Assertion) error {
	k := p.keyOf(base64.RawURLEncoding.EncodeToString(a.ID))
	if k == nil || k.Host != s.Party.ID {
		return fault.LoginFailed.New("this security key is not one of the user's")
	}
	op.Record.Param("Key", k.Name)
	now, err := s.Party.Verify(c.challenge(link), k.credential(), a)
	if err != nil {
		return s.unconvincing(op, err)
	}
	k.learn(now)
	k.UsedAt = s.now()
	c.State, c.Key = Approved, k.ID
	op.Record.Principal, op.Record.Decision = iam.UserARN(p.Account, p.User), "security key"
	return nil
}

// make takes the credential that a security key made.
func (s *Service) make(op *iam.Operation, c *Ceremony, p Person, link string, r webauthn.Registration) error {
	made := SecurityKey{Name: c.Details[0].Value, Host: s.Party.ID, AddedAt: s.now()}
	op.Record.Param("Key", made.Name)
	credential, err := s.Party.Register(c.challenge(link), r)
	if err != nil {
		return s.unconvincing(op, err)
	}
	made.learn(credential)
	if p.keyOf(made.ID) != nil {
		return fault.ResourceExists.New("this security key is one of the user's already")
	}
	c.State, c.Key, c.Made = Approved, made.ID, []SecurityKey{made}
	return nil
}

// unconvincing answers the fault of an answer that package webauthn does not believe, whose
// reason the record keeps.
func (s *Service) unconvincing(op *iam.Operation, err error) error {
	op.Record.Param("Reason", err.Error())
	return fault.LoginFailed.Wrap(err, "%s", err)
}
