package cli

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

// A confirmation takes its own line: what is typed next, such as a code or a passphrase, is there
// for whoever asks next.
func TestConfirmTakesOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		typed, person := io.Pipe()
		c := &Run{In: typed, Err: io.Discard, Interactive: true}
		go func() { _, _ = io.WriteString(person, "yes\r\n") }()
		if err := c.Confirm(t.Context(), "yes", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // whoever read on would have begun
		go func() {
			_, _ = io.WriteString(person, "123456\n")
			_ = person.Close()
		}()
		if rest, err := io.ReadAll(typed); err != nil || string(rest) != "123456\n" {
			t.Errorf("%q is left, %v", rest, err)
		}
	})
}

func TestConfirmRefusesAnotherWord(t *testing.T) {
	for _, typed := range []string{"no\n", "\n", "", "yesyes\n", "y"} {
		in, person := io.Pipe()
		go func() {
			_, _ = io.WriteString(person, typed)
			_ = person.Close()
		}()
		if (&Run{In: in, Err: io.Discard, Interactive: true}).Confirm(t.Context(), "yes", "") == nil {
			t.Errorf("%q confirms", typed)
		}
	}
}

// unread fails the test of whoever reads it.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("standard input was read")
	return 0, io.EOF
}

// Who reads a file leaves standard input alone, on which a person may be asked something.
func TestInputLeavesStandardInputAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(name, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := &Run{In: unread{t}}
		if document, err := c.ReadDocument(t.Context(), name); err != nil || document != "{}" {
			t.Errorf("%q, %v", document, err)
		}
		synctest.Wait()
	})
}
