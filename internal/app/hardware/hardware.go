// Package hardware wires the hardware token into the server: the client of the helper, the
// keystore of hardware keys, what opens root envelopes, metrics and log lines. Only
// package app calls it. A server need not have a token; everything answers that, then.
package hardware

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/keyward/keyward/internal/config"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/hsm/keystore"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/server"
)

// A Token is the server's hardware token, if it has one. It may be used concurrently.
type Token struct {
	client  *hsm.Client // nil if the configuration names none
	metrics *server.Metrics
	logger  *slog.Logger
}

// New answers the token that the configuration names; nothing is connected yet.
func New(c config.PKCS11, m *server.Metrics, logger *slog.Logger) (*Token, error) {
	t := &Token{metrics: m, logger: logger}
	if c.Socket == "" {
		return t, nil
	}
	users, err := hsm.Users(c.Users)
	if err != nil {
		return nil, fmt.Errorf("reading pkcs11.users: %w", err)
	}
	t.client = hsm.NewClient(hsm.Options{Socket: c.Socket, Users: users, Connections: c.Connections, Note: m.TokenCall})
	return t, nil
}

// Device answers the token as package seal knows it; nil if there is none.
func (t *Token) Device() seal.Device {
	if t.client == nil {
		return nil
	}
	return hsm.SealKeys{Client: t.client}
}

// Status answers how the token stands. No token is an UnsupportedOperation fault.
func (t *Token) Status(ctx context.Context) (hsm.Status, error) {
	if t.client == nil {
		return hsm.Status{}, fault.UnsupportedOperation.New("this server has no hardware token; name its helper in the section pkcs11 of the configuration")
	}
	return t.client.Standing(ctx), nil
}

// Ready answers nil if there is a token that works now, and otherwise UnsupportedOperation or
// KeyUnavailable.
func (t *Token) Ready(ctx context.Context) error {
	status, err := t.Status(ctx)
	if err == nil && status.State != hsm.Ready {
		err = fault.KeyUnavailable.New("The hardware token cannot be used now: %s.", status.Trouble())
	}
	return err
}

// Watch notes how the token stands, and says so when that changes, until ctx ends.
func (t *Token) Watch(ctx context.Context) error {
	if t.client == nil {
		return nil
	}
	var last hsm.State
	t.client.Watch(ctx, func(s hsm.Status) {
		t.metrics.TokenState(s.State == hsm.Ready, s.Lost)
		if s.State != last {
			last = s.State
			t.logger.Info("the hardware token", "state", s.State, "detail", s.Detail, "serial", s.Serial)
		}
	})
	return nil
}

// Stored answers a stored version of a key.
type Stored func(ctx context.Context, account string, k key.ID, v key.VersionID) (key.Version, error)

// Keys makes the keystore of hardware keys; nil if there is no token.
func (t *Token) Keys(now func() time.Time, stored Stored) *keystore.Keystore {
	if t.client == nil {
		return nil
	}
	return keystore.New(keystore.Options{Client: t.client, Now: now, Stored: stored})
}

// Choose answers where the material of a key lives: in the database; of hardware keys in the
// token, of which there may be none; of external keys at their managers.
func Choose(software, external key.Keystore, hardware *keystore.Keystore) func(context.Context, key.Key) (key.Keystore, error) {
	return func(_ context.Context, k key.Key) (key.Keystore, error) {
		switch {
		case k.Origin == key.OriginManager:
			return external, nil
		case k.ProtectionLevel != key.LevelHSM:
			return software, nil
		case hardware == nil:
			return nil, fault.UnsupportedOperation.New("This server has no hardware token; leave ProtectionLevel out, or have the operator name the token's helper in the section pkcs11 of the configuration.")
		}
		return hardware, nil
	}
}
