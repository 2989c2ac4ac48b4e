package secretcmd

import (
	"bytes"
	"testing"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

// A value with lines, such as a certificate, is shown with them; nothing in it commands the terminal.
func TestValueOnTheTerminal(t *testing.T) {
	var out bytes.Buffer
	p := cli.Place{Run: &cli.Run{Out: &out, OutTerminal: true}}
	if err := writeValue(p, "", api.SecretValue{Value: []byte("first\nsec\x1b[2Jond")}); err != nil {
		t.Fatal(err)
	}
	if want := "first\nsec\ufffd[2Jond\n"; out.String() != want {
		t.Errorf("%q is shown, want %q", out.String(), want)
	}
}
