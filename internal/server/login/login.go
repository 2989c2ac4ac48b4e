// Package login is where people log in: the operations of the API whose requests nobody
// has signed, because whoever sends one has no key yet. What comes out is temporary
// credentials, with which everything else is signed.
//
// Beside the login itself there is what asks a person to approve it with a security key, and
// what tells whoever holds a proof whether that was done.
//
// It is a dialect over packages people and federation and holds no rule of the product. It
// decodes, limits how often an address may ask at all, which keeps the cost of password
// hashes in bounds, and answers. A password that it decoded is erased when the answer is made.
package login

import (
	"context"
	"errors"
	"net/http"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/rest/words"
	"github.com/keyward/keyward/internal/server/wire"
)

const (
	perAddress = 5       // requests a second of one address that compare a password
	askedOften = 20      // other requests a second of one address
	maxBody    = 8 << 10 // bytes of a request
)

// Options says what logins are served from. All fields are required.
type Options struct {
	People     *people.Service
	Federation *federation.Service
	Refusals   *refusal.Recorder
}

// A dialect serves logins.
type dialect struct {
	Options
	limiter *server.Limiter
	asked   *server.Limiter
}

// An operation is one way to log in, or a part of one.
type operation struct {
	name   string // in metrics and logs
	scheme string // how the call is said to be authenticated
	act    func(*dialect, *http.Request, *server.Exchange, *authz.Call) (any, error)
}

// operations answers what is done at each path.
func operations() map[string]operation {
	return map[string]operation{
		api.LoginPath:      {"Login", "password", (*dialect).login},
		api.LoginProofPath: {"BeginLoginProof", "password", (*dialect).beginProof},
		api.ProofStatePath: {"GetProofState", "proof", (*dialect).proofState},
		api.SSOPath:        {"BeginSSO", "openid", (*dialect).beginSSO},
		api.FinishSSOPath:  {"FinishSSO", "openid", (*dialect).finishSSO},
	}
}

// New makes the handler of logins, for an edge that reads bodies of up to
// [server.MaxBody] and sends here what [Leads] knows.
func New(o Options) server.Handler {
	return (&dialect{o, &server.Limiter{PerKey: perAddress}, &server.Limiter{PerKey: askedOften}}).serve
}

// Leads tells whether a path is one to log in at.
func Leads(path string) bool { return operations()[path].act != nil }

// Refuse answers every request with the fault err, for a server that cannot serve.
func Refuse(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	x.Note("-", err)
	wire.Fail(w, r, x.RequestID, err)
}

func (d *dialect) serve(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	op := operations()[r.URL.EscapedPath()]
	var out any
	if err == nil {
		out, err = d.run(w, r, x, op)
	}
	x.Note(op.name, err)
	if err != nil {
		wire.Fail(w, r, x.RequestID, err)
		return
	}
	wire.Succeed(w, out)
}

func (d *dialect) run(w http.ResponseWriter, r *http.Request, x *server.Exchange, op operation) (any, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, fault.MethodNotAllowed.New("this path takes POST only")
	}
	if r.URL.RawQuery != "" {
		return nil, fault.InvalidParameter.New("this path takes no query: passwords and codes must not stand in URLs")
	}
	if len(x.Body) > maxBody {
		return nil, fault.TooLarge.New("the request body is larger than %d bytes", maxBody)
	}
	c, limiter := x.Call(r, authz.Principal{}, op.scheme, nil), d.limiter
	if op.scheme != "password" { // whoever waits for a proof asks again and again
		limiter = d.asked
	}
	if err := limiter.AdmitVisitor(x.Source.String(), x.Received); err != nil {
		return nil, d.Refusals.Refuse(x.Context(), c, people.ActionLogin, "", err)
	}
	return op.act(d, r, x, c)
}

// decode reads what is sent, and erases it.
func decode(r *http.Request, x *server.Exchange, into any) error {
	if err := wire.DecodeBody(r.Header, x.Body, into); err != nil {
		return err
	}
	clear(x.Body)
	return nil
}

func (d *dialect) login(r *http.Request, x *server.Exchange, c *authz.Call) (any, error) {
	out, err := attempt(r, x, c, d.People.Login)
	return words.Session(out), err
}

func (d *dialect) beginProof(r *http.Request, x *server.Exchange, c *authz.Call) (any, error) {
	out, err := attempt(r, x, c, d.People.BeginLogin)
	return words.Proof(out), err
}

// proofState answers whoever holds a proof. It tells nothing that the page does not tell, so
// that no record says who asked.
func (d *dialect) proofState(r *http.Request, x *server.Exchange, c *authz.Call) (any, error) {
	var in api.HeldProof
	if err := decode(r, x, &in); err != nil {
		return nil, err
	}
	state, err := d.People.ProofState(x.Context(), string(in.Proof))
	if fault.Is(err, fault.ResourceNotFound) {
		err = d.Refusals.Refuse(x.Context(), c, people.ActionOpenProof, "", err)
	}
	return api.ProofState{State: string(state)}, err
}

// attempt has somebody who says a password do something.
func attempt[T any](r *http.Request, x *server.Exchange, c *authz.Call, do func(context.Context, *authz.Call, people.Attempt) (T, error)) (T, error) {
	var in api.LoginRequest
	if err := decode(r, x, &in); err != nil {
		return *new(T), err
	}
	attempt := people.Attempt{
		Account: in.Account, User: in.User, Password: secret(in.Password), Code: string(in.Code), NewPassword: secret(in.NewPassword),
		Duration: words.Seconds(in.DurationSeconds),
	}
	defer attempt.Password.Zero()
	defer attempt.NewPassword.Zero()
	return do(x.Context(), c, attempt)
}

func (d *dialect) beginSSO(r *http.Request, x *server.Exchange, c *authz.Call) (any, error) {
	var in api.BeginSSORequest
	if err := decode(r, x, &in); err != nil {
		return nil, err
	}
	out, err := d.Federation.Begin(x.Context(), c, federation.Start{Account: in.Account, Provider: in.Provider, Redirect: in.RedirectURI, Challenge: in.CodeChallenge})
	return api.SSOTransaction{Transaction: api.SecretText(out.Transaction), URL: out.URL, State: out.State, ExpiresAt: out.ExpiresAt}, err
}

func (d *dialect) finishSSO(r *http.Request, x *server.Exchange, c *authz.Call) (any, error) {
	var in api.FinishSSORequest
	if err := decode(r, x, &in); err != nil {
		return nil, err
	}
	out, again, err := d.Federation.Finish(x.Context(), c, federation.Finish{
		Transaction: string(in.Transaction), Verifier: string(in.CodeVerifier), State: in.State, Code: string(in.Code), Issuer: in.Issuer,
		MFACode: string(in.MFACode), Duration: words.Seconds(in.DurationSeconds),
	})
	if fault.Is(err, fault.MFARequired) {
		out := api.SSOLogin{Transaction: api.SecretText(again)}
		if key := (*people.Wanted)(nil); errors.As(err, &key) {
			proof := words.Proof(key.Begun)
			out.Proof = &proof
		}
		return out, nil
	}
	issued := words.Session(out)
	return api.SSOLogin{Session: &issued}, err
}

func secret(s api.SecretText) material.Bytes { return material.NewBytes([]byte(s)) }
