//go:build cgo

package token

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
)

// A refusal is why nobody can log in before a person acts.
type refusal struct{ fault.Text }

func refuse(why fault.Text) error { return &refusal{why} }

// login logs the sessions of the process in, if that cannot lock the PIN. The marker is
// there before a PIN is tried and goes when it was right: whoever is killed in between
// does not try it again.
func (t *Token) login(session pkcs11.SessionHandle, flags uint) error {
	switch {
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return refuse(fault.Say("the PIN of the token %s is locked; its security officer must set a new one", t.Label))
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return refuse(fault.Say("one more wrong PIN locks the token %s, so none is tried; log in once by hand, for example with: pkcs11-tool --login --test", t.Label))
	case flags&pkcs11.CKF_USER_PIN_TO_BE_CHANGED != 0:
		return refuse(fault.Say("the PIN of the token %s must be changed first", t.Label))
	}
	pin, err := t.PIN()
	if err != nil {
		return refuse(fault.Say("the PIN cannot be read: %v", err))
	}
	defer pin.Zero()
	if known, err := t.wasRefused(pin); err != nil || known {
		return errors.Join(err, t.wrongPIN())
	}
	if err := t.mark(pin); err != nil {
		return fmt.Errorf("noting that a PIN is tried: %w", err)
	}
	err = t.module.Login(session, pkcs11.CKU_USER, string(pin.Expose()))
	switch {
	case is(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE):
		return t.wrongPIN()
	case is(err, pkcs11.CKR_PIN_LOCKED):
		return refuse(fault.Say("the PIN of the token %s is locked; its security officer must set a new one", t.Label))
	case is(err, pkcs11.CKR_PIN_EXPIRED):
		return refuse(fault.Say("the PIN of the token %s has expired and must be changed first", t.Label))
	case is(err, pkcs11.CKR_USER_PIN_NOT_INITIALIZED):
		return refuse(fault.Say("the token %s has no user PIN yet; its security officer must set one", t.Label))
	}
	// Whatever else happened, it does not tell that the PIN is wrong.
	if removed := os.Remove(t.Marker); err == nil || is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		return removed
	}
	return fmt.Errorf("logging in: %w", err)
}

func (t *Token) wrongPIN() error {
	return refuse(fault.Say("the PIN is not that of the token %s; it was tried once and is not tried again: write the right one to where it is read from", t.Label))
}

// wasRefused tells whether this PIN was tried without success.
func (t *Token) wasRefused(pin material.Bytes) (bool, error) {
	content, err := os.ReadFile(t.Marker)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading which PIN was refused: %w", err)
	}
	text, sum, _ := strings.Cut(strings.TrimSpace(string(content)), " ")
	salt, err := hex.DecodeString(text)
	if err != nil {
		return false, fmt.Errorf("reading which PIN was refused: %w; remove %s", err, t.Marker)
	}
	return subtle.ConstantTimeCompare([]byte(digest(salt, pin)), []byte(sum)) == 1, nil
}

// mark remembers the PIN that is tried now, as a salted digest: it is worth something to
// nobody who cannot read the PIN itself, unless it is right, and then it goes at once.
func (t *Token) mark(pin material.Bytes) error {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	return durable.Replace(t.Marker, []byte(hex.EncodeToString(salt)+" "+digest(salt, pin)+"\n"))
}

func digest(salt []byte, pin material.Bytes) string {
	h := sha256.New()
	h.Write(salt)
	h.Write(pin.Expose())
	return hex.EncodeToString(h.Sum(nil))
}
