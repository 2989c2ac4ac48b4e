package tiles

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
)

const (
	maxCheckpoint = 1 << 20 // bytes
	maxBundle     = width * (2 + audit.MaxLeaf)
)

// Verify verifies every log in a directory that a [Writer] wrote: below it, or, if it
// holds one log's checkpoint itself, that log. trust answers what to believe of a log.
// A failure of the proof is an [*audit.TamperError]; any other error is one of reading.
func Verify(dir fs.FS, trust func(log string) (audit.Trust, error)) ([]audit.Report, error) {
	logs, err := find(dir)
	if err != nil {
		return nil, err
	}
	var reports []audit.Report
	for _, at := range logs {
		report, err := verify(dir, at, trust)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// find answers the paths of all logs: of each directory that has a checkpoint or tiles.
// What belongs to none of them should not be there.
func find(dir fs.FS) ([]string, error) {
	var logs, files []string
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "tile":
			logs = append(logs, path.Dir(name))
			return fs.SkipDir
		case d.IsDir():
		case d.Name() == checkpointFile:
			logs = append(logs, path.Dir(name))
		default:
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading tiles: %w", err)
	}
	if len(files) > 0 {
		return nil, &audit.TamperError{Log: path.Dir(files[0]), Where: fault.Say("%s does not belong to a log", files[0])}
	}
	slices.Sort(logs)
	return slices.Compact(logs), nil
}

// A verifier verifies one log.
type verifier struct {
	dir    fs.FS // of the log
	prover *audit.Prover
	seen   map[string]bool // files that were compared
}

func verify(dir fs.FS, at string, trust func(log string) (audit.Trust, error)) (audit.Report, error) {
	bad := func(what fault.Text) (audit.Report, error) {
		return audit.Report{}, &audit.TamperError{Log: at, Where: what}
	}
	sub, err := fs.Sub(dir, at)
	if err != nil {
		return audit.Report{}, fmt.Errorf("reading tiles: %w", err)
	}
	head, err := read(sub, checkpointFile, maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return bad(fault.Say("its checkpoint is missing"))
	}
	if err != nil {
		return audit.Report{}, err
	}
	log, _, _ := strings.Cut(string(head), "\n")
	if at != "." && log != at {
		return bad(fault.Say("its checkpoint is of log %q", log))
	}
	believed, err := trust(log)
	if err != nil {
		return audit.Report{}, err
	}
	v := &verifier{dir: sub, seen: map[string]bool{checkpointFile: true}}
	if v.prover, err = audit.NewProver(log, believed); err != nil {
		return audit.Report{}, err
	}
	c, err := audit.OpenCheckpoint(head, believed.PublicKey)
	if err != nil {
		return audit.Report{}, v.prover.Tampered(fault.Say("its head is not signed by its key: %v", err))
	}
	if err := v.records(c.Size); err != nil {
		return audit.Report{}, err
	}
	if err := v.rest(); err != nil {
		return audit.Report{}, err
	}
	return v.prover.Finish(head)
}

// records reads all records and compares every tile with what they demand.
func (v *verifier) records(size int64) error {
	b := builder{emit: v.compare}
	for b.size < size {
		n, w := b.size/width, int(min(width, size-b.size))
		name := tilePath(entries, n, w)
		content, err := read(v.dir, name, maxBundle)
		if errors.Is(err, fs.ErrNotExist) {
			return v.prover.Tampered(fault.Say("%s is missing", name))
		}
		if err != nil {
			return err
		}
		leaves, ok := split(content)
		if !ok || len(leaves) != w {
			return v.prover.Tampered(fault.Say("%s does not hold %d records", name, w))
		}
		for _, leaf := range leaves {
			hashes, err := v.prover.Leaf(leaf)
			if err != nil {
				return err
			}
			if err := b.add(leaf, hashes); err != nil {
				return err
			}
		}
	}
	return b.finish()
}

// compare compares a file with what it should hold.
func (v *verifier) compare(name string, want []byte) error {
	have, err := read(v.dir, name, maxBundle)
	if errors.Is(err, fs.ErrNotExist) {
		return v.prover.Tampered(fault.Say("%s is missing", name))
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return v.prover.Tampered(fault.Say("%s is not what the records demand", name))
	}
	v.seen[name] = true
	return nil
}

// rest looks at the files that the checkpoint does not need. They may be narrower tiles
// of an earlier one.
func (v *verifier) rest() error {
	return fs.WalkDir(v.dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading tiles: %w", err)
		}
		if d.IsDir() || v.seen[name] {
			return nil
		}
		tile, text, partial := strings.Cut(name, ".p/")
		w, err := strconv.Atoi(text)
		if !partial || err != nil || w < 1 || w >= width || strconv.Itoa(w) != text || !v.narrower(tile, name, w) {
			return v.prover.Tampered(fault.Say("%s does not belong there; an export that was interrupted leaves such files, and is finished by running it again", name))
		}
		return nil
	})
}

// narrower tells whether a file holds the first w hashes or records of a wider tile,
// which was found to be right.
func (v *verifier) narrower(tile, name string, w int) bool {
	for n := width; n > w; n-- {
		wider := tile
		if n < width {
			wider = tile + ".p/" + strconv.Itoa(n)
		}
		if !v.seen[wider] {
			continue
		}
		whole, err := read(v.dir, wider, maxBundle)
		if err != nil {
			return false
		}
		part, err := read(v.dir, name, maxBundle)
		if err != nil {
			return false
		}
		size := w * tlog.HashSize
		if strings.HasPrefix(tile, "tile/"+entries+"/") {
			leaves, ok := split(part)
			if !ok || len(leaves) != w {
				return false
			}
			size = len(part)
		}
		return len(part) == size && size < len(whole) && bytes.Equal(part, whole[:size])
	}
	return false
}

// split answers the records of a bundle.
func split(bundle []byte) (leaves [][]byte, ok bool) {
	for len(bundle) > 0 {
		if len(bundle) < 2 {
			return nil, false
		}
		n := 2 + int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < n {
			return nil, false
		}
		leaves, bundle = append(leaves, bundle[2:n]), bundle[n:]
	}
	return leaves, true
}

// read reads a regular file of limited size.
func read(dir fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Lstat(dir, name) // before it is opened: to open a pipe waits for whoever writes to it
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, &os.PathError{Op: "read", Path: name, Err: errors.New("it is no regular file, or too large")}
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	content, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("reading tiles: %w", err)
	}
	return content, nil
}
