package leaks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// A forest is a tree of files that are searched.
type forest struct {
	dir    string
	files  int
	bytes  int64
	sample string // one of them, of more than 64 KiB
}

// fromOne is how many files of one module are taken at most: one that was generated has
// more than all others together.
const fromOne = 3000

// errEnough says that there are as many files as wanted.
var errEnough = errors.New("there are enough files")

// plant makes a tree of text: Go's own source, and then the modules of the module cache in
// the order of their names until there are enough files. What is no UTF-8 is left out,
// since keyward takes apart what is packed and ripgrep does not; and so are Wycheproof's
// vectors, thousands of private keys that keyward parses. Files are linked, if they can be.
func plant(ctx context.Context, dir string, files int) (f forest, err error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		return f, fmt.Errorf("asking for Go's directories: %w", err)
	}
	places := strings.Fields(string(out))
	if len(places) != 2 {
		return f, fmt.Errorf("go env answers %q", out)
	}
	f.dir = dir
	if err := f.take(filepath.Join(places[0], "src"), 0, files); errors.Is(err, errEnough) {
		return f, nil
	} else if err != nil {
		return f, err
	}
	err = filepath.WalkDir(places[1], func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case strings.Contains(path, "c2sp"), path == filepath.Join(places[1], "cache"):
			return fs.SkipDir
		case strings.Contains(d.Name(), "@"):
			if err := f.take(path, fromOne, files); err != nil {
				return err
			}
			return fs.SkipDir
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return f, err
	}
	if f.files < files {
		return f, fmt.Errorf("the source of Go and the module cache have %d text files, not %d", f.files, files)
	}
	return f, nil
}

// take takes the text files of a directory, as many as most if that is not 0.
func (f *forest) take(from string, most, enough int) error {
	first := f.files
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if most > 0 && f.files-first >= most {
			return fs.SkipAll
		}
		content, err := os.ReadFile(path)
		if err != nil || !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
			return err
		}
		into := filepath.Join(f.dir, path)
		if err := os.MkdirAll(filepath.Dir(into), 0o755); err != nil {
			return err
		}
		if err := os.Link(path, into); err != nil { // another file system
			if err := os.WriteFile(into, content, 0o644); err != nil {
				return err
			}
		}
		f.files++
		f.bytes += int64(len(content))
		if f.sample == "" && len(content) > 64<<10 {
			f.sample = into
		}
		if f.files >= enough {
			return errEnough
		}
		return nil
	})
}
