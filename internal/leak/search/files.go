package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/unpack"
)

// Files looks at files, and at all files below directories. Links in them are not followed. What
// cannot be read is a problem of the run, and the rest is looked at; the error is the
// context's.
func (s *Search) Files(ctx context.Context, paths []string) error {
	queue := make(chan []string, 64)
	group, ctx := errgroup.WithContext(ctx)
	lanes := 0
	send := func(batch []string) error {
		if lanes < s.options.Workers { // a few files need no more lanes than batches
			lanes++
			group.Go(func() error { return s.files(ctx, queue) })
		}
		select {
		case queue <- batch:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := s.walkAll(paths, send)
	close(queue)
	return cmp.Or(group.Wait(), err)
}

// files looks at the files of a queue.
func (s *Search) files(ctx context.Context, queue <-chan []string) error {
	lane := s.Lane()
	for batch := range queue {
		for _, path := range batch {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := lane.File(path); err != nil {
				s.Problem(path, err)
			}
		}
	}
	return nil
}

// batchSize is how many files a lane takes at once: handing over single ones costs as much
// as looking at them.
const batchSize = 32

// walkAll sends the files at and below paths, in batches.
func (s *Search) walkAll(paths []string, send func(batch []string) error) error {
	batch := make([]string, 0, batchSize)
	for _, path := range paths {
		err := s.walk(path, func(file string) (err error) {
			if batch = append(batch, file); len(batch) == batchSize {
				err = send(batch)
				batch = make([]string, 0, batchSize)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return send(batch)
}

// walk calls take with the files at and below a path. A link that was named is followed.
func (s *Search) walk(root string, take func(path string) error) error {
	if at, err := os.Stat(root); err == nil && at.IsDir() {
		root = filepath.Clean(root) + string(filepath.Separator) // what the link leads to
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			s.Problem(path, withoutPath(err))
			if d != nil && d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			if d.Name() == "objects" && filepath.Base(filepath.Dir(path)) == ".git" {
				s.Skip("git objects") // scan git reads them
				return filepath.SkipDir
			}
			return nil
		case d.Type()&fs.ModeSymlink != 0 && path != root:
			s.Skip("links")
			return nil
		case !d.Type().IsRegular() && path != root:
			s.Skip("devices, sockets and pipes")
			return nil
		}
		return take(path)
	})
}

// withoutPath answers an error without the path that is shown beside it.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	return err
}

// File looks at a file.
func (l *Lane) File(path string) error {
	file, err := openFile(path)
	if err != nil {
		return err
	}
	defer file.Close()
	l.search.coverage.files.Add(1)
	return l.outer(document{path: path, line: 1}, file)
}

// Reader looks at a stream, such as standard input.
func (l *Lane) Reader(name string, r io.Reader) error {
	l.search.coverage.files.Add(1)
	return l.outer(document{path: name, line: 1}, r)
}

// An Object is a document that a repository or an image keeps.
type Object struct {
	Path, Commit string
	Layer        string // of an image, and whether a later one hides the document
	Hidden       bool
	Gone         bool // no ref of the repository leads to the document
	// Take takes what is found; nil for [Search.Take].
	Take func(leak.Finding, leak.Location)
	// Missed takes what of its members cannot be looked at; nil for [Search.Problem].
	Missed func(path string, err error)
}

// Object looks at a document that a repository or an image keeps.
func (l *Lane) Object(o Object, r io.Reader) error {
	return l.outer(document{path: o.Path, of: o, line: 1}, r)
}

// outer looks at a document that stands by itself.
func (l *Lane) outer(d document, r io.Reader) error {
	d.budget = unpack.NewBudget(l.search.options.Limits, l.search.options.Now)
	return l.document(d, r)
}
