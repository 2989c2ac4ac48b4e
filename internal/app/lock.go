package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/fault"
)

// lockDataDir makes the data directory private and this process its only user. What the
// server keeps there must be private, too: others who once could read or change it may
// have.
func lockDataDir(dir string) (unlock func(), err error) {
	syscall.Umask(0o077)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the data directory: %w", err)
	}
	cosigned, err := durable.List(dir, "witness-*.checkpoint")
	if err != nil {
		return nil, fmt.Errorf("opening the data directory: %w", err)
	}
	lock := filepath.Join(dir, "lock")
	kept := []string{dir, lock, filepath.Join(dir, checkpointFile), filepath.Join(dir, anchorFile)}
	if err := durable.RequirePrivate(append(kept, cosigned...)...); err != nil {
		return nil, fmt.Errorf("opening the data directory: %w", err)
	}
	unlock, err = durable.Lock(lock)
	if errors.Is(err, durable.ErrLocked) {
		return nil, fault.StateConflict.New("another keyward uses %s; stop it first", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	return unlock, nil
}
