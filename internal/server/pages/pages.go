// Package pages is all that people open in a browser: where messages lead (package ackpage)
// and where security keys are used (package keypage).
package pages

import (
	"net/http"

	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/ackpage"
	"github.com/keyward/keyward/internal/server/keypage"
)

// Options says what the pages are served from. All fields are required.
type Options struct {
	Links    *ackpage.Links
	Alerts   *notify.Service
	People   *people.Service
	Refusals *refusal.Recorder
}

// New makes the handler of the paths that [Leads] knows.
func New(o Options) (server.Handler, error) {
	incidents, err := ackpage.New(ackpage.Options{Links: o.Links, Alerts: o.Alerts, Refusals: o.Refusals})
	if err != nil {
		return nil, err
	}
	approvals, err := keypage.New(keypage.Options{People: o.People, Refusals: o.Refusals, Origin: o.Links.URL})
	return func(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
		if keypage.Leads(r.URL.EscapedPath()) {
			approvals(w, r, x, err)
		} else {
			incidents(w, r, x, err)
		}
	}, err
}

// Leads tells whether a path is that of a page.
func Leads(path string) bool { return keypage.Leads(path) || ackpage.Leads(path) }

// Refuse answers every request in plain text, for a server that cannot serve.
func Refuse(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	ackpage.Refuse(w, r, x, err)
}
