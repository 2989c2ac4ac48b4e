// Package tiles writes audit logs as static directories in the format
// c2sp.org/tlog-tiles, and verifies such directories, offline.
//
// A log named keyward/node-1 stands in keyward/node-1 below the directory, which a web
// server may serve as it is:
//
//	checkpoint               the signed head
//	tile/entries/x001/234    records, 256 to a file, each with its length before it
//	tile/0/x001/234          their hashes
//	tile/1/001, tile/2/000   hashes over 256 of those, and so on
//	tile/0/x001/235.p/17     a tile at the edge with 17 hashes yet
//
// Files never change, but for the checkpoint, which is written when all that it signs is
// there; only then the narrower tiles go that a full one contains. So a crash leaves all
// that was there before, and running it again finishes the work; until then there are
// files that [Verify] does not accept. A log is written from a verified export, so a
// directory holds what its checkpoint signs.
//
// Verification trusts what package audit trusts, a public key and remembered checkpoints.
// It reads every record, recomputes every tile, and accepts no file that does not belong.
package tiles

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/durable"
)

const (
	width          = 256 // hashes of a full tile, records of a full bundle
	checkpointFile = "checkpoint"
	entries        = "entries"
)

// A builder lays a log out as tiles, record by record, and hands each file to emit when
// it is complete. Of full tiles the content is handed over once.
type builder struct {
	emit   func(path string, content []byte) error
	size   int64
	bundle []byte
	levels [][]byte // hashes of the unfinished tile of each level
}

// add takes the next record and the stored hashes that it creates.
func (b *builder) add(leaf []byte, hashes []tlog.Hash) error {
	if len(leaf) > audit.MaxLeaf {
		return fmt.Errorf("writing tiles: record %d has %d bytes, the format allows %d", b.size, len(leaf), audit.MaxLeaf)
	}
	b.bundle = append(binary.BigEndian.AppendUint16(b.bundle, uint16(len(leaf))), leaf...)
	b.size++
	if b.size%width == 0 {
		if err := b.emit(tilePath(entries, b.size/width-1, width), b.bundle); err != nil {
			return err
		}
		b.bundle = b.bundle[:0]
	}
	// hashes[i] is the root of the 2^i records that end here; a tile has every eighth level.
	for level := 0; 8*level < len(hashes); level++ {
		if level == len(b.levels) {
			b.levels = append(b.levels, nil)
		}
		b.levels[level] = append(b.levels[level], hashes[8*level][:]...)
		if len(b.levels[level]) == width*tlog.HashSize {
			if err := b.emit(tilePath(strconv.Itoa(level), b.index(level)-1, width), b.levels[level]); err != nil {
				return err
			}
			b.levels[level] = b.levels[level][:0]
		}
	}
	return nil
}

// index answers how many full tiles a level has.
func (b *builder) index(level int) int64 { return b.size >> (8 * (level + 1)) }

// finish hands over what is at the edge.
func (b *builder) finish() error {
	if w := int(b.size % width); w > 0 {
		if err := b.emit(tilePath(entries, b.size/width, w), b.bundle); err != nil {
			return err
		}
	}
	for level, hashes := range b.levels {
		if w := len(hashes) / tlog.HashSize; w > 0 {
			if err := b.emit(tilePath(strconv.Itoa(level), b.index(level), w), hashes); err != nil {
				return err
			}
		}
	}
	return nil
}

// tilePath answers the path of a tile or bundle below its log, with slashes.
func tilePath(level string, n int64, w int) string {
	path := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	path = "tile/" + level + "/" + path
	if w < width {
		path += ".p/" + strconv.Itoa(w)
	}
	return path
}

// A Writer writes the logs of an export. It implements export.Sink and is of one
// goroutine.
type Writer struct {
	dir     string
	log     string // below dir
	builder builder
	added   int
	full    []string // tiles of the log that were added; narrower ones beside them are superfluous
}

// NewWriter makes a writer to a directory, which need not exist.
func NewWriter(dir string) *Writer { return &Writer{dir: dir} }

// Added answers how many files were written, checkpoints included.
func (w *Writer) Added() int { return w.added }

// Remembered answers the checkpoint of a log that the directory holds, or nil: what is
// added must continue it.
func (w *Writer) Remembered(log string) ([]byte, error) {
	signed, err := os.ReadFile(filepath.Join(w.dir, filepath.FromSlash(log), checkpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return signed, err
}

// Begin implements export.Sink.
func (w *Writer) Begin(log string) error {
	if !filepath.IsLocal(filepath.FromSlash(log)) || log == "." {
		return fmt.Errorf("writing tiles: the log's name %q cannot be a directory", log)
	}
	w.log, w.builder, w.full = filepath.Join(w.dir, filepath.FromSlash(log)), builder{emit: w.emit}, nil
	return nil
}

// Leaf implements export.Sink.
func (w *Writer) Leaf(leaf []byte, hashes []tlog.Hash) error { return w.builder.add(leaf, hashes) }

// End implements export.Sink.
func (w *Writer) End(_ audit.Report, head []byte) error {
	if len(head) == 0 {
		return nil // an empty log has nothing signed
	}
	if err := w.builder.finish(); err != nil {
		return err
	}
	// All that the checkpoint promises is there.
	path := filepath.Join(w.log, checkpointFile)
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, head) {
		return nil
	}
	w.added++
	if err := durable.Replace(path, head); err != nil {
		return err
	}
	// No checkpoint needs the narrower tiles any more.
	for _, name := range w.full {
		if err := os.RemoveAll(name + ".p"); err != nil {
			return fmt.Errorf("writing tiles: %w", err)
		}
	}
	return nil
}

// emit writes one file, unless it is there.
func (w *Writer) emit(path string, content []byte) error {
	name := filepath.Join(w.log, filepath.FromSlash(path))
	have, err := os.ReadFile(name)
	switch {
	case err == nil && bytes.Equal(have, content):
		return nil
	case err == nil:
		return fmt.Errorf("writing tiles: %s holds something else: verify the directory, or write into an empty one", name)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("writing tiles: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("writing tiles: %w", err)
	}
	w.added++
	w.full = append(w.full, name) // or a narrower one, beside which there is nothing
	return durable.Replace(name, content)
}
