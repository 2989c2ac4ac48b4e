package tiles_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/export"
	"github.com/keyward/keyward/internal/tiles"
)

var update = flag.Bool("update", false, "write golden files anew")

// A source makes exports of one log that grows.
type source struct {
	log, key string
	signer   note.Signer
}

func newSource(t testing.TB, log string, randomness interface{ Read([]byte) (int, error) }) source {
	t.Helper()
	private, public, err := note.GenerateKey(randomness, log)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return source{log, public, s}
}

func (s source) leaf(seq int64) []byte {
	return fmt.Appendf(nil, `{"v":1,"log":%q,"seq":%d,"time":"2026-01-02T15:04:05Z","action":"kms:Test%d","result":"OK"}`, s.log, seq, seq%7)
}

// tree answers the stored hashes of the first size records.
func (s source) tree(t testing.TB, size int64) tlog.HashReaderFunc {
	t.Helper()
	var all []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, all[i])
		}
		return out, nil
	})
	for n := range size {
		hashes, err := tlog.StoredHashes(n, s.leaf(n), read)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, hashes...)
	}
	return read
}

func (s source) checkpoint(t testing.TB, size int64) []byte {
	t.Helper()
	root, err := tlog.TreeHash(size, s.tree(t, size))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", s.log, size, root)}, s.signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (s source) export(t testing.TB, size int64) []byte {
	t.Helper()
	quoted := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	out := fmt.Appendf(nil, `{"format":"keyward-audit-export","v":1,"log":%s,"publicKey":%s,"size":%d,"checkpoint":%s}`+"\n",
		quoted(s.log), quoted(s.key), size, quoted(string(s.checkpoint(t, size))))
	for n := range size {
		out = append(append(out, s.leaf(n)...), '\n')
	}
	return out
}

// write adds an export to a directory and answers how many files that added.
func write(t testing.TB, dir string, s source, size int64) (int, error) {
	t.Helper()
	w := tiles.NewWriter(dir)
	_, err := export.Verify(bytes.NewReader(s.export(t, size)), func(log, claimed string) audit.Trust {
		trust := audit.Trust{PublicKey: claimed}
		if have, err := w.Remembered(log); err == nil && have != nil {
			trust.Remembered = [][]byte{have}
		}
		return trust
	}, w)
	return w.Added(), err
}

func (s source) trust(remembered ...[]byte) func(string) (audit.Trust, error) {
	return func(string) (audit.Trust, error) { return audit.Trust{PublicKey: s.key, Remembered: remembered}, nil }
}

// files answers the content of every file below a directory, by path.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		out[name], err = os.ReadFile(filepath.Join(dir, name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A reader reads tiles as golang.org/x/mod reads them, knowing nothing of this package.
type reader struct {
	t   *testing.T
	dir string
}

// Height implements tlog.TileReader.
func (r reader) Height() int { return 8 }

// SaveTiles implements tlog.TileReader.
func (r reader) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (r reader) ReadTiles(list []tlog.Tile) (out [][]byte, err error) {
	for _, tile := range list {
		path, ok := strings.CutPrefix(tile.Path(), "tile/8/")
		if !ok {
			r.t.Fatalf("asked for %s", tile.Path())
		}
		content, err := os.ReadFile(filepath.Join(r.dir, "tile", path))
		if err != nil {
			return nil, err
		}
		out = append(out, content)
	}
	return out, nil
}

// The independent reader proves every record and every earlier size from the tiles.
func TestIndependentReader(t *testing.T) {
	s := newSource(t, "keyward/node-1", rand.Reader)
	for _, size := range []int64{1, 2, 255, 256, 257, 700} {
		dir := t.TempDir()
		if _, err := write(t, dir, s, size); err != nil {
			t.Fatal(err)
		}
		log := filepath.Join(dir, "keyward/node-1")
		signed, err := os.ReadFile(filepath.Join(log, "checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := audit.OpenCheckpoint(signed, s.key)
		if err != nil || c.Size != size {
			t.Fatalf("the checkpoint is %+v, %v", c, err)
		}
		hashes := tlog.TileHashReader(tlog.Tree{N: size, Hash: c.Root}, reader{t, log})
		for n := range size {
			path, err := tlog.ProveRecord(size, n, hashes)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(path, size, c.Root, n, tlog.RecordHash(s.leaf(n))); err != nil {
				t.Fatalf("record %d of %d: %v", n, size, err)
			}
		}
		for old := int64(1); old <= size; old += 1 + size/20 {
			path, err := tlog.ProveTree(size, old, hashes)
			if err != nil {
				t.Fatal(err)
			}
			root, err := tlog.TreeHash(old, s.tree(t, old))
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckTree(path, size, c.Root, old, root); err != nil {
				t.Fatalf("size %d of %d: %v", old, size, err)
			}
		}
	}
}

// The example of the specification: 70,000 records.
func TestPathsOfTheSpecification(t *testing.T) {
	s := newSource(t, "keyward/node-1", rand.Reader)
	dir := t.TempDir()
	if _, err := write(t, dir, s, 70000); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for name, content := range files(t, filepath.Join(dir, "keyward/node-1")) {
		kind := strings.Join(strings.SplitN(name, "/", 3)[:min(2, strings.Count(name, "/"))], "/")
		if _, w, partial := strings.Cut(name, ".p/"); partial {
			kind += " of " + w
		} else if strings.HasPrefix(name, "tile/0/") && len(content) != 8192 {
			t.Errorf("%s has %d bytes", name, len(content))
		}
		count[kind]++
	}
	want := map[string]int{"": 1, "tile/entries": 273, "tile/entries of 112": 1, "tile/0": 273, "tile/0 of 112": 1, "tile/1": 1, "tile/1 of 17": 1, "tile/2 of 1": 1}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Error(diff)
	}
	if _, err := tiles.Verify(os.DirFS(dir), s.trust()); err != nil {
		t.Error(err)
	}
}

// Whatever the steps, the directory ends as if it had been written at once, and what is
// there is not written again.
func TestAddingWhatIsNew(t *testing.T) {
	s := newSource(t, "keyward/node-1", rand.Reader)
	dir, once := t.TempDir(), t.TempDir()
	var remembered [][]byte
	for _, size := range []int64{3, 3, 200, 256, 300, 511, 512, 513, 1025} {
		before := files(t, dir)
		if _, err := write(t, dir, s, size); err != nil {
			t.Fatal(err)
		}
		after := files(t, dir)
		for name, content := range before {
			now, there := after[name]
			if !strings.HasSuffix(name, "/checkpoint") && there && !bytes.Equal(now, content) {
				t.Errorf("%s changed", name)
			}
		}
		remembered = append(remembered, s.checkpoint(t, size))
		reports, err := tiles.Verify(os.DirFS(dir), s.trust(remembered...))
		if err != nil || len(reports) != 1 || reports[0].Size != size {
			t.Fatalf("at %d: %+v, %v", size, reports, err)
		}
		if added, err := write(t, dir, s, size); err != nil || added != 0 {
			t.Errorf("a second time: %d files, %v", added, err)
		}
	}
	if _, err := write(t, once, s, 1025); err != nil {
		t.Fatal(err)
	}
	have := files(t, dir)
	maps.DeleteFunc(have, func(name string, _ []byte) bool {
		_, wanted := files(t, once)[name]
		return !wanted && strings.Contains(name, ".p/")
	})
	if diff := cmp.Diff(files(t, once), have); diff != "" {
		t.Errorf("step by step (+) it is not what it is at once (-):\n%s", diff)
	}
}

// An export that was cut short goes on where it was; nothing is signed too early.
func TestCrashInTheMiddle(t *testing.T) {
	s := newSource(t, "keyward/node-1", rand.Reader)
	whole := t.TempDir()
	if _, err := write(t, whole, s, 600); err != nil {
		t.Fatal(err)
	}
	all := files(t, whole)
	for i := range len(all) {
		dir := t.TempDir()
		if _, err := write(t, dir, s, 100); err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(all))[:i] {
			if strings.HasSuffix(name, "/checkpoint") {
				continue // it is written last
			}
			path := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, all[name], 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := write(t, dir, s, 600); err != nil {
			t.Fatal(err)
		}
		if _, err := tiles.Verify(os.DirFS(dir), s.trust()); err != nil {
			t.Errorf("after a crash at %d: %v", i, err)
		}
	}
}

func TestWhatCannotBeAdded(t *testing.T) {
	s := newSource(t, "keyward/node-1", rand.Reader)
	dir := t.TempDir()
	if _, err := write(t, dir, s, 300); err != nil {
		t.Fatal(err)
	}
	var tampered *audit.TamperError
	if _, err := write(t, dir, s, 200); !errors.As(err, &tampered) {
		t.Errorf("a shorter log: %v", err)
	}
	first := filepath.Join(dir, "keyward/node-1/tile/0/000")
	if err := os.WriteFile(first, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := write(t, dir, s, 400); err == nil {
		t.Error("it is added to a directory with a wrong tile")
	}
	for _, name := range []string{"../out", "/abs", "", ".", "a/../../b"} {
		if err := tiles.NewWriter(dir).Begin(name); err == nil {
			t.Errorf("a log named %q is written", name)
		}
	}
}

// Every change of a directory is found.
func TestTamperedTiles(t *testing.T) {
	s, other := newSource(t, "keyward/node-1", rand.Reader), newSource(t, "keyward/node-2", rand.Reader)
	dir := t.TempDir()
	for _, size := range []int64{200, 600} {
		if _, err := write(t, dir, s, size); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := write(t, dir, other, 600); err != nil {
		t.Fatal(err)
	}
	head := s.checkpoint(t, 600)
	good := files(t, dir)
	verify := func(all map[string][]byte) error {
		memory := fstest.MapFS{}
		for name, content := range all {
			memory[name] = &fstest.MapFile{Data: content}
		}
		reports, err := tiles.Verify(memory, func(log string) (audit.Trust, error) {
			if log == other.log {
				return audit.Trust{PublicKey: other.key, Remembered: [][]byte{head}}, nil
			}
			return audit.Trust{PublicKey: s.key, Remembered: [][]byte{head}}, nil
		})
		if err == nil && len(reports) != 2 {
			return errors.New("a log is missing")
		}
		return err
	}
	if err := verify(good); err != nil {
		t.Fatal(err)
	}
	change := func(what string, how func(all map[string][]byte)) {
		t.Helper()
		all := maps.Clone(good)
		how(all)
		if err := verify(all); err == nil {
			t.Errorf("%s: not found", what)
		}
	}
	for name, content := range good {
		change("without "+name, func(all map[string][]byte) { delete(all, name) })
		change("empty "+name, func(all map[string][]byte) { all[name] = nil })
		change("longer "+name, func(all map[string][]byte) { all[name] = append(bytes.Clone(content), 0) })
		change("shorter "+name, func(all map[string][]byte) { all[name] = content[:len(content)-1] })
		for at := 0; at < len(content); at += 1 + len(content)/8 {
			change("changed "+name, func(all map[string][]byte) {
				all[name] = bytes.Clone(content)
				all[name][at] ^= 0x20
			})
		}
		change("more than "+name, func(all map[string][]byte) { all[name+"0"] = content })
	}
	const log = "keyward/node-1/"
	change("a narrower tile that is wrong", func(all map[string][]byte) { all[log+"tile/0/002.p/7"] = good[log+"tile/0/001"][:7*32] })
	change("a narrower bundle that is wrong", func(all map[string][]byte) { all[log+"tile/entries/002.p/1"] = []byte{0, 1, 'x'} })
	change("an older checkpoint", func(all map[string][]byte) { all[log+"checkpoint"] = s.checkpoint(t, 200) })
	change("another log's tiles", func(all map[string][]byte) {
		for name := range good {
			if rest, ok := strings.CutPrefix(name, "keyward/node-2/"); ok {
				all[log+rest] = good[name]
			}
		}
	})
	for _, fine := range []map[string][]byte{{log + "tile/0/002.p/7": good[log+"tile/0/002.p/88"][:7*32]}} {
		all := maps.Clone(good)
		maps.Copy(all, fine)
		if err := verify(all); err != nil {
			t.Errorf("a tile of an earlier checkpoint: %v", err)
		}
	}
}

// What is not a regular file is not even opened: a pipe would keep the verifier waiting.
func TestPipesAreRefused(t *testing.T) {
	s, dir := newSource(t, "keyward/node-1", rand.Reader), t.TempDir()
	if _, err := write(t, dir, s, 300); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, s.log, "tile", "entries", "000")
	if err := os.Remove(pipe); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("mkfifo", pipe).Run(); err != nil {
		t.Fatal(err)
	}
	found := make(chan error, 1)
	go func() {
		_, err := tiles.Verify(os.DirFS(dir), s.trust())
		found <- err
	}()
	select {
	case err := <-found:
		if err == nil {
			t.Error("a pipe passes for records")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the verifier waits for a pipe")
	}
}

// The files of a fixed log never change from release to release.
func TestGolden(t *testing.T) {
	s := newSource(t, "keyward/golden", strings.NewReader(strings.Repeat("golden key of a test, no secret ", 4)))
	dir := t.TempDir()
	if _, err := write(t, dir, s, 300); err != nil {
		t.Fatal(err)
	}
	all := files(t, dir)
	var out bytes.Buffer
	fmt.Fprintln(&out, s.key)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&out, "%x %7d %s\n", sha256.Sum256(all[name]), len(all[name]), name)
	}
	out.Write(all["keyward/golden/checkpoint"])
	out.Write(all["keyward/golden/tile/entries/001.p/44"][:2*(2+len(s.leaf(256)))])
	const golden = "testdata/golden.txt"
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, out.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("the format changed:\n%s", diff)
	}
}

func FuzzVerify(f *testing.F) {
	s := newSource(f, "l", rand.Reader)
	head := s.checkpoint(f, 2)
	bundle := func(n int64) []byte { return append([]byte{0, byte(len(s.leaf(n)))}, s.leaf(n)...) }
	f.Add(append(bundle(0), bundle(1)...), []byte("x"))
	f.Add([]byte{0, 1}, []byte{})
	f.Fuzz(func(t *testing.T, entries, hashes []byte) {
		_, err := tiles.Verify(fstest.MapFS{
			"checkpoint": {Data: head}, "tile/entries/000.p/2": {Data: entries}, "tile/0/000.p/2": {Data: hashes},
		}, s.trust())
		first, second := tlog.RecordHash(s.leaf(0)), tlog.RecordHash(s.leaf(1))
		right := bytes.Equal(entries, append(bundle(0), bundle(1)...)) && bytes.Equal(hashes, append(first[:], second[:]...))
		if right != (err == nil) {
			t.Errorf("right %t: %v", right, err)
		}
	})
}
