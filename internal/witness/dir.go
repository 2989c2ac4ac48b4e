package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/cosign"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/fault"
)

const keyFile = "witness.key"

// Init makes the key of a new witness in a state directory, which must not have one,
// and answers its verifier key.
func Init(dir, name string) (public string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making a witness: %w", err)
	}
	path := filepath.Join(dir, keyFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return "", fault.ResourceExists.New("%s exists; a witness keeps its key", path)
	}
	private, public, err := cosign.GenerateKey(name)
	if err != nil {
		return "", err
	}
	return public, durable.Replace(path, []byte(private+"\n"))
}

// ReadKey reads the key of the witness in a state directory, which nobody else may be
// able to read.
func ReadKey(dir string) (*cosign.Signer, error) {
	path := filepath.Join(dir, keyFile)
	if err := durable.RequirePrivate(path); err != nil {
		return nil, fmt.Errorf("reading the witness's key: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the witness's key: %w", err)
	}
	return cosign.NewSigner(strings.TrimSpace(string(text)))
}

// Lock makes this process the only user of a state directory, until unlock is called or
// the process ends.
func Lock(dir string) (unlock func(), err error) {
	unlock, err = durable.Lock(filepath.Join(dir, "lock"))
	if errors.Is(err, durable.ErrLocked) {
		return nil, fault.StateConflict.New("another witness uses %s; stop it first", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("locking the witness's state: %w", err)
	}
	return unlock, nil
}

// A Standing is what a state directory holds of one log.
type Standing struct {
	Origin     string
	Size       int64     // of the newest cosigned checkpoint
	At         time.Time // when it grew to that
	Checkpoint []byte    // cosigned
	Conflicts  []string  // files
}

// Inspect reads a state directory, also of a running witness. Logs of which nothing was
// cosigned are left out.
func Inspect(dir string) ([]Standing, error) {
	signer, err := ReadKey(dir)
	if err != nil {
		return nil, err
	}
	self, err := cosign.NewVerifier(signer.PublicKey())
	if err != nil {
		return nil, err
	}
	files, err := durable.List(dir, "*/"+checkpointFile)
	if err != nil {
		return nil, fmt.Errorf("reading the witness's state: %w", err)
	}
	var all []Standing
	for _, file := range files {
		h, err := readHeld(filepath.Dir(file), nil, self)
		if err != nil {
			return nil, err
		}
		kept, err := conflicts(filepath.Dir(file))
		if err != nil {
			return nil, fmt.Errorf("reading the witness's state: %w", err)
		}
		all = append(all, Standing{h.origin, h.size, h.at, h.note, kept})
	}
	return all, nil
}
