package history

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/keyward/keyward/internal/leak/search"
)

const (
	maxBroken = 100 // objects of one reader at which git may give up
	maxNamed  = 10  // missing objects that are told by name
)

// readAll calls look with each object of the batches: its kind, or "missing", or "broken".
// At some broken objects git ends instead of saying so; another git then goes on behind it.
// Several are asked for at once: their ids fit into a pipe, so that asking does not wait
// for answers that nobody reads.
func (r *Repository) readAll(ctx context.Context, batches <-chan []string, look func(lane *search.Lane, id, kind string, content io.Reader)) error {
	var rest []string // of a batch
	read := func(objects *reader, lane *search.Lane) error {
		for {
			if len(rest) == 0 {
				batch, more := <-batches
				if !more {
					return nil
				}
				rest = batch
			}
			asked := rest[:min(len(rest), questions)]
			if _, err := io.WriteString(objects.in, strings.Join(asked, "\n")+"\n"); err != nil {
				return fmt.Errorf("asking git for objects: %w", err)
			}
			for _, id := range asked {
				if err := objects.next(id, func(kind string, content io.Reader) error {
					look(lane, id, kind, content)
					return nil
				}); err != nil {
					return err
				}
				rest = rest[1:]
			}
		}
	}
	for broken := 0; ; broken++ {
		err := r.reader(ctx, read)
		if err == nil || ctx.Err() != nil || len(rest) == 0 || broken == maxBroken {
			return err
		}
		look(nil, rest[0], "broken", nil)
		rest = rest[1:]
	}
}

// whole tells whether the repository has all that its references and its reflog lead to.
// What it lacks, and what git complains of, are problems. Nothing is fetched.
func (r *Repository) whole(ctx context.Context) (bool, error) {
	cmd := r.command(ctx, "rev-list", "--objects", "--no-object-names", "--all", "--reflog", "--missing=print")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, because("rev-list", err)
	}
	if err := cmd.Start(); err != nil {
		return false, because("rev-list", err)
	}
	var missing []string
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if id, is := strings.CutPrefix(lines.Text(), "?"); is {
			if n++; n <= maxNamed {
				missing = append(missing, id)
			}
		}
	}
	failed := cmd.Wait()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	whole := failed == nil && n == 0
	if n > maxNamed {
		r.search.Problem(r.dir, fmt.Errorf("%d objects are not there, as in a partial clone: clone it without --filter, or run git fetch --refetch --no-filter", n))
	} else {
		for _, id := range missing {
			r.search.Problem(id, errMissing)
		}
	}
	for line := range strings.Lines(complaints.String()) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "error: ") || strings.HasPrefix(line, "fatal: ") || strings.Contains(line, "broken ref") {
			whole = false
			r.search.Problem(r.dir, errors.New("git says: "+line+"; git fsck says more"))
		}
	}
	if failed != nil && complaints.Len() == 0 {
		r.search.Problem(r.dir, because("rev-list", failed))
	}
	return whole, nil
}
