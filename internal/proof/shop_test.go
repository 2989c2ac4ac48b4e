package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cloud/paysim"
)

// A shop is a program that pays for orders, one after the other, for as long as it runs,
// with the key of one merchant from the agent of its machine. What a real program does is
// all that it does: an answer that did not come or made no sense lets it send the same
// order again; a refused key is left to the handle.
type shop struct {
	name     string
	platform string // URL
	http     *http.Client
	key      *client.Key
	random   *rand.Rand
	sales    *sales
}

// sales are what became of all orders of all shops.
type sales struct {
	orders atomic.Int64 // that were paid
	again  atomic.Int64 // payments that were sent again: no answer, or none that made sense

	mu     sync.Mutex // guards failed
	failed []string   // orders that the handle could not pay for the key's sake
}

// open opens a shop that trades until ctx ends.
func (s *shop) open(t *testing.T, ctx context.Context, agent *nodeAgent, rollout string, trading *sync.WaitGroup) {
	t.Helper()
	patience, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	s.key, err = client.OpenKey(patience, client.KeyOptions{Agent: client.AgentConfig{Address: agent.socket()}, Rollout: rollout})
	if err != nil {
		t.Fatalf("%s: %v\n%s", s.name, err, agent.lastWords())
	}
	trading.Go(func() {
		defer s.key.Close()
		for n := 0; ctx.Err() == nil; n++ {
			s.sell(ctx, fmt.Sprintf("%s-%d", s.name, n))
			rest(ctx, time.Duration(150+s.random.IntN(300))*time.Millisecond)
		}
	})
}

// sell has one order paid, however often that takes.
func (s *shop) sell(ctx context.Context, order string) {
	for ctx.Err() == nil {
		err := s.key.Do(ctx, func(c client.Credential) error { return s.pay(ctx, c, order) })
		switch {
		case err == nil:
			s.sales.orders.Add(1)
			return
		case errors.Is(err, client.ErrRefused):
			s.sales.mu.Lock()
			s.sales.failed = append(s.sales.failed, fmt.Sprintf("%s at %s: %v", order, time.Now().UTC().Format(time.TimeOnly), err))
			s.sales.mu.Unlock()
			return
		}
		s.sales.again.Add(1)
		rest(ctx, 50*time.Millisecond)
	}
}

// pay sends one payment.
func (s *shop) pay(ctx context.Context, c client.Credential, order string) error {
	body, err := json.Marshal(map[string]any{"order": order, "amount": 100, "currency": "CNY"})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.platform+"/v1/payments", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Pay-Key", c.Part("key_id"))
	r.Header.Set("Pay-Signature", paysim.Sign([]byte(c.Part("key_secret")), body))
	resp, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w: version %s, key %s: %s", client.ErrRefused, c.Version, c.Part("key_id"), answer)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the platform answered %s", resp.Status)
	}
	return nil
}

// rest waits for a time, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
