package witness_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/cosign"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/witness"
)

// A log is a Merkle tree in memory with a key.
type log struct {
	origin, public string
	signer         note.Signer
	hashes         []tlog.Hash
}

func newLog(t testing.TB, origin string) *log {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return &log{origin: origin, public: public, signer: s}
}

// ReadHashes implements tlog.HashReader.
func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

// fork answers another log of the same key that is the same until now.
func (l *log) fork() *log {
	f := *l
	f.hashes = append([]tlog.Hash{}, l.hashes...)
	return &f
}

func (l *log) size() (n int64) {
	for tlog.StoredHashCount(n) < int64(len(l.hashes)) {
		n++
	}
	return n
}

func (l *log) grow(t testing.TB, records int, what string) {
	t.Helper()
	for range records {
		n := l.size()
		hashes, err := tlog.StoredHashes(n, fmt.Appendf(nil, "%s %d", what, n), l)
		if err != nil {
			t.Fatal(err)
		}
		l.hashes = append(l.hashes, hashes...)
	}
}

func (l *log) checkpoint(t testing.TB, size int64) []byte {
	t.Helper()
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		t.Fatal(err)
	}
	return l.sign(t, fmt.Sprintf("%s\n%d\n%s\n", l.origin, size, root))
}

func (l *log) sign(t testing.TB, text string) []byte {
	t.Helper()
	signed, err := note.Sign(&note.Note{Text: text}, l.signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// submission is the request that takes a witness from old to size.
func (l *log) submission(t testing.TB, old, size int64) []byte {
	t.Helper()
	s := witness.Submission{Old: old, Checkpoint: l.checkpoint(t, size)}
	if old > 0 && old <= size {
		proof, err := tlog.ProveTree(size, old, l)
		if err != nil {
			t.Fatal(err)
		}
		s.Proof = proof
	}
	return s.Encode()
}

// A world is a witness that is served.
type world struct {
	*witness.Witness
	dir    string
	now    time.Time
	logs   []witness.Log
	alarms bytes.Buffer
	url    string
	key    *cosign.Verifier
}

func start(t testing.TB, logs ...*log) *world {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "[state]"), now: time.Unix(1800000000, 0)}
	for _, l := range logs {
		w.logs = append(w.logs, witness.Log{Origin: l.origin, PublicKey: l.public})
	}
	public, err := witness.Init(w.dir, "witness.example.com/w1")
	if err != nil {
		t.Fatal(err)
	}
	if w.key, err = cosign.NewVerifier(public); err != nil {
		t.Fatal(err)
	}
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) { w.Handler().ServeHTTP(out, r) }))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// open opens the state anew, as a restart does.
func (w *world) open() error {
	signer, err := witness.ReadKey(w.dir)
	if err != nil {
		return err
	}
	opened, err := witness.Open(witness.Options{
		Dir: w.dir, Signer: signer, Logs: w.logs, Now: func() time.Time { return w.now }, Logger: slog.New(slog.NewTextHandler(&w.alarms, nil)),
	})
	if err == nil {
		w.Witness = opened
	}
	return err
}

func (w *world) post(t testing.TB, body []byte) (status int, kind, answer string) {
	t.Helper()
	resp, err := http.Post(w.url+"/add-checkpoint", "", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(content)
}

func (w *world) want(t testing.TB, body []byte, status int) string {
	t.Helper()
	got, _, answer := w.post(t, body)
	if got != status {
		t.Fatalf("answered %d %q, want %d, to:\n%s", got, answer, status, body)
	}
	return answer
}

func (w *world) conflicts(t testing.TB, kind string) []string {
	t.Helper()
	files, err := durable.List(w.dir, "*/conflict-"+kind+"-*.txt")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestCosigningAsALogGrows(t *testing.T) {
	l := newLog(t, "keyward/node-1")
	w := start(t, l)
	old := int64(0)
	for step, size := range []int64{0, 1, 1, 2, 7, 8, 64, 65, 200} {
		l.grow(t, int(size-l.size()), "a")
		w.now = w.now.Add(time.Second)
		body := l.submission(t, old, size)
		line := w.want(t, body, 200)
		at, err := w.key.Time(append(l.checkpoint(t, size), line...))
		if err != nil || !at.Equal(w.now) {
			t.Fatalf("step %d: cosigned at %v, %v", step, at, err)
		}
		resp, err := http.Get(w.url + "/" + witness.OriginHash("keyward/node-1") + "/checkpoint")
		if err != nil {
			t.Fatal(err)
		}
		kept, err := io.ReadAll(resp.Body)
		if err != nil || string(kept) != string(l.checkpoint(t, size))+line {
			t.Fatalf("step %d: the witness shows\n%s, %v", step, kept, err)
		}
		_ = resp.Body.Close()
		old = size
		if err := w.open(); err != nil { // it remembers over a restart
			t.Fatal(err)
		}
	}
	w.now = w.now.Add(-time.Hour) // its clock goes back
	l.grow(t, 1, "a")
	at, err := w.key.Time(append(l.checkpoint(t, 201), w.want(t, l.submission(t, 200, 201), 200)...))
	if err != nil || !at.Equal(w.now.Add(time.Hour)) {
		t.Errorf("a larger tree is cosigned as of %v, before a smaller one; %v", at, err)
	}
	if len(w.conflicts(t, "*")) > 0 || strings.Contains(w.alarms.String(), "CONFLICT") {
		t.Errorf("a conflict without one:\n%s", w.alarms.String())
	}
}

// A request that was cut off is not answered as if it had been cosigned.
func TestRequestCutOff(t *testing.T) {
	w := start(t, newLog(t, "keyward/node-1"))
	out := httptest.NewRecorder()
	w.Handler().ServeHTTP(out, httptest.NewRequest("POST", "/add-checkpoint", iotest.ErrReader(io.ErrUnexpectedEOF)))
	if out.Code != http.StatusBadRequest {
		t.Errorf("answered %d %q", out.Code, out.Body)
	}
}

func TestStatusOfEveryRefusal(t *testing.T) {
	l, other := newLog(t, "keyward/node-1"), newLog(t, "keyward/node-1")
	stranger := newLog(t, "keyward/elsewhere")
	w := start(t, l)
	for _, one := range []*log{l, other, stranger} {
		one.grow(t, 20, "a")
	}
	w.want(t, l.submission(t, 0, 10), 200)
	good := string(l.submission(t, 10, 20))
	top, signed, _ := strings.Cut(good, "\n\n")
	lines := strings.SplitAfter(top+"\n", "\n")
	hash := lines[1]
	invalid := []byte(good)
	if c := &invalid[len(invalid)-20]; *c == 'A' {
		*c = 'B'
	} else {
		*c = 'A'
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"nothing":                  {"", 400},
		"no empty line":            {"old 10\n", 400},
		"no old line":              {hash + "\n" + signed, 400},
		"size with a zero":         {strings.Replace(good, "old 10", "old 010", 1), 400},
		"negative size":            {strings.Replace(good, "old 10", "old -1", 1), 400},
		"size with a plus":         {strings.Replace(good, "old 10", "old +10", 1), 400},
		"enormous size":            {strings.Replace(good, "old 10", "old 9223372036854775808", 1), 400},
		"two spaces":               {strings.Replace(good, "old 10", "old  10", 1), 400},
		"line that is no hash":     {strings.Replace(good, hash, "AAAA\n", 1), 400},
		"hash of a second form":    {strings.Replace(good, hash, hash[:len(hash)-3]+"B=\n", 1), 400},
		"64 hashes":                {"old 10\n" + strings.Repeat(hash, 64) + "\n" + signed, 400},
		"carriage returns":         {strings.ReplaceAll(good, "\n", "\r\n"), 400},
		"no note":                  {top + "\n\nkeyward/node-1\n20\n", 400},
		"two lines":                {top + "\n\n" + string(l.sign(t, "keyward/node-1\n20\n")), 400},
		"empty extension":          {top + "\n\n" + string(l.sign(t, strings.SplitAfter(signed, "=\n")[0]+"\n\nx\n")), 400},
		"old larger than new":      {string(l.submission(t, 11, 10)), 400},
		"origin unknown":           {string(stranger.submission(t, 0, 10)), 404},
		"unknown key":              {string(other.submission(t, 10, 20)), 403},
		"signature wrong":          {string(invalid), 403},
		"another old size":         {string(l.submission(t, 5, 20)), 409},
		"old size zero":            {string(l.submission(t, 0, 20)), 409},
		"rolled back":              {string(l.submission(t, 5, 5)), 409},
		"no proof":                 {"old 10\n\n" + signed, 422},
		"proof of 63 hashes":       {"old 10\n" + strings.Repeat(hash, 63) + "\n" + signed, 422},
		"proof in the wrong order": {lines[0] + strings.Join(append([]string{lines[2], lines[1]}, lines[3:]...), "") + "\n" + signed, 422},
		"same size with proof":     {"old 10\n" + hash + "\n" + string(l.checkpoint(t, 10)), 422},
		"too large":                {good + strings.Repeat("x", witness.MaxBody), 413},
	} {
		status, kind, answer := w.post(t, []byte(c.body))
		if status != c.status {
			t.Errorf("%s: answered %d %q, want %d", name, status, answer, c.status)
		}
		if status == 409 && (kind != "text/x.tlog.size" || answer != "10\n") {
			t.Errorf("%s: the conflict tells %q as %q", name, answer, kind)
		}
	}
	w.want(t, []byte(good), 200) // none of it moved the state
	fresh := newLog(t, "keyward/fresh")
	w2 := start(t, fresh)
	w2.want(t, fresh.sign(t, "x\n"), 400)
	w2.want(t, []byte("old 0\n\n"+string(fresh.sign(t, "keyward/fresh\n0\n"+tlog.Hash{1}.String()+"\n"))), 422)
	fresh.grow(t, 3, "a")
	w2.want(t, append([]byte("old 0\n"+hash+"\n"), fresh.checkpoint(t, 3)...), 422)
	for _, size := range []string{"9223372036854775807", "4611686018427387905"} { // beyond what proofs can be computed for
		w2.want(t, []byte("old 0\n\n"+string(fresh.sign(t, "keyward/fresh\n"+size+"\n"+tlog.Hash{1}.String()+"\n"))), 400)
	}
	if w2.want(t, append([]byte("old 0\n\n"), fresh.sign(t, strings.SplitAfter(string(fresh.checkpoint(t, 3)), "=\n")[0]+"an extension\n")...), 200) == "" {
		t.Error("an extension line is not cosigned")
	}
	resp, err := http.Get(w2.url + "/" + witness.OriginHash("keyward/none") + "/checkpoint")
	if err != nil || resp.StatusCode != 404 {
		t.Errorf("a checkpoint of an unknown log: %v, %v", resp.Status, err)
	}
}

// A second history under the same key is refused, and both signed checkpoints are kept.
func TestForkIsKeptAsEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		old, size int64
		kind      string
		status    int
	}{
		"same size":                          {10, 10, "proven", 422},
		"same size, another old one":         {5, 10, "proven", 409},
		"grown":                              {10, 20, "proven", 422},
		"grown from a complete subtree of 8": {8, 20, "suspected", 422},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t, "keyward/node-1")
			w := start(t, l)
			l.grow(t, 3, "a")
			other := l.fork()
			l.grow(t, 17, "a")
			other.grow(t, 17, "b")
			held := max(c.old, 8)
			if c.old == 5 {
				held = 10
			}
			w.want(t, l.submission(t, 0, held), 200)
			fork := other.submission(t, c.old, c.size)
			for range 3 { // said again and again, kept once
				w.want(t, fork, c.status)
			}
			files := w.conflicts(t, "*")
			if len(files) != 1 || len(w.conflicts(t, c.kind)) != 1 {
				t.Fatalf("kept %v, want one that is %s", files, c.kind)
			}
			evidence, err := os.ReadFile(files[0])
			if err != nil || !bytes.Contains(evidence, l.checkpoint(t, held)) || !bytes.Contains(evidence, other.checkpoint(t, c.size)) {
				t.Errorf("the evidence does not hold both signed checkpoints: %v\n%s", err, evidence)
			}
			if !strings.Contains(w.alarms.String(), "CONFLICT "+strings.ToUpper(c.kind)) {
				t.Errorf("it was not said:\n%s", w.alarms.String())
			}
			w.alarms.Reset()
			if err := w.open(); err != nil || !strings.Contains(w.alarms.String(), "CONFLICTS") {
				t.Errorf("it is not said again at the start: %v\n%s", err, w.alarms.String())
			}
			w.want(t, l.submission(t, held, 20), 200) // the first history goes on
			all, err := witness.Inspect(w.dir)
			if err != nil || len(all) != 1 || all[0].Size != 20 || len(all[0].Conflicts) != 1 {
				t.Errorf("inspecting: %+v, %v", all, err)
			}
		})
	}
}

// Whatever arrives at once, the cosigned checkpoints are of one history.
func TestConcurrentSubmissions(t *testing.T) {
	l := newLog(t, "keyward/node-1")
	w := start(t, l)
	l.grow(t, 1, "a")
	other := l.fork()
	l.grow(t, 40, "a")
	other.grow(t, 40, "b")
	w.want(t, l.submission(t, 0, 1), 200)
	var mu sync.Mutex
	cosigned := map[string]bool{}
	var all sync.WaitGroup
	for i := range 80 {
		side, name := l, "a"
		if i%2 == 1 {
			side, name = other, "b"
		}
		body := side.submission(t, 1, int64(2+i/2))
		all.Go(func() {
			if status, _, _ := w.post(t, body); status == 200 {
				mu.Lock()
				defer mu.Unlock()
				cosigned[name] = true
			}
		})
	}
	all.Wait()
	if len(cosigned) != 1 {
		t.Errorf("both histories were cosigned, or none: %v", cosigned)
	}
}

func TestDamagedStateStopsTheWitness(t *testing.T) {
	l := newLog(t, "keyward/node-1")
	w := start(t, l)
	l.grow(t, 9, "a")
	w.want(t, l.submission(t, 0, 9), 200)
	path := filepath.Join(w.dir, witness.OriginHash(l.origin), "checkpoint")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range content {
		changed := bytes.Clone(content)
		changed[i] ^= 1
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.open(); err == nil {
			t.Errorf("byte %d of the state changed: it starts", i)
		}
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.open(); err == nil {
		t.Error("the state is empty: it starts")
	}
	w.logs[0].PublicKey = newLog(t, "keyward/node-1").public
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.open(); err == nil {
		t.Error("the log's key changed: it starts")
	}
}

// What cannot be written is not cosigned; what may have been written is read back.
func TestUnwritableState(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("root may write everywhere: a directory in the file's place stands for a full disk")
	}
	l := newLog(t, "keyward/node-1")
	w := start(t, l)
	l.grow(t, 9, "a")
	w.want(t, l.submission(t, 0, 3), 200)
	path := filepath.Join(w.dir, witness.OriginHash(l.origin), "checkpoint")
	if err := os.Rename(path, path+".aside"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "in-the-way"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.want(t, l.submission(t, 3, 9), 500)
	w.want(t, l.submission(t, 3, 9), 500)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".aside", path); err != nil {
		t.Fatal(err)
	}
	w.want(t, l.submission(t, 3, 9), 200)
}

func FuzzAdd(f *testing.F) {
	l := newLog(f, "keyward/node-1")
	w := start(f, l)
	l.grow(f, 20, "a")
	w.want(f, l.submission(f, 0, 10), 200)
	f.Add(l.submission(f, 10, 10))
	f.Add([]byte("old 0\n\n"))
	f.Add([]byte("old 10\nAAAA\n\nkeyward/node-1\n1\nAAAA\n\n— x AAAA\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		line, err := w.Add(body)
		if err == nil && !bytes.Contains(body, l.checkpoint(t, 10)) {
			t.Errorf("cosigned %q as %q", body, line)
		}
	})
}
