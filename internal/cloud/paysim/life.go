package paysim

import (
	"slices"
	"time"
)

// A Happening is what was done to a key.
type Happening string

// What is done to keys.
const (
	Created  Happening = "created"
	Disabled Happening = "disabled"
	Enabled  Happening = "enabled"
	Reset    Happening = "reset" // its secret was replaced, and the old one was dead at once
	Deleted  Happening = "deleted"
)

// An Event is something that was done to a key.
type Event struct {
	What Happening
	At   time.Time
}

// A Life is what became of a key. It does not hold the secret.
type Life struct {
	Merchant, ID, Name string
	ExpiresAt          time.Time
	Events             []Event // in their order, the first is that it was created

	Uses        int // requests that were accepted with it
	LastUse     time.Time
	Refusals    int // requests that named it and were refused for it
	LastRefusal time.Time
}

// has tells whether something was ever done to the key.
func (l *Life) has(what Happening) bool {
	return slices.ContainsFunc(l.Events, func(e Event) bool { return e.What == what })
}

func (l *Life) happens(what Happening, at time.Time) {
	l.Events = append(l.Events, Event{what, at})
}

// Created answers when the key was made.
func (l *Life) Created() time.Time { return l.Events[0].At }

// Ended tells whether the key was deleted.
func (l *Life) Ended() bool { return l.has(Deleted) }

// A Refusal is why a request with a key was refused.
type Refusal string

// Why requests are refused. All but the last are for the key's sake.
const (
	UnknownKey   Refusal = "unknown_key" // there is none, or not any more
	DisabledKey  Refusal = "key_disabled"
	ExpiredKey   Refusal = "key_expired"
	BadSignature Refusal = "bad_signature" // or another secret than the key's
	BadRequest   Refusal = "bad_request"
)

// A Tally is what became of payments.
type Tally struct {
	Paid     int             // orders that were paid
	Repeated int             // payments of an order that was paid already, answered as the first one
	Refused  map[Refusal]int // payments that were refused
}

// Failed answers how many payments were refused for their key's sake.
func (t Tally) Failed() (n int) {
	for why, count := range t.Refused {
		if why != BadRequest {
			n += count
		}
	}
	return n
}

// status answers how the key stands at a moment: active, disabled, expired.
func (k *key) status(now time.Time) string {
	switch {
	case !now.Before(k.ExpiresAt):
		return "expired"
	case k.disabled:
		return "disabled"
	}
	return "active"
}

// refusal answers why the key is not accepted at a moment, "" if it is.
func (k *key) refusal(now time.Time) Refusal {
	switch k.status(now) {
	case "expired":
		return ExpiredKey
	case "disabled":
		return DisabledKey
	}
	return ""
}
