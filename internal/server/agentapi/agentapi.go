// Package agentapi speaks with the agents on the nodes, over the protocol whose types are in
// package api/delivery and which docs/design/rollout.md describes.
//
// It is a dialect over package rollout and holds no rule of the product: it checks who signed
// a request, decodes it, keeps agents waiting until there is something for them (room.go),
// and seals what leaves to the node that asked. A request is signed with the node's Ed25519
// key; joining is not, there the token speaks.
//
// Thousands of agents wait at one server, so what a waiting one keeps is small, those that
// wake up are served some at a time, and who finds no place is told when to come again.
// What is trusted: nothing of a request before its signature was checked; then that it is
// the node that says so.
package agentapi

import (
	"crypto/rand"
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/wire"
)

// MaxBody is the largest body that an agent may send, in bytes.
const MaxBody = server.MaxPolicy

const (
	scheme     = "keyward-agent-v1" // as in records, and what 401 answers ask for
	perNode    = 20                 // requests a second of one node
	perAddress = 10                 // attempts to join a second from one address
	maxRetry   = 15                 // seconds after which who is turned away may come again
)

// Options says what the API is served from. Those without a default are required.
type Options struct {
	Rollouts *rollout.Service
	Refusals *refusal.Recorder
	Now      func() time.Time
	MaxWait  int // agents that wait at once; 0 for 20,000
	AtOnce   int // agents that are answered at once; 0 for 64
}

// A Dialect serves the API. Its methods may be called concurrently.
type Dialect struct {
	Options
	room    *room
	nodes   *server.Limiter
	joining *server.Limiter
}

// New makes a Dialect.
func New(o Options) *Dialect {
	if o.MaxWait == 0 {
		o.MaxWait = 20_000
	}
	if o.AtOnce == 0 {
		o.AtOnce = 64 // most of them wait for their record, and those that do share a sync
	}
	return &Dialect{Options: o, room: newRoom(o.MaxWait, o.AtOnce), nodes: &server.Limiter{PerKey: perNode}, joining: &server.Limiter{PerKey: perAddress}}
}

// Leads tells whether a path is one that agents speak to.
func Leads(path string) bool { return strings.HasPrefix(path, "/v1/agent/") }

// Changed wakes the agents for whom a change of a row may mean something; table "" means
// everything. It must be called after [rollout.Service.Changed].
func (d *Dialect) Changed(table, id string) {
	account, name, _ := strings.Cut(id, "/")
	switch table {
	case "":
		d.room.wakeAll()
	case "rollout":
		d.room.wake(account)
	case "node":
		d.room.wakeNode(account, name)
	}
}

// Close sends all waiting agents away and lets none in any more.
func (d *Dialect) Close() { d.room.close() }

// Refuse answers every request with the fault err, for a server that cannot serve.
func Refuse(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	x.Note("-", err)
	fail(visit{w, r, x}, err, x.Received)
}

// Serve answers a request.
func (d *Dialect) Serve(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	operation, serve := d.find(r.URL.EscapedPath())
	var out any
	switch {
	case err != nil:
	case serve == nil:
		err = fault.ActionNotFound.New("there is no such path; agents speak to %s, %s and %s", delivery.JoinPath, delivery.WatchPath, delivery.ReportPath)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		err = fault.MethodNotAllowed.New("this path takes POST only")
	case r.URL.RawQuery != "":
		err = fault.InvalidParameter.New("this path takes no query: the signature would not cover it")
	default:
		out, err = serve(visit{w, r, x})
	}
	x.Note(operation, err)
	if err != nil {
		fail(visit{w, r, x}, err, d.Now())
		return
	}
	wire.Succeed(w, out)
}

// find answers what a path leads to, and what that is called in metrics.
func (d *Dialect) find(path string) (string, func(visit) (any, error)) {
	switch path {
	case delivery.JoinPath:
		return "Join", d.join
	case delivery.WatchPath:
		return "Watch", d.watch
	case delivery.ReportPath:
		return "Report", d.report
	}
	return "-", nil
}

// fail answers a fault. An agent whose clock is wrong corrects it by the Date; one that is
// turned away comes again after a time that is not the same for all.
func fail(v visit, err error, now time.Time) {
	h := v.w.Header()
	h.Set("Date", now.UTC().Format(http.TimeFormat))
	h.Set("WWW-Authenticate", scheme)
	if status, _ := wire.Status(fault.KindOf(err)); status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(1+below(maxRetry)))
	} else if status != http.StatusUnauthorized {
		h.Del("WWW-Authenticate")
	}
	wire.Fail(v.w, v.r, v.x.RequestID, err)
}

// below answers a number from 0 to n-1 that nobody can foresee.
func below(n int) int {
	var b [4]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return int(binary.BigEndian.Uint32(b[:]) % uint32(n))
}

// A visit is one request of an agent.
type visit struct {
	w http.ResponseWriter
	r *http.Request
	x *server.Exchange
}

// decode reads the body, which is not needed any more then: an agent that waits keeps none.
func (v visit) decode(into any) error {
	err := wire.DecodeBody(v.r.Header, v.x.Body, into)
	v.x.Body = nil
	return err
}

// join makes a machine a node.
func (d *Dialect) join(v visit) (any, error) {
	ctx, x := v.x.Context(), v.x
	stranger := x.Call(v.r, authz.Principal{}, "", nil)
	if err := d.joining.AdmitVisitor(x.Source.String(), x.Received); err != nil {
		return nil, d.Refusals.Refuse(ctx, stranger, "keyward:JoinNode", "", err)
	}
	var in delivery.JoinRequest
	if err := v.decode(&in); err != nil {
		return nil, err
	}
	token, err := d.recognize(ctx, in.Token)
	if err != nil {
		return nil, d.Refusals.Refuse(ctx, stranger, "keyward:JoinNode", "", err)
	}
	c := x.Call(v.r, authz.Principal{Account: token.Account, Kind: authz.Service, Name: "join-token/" + token.ID}, "join-token", nil)
	n, err := d.Rollouts.Join(ctx, c, token, rollout.JoinInput{Name: in.Name, Host: in.Host, SignKey: in.SignKey, SealKey: in.SealKey})
	if err != nil {
		return nil, err
	}
	out := delivery.JoinAnswer{Account: n.Account, Name: n.Name, Labels: make(map[string]string, len(n.Labels))}
	for _, p := range n.Labels {
		out.Labels[p.Name] = p.Value
	}
	return out, nil
}

// A guest is a node that signed a request.
type guest struct {
	rollout.Node
	call   *authz.Call
	signed time.Time
}

// identify finds out which node signed a request.
func (d *Dialect) identify(v visit) (guest, error) {
	ctx, x := v.x.Context(), v.x
	name := v.r.Header.Get(delivery.NodeHeader)
	at := v.r.Header.Get(delivery.TimeHeader)
	account, short, _ := strings.Cut(name, "/")
	n, err := d.Rollouts.Known(ctx, account, short)
	if err != nil && !fault.Is(err, fault.ResourceNotFound) {
		return guest{}, err
	}
	signed, err := authn.VerifyNode(authn.NodeRequest{
		Message: delivery.SignedMessage(v.r.URL.Path, name, at, x.Body), At: at, Signature: v.r.Header.Get(delivery.SignatureHeader),
	}, n.SignKey, x.Received)
	if err != nil {
		return guest{}, d.Refusals.Refuse(ctx, x.Call(v.r, authz.Principal{}, "", nil), "keyward:Authenticate", "", err)
	}
	c := x.Call(v.r, authz.Principal{Account: n.Account, Kind: authz.Service, Name: "node/" + n.Name}, scheme, nil)
	if err := d.nodes.AdmitVisitor(name, x.Received); err != nil {
		return guest{}, d.Refusals.Refuse(ctx, c, "keyward:Authenticate", "", err)
	}
	return guest{n, c, signed}, nil
}

// Waiting answers how many agents wait now, for metrics.
func (d *Dialect) Waiting() int {
	d.room.mu.Lock()
	defer d.room.mu.Unlock()
	return d.room.taken
}
