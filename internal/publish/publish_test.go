package publish_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cosign"
	"github.com/keyward/keyward/internal/publish"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
	"github.com/keyward/keyward/internal/witness"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// A node is a server as far as its audit log is concerned.
type node struct {
	storetest.Node
	key  string
	dir  string
	logs bytes.Buffer
}

func startNode(t *testing.T) *node {
	t.Helper()
	n := &node{dir: t.TempDir()}
	n.Node = storetest.Start(t, storetest.Options{
		URL: storetest.SQLite(t), Origin: "keyward/node-1", Keys: sealtest.Keyring(t), Now: time.Now, Changed: func(string, string) {},
	})
	logs, err := n.DB.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n.key = logs[0].PublicKey
	return n
}

func (n *node) grow(t *testing.T, records int) {
	t.Helper()
	for i := range records {
		r := audit.NewRecord(&authz.Call{Time: time.Now()}, fmt.Sprintf("kms:Test%d", i))
		r.Result = audit.ResultOK
		if err := n.Log.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func (n *node) publisher(t *testing.T, witnesses ...publish.Witness) *publish.Publisher {
	t.Helper()
	p, err := publish.New(publish.Options{
		Reader: n.DB, Log: "keyward/node-1", PublicKey: n.key, Head: n.Log.Checkpoint, Dir: n.dir, Witnesses: witnesses,
		Logger: slog.New(slog.NewTextHandler(&n.logs, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// served is a witness that is served.
type served struct {
	publish.Witness
	dir      string
	requests int
	down     bool
}

func startWitness(t *testing.T, name string, logs ...witness.Log) *served {
	t.Helper()
	s := &served{dir: t.TempDir()}
	public, err := witness.Init(s.dir, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := witness.ReadKey(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(witness.Options{Dir: s.dir, Signer: signer, Logs: logs, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		s.requests++
		if s.down {
			http.Error(out, "down", http.StatusBadGateway)
			return
		}
		w.Handler().ServeHTTP(out, r)
	}))
	t.Cleanup(server.Close)
	s.Witness = publish.Witness{URL: server.URL, Key: public, Allow: loopback}
	return s
}

func TestEveryCheckpointIsCosignedAndKept(t *testing.T) {
	n := startNode(t)
	log := witness.Log{Origin: "keyward/node-1", PublicKey: n.key}
	w1, w2 := startWitness(t, "w1", log), startWitness(t, "w2", log)
	p := n.publisher(t, w1.Witness, w2.Witness)
	if err := p.Publish(t.Context()); err != nil || w1.requests > 0 {
		t.Fatalf("an empty log: %v, %d requests", err, w1.requests)
	}
	total := int64(0)
	for _, records := range []int{1, 1, 5, 0, 30} {
		n.grow(t, records)
		total += int64(records)
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, s := range p.Status() {
			if s.Size != total || time.Since(s.At) > time.Minute || s.Problem != "" || s.Conflict {
				t.Errorf("witness %d after %d records: %+v", i, total, s)
			}
		}
	}
	if w1.requests != 5 {
		t.Errorf("%d requests for 5 checkpoints", w1.requests)
	}
	files, err := filepath.Glob(filepath.Join(n.dir, "witness-*.checkpoint"))
	if err != nil || len(files) != 2 {
		t.Fatalf("kept %v, %v", files, err)
	}
	for _, file := range files {
		signed, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := audit.OpenCheckpoint(signed, n.key)
		if err != nil || c.Size != total || strings.Count(string(signed), "— ") != 2 {
			t.Errorf("%s: %+v, %v", file, c, err)
		}
	}
	// A node that starts again goes on where it was, with one request; one that lost its
	// files asks the witness where it stands.
	n.grow(t, 3)
	w1.requests, w2.requests = 0, 0
	p = n.publisher(t, w1.Witness, w2.Witness)
	if s := p.Status()[0]; s.Size != total {
		t.Errorf("after a restart: %+v", s)
	}
	if err := p.Publish(t.Context()); err != nil || w1.requests != 1 {
		t.Errorf("after a restart: %v, %d requests", err, w1.requests)
	}
	n.dir = t.TempDir()
	n.grow(t, 3)
	w1.requests = 0
	if err := n.publisher(t, w1.Witness).Publish(t.Context()); err != nil || w1.requests != 2 {
		t.Errorf("without its files: %v, %d requests", err, w1.requests)
	}
}

// A database and the node's files that are put back together are found out.
func TestRollbackIsFoundOut(t *testing.T) {
	n := startNode(t)
	w := startWitness(t, "w1", witness.Log{Origin: "keyward/node-1", PublicKey: n.key})
	n.grow(t, 10)
	early := n.Log.Checkpoint()
	n.grow(t, 5)
	if err := n.publisher(t, w.Witness).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.dir = t.TempDir() // the node's files are as old as the database
	p, err := publish.New(publish.Options{
		Reader: n.DB, Log: "keyward/node-1", PublicKey: n.key, Head: func() []byte { return early }, Dir: n.dir,
		Witnesses: []publish.Witness{w.Witness}, Logger: slog.New(slog.NewTextHandler(&n.logs, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Publish(t.Context())
	if s := p.Status()[0]; err == nil || !s.Conflict || !strings.Contains(s.Problem, "15 records") {
		t.Errorf("a rollback: %+v, %v", s, err)
	}
	if !strings.Contains(n.logs.String(), "WITNESS CONFLICT") {
		t.Errorf("it is not said:\n%s", n.logs.String())
	}
}

// A history is a log in memory, as far as it is published.
type history struct {
	audit.Reader
	signer note.Signer
	hashes []tlog.Hash
	size   int64
}

// Hashes implements audit.Reader.
func (h *history) Hashes(_ context.Context, _ string, indexes []int64) ([]tlog.Hash, error) {
	return h.ReadHashes(indexes)
}

// ReadHashes implements tlog.HashReader.
func (h *history) ReadHashes(indexes []int64) (out []tlog.Hash, err error) {
	for _, i := range indexes {
		out = append(out, h.hashes[i])
	}
	return out, nil
}

// publish grows the history to a size and shows it to a witness, as a node that knows nothing of it.
func (h *history) publish(t *testing.T, size int64, what, key string, to publish.Witness) (publish.Status, error) {
	t.Helper()
	for ; h.size < size; h.size++ {
		hashes, err := tlog.StoredHashes(h.size, []byte(what), h)
		if err != nil {
			t.Fatal(err)
		}
		h.hashes = append(h.hashes, hashes...)
	}
	root, err := tlog.TreeHash(size, h)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("keyward/node-1\n%d\n%s\n", size, root)}, h.signer)
	if err != nil {
		t.Fatal(err)
	}
	p, err := publish.New(publish.Options{
		Reader: h, Log: "keyward/node-1", PublicKey: key, Head: func() []byte { return signed }, Dir: t.TempDir(),
		Witnesses: []publish.Witness{to}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Publish(t.Context())
	return p.Status()[0], err
}

// A history that grew past the one that the witness saw, but not from it, is found out.
func TestForkIsFoundOut(t *testing.T) {
	private, public, err := note.GenerateKey(rand.Reader, "keyward/node-1")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	w := startWitness(t, "w1", witness.Log{Origin: "keyward/node-1", PublicKey: public})
	one, other := &history{signer: signer}, &history{signer: signer}
	if s, err := one.publish(t, 10, "one", public, w.Witness); err != nil || s.Size != 10 {
		t.Fatalf("%+v, %v", s, err)
	}
	if s, err := other.publish(t, 15, "other", public, w.Witness); err == nil || !s.Conflict || !strings.Contains(s.Problem, "first 10 records") {
		t.Errorf("a fork: %+v, %v", s, err)
	}
	if s, err := one.publish(t, 12, "one", public, w.Witness); err != nil || s.Size != 12 || s.Conflict {
		t.Errorf("the history that it saw: %+v, %v", s, err)
	}
}

func TestFailuresAreShownAndPass(t *testing.T) {
	n := startNode(t)
	w := startWitness(t, "w1", witness.Log{Origin: "keyward/node-1", PublicKey: n.key})
	n.grow(t, 4)
	p := n.publisher(t, w.Witness)
	w.down = true
	if err := p.Publish(t.Context()); err == nil || !strings.Contains(p.Status()[0].Problem, "502") || p.Status()[0].Conflict {
		t.Errorf("down: %v, %+v", err, p.Status())
	}
	w.down = false
	if err := p.Publish(t.Context()); err != nil || p.Status()[0].Problem != "" {
		t.Errorf("up again: %v, %+v", err, p.Status())
	}
	for what, other := range map[string]*served{
		"--log":              startWitness(t, "w2"),
		"another public key": startWitness(t, "w3", witness.Log{Origin: "keyward/node-1", PublicKey: startNode(t).key}),
	} {
		p := n.publisher(t, other.Witness)
		if err := p.Publish(t.Context()); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want %q: %v", what, err)
		}
	}
}

// What a witness answers is believed only as far as its key signs it.
func TestLyingWitness(t *testing.T) {
	n := startNode(t)
	n.grow(t, 4)
	_, key, err := cosign.GenerateKey("liar")
	if err != nil {
		t.Fatal(err)
	}
	otherPrivate, _, err := cosign.GenerateKey("liar")
	if err != nil {
		t.Fatal(err)
	}
	other, err := cosign.NewSigner(otherPrivate)
	if err != nil {
		t.Fatal(err)
	}
	c, err := audit.OpenCheckpoint(n.Log.Checkpoint(), n.key)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)}, other.At(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	_, foreignLine, _ := strings.Cut(string(foreign), "\n\n")
	for name, answer := range map[string]func(http.ResponseWriter){
		"nothing":            func(w http.ResponseWriter) {},
		"no signature":       func(w http.ResponseWriter) { _, _ = io.WriteString(w, "— liar AAAA\n") },
		"another's":          func(w http.ResponseWriter) { _, _ = io.WriteString(w, foreignLine) },
		"409 without a size": func(w http.ResponseWriter) { w.WriteHeader(409) },
		"409 with nonsense": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", witness.SizeType)
			w.WriteHeader(409)
			_, _ = io.WriteString(w, "-1\n")
		},
		"409 for ever": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", witness.SizeType)
			w.WriteHeader(409)
			_, _ = io.WriteString(w, "2\n")
		},
		"a redirect": func(w http.ResponseWriter) { w.Header().Set("Location", "http://127.0.0.1:1/"); w.WriteHeader(307) },
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
		p := n.publisher(t, publish.Witness{URL: server.URL, Key: key, Allow: loopback})
		if err := p.Publish(t.Context()); err == nil || p.Status()[0].Size != 0 || p.Status()[0].Conflict {
			t.Errorf("%s: %v, %+v", name, err, p.Status())
		}
		server.Close()
	}
	if files, err := filepath.Glob(filepath.Join(n.dir, "*")); err != nil || len(files) > 0 {
		t.Errorf("something was kept: %v, %v", files, err)
	}
}

// Run shows the log at once, and once more when it ends.
func TestRun(t *testing.T) {
	n := startNode(t)
	w := startWitness(t, "w1", witness.Log{Origin: "keyward/node-1", PublicKey: n.key})
	n.grow(t, 4)
	p := n.publisher(t, w.Witness)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx) }()
	for deadline := time.Now().Add(30 * time.Second); p.Status()[0].Size != 4; {
		if time.Now().After(deadline) {
			t.Fatalf("not cosigned: %+v", p.Status())
		}
		<-time.After(5 * time.Millisecond)
	}
	n.grow(t, 2)
	cancel()
	if err := <-ended; err != nil || p.Status()[0].Size != 6 {
		t.Errorf("at the end: %+v, %v", p.Status(), err)
	}
}

func TestValidate(t *testing.T) {
	w := startWitness(t, "w1").Witness
	for name, bad := range map[string][]publish.Witness{
		"no URL":     {{Key: w.Key}},
		"no key":     {{URL: w.URL, Allow: loopback}},
		"plain http": {{URL: w.URL, Key: w.Key}},
		"twice":      {w, w},
	} {
		if err := publish.Validate(bad); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := publish.Validate([]publish.Witness{w, startWitness(t, "w1").Witness}); err != nil {
		t.Error(err)
	}
}
