//go:build cgo

package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/miekg/pkcs11"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/hsm"
)

// A connection is a token that is logged in to, until it is lost.
type connection struct {
	t             *Token
	module        *pkcs11.Ctx
	slot          uint
	serial, maker string
	offers        []hsm.Offer
	ivSize        int // of the IVs that this side chooses; 0 if the token chooses

	anchor   pkcs11.SessionHandle      // keeps the process logged in
	sessions chan pkcs11.SessionHandle // those that are free; 0 for one that is not open yet
	busy     sync.WaitGroup            // calls that are under way
	lost     chan error                // receives why, at most once
	doubt    chan struct{}             // receives when an error may mean that the token is gone
	handles  sync.Map                  // of name to found

	mu     sync.Mutex // guards closed: no call begins afterwards
	closed bool
}

// connect finds the token and logs in. Whatever fails, the module is as it was before.
func (t *Token) connect() (_ *connection, err error) {
	if err := t.module.Initialize(); err != nil {
		return nil, fmt.Errorf("initialising the PKCS#11 module: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.module.Finalize())
		}
	}()
	slot, info, err := t.find()
	if err != nil {
		return nil, err
	}
	sessions := t.Sessions
	if most := info.MaxRwSessionCount; most > 1 && most < uint(sessions+1) { // 0: any number; all ones: unknown
		sessions = int(most) - 1
	}
	c := &connection{
		t: t, module: t.module, slot: slot, serial: trim(info.SerialNumber), maker: trim(info.ManufacturerID) + " " + trim(info.Model),
		sessions: make(chan pkcs11.SessionHandle, sessions), lost: make(chan error, 1), doubt: make(chan struct{}, 1),
	}
	for range sessions {
		c.sessions <- 0
	}
	if c.anchor, err = c.open(); err != nil {
		return nil, err
	}
	if err := t.login(c.anchor, info.Flags); err != nil {
		return nil, err
	}
	return c, c.probe()
}

// find answers the slot of the token. Two tokens of one label are none: which one is meant
// nobody knows.
func (t *Token) find() (slot uint, info pkcs11.TokenInfo, err error) {
	slots, err := t.module.GetSlotList(true)
	if err != nil {
		return 0, info, fmt.Errorf("listing slots: %w", err)
	}
	found := 0
	for _, s := range slots {
		i, err := t.module.GetTokenInfo(s)
		if err == nil && trim(i.Label) == t.Label && (t.Serial == "" || trim(i.SerialNumber) == t.Serial) {
			slot, info = s, i
			found++
		}
	}
	switch {
	case found == 1:
		return slot, info, nil
	case found > 1:
		return 0, info, fault.Say("%d tokens of the module are called %s; name the serial number, too", found, t.Label)
	case t.Serial != "":
		return 0, info, fault.Say("none of the %d tokens of the module is called %s and has the serial number %s", len(slots), t.Label, t.Serial)
	}
	return 0, info, fault.Say("none of the %d tokens of the module is called %s", len(slots), t.Label)
}

// trim removes the padding of PKCS#11's strings.
func trim(s string) string { return strings.TrimRight(s, " \x00") }

func (c *connection) open() (pkcs11.SessionHandle, error) {
	session, err := c.module.OpenSession(c.slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return 0, fmt.Errorf("opening a session: %w", err)
	}
	return session, nil
}

// acquire answers a session for one call, and counts it as busy.
func (c *connection) acquire(ctx context.Context) (pkcs11.SessionHandle, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return 0, fmt.Errorf("%w: it was just lost", hsm.ErrAway)
	}
	c.busy.Add(1)
	c.mu.Unlock()
	var session pkcs11.SessionHandle
	select {
	case session = <-c.sessions:
	case <-ctx.Done():
		c.busy.Done()
		return 0, fmt.Errorf("%w: all its sessions are busy", hsm.ErrAway)
	}
	if session != 0 {
		return session, nil
	}
	session, err := c.open()
	if err != nil {
		c.busy.Done()
		c.sessions <- 0
		return 0, c.kind(err)
	}
	return session, nil
}

// release gives a session back. After an error nobody knows what it still has in hand, so
// it is closed.
func (c *connection) release(session pkcs11.SessionHandle, err error) {
	if err != nil {
		_ = c.module.CloseSession(session) // it may be gone
		session = 0
	}
	c.sessions <- session
}

// check tells whether the token is there and still logged in to.
func (c *connection) check() error {
	info, err := c.module.GetTokenInfo(c.slot)
	if err != nil {
		return fmt.Errorf("asking for the token: %w", err)
	}
	if trim(info.SerialNumber) != c.serial {
		return fault.Say("another token is in its place")
	}
	session, err := c.module.GetSessionInfo(c.anchor)
	if err != nil {
		return fmt.Errorf("asking for the session: %w", err)
	}
	if session.State != pkcs11.CKS_RW_USER_FUNCTIONS {
		return fault.Say("somebody logged the token out")
	}
	_, err = c.search(c.anchor, 1, pkcs11.NewAttribute(pkcs11.CKA_LABEL, "keyward heartbeat"))
	return err
}

// close ends the connection when the calls under way are done, and the module with it: many
// see a token that came back only then.
func (c *connection) close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.busy.Wait()
	_ = c.module.CloseAllSessions(c.slot) // the token may be gone
	if err := c.module.Finalize(); err != nil && !is(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return fmt.Errorf("finalising the PKCS#11 module: %w", err)
	}
	return nil
}

// kind gives an error of the module the kind that the protocol knows, and has the token
// looked for where the error tells that it is gone.
func (c *connection) kind(err error) error {
	switch {
	case err == nil:
		return nil
	case is(err, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED, pkcs11.CKR_SLOT_ID_INVALID,
		pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED, pkcs11.CKR_USER_NOT_LOGGED_IN):
		select {
		case c.lost <- err:
		default: // it is known
		}
		return fmt.Errorf("%w: %w", hsm.ErrAway, err)
	case is(err, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_DEVICE_MEMORY):
		select {
		case c.doubt <- struct{}{}:
		default: // it will be looked at anyway
		}
	case is(err, pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_KEY_SIZE_RANGE, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID,
		pkcs11.CKR_ATTRIBUTE_VALUE_INVALID, pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_DOMAIN_PARAMS_INVALID, pkcs11.CKR_FUNCTION_NOT_SUPPORTED,
		pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, pkcs11.CKR_CURVE_NOT_SUPPORTED):
		return fmt.Errorf("%w: %w", hsm.ErrUnsupported, err)
	}
	return err
}

// is tells whether err is one of the module's return values.
func is(err error, values ...pkcs11.Error) bool {
	var value pkcs11.Error
	if !errors.As(err, &value) {
		return false
	}
	for _, v := range values {
		if value == v {
			return true
		}
	}
	return false
}

// search answers the objects of a template, at most so many.
func (c *connection) search(session pkcs11.SessionHandle, most int, template ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := c.module.FindObjectsInit(session, template); err != nil {
		return nil, fmt.Errorf("searching the token: %w", err)
	}
	found, _, err := c.module.FindObjects(session, most)
	if end := c.module.FindObjectsFinal(session); err == nil {
		err = end
	}
	if err != nil {
		return nil, fmt.Errorf("searching the token: %w", err)
	}
	return found, nil
}
