package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"golang.org/x/crypto/argon2"
)

const (
	passphraseProvider    = "passphrase"
	minPassphraseLength   = 12      // characters
	maxPassphraseSize     = 4 << 10 // bytes
	passphraseCredential  = "keyward-passphrase"
	passphraseEnvironment = "KEYWARD_PASSPHRASE"
)

// A Cost says how much work turns a passphrase into a key, and so how much each
// guess costs an attacker who has the database.
type Cost struct {
	MemoryKiB uint32
	Time      uint32 // passes over the memory
	Threads   uint8
}

// ProductionCost suits passphrases that people choose: 256 MiB, four passes, about a second.
func ProductionCost() Cost { return Cost{MemoryKiB: 256 << 10, Time: 4, Threads: 1} }

// DevelopmentCost suits random passphrases of 256 bits, which no amount of work would find.
func DevelopmentCost() Cost { return Cost{MemoryKiB: 64 << 10, Time: 1, Threads: 1} }

// The bounds on what a store may ask of the machine that unseals it.
const (
	maxMemoryKiB = 2 << 20
	maxTime      = 16
	maxThreads   = 16
	minSaltSize  = 16
	maxSaltSize  = 64
)

func (c Cost) check() error {
	if c.MemoryKiB < 8*uint32(c.Threads) || c.MemoryKiB > maxMemoryKiB || c.Time < 1 || c.Time > maxTime || c.Threads < 1 || c.Threads > maxThreads {
		return fault.InvalidParameter.New("the cost of the passphrase is out of bounds; use at most %d KiB of memory, %d passes, %d threads",
			maxMemoryKiB, maxTime, maxThreads)
	}
	return nil
}

// passphraseParams is Envelope.Params of the passphrase provider.
type passphraseParams struct {
	Algorithm string `json:"algorithm"` // "argon2id", version 1.3
	MemoryKiB uint32 `json:"memoryKiB"`
	Time      uint32 `json:"time"`
	Threads   uint8  `json:"threads"`
	Salt      []byte `json:"salt"`
}

func newPassphraseParams(cost Cost) passphraseParams {
	p := passphraseParams{Algorithm: "argon2id", MemoryKiB: cost.MemoryKiB, Time: cost.Time, Threads: cost.Threads, Salt: make([]byte, minSaltSize)}
	rand.Read(p.Salt)
	return p
}

// parseParams reads and bounds the parameters of an envelope; nothing was computed yet.
func parseParams(document []byte) (passphraseParams, error) {
	p, err := readParams[passphraseParams](document)
	if err != nil {
		return p, err
	}
	if p.Algorithm != "argon2id" {
		return p, errors.New("the parameters name an unknown algorithm")
	}
	if len(p.Salt) < minSaltSize || len(p.Salt) > maxSaltSize {
		return p, fmt.Errorf("the parameters have a salt of %d bytes", len(p.Salt))
	}
	return p, Cost{MemoryKiB: p.MemoryKiB, Time: p.Time, Threads: p.Threads}.check()
}

// key derives the key of an envelope. It uses the memory and time that the parameters name.
func (p passphraseParams) key(passphrase material.Bytes) material.Bytes {
	return material.NewBytes(argon2.IDKey(passphrase.Expose(), p.Salt, p.Time, p.MemoryKiB, p.Threads, 32))
}

func checkPassphrase(passphrase material.Bytes) error {
	if utf8.RuneCount(passphrase.Expose()) < minPassphraseLength {
		return fault.InvalidParameter.New("the passphrase is too short; use at least %d characters", minPassphraseLength)
	}
	return nil
}

// ReadPassphrase reads a passphrase, or a share, from a file of at most 4 KiB; one line break at
// its end is dropped. The file must be regular, with mode 0600 or stricter, and
// belong to the user keyward runs as or to root; otherwise the answer is an
// InvalidParameter fault that says what to run.
func ReadPassphrase(path string) (material.Bytes, error) {
	return readPassphrase(path, 0o600)
}

// PassphraseFromEnvironment looks for a passphrase in the systemd credential
// "keyward-passphrase", then in the variable KEYWARD_PASSPHRASE, which it removes
// from the environment and, on Linux, erases where the kernel put it. The source answered
// is fit for a log line. A MissingParameter fault says that there is neither.
func PassphraseFromEnvironment() (passphrase material.Bytes, source string, err error) {
	passphrase, err = ReadCredential(passphraseCredential)
	if !errors.Is(err, fs.ErrNotExist) {
		return passphrase, "systemd credential " + passphraseCredential, err
	}
	value, found := os.LookupEnv(passphraseEnvironment)
	if !found || value == "" {
		return material.Bytes{}, "", fault.MissingParameter.New(
			"no passphrase: name a file, or set the systemd credential %s or the variable %s", passphraseCredential, passphraseEnvironment)
	}
	passphrase = material.NewBytes([]byte(value))
	if err := os.Unsetenv(passphraseEnvironment); err != nil {
		return material.Bytes{}, "", fmt.Errorf("removing %s from the environment: %w", passphraseEnvironment, err)
	}
	eraseEnvironment(passphraseEnvironment, value)
	return passphrase, "environment variable " + passphraseEnvironment, nil
}

// ReadCredential reads a systemd credential as [ReadPassphrase] reads a file. One that
// does not exist is fs.ErrNotExist, too.
func ReadCredential(name string) (material.Bytes, error) {
	directory := os.Getenv("CREDENTIALS_DIRECTORY")
	if directory == "" {
		return material.Bytes{}, fault.InvalidParameter.Wrap(fs.ErrNotExist, "there is no systemd credential %s", name)
	}
	// systemd makes credentials 0400, shown as 0440 when an access list is on them.
	return readPassphrase(filepath.Join(directory, name), 0o440)
}

// readPassphrase reads a file whose mode must lie within allowed. A missing file is fs.ErrNotExist.
func readPassphrase(path string, allowed fs.FileMode) (material.Bytes, error) {
	file, err := os.OpenFile(path, openFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return material.Bytes{}, fault.InvalidParameter.Wrap(err, "there is no file %q; check the path", path)
	}
	if err != nil {
		return material.Bytes{}, fault.InvalidParameter.Wrap(err, "the file %q cannot be opened; check its owner and mode", path)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return material.Bytes{}, fmt.Errorf("examining the file %q: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return material.Bytes{}, fault.InvalidParameter.New("the file %q is not a regular file", path)
	}
	if info.Mode().Perm()&^allowed != 0 {
		return material.Bytes{}, fault.InvalidParameter.New("the file %q has mode %04o, which lets others use it; run: chmod 600 %q", path, info.Mode().Perm(), path)
	}
	if err := checkOwner(path, info); err != nil {
		return material.Bytes{}, err
	}
	content := make([]byte, maxPassphraseSize+1)
	n, err := io.ReadFull(file, content)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return material.Bytes{}, fmt.Errorf("reading the file %q: %w", path, err)
	}
	if n > maxPassphraseSize {
		return material.Bytes{}, fault.InvalidParameter.New("the file %q has more than %d bytes", path, maxPassphraseSize)
	}
	line := bytes.TrimSuffix(bytes.TrimSuffix(content[:n], []byte("\n")), []byte("\r"))
	return material.NewBytes(line), nil
}

// OpensWithPassphrase tells whether one of the envelopes is for a passphrase.
func OpensWithPassphrase(envelopes []Envelope) bool {
	return slices.ContainsFunc(envelopes, func(e Envelope) bool { return e.Provider == passphraseProvider })
}

// WithPassphrase tries the passphrase on each envelope for passphrases, one derivation each.
func WithPassphrase(passphrase material.Bytes) Opener {
	return func(envelopes []Envelope) (material.Bytes, Envelope, error) {
		var unreadable error
		tried := 0
		for _, envelope := range envelopes {
			if envelope.Provider != passphraseProvider {
				continue
			}
			params, err := parseParams(envelope.Params)
			if err != nil {
				unreadable = err
				continue
			}
			tried++
			key := params.key(passphrase)
			root, err := envelope.open(key)
			key.Zero()
			if err == nil {
				return root, envelope, nil
			}
		}
		switch {
		case unreadable != nil:
			return material.Bytes{}, Envelope{}, fault.StateConflict.Wrap(unreadable, "a root envelope has unreasonable parameters; nothing was changed; restore it from a backup")
		case tried == 0:
			return material.Bytes{}, Envelope{}, fault.StateConflict.New("no root envelope of the store opens with a passphrase; use the shares")
		default:
			return material.Bytes{}, Envelope{}, fault.WrongPassphrase.New("the passphrase is wrong, or the root envelope was damaged; nothing was changed")
		}
	}
}
