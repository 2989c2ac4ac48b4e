package tiles_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/tiles"
)

// What the old checkpoint signs stays until the new one is there.
func TestNothingGoesTooEarly(t *testing.T) {
	s := newSource(t, "keyward/node-1", rand.Reader)
	dir := t.TempDir()
	if _, err := write(t, dir, s, 300); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	w := tiles.NewWriter(dir)
	if err := w.Begin(s.log); err != nil {
		t.Fatal(err)
	}
	hashes := s.tree(t, 700)
	for n := range int64(700) {
		created, err := hashes(storedBy(n))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Leaf(s.leaf(n), created); err != nil {
			t.Fatal(err)
		}
	}
	now := files(t, dir)
	for name, content := range before {
		if !bytes.Equal(now[name], content) {
			t.Errorf("%s is gone, or another one", name)
		}
	}
	if err := w.End(audit.Report{}, s.checkpoint(t, 700)); err != nil {
		t.Fatal(err)
	}
	for name := range files(t, dir) {
		if strings.Contains(name, "/001.p/") {
			t.Errorf("%s is there beside the full one", name)
		}
	}
}

// storedBy answers the indexes of the stored hashes that record n creates.
func storedBy(n int64) (out []int64) {
	for i := tlog.StoredHashIndex(0, n); i < tlog.StoredHashIndex(0, n+1); i++ {
		out = append(out, i)
	}
	return out
}
