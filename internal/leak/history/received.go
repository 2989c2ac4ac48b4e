package history

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/lazy"
)

var (
	objectID = lazy.Regexp(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
	zeros    = lazy.Regexp(`^0+$`)
)

// maxUpdates is how many refs of one push are looked at: their ids stand on git's command line.
const maxUpdates = 10_000

// ReadTips reads what git tells a pre-receive hook, a line "old new ref" for each ref, and answers
// the ids that refs are to have, each once. An id of zeros is of a ref that goes.
func ReadTips(r io.Reader) (tips []string, err error) {
	lines, n := bufio.NewScanner(r), 0
	for lines.Scan() {
		columns := strings.SplitN(lines.Text(), " ", 3)
		if n++; len(columns) != 3 || !objectID().MatchString(columns[0]) || !objectID().MatchString(columns[1]) || columns[2] == "" {
			return nil, fmt.Errorf("reading the updates of a push: line %d is not two ids and a ref", n)
		}
		if n > maxUpdates {
			return nil, fmt.Errorf("reading the updates of a push: there are more than %d", maxUpdates)
		}
		if !zeros().MatchString(columns[1]) {
			tips = append(tips, columns[1])
		}
	}
	slices.Sort(tips)
	return slices.Compact(tips), lines.Err()
}

// Received looks at what a push brings that the repository's refs do not lead to yet: files,
// messages of commits and tags, and files that a ref or a tag names without a commit. It is
// for a pre-receive hook, whose environment tells git where the objects wait.
func (r *Repository) Received(ctx context.Context, tips []string) error {
	if len(tips) == 0 {
		r.search.Unchanged()
		return nil
	}
	var commits, loose []string
	for _, tip := range tips {
		if _, err := r.output(ctx, "rev-parse", "--quiet", "--verify", tip+"^{commit}"); err == nil {
			commits = append(commits, tip)
		} else if ctx.Err() != nil {
			return ctx.Err()
		} else {
			loose = append(loose, tip)
		}
	}
	messages, err := r.fresh(ctx, commits, "--filter=tree:0")
	if err != nil {
		return err
	}
	others, err := r.fresh(ctx, loose)
	if err != nil {
		return err
	}
	r.dirty = nil
	if err := r.scan(ctx, append(messages, others...)); err != nil {
		return err
	}
	r.search.Count(int64(len(messages)+len(others)), 0)
	found := &Memory{dirty: map[string]*stain{}}
	for _, id := range r.dirty {
		found.dirty[id] = &stain{} // no commit brings it to a path
	}
	if err := r.place(ctx, found); err != nil {
		return err
	}
	if len(commits) == 0 {
		return nil
	}
	out, err := r.output(ctx, slices.Concat([]string{"log", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv", "--diff-filter=AMT", "-c", "--format=%x01%H"}, commits, []string{"--not", "--all", "--"})...)
	if err != nil {
		return err
	}
	changes, err := parseChanges(out)
	if err != nil {
		return err
	}
	return r.changes(ctx, changes)
}

// fresh answers the objects that tips lead to and no ref does.
func (r *Repository) fresh(ctx context.Context, tips []string, options ...string) ([]string, error) {
	if len(tips) == 0 {
		return nil, nil
	}
	out, err := r.output(ctx, slices.Concat([]string{"rev-list", "--objects", "--no-object-names"}, options, tips, []string{"--not", "--all", "--"})...)
	return strings.Fields(string(out)), err
}
