package journal_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/journal"
)

func open(t *testing.T, path string) (*journal.Journal, []string) {
	t.Helper()
	j, found, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, texts(found)
}

func texts(records [][]byte) []string {
	out := []string{}
	for _, r := range records {
		out = append(out, string(r))
	}
	return out
}

func put(t *testing.T, j *journal.Journal, records ...string) {
	t.Helper()
	for _, r := range records {
		if err := j.Append([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
}

func want(t *testing.T, have []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), have); diff != "" {
		t.Errorf("-want +have\n%s", diff)
	}
}

func TestRecordsComeBackInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, found := open(t, path)
	want(t, found)
	if err := j.Append(nil); err == nil {
		t.Error("a journal takes records before what it held was dropped")
	}
	if err := j.Reset(); err != nil {
		t.Fatal(err)
	}
	put(t, j, "one", "two")
	if !j.Turn() {
		t.Error("the empty file could not be turned to")
	}
	put(t, j, "three")
	if j.Turn() {
		t.Error("turned to a file that holds records")
	}
	put(t, j, "")
	_, found = open(t, path)
	want(t, found, "one", "two", "three", "")
	j.Clear()
	put(t, j, "four")
	if !j.Turn() {
		t.Error("the cleared file could not be turned to")
	}
	put(t, j, "five")
	k, found := open(t, path)
	want(t, found, "three", "", "four", "five")
	if err := k.Reset(); err != nil {
		t.Fatal(err)
	}
	put(t, k, "six")
	_, found = open(t, path)
	want(t, found, "six")
}

// Whatever a crash leaves of the last record, what was durable before it comes back.
func TestTornRecordIsLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	if err := j.Reset(); err != nil {
		t.Fatal(err)
	}
	put(t, j, "first", "second")
	before := size(t, path+".0")
	put(t, j, "third, which is torn")
	whole, err := os.ReadFile(path + ".0")
	if err != nil {
		t.Fatal(err)
	}
	for n := before; n < len(whole); n++ {
		for _, content := range [][]byte{whole[:n], append(bytes.Clone(whole[:n]), make([]byte, len(whole)-n)...)} {
			if err := os.WriteFile(path+".0", content, 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := journal.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			want(t, texts(found), "first", "second")
		}
	}
}

// No changed byte goes unnoticed, and what follows the damage is still found.
func TestDamagedRecordIsLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	if err := j.Reset(); err != nil {
		t.Fatal(err)
	}
	put(t, j, "first")
	start := size(t, path+".0")
	put(t, j, "second")
	end := size(t, path+".0")
	put(t, j, "third")
	whole, err := os.ReadFile(path + ".0")
	if err != nil {
		t.Fatal(err)
	}
	for i := start; i < end; i++ {
		content := bytes.Clone(whole)
		content[i] ^= 0x10
		if err := os.WriteFile(path+".0", content, 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := journal.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		want(t, texts(found), "first", "third")
	}
}

func TestFailureLastsUntilReset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _ := open(t, path)
	if err := j.Reset(); err != nil {
		t.Fatal(err)
	}
	put(t, j, "one")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("two")); err == nil || j.Failed() == nil {
		t.Error("a record was appended to a closed file")
	}
	if j.Turn() {
		t.Error("a failed journal turns")
	}
	if err := j.Reset(); err == nil || j.Failed() == nil {
		t.Error("a closed file was emptied")
	}
}

func TestOthersMayNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	if err := os.WriteFile(path+".1", nil, 0o644); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	if _, _, err := journal.Open(path); err == nil {
		t.Error("a file that others may read was opened")
	}
}

// A journal gives back what was appended and not cleared, at the end of what it finds and
// in order, whatever the order of calls.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "journal")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
		path := filepath.Join(dir, "j")
		j, _, err := journal.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = j.Close() }()
		check(t, j.Reset())
		older, newer := []string{}, []string{}
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "turn", "clear", "reset", "reopen"}).Draw(t, "step") {
			case "append":
				r := fmt.Sprintf("%d %s", i, rapid.StringN(0, 40, -1).Draw(t, "record"))
				check(t, j.Append([]byte(r)))
				newer = append(newer, r)
			case "turn":
				if j.Turn() {
					older, newer = newer, []string{}
				}
			case "clear":
				j.Clear()
				older = []string{}
			case "reset":
				check(t, j.Reset())
				older, newer = []string{}, []string{}
			case "reopen":
				check(t, j.Close())
				var found [][]byte
				if j, found, err = journal.Open(path); err != nil {
					t.Fatal(err)
				}
				want, have := append(older, newer...), texts(found)
				if diff := cmp.Diff(want, have[max(0, len(have)-len(want)):]); diff != "" {
					t.Fatalf("-want +have\n%s", diff)
				}
				check(t, j.Reset())
				older, newer = []string{}, []string{}
			}
		}
	})
}

func check(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("\xffkw\x01\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path+".0", content, 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := journal.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range found {
			if !bytes.Contains(content, r) {
				t.Fatalf("%q was never written", r)
			}
		}
	})
}
