// Package feed serves the calendar of an account's expiries to calendar programs, which follow
// a link and can sign nothing ([subscription.Service]).
//
// The link is the permission, so it must stay between its holder and the server: neither logs
// nor records nor errors have it, no other site learns it, and what answers may be kept by the
// holder alone. A GET changes nothing but when the link was last followed. Each leaves the
// record of a reading of the calendar by its user, or of a refusal; what is refused looks the
// same whatever the reason, but for who comes too often. Addresses are limited in that.
//
// It is a dialect over packages accesskey and subscription and holds no rule of the product.
package feed

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/accesskey/subscription"
	"github.com/keyward/keyward/internal/audit/refusal"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/server"
	"github.com/keyward/keyward/internal/server/ical"
	"github.com/keyward/keyward/internal/server/sheet"
)

const (
	perAddress = 5 // requests a second of one address
	operation  = "FollowCalendar"
	action     = "keyward:GetCalendar" // of what is refused before it is known whose the link is
)

// Options says what the calendar is served from. All fields are required.
type Options struct {
	Subscriptions *subscription.Service
	Stock         *accesskey.Service
	Refusals      *refusal.Recorder
}

// A feed serves links.
type feed struct {
	Options
	limiter *server.Limiter
}

// New makes the handler of links, whose paths [Leads] knows.
func New(o Options) server.Handler {
	return (&feed{o, &server.Limiter{PerKey: perAddress}}).serve
}

// Leads tells whether a path is that of a link.
func Leads(path string) bool { return strings.HasPrefix(path, subscription.Path) }

func (f *feed) serve(w http.ResponseWriter, r *http.Request, x *server.Exchange, err error) {
	h := w.Header()
	sheet.Protect(h, "default-src 'none'; frame-ancestors 'none'")
	var text, tag string
	if err == nil {
		text, tag, err = f.follow(r, x)
	}
	x.Note(operation, err)
	switch {
	case err != nil:
		http.Error(w, http.StatusText(statusOf(err)), statusOf(err))
	case r.Header.Get("If-None-Match") == tag:
		h["Cache-Control"], h["Etag"] = []string{"private, no-cache"}, []string{tag}
		w.WriteHeader(http.StatusNotModified)
	default:
		h["Cache-Control"], h["Etag"] = []string{"private, no-cache"}, []string{tag}
		h.Set("Content-Type", "text/calendar; charset=utf-8")
		_, _ = w.Write([]byte(text)) // who hung up reads nothing
	}
}

func statusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.ResourceNotFound, fault.AccessKeyInactive, fault.NoPermission, fault.MFARequired, fault.ApprovalRequired:
		return http.StatusNotFound
	case fault.Throttled:
		return http.StatusTooManyRequests
	case fault.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case fault.InvalidParameter, fault.TooLarge:
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable
}

// follow answers the calendar that a link leads to, and its tag.
func (f *feed) follow(r *http.Request, x *server.Exchange) (text, tag string, err error) {
	ctx := x.Context()
	c := x.Call(r, authz.Principal{}, "link", nil)
	if err := f.limiter.AdmitVisitor(c.Source.String(), c.Time); err != nil {
		return "", "", err
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return "", "", fault.MethodNotAllowed.New("a calendar is read with GET")
	}
	token := strings.TrimSuffix(strings.TrimPrefix(r.URL.EscapedPath(), subscription.Path), subscription.Suffix)
	one, user, err := f.Subscriptions.Follow(ctx, token)
	if err != nil {
		return "", "", f.Refusals.Refuse(ctx, c, action, "", err)
	}
	c = x.Call(r, user, "link", nil)
	keys, err := f.Stock.Calendar(ctx, c)
	if err != nil {
		return "", "", err
	}
	if err := f.Subscriptions.Fetched(ctx, one); err != nil {
		return "", "", err
	}
	sum := sha256.Sum256([]byte(Text(keys, one.Language, time.Time{}))) // the time of an answer changes nothing
	return Text(keys, one.Language, c.Time), `"` + hex.EncodeToString(sum[:16]) + `"`, nil
}

// Text writes the calendar of keys in a language.
func Text(keys []accesskey.AccessKey, l message.Language, now time.Time) string {
	events := make([]ical.Event, len(keys))
	for i, k := range keys {
		what := l.Pick("Key expires: ", "密钥到期：")
		if k.Due.Basis == accesskey.Policy {
			what = l.Pick("Key reaches its age limit: ", "密钥达到最长使用期限：")
		}
		name := k.Observed.ID
		if k.Remark.Purpose != "" {
			name = k.Remark.Purpose + " (" + name + ")"
		}
		about := []string{l.Pick("Provider: ", "来源：") + k.Source, l.Pick("Key: ", "密钥：") + k.Observed.ID}
		if k.Owner != "" {
			about = append(about, l.Pick("Owner: ", "负责人：")+k.Owner)
		}
		events[i] = ical.Event{
			UID: ical.UID(k.Account, k.Source, k.Observed.ID), At: k.Due.At, Summary: what + name,
			Description: strings.Join(about, "\n"), Categories: string(k.Due.Basis),
		}
	}
	return ical.Calendar(l.Pick("keyward: keys that expire", "keyward：密钥到期"), events, now)
}
