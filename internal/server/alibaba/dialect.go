// Package alibaba speaks the RPC API of Alibaba Cloud KMS, version 2016-01-20, as its
// official SDKs, command line and Terraform provider use it, and that of its Security Token
// Service, version 2015-04-01, on the same address: the version says which is meant.
//
// It is a dialect: operations.go and sts.go are the tables of operations; package absent says
// what is not offered; package rpc reads parameters, writes answers and maps faults to the
// documented codes; signatures are package authn's. It holds no rule of the product.
//
// A request goes: verify the signature, which answers the parameters that are executed;
// admit it by rate; read each parameter, which refuses what the operation does not take;
// call the service; encode. What a caller passes back, such as the token of the next page, is
// sealed ([Tokens]), so that it can only be what the caller was given.
package alibaba

import (
	"context"
	"fmt"
	"net/http"

	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/key/byok"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/alibaba/absent"
	"github.com/keyward/keyward/internal/server/alibaba/rpc"
	"github.com/keyward/keyward/internal/usage"
)

// Version is the version of the KMS API.
const Version = "2016-01-20"

// Tokens seals what callers pass back: page tokens, and those of detections. Each says of what it
// is, so that one is never taken for another.
type Tokens interface {
	SealToken(plain string) (string, error)
	OpenToken(sealed string) (string, error)
}

// A Dialect serves the API. Its fields are set once, before it serves.
type Dialect struct {
	Verifier  *authn.Verifier
	Keys      *lifecycle.Service
	Crypto    *cryptography.Service
	Imports   *byok.Service
	Instances *instance.Service
	Usage     *usage.Service
	Secrets   *secret.Service
	Rotations *engine.Service
	Roles     *role.Service
	People    *people.Service
	Log       *audit.Log
	Refusals  *refusal.Recorder
	Limiter   *server.Limiter
	Tokens    Tokens
	Region    string
	// Touch hears of each authenticated call, for the access key's last use.
	Touch func(c *authz.Call, action string)
}

// unknownAction is what the log and the audit record call an action that is not offered.
const unknownAction = "kms:UnknownAction"

// Serve implements server.Handler.
func (d *Dialect) Serve(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	out := rpc.Answer{Writer: w, RequestID: x.RequestID, Host: r.Host}
	if err != nil {
		out.Format = rpc.FormatOf(r)
		x.Note("-", err)
		out.Fail(err, nil, false)
		return
	}
	signed, err := d.Verifier.Verify(x.Context(), authn.Request{
		Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Header: r.Header, Body: x.Body,
	})
	if err != nil {
		c := x.Call(r, authz.Principal{}, "", nil)
		err = d.Refusals.Refuse(x.Context(), c, "kms:Authenticate", server.ClaimedKey(r), err)
		out.Format = rpc.FormatOf(r)
		x.Note("-", err)
		out.Fail(err, nil, false)
		return
	}
	out.Format = signed.Format
	c := x.Call(r, signed.Principal, signed.Scheme, signed.Nonce)
	v := rpc.NewValues(signed.Params)
	op, known := versions[signed.Version][signed.Action]
	if versions[signed.Version] == nil {
		op, known = operations[signed.Action] // for the record; it will be refused
	}
	reply, err := d.run(x.Context(), c, signed, op, v)
	if !known {
		signed.Action = "-"
	}
	x.Note(signed.Action, err)
	if id := approval.IDOf(err); id != "" {
		w.Header().Set(approval.Header, id)
	}
	if err != nil {
		out.Fail(err, op.codes, v.DryRun)
		return
	}
	out.Succeed(signed.Action, reply)
}

// run performs an authenticated call. What fails before its service method is reached
// is recorded here; the service records the rest.
func (d *Dialect) run(ctx context.Context, c *authz.Call, signed authn.Signed, op operation, v *rpc.Values) (rpc.Response, error) {
	action := op.action
	if op.decode == nil {
		action = unknownAction
	}
	d.Touch(c, action)
	if err := d.Limiter.Admit(c); err != nil {
		return nil, d.Refusals.Refuse(ctx, c, action, "", err)
	}
	act, err := d.prepare(c, signed, op, v)
	if err == nil && signed.Code != "" {
		err = d.People.Prove(ctx, c, signed.Code)
	}
	if err != nil {
		return nil, d.refuse(ctx, c, action, err)
	}
	return approval.Guard(ctx, c, func() approval.Attempt { return d.attempt(c, signed, action) }, act)
}

// refuse records what ended before a service could record it, and answers err.
func (d *Dialect) refuse(ctx context.Context, c *authz.Call, action string, err error) error {
	return d.Log.Do(ctx, audit.NewRecord(c, action), func() error { return err })
}

// attempt answers the request as approvals know it.
func (d *Dialect) attempt(c *authz.Call, signed authn.Signed, action string) approval.Attempt {
	return approval.Attempt{
		Approval: signed.Approval, Reason: signed.Reason,
		Refuse: func(ctx context.Context, err error) error { return d.refuse(ctx, c, action, err) },
		Spell:  func() ([]byte, []approval.Param) { return spell(signed) },
	}
}

// spell answers all that a request says in one spelling, whichever way it came, and its
// parameters for people.
func spell(signed authn.Signed) (text []byte, params []approval.Param) {
	text = fmt.Appendf(nil, "rpc %q %q", signed.Version, signed.Action)
	for name, value := range signed.Params.All() {
		text = fmt.Appendf(text, " %q=%q", name, value)
		params = append(params, approval.Param{Name: name, Value: value})
	}
	return text, params
}

func (d *Dialect) prepare(c *authz.Call, signed authn.Signed, op operation, v *rpc.Values) (act, error) {
	if op.decode == nil {
		return nil, absent.Fault(signed.Action)
	}
	if versions[signed.Version] == nil {
		return nil, fault.VersionNotSupported.New("The specified parameter Version is not valid. It must be %s, or %s for STS.", Version, VersionSTS)
	}
	absent.Refuse(v, signed.Action)
	act := op.decode(d, c, v)
	return act, v.Finish()
}
