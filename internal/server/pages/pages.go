// Package pages is all that links lead to: the pages of messages (package ackpage) and of
// security keys (package keypage), and the calendar that programs follow (package feed).
package pages

import (
	"net/http"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/subscription"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/ackpage"
	"github.com/keyward/keyward/internal/server/feed"
	"github.com/keyward/keyward/internal/server/keypage"
)

// Options says what the pages are served from. All fields are required.
type Options struct {
	Links     *ackpage.Links
	Alerts    *notify.Service
	People    *people.Service
	Refusals  *refusal.Recorder
	Stock     *accesskey.Service
	Calendars *subscription.Service
}

// New makes the handler of the paths that [Leads] knows.
func New(o Options) (server.Handler, error) {
	incidents, err := ackpage.New(ackpage.Options{Links: o.Links, Alerts: o.Alerts, Refusals: o.Refusals})
	if err != nil {
		return nil, err
	}
	approvals, err := keypage.New(keypage.Options{People: o.People, Refusals: o.Refusals, Origin: o.Links.URL})
	calendars := feed.New(feed.Options{Subscriptions: o.Calendars, Stock: o.Stock, Refusals: o.Refusals})
	return func(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
		switch path := r.URL.EscapedPath(); {
		case keypage.Leads(path):
			approvals(w, r, x, err)
		case feed.Leads(path):
			calendars(w, r, x, err)
		default:
			incidents(w, r, x, err)
		}
	}, err
}

// Leads tells whether a path is that of a link.
func Leads(path string) bool { return keypage.Leads(path) || feed.Leads(path) || ackpage.Leads(path) }

// Refuse answers every request in plain text, for a server that cannot serve.
func Refuse(w http.ResponseWriter, _ *http.Request, x *server.Exchange, err error) {
	x.Note("-", err)
	http.Error(w, "keyward: "+fault.Message(err), http.StatusServiceUnavailable)
}
