package history

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/search"
)

// questions is how many objects a reader asks for at once.
const questions = 64

// All looks at everything that the repository keeps. What is remembered as clean is not
// read again; m is changed to what is clean now. Where nothing came since, only the objects
// with findings are read, and no commit is asked for.
func (r *Repository) All(ctx context.Context, m *Memory) error {
	r.noteShallow()
	state, err := r.state()
	if err != nil {
		return err
	}
	if state != m.state {
		ids, err := r.objects(ctx, m)
		if err != nil {
			return err
		}
		r.dirty = nil
		if err := r.scan(ctx, ids); err != nil {
			return err
		}
		m.learn(ids, r.dirty, state)
		if err := r.origins(ctx, m); err != nil {
			return err
		}
	}
	r.search.Count(int64(len(m.clean)+len(m.dirty)), 0)
	return r.place(ctx, m)
}

// objects answers the ids of all objects that have text of people and are not remembered.
func (r *Repository) objects(ctx context.Context, m *Memory) (ids []string, err error) {
	cmd := r.command(ctx, "cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectname) %(objecttype)")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, because("cat-file", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, because("cat-file", err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id, kind, _ := strings.Cut(lines.Text(), " ")
		if kind != "tree" && !m.has(id) {
			ids = append(ids, id)
		}
	}
	if err := cmd.Wait(); err != nil {
		return nil, because("cat-file", err)
	}
	return ids, lines.Err()
}

// scan looks which objects have findings, without asking where they stand.
func (r *Repository) scan(ctx context.Context, ids []string) error {
	queue := make(chan []string)
	group, ctx := errgroup.WithContext(ctx)
	for range r.search.Options().Workers {
		group.Go(func() error {
			return r.reader(ctx, func(objects *reader, lane *search.Lane) error {
				for batch := range queue {
					if err := r.batch(objects, lane, batch); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	group.Go(func() error {
		defer close(queue)
		for batch := range slices.Chunk(ids, questions) {
			select {
			case queue <- batch:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

// batch asks for several objects at once: their ids fit into a pipe, so that asking does
// not wait for answers that nobody reads.
func (r *Repository) batch(objects *reader, lane *search.Lane, batch []string) error {
	if _, err := io.WriteString(objects.in, strings.Join(batch, "\n")+"\n"); err != nil {
		return fmt.Errorf("asking git for objects: %w", err)
	}
	for _, id := range batch {
		found := false
		take := func(leak.Finding, leak.Location) { found = true }
		if err := objects.next(id, func(kind string, content io.Reader) error {
			// What cannot be read well is looked at again, and then reported.
			found = kind == "missing" || lane.Object(search.Object{Path: id, Take: take}, content) != nil || found
			return nil
		}); err != nil {
			return err
		}
		if found {
			r.lock.Lock()
			r.dirty = append(r.dirty, id)
			r.lock.Unlock()
		}
	}
	return nil
}

// place looks at the objects that have findings, again if they are new, now with the path
// and the commit that brought each of them.
func (r *Repository) place(ctx context.Context, m *Memory) error {
	if len(m.dirty) == 0 {
		return nil
	}
	return r.reader(ctx, func(objects *reader, lane *search.Lane) error {
		for _, id := range slices.Sorted(maps.Keys(m.dirty)) {
			if err := objects.read(id, func(kind string, content io.Reader) error {
				origin := m.dirty[id]
				switch {
				case kind == "missing":
					r.search.Problem(id, errMissing)
					return nil
				case kind == "commit":
					origin = change{path: "commit message", commit: id}
				case kind == "tag":
					origin = change{path: "tag message " + id}
				case origin.path == "":
					origin = change{path: "dangling object " + id}
				}
				if err := lane.Object(search.Object{Path: origin.path, Commit: origin.commit}, content); err != nil {
					r.search.Problem(origin.path, err)
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// origins finds for each object with findings, where it is not known, the oldest commit that
// has it, and its path there.
func (r *Repository) origins(ctx context.Context, m *Memory) error {
	wanted := m.homeless()
	if len(wanted) == 0 {
		return nil
	}
	cmd := r.command(ctx, "log", "--all", "--reflog", "--topo-order", "--reverse", "-c", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv", "--diff-filter=AMT", "--format=%x01%H")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return because("log", err)
	}
	if err := cmd.Start(); err != nil {
		return because("log", err)
	}
	commit := ""
	fields := bufio.NewScanner(out)
	fields.Split(atNUL)
	id, commits := "", int64(0)
	for fields.Scan() {
		field := strings.TrimLeft(fields.Text(), "\n")
		if id != "" { // the path of the change before
			if wanted[id] {
				m.dirty[id] = change{path: field, commit: commit}
				delete(wanted, id)
			}
			id = ""
			continue
		}
		if hash, ok := strings.CutPrefix(field, "\x01"); ok {
			commits++
			commit, field, _ = strings.Cut(hash, "\n")
			field = strings.TrimLeft(field, "\n")
		}
		if _, _, fresh, ok := parseRaw(field); ok {
			id = fresh
		}
	}
	r.search.Count(0, commits)
	if err := cmd.Wait(); err != nil {
		return because("log", err)
	}
	return fields.Err()
}

// atNUL splits at NULs.
func atNUL(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
