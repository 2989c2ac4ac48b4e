package main

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// crash keeps the database as it is now, with its process running, and its journal.
func (a *archive) crash(t *testing.T, path string) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied+suffix, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", "file:"+copied+"?_pragma=journal_mode(DELETE)") // one file instead of two
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "VACUUM")
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if a.torn, err = os.ReadFile(copied); err != nil {
		t.Fatal(err)
	}
	for i, suffix := range []string{"-audit.0", "-audit.1"} {
		if a.tail[i], err = os.ReadFile(path + suffix); err != nil {
			t.Fatal(err)
		}
	}
}

// restore puts the crashed database in place, beside a journal; a file that is nil is missing.
func (a *archive) restore(t *testing.T, path string, journal [2][]byte) {
	t.Helper()
	err := os.WriteFile(path, a.torn, 0o600)
	for i, suffix := range []string{"-audit.0", "-audit.1"} {
		if journal[i] != nil {
			err = errors.Join(err, os.WriteFile(path+suffix, journal[i], 0o600))
		} else if removed := os.Remove(path + suffix); !errors.Is(removed, os.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An entry is a batch as the journal holds it; docs/design/store.md has the format.
type entry struct {
	turn                       uint64
	format                     byte
	log                        string
	first, count, at           int64
	leaves, hashes, checkpoint []byte
	nonces                     []byte
}

func (e entry) append(out []byte) []byte {
	content := append([]byte{e.format}, binary.AppendUvarint(nil, uint64(len(e.log)))...)
	content = append(content, e.log...)
	for _, n := range []int64{e.first, e.count, e.at} {
		content = binary.AppendVarint(content, n)
	}
	for _, b := range [][]byte{e.leaves, e.hashes, e.checkpoint} {
		content = append(binary.AppendUvarint(content, uint64(len(b))), b...)
	}
	content = append(content, e.nonces...)
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, e.turn), uint32(len(content)))
	sum := crc32.Checksum(append(slices.Clone(head), content...), crc32.MakeTable(crc32.Castagnoli))
	out = append(append(out, "\xffkw\x01"...), head...)
	return append(binary.BigEndian.AppendUint32(out, sum), content...)
}

// parseEntries reads a file of a journal. That the entries are written as they were read
// tells that it reads them right.
func parseEntries(t *testing.T, file []byte) (all []entry) {
	t.Helper()
	var again []byte
	for in := file; len(in) > 0; {
		e := entry{turn: binary.BigEndian.Uint64(in[4:])}
		size := binary.BigEndian.Uint32(in[12:])
		content := in[20:][:size]
		in = in[20+size:]
		e.format, content = content[0], content[1:]
		field := func() []byte {
			n, used := binary.Uvarint(content)
			b := content[used:][:n]
			content = content[used+int(n):]
			return b
		}
		e.log = string(field())
		for _, n := range []*int64{&e.first, &e.count, &e.at} {
			var used int
			*n, used = binary.Varint(content)
			content = content[used:]
		}
		e.leaves, e.hashes, e.checkpoint = field(), field(), field()
		e.nonces = content
		all, again = append(all, e), e.append(again)
	}
	if !bytes.Equal(again, file) {
		t.Fatal("the journal is not read as it was written")
	}
	return all
}

// journals tampers with the journal of a database that crashed. Not among what is changed
// are the fingerprints of nonces, which are no part of the log, the checkpoints of batches
// before the last, which nothing reads, and entries that the tables hold already.
func (a *archive) journals(t *testing.T) tampering {
	path := filepath.Join(t.TempDir(), "db")
	b := a.books[len(a.books)-1]
	entries := parseEntries(t, a.tail[1])
	if len(entries) < 10 || entries[0].first != int64(b.tail) {
		t.Fatalf("the journal holds %d batches from record %d on, the tables %d records", len(entries), entries[0].first, b.tail)
	}
	turn := 0
	return func(r *mathrand.Rand) (string, []string, func()) {
		c := &copyOfJournal{t, r, a, b, slices.Clone(entries)}
		how := c.damages()
		maps.Copy(how, c.forgeries())
		names := slices.Sorted(maps.Keys(how))
		what := names[turn%len(names)]
		turn++
		a.restore(t, path, [2][]byte{a.tail[0], how[what]()})
		return "journal: " + what, []string{"--database", "sqlite:" + path}, func() {}
	}
}

type copyOfJournal struct {
	t       *testing.T
	r       *mathrand.Rand
	a       *archive
	b       *book
	entries []entry
}

// file writes the entries.
func (c *copyOfJournal) file() []byte {
	out := []byte{}
	for _, e := range c.entries {
		out = e.append(out)
	}
	return out
}

// damages answers ways to change the file that has the tail, by name, that take no
// checksum.
func (c *copyOfJournal) damages() map[string]func() []byte {
	r, whole, n := c.r, c.a.tail[1], len(c.entries)
	i := r.IntN(n - 1) // not the last
	j := i + 1 + r.IntN(n-1-i)
	return map[string]func() []byte{
		"edit a byte":                func() []byte { return flipped(r, whole) },
		"cut the file":               func() []byte { return whole[:r.IntN(len(whole))] },
		"remove the file":            func() []byte { return nil },
		"an older file":              func() []byte { c.entries = c.entries[:i+1]; return c.file() },
		"without the beginning":      func() []byte { c.entries = c.entries[i+1:]; return c.file() },
		"the other file":             func() []byte { return c.a.tail[0] },
		"delete a batch":             func() []byte { c.entries = slices.Delete(c.entries, i, i+1); return c.file() },
		"a batch in another's place": func() []byte { c.entries[i] = c.entries[j]; return c.file() },
		"exchange two batches": func() []byte {
			c.entries[i], c.entries[j] = c.entries[j], c.entries[i]
			return c.file()
		},
	}
}

// forgeries answers ways to change that file, by name, which keep the checksums right.
func (c *copyOfJournal) forgeries() map[string]func() []byte {
	r, n := c.r, len(c.entries)
	i := r.IntN(n)
	edit := func(i int, change func(*entry)) func() []byte {
		return func() []byte { change(&c.entries[i]); return c.file() }
	}
	records := func(change func(all [][]byte, k int) [][]byte) func() []byte {
		return edit(i, func(e *entry) {
			all := slices.Collect(bytes.Lines(e.leaves))
			all = change(all, r.IntN(len(all)))
			e.leaves, e.count = bytes.Join(all, nil), int64(len(all))
		})
	}
	return map[string]func() []byte{
		"edit a byte of the leaves":     edit(i, func(e *entry) { e.leaves = flipped(r, e.leaves) }),
		"edit a byte of the hashes":     edit(i, func(e *entry) { e.hashes = flipped(r, e.hashes) }),
		"cut the hashes":                edit(i, func(e *entry) { e.hashes = e.hashes[:r.IntN(len(e.hashes))] }),
		"edit the time of a batch":      edit(i, func(e *entry) { e.at += int64(r.IntN(1000)) - 1000 }),
		"edit the number of records":    edit(i, func(e *entry) { e.count += int64(1 - 2*r.IntN(2)) }),
		"move a batch":                  edit(i, func(e *entry) { e.first += 1 + int64(r.IntN(100)) }),
		"move a batch back":             edit(i, func(e *entry) { e.first -= 1 + int64(r.IntN(100)) }),
		"a batch of the other log":      edit(i, func(e *entry) { e.log, e.first = c.a.books[0].log, int64(c.a.books[0].size) }),
		"a batch of no log":             edit(i, func(e *entry) { e.log = "keyward/none" }),
		"a batch of another format":     edit(i, func(e *entry) { e.format++ }),
		"a batch of an older turn":      edit(1+r.IntN(n-1), func(e *entry) { e.turn = 0 }),
		"a batch of a newer turn":       edit(r.IntN(n-1), func(e *entry) { e.turn++ }),
		"delete a record":               records(func(all [][]byte, k int) [][]byte { return slices.Delete(all, k, k+1) }),
		"repeat a record":               records(func(all [][]byte, k int) [][]byte { return slices.Insert(all, k, all[k]) }),
		"edit a byte of the checkpoint": edit(n-1, func(e *entry) { e.checkpoint = flipped(r, e.checkpoint) }),
		"remove the checkpoint":         edit(n-1, func(e *entry) { e.checkpoint = nil }),
		"an older checkpoint":           edit(n-1, func(e *entry) { e.checkpoint = c.b.heads[c.b.older(r)] }),
		"another signature beside":      edit(n-1, func(e *entry) { e.checkpoint = append(slices.Clone(e.checkpoint), "— x AAAAAAAA\n"...) }),
		"another history under the old head": func() []byte {
			c.replace(c.edited())
			return c.file()
		},
		"another history, signed with another key": func() []byte {
			c.entries[n-1].checkpoint = []byte(c.replace(c.edited()))
			return c.file()
		},
		"the same history, signed with another key": func() []byte {
			c.entries[n-1].checkpoint = []byte(c.replace(c.b.leaves))
			return c.file()
		},
		"a record more, with its hashes": func() []byte {
			last := c.entries[n-1]
			leaf := strings.Replace(c.b.leaves[c.b.size-1], `"seq":`+strconv.Itoa(c.b.size-1), `"seq":`+strconv.Itoa(c.b.size), 1)
			more := last
			more.first, more.count = int64(c.b.size), 1
			c.entries = append(c.entries, more)
			if head := c.replace(append(slices.Clone(c.b.leaves), leaf)); r.IntN(2) == 0 {
				c.entries[n].checkpoint = []byte(head)
			}
			return c.file()
		},
	}
}

// edited answers the log's leaves with one of the tail changed.
func (c *copyOfJournal) edited() []string {
	leaves := slices.Clone(c.b.leaves)
	i := c.b.tail + c.r.IntN(c.b.size-c.b.tail)
	leaves[i] = strings.Replace(leaves[i], "kms:Encrypt", "kms:Decrypt", 1)
	return leaves
}

// replace puts other leaves of the log into the entries, with their hashes, and answers a
// head of the attacker's own.
func (c *copyOfJournal) replace(leaves []string) (head string) {
	head, _, hashes := c.b.forge(c.t, leaves)
	for i := range c.entries {
		e := &c.entries[i]
		last := e.first + e.count
		e.leaves, e.hashes = []byte(strings.Join(leaves[e.first:last], "\n")+"\n"), nil
		for _, h := range hashes[tlog.StoredHashCount(e.first):tlog.StoredHashCount(last)] {
			e.hashes = append(e.hashes, h[:]...)
		}
	}
	return head
}
