package federation

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
)

// A Start is what somebody says who begins to log in.
type Start struct {
	Account   string // id or name; "" for the only one
	Provider  string // name; "" for the only one of the account
	Redirect  string // http://127.0.0.1:PORT/callback, where the browser comes back to
	Challenge string // S256 of a verifier that only whoever begins knows (RFC 7636)
}

// A Begun is a login that was begun.
type Begun struct {
	Transaction string // to be given back at the end; secret
	URL         string // where the person's browser is to go
	State       string // what the browser brings back
	ExpiresAt   time.Time
}

// A transaction is what a login was begun for, and how far it got.
type transaction struct {
	ID        string     `json:"id"`
	Account   string     `json:"account"`
	Provider  string     `json:"provider"`   // name
	Place     string     `json:"providerId"` // of that very provider
	Redirect  string     `json:"redirect"`
	Challenge string     `json:"challenge"`
	State     string     `json:"state"`
	Nonce     string     `json:"nonce"`
	Expires   time.Time  `json:"expires"`
	Proved    *Assertion `json:"proved,omitempty"` // only a code of the second factor is missing
	Epoch     string     `json:"epoch,omitempty"`  // of the user then
}

// Begin begins a login. It stores nothing, and leaves a record only when it refuses.
//
// Its faults are InvalidParameter; ResourceNotFound, one for whatever is not there; and
// Unavailable when the provider cannot be reached.
func (s *Service) Begin(ctx context.Context, call *authz.Call, in Start) (Begun, error) {
	out, err := s.begin(ctx, in)
	if err != nil {
		return Begun{}, s.Refusals.Refuse(ctx, call, people.ActionLogin, "", err)
	}
	return out, nil
}

func (s *Service) begin(ctx context.Context, in Start) (Begun, error) {
	if err := in.check(); err != nil {
		return Begun{}, err
	}
	p, err := s.find(ctx, in)
	if err != nil {
		return Begun{}, err
	}
	t := transaction{
		ID: rand.Text(), Account: p.Account, Provider: p.Name, Place: p.ID, Redirect: in.Redirect, Challenge: in.Challenge,
		State: rand.Text(), Nonce: rand.Text(), Expires: s.now().Add(Patience),
	}
	to, err := s.Protocol.Authorize(ctx, p, Request{t.Redirect, t.State, t.Nonce, t.Challenge})
	if err != nil {
		return Begun{}, err
	}
	sealed, err := s.seal(t)
	return Begun{sealed, to, t.State, t.Expires}, err
}

// check refuses addresses to come back to that are not on the person's own machine (RFC 8252
// section 7.3), and challenges that are none.
func (in Start) check() error {
	if !leadsHome(in.Redirect) {
		return fault.InvalidParameter.New("a login comes back to http://127.0.0.1:PORT/callback, or [::1], on the machine where it was begun")
	}
	if sum, err := base64.RawURLEncoding.Strict().DecodeString(in.Challenge); err != nil || len(sum) != sha256.Size || len(in.Challenge) != 43 {
		return fault.InvalidParameter.New("the code challenge is the SHA-256 of a verifier, in 43 characters of base64url")
	}
	return nil
}

// leadsHome tells whether an address is one of the machine where it is opened, in the one
// spelling that is sent to providers.
func leadsHome(address string) bool {
	rest, plain := strings.CutPrefix(address, "http://")
	host, callback := strings.CutSuffix(rest, "/callback")
	at, err := netip.ParseAddrPort(host)
	home := at.Addr() == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || at.Addr() == netip.IPv6Loopback()
	return plain && callback && err == nil && home && at.Port() != 0 && at.String() == host
}

// find answers the provider that is meant.
func (s *Service) find(ctx context.Context, in Start) (Provider, error) {
	none := fault.ResourceNotFound.New("there is no such identity provider; say which with keyward login --sso NAME, and with --account if the server has several accounts")
	account, err := s.IAM.FindAccount(ctx, in.Account)
	if err != nil || account == "" {
		return Provider{}, cmp.Or[error](err, none)
	}
	all, err := s.Store.IdentityProviders(ctx, account)
	if err != nil {
		return Provider{}, err
	}
	for _, p := range all {
		if p.Name == in.Provider || in.Provider == "" && len(all) == 1 {
			return p, nil
		}
	}
	return Provider{}, none
}

// A Finish is what the browser brought back, and what the login was begun with.
type Finish struct {
	Transaction string
	Verifier    string
	State       string
	Code        string // of the provider
	Issuer      string // as the provider's answer names it (RFC 9207); "" if it does not
	MFACode     string // of keyward's own second factor, a recovery code or a proof; "" for none
	Duration    time.Duration
}

// wrong is all that is said of a login that does not belong to what was begun.
func wrong() error {
	return fault.LoginFailed.New("the login is not the one that was begun here, was ended already or took more than %d minutes; begin again with keyward login --sso", int(Patience.Minutes()))
}

// Finish begins a session of the user whom the provider means. If a code of the user's own
// second factor is missing, its fault is MFARequired, and it answers another transaction,
// with which, and the code, Finish is to be called again. A *people.Wanted has what asks for a
// security key instead.
//
// Its other faults are LoginFailed, the same for whom nobody is linked with and for a user
// who is disabled, and Unavailable when the provider does not answer as it must.
func (s *Service) Finish(ctx context.Context, call *authz.Call, in Finish) (issued role.Issued, again string, err error) {
	t, err := s.open(in)
	if err != nil {
		return role.Issued{}, "", s.Refusals.Refuse(ctx, call, people.ActionLogin, "", err)
	}
	err = s.People.Counted(ctx, call, func() error {
		op := iam.Begin(s.Log, call, people.ActionLogin)
		return op.Run(ctx, func() (err error) {
			issued, again, err = s.finish(ctx, op, t, in)
			return err
		})
	})
	if err != nil {
		issued = role.Issued{}
	}
	return issued, again, err
}

// finish is Finish for a transaction that is whole.
func (s *Service) finish(ctx context.Context, op *iam.Operation, t transaction, in Finish) (issued role.Issued, again string, err error) {
	op.Record.Account = t.Account
	op.Record.Param("IdentityProvider", t.Provider)
	p, err := s.Store.IdentityProvider(ctx, t.Account, t.Provider)
	if fault.Is(err, fault.ResourceNotFound) || err == nil && p.ID != t.Place {
		return issued, "", wrong()
	}
	if err != nil {
		return issued, "", err
	}
	if err := s.prove(ctx, p, &t, in); err != nil {
		return issued, "", err
	}
	op.Record.Param("Claim", t.Proved.Value)
	issued, t.Epoch, err = s.admit(ctx, op, t, in)
	if fault.Is(err, fault.MFARequired) {
		sealed, failed := s.seal(t)
		return issued, sealed, cmp.Or(failed, err)
	}
	return issued, "", err
}

// open answers the transaction, if it is in time and whoever ends it also began it.
func (s *Service) open(in Finish) (transaction, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(in.Transaction)
	if err != nil || base64.RawURLEncoding.EncodedLen(len(raw)) != len(in.Transaction) { // package base64 passes line breaks over
		return transaction{}, wrong()
	}
	plain, err := s.Sealer.Open(raw)
	if fault.Is(err, fault.Sealed) {
		return transaction{}, err
	}
	if err != nil {
		return transaction{}, wrong()
	}
	var t transaction
	if err := json.Unmarshal(plain.Expose(), &t); err != nil {
		return transaction{}, fmt.Errorf("reading a transaction that this server sealed: %w", err)
	}
	sum := sha256.Sum256([]byte(in.Verifier))
	mine := equal(base64.RawURLEncoding.EncodeToString(sum[:]), t.Challenge) && equal(in.State, t.State)
	if !mine || !s.now().Before(t.Expires) {
		return transaction{}, wrong()
	}
	return t, nil
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (s *Service) seal(t transaction) (string, error) {
	content, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("writing a transaction: %w", err)
	}
	sealed, err := s.Sealer.Seal(material.NewBytes(content))
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// prove has the provider tell who it is, once for each transaction.
func (s *Service) prove(ctx context.Context, p Provider, t *transaction, in Finish) error {
	if t.Proved != nil {
		return nil
	}
	first, err := s.Uses.Advance(ctx, s.now(), "sso/"+t.ID, 1)
	if err != nil {
		return err
	}
	if !first {
		return wrong()
	}
	// From here on the transaction is used up, whatever becomes of it.
	secret, err := s.unwrap(ctx, &p)
	if err != nil {
		return err
	}
	defer secret.Zero()
	who, err := s.Protocol.Exchange(ctx, p, secret, Return{in.Code, in.Issuer, t.Redirect, t.Nonce, in.Verifier})
	if err != nil {
		return err
	}
	if !legible(who.Value) {
		return fault.LoginFailed.New("what the provider calls this person is empty, too long, or no plain text")
	}
	t.Proved = &who
	return nil
}

// admit begins the session of whom the provider means.
func (s *Service) admit(ctx context.Context, op *iam.Operation, t transaction, in Finish) (issued role.Issued, epoch string, err error) {
	linked := func(ctx context.Context) (Link, error) {
		l, err := s.Store.LinkOf(ctx, t.Account, t.Provider, t.Proved.Value)
		if fault.Is(err, fault.ResourceNotFound) {
			err = people.NotAdmitted()
		}
		return l, err
	}
	l, err := linked(ctx)
	if err != nil {
		return role.Issued{}, "", err
	}
	return s.People.Admit(ctx, op, people.Vouching{
		Account: t.Account, User: l.User, Provider: t.Provider, MFA: t.Proved.MFA, Code: in.MFACode, Login: t.ID, Duration: in.Duration, Epoch: t.Epoch,
		Still: func(ctx context.Context) error {
			now, err := linked(ctx)
			if err == nil && now.User != l.User {
				err = people.NotAdmitted()
			}
			return err
		},
	})
}
