// Package login is where people log in: the one operation of the API whose requests nobody
// has signed, because whoever sends one has no key yet. What comes out is temporary
// credentials, with which everything else is signed.
//
// It is a dialect over package people and holds no rule of the product. It decodes, limits
// how often an address may ask at all, which keeps the cost of password hashes in bounds,
// and answers. A password that it decoded is erased when the answer is made.
package login

import (
	"net/http"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/wire"
)

const (
	perAddress = 5       // requests a second of one address
	maxBody    = 8 << 10 // bytes of a request
)

// Options says what logins are served from. All fields are required.
type Options struct {
	People   *people.Service
	Refusals *refusal.Recorder
}

// A dialect serves logins.
type dialect struct {
	Options
	limiter *server.Limiter
}

// New makes the handler of logins, for an edge that reads bodies of up to [server.MaxBody].
func New(o Options) server.Handler {
	return (&dialect{o, &server.Limiter{PerKey: perAddress}}).serve
}

// Leads tells whether a path is the one to log in at.
func Leads(path string) bool { return path == api.LoginPath }

// Refuse answers every request with the fault err, for a server that cannot serve.
func Refuse(w http.ResponseWriter, _ *http.Request, x *server.Exchange, err error) {
	x.Note("-", err)
	wire.Fail(w, x.RequestID, err)
}

func (d *dialect) serve(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	var out role.Issued
	if err == nil {
		out, err = d.login(w, r, x)
	}
	x.Note("Login", err)
	if err != nil {
		wire.Fail(w, x.RequestID, err)
		return
	}
	wire.Succeed(w, api.TemporaryCredentials{
		AccessKeyID: out.AccessKey, Secret: api.SecretText(out.Secret.Expose()), SecurityToken: api.SecretText(out.Token),
		ARN: out.Principal.ARN(), ExpiresAt: out.Expires,
	})
}

func (d *dialect) login(w http.ResponseWriter, r *http.Request, x *server.Exchange) (role.Issued, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return role.Issued{}, fault.MethodNotAllowed.New("this path takes POST only")
	}
	if r.URL.RawQuery != "" {
		return role.Issued{}, fault.InvalidParameter.New("this path takes no query: passwords must not stand in URLs")
	}
	if len(x.Body) > maxBody {
		return role.Issued{}, fault.TooLarge.New("the request body is larger than %d bytes", maxBody)
	}
	c := x.Call(r, authz.Principal{}, "password", nil)
	if err := d.limiter.Admit(&authz.Call{Principal: authz.Principal{AccessKey: x.Source.String()}, Time: x.Received}); err != nil {
		err = fault.Throttled.Wrap(err, "there are too many attempts from this address; wait a second and try again")
		return role.Issued{}, d.Refusals.Refuse(x.Context(), c, people.ActionLogin, "", err)
	}
	var in api.LoginRequest
	if err := wire.DecodeBody(r.Header, x.Body, &in); err != nil {
		return role.Issued{}, err
	}
	clear(x.Body)
	attempt := people.Attempt{
		Account: in.Account, User: in.User, Password: secret(in.Password), Code: string(in.Code), NewPassword: secret(in.NewPassword),
		Duration: seconds(in.DurationSeconds),
	}
	defer attempt.Password.Zero()
	defer attempt.NewPassword.Zero()
	return d.People.Login(x.Context(), c, attempt)
}

func secret(s api.SecretText) material.Bytes { return material.NewBytes([]byte(s)) }

// seconds answers a duration; more than fit, in either direction, are too many for any rule.
func seconds(n int) time.Duration {
	const most = 1 << 30
	return time.Duration(max(min(n, most), -most)) * time.Second
}
