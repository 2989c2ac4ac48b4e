package engine_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/secret"
	"github.com/keyward/keyward/internal/store/storetest"
)

// While a rotation is under way nobody else changes what readers of its secret get. Who pauses it
// may; then it ends no key while readers may have it, tells somebody, and goes on when the
// secret is as it was, or goes back.
func TestTheSecretIsChangedBehindARotation(t *testing.T) {
	ctx := context.Background()
	value := material.NewBytes([]byte(`{"key_id":"AK-of-somebody","key_secret":"fake"}`))
	var first string // version, with the old key
	changes := map[string]func(w *world, c *authz.Call) error{
		"put": func(w *world, c *authz.Call) error {
			_, _, err := w.secrets.Put(ctx, c, secret.PutInput{Secret: "pay/key", Data: value})
			return err
		},
		"roll back": func(w *world, c *authz.Call) error { _, err := w.secrets.Rollback(ctx, c, "pay/key", ""); return err },
		"move the stage": func(w *world, c *authz.Call) error {
			_, err := w.secrets.MoveStage(ctx, c, secret.MoveInput{Secret: "pay/key", Stage: secret.Current, To: first})
			return err
		},
		"delete": func(w *world, c *authz.Call) error {
			_, err := w.secrets.Delete(ctx, c, secret.DeleteInput{Secret: "pay/key"})
			return err
		},
	}
	for name, change := range changes {
		for _, step := range []rotation.Step{rotation.Grace, rotation.Observing} {
			t.Run(name+" at "+string(step), func(t *testing.T) {
				w := newWorld(t, storetest.SQLite(t))
				old := w.alive()[0]
				first, _, _ = strings.Cut(w.stages(t, "pay/key"), " ")
				_, err := w.Start(ctx, root(), engine.StartInput{Plan: "pay"})
				check(t, err)
				r := w.until(t, step, 10*time.Minute)
				if err := change(w, root()); !fault.Is(err, fault.ResourceInUse) || !strings.Contains(err.Error(), "keyward rotation pause pay") {
					t.Fatalf("it is answered by %v", err)
				}
				if _, _, err := w.secrets.Put(ctx, root(), secret.PutInput{Secret: "pay/key", Data: value, Stages: []secret.Stage{"Mine"}}); err != nil {
					t.Errorf("a version that no reader gets: %v", err)
				}
				_, err = w.Pause(ctx, root(), "pay")
				check(t, err)
				check(t, change(w, root()))
				_, err = w.Resume(ctx, root(), "pay")
				check(t, err)
				w.idle(t, 30*time.Minute, 10*time.Minute)
				if now := w.rotation(t); now.Halt != rotation.SecretChanged || now.Step != step {
					t.Fatalf("it is %s, %s: %s", now.Step, now.Halt, now.Detail)
				}
				if c, ok := w.told.open["rotation-stuck/pay"]; !ok || !strings.Contains(w.rotation(t).Detail, "pay/key") {
					t.Errorf("the incident is %+v", c)
				}
				w.idle(t, 4*24*time.Hour, 6*time.Hour)
				if !slices.Contains(w.alive(), old) {
					t.Fatal("the old key was ended")
				}
				if name == "delete" {
					_, err = w.secrets.Restore(ctx, root(), "pay/key")
				} else {
					_, err = w.secrets.Rollback(ctx, root(), "pay/key", r.New.Version)
				}
				check(t, err)
				_, err = w.Resume(ctx, root(), "pay")
				check(t, err)
				w.until(t, rotation.Done, 30*time.Minute)
				w.pass(t, time.Minute, 10*time.Second)
				w.whole(t, r.New.ID)
			})
		}
	}
}

// idle lets time pass in which no shop pays: of a secret that is about to be deleted none could.
func (w *world) idle(t *testing.T, d, step time.Duration) {
	t.Helper()
	for ; d > 0; d -= step {
		w.mu.Lock()
		w.now = w.now.Add(step)
		w.mu.Unlock()
		_, err := w.jobs.Step(t.Context())
		check(t, err)
	}
}

// What was changed while it was paused is undone by going back, too.
func TestGoingBackFromAChangedSecret(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	old := w.alive()[0]
	_, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	w.until(t, rotation.Grace, 10*time.Minute)
	_, err = w.Pause(t.Context(), root(), "pay")
	check(t, err)
	_, err = w.secrets.Rollback(t.Context(), root(), "pay/key", "")
	check(t, err)
	_, err = w.Resume(t.Context(), root(), "pay")
	check(t, err)
	w.pass(t, 30*time.Minute, 10*time.Minute)
	_, err = w.RollBack(t.Context(), root(), "pay", "the secret was changed")
	check(t, err)
	w.until(t, rotation.Aborted, time.Minute)
	w.pass(t, time.Minute, 10*time.Second)
	w.whole(t, old)
}
