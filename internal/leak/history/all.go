package history

import (
	"bufio"
	"bytes"
	"context"
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

// All looks at everything that the repository keeps. What is remembered, as clean or with its
// findings, is not read again; m is changed to what is known now. Where nothing came since,
// nothing is read and no commit is asked for. A repository that lacks objects, or has broken
// ones, is looked at as far as it goes; what is missing is a problem each time.
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
		whole := false
		group, within := errgroup.WithContext(ctx)
		group.Go(func() error { return r.scan(within, m.unknown(ids)) })
		group.Go(func() (err error) {
			whole, err = r.whole(within)
			return err
		})
		if err := group.Wait(); err != nil {
			return err
		}
		if !whole {
			state = "" // look again the next time
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
			return r.readAll(ctx, queue, func(lane *search.Lane, id, kind string, content io.Reader) {
				found := false
				take := func(leak.Finding, leak.Location) { found = true }
				missed := func(string, error) { found = true }
				// What cannot be read well is looked at again, and then reported.
				if kind == "missing" || kind == "broken" || lane.Object(search.Object{Path: id, Take: take, Missed: missed}, content) != nil || found {
					r.lock.Lock()
					defer r.lock.Unlock()
					r.dirty = append(r.dirty, id)
				}
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

// TellGone has [Repository.All] say at each place whether any ref leads to it still, which
// takes git a walk through the whole history where there are findings.
func (r *Repository) TellGone() { r.tell = true }

// gone answers which of some objects no ref leads to.
func (r *Repository) gone(ctx context.Context, of map[string]*stain) (map[string]bool, error) {
	if !r.tell {
		return nil, nil //nolint:nilnil // nobody asked
	}
	gone := map[string]bool{}
	for id := range of {
		gone[id] = true
	}
	cmd := r.command(ctx, "rev-list", "--objects", "--no-object-names", "--all")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, because("rev-list", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, because("rev-list", err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		delete(gone, lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		return nil, because("rev-list", err)
	}
	return gone, lines.Err()
}

// place takes the findings of all objects that have some, with the path and the commit that
// brought each of them. Those whose findings are not remembered, or of which the secrets
// themselves are wanted, are looked at again.
func (r *Repository) place(ctx context.Context, m *Memory) error {
	if len(m.dirty) == 0 {
		return nil
	}
	gone, err := r.gone(ctx, m.dirty)
	if err != nil {
		return err
	}
	var unknown []string
	for _, id := range slices.Sorted(maps.Keys(m.dirty)) {
		if s := m.dirty[id]; s.known && !s.has(r.search.Options().Values) {
			r.take(id, s, gone[id])
		} else {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	one := make(chan []string, 1)
	one <- unknown
	close(one)
	return r.readAll(ctx, one, func(lane *search.Lane, id, kind string, content io.Reader) {
		s := m.dirty[id]
		switch kind {
		case "missing":
			r.search.Problem(id, errMissing)
			return
		case "broken":
			r.search.Problem(id, leak.Text{English: "git cannot read it; git fsck says more", Chinese: "git 无法读取，详情请执行 git fsck"})
			return
		case "commit":
			s.change = change{path: "commit message", commit: id}
		case "tag":
			s.change = change{path: "tag message " + id}
		}
		s.known, s.findings, m.saved = true, nil, false
		missed := func(path string, err error) {
			s.known = false // it is told each time
			r.search.Problem(path, err)
		}
		path := s.place(id)
		if err := lane.Object(search.Object{Path: path, Missed: missed, Take: func(f leak.Finding, at leak.Location) {
			s.add(f, at, path)
		}}, content); err != nil {
			missed(path, err)
		}
		r.take(id, s, gone[id])
	})
}

// take takes the findings of an object.
func (r *Repository) take(id string, s *stain, gone bool) {
	for _, k := range s.findings {
		at := k.At
		at.Path, at.Commit, at.Gone = s.place(id)+at.Path, s.commit, gone
		r.search.Take(k.Finding, at)
	}
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
				m.dirty[id].change = change{path: field, commit: commit}
				m.saved = false
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
	if err := cmd.Wait(); err != nil && ctx.Err() == nil {
		// What is broken is told by whole. What was found is told without its commit.
		return fields.Err()
	} else if err != nil {
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
