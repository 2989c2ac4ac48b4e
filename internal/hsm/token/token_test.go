//go:build cgo

package token_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/hsm/hsmtest"
	"github.com/keyward/keyward/internal/hsm/token"
	"github.com/keyward/keyward/internal/material"
)

// A world is a token in this process, whose operations hang while they shall.
type world struct {
	*token.Token
	hang    atomic.Bool
	release chan struct{} // closed: what hangs goes on
	ended   chan error
	request hsm.Request // encrypts with a key that is there
}

const sessions = 2

func start(t *testing.T, patience time.Duration) *world {
	t.Helper()
	d := hsmtest.New(t)
	t.Setenv("SOFTHSM2_CONF", filepath.Join(d.Dir, "softhsm2.conf")) // the module reads it in this process
	w := &world{release: make(chan struct{}), ended: make(chan error, 1)}
	var err error
	w.Token, err = token.New(token.Options{
		Module: d.Module, Label: hsmtest.Label, Sessions: sessions, Marker: filepath.Join(d.Dir, "marker"), Patience: patience,
		PIN: func() (material.Bytes, error) { return material.NewBytes([]byte(hsmtest.PIN)), nil },
		Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Before: func(hsm.Op) {
			if w.hang.Load() {
				<-w.release
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { w.ended <- w.Run(ctx) }()
	t.Cleanup(cancel)
	id := make([]byte, 16)
	rand.Read(id)
	w.request = hsm.Request{Op: hsm.OpGenerate, Label: "keyward/hang", ID: id, Spec: "Aliyun_AES_256"}
	for began := time.Now(); ; {
		a := w.Do(ctx, w.request)
		if a.Code == hsm.CodeOK {
			break
		}
		if a.Code != hsm.CodeAway || time.Since(began) > 30*time.Second {
			t.Fatal(a.Text)
		}
	}
	w.request.Op, w.request.Data = hsm.OpEncrypt, []byte("x")
	return w
}

func (w *world) do() hsm.Answer {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	return w.Do(ctx, w.request)
}

// A call that hangs costs who waits for it his time, others one session, and nobody more;
// when it comes back at last its session is used again.
func TestHangingCall(t *testing.T) {
	w := start(t, 0)
	w.hang.Store(true)
	if a := w.do(); a.Code != hsm.CodeAway || !strings.Contains(a.Text, "in time") {
		t.Errorf("a call that hangs: %+v", a)
	}
	w.hang.Store(false)
	if a := w.do(); a.Code != hsm.CodeOK {
		t.Errorf("another call meanwhile: %+v", a)
	}
	w.hang.Store(true)
	w.do()
	w.hang.Store(false)
	if a := w.do(); a.Code != hsm.CodeAway || !strings.Contains(a.Text, "busy") {
		t.Errorf("a call when all sessions hang: %+v", a)
	}
	close(w.release)
	for began := time.Now(); w.do().Code != hsm.CodeOK; {
		if time.Since(began) > 10*time.Second {
			t.Fatal("the sessions do not come back")
		}
	}
}

// A module that does not come back ends the process, so that it is started anew.
func TestHungModule(t *testing.T) {
	w := start(t, 300*time.Millisecond)
	w.hang.Store(true)
	w.do()
	if err := <-w.ended; !errors.Is(err, token.ErrHung) {
		t.Errorf("it ended with: %v", err)
	}
	close(w.release)
}

func TestNoModule(t *testing.T) {
	path := filepath.Join(t.TempDir(), "module.so")
	if err := os.WriteFile(path, []byte("no module"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{path, path + ".missing"} {
		if _, err := token.New(token.Options{Module: module, Now: time.Now}); err == nil || errors.Is(err, token.ErrHung) {
			t.Errorf("%s: %v", module, err)
		}
	}
}
