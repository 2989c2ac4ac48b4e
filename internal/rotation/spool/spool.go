// Package spool keeps the credential of a key that was just created where no crash loses it: in
// a sealed file of this server, from the provider's one answer until the credential is in its
// secret and the rotation knows it. What is left of a crash is found by rotation and attempt.
//
// Who may call: package engine, which decides what is still needed; package app sweeps at the
// start. What is stored: files that only the account's tenant key opens, each bound to its
// rotation, attempt and key. Nothing is trusted of a file that does not open so.
package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

// A Spool keeps the credentials of keys that were just created, each in a file that only
// the account's tenant key opens, until they are in their secret and the rotation knows it.
// It is a directory of its own, of mode 0700. It may be used concurrently.
type Spool struct{ Directory string }

// entry is what a file holds.
type entry struct {
	Account string `json:"account"`
	ID      string `json:"id"` // of the key
	Sealed  []byte `json:"sealed"`
}

func (s *Spool) path(rotation string, attempt int) string {
	return filepath.Join(s.Directory, rotation+"-"+strconv.Itoa(attempt))
}

// Keep writes a new key's credential. When it returns without an error, the file is on the
// disk.
func (s *Spool) Keep(w material.Wrapper, of rotation.Rotation, attempt int, m rotation.Minted) error {
	if err := os.MkdirAll(s.Directory, 0o700); err != nil {
		return fmt.Errorf("keeping a new key: %w", err)
	}
	sealed, err := form.Seal(w, nil, m.Parts, bound(of.ID, attempt, m.ID)...)
	if err != nil {
		return fmt.Errorf("keeping a new key: %w", err)
	}
	text, err := json.Marshal(entry{of.Account, m.ID, sealed})
	if err != nil {
		return fmt.Errorf("keeping a new key: %w", err)
	}
	return durable.Replace(s.path(of.ID, attempt), text)
}

// Find reads a credential back; found is false if there is none.
func (s *Spool) Find(w material.Wrapper, of string, attempt int) (m rotation.Minted, found bool, err error) {
	text, err := os.ReadFile(s.path(of, attempt))
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("reading a new key: %w", err)
	}
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		return m, false, fmt.Errorf("reading a new key: %w", err)
	}
	f, err := form.Open(w, nil, e.Sealed, bound(of, attempt, e.ID)...)
	if err != nil {
		return m, false, fmt.Errorf("reading a new key: %w", err)
	}
	return rotation.Minted{ID: e.ID, Parts: f.Credential}, true, nil
}

// Drop removes the files of a rotation up to an attempt. That they are not there is no
// error.
func (s *Spool) Drop(rotation string, upTo int) error {
	for attempt := range upTo + 1 { // 0 is the rehearsal
		if err := os.Remove(s.path(rotation, attempt)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dropping what was kept of a new key: %w", err)
		}
	}
	return nil
}

// Sweep removes what is left of files whose writing a crash ended; the keys in them are
// orphans. Call it before anything is kept.
func (s *Spool) Sweep() error {
	left, err := durable.List(s.Directory, ".tmp-*")
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("sweeping what was kept of new keys: %w", err)
	}
	return nil
}

// A Leftover is a file of the spool: of an attempt of a rotation.
type Leftover struct {
	Account, Rotation string
	Attempt           int
}

// Left answers what the spool holds.
func (s *Spool) Left() (out []Leftover, err error) {
	paths, err := durable.List(s.Directory, "*-*")
	for _, path := range paths {
		rotation, attempt, _ := strings.Cut(filepath.Base(path), "-")
		n, notOurs := strconv.Atoi(attempt)
		text, gone := os.ReadFile(path)
		var e entry
		if notOurs == nil && gone == nil && json.Unmarshal(text, &e) == nil {
			out = append(out, Leftover{e.Account, rotation, n})
		}
	}
	return out, err
}

// Rehearse proves that a credential can be kept and read back, without keeping any.
func (s *Spool) Rehearse(w material.Wrapper, of rotation.Rotation) error {
	want := material.NewBytes([]byte("rehearsal " + of.ID))
	defer want.Zero()
	if err := s.Keep(w, of, 0, rotation.Minted{ID: "rehearsal", Parts: map[string]material.Bytes{"value": want}}); err != nil {
		return err
	}
	m, found, err := s.Find(w, of.ID, 0)
	if err != nil {
		return err
	}
	defer m.Erase()
	if !found || !m.Parts["value"].Equal(want) {
		return errors.New("what was kept for a rehearsal cannot be read back")
	}
	return os.Remove(s.path(of.ID, 0))
}

func bound(rotation string, attempt int, key string) []string {
	return []string{"rotation.spool", rotation, strconv.Itoa(attempt), key}
}
