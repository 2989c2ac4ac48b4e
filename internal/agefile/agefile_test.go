package agefile_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/agefile"
)

var update = flag.Bool("update", false, "write the golden file anew")

var errRefused = errors.New("refused")

// A server wraps file keys as keyward does: with authenticated encryption, under the
// key that an alias points to at that moment.
type server struct {
	aliases map[string]string
	refused map[string]bool // key ids that may not be used
	asked   []string        // key ids in the order of Unwrap
}

func newServer() *server {
	return &server{aliases: map[string]string{"alias/a": "key-a", "alias/b": "key-b", "alias/c": "key-c"}, refused: map[string]bool{}}
}

func (s *server) cipher(id string) cipher.AEAD {
	key := sha256.Sum256([]byte(id))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func (s *server) Wrap(_ context.Context, key string, fileKey []byte) (string, []byte, error) {
	id, ok := s.aliases[key]
	if !ok {
		return "", nil, fmt.Errorf("%s: %w", key, errRefused)
	}
	return id, s.cipher(id).Seal(nil, nil, fileKey, nil), nil
}

func (s *server) Unwrap(_ context.Context, id string, blob []byte) ([]byte, error) {
	s.asked = append(s.asked, id)
	if s.refused[id] {
		return nil, errRefused
	}
	return s.cipher(id).Open(nil, nil, blob, nil)
}

func encrypt(t interface{ Fatal(...any) }, s *server, content []byte, keys ...string) []byte {
	var file bytes.Buffer
	if err := agefile.Encrypt(context.Background(), &file, bytes.NewReader(content), s, keys); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func decrypt(s *server, file []byte) ([]byte, error) {
	var content bytes.Buffer
	err := agefile.Decrypt(context.Background(), &content, bytes.NewReader(file), s)
	return content.Bytes(), err
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = rng.Read(b) // never fails
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, 15, 16, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 200_000} {
		s, content := newServer(), random(1, size)
		got, err := decrypt(s, encrypt(t, s, content, "alias/a"))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: answered %d bytes, error %v", size, len(got), err)
		}
	}
}

func TestHeaderNamesTheKeyAndNotTheAlias(t *testing.T) {
	file := encrypt(t, newServer(), []byte("x"), "alias/b", "alias/a")
	lines := strings.Split(string(file), "\n")
	want := []string{"age-encryption.org/v1", "-> keyward key-b", "-> keyward key-a"}
	got := slices.DeleteFunc(lines[:5], func(l string) bool { return !strings.HasPrefix(l, "age") && !strings.HasPrefix(l, "->") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A changed file is refused, and what was written before is a prefix of the content.
func TestChangedFilesAreRefused(t *testing.T) {
	s := newServer()
	content := random(2, 3*64<<10+777)
	file := encrypt(t, s, content, "alias/a", "alias/b")
	refuse := func(t *rapid.T, changed []byte) {
		got, err := decrypt(s, changed)
		if err == nil {
			t.Fatal("it was accepted")
		}
		if !bytes.HasPrefix(content, got) || len(got) == len(content) {
			t.Fatalf("%d bytes were written that are no true prefix of the content", len(got))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		switch rapid.SampledFrom([]string{"flip", "header", "cut", "more", "swap", "drop", "repeat"}).Draw(t, "change") {
		case "flip":
			refuse(t, flip(file, rapid.IntRange(0, len(file)*8-1).Draw(t, "bit")))
		case "header":
			refuse(t, flip(file, rapid.IntRange(0, 600*8).Draw(t, "bit")))
		case "cut":
			refuse(t, file[:rapid.IntRange(0, len(file)-1).Draw(t, "size")])
		case "more":
			refuse(t, append(bytes.Clone(file), rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "tail")...))
		case "swap":
			head, chunks := split(file)
			i := rapid.IntRange(0, len(chunks)-1).Draw(t, "i")
			j := (i + rapid.IntRange(1, len(chunks)-1).Draw(t, "j")) % len(chunks)
			chunks[i], chunks[j] = chunks[j], chunks[i]
			refuse(t, append(head, bytes.Join(chunks, nil)...))
		case "drop":
			head, chunks := split(file)
			i := rapid.IntRange(0, len(chunks)-1).Draw(t, "i")
			refuse(t, append(head, bytes.Join(slices.Delete(chunks, i, i+1), nil)...))
		case "repeat":
			head, chunks := split(file)
			i := rapid.IntRange(0, len(chunks)-1).Draw(t, "i")
			refuse(t, append(head, bytes.Join(slices.Insert(chunks, i, chunks[i]), nil)...))
		}
	})
}

// Every single bit of a small file matters, the header's included.
func TestEveryBitMatters(t *testing.T) {
	s := newServer()
	file := encrypt(t, s, []byte("salaries"), "alias/a")
	for bit := range len(file) * 8 {
		if got, err := decrypt(s, flip(file, bit)); err == nil || len(got) > 0 {
			t.Fatalf("bit %d: wrote %q, error %v", bit, got, err)
		}
	}
	for size := range file {
		if got, err := decrypt(s, file[:size]); err == nil || len(got) > 0 {
			t.Fatalf("cut at %d: wrote %q, error %v", size, got, err)
		}
	}
}

// Chunks of another file under the same key do not fit.
func TestChunksOfAnotherFileAreRefused(t *testing.T) {
	s := newServer()
	head, _ := split(encrypt(t, s, random(3, 100_000), "alias/a"))
	_, chunks := split(encrypt(t, s, random(4, 100_000), "alias/a"))
	got, err := decrypt(s, append(head, bytes.Join(chunks, nil)...))
	if !errors.Is(err, agefile.ErrDamaged) || len(got) > 0 {
		t.Errorf("wrote %d bytes, error %v", len(got), err)
	}
}

func TestAnyOneKeyOpens(t *testing.T) {
	s, content := newServer(), []byte("salaries")
	file := encrypt(t, s, content, "alias/a", "alias/b", "alias/c")
	s.refused = map[string]bool{"key-a": true, "key-b": true}
	got, err := decrypt(s, file)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("answered %q, error %v", got, err)
	}
	if diff := cmp.Diff([]string{"key-a", "key-b", "key-c"}, s.asked); diff != "" {
		t.Errorf("keys in the wrong order: %s", diff)
	}
	s.refused["key-c"] = true
	_, err = decrypt(s, file)
	var refused *agefile.RefusedError
	if !errors.As(err, &refused) || !errors.Is(err, errRefused) {
		t.Fatalf("answered %v, not all reasons", err)
	}
	var ids []string
	for _, r := range refused.Refusals {
		ids = append(ids, r.KeyID)
	}
	if diff := cmp.Diff([]string{"key-a", "key-b", "key-c"}, ids); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsNameWhatIsWrong(t *testing.T) {
	s := newServer()
	file := encrypt(t, s, random(5, 1000), "alias/a")
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var foreign bytes.Buffer
	w, err := age.Encrypt(&foreign, other.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	disk := errors.New("input/output error")
	for _, test := range []struct {
		name string
		src  io.Reader
		want error
	}{
		{"empty", strings.NewReader(""), agefile.ErrFormat},
		{"plain text", strings.NewReader("kwsk_fake the content of a secret\n"), agefile.ErrFormat},
		{"another tool's", &foreign, agefile.ErrForeign},
		{"cut", bytes.NewReader(file[:len(file)-1]), agefile.ErrDamaged},
		{"failing disk in the header", failing{bytes.NewReader(file[:30]), disk}, disk},
		{"failing disk in the content", failing{bytes.NewReader(file[:len(file)-10]), disk}, disk},
	} {
		err := agefile.Decrypt(context.Background(), io.Discard, test.src, s)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: answered %v, want %v", test.name, err, test.want)
		}
		if strings.Contains(err.Error(), "kwsk_fake") {
			t.Errorf("%s: the error quotes the file: %v", test.name, err)
		}
	}
}

func TestTooManyKeysCauseNoCalls(t *testing.T) {
	s := newServer()
	keys := slices.Repeat([]string{"alias/a"}, agefile.MaxKeys+1)
	if err := agefile.Encrypt(context.Background(), io.Discard, strings.NewReader("x"), s, keys); err == nil {
		t.Error("it encrypted to too many keys")
	}
	if err := agefile.Encrypt(context.Background(), io.Discard, strings.NewReader("x"), s, nil); err == nil {
		t.Error("it encrypted to no key")
	}
	var file bytes.Buffer
	var many []age.Recipient
	for range agefile.MaxKeys + 1 {
		many = append(many, stanza{})
	}
	if _, err := age.Encrypt(&file, many...); err != nil {
		t.Fatal(err)
	}
	if _, err := decrypt(s, file.Bytes()); !errors.Is(err, agefile.ErrFormat) || len(s.asked) > 0 {
		t.Errorf("answered %v after %d calls", err, len(s.asked))
	}
}

func TestAnEndedContextStops(t *testing.T) {
	s := newServer()
	file := encrypt(t, s, random(6, 100), "alias/a")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := agefile.Encrypt(ctx, io.Discard, strings.NewReader("x"), s, []string{"alias/a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("encrypting: %v", err)
	}
	if err := agefile.Decrypt(ctx, io.Discard, bytes.NewReader(file), s); !errors.Is(err, context.Canceled) {
		t.Errorf("decrypting: %v", err)
	}
}

// 64 MiB go through both ways while the heap stays small.
func TestConstantMemory(t *testing.T) {
	const size, bound = 64 << 20, 4 << 20
	s := newServer()
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	pr, pw := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := agefile.Encrypt(context.Background(), pw, io.LimitReader(zeros{}, size), s, []string{"alias/a"})
		pw.CloseWithError(err)
		sent <- err
	}()
	sink := &meter{base: before.HeapAlloc}
	if err := agefile.Decrypt(context.Background(), sink, pr, s); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if sink.n != size || sink.peak > bound {
		t.Errorf("%d bytes came through, the heap grew by %d", sink.n, sink.peak)
	}
}

// A file of the first release, made with -update, opens for ever.
func TestReleasedFormat(t *testing.T) {
	const path = "testdata/v1.kw"
	s, content := newServer(), random(7, 70_000)
	if *update {
		if err := os.WriteFile(path, encrypt(t, s, content, "alias/a", "alias/b"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s.refused["key-a"] = true
	if got, err := decrypt(s, file); err != nil || !bytes.Equal(got, content) {
		t.Errorf("answered %d bytes, error %v", len(got), err)
	}
}

// docs/files.md promises that the server and age's library are enough.
func TestRecoveryWithoutThisPackage(t *testing.T) {
	s, content := newServer(), []byte("salaries")
	file := encrypt(t, s, content, "alias/a")
	_, rest, _ := strings.Cut(string(file), "\n-> keyward key-a\n")
	body, _, _ := strings.Cut(rest, "\n---")
	blob, err := base64.RawStdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	fileKey, err := s.Unwrap(context.Background(), "key-a", blob)
	if err != nil {
		t.Fatal(err)
	}
	r, err := age.Decrypt(bytes.NewReader(file), age.NewInjectedFileKeyIdentity(fileKey))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
		t.Errorf("answered %q, error %v", got, err)
	}
}

// Only what was encrypted comes out, whatever is tried.
func FuzzDecrypt(f *testing.F) {
	s := newServer()
	f.Add(encrypt(f, s, []byte("x"), "alias/a"))
	f.Add([]byte("age-encryption.org/v1\n-> keyward key-a\n\n--- AAAA\n"))
	f.Add([]byte("age-encryption.org/v1\n-> keyward\n\n-> keyward a b\n\n--- AAAA\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		content, err := decrypt(s, file)
		if err == nil && string(content) != "x" || err != nil && len(content) > 0 {
			t.Errorf("%q came out, error %v", content, err)
		}
	})
}

// split cuts a file into its header with the payload's nonce, and its chunks.
func split(file []byte) ([]byte, [][]byte) {
	const nonce, chunk = 16, 64<<10 + 16
	end := bytes.Index(file, []byte("\n---")) + 1
	end += bytes.IndexByte(file[end:], '\n') + 1 + nonce
	return bytes.Clone(file[:end]), slices.Collect(slices.Chunk(bytes.Clone(file[end:]), chunk))
}

func flip(file []byte, bit int) []byte {
	changed := bytes.Clone(file)
	changed[bit/8] ^= 1 << (bit % 8)
	return changed
}

type failing struct {
	r   io.Reader
	err error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A meter counts what is written and, now and then, measures what lives on the heap.
type meter struct {
	n, next    int64
	base, peak uint64
}

func (m *meter) Write(p []byte) (int, error) {
	m.n += int64(len(p))
	if m.n >= m.next {
		m.next += 4 << 20
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		if now.HeapAlloc > m.base {
			m.peak = max(m.peak, now.HeapAlloc-m.base)
		}
	}
	return len(p), nil
}

type stanza struct{}

func (stanza) Wrap([]byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: agefile.StanzaType, Args: []string{"key-a"}}}, nil
}
