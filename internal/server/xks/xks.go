// Package xks serves the XKS Proxy API: others, AWS KMS first of all, use keys that an offer
// publishes to them and that stay here. Package xks below internal has the wire format.
//
// It is a dialect over package offer and holds no rule of the product: this file has the table
// of operations, the way of a request and its signature, faults.go what faults are called.
// An offer is served below /xks/ACCOUNT/OFFER.
//
// A request goes: read the path; read who claims to have signed it; have that proved; admit it
// by rate; decode and check it; call the service; encode. One audit record tells of every
// request that proved whom it is from, and those that did not are recorded as refusals. A
// signature serves for five minutes and may be sent again in them: nothing that the
// protocol offers changes anything, and the other side repeats what it got no answer to.
package xks

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/wire"
	protocol "github.com/keyward/keyward/internal/xks"
)

// A Dialect serves the API. Its fields are set once, before it serves.
type Dialect struct {
	Offers   *offer.Service
	Log      *audit.Log
	Refusals *refusal.Recorder
	Limiter  *server.Limiter
}

// An operation is one operation of the API.
type operation struct {
	name    string // in metrics and logs
	action  string // as the audit log has it
	prepare func(*Dialect, visit) (act, error)
}

// An act is a decoded request, ready to be performed by the service.
type act func() (any, error)

// operations is the whole API.
var operations = map[protocol.Operation]operation{
	protocol.GetHealthStatus: {"GetHealthStatus", "keyward:XksGetHealthStatus", takes((*Dialect).health)},
	protocol.GetKeyMetadata:  {"GetKeyMetadata", "keyward:XksGetKeyMetadata", takes((*Dialect).metadata)},
	protocol.Encrypt:         {"Encrypt", "keyward:XksEncrypt", takes((*Dialect).encrypt)},
	protocol.Decrypt:         {"Decrypt", "keyward:XksDecrypt", takes((*Dialect).decrypt)},
}

// takes decodes and checks the body for an operation. Members that a later version adds are
// passed over.
func takes[T interface{ Check() error }](do func(*Dialect, visit, T) (any, error)) func(*Dialect, visit) (act, error) {
	return func(d *Dialect, v visit) (act, error) {
		kind, _, err := mime.ParseMediaType(v.contentType)
		if err != nil || kind != "application/json" {
			return nil, fault.InvalidParameter.New("the body must be JSON, sent with Content-Type: application/json")
		}
		var in T
		if err := json.Unmarshal(v.body, &in); err != nil {
			return nil, fault.InvalidParameter.New("the body is not what this operation takes")
		}
		if err := in.Check(); err != nil {
			return nil, fault.InvalidParameter.New("%s", err)
		}
		return func() (any, error) { return do(d, v, in) }, nil
	}
}

// Leads tells whether a path is for this dialect.
func Leads(path string) bool { return strings.HasPrefix(path, "/xks/") }

// Refuse answers every request with the fault err, for a server that cannot serve.
func Refuse(w http.ResponseWriter, _ *http.Request, x *server.Exchange, err error) {
	x.Note("-", err)
	fail(w, err)
}

// Serve implements server.Handler.
func (d *Dialect) Serve(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	path, ok := protocol.ParsePath(r.URL.EscapedPath())
	parts := strings.Split(path.Prefix, "/")
	ok = ok && len(parts) == 4 && parts[1] == "xks" && r.URL.RawQuery == ""
	op := operations[path.Operation]
	var out any
	switch {
	case !ok:
		op.name, err = "-", fault.ActionNotFound.New("no key store is served at this path")
	case err != nil:
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		err = fault.MethodNotAllowed.New("this path takes POST only")
	default:
		out, err = d.run(r, x, op, request{Path: path, account: parts[2], offer: parts[3]})
	}
	x.Note(op.name, err)
	if err != nil {
		fail(w, err)
		return
	}
	wire.Succeed(w, out)
}

// A request is what the path of a request says.
type request struct {
	protocol.Path
	account, offer string
}

// A visit is a request that proved whom it is from.
type visit struct {
	ctx         context.Context
	call        *authz.Call
	offer       offer.Offer
	key         string // external id
	contentType string
	body        []byte
}

// run authenticates a request and performs it.
func (d *Dialect) run(r *http.Request, x *server.Exchange, op operation, q request) (any, error) {
	ctx := x.Context()
	known, claimed, err := d.identify(r, x, q)
	if err != nil {
		return nil, d.Refusals.Refuse(ctx, x.Call(r, authz.Principal{}, "", nil), "keyward:Authenticate", claimed, err)
	}
	c := x.Call(r, known.Principal, "AWS4-HMAC-SHA256", nil)
	if err := d.Limiter.Admit(c); err != nil {
		return nil, d.Refusals.Refuse(ctx, c, op.action, "", err)
	}
	act, err := op.prepare(d, visit{ctx, c, known.Offer, q.Key, r.Header.Get("Content-Type"), x.Body})
	if err != nil {
		return nil, d.Log.Do(ctx, audit.NewRecord(c, op.action), func() error { return err })
	}
	return act()
}

// identify answers who sent a request or, if that was not proved, the credential it claims.
func (d *Dialect) identify(r *http.Request, x *server.Exchange, q request) (known offer.Known, claimed string, err error) {
	claim, err := protocol.ReadClaim(protocol.Request{Host: r.Host, Path: r.URL.EscapedPath(), Header: r.Header, Body: x.Body})
	if err != nil {
		return known, "", err
	}
	if known, err = d.Offers.Recognize(x.Context(), q.account, q.offer, claim.ID); err != nil {
		return known, claim.ID, err
	}
	if err := claim.Prove(known.Secret, x.Received); err != nil {
		return known, claim.ID, err
	}
	return known, claim.ID, known.Refusal
}

func (d *Dialect) health(v visit, in protocol.HealthRequest) (any, error) {
	return d.Offers.Health(v.ctx, v.call, v.offer, in.Metadata)
}

func (d *Dialect) metadata(v visit, in protocol.MetadataRequest) (any, error) {
	return d.Offers.Describe(v.ctx, v.call, offer.Request{Offer: v.offer, Key: v.key, Metadata: in.Metadata})
}

func (d *Dialect) encrypt(v visit, in protocol.EncryptRequest) (any, error) {
	defer clear(in.Plaintext)
	return d.Offers.Encrypt(v.ctx, v.call, offer.Request{Offer: v.offer, Key: v.key, Metadata: in.Metadata}, in)
}

func (d *Dialect) decrypt(v visit, in protocol.DecryptRequest) (any, error) {
	out, err := d.Offers.Decrypt(v.ctx, v.call, offer.Request{Offer: v.offer, Key: v.key, Metadata: in.Metadata}, in)
	defer out.Zero()
	return decrypted{base64.StdEncoding.EncodeToString(out.Expose())}, err
}

// decrypted is a protocol.DecryptResponse of which the plaintext itself is erased already.
type decrypted struct {
	Plaintext string `json:"plaintext"`
}
