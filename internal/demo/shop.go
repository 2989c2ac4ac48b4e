package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cloud/paysim"
)

const (
	payEvery = 60 * time.Millisecond
	patience = 10 * time.Second // for one payment
	attempts = 3                // at one order, if the platform cannot be reached
)

// A till takes payments: the one thing that may never fail.
type till struct {
	name string
	url  string // of the platform
	http *http.Client

	paid, failed atomic.Int64
	skipped      atomic.Int64           // nothing was sent: the shop was shut
	why          atomic.Pointer[string] // of the last payment that failed
}

// run pays an order again and again, until ctx ends. The last one is paid to its end.
func (t *till) run(ctx context.Context, pay func(ctx context.Context, order string) error) {
	tick := time.NewTicker(payEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch err := pay(context.WithoutCancel(ctx), fmt.Sprintf("%s/%d", t.name, n)); {
		case err == nil:
			t.paid.Add(1)
		case errors.Is(err, errShut):
			t.skipped.Add(1)
		default:
			t.failed.Add(1)
			text := err.Error()
			t.why.Store(&text)
		}
	}
}

// reason answers why a payment failed; "" if none did.
func (t *till) reason() string {
	if why := t.why.Load(); why != nil {
		return t.name + ": " + *why
	}
	return ""
}

// pay sends one payment, signed with a key. An order that is paid twice is paid once, so it
// is sent again when the platform did not answer.
func (t *till) pay(ctx context.Context, order, id, secret string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body := fmt.Appendf(nil, `{"order":%q,"amount":100,"currency":"CNY"}`, order)
	for range attempts {
		var again bool
		if again, err = t.send(ctx, body, id, secret); err == nil || !again {
			return err
		}
	}
	return err
}

// send sends a payment once, and tells whether it may be sent again.
func (t *till) send(ctx context.Context, body []byte, id, secret string) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/v1/payments", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Pay-Key", id)
	r.Header.Set("Pay-Signature", paysim.Sign([]byte(secret), body))
	resp, err := t.http.Do(r)
	if err != nil {
		return true, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	switch {
	case err != nil:
		return true, err
	case resp.StatusCode == http.StatusUnauthorized:
		return false, fmt.Errorf("%w: %s", client.ErrRefused, bytes.TrimSpace(answer))
	case resp.StatusCode != http.StatusOK:
		return false, fmt.Errorf("the platform answers %d: %s", resp.StatusCode, bytes.TrimSpace(answer))
	}
	return false, nil
}

// A shop is a node's program: it pays with the key that its agent has.
type shop struct {
	*till
	key *client.Key
}

// openShop opens a shop's key, which waits until its agent has it.
func openShop(ctx context.Context, t *till, socket string) (*shop, error) {
	key, err := client.OpenKey(ctx, client.KeyOptions{Agent: client.AgentConfig{Address: socket}, Rollout: rolloutName})
	if err != nil {
		return nil, err
	}
	return &shop{till: t, key: key}, nil
}

func (s *shop) run(ctx context.Context) {
	defer s.key.Close()
	s.till.run(ctx, func(ctx context.Context, order string) error {
		return s.key.Do(ctx, func(c client.Credential) error {
			id, secret := c.Part("key_id"), c.Part("key_secret")
			if id == "" || secret == "" {
				return errors.New("the agent has no key")
			}
			return s.pay(ctx, order, id, secret)
		})
	})
}
