package agentapi_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent"
	"github.com/keyward/keyward/internal/agent/config"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/server/agentapi"
	"github.com/keyward/keyward/internal/store/storetest"
)

// The agent that is shipped and the server that is shipped understand each other: it joins
// once, writes what is published, survives a restart without the server, and its
// acknowledgements are believed.
func TestShippedAgent(t *testing.T) {
	reported := make(chan struct{}, 1000)
	w := newDatabase(t, storetest.SQLite(t)).open(t, origin, func(o *agentapi.Options) {
		o.Now = func() time.Time {
			select {
			case reported <- struct{}{}:
			default:
			}
			return time.Now()
		}
	})
	w.rollout(t, "pay")
	dir := t.TempDir()
	c, err := config.Parse(fmt.Sprintf("state = %q\nlisten = %q\n[[deliver]]\nrollout = \"pay\"\n[[deliver.file]]\npath = %q\npart = \"value\"\n[deliver.probe]\ncommand = [\"/bin/grep\", \"fake-pay\", %q]\n",
		dir+"/state", dir+"/s", dir+"/key", dir+"/key"), dir)
	check(t, err)
	j := agent.Joining{Server: w.url, State: c.State, Token: api.SecretText(w.token(t)), Name: "web-1", Now: time.Now}
	_, err = agent.Join(t.Context(), j)
	check(t, err)
	start := func() (*agent.Agent, func()) {
		a, err := agent.New(agent.Options{Config: c, Version: "test", Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		return a, func() {
			cancel()
			check(t, <-ended)
		}
	}
	await := func(what func() error) {
		t.Helper()
		late := time.After(30 * time.Second)
		for err := what(); err != nil; err = what() {
			select {
			case <-reported:
			case <-late:
				t.Fatal(err)
			}
		}
	}
	used := func(generation int64) func() error {
		return func() error {
			if m := w.member(t, "pay", "web-1"); m.Ack.Generation != generation || !m.There(rollout.Used) || m.Ack.Error != "" || m.Ack.UsedAt.IsZero() || m.Presence.Trouble != "" {
				return fmt.Errorf("it stands at %+v", m)
			}
			return nil
		}
	}
	holds := func(want string) func() error {
		return func() error {
			if got, err := os.ReadFile(filepath.Join(dir, "key")); err != nil || string(got) != want {
				return fmt.Errorf("the file holds %q, want %q, %w", got, want, errors.Join(err))
			}
			return nil
		}
	}
	a, stop := start()
	await(used(1))
	w.publish(t, "pay", "v2")
	await(used(2))
	check(t, holds("fake-pay-v2")())
	if k, _, ok := a.Key("pay"); !ok || k.Fallback.Version != "v1" || k.Fallback.Parts[delivery.ValuePart] != "fake-pay-1" {
		t.Errorf("%+v", k)
	}
	stop()
	_, err = w.Publish(t.Context(), root(), "pay", "v1") // back, which is a new generation
	check(t, err)
	_, stop = start()
	await(used(3))
	check(t, holds("fake-pay-1")())
	stop()
}
