// Package operator serves the operator API: what only who runs the server may do, above
// all initialise, unseal and seal it, and found accounts.
//
// It is served on a Unix socket that nobody but the server's own user can open, and
// whoever opened it is the operator: requests are not signed. It works while the server
// is sealed, as far as that is possible. The types are in package api; [Control], which
// the server implements, does the work and writes the audit records.
//
// A passphrase comes as base64, a share as its text; each a [material.Bytes] from the
// moment it is decoded, and is erased when the request is over. The root key itself
// (rootkey.go) may take several requests, of several people.
package operator

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/clock"
	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/publish"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/wire"
)

// A Control is the server as its operator handles it. Its methods may be called
// concurrently. They end in audit records wherever the log can be written; what needs
// the keys answers a Sealed fault while there are none.
type Control interface {
	Sealing
	Accounts
	Approvals
	Trail
	Inspection
	// Token answers how the hardware token stands; it works sealed. A helper that cannot be
	// reached is a state, no token in the configuration an UnsupportedOperation fault.
	Token(ctx context.Context) (hsm.Status, error)
	// AcceptClock believes the clock as it is; one that has not jumped is a StateConflict.
	AcceptClock(ctx context.Context) error
}

// Sealing is how a server gets and loses its keys.
type Sealing interface {
	// Status answers how the server stands; it works sealed and uninitialised.
	Status(ctx context.Context) (Status, error)
	// Found gives a server its root key, in the envelope that the intent describes, and
	// its first account, and leaves it unsealed. One that is initialised is left as it is.
	Found(ctx context.Context, first custody.Intent, account string) (iam.Founded, []custody.Delivery, error)
	// Unseal opens the root key. A wrong passphrase changes nothing.
	Unseal(ctx context.Context, passphrase material.Bytes) error
	// Seal erases all keys when the requests in flight are done.
	Seal(ctx context.Context) error
	RootKey
}

// RootKey is what needs the root key itself; package custody has the rules.
type RootKey interface {
	// OpenRootKey does what the root key is opened for or, of several shares that are
	// needed, notes one.
	OpenRootKey(ctx context.Context, in Opening) (Opened, error)
	// ShowSession answers how a session of shares stands.
	ShowSession(ctx context.Context, session string) (custody.Progress, error)
	// CancelSession ends a session of shares.
	CancelSession(ctx context.Context, session string) error
}

// Accounts makes and lists accounts, as iam.Service does.
type Accounts interface {
	CreateAccount(ctx context.Context, name string) (iam.Founded, error)
	ListAccounts(ctx context.Context, page iam.Page) (iam.List[iam.Account], error)
}

// Approvals is the way out of rules about approvals, as approval.Service has it.
type Approvals interface {
	SuspendApprovalRule(ctx context.Context, account, rule string, while time.Duration) (approval.Rule, error)
}

// Trail shows the audit log whole, of all accounts; it works sealed.
type Trail interface {
	// Prove answers what audit.Prove does.
	Prove(ctx context.Context, log string, seq int64) ([]byte, error)
	// Export writes every log as export.Write does.
	Export(ctx context.Context, w io.Writer) error
}

// Inspection looks at everything that the server keeps; it needs the keys.
type Inspection interface {
	// Scrub answers what is not as keyward wrote it. It takes seconds to minutes.
	Scrub(ctx context.Context) (api.ScrubReport, error)
}

// Status is how a server stands.
type Status struct {
	Initialized bool
	Sealed      bool
	Version     string // release
	Node        string
	Checkpoint  []byte            // newest signed head of the node's audit log; nil while sealed
	PublicKey   string            // that the checkpoint is verified with; empty while sealed
	Envelopes   []seal.Envelope   // ways to unseal it
	Tests       []custody.TestRow // when they were last opened; nil while sealed
	Epoch       uint32            // 0 while sealed
	Rewrapping  bool              // something is yet to be wrapped under the newest epoch
	ScrubbedAt  time.Time         // when the newest scrub began; zero while sealed and soon after
	Findings    int64             // of that scrub
	Witnesses   []publish.Status  // of the log; nil while sealed
	Clock       clock.Report      // zero while sealed
}

// New makes the API's handler. It reads the logs' identities and heads from reader.
func New(control Control, reader audit.Reader) server.Handler {
	return handler{control, reader}.serve
}

type handler struct {
	control Control
	reader  audit.Reader
}

// A request is one request to the API.
type request struct {
	*http.Request
	answer http.ResponseWriter
	body   []byte
	query  map[string]string
}

// An operation performs a request and answers a value of package api, or nil for none.
type operation struct {
	name string // in metrics and logs
	do   func(handler, request) (any, error)
}

// operations are those that answer at once, by method and path. The export, which is a
// stream, is not among them.
var operations = map[string]operation{
	"GET /v1/status":      {"Status", handler.status},
	"POST /v1/init":       {"Initialize", handler.initialize},
	"POST /v1/unseal":     {"Unseal", handler.unseal},
	"POST /v1/seal":       {"Seal", handler.seal},
	"POST /v1/root-key":   {"OpenRootKey", handler.openRootKey},
	"POST /v1/session":    {"ShowRootKeySession", handler.showSession},
	"POST /v1/cancel":     {"CancelRootKeySession", handler.cancelSession},
	"POST /v1/clock":      {"AcceptClock", handler.acceptClock},
	"GET /v1/hsm":         {"DescribeHSM", handler.hsm},
	"POST /v1/accounts":   {"CreateAccount", handler.createAccount},
	"GET /v1/accounts":    {"ListAccounts", handler.listAccounts},
	"GET /v1/audit/logs":  {"ListAuditLogs", handler.listLogs},
	"GET /v1/audit/proof": {"ProveAuditRecord", handler.prove},
	"POST /v1/scrub":      {"Scrub", handler.scrub},

	"POST /v1/approval-rules/suspend": {"SuspendApprovalRule", handler.suspendApprovalRule},
}

const export = "GET /v1/audit/export"

func (h handler) serve(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	defer clear(x.Body) // it may hold a passphrase
	name := r.Method + " " + r.URL.EscapedPath()
	if name == export && err == nil {
		h.export(w, r, x)
		return
	}
	op, known := operations[name]
	if !known {
		op.name = "-"
	}
	var out any
	switch {
	case err != nil:
	case !known:
		err = fault.ActionNotFound.New("there is no such operation; docs/api.md lists them")
	default:
		out, err = h.run(op, w, r, x.Body)
	}
	x.Note(op.name, err)
	if err != nil {
		wire.Fail(w, r, x.RequestID, err)
		return
	}
	wire.Succeed(w, out)
}

func (h handler) run(op operation, w http.ResponseWriter, r *http.Request, body []byte) (any, error) {
	q, err := newRequest(w, r, body)
	if err != nil {
		return nil, err
	}
	return op.do(h, q)
}

func newRequest(w http.ResponseWriter, r *http.Request, body []byte) (request, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return request{}, fault.InvalidParameter.New("the query is malformed")
	}
	query := map[string]string{}
	for name, list := range values {
		if len(list) != 1 {
			return request{}, fault.InvalidParameter.New("a parameter is given twice")
		}
		query[name] = list[0]
	}
	return request{r, w, body, query}, nil
}

// decode reads a request type from where the method has it. Nil stands for none.
func (q request) decode(into any) error {
	if into == nil || q.Method == http.MethodGet {
		if err := wire.CheckNoBody(q.body); err != nil {
			return err
		}
	}
	if into != nil && q.Method == http.MethodGet {
		return wire.DecodeQuery(maps.All(q.query), into)
	}
	if err := wire.CheckNoQuery(maps.All(q.query)); err != nil || into == nil {
		return err
	}
	return wire.DecodeBody(q.Header, q.body, into)
}

func (h handler) unseal(q request) (any, error) {
	var in api.UnsealRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	passphrase := material.NewBytes(in.Passphrase)
	defer passphrase.Zero()
	return nil, h.control.Unseal(q.Context(), passphrase)
}

func (h handler) seal(q request) (any, error) {
	if err := q.decode(nil); err != nil {
		return nil, err
	}
	return nil, h.control.Seal(q.Context())
}

func (h handler) acceptClock(q request) (any, error) {
	if err := q.decode(nil); err != nil {
		return nil, err
	}
	return nil, h.control.AcceptClock(q.Context())
}

func (h handler) createAccount(q request) (any, error) {
	var in api.CreateAccountRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	founded, err := h.control.CreateAccount(q.Context(), in.Name)
	return foundedAccount(founded, nil), err
}

func (h handler) listAccounts(q request) (any, error) {
	var in api.PageRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	list, err := h.control.ListAccounts(q.Context(), iam.Page{After: in.Cursor, Limit: in.Limit})
	accounts := make([]api.Account, len(list.Items))
	for i, a := range list.Items {
		accounts[i] = api.Account{ID: a.ID, Name: a.Name, CreatedAt: a.CreatedAt}
	}
	return api.AccountList{Accounts: accounts, Next: list.Next}, err
}

func (h handler) suspendApprovalRule(q request) (any, error) {
	var in api.SuspendApprovalRuleRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	while, err := api.ParseDuration(in.For)
	if err != nil {
		return nil, fault.InvalidParameter.New("%v", err)
	}
	rule, err := h.control.SuspendApprovalRule(q.Context(), in.Account, in.Rule, while)
	return api.SuspendedApprovalRule{Name: rule.Name, SuspendedUntil: rule.SuspendedUntil}, err
}

func (h handler) listLogs(q request) (any, error) {
	if err := q.decode(nil); err != nil {
		return nil, err
	}
	return wire.AuditLogs(q.Context(), h.reader)
}

func (h handler) prove(q request) (any, error) {
	var in api.AuditProofRequest
	if err := q.decode(&in); err != nil {
		return nil, err
	}
	proof, err := h.control.Prove(q.Context(), in.Log, in.Seq)
	return api.AuditProof{Proof: string(proof)}, err
}

// export writes the logs. It may take longer than a request otherwise may, and ends when
// who reads it does.
func (h handler) export(w http.ResponseWriter, r *http.Request, x *server.Exchange) {
	q, err := newRequest(w, r, x.Body)
	if err == nil {
		err = q.decode(nil)
	}
	if err == nil {
		err = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	}
	stream := &stream{w: w}
	if err == nil {
		err = h.control.Export(context.WithoutCancel(x.Context()), stream)
	}
	x.Note("ExportAudit", err)
	switch {
	case err == nil:
	case stream.begun:
		panic(http.ErrAbortHandler) // the reader must not take what it has for the whole
	default:
		wire.Fail(w, r, x.RequestID, err)
	}
}

// A stream announces the export with its first bytes.
type stream struct {
	w     http.ResponseWriter
	begun bool
}

// Write implements io.Writer.
func (s *stream) Write(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	return s.w.Write(b)
}

// scrub may take longer than a request otherwise may.
func (h handler) scrub(q request) (any, error) {
	if err := q.decode(nil); err != nil {
		return nil, err
	}
	if err := http.NewResponseController(q.answer).SetWriteDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return h.control.Scrub(context.WithoutCancel(q.Context()))
}
