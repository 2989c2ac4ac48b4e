package operatorcmd

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/clitest"
)

// A passphrase is asked for twice when it is new, and never shown.
func TestPassphraseFromTheTerminal(t *testing.T) {
	t.Setenv("KEYWARD_PASSPHRASE", "")
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	for _, test := range []struct {
		name  string
		typed []string
		isNew bool
		want  string
	}{
		{"known", []string{"a fake passphrase"}, false, "a fake passphrase"},
		{"new", []string{"a fake passphrase", "a fake passphrase"}, true, "a fake passphrase"},
		{"mistyped", []string{"a fake passphrase", "another"}, true, ""},
		{"ended", nil, true, ""},
	} {
		s := clitest.New(t.TempDir(), cli.English, nil)
		s.Prepare(nil)
		s.Interactive = true
		s.ReadPassword = func(context.Context) ([]byte, error) {
			if len(test.typed) == 0 {
				return nil, errors.New("the terminal is gone")
			}
			line := []byte(test.typed[0])
			test.typed = test.typed[1:]
			return line, nil
		}
		p, err := (&operation{Run: &s.Run}).passphrase(t.Context(), test.isNew)
		if !bytes.Equal(p.Expose(), []byte(test.want)) || (err == nil) != (test.want != "") || len(test.typed) > 0 {
			t.Errorf("%s: error %v, %d left", test.name, err, len(test.typed))
		}
	}
}
