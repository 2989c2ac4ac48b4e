package engine_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
	"github.com/keyward/keyward/internal/rotation/spool"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A crash while a new key was kept leaves a part of a file, which does not stay; what is
// whole does.
func TestSpoolIsSweptOfHalfFiles(t *testing.T) {
	s := spool.Spool{Directory: filepath.Join(t.TempDir(), "spool")}
	check(t, s.Sweep()) // there is none yet
	check(t, os.Mkdir(s.Directory, 0o700))
	for _, name := range []string{".tmp-1", ".tmp-2", "0123456789abcdef-1"} {
		check(t, os.WriteFile(filepath.Join(s.Directory, name), []byte("some"), 0o600))
	}
	check(t, s.Sweep())
	left, err := filepath.Glob(filepath.Join(s.Directory, "*"))
	check(t, err)
	if diff := cmp.Diff([]string{filepath.Join(s.Directory, "0123456789abcdef-1")}, left); diff != "" {
		t.Error(diff)
	}
}

// Of two servers the one that was killed while it made a key keeps what the other has made
// worthless no longer than until it looks; what may still be needed stays.
func TestSpoolIsTidied(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	_, err := w.Start(t.Context(), root(), engine.StartInput{Plan: "pay"})
	check(t, err)
	r := w.until(t, rotation.Rolling, 10*time.Second)
	s := spool.Spool{Directory: w.spool}
	unknown := r
	unknown.ID = "fedcba9876543210"
	keep := func(of rotation.Rotation, attempt int) {
		t.Helper()
		wrapper, err := w.tenants.Tenant(t.Context(), account)
		check(t, err)
		check(t, s.Keep(wrapper, of, attempt, rotation.Minted{ID: "k", Parts: map[string]material.Bytes{"secret": material.NewBytes([]byte("fake"))}}))
	}
	holds := func(want ...string) {
		t.Helper()
		err := w.Tidy(t.Context())
		if unknown := fault.Is(err, fault.ResourceNotFound); err != nil && !unknown {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(w.spool, "*"))
		check(t, err)
		for i := range left {
			left[i] = filepath.Base(left[i])
		}
		if diff := cmp.Diff(want, left); diff != "" {
			t.Error(diff)
		}
	}
	keep(r, r.Attempt-1)
	keep(unknown, 1)
	holds(r.ID+"-"+strconv.Itoa(r.Attempt), unknown.ID+"-1")
	_, err = w.RollBack(t.Context(), root(), "pay", "test")
	check(t, err)
	r = w.until(t, rotation.Aborted, time.Minute)
	keep(r, r.Attempt)
	holds(unknown.ID + "-1")
}
