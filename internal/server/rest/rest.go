// Package rest speaks keyward's native REST API, whose types are in package api and
// whose description for people is docs/api.md.
//
// It is a dialect over the domain services and holds no rule of the product. One table
// (route.go and the file of each group of operations) says for each operation its method
// and path, its name in metrics, the action that policies know it by, and what it takes
// and answers; routing, OpenAPI, docs and tests all come from it. Package wire has the
// codec and the statuses of faults, package authn the signature.
//
// A request goes: find the route; verify the signature; admit it by rate; decode it;
// call the service. Exactly one audit record tells of every request that proved who it
// is from: the service's, or one made here for what did not get as far as the service.
// A request that did not is recorded as a refusal, but one that is not signed at all and
// leads nowhere leaves no trace.
package rest

import (
	"context"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/checkup"
	"github.com/keyward/keyward/internal/accesskey/subscription"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/expiry"
	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/iam/federation"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/iam/simulation"
	"github.com/keyward/keyward/internal/key/byok"
	"github.com/keyward/keyward/internal/key/cryptography"
	"github.com/keyward/keyward/internal/key/instance"
	"github.com/keyward/keyward/internal/key/lifecycle"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/offer"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/wire"
	"github.com/keyward/keyward/internal/sink"
	"github.com/keyward/keyward/internal/target"
	"github.com/keyward/keyward/internal/usage"
	"github.com/keyward/keyward/internal/watch"
)

// MaxBody is the largest body that any operation takes, in bytes. Those that do not
// carry a policy take at most [server.MaxBody].
const MaxBody = server.MaxPolicy

// Options says what the API is served from. All fields are required.
type Options struct {
	Verifier *authn.Verifier
	Keys     *lifecycle.Service
	Crypto   *cryptography.Service
	Imports  *byok.Service
	Usage    *usage.Service
	Secrets  *secret.Service
	Sinks    *sink.Service
	Watched  *watch.Service
	// Calendars makes the links that calendar programs follow.
	Calendars *subscription.Service
	Rollouts  *rollout.Service
	Targets   *target.Service
	Offers    *offer.Service
	IAM       *iam.Service
	Roles     *role.Service
	People    *people.Service
	// Federation is where people prove elsewhere who they are.
	Federation *federation.Service
	Stock      *accesskey.Service
	Alerts     *notify.Service
	Expiry     *expiry.Service
	Findings   *finding.Service
	Checks     *checkup.Service
	// Approvals are what others must approve.
	Approvals *approval.Service
	// Exposures takes reports of leaks.
	Exposures *exposure.Service
	// Instances are where keys are.
	Instances *instance.Service
	// Simulations explains policies.
	Simulations *simulation.Service
	// Rotations replaces keys.
	Rotations *engine.Service
	Log       *audit.Log
	Audit     audit.Reader
	Refusals  *refusal.Recorder
	Limiter   *server.Limiter
	Region    string // of the server's resources
	// Touch hears of each authenticated call, for the access key's last use.
	Touch func(c *authz.Call, action string)
}

// A dialect serves the API.
type dialect struct {
	Options
	find func(method, path string) match // which an operation may ask, too
}

// New makes the API's handler, for an edge that reads bodies of up to [MaxBody].
func New(o Options) server.Handler { return (&dialect{o, find}).serve }

// Refuse answers every request with the fault err, for a server that cannot serve.
func Refuse(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	x.Note("-", err)
	wire.Fail(w, r, x.RequestID, err)
}

func (d *dialect) serve(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	m := d.find(r.Method, r.URL.EscapedPath())
	var out any
	if err == nil {
		out, err = d.run(r, x, m)
	}
	x.Note(m.name, err)
	if err == nil {
		wire.Succeed(w, out)
		return
	}
	if m.allow != "" {
		w.Header().Set("Allow", m.allow)
	}
	if id := approval.IDOf(err); id != "" {
		w.Header().Set(approval.Header, id)
	}
	wire.Fail(w, r, x.RequestID, err)
}

// run authenticates a request and performs it.
func (d *dialect) run(r *http.Request, x *server.Exchange, m match) (any, error) {
	if m.missing != nil && r.Header.Get("Authorization") == "" {
		return nil, m.missing
	}
	ctx := x.Context()
	signed, err := d.Verifier.VerifyREST(ctx, authn.Request{
		Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Header: r.Header, Body: x.Body,
	})
	if err != nil {
		c := x.Call(r, authz.Principal{}, "", nil)
		return nil, conceal(d.Refusals.Refuse(ctx, c, "keyward:Authenticate", server.ClaimedKey(r), err))
	}
	c := x.Call(r, signed.Principal, signed.Scheme, signed.Nonce)
	d.Touch(c, m.action)
	if err := d.Limiter.Admit(c); err != nil {
		return nil, d.Refusals.Refuse(ctx, c, m.action, "", err)
	}
	q := request{call: c, vars: m.vars, method: r.Method, params: signed.Params, header: r.Header, body: x.Body}
	act, err := d.prepare(q, m)
	if err == nil && signed.Code != "" {
		err = d.People.ProveRequest(ctx, c, signed.Code, people.RequestDigest(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, x.Body))
	}
	if err != nil {
		return nil, d.refuse(ctx, c, m.action, err)
	}
	return approval.Guard(ctx, c, func() approval.Attempt { return d.attempt(q, m, r.URL.EscapedPath(), signed) }, act)
}

// refuse records what ended before a service could record it, and answers err.
func (d *dialect) refuse(ctx context.Context, c *authz.Call, action string, err error) error {
	return d.Log.Do(ctx, audit.NewRecord(c, action), func() error { return err })
}

// prepare does all that comes before the service.
func (d *dialect) prepare(q request, m match) (act, error) {
	if m.missing != nil {
		return nil, m.missing
	}
	for _, name := range m.vars {
		if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
			return nil, fault.InvalidParameter.New("a name in the path is not valid Unicode text")
		}
	}
	if !m.large && len(q.body) > server.MaxBody {
		return nil, fault.TooLarge.New("the request body is larger than %d bytes", server.MaxBody)
	}
	return m.prepare(d, q)
}

// conceal makes a wrong secret and an access key that does not exist look the same.
func conceal(err error) error {
	if !fault.Is(err, fault.AccessKeyNotFound) && !fault.Is(err, fault.SignatureMismatch) {
		return err
	}
	return fault.SignatureMismatch.Wrap(err, "the signature does not match the request, or there is no such access key; check the access key's id and secret, and that no proxy changes the request on its way")
}
