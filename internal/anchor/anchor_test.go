package anchor_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/anchor"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/seal/sealtest"
)

// empty is a store without logs.
type empty struct{}

func (empty) Logs(context.Context) ([]audit.Identity, error)               { return nil, nil }
func (empty) Head(context.Context, string) (audit.Head, error)             { return audit.Head{}, nil }
func (empty) Hashes(context.Context, string, []int64) ([]tlog.Hash, error) { return nil, nil }
func (empty) Batches(context.Context, string, int64, func(audit.Batch) error) error {
	return nil
}
func (empty) Search(context.Context, audit.Position, bool, func(audit.Batch) (bool, error)) error {
	return nil
}

func digest(b byte) []byte {
	sum := sha256.Sum256([]byte{b})
	return sum[:]
}

func effect(id string, rev int64, b byte) []audit.Effect {
	e := audit.Effect{Table: "t", ID: id, Rev: rev}
	if b != 0 {
		e.Digest = digest(b)
	}
	return []audit.Effect{e}
}

func open(t rapid.TB, keys anchor.Keys, saved *[]byte) *anchor.Anchor {
	t.Helper()
	a, err := anchor.Open(context.Background(), anchor.Options{
		Reader: empty{}, Own: "keyward/a", Keys: keys, Trust: func(audit.Identity) error { return nil },
		Load: func() ([]byte, error) { return *saved, nil },
		Save: func(b []byte) error { *saved = bytes.Clone(b); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOutcomesOfACommit(t *testing.T) {
	a := open(t, sealtest.Keyring(t), new([]byte))
	k := anchor.KeyOf("t", "x")
	agrees := func(what string, rev int64, d []byte, want bool) {
		t.Helper()
		if a.Agrees(k, rev, d) != want {
			t.Errorf("%s: revision %d: want %v", what, rev, want)
		}
	}
	agrees("nothing", 0, nil, true)
	agrees("nothing", 1, digest(1), false)
	a.Begin(effect("x", 1, 1))
	agrees("being committed", 0, nil, true)
	agrees("being committed", 1, digest(1), true)
	a.Committed()
	agrees("committed", 0, nil, false)
	agrees("committed", 1, digest(1), true)
	agrees("committed", 1, digest(2), false)
	a.Begin(effect("x", 2, 2))
	a.Doubted()
	agrees("in doubt", 1, digest(1), true)
	agrees("in doubt", 2, digest(2), true)
	agrees("in doubt", 0, nil, false)
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	agrees("still in doubt", 2, digest(2), true)
	a.Begin(nil)
	a.Committed()
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	agrees("the log does not have it", 2, digest(2), false)
	a.Begin(effect("x", 2, 0))
	a.Committed()
	agrees("removed", 0, nil, true)
	agrees("removed", 1, digest(1), false)
	a.Begin(effect("x", 4, 3))
	a.Committed()
	agrees("made again", 4, digest(3), true)
}

// A busy reader does something before it answers.
type busy struct {
	empty
	first func()
}

func (b *busy) Logs(ctx context.Context) ([]audit.Identity, error) {
	b.first()
	return b.empty.Logs(ctx)
}

// A commit that comes into doubt while the log is read stays in doubt: the log may have been
// read before it.
func TestDoubtWhileReading(t *testing.T) {
	logs := &busy{first: func() {}}
	a, err := anchor.Open(t.Context(), anchor.Options{Reader: logs, Own: "keyward/a", Keys: sealtest.Keyring(t)})
	if err != nil {
		t.Fatal(err)
	}
	doubt := func(id string) {
		a.Begin(effect(id, 1, 1))
		a.Doubted()
		a.Begin(nil)
		a.Committed()
	}
	doubt("x")
	logs.first = func() { doubt("y") }
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.Agrees(anchor.KeyOf("t", "x"), 1, digest(1)) {
		t.Error("the log does not have x, and it may be there")
	}
	if !a.Agrees(anchor.KeyOf("t", "y"), 1, digest(1)) {
		t.Error("nobody knows of y, and it may not be there")
	}
	logs.first = func() {}
	if err := a.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a.Agrees(anchor.KeyOf("t", "y"), 1, digest(1)) {
		t.Error("the log does not have y, and it may be there")
	}
}

// What is saved is read back whole by this server, and not at all by anybody else, or
// if a bit of it was changed.
func TestSave(t *testing.T) {
	keys := sealtest.Keyring(t)
	rapid.Check(t, func(t *rapid.T) {
		var saved []byte
		a := open(t, keys, &saved)
		var all []audit.Effect
		for i := range rapid.IntRange(0, 20).Draw(t, "rows") {
			all = append(all, effect(string(rune('a'+i)), rapid.Int64Range(1, 9).Draw(t, "rev"), rapid.Byte().Draw(t, "digest"))...)
		}
		a.Begin(all)
		a.Committed()
		if err := a.Save(audit.Checkpoint{Origin: "keyward/a"}); err != nil {
			t.Fatal(err)
		}
		b := open(t, keys, &saved)
		if !b.Contains(a) || !a.Contains(b) {
			t.Error("what is read is not what was saved")
		}
		damaged := slices.Clone(saved)
		bit := rapid.IntRange(0, 8*len(damaged)-1).Draw(t, "bit")
		damaged[bit/8] ^= 1 << (bit % 8)
		cut := saved[:rapid.IntRange(0, len(saved)-1).Draw(t, "cut")]
		for _, bad := range [][]byte{damaged, cut, nil} {
			c := open(t, keys, &bad)
			if len(all) > 0 && c.Contains(a) {
				t.Error("what was changed is believed")
			}
		}
	})
	var foreign []byte
	a := open(t, keys, &foreign)
	a.Begin(effect("x", 1, 1))
	a.Committed()
	if err := a.Save(audit.Checkpoint{Origin: "keyward/a"}); err != nil {
		t.Fatal(err)
	}
	if open(t, sealtest.Keyring(t), &foreign).Contains(a) {
		t.Error("another server's save is believed")
	}
}

func FuzzLoad(f *testing.F) {
	keys := sealtest.Keyring(f)
	var saved []byte
	a := open(f, keys, &saved)
	a.Begin(effect("x", 1, 1))
	a.Committed()
	if err := a.Save(audit.Checkpoint{Origin: "keyward/a"}); err != nil {
		f.Fatal(err)
	}
	f.Add(saved)
	f.Add([]byte("keyward-anchor/v1\x00"))
	f.Fuzz(func(t *testing.T, b []byte) { open(t, keys, &b) })
}

// BenchmarkAnchor shows what a row costs: a load of 300,000 rows, and a question.
func BenchmarkAnchor(b *testing.B) {
	var saved []byte
	keys := sealtest.Keyring(b)
	a := open(b, keys, &saved)
	var all []audit.Effect
	for i := range 300_000 {
		all = append(all, effect(time.Duration(i).String(), 1, 1)...)
	}
	a.Begin(all)
	a.Committed()
	if err := a.Save(audit.Checkpoint{Origin: "keyward/a"}); err != nil {
		b.Fatal(err)
	}
	b.Run("load 300,000 rows", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			open(b, keys, &saved)
		}
	})
	k, d := anchor.KeyOf("t", "1ns"), digest(1)
	b.Run("agree", func(b *testing.B) {
		for b.Loop() {
			if !a.Agrees(k, 1, d) {
				b.Fatal("it does not agree")
			}
		}
	})
}

// What is being committed others may have read from the log already: it is known.
func TestContainsWhatIsBeingCommitted(t *testing.T) {
	keys := sealtest.Keyring(t)
	var one, other []byte
	a, b := open(t, keys, &one), open(t, keys, &other)
	for _, x := range []*anchor.Anchor{a, b} {
		x.Begin(effect("x", 1, 1))
		x.Committed()
		x.Begin(effect("x", 2, 2))
	}
	b.Committed()
	if !a.Contains(b) {
		t.Error("a commit that is under way is not known")
	}
	a.RolledBack()
	if a.Contains(b) {
		t.Error("one that was rolled back is")
	}
}
