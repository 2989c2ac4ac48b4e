// Package keypage is the page on which people use their security keys: the command line, or
// whatever else calls the API, asks for an approval and hands its link to the person, whose
// browser opens this page.
//
// The link is not the permission: it lets its holder see what is asked for, refuse it, and
// hand in the answer of a security key, which the server verifies. Who opens the link gets
// nothing; the proof is with whoever asked.
//
// So that a person cannot be made to approve what somebody else asks for, the page says what
// is approved, for whom and from which address, shows the code that stands on the terminal of
// whoever asked, and warns when that is another address than the browser's. A GET changes
// nothing, because programs follow links; the answer is a POST that no page of another site
// can send. What the page lets the browser do is in package sheet and in New.
//
// It is a dialect over package people and holds no rule of the product.
package keypage

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"

	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/material/webauthn"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/sheet"
	"github.com/keyward/keyward/internal/server/wire"
)

//go:embed page.html
var pageHTML string

//go:embed page.js
var pageJS string

const perAddress = 10 // requests a second of one address

// Options says what the page is served from. All fields are required.
type Options struct {
	People   *people.Service
	Refusals *refusal.Recorder
	Origin   string // of the page: that of the server's public URL
}

// A page serves links.
type page struct {
	Options
	limiter  *server.Limiter
	origins  *http.CrossOriginProtection
	template *template.Template
	policy   string
}

// New makes the handler of links, whose paths [Leads] knows.
func New(o Options) (server.Handler, error) {
	parsed, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return nil, err
	}
	p := &page{Options: o, limiter: &server.Limiter{PerKey: perAddress}, origins: http.NewCrossOriginProtection(), template: parsed}
	if err := p.origins.AddTrustedOrigin(o.Origin); err != nil {
		return nil, err
	}
	p.policy = sheet.Policy(pageJS, "connect-src 'self'; form-action 'none'")
	return p.serve, nil
}

// Leads tells whether a path is that of a link.
func Leads(path string) bool { return strings.HasPrefix(path, people.CeremonyPath) }

func (p *page) serve(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	sheet.Protect(w.Header(), p.policy)
	w.Header().Set("Permissions-Policy", "publickey-credentials-create=(self), publickey-credentials-get=(self)")
	v := &visit{page: p, r: r, x: x, call: x.Call(r, authz.Principal{}, "link", nil), lang: sheet.Language(r)}
	posted := r.Method == http.MethodPost
	x.Note(map[bool]string{true: "AnswerProof", false: "OpenProof"}[posted], nil)
	if err == nil {
		err = v.admit()
	}
	if posted {
		v.post(w, err)
		return
	}
	to := view{}
	if err == nil {
		to, err = v.show()
	}
	if err != nil {
		x.Note("OpenProof", err)
		to = v.failure(err)
	}
	p.write(w, to, statusOf(err))
}

func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if status, ok := wire.Status(fault.KindOf(err)); ok {
		return status
	}
	return http.StatusInternalServerError
}

func (p *page) write(w http.ResponseWriter, v view, status int) {
	v.Style, v.Script = template.CSS(sheet.CSS()), template.JS(pageJS) //nolint:gosec // they are ours
	sheet.Write(w, p.template, v, status)
}

// A visit is one request for a page.
type visit struct {
	*page
	r    *http.Request
	x    *server.Exchange
	call *authz.Call
	lang message.Language
}

// admit refuses what is no request for a page, and who asks too often.
func (v *visit) admit() error {
	if v.r.Method != http.MethodPost && v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		return fault.MethodNotAllowed.New("this page takes GET and POST only")
	}
	return v.limiter.AdmitVisitor(v.call.Source.String(), v.call.Time)
}

// link answers the link that was followed.
func (v *visit) link() string {
	link := strings.TrimPrefix(v.r.URL.EscapedPath(), people.CeremonyPath)
	if len(link) != people.LinkSize {
		return "" // nobody's
	}
	return link
}

// An answer is what the page's script posts: what a security key said, or that the person
// refuses.
type answer struct {
	Refuse   bool  `json:"refuse,omitempty"`
	Approval *said `json:"approval,omitempty"`
	Made     *said `json:"made,omitempty"`
}

type said struct {
	ID                []byte `json:"id"`
	ClientData        []byte `json:"clientData"`
	AuthenticatorData []byte `json:"authenticatorData"`
	Signature         []byte `json:"signature,omitempty"`
	PublicKey         []byte `json:"publicKey,omitempty"`
	Algorithm         int    `json:"algorithm,omitempty"`
}

// An outcome is what the script shows of what became of an answer.
type outcome struct {
	Done bool   `json:"done"` // it was taken
	Over bool   `json:"over"` // nothing more can be answered
	Text string `json:"text"`
}

// post takes an answer.
func (v *visit) post(w http.ResponseWriter, err error) {
	var in answer
	if err == nil {
		in, err = v.decode()
	}
	if err == nil {
		out := people.Answer{}
		if a := in.Approval; a != nil {
			out.Approval = &webauthn.Assertion{ID: a.ID, AuthenticatorData: a.AuthenticatorData, ClientData: a.ClientData, Signature: a.Signature}
		}
		if m := in.Made; m != nil {
			out.Made = &webauthn.Registration{ID: m.ID, AuthenticatorData: m.AuthenticatorData, ClientData: m.ClientData, PublicKey: m.PublicKey, Algorithm: m.Algorithm}
		}
		err = v.People.Answer(v.x.Context(), v.call, v.link(), out)
	}
	v.x.Note("AnswerProof", err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(statusOf(err))
	_, _ = w.Write(v.outcome(in, err)) // who hung up reads nothing
}

// decode reads the answer, which only the page itself can send.
func (v *visit) decode() (in answer, err error) {
	if err := v.origins.Check(v.r); err != nil {
		return answer{}, v.Refusals.Refuse(v.x.Context(), v.call, people.ActionAnswerProof, "", fault.NoPermission.Wrap(err, "the answer was sent by another site"))
	}
	if err := wire.DecodeBody(v.r.Header, v.x.Body, &in); err != nil {
		return answer{}, err
	}
	if in.Refuse == (in.Approval != nil || in.Made != nil) || in.Approval != nil && in.Made != nil {
		return answer{}, fault.InvalidParameter.New("this is no answer of the page")
	}
	return in, nil
}
