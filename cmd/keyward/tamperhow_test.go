package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// A row is a batch as the database holds it.
type row struct {
	first, count, at int64
	leaves, hashes   []byte
}

// databases tampers with copies of the database, by SQL. Two columns are not among what
// is changed: audit_log.sealed_key, which only the node can open and whose change its
// next unseal refuses, and audit_log.created_at, which nothing reads.
func (a *archive) databases(t *testing.T) tampering {
	path := filepath.Join(t.TempDir(), "keyward.db")
	turn := 0
	return func(r *mathrand.Rand) (string, []string, func()) {
		if err := os.WriteFile(path, a.base, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)")
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		c := &copyOfDatabase{t, db, r, a.books[r.IntN(2)]}
		how := c.tamperings()
		names := slices.Sorted(maps.Keys(how))
		what := names[turn%len(names)] // each in its turn, so that a short run has them all
		turn++
		how[what]()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return "database: " + what, []string{"--database", "sqlite:" + path}, func() {}
	}
}

type copyOfDatabase struct {
	t  *testing.T
	db *sql.DB
	r  *mathrand.Rand
	b  *book
}

func (c *copyOfDatabase) exec(text string, args ...any) {
	result, err := c.db.Exec(text, args...)
	if err != nil {
		c.t.Fatalf("%s: %v", text, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		c.t.Fatalf("%s changed nothing: %v", text, err)
	}
}

// rows answers all batches of the log.
func (c *copyOfDatabase) rows(log string) []row {
	found, err := c.db.Query(`SELECT first, count, at, leaves, hashes FROM audit_batch WHERE log = ? ORDER BY first`, log)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = found.Close() }()
	var all []row
	for found.Next() {
		var b row
		if err := found.Scan(&b.first, &b.count, &b.at, &b.leaves, &b.hashes); err != nil {
			c.t.Fatal(err)
		}
		all = append(all, b)
	}
	if len(all) < 10 {
		c.t.Fatalf("found %d batches of %s", len(all), log)
	}
	return all
}

func (c *copyOfDatabase) store(b row) {
	c.exec(`UPDATE audit_batch SET count = ?, at = ?, leaves = ?, hashes = ? WHERE log = ? AND first = ?`, b.count, b.at, b.leaves, b.hashes, c.b.log, b.first)
}

// replace stores other leaves in the place of all, with their hashes and a head.
func (c *copyOfDatabase) replace(leaves []string, hashes []tlog.Hash, head string) {
	old := c.rows(c.b.log)
	c.exec(`DELETE FROM audit_batch WHERE log = ?`, c.b.log)
	at := int64(0)
	for _, b := range old {
		last := min(b.first+b.count, int64(len(leaves)))
		if b.first >= last {
			break
		}
		var stored []byte
		for _, h := range hashes[tlog.StoredHashCount(b.first):tlog.StoredHashCount(last)] {
			stored = append(stored, h[:]...)
		}
		at = b.at
		c.exec(`INSERT INTO audit_batch (log, first, count, at, leaves, hashes) VALUES (?, ?, ?, ?, ?, ?)`,
			c.b.log, b.first, last-b.first, b.at, []byte(strings.Join(leaves[b.first:last], "\n")+"\n"), stored)
	}
	c.exec(`UPDATE audit_log SET size = ?, at = ?, checkpoint = ? WHERE origin = ?`, len(leaves), at, []byte(head), c.b.log)
}

// tamperings answers all ways to change the copy, by name.
func (c *copyOfDatabase) tamperings() map[string]func() {
	r, log := c.r, c.b.log
	other := map[string]string{"keyward/node-1": "keyward/node-2", "keyward/node-2": "keyward/node-1"}[log]
	rows := c.rows(log)
	b := rows[r.IntN(len(rows))]
	lines := bytes.SplitAfter(bytes.TrimSuffix(b.leaves, []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
	return map[string]func(){
		"edit a byte of the leaves":  func() { b.leaves = flipped(r, b.leaves); c.store(b) },
		"edit a byte of the hashes":  func() { b.hashes = flipped(r, b.hashes); c.store(b) },
		"cut the hashes":             func() { b.hashes = b.hashes[:r.IntN(len(b.hashes))]; c.store(b) },
		"edit the time of a batch":   func() { b.at += int64(r.IntN(1000)) - 1000; c.store(b) },
		"edit the number of records": func() { b.count += int64(1 - 2*r.IntN(2)); c.store(b) },
		"move a batch": func() {
			c.exec(`UPDATE audit_batch SET first = first + 100000 WHERE log = ? AND first = ?`, log, b.first)
		},
		"move a batch to nowhere": func() {
			c.exec(`UPDATE audit_batch SET log = 'keyward/none' WHERE log = ? AND first = ?`, log, b.first)
		},
		"delete a batch":     func() { c.exec(`DELETE FROM audit_batch WHERE log = ? AND first = ?`, log, b.first) },
		"delete all batches": func() { c.exec(`DELETE FROM audit_batch WHERE log = ?`, log) },
		"delete a record": func() {
			i := r.IntN(len(lines))
			b.leaves, b.count = bytes.Join(slices.Delete(lines, i, i+1), nil), b.count-1
			c.store(b)
		},
		"repeat a record": func() {
			i := r.IntN(len(lines))
			b.leaves, b.count = bytes.Join(slices.Insert(lines, i, lines[i]), nil), b.count+1
			c.store(b)
		},
		"exchange two batches": func() {
			one, two := rows[0], rows[1+r.IntN(len(rows)-1)]
			one.leaves, two.leaves, one.hashes, two.hashes, one.count, two.count = two.leaves, one.leaves, two.hashes, one.hashes, two.count, one.count
			c.store(one)
			c.store(two)
		},
		"exchange a batch with another log": func() {
			theirs := c.rows(other)
			for i := range min(len(rows), len(theirs)) {
				if i > r.IntN(10) && rows[i].first == theirs[i].first {
					rows[i].leaves, rows[i].hashes = theirs[i].leaves, theirs[i].hashes
					c.store(rows[i])
					return
				}
			}
			rows[0].leaves = theirs[0].leaves
			c.store(rows[0])
		},
		"exchange the logs": func() {
			c.exec(`UPDATE audit_batch SET log = 'x' WHERE log = ?`, log)
			c.exec(`UPDATE audit_batch SET log = ? WHERE log = ?`, log, other)
			c.exec(`UPDATE audit_batch SET log = ? WHERE log = 'x'`, other)
		},
		"exchange the names": func() {
			c.exec(`UPDATE audit_log SET origin = 'x' WHERE origin = ?`, log)
			c.exec(`UPDATE audit_log SET origin = ? WHERE origin = ?`, log, other)
			c.exec(`UPDATE audit_log SET origin = ? WHERE origin = 'x'`, other)
		},
		"rename a log": func() { c.exec(`UPDATE audit_log SET origin = origin || '0' WHERE origin = ?`, log) },
		"remove a log": func() {
			c.exec(`DELETE FROM audit_log WHERE origin = ?`, log)
			c.exec(`DELETE FROM audit_batch WHERE log = ?`, log)
		},
		"remove a log's name": func() { c.exec(`DELETE FROM audit_log WHERE origin = ?`, log) },
		"a log beside it": func() {
			c.exec(`INSERT INTO audit_log SELECT origin || '0', public_key, sealed_key, created_at, 0, 0, x'' FROM audit_log WHERE origin = ?`, log)
		},
		"records of a log beside it": func() {
			c.exec(`INSERT INTO audit_batch SELECT 'keyward/node-0', first, count, at, leaves, hashes FROM audit_batch WHERE log = ?`, log)
		},
		"edit the head's size": func() { c.exec(`UPDATE audit_log SET size = size + ? WHERE origin = ?`, 1-2*r.IntN(2), log) },
		"edit the head's time": func() { c.exec(`UPDATE audit_log SET at = at + ? WHERE origin = ?`, 1+r.IntN(1000), log) },
		"edit a byte of the checkpoint": func() {
			c.exec(`UPDATE audit_log SET checkpoint = ? WHERE origin = ?`, flipped(r, c.b.heads[c.b.size]), log)
		},
		"add a signature to the checkpoint": func() {
			c.exec(`UPDATE audit_log SET checkpoint = ? WHERE origin = ?`, append(slices.Clone(c.b.heads[c.b.size]), "— x AAAAAAAA\n"...), log)
		},
		"remove the checkpoint": func() { c.exec(`UPDATE audit_log SET checkpoint = x'' WHERE origin = ?`, log) },
		"an older checkpoint":   func() { c.exec(`UPDATE audit_log SET checkpoint = ? WHERE origin = ?`, c.b.heads[c.b.older(r)], log) },
		"edit the public key": func() {
			c.exec(`UPDATE audit_log SET public_key = ? WHERE origin = ?`, string(flipped(r, []byte(c.b.key))), log)
		},
		"truncate to an older head": func() {
			size := c.b.older(r)
			c.exec(`DELETE FROM audit_batch WHERE log = ? AND first >= ?`, log, size)
			c.exec(`UPDATE audit_log SET size = ?, at = ?, checkpoint = ? WHERE origin = ?`, size, c.b.at[size], c.b.heads[size], log)
		},
		"truncate to nothing": func() {
			c.exec(`DELETE FROM audit_batch WHERE log = ?`, log)
			c.exec(`UPDATE audit_log SET size = 0, at = 0, checkpoint = x'' WHERE origin = ?`, log)
		},
		"another history, signed with another key": func() {
			leaves := c.b.edited(r)
			head, public, hashes := c.b.forge(c.t, leaves)
			c.replace(leaves, hashes, head)
			if r.IntN(2) == 0 {
				c.exec(`UPDATE audit_log SET public_key = ? WHERE origin = ?`, public, log)
			}
		},
		"another history under the old head": func() {
			leaves := c.b.edited(r)
			_, _, hashes := c.b.forge(c.t, leaves)
			c.replace(leaves, hashes, string(c.b.heads[c.b.size]))
		},
		"the same history, signed with another key": func() {
			head, public, hashes := c.b.forge(c.t, c.b.leaves)
			c.replace(c.b.leaves, hashes, head)
			c.exec(`UPDATE audit_log SET public_key = ? WHERE origin = ?`, public, log)
		},
		"a record more, with its hashes": func() {
			leaf := strings.Replace(c.b.leaves[c.b.size-1], fmt.Sprintf(`"seq":%d`, c.b.size-1), fmt.Sprintf(`"seq":%d`, c.b.size), 1)
			_, _, hashes := c.b.forge(c.t, append(slices.Clone(c.b.leaves), leaf))
			var stored []byte
			for _, h := range hashes[tlog.StoredHashCount(int64(c.b.size)):] {
				stored = append(stored, h[:]...)
			}
			c.exec(`INSERT INTO audit_batch (log, first, count, at, leaves, hashes) VALUES (?, ?, 1, ?, ?, ?)`, log, c.b.size, c.b.at[c.b.size], []byte(leaf+"\n"), stored)
			if r.IntN(2) == 0 {
				c.exec(`UPDATE audit_log SET size = size + 1 WHERE origin = ?`, log)
			}
		},
	}
}

// exports tampers with copies of the text export.
func (a *archive) exports(t *testing.T) tampering {
	path := filepath.Join(t.TempDir(), "export")
	turn := 0
	return func(r *mathrand.Rand) (string, []string, func()) {
		how := a.exportTamperings(t, r)
		names := slices.Sorted(maps.Keys(how))
		for {
			what := names[turn%len(names)]
			turn++
			text := how[what]()
			if text == a.text {
				continue // nothing was changed, such as by exchanging a record with itself
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return "export: " + what, []string{"--export", path}, func() {}
		}
	}
}

func (a *archive) exportTamperings(t *testing.T, r *mathrand.Rand) map[string]func() string {
	lines := strings.SplitAfter(strings.TrimSuffix(a.text, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	second := 1 + a.books[0].size // line of the second header
	i, j := r.IntN(len(lines)), r.IntN(len(lines))
	join := func() string { return strings.Join(lines, "") }
	which := r.IntN(2)
	b := a.books[which]
	// section writes one log in the place of the real one.
	section := func(leaves []string, head, public string) string {
		quote := func(v any) string {
			q, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			return string(q)
		}
		text := fmt.Sprintf(`{"format":"keyward-audit-export","v":1,"log":%s,"publicKey":%s,"size":%d,"checkpoint":%s}`, quote(b.log), quote(public), len(leaves), quote(head)) +
			"\n" + strings.Join(leaves, "\n") + "\n"
		if which == 0 {
			return text + strings.Join(lines[second:], "")
		}
		return strings.Join(lines[:second], "") + text
	}
	header := func(old, new string) string {
		at := which * second
		lines[at] = strings.Replace(lines[at], old, new, 1)
		return join()
	}
	return map[string]func() string{
		"edit a byte":               func() string { return string(flipped(r, []byte(a.text))) },
		"remove a byte":             func() string { i := r.IntN(len(a.text)); return a.text[:i] + a.text[i+1:] },
		"insert a byte":             func() string { i := r.IntN(len(a.text)); return a.text[:i] + string(rune(r.IntN(128))) + a.text[i:] },
		"cut anywhere":              func() string { return a.text[:r.IntN(len(a.text))] },
		"cut after a line":          func() string { return strings.Join(lines[:i], "") },
		"delete a line":             func() string { lines = slices.Delete(lines, i, i+1); return join() },
		"repeat a line":             func() string { lines = slices.Insert(lines, i, lines[j]); return join() },
		"exchange two lines":        func() string { lines[i], lines[j] = lines[j], lines[i]; return join() },
		"reverse some lines":        func() string { slices.Reverse(lines[min(i, j):max(i, j)]); return join() },
		"other line ends":           func() string { return strings.ReplaceAll(a.text, "\n", "\r\n") },
		"an empty line":             func() string { lines = slices.Insert(lines, i, "\n"); return join() },
		"a log twice":               func() string { return a.text + strings.Join(lines[:second], "") },
		"without a log":             func() string { return strings.Join(lines[second:], "") },
		"another size":              func() string { return header(`"size":`, `"size":1`) },
		"a member more":             func() string { return header(`{"format"`, `{"note":"verified","format"`) },
		"a member twice":            func() string { return header(`{"format"`, `{"size":1,"format"`) },
		"a space":                   func() string { return header(`,"v"`, `, "v"`) },
		"another spelling":          func() string { return header(`"log"`, `"Log"`) },
		"the other log's header":    func() string { lines[0], lines[second] = lines[second], lines[0]; return join() },
		"truncate to an older head": func() string { n := b.older(r); return section(b.leaves[:n], string(b.heads[n]), b.key) },
		"truncate to nothing":       func() string { return section(nil, "", b.key) },
		"an older head":             func() string { return section(b.leaves, string(b.heads[b.older(r)]), b.key) },
		"another signature beside":  func() string { return section(b.leaves, string(b.heads[b.size])+"— x AAAAAAAA\n", b.key) },
		"the public key":            func() string { return section(b.leaves, string(b.heads[b.size]), string("x"+b.key)) },
		"another history, signed with another key": func() string {
			leaves := b.edited(r)
			head, public, _ := b.forge(t, leaves)
			return section(leaves, head, public)
		},
		"another history, the same claim": func() string {
			leaves := b.edited(r)
			head, _, _ := b.forge(t, leaves)
			return section(leaves, head, b.key)
		},
		"the same history, signed with another key": func() string {
			head, public, _ := b.forge(t, b.leaves)
			return section(b.leaves, head, public)
		},
	}
}

// directories tampers with the tiles.
func (a *archive) directories(t *testing.T) tampering {
	dir := t.TempDir()
	put := func(name string, content []byte) {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range a.tiles {
		put(name, content)
	}
	names := slices.Sorted(maps.Keys(a.tiles))
	turn := 0
	return func(r *mathrand.Rand) (string, []string, func()) {
		changed := map[string][]byte{} // nil: removed
		var what string
		for {
			clear(changed)
			what = a.tamperTiles(t, r, names, changed, turn%14)
			turn++
			if maps.EqualFunc(changed, a.tiles, bytes.Equal) || !slices.ContainsFunc(slices.Collect(maps.Keys(changed)), func(name string) bool {
				have, there := a.tiles[name]
				return changed[name] == nil || !there || !bytes.Equal(have, changed[name])
			}) {
				continue // nothing was changed
			}
			break
		}
		for name, content := range changed {
			if content == nil {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				continue
			}
			put(name, content)
		}
		return "tiles: " + what, []string{dir}, func() {
			for name := range changed {
				if content, there := a.tiles[name]; there {
					put(name, content)
				} else if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// tamperTiles fills in the files that a tampering changes.
func (a *archive) tamperTiles(t *testing.T, r *mathrand.Rand, names []string, changed map[string][]byte, kind int) string {
	name, second := names[r.IntN(len(names))], names[r.IntN(len(names))]
	content := a.tiles[name]
	b := a.books[r.IntN(2)]
	switch kind {
	case 0, 1:
		changed[name] = flipped(r, content)
		return "edit a byte"
	case 2:
		changed[name] = content[:r.IntN(len(content))]
		return "cut a file"
	case 3:
		changed[name] = append(slices.Clone(content), content[:1+r.IntN(32)]...)
		return "lengthen a file"
	case 4:
		changed[name] = nil
		return "drop a file"
	case 5:
		changed[name], changed[second] = a.tiles[second], content
		return "exchange two files"
	case 6:
		changed[name+fmt.Sprint(r.IntN(10))] = content
		return "a file more"
	case 7:
		changed[b.log+"/checkpoint"] = b.heads[b.older(r)]
		return "an older checkpoint"
	case 8:
		for n := range a.tiles {
			if strings.HasPrefix(n, b.log+"/") {
				changed[n] = nil
			}
		}
		return "drop a log"
	case 9:
		for n, c := range a.tiles {
			if rest, ok := strings.CutPrefix(n, a.books[1].log+"/"); ok && !strings.Contains(rest, ".p/") {
				changed[a.books[0].log+"/"+rest] = c
			}
		}
		return "another log's tiles"
	case 10:
		// A record is changed together with its hash, so that only higher levels tell.
		entry := b.log + "/tile/entries/000"
		changed[entry] = bytes.Replace(a.tiles[entry], []byte("kms:Encrypt"), []byte("kms:Decrypt"), 1)
		hash := tlog.RecordHash([]byte(strings.Replace(b.leaves[0], "kms:Encrypt", "kms:Decrypt", 1)))
		tile := b.log + "/tile/0/000"
		changed[tile] = append(hash[:], a.tiles[tile][32:]...)
		return "a record with its hash"
	case 11:
		size := b.older(r)
		a.rewrite(t, b, b.leaves[:size], changed)
		changed[b.log+"/checkpoint"] = b.heads[size]
		return "truncate to an older head"
	case 12:
		changed[b.log+"/checkpoint"] = []byte(a.rewrite(t, b, b.edited(r), changed))
		return "another history, signed with another key"
	}
	_ = a.rewrite(t, b, b.edited(r), changed)
	changed[b.log+"/checkpoint"] = b.heads[b.size]
	return "another history under the old head"
}

// rewrite lays other leaves out as the tiles of a log, in the place of the real ones, and
// answers a head of the attacker's own.
func (a *archive) rewrite(t *testing.T, b *book, leaves []string, changed map[string][]byte) (head string) {
	head, _, hashes := b.forge(t, leaves)
	for name := range a.tiles {
		if strings.HasPrefix(name, b.log+"/") {
			changed[name] = nil
		}
	}
	read := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	for _, tile := range tlog.NewTiles(8, 0, int64(len(leaves))) {
		content, err := tlog.ReadTileData(tile, read)
		if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(tile.Path(), "tile/8/")
		changed[b.log+"/tile/"+path] = content
		if rest, ok := strings.CutPrefix(path, "0/"); ok {
			var bundle []byte
			for _, leaf := range leaves[256*tile.N:][:tile.W] {
				bundle = append(append(bundle, byte(len(leaf)>>8), byte(len(leaf))), leaf...)
			}
			changed[b.log+"/tile/entries/"+rest] = bundle
		}
	}
	return head
}
