package proof

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/export"
	"github.com/keyward/keyward/internal/tiles"
	"github.com/keyward/keyward/internal/witness"
)

// number answers a number of the environment, or what it is without one.
func number(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	n, err := strconv.ParseInt(cmp.Or(os.Getenv(name), strconv.FormatInt(otherwise, 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A book is a log in memory, as much of an audit.Reader as proofs need.
type book struct {
	audit.Reader
	origin, key string
	signer      note.Signer
	leaves      [][]byte
	hashes      []tlog.Hash
	size        int64 // records that the head signs
}

func newBook(t *testing.T, origin, action string, size int64) *book {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	b := &book{origin: origin, key: public, signer: signer, size: size}
	for n := range size {
		leaf := fmt.Appendf(nil, `{"v":1,"log":%q,"seq":%d,"time":"2026-01-02T15:04:05Z","action":%q,"result":"OK"}`, origin, n, action)
		hashes, err := tlog.StoredHashes(n, leaf, b)
		if err != nil {
			t.Fatal(err)
		}
		b.leaves, b.hashes = append(b.leaves, leaf), append(b.hashes, hashes...)
	}
	return b
}

// ReadHashes implements tlog.HashReader.
func (b *book) ReadHashes(indexes []int64) (out []tlog.Hash, err error) {
	for _, i := range indexes {
		out = append(out, b.hashes[i])
	}
	return out, nil
}

// Hashes implements audit.Reader.
func (b *book) Hashes(_ context.Context, _ string, indexes []int64) ([]tlog.Hash, error) {
	return b.ReadHashes(indexes)
}

// Head implements audit.Reader.
func (b *book) Head(context.Context, string) (audit.Head, error) {
	root, err := tlog.TreeHash(b.size, b)
	if err != nil {
		return audit.Head{}, err
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", b.origin, b.size, root)}, b.signer)
	return audit.Head{Size: b.size, Checkpoint: signed}, err
}

// Batches implements audit.Reader: each record is a batch.
func (b *book) Batches(_ context.Context, _ string, first int64, yield func(audit.Batch) error) error {
	for n := first; n < b.size; n++ {
		if err := yield(audit.Batch{Log: b.origin, First: n, Count: 1, Leaves: append(slices.Clone(b.leaves[n]), '\n')}); err != nil {
			return err
		}
	}
	return nil
}

func (b *book) head(t *testing.T, size int64) []byte {
	t.Helper()
	h, err := (&book{origin: b.origin, signer: b.signer, hashes: b.hashes, size: size}).Head(t.Context(), b.origin)
	if err != nil {
		t.Fatal(err)
	}
	return h.Checkpoint
}

// mutate changes a text of lines as somebody would who knows what it means: bytes,
// lines, hashes that belong elsewhere, numbers.
func mutate(r *mathrand.Rand, text []byte, others [][]byte) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	i, j := r.IntN(len(lines)), r.IntN(len(lines))
	other := bytes.SplitAfter(others[r.IntN(len(others))], []byte("\n"))
	switch r.IntN(10) {
	case 0, 1:
		out := bytes.Clone(text)
		out[r.IntN(len(out))] ^= byte(1 + r.IntN(255))
		return out
	case 2:
		lines = slices.Delete(lines, i, i+1)
	case 3:
		lines = slices.Insert(lines, i, lines[j])
	case 4:
		lines[i], lines[j] = lines[j], lines[i]
	case 5:
		lines[i] = other[r.IntN(len(other))]
	case 6:
		return append(bytes.Join(lines[:i], nil), bytes.Join(other[min(i, len(other)):], nil)...)
	case 7:
		lines = slices.Insert(lines, i, fmt.Appendf(nil, "%s\n", tlog.Hash{byte(r.IntN(256))}))
	case 8:
		digits := slices.Collect(func(yield func(int) bool) {
			for at, c := range text {
				if c >= '0' && c <= '9' && !yield(at) {
					return
				}
			}
		})
		out := bytes.Clone(text)
		out[digits[r.IntN(len(digits))]] = byte('0' + r.IntN(10))
		return out
	default:
		return text[:r.IntN(len(text))]
	}
	return bytes.Join(lines, nil)
}

// TestForgedProofs is the campaign on the verifiers: whatever is done to a proof, to
// tiles, or to what is submitted to a witness, nothing is accepted that is not true.
// A third of the mutations goes to each.
func TestForgedProofs(t *testing.T) {
	count, seed := number(t, "KEYWARD_FORGERIES", 600)/3, number(t, "KEYWARD_SEED", time.Now().UnixNano())
	t.Logf("seed %d, %d mutations each", seed, count)
	b := newBook(t, "keyward/node-1", "kms:Encrypt", 600)
	t.Run("proofs", func(t *testing.T) { t.Parallel(); forgeProofs(t, b, count, random(seed, 1)) })
	t.Run("tiles", func(t *testing.T) { t.Parallel(); forgeTiles(t, b, count, random(seed, 2)) })
	t.Run("submissions", func(t *testing.T) { t.Parallel(); forgeSubmissions(t, b, count, random(seed, 3)) })
}

func random(seed int64, stream uint64) *mathrand.Rand {
	return mathrand.New(mathrand.NewPCG(uint64(seed), stream))
}

func forgeProofs(t *testing.T, b *book, count int64, r *mathrand.Rand) {
	stranger := newBook(t, b.origin, "kms:Decrypt", 600)
	var proofs [][]byte
	for i := range 24 {
		of, seq := b, r.Int64N(600)
		if i%6 == 5 {
			of = stranger
		}
		p, err := audit.Prove(t.Context(), of, b.origin, seq)
		if err != nil {
			t.Fatal(err)
		}
		proofs = append(proofs, p)
	}
	accepted := 0
	for n := range count {
		forged := mutate(r, proofs[r.IntN(len(proofs))], proofs)
		entry, head, err := audit.VerifyProof(forged, b.key)
		if err != nil {
			continue
		}
		accepted++ // then it is true, such as when a signature stands there twice
		extra, _, _ := strings.Cut(strings.TrimPrefix(string(forged), "c2sp.org/tlog-proof@v1\nextra "), "\n")
		leaf, err := base64.StdEncoding.DecodeString(extra)
		if err != nil || head.Size != b.size || !bytes.Equal(leaf, b.leaves[entry.Seq]) {
			t.Errorf("mutation %d is accepted and not true: %v\n%s", n, err, forged)
		}
	}
	t.Logf("%d refused, %d still true", count-int64(accepted), accepted)
}

func forgeTiles(t *testing.T, b *book, count int64, r *mathrand.Rand) {
	dir, other := tilesOf(t, b), tilesOf(t, newBook(t, b.origin, "kms:Decrypt", 600))
	names := slices.Sorted(maps.Keys(dir))
	trust := func(string) (audit.Trust, error) {
		return audit.Trust{PublicKey: b.key, Remembered: [][]byte{b.head(t, 600)}}, nil
	}
	if _, err := tiles.Verify(dir, trust); err != nil {
		t.Fatal(err)
	}
	for n := range count {
		forged := maps.Clone(dir)
		name := names[r.IntN(len(names))]
		second := names[r.IntN(len(names))]
		content := bytes.Clone(dir[name].Data)
		switch r.IntN(8) {
		case 0:
			delete(forged, name)
		case 1: // a tile of another log of the same name
			content = other[name].Data
		case 2: // a tile of another place or level
			content = dir[second].Data
		case 3: // a wrong size
			content = content[:r.IntN(len(content)+1)]
		case 4:
			content = append(content, content[:r.IntN(min(64, len(content))+1)]...)
		case 5: // a hash moved within its tile
			i, j := 32*r.IntN(len(content)/32), 32*r.IntN(len(content)/32)
			tmp := bytes.Clone(content[i : i+32])
			copy(content[i:], content[j:j+32])
			copy(content[j:], tmp)
		case 6: // the root of another size
			content = b.head(t, 1+r.Int64N(600))
			name = "keyward/node-1/checkpoint"
		default:
			content[r.IntN(len(content))] ^= byte(1 + r.IntN(255))
		}
		if _, there := forged[name]; there {
			forged[name] = &fstest.MapFile{Data: content}
		}
		same := maps.EqualFunc(forged, dir, func(x, y *fstest.MapFile) bool { return bytes.Equal(x.Data, y.Data) })
		if _, err := tiles.Verify(forged, trust); (err == nil) != same {
			t.Errorf("mutation %d of %s: the same: %t, verified: %v", n, name, same, err)
		}
	}
}

// tilesOf answers a book as tiles, in memory.
func tilesOf(t *testing.T, b *book) fstest.MapFS {
	t.Helper()
	var out bytes.Buffer
	if err := export.Write(t.Context(), b, audit.Identity{Origin: b.origin, PublicKey: b.key}, &out); err != nil {
		t.Fatal(err)
	}
	where := t.TempDir()
	if _, err := export.Verify(&out, func(_, claimed string) audit.Trust { return audit.Trust{PublicKey: claimed} }, tiles.NewWriter(where)); err != nil {
		t.Fatal(err)
	}
	memory := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS(where), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(os.DirFS(where), name)
		memory[name] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return memory
}

func forgeSubmissions(t *testing.T, b *book, count int64, r *mathrand.Rand) {
	stateDir := t.TempDir()
	if _, err := witness.Init(stateDir, "w"); err != nil {
		t.Fatal(err)
	}
	signer, err := witness.ReadKey(stateDir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(witness.Options{
		Dir: stateDir, Signer: signer, Logs: []witness.Log{{Origin: b.origin, PublicKey: b.key}}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add(witness.Submission{Checkpoint: b.head(t, 300)}.Encode()); err != nil {
		t.Fatal(err)
	}
	// Another log of the same name and key: a second history.
	fork := *newBook(t, b.origin, "kms:Decrypt", 600)
	fork.signer = b.signer
	var bodies, truths [][]byte
	for i := range 24 {
		of, old, size := b, 300-r.Int64N(2)*r.Int64N(299), 300-r.Int64N(2)*r.Int64N(290)
		if i%3 == 2 {
			of, old, size = &fork, 300, 300+r.Int64N(300)
		}
		proof, err := tlog.ProveTree(max(old, size), min(old, size), of)
		if err != nil {
			t.Fatal(err)
		}
		if of == b {
			truths = append(truths, b.head(t, size))
		}
		bodies = append(bodies, witness.Submission{Old: min(old, size), Proof: proof, Checkpoint: of.head(t, max(old, size))}.Encode())
	}
	held := b.head(t, 300)
	for n := range count {
		forged := mutate(r, bodies[r.IntN(len(bodies))], append(bodies, truths...))
		_, err := w.Add(forged)
		var refusal *witness.Refusal
		if err != nil && !errors.As(err, &refusal) {
			t.Fatal(err)
		}
		if err == nil && !bytes.Contains(forged, bytes.SplitAfter(held, []byte("=\n"))[0]) {
			t.Errorf("mutation %d is cosigned:\n%s", n, forged)
		}
	}
	if got := w.Checkpoint(witness.OriginHash(b.origin)); !bytes.HasPrefix(got, bytes.SplitAfter(held, []byte("=\n"))[0]) {
		t.Errorf("the witness holds another checkpoint:\n%s", got)
	}
}
