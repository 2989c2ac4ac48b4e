package ackpage

import (
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/sheet"
)

//go:embed page.html
var pageHTML string

const (
	perAddress = 10  // requests a second of one address
	maxName    = 100 // bytes of a name that is typed
	maxNote    = 900
)

// Options says what the page is served from. All fields are required.
type Options struct {
	Links    *Links
	Alerts   *notify.Service
	Refusals *refusal.Recorder
}

// A page serves links.
type page struct {
	Options
	limiter  *server.Limiter
	origins  *http.CrossOriginProtection
	template *template.Template
	policy   string // Content-Security-Policy
}

// New makes the handler of links, whose paths [Leads] knows.
func New(o Options) (server.Handler, error) {
	parsed, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return nil, err
	}
	p := &page{Options: o, limiter: &server.Limiter{PerKey: perAddress}, origins: http.NewCrossOriginProtection(), template: parsed}
	if err := p.origins.AddTrustedOrigin(o.Links.URL); err != nil {
		return nil, err
	}
	p.policy = sheet.Policy("", "form-action 'self'")
	return p.serve, nil
}

// Leads tells whether a path is that of a link.
func Leads(path string) bool {
	return strings.HasPrefix(path, "/"+ack+"/") || strings.HasPrefix(path, "/"+confirm+"/")
}

func (p *page) serve(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	h := w.Header()
	sheet.Protect(h, p.policy)
	purpose, text, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	v := &visit{page: p, r: r, x: x, lang: sheet.Language(r)}
	operation := map[bool]string{true: "OpenLink", false: "AnswerLink"}[r.Method == http.MethodGet || r.Method == http.MethodHead]
	var to view
	if err == nil {
		to, err = v.run(purpose, text)
	}
	x.Note(operation, err)
	switch {
	case err != nil:
		p.write(w, v.failure(err), statusOf(err))
	case to.again: // a reload of the page must not acknowledge once more
		h.Set("Location", "?lang="+string(v.lang))
		w.WriteHeader(http.StatusSeeOther)
	default:
		p.write(w, to, http.StatusOK)
	}
}

func statusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.SignatureMismatch, fault.ResourceNotFound:
		return http.StatusNotFound
	case fault.NoPermission:
		return http.StatusForbidden
	case fault.Throttled:
		return http.StatusTooManyRequests
	case fault.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case fault.InvalidParameter, fault.TooLarge:
		return http.StatusBadRequest
	case fault.StateConflict:
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

func (p *page) write(w http.ResponseWriter, v view, status int) {
	v.Style = template.CSS(sheet.CSS()) //nolint:gosec // it is ours
	sheet.Write(w, p.template, v, status)
}

// A visit is one request for a page.
type visit struct {
	*page
	r    *http.Request
	x    *server.Exchange
	lang message.Language
}

// run finds out what a link is for and does it.
func (v *visit) run(purpose, text string) (view, error) {
	ctx := v.x.Context()
	c := v.x.Call(v.r, authz.Principal{}, "link", nil)
	if err := v.limiter.AdmitVisitor(c.Source.String(), c.Time); err != nil {
		return view{}, err
	}
	posted := v.r.Method == http.MethodPost
	if !posted && v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		return view{}, fault.MethodNotAllowed.New("this page takes GET and POST only")
	}
	t, err := v.Links.open(purpose, text)
	if err != nil {
		return view{}, v.Refusals.Refuse(ctx, c, "keyward:OpenLink", "", err)
	}
	c = v.x.Call(v.r, authz.Principal{Account: t.account, Kind: authz.Service, Name: "link"}, "link", nil)
	if !posted {
		return v.show(ctx, c, t)
	}
	in, err := v.form()
	if err != nil {
		return view{}, v.Refusals.Refuse(ctx, c, "keyward:AnswerLink", "", err)
	}
	by := signature(t.person, in.Get("name"))
	if purpose == confirm {
		err = v.Alerts.Confirm(ctx, c, t.subject, by)
	} else {
		_, err = v.Alerts.Acknowledge(ctx, c, t.subject, by, in.Get("note"), 0)
	}
	if purpose == confirm && err == nil {
		return v.confirmed(t), nil
	}
	return view{again: true}, err
}

// form reads the form, which only the page itself can send.
func (v *visit) form() (url.Values, error) {
	if err := v.origins.Check(v.r); err != nil {
		return nil, fault.NoPermission.Wrap(err, "the form was sent by another site")
	}
	if kind, _, _ := strings.Cut(v.r.Header.Get("Content-Type"), ";"); kind != "application/x-www-form-urlencoded" {
		return nil, fault.InvalidParameter.New("this is not the page's form")
	}
	in, err := url.ParseQuery(string(v.x.Body))
	if err != nil || len(in.Get("name")) > maxName || len(in.Get("note")) > maxNote || strings.ContainsAny(in.Get("name")+in.Get("note"), "\x00") {
		return nil, fault.InvalidParameter.New("the name or the note is too long or is no text")
	}
	return in, nil
}

// signature answers who acted: whom the message was sent to, and who says to be there.
func signature(person, typed string) string {
	typed = strings.Join(strings.Fields(typed), " ")
	switch {
	case typed == "" && person == "":
		return "somebody with the link"
	case typed == "" || typed == person:
		return person
	case person == "" || len(typed)+len(person) > maxName:
		return typed
	}
	return typed + " (link of " + person + ")"
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// show answers the page of a link.
func (v *visit) show(ctx context.Context, c *authz.Call, t token) (view, error) {
	if t.purpose == confirm {
		return v.question(t), nil
	}
	f, err := v.Alerts.Incident(ctx, c, t.subject)
	if err != nil {
		return view{}, err
	}
	plan, err := v.Alerts.Ladder(ctx, t.account)
	if err != nil {
		return view{}, err
	}
	return v.incident(f.Incident, plan, t.person), nil
}
