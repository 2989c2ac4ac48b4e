package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/seal/sealtest"
)

// A device keeps the contract of seal.Device with keys in memory.
type device struct {
	keys map[string]*material.AEAD
	away bool
}

func (d *device) NewSealKey(_ context.Context, name string) error {
	aead, err := material.NewAEAD(material.SuiteAES, material.Random(32))
	if d.away {
		err = fault.Unavailable.New("it is away")
	}
	d.keys[name] = aead
	return err
}

func (d *device) WrapRoot(_ context.Context, name string, secret material.Bytes) ([]byte, error) {
	return d.keys[name].Seal(nil, secret.Expose(), []byte(name))
}

func (d *device) UnwrapRoot(_ context.Context, name string, wrapped []byte) (material.Bytes, error) {
	if d.away {
		return material.Bytes{}, fault.Unavailable.New("it is away")
	}
	if d.keys[name] == nil {
		return material.Bytes{}, fault.StateConflict.New("it is another device's")
	}
	secret, ok := d.keys[name].Open(0, wrapped, []byte(name))
	if !ok {
		return material.Bytes{}, errors.New("the device opened nothing")
	}
	return secret, nil
}

// found founds a hierarchy that opens with a device.
func found(t *testing.T, d *device) *sealtest.Store {
	t.Helper()
	p, err := seal.Protection{Name: "hsm", Device: true}.WithKey(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	store := sealtest.NewStore()
	keyring, _, err := seal.Found(t.Context(), store, p, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	keyring.Close()
	return store
}

func newDevice() *device { return &device{keys: map[string]*material.AEAD{}} }

func TestDeviceOpens(t *testing.T) {
	d := newDevice()
	store := found(t, d)
	with, err := seal.WithDevice(t.Context(), store, d)
	if err != nil {
		t.Fatal(err)
	}
	root, err := seal.Open(t.Context(), store, with)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if e := root.Envelope(); e.Provider != "pkcs11" || e.Title() != "hsm" {
		t.Errorf("opened by %s %s", e.Provider, e.Title())
	}
	if _, err := seal.Open(t.Context(), store, seal.WithPassphrase(passphrase(sealtest.Passphrase))); !fault.Is(err, fault.StateConflict) {
		t.Errorf("with a passphrase: %v", err)
	}
	if _, err := seal.Open(t.Context(), store, with); err == nil {
		t.Error("an opener opened twice: its keys were not erased")
	}
}

func TestDeviceRefuses(t *testing.T) {
	d := newDevice()
	store := found(t, d)
	if _, err := seal.WithDevice(t.Context(), store, newDevice()); !fault.Is(err, fault.StateConflict) {
		t.Errorf("another device: %v", err)
	}
	other, _ := initialized(t)
	if _, err := seal.WithDevice(t.Context(), other, d); !fault.Is(err, fault.StateConflict) {
		t.Errorf("a store without its envelope: %v", err)
	}
	d.away = true
	if _, err := seal.WithDevice(t.Context(), store, d); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a device that is away: %v", err)
	}
	if _, err := (seal.Protection{Device: true}).WithKey(t.Context(), d); !fault.Is(err, fault.Unavailable) {
		t.Errorf("making a key in it: %v", err)
	}
	d.away = false
	for n := range rowsOf(t, store).envelopes[0].Params {
		r := rowsOf(t, store)
		r.envelopes[0].Params[n] ^= 1
		with, err := seal.WithDevice(t.Context(), r, d)
		if err != nil {
			continue
		}
		root, err := seal.Open(t.Context(), r, with)
		if err == nil {
			root.Close()
		}
		if !fault.Is(err, fault.StateConflict) {
			t.Errorf("byte %d of the parameters altered: %v", n, err)
		}
	}
	for _, params := range []string{``, `null`, `{}`, `{"algorithm":"rot13","key":"AA=="}`, `{"algorithm":"aes-256-gcm","key":"AA==","more":1}`,
		`{"algorithm":"aes-256-gcm","key":"AA=="}{}`, fmt.Sprintf(`{"algorithm":"aes-256-gcm","key":"%s"}`, bytes.Repeat([]byte("AAAA"), 100))} {
		r := rowsOf(t, store)
		r.envelopes[0].Params = []byte(params)
		if _, err := seal.WithDevice(t.Context(), r, d); err == nil {
			t.Errorf("the parameters %.40s are accepted", params)
		}
	}
	r := rowsOf(t, store)
	r.envelopes[0].Wrapped = bytes.Clone(r.envelopes[0].Wrapped)
	r.envelopes[0].Wrapped[20] ^= 1
	with, err := seal.WithDevice(t.Context(), r, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(t.Context(), r, with); !fault.Is(err, fault.StateConflict) || !strings.Contains(fault.Message(err), "restore it from a backup") {
		t.Errorf("a damaged envelope: %v", err)
	}
	if _, err := seal.WithDevice(t.Context(), store, nil); !fault.Is(err, fault.UnsupportedOperation) {
		t.Errorf("no device: %v", err)
	}
	if _, err := (seal.Protection{Device: true}).WithKey(t.Context(), nil); !fault.Is(err, fault.UnsupportedOperation) {
		t.Errorf("a key of no device: %v", err)
	}
	p := seal.Protection{Name: "hsm", Device: true, Shares: 3, Threshold: 2}
	if err := p.Check(); !fault.Is(err, fault.InvalidParameter) {
		t.Errorf("shares and a device: %v", err)
	}
}
