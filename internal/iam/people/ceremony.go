package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
)

// Limits of ceremonies.
const (
	CeremonyLife  = 3 * time.Minute // to answer it, and to use the answer
	MaxCeremonies = 3               // of one session, and of all logins of one user; the oldest makes room
)

// A Purpose is what a ceremony is for.
type Purpose string

// The purposes.
const (
	ToLogIn   Purpose = "login"   // to be the second factor of a login whose password was proved
	ToApprove Purpose = "request" // to let one request do what is dangerous
	ToAdd     Purpose = "key"     // to make a security key a second factor
)

// A State is what became of a ceremony.
type State string

// The states. One that was used is there no more.
const (
	Waiting  State = "waiting"
	Approved State = "approved"
	Refused  State = "refused"
)

// A Ceremony asks a person to use a security key, in a browser, for one purpose. Whoever
// began it holds its proof, a secret, and hands a link that is derived from the proof to the
// person. The link leads to the page; the proof stands for a code, once, when the page was
// answered.
//
// All that the person is shown is in the challenge that the key signs, and so is the digest of
// the request: an answer can serve nothing else.
type Ceremony struct {
	ID        string // digest of the link, which is not kept
	Account   string
	Login     string
	User      string
	Purpose   Purpose
	Session   string // access key of the session that began it; "" for a login
	Fresh     bool   // the request that began it had proved a second factor
	Action    string // of the request that is approved
	Details   []Detail
	Digest    []byte // of the request: [RequestDigest]
	Source    string // address that it was begun from
	BegunAt   time.Time
	ExpiresAt time.Time
	State     State
	Key       string        // id of the security key that answered
	Made      []SecurityKey // the one that was made, if the purpose is to add one
	Rev       int64         // revision, kept by the store
}

// A Detail is one thing that the page shows of a request, as the caller wrote it.
type Detail struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Ceremonies keeps ceremonies, each bound by its MAC. What is not used is forgotten when it
// has expired.
type Ceremonies interface {
	// BeginCeremony stores a new ceremony with its record, and forgets what expired and the
	// oldest of those begun like this one, beyond [MaxCeremonies].
	BeginCeremony(ctx context.Context, rec *audit.Record, c *Ceremony) error
	Ceremony(ctx context.Context, id string) (Ceremony, error)
	// AnswerCeremony stores what became of c and, unless p is nil, of the person, if neither
	// was changed since it was read.
	AnswerCeremony(ctx context.Context, rec *audit.Record, c *Ceremony, p *Person) error
	// UseCeremony forgets c. Of callers who race one is told nil, the others Changed.
	UseCeremony(ctx context.Context, c *Ceremony) error
}

// Begun is a ceremony for whoever began it.
type Begun struct {
	Proof     material.Bytes // stands for a code as soon as the page was answered
	URL       string         // of the page
	Code      string         // which the page shows, too
	ExpiresAt time.Time
	HasApp    bool // the person could give a code of an authenticator app as well
}

// proofPrefix tells a proof from a code.
const proofPrefix = "kwproof_"

// IsProof tells whether what stands for a code is the proof of a ceremony.
func IsProof(code string) bool { return strings.HasPrefix(code, proofPrefix) }

// LinkSize is how many characters a link has.
const LinkSize = 26

// linkOf answers the link that belongs to a proof. Who has the link cannot tell the proof.
func linkOf(proof string) string { return derived("link", proof)[:LinkSize] }

// CodeOf answers the short code by which a person sees that a page belongs to what stands on
// the terminal.
func CodeOf(link string) string {
	code := derived("code", link)
	return code[:3] + "-" + code[3:6]
}

func derived(what, from string) string {
	sum := sha256.Sum256([]byte("keyward-ceremony-" + what + "/v1\n" + from))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
}

// RequestDigest stands for all of a request that a signature covers, but its time, its nonce
// and what proves the second factor: a request that is repeated has the same.
func RequestDigest(method, path, query string, body []byte) []byte {
	sum := sha256.Sum256(material.Binding("keyward-request/v1", method, path, query, string(body)))
	return sum[:]
}

// challenge is what a security key signs.
func (c *Ceremony) challenge(link string) []byte {
	details, _ := json.Marshal(c.Details) // of strings, which cannot fail
	sum := sha256.Sum256(material.Binding("keyward-ceremony/v1", link, c.Account, c.Login, string(c.Purpose), c.Session, c.Action,
		string(details), string(c.Digest), c.Source, strconv.FormatInt(c.ExpiresAt.UnixMicro(), 10)))
	return sum[:]
}

// beginCeremony stores a ceremony of a person and answers what whoever asked for it needs.
func (s *Service) beginCeremony(ctx context.Context, op *iam.Operation, p Person, c Ceremony) (Begun, error) {
	if s.Party.ID == "" {
		return Begun{}, fault.UnsupportedOperation.New("this server has no security keys: its operator must set public_url to https:// and a host name")
	}
	proof := proofPrefix + rand.Text()
	id, err := s.key("ceremony", linkOf(proof))
	if err != nil {
		return Begun{}, err
	}
	c.ID, c.Account, c.Login, c.User = id, p.Account, p.Login, p.User
	c.Source, c.BegunAt, c.State = op.Call.From(), s.now(), Waiting
	c.ExpiresAt = c.BegunAt.Add(CeremonyLife)
	op.Record.Param("For", string(c.Purpose))
	op.Record.Param("Operation", c.Action)
	return Begun{
		Proof: material.NewBytes([]byte(proof)), URL: s.Party.Origin + CeremonyPath + linkOf(proof), Code: CodeOf(linkOf(proof)), ExpiresAt: c.ExpiresAt, HasApp: p.hasApp() && c.Purpose != ToAdd,
	}, s.Store.BeginCeremony(ctx, op.Record, &c)
}

// CeremonyPath is where the pages of ceremonies are, on the server; a link follows.
const CeremonyPath = "/approve/"

// BeginLogin begins the ceremony of a login whose password is right. Its faults are those of
// [Service.Login], and StateConflict, told only to who has the password, if the user has no
// security key.
func (s *Service) BeginLogin(ctx context.Context, call *authz.Call, in Attempt) (Begun, error) {
	return attempt(ctx, s, call, ActionBeginProof, in, func(op *iam.Operation, at place) (Begun, error) {
		p, _, err := s.verify(ctx, op, at, in.Password)
		if err != nil {
			return Begun{}, err
		}
		if len(s.usable(p)) == 0 {
			return Begun{}, noKey()
		}
		op.Record.Decision = "password"
		return s.beginCeremony(ctx, op, p, Ceremony{Purpose: ToLogIn})
	})
}

// An Approvable is a request that a person is to approve.
type Approvable struct {
	Action  string
	Details []Detail
	Digest  []byte // [RequestDigest]
}

// BeginApproval begins the ceremony of a request that the caller, who logged in, is going to
// make. StateConflict says that the caller has no security key.
func (s *Service) BeginApproval(ctx context.Context, call *authz.Call, r Approvable) (Begun, error) {
	op := iam.Begin(s.Log, call, ActionBeginProof)
	return iam.Perform(ctx, op, func() (Begun, error) {
		if _, _, ok := role.PersonOf(call.Principal); !ok {
			return Begun{}, reserved(op)
		}
		p, err := s.prover(ctx, call)
		if err != nil {
			return Begun{}, err
		}
		op.Record.Resource, op.Record.Decision = iam.UserARN(p.Account, p.User), "own"
		if len(s.usable(p)) == 0 {
			return Begun{}, noKey()
		}
		return s.beginCeremony(ctx, op, p, Ceremony{Purpose: ToApprove, Session: call.AccessKey, Action: r.Action, Details: r.Details, Digest: r.Digest})
	})
}

func noKey() error {
	return fault.StateConflict.New("there is no security key that belongs to this server; add one with: keyward user mfa add-key NAME")
}

// prover answers the person behind a call, who can prove a second factor: the login did.
func (s *Service) prover(ctx context.Context, call *authz.Call) (Person, error) {
	account, user, ok := role.PersonOf(call.Principal)
	if !ok {
		return Person{}, fault.InvalidParameter.New("a code is for people who logged in; what programs may do is for their policies to say")
	}
	if !call.Session.MFA { // who stole a session could set one up, but not log in with it
		return Person{}, fault.MFANotSetUp.New("the login had no second factor: set one up with keyward user mfa enroll or add-key, then log in again")
	}
	return s.Store.Person(ctx, account, loginOf(user))
}

// ProofState tells whoever holds a proof what became of its ceremony. It changes nothing and
// writes no record; an unknown proof, or one that was used or has expired, is
// ResourceNotFound.
func (s *Service) ProofState(ctx context.Context, proof string) (State, error) {
	if !IsProof(proof) {
		return "", gone()
	}
	c, err := s.ceremony(ctx, linkOf(proof))
	return c.State, err
}

func gone() error {
	return fault.ResourceNotFound.New("this approval has expired or was used; begin again")
}

// ceremony answers the ceremony of a link.
func (s *Service) ceremony(ctx context.Context, link string) (Ceremony, error) {
	id, err := s.key("ceremony", link)
	if err != nil {
		return Ceremony{}, err
	}
	c, err := s.Store.Ceremony(ctx, id)
	if fault.Is(err, fault.ResourceNotFound) || err == nil && !s.now().Before(c.ExpiresAt) {
		return Ceremony{}, gone()
	}
	return c, err
}

// useProof uses the proof of a ceremony up, which must have been answered with a security key
// that the person still has, and be for what want says.
func (s *Service) useProof(ctx context.Context, p Person, proof string, want Ceremony) (Ceremony, error) {
	c, err := s.ceremony(ctx, linkOf(proof))
	if fault.Is(err, fault.ResourceNotFound) {
		return Ceremony{}, wrong()
	}
	if err != nil {
		return Ceremony{}, err
	}
	if c.Account != p.Account || c.Login != p.Login || c.Purpose != want.Purpose || c.Session != want.Session || string(c.Digest) != string(want.Digest) {
		return Ceremony{}, wrong()
	}
	if c.State != Approved || c.Purpose != ToAdd && p.keyOf(c.Key) == nil {
		return Ceremony{}, wrong()
	}
	err = s.Store.UseCeremony(ctx, &c)
	if fault.Is(err, fault.Changed) {
		err = wrong()
	}
	return c, err
}

// ProveRequest is [Service.Prove] for a code or a proof that came with the request of this
// digest. A proof is good for the session that asked for it and for that request.
func (s *Service) ProveRequest(ctx context.Context, call *authz.Call, code string, digest []byte) error {
	if !IsProof(code) {
		return s.Prove(ctx, call, code)
	}
	p, err := s.prover(ctx, call)
	if err != nil {
		return err
	}
	c, err := s.useProof(ctx, p, code, Ceremony{Purpose: ToApprove, Session: call.AccessKey, Digest: digest})
	if err != nil {
		return err
	}
	call.Fresh, call.Key = true, p.keyOf(c.Key).Name
	return nil
}
