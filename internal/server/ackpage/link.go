// Package ackpage is the page that a message links to: whoever reads the message takes
// the incident on there, or confirms a test message, without logging in.
//
// The link is the permission. It names an account, an incident or a channel, and the
// person to whom it was sent, and carries a MAC of that (Links), so that it can be made by
// this server only; it ends after [Lifetime], and with a new epoch of the root key. It
// grants to read that one incident and to acknowledge it, nothing else, which is what the
// message's reader is asked to do.
//
// A GET changes nothing: mail gateways and chat programs follow every link. The
// acknowledgement is a POST of the page's form, and a page of another site cannot send it
// (http.CrossOriginProtection). The page has no script and loads nothing; its policy
// forbids both. What it shows are names, ids and times. Every visit is an audit record with
// the address that it came from, and addresses are limited in how often they may come.
package ackpage

import (
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
)

// Lifetime is how long a link can be used.
const Lifetime = 30 * 24 * time.Hour

// macSize is how many bytes of the MAC a link carries: 128 bits cannot be guessed, and
// messages stay short.
const macSize = 16

// The purposes of links, which stand in their paths.
const (
	ack     = "ack"
	confirm = "confirm"
)

// Links makes the links of messages and reads them; it implements notify.Links. It may be
// used concurrently.
type Links struct {
	URL string // how people reach the server, without a path
	MAC func(data []byte) ([]byte, error)
	Now func() time.Time
}

// A token is what a link says.
type token struct {
	purpose string
	account string
	subject string // an incident's id or a channel's name
	person  string // whom it was sent to; "" for a group
	ends    time.Time
}

// Incident answers the link on which an incident can be acknowledged, "" if none can be
// made.
func (l *Links) Incident(account, incident, person string) string {
	return l.link(token{purpose: ack, account: account, subject: incident, person: person})
}

// Confirm answers the link on which a channel's test message can be confirmed.
func (l *Links) Confirm(account, channel, person string) string {
	return l.link(token{purpose: confirm, account: account, subject: channel, person: person})
}

func (l *Links) link(t token) string {
	t.ends = l.Now().Add(Lifetime)
	plain := t.plain()
	mac, err := l.MAC(plain)
	if err != nil {
		return "" // the server is being sealed; the message says how else to answer
	}
	return l.URL + "/" + t.purpose + "/" + base64.RawURLEncoding.EncodeToString(append(mac[:macSize:macSize], plain...))
}

// plain spells a token out. No part holds a NUL, so no two tokens are spelt alike.
func (t token) plain() []byte {
	return []byte(strings.Join([]string{t.purpose, t.account, t.subject, t.person, strconv.FormatInt(t.ends.Unix(), 10)}, "\x00"))
}

// errLink is all that is said of a link that is not good.
var errLink = fault.SignatureMismatch.New("the link is not one of this server, or it has ended")

// open reads a link that this server made for a purpose and that has not ended.
func (l *Links) open(purpose, text string) (token, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < macSize {
		return token{}, errLink
	}
	mac, err := l.MAC(raw[macSize:])
	if err != nil {
		return token{}, err
	}
	if subtle.ConstantTimeCompare(mac[:macSize], raw[:macSize]) != 1 {
		return token{}, errLink
	}
	parts := strings.Split(string(raw[macSize:]), "\x00") // which this server wrote
	if len(parts) != 5 || parts[0] != purpose {
		return token{}, errLink
	}
	ends, err := strconv.ParseInt(parts[4], 10, 64)
	if err != nil || !l.Now().Before(time.Unix(ends, 0)) {
		return token{}, errLink
	}
	return token{purpose, parts[1], parts[2], parts[3], time.Unix(ends, 0)}, nil
}
