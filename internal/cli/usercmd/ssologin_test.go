package usercmd

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

// Who pasted the address may still be asked for a code, which is there when it is asked for.
func TestCodeAfterThePastedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		typed, person := io.Pipe()
		l := &ssoLogin{
			Dialogue: &remote.Dialogue{Run: &cli.Run{Lang: cli.English, In: typed, Err: io.Discard}},
			begun:    api.SSOTransaction{State: "fake-state", ExpiresAt: time.Now().Add(time.Minute)},
		}
		go func() { _, _ = io.WriteString(person, "http://127.0.0.1:8400/callback?code=c&state=fake-state\r\n") }()
		if back, err := l.visit(t.Context()); err != nil || back.Get("code") != "c" {
			t.Fatal(back, err)
		}
		synctest.Wait() // whoever read on would have begun
		go func() { _, _ = io.WriteString(person, "123456\r\n") }()
		if code, err := l.second(t.Context(), nil); err != nil || code != "123456" {
			t.Errorf("%q, %v", string(code), err)
		}
	})
}
