//go:build cgo

// Package token is the only one that calls a PKCS#11 module, a C library of the maker of
// a token. It keeps one token connected: it finds it by its label, logs in, shares a pool
// of sessions, notices when the token goes and takes it up again when it is back.
//
// A [Token] answers requests of the protocol of package hsm. [Token.Run] is its life; the
// states are in docs/design/hardware.md. The rules:
//
//   - Keys are generated in the token, sensitive and never extractable, and each is held
//     against that whenever it is looked up. One that is not so, or of which there are two,
//     is not used.
//   - A PIN that the token said is wrong is never offered again, also not by the next
//     process (pin.go), and none is offered to a token with one try left.
//   - A call into the module cannot be interrupted. Who waits for it is answered in time
//     all the same. A module that does not come back at all ends Run with [ErrHung], and
//     with it the process, which its supervisor starts anew.
package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/material"
)

// Options says what a Token is made of.
type Options struct {
	Module   string                         // path of the PKCS#11 library
	Label    string                         // of the token
	Serial   string                         // of the token; empty for any of the label
	Sessions int                            // at once
	PIN      func() (material.Bytes, error) // reads it, each time anew
	Marker   string                         // file that remembers a wrong PIN
	Now      func() time.Time
	Logger   *slog.Logger
	Before   func(hsm.Op)  // called before each operation on the token, by tests; nil otherwise
	Patience time.Duration // with a call whose caller has given up, and with connecting; zero means a minute
}

const (
	heartbeat = 2 * time.Second
	minPause  = time.Second
	maxPause  = 15 * time.Second
)

// ErrHung says that the module does not come back from a call.
var ErrHung = errors.New("the PKCS#11 module hangs")

// A Token is one token, connected while it is there. Do may be called concurrently, Run once.
type Token struct {
	Options
	module *pkcs11.Ctx
	hung   chan struct{} // receives when a call was given up for good

	mu     sync.RWMutex // guards the fields below
	live   *connection  // nil unless the state is Ready
	status hsm.Status
}

// New loads the module.
func New(o Options) (*Token, error) {
	module := pkcs11.New(o.Module)
	if module == nil {
		return nil, fmt.Errorf("loading the PKCS#11 module %s: it is not there, or not a module for this system", o.Module)
	}
	connecting := fault.Say("the token is being connected")
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	return &Token{Options: o, module: module, hung: make(chan struct{}, 1),
		status: hsm.Status{State: hsm.Searching, Label: o.Label, Since: o.Now(), Detail: connecting.String(), DetailZh: connecting.Chinese()}}, nil
}

// Run keeps the token connected until ctx ends.
func (t *Token) Run(ctx context.Context) error {
	pause := minPause
	for ctx.Err() == nil {
		var c *connection
		err := t.bounded(func() (err error) {
			c, err = t.connect()
			return err
		})
		if err == nil {
			pause = minPause
			t.become(hsm.Ready, c, fault.Text{})
			why := t.watch(ctx, c)
			if ctx.Err() == nil {
				t.become(hsm.Searching, nil, textOf(why))
			}
			err = t.bounded(c.close)
			if ctx.Err() == nil && err == nil {
				err = why
			}
		}
		if errors.Is(err, ErrHung) {
			return err
		}
		var refusal *refusal
		if errors.As(err, &refusal) {
			t.become(hsm.Refused, nil, refusal.Text)
		} else if err != nil {
			t.become(hsm.Searching, nil, textOf(err))
		}
		select {
		case <-ctx.Done():
		case <-t.hung:
			return ErrHung
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
	return nil
}

// bounded calls what may hang.
func (t *Token) bounded(call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-time.After(t.Patience):
		return ErrHung
	}
}

// watch answers why the token is not to be used any more.
func (t *Token) watch(ctx context.Context, c *connection) error {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.hung:
			return ErrHung
		case err := <-c.lost:
			return err
		case <-tick.C:
		case <-c.doubt:
		}
		if err := t.bounded(c.check); err != nil {
			return err
		}
	}
}

// textOf answers what a person is told of err. What modules say themselves stays as it is.
func textOf(err error) fault.Text {
	var text fault.Text
	if errors.As(err, &text) && text.String() == err.Error() {
		return text
	}
	return fault.Both(err.Error(), "")
}

// become enters a state and says so once.
func (t *Token) become(s hsm.State, c *connection, why fault.Text) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, detail := t.status, why.String()
	if before.State == s && before.Detail == detail {
		return
	}
	t.live = c
	t.status = hsm.Status{State: s, Detail: detail, DetailZh: why.Chinese(), Since: t.Now(), Label: t.Label, Lost: before.Lost}
	switch s {
	case hsm.Ready:
		t.status.Serial, t.status.Maker, t.status.Sessions, t.status.Offers = c.serial, c.maker, cap(c.sessions), c.offers
		t.Logger.Info("the token is ready", "label", t.Label, "serial", c.serial, "sessions", cap(c.sessions))
	case hsm.Refused:
		t.Logger.Error("the token is not logged in to", "label", t.Label, "reason", detail)
	case hsm.Searching:
		if before.State == hsm.Ready {
			t.status.Lost++
		}
		t.Logger.Warn("the token is not there", "label", t.Label, "reason", detail)
	}
}

// Do answers a request before ctx ends.
func (t *Token) Do(ctx context.Context, r hsm.Request) hsm.Answer {
	t.mu.RLock()
	c, status := t.live, t.status
	t.mu.RUnlock()
	if r.Op == hsm.OpStatus {
		data, err := json.Marshal(status)
		if err != nil {
			return hsm.Failure(err)
		}
		return hsm.Answer{Data: data}
	}
	if c == nil {
		return hsm.Failure(fmt.Errorf("%w: %s", hsm.ErrAway, status.Detail))
	}
	session, err := c.acquire(ctx)
	if err != nil {
		return hsm.Failure(err)
	}
	answered := make(chan hsm.Answer, 1)
	go func() {
		defer c.busy.Done()
		if t.Before != nil {
			t.Before(r.Op)
		}
		a, err := c.perform(session, r)
		c.release(session, err)
		if err != nil {
			a = hsm.Failure(err)
		}
		answered <- a
	}()
	select {
	case a := <-answered:
		return a
	case <-ctx.Done():
		go t.giveUp(answered)
		return hsm.Failure(fmt.Errorf("%w: it did not answer in time", hsm.ErrAway))
	}
}

// giveUp waits a last time for a call that nobody waits for any more.
func (t *Token) giveUp(answered <-chan hsm.Answer) {
	select {
	case a := <-answered:
		clear(a.Data)
	case <-time.After(t.Patience):
		select {
		case t.hung <- struct{}{}:
		default: // it is known
		}
	}
}
