package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cosign"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// fromEnvironment answers a number of the environment, or what it is without one.
func fromEnvironment(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	n, err := strconv.ParseInt(cmp.Or(os.Getenv(name), strconv.FormatInt(otherwise, 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A book is one log as an attacker has it: all that is public, and every head that was
// ever signed.
type book struct {
	log, key string
	leaves   []string
	heads    map[int][]byte // signed, by size
	at       map[int]int64  // time of the batch that ended there, microseconds
	size     int
	tail     int // records that were in the tables when it crashed; the others were in the journal
}

// An archive is two logs of one database, kept in every form, and what an auditor trusts.
type archive struct {
	dir    string
	books  []*book
	flags  []string          // what the auditor remembered
	cosign []string          // the same with checkpoints that a witness cosigned
	text   string            // the export
	tiles  map[string][]byte // the tiles by path
	base   []byte            // the database
	torn   []byte            // the database before it was closed, without the last log's tail
	tail   [2][]byte         // the journal beside it, which has the tail
}

func makeArchive(t *testing.T) *archive {
	t.Helper()
	a := &archive{dir: t.TempDir(), tiles: map[string][]byte{}}
	url := storetest.SQLite(t)
	private, witnessKey, err := cosign.GenerateKey("witness.example.com/w1")
	if err != nil {
		t.Fatal(err)
	}
	witness, err := cosign.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	for i, records := range []int{600, 300} {
		b := a.write(t, url, fmt.Sprintf("keyward/node-%d", i+1), records)
		n := &note.Note{}
		verifier, err := note.NewVerifier(b.key)
		if err != nil {
			t.Fatal(err)
		}
		if n, err = note.Open(b.heads[b.size], note.VerifierList(verifier)); err != nil {
			t.Fatal(err)
		}
		cosigned, err := note.Sign(n, witness.At(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		plain, signed := filepath.Join(a.dir, fmt.Sprintf("plain%d", i)), filepath.Join(a.dir, fmt.Sprintf("cosigned%d", i))
		if err := errors.Join(os.WriteFile(plain, b.heads[b.size], 0o600), os.WriteFile(signed, cosigned, 0o600)); err != nil {
			t.Fatal(err)
		}
		a.flags = append(a.flags, "--public-key", b.key, "--checkpoint", plain)
		a.cosign = append(a.cosign, "--public-key", b.key, "--checkpoint", signed)
	}
	a.cosign = append(a.cosign, "--witness-key", witnessKey)
	path := strings.TrimPrefix(url, "sqlite:")
	s := newSession(t, cli.English)
	export, dir := filepath.Join(a.dir, "export"), filepath.Join(a.dir, "tiles")
	if status := s.Do("audit", "export", "--database", url, "--out", export); status != 0 {
		t.Fatal(s.Stderr.String())
	}
	if status := s.Do("audit", "export", "--database", url, "--tiles", dir); status != 0 {
		t.Fatal(s.Stderr.String())
	}
	text, err := os.ReadFile(export)
	if err != nil {
		t.Fatal(err)
	}
	a.text = string(text)
	if a.base, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			a.tiles[name], err = os.ReadFile(filepath.Join(dir, name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// write makes a log in the database, in batches of many sizes.
func (a *archive) write(t *testing.T, url, log string, records int) *book {
	t.Helper()
	n := storetest.Start(t, storetest.Options{URL: url, Origin: log, Keys: sealtest.Keyring(t), Now: time.Now, Changed: func(string, string) {}})
	b := &book{log: log, heads: map[int][]byte{}, at: map[int]int64{}}
	for b.size < records {
		done := make(chan error)
		group := 1 + b.size%13
		for i := range group {
			r := audit.NewRecord(&authz.Call{Principal: authz.Principal{Account: "1000000000000001", Kind: authz.User, Name: "ada"}, Time: time.Now()}, "kms:Encrypt")
			r.Resource, r.Result = fmt.Sprintf("key/%d", i), audit.ResultOK
			write := func() error { return n.Log.Append(t.Context(), r) }
			if b.tail == 0 && b.size > records/2 { // a change takes what is in the journal along
				group, b.tail = 1, b.size+1
				write = func() error {
					return n.Log.Commit(t.Context(), r, func(context.Context, audit.Tx) ([]audit.Effect, error) { return nil, nil })
				}
			}
			go func() { done <- write() }()
			if group == 1 {
				break
			}
		}
		for range group {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		b.size += group
		head, err := n.DB.Head(t.Context(), log)
		if err != nil || head.Size != int64(b.size) {
			t.Fatalf("the head is %+v, %v", head, err)
		}
		b.heads[b.size], b.at[b.size] = head.Checkpoint, head.At.UnixMicro()
	}
	logs, err := n.DB.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range logs {
		if id.Origin == log {
			b.key = id.PublicKey
		}
	}
	if err := n.DB.Batches(t.Context(), log, 0, func(batch audit.Batch) error {
		b.leaves = append(b.leaves, strings.Split(strings.TrimSuffix(string(batch.Leaves), "\n"), "\n")...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	a.crash(t, strings.TrimPrefix(url, "sqlite:"))
	n.StopLog()
	if err := n.DB.Close(); err != nil {
		t.Fatal(err)
	}
	a.books = append(a.books, b)
	return b
}

// older answers an earlier size at which a head was signed.
func (b *book) older(r *mathrand.Rand) int {
	for {
		if size := 1 + r.IntN(b.size-1); b.heads[size] != nil {
			return size
		}
	}
}

// forge signs other leaves as the log's, with a key of the attacker's own.
func (b *book) forge(t *testing.T, leaves []string) (head, public string, stored []tlog.Hash) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, b.log)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	read := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), []byte(leaf), read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), read)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", b.log, len(leaves), root)}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed), public, stored
}

// edited answers the leaves with one of them changed, so that it still is a record of
// its place.
func (b *book) edited(r *mathrand.Rand) []string {
	leaves := append([]string{}, b.leaves...)
	i := r.IntN(len(leaves))
	leaves[i] = strings.Replace(leaves[i], "kms:Encrypt", "kms:Decrypt", 1)
	return leaves
}

// flipped answers the bytes with one of them changed.
func flipped(r *mathrand.Rand, content []byte) []byte {
	out := append([]byte{}, content...)
	out[r.IntN(len(out))] ^= byte(1 + r.IntN(255))
	return out
}

// A tampering changes an archive in one form and has it verified.
type tampering func(r *mathrand.Rand) (what string, args []string, undo func())

// TestTampering is the campaign: every tampering of a database, of the journal that holds
// its tail after a crash, of an export or of tiles is found by `keyward audit verify`, given the public keys and one checkpoint that was
// remembered or cosigned when the copy was made.
func TestTampering(t *testing.T) {
	count, seed := fromEnvironment(t, "KEYWARD_TAMPERINGS", 300), fromEnvironment(t, "KEYWARD_SEED", time.Now().UnixNano())
	a := makeArchive(t)
	for form, tamper := range map[string]tampering{"database": a.databases(t), "export": a.exports(t), "tiles": a.directories(t), "journal": a.journals(t)} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			r := mathrand.New(mathrand.NewPCG(uint64(seed), uint64(len(form))))
			s := newSession(t, cli.English)
			found := map[string]int{}
			for i := range count / 4 {
				what, args, undo := tamper(r)
				trust := a.flags
				if i%2 == 1 {
					trust = a.cosign
				}
				if status := s.Do(append(append([]string{"audit", "verify"}, args...), trust...)...); status == cli.ExitOK {
					t.Errorf("seed %d, number %d: NOT FOUND: %s\n%s", seed, i, what, s.Stdout.String())
				}
				if why := s.Stderr.String(); strings.Contains(why, "TAMPERED") || strings.Contains(why, "rollback suspected") {
					found["named"]++
				} else {
					found["unreadable"]++
				}
				found[what]++
				undo()
			}
			if form == "tiles" { // everything was put back: it is the changes that were found
				if _, args, undo := tamper(r); s.Do(append(append([]string{"audit", "verify"}, args...), a.flags...)...) == cli.ExitOK {
					t.Error("a last tampering is not found")
				} else if undo(); s.Do(append(append([]string{"audit", "verify"}, args...), a.flags...)...) != cli.ExitOK {
					t.Errorf("the untouched tiles do not verify: %s", s.Stderr.String())
				}
			}
			t.Logf("seed %d: %d tamperings found, %d of them as such, %d because nothing can be read; of %d kinds",
				seed, count/4, found["named"], found["unreadable"], len(found)-2)
			if found["named"] < found["unreadable"] {
				t.Error("most were not found for what they are")
			}
		})
	}
}

// TestUntamperedArchive holds that the campaign's verification is not one that always fails.
func TestUntamperedArchive(t *testing.T) {
	a := makeArchive(t)
	s := newSession(t, cli.English)
	database := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(database, a.base, 0o600); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(t.TempDir(), "db")
	a.restore(t, torn, a.tail)
	for _, args := range [][]string{{"--database", "sqlite:" + database}, {"--database", "sqlite:" + torn}, {"--export", filepath.Join(a.dir, "export")}, {filepath.Join(a.dir, "tiles")}} {
		for _, trust := range [][]string{a.flags, a.cosign} {
			if status := s.Do(append(append([]string{"audit", "verify"}, args...), trust...)...); status != 0 {
				t.Errorf("%v: %s", args, s.Stderr.String())
			}
		}
	}
	if !strings.Contains(s.Stdout.String(), "Cosigned by witness.example.com/w1") {
		t.Errorf("the witness is not named:\n%s", s.Stdout.String())
	}
}
