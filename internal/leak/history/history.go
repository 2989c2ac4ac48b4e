// Package history looks for credentials in git repositories: in what is about to be
// committed, in what a range of commits brought, and in everything that a repository keeps.
//
// It looks at whole objects and not at patches: a patch lacks what stands around a change,
// cannot be made of an archive, and costs more to make than the object costs to read. What
// is new about a change is told by content: a finding counts if the file before the change
// did not have the same one, wherever it stood.
//
// A whole history is read by object, each content once however many commits have it, and
// including what no branch leads to any more: stashes, notes, commits that were amended
// away. Only for objects that have findings is it asked which commit brought them. Clean
// objects are remembered ([Memory]) with the version of the rules, so that the next search
// reads what is new.
//
// Objects are read by git itself, with `git cat-file --batch`: it knows every format of a
// repository, costs no more than decompression, and several work side by side. git is run
// so that a repository's configuration cannot make it run anything.
package history

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/search"
)

// A Repository is a git repository on this machine.
type Repository struct {
	dir     string // of git's files
	shallow bool
	search  *search.Search
	tell    bool       // TellGone
	lock    sync.Mutex // guards dirty
	dirty   []string   // objects that have findings
}

// Open answers the repository that a directory belongs to.
func Open(ctx context.Context, dir string, s *search.Search) (*Repository, error) {
	r := &Repository{dir: dir, search: s}
	out, err := r.output(ctx, "rev-parse", "--is-shallow-repository", "--absolute-git-dir")
	if err != nil {
		return nil, err
	}
	shallow, place, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	r.shallow, r.dir = shallow == "true", place
	return r, nil
}

// Dir answers the directory of git's files.
func (r *Repository) Dir() string { return r.dir }

// Shallow tells whether older commits are not there.
func (r *Repository) Shallow() bool { return r.shallow }

// command answers a run of git. Nothing that a repository configures may run, nothing is
// fetched, no object is shown in place of another, and no lock is taken.
func (r *Repository) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false", "-C", r.dir}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "GIT_NO_REPLACE_OBJECTS=1", "LC_ALL=C")
	return cmd
}

// output answers what git writes.
func (r *Repository) output(ctx context.Context, args ...string) ([]byte, error) {
	out, err := r.command(ctx, args...).Output()
	return out, because(args[0], err)
}

// because adds to an error what git said.
func because(what string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		said, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return fmt.Errorf("running git %s: %s", what, said)
	}
	if err != nil {
		return fmt.Errorf("running git %s: %w", what, err)
	}
	return nil
}

// A change is a file that became another one.
type change struct{ old, new, path, commit string }

// Staged looks at what is about to be committed.
func (r *Repository) Staged(ctx context.Context) error {
	out, err := r.output(ctx, "diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv", "--diff-filter=AMT")
	if err != nil {
		return err
	}
	changes, err := parseChanges(out)
	if err != nil {
		return err
	}
	return r.changes(ctx, changes)
}

// Range looks at what the commits of a range brought, such as "origin/main..HEAD", even if
// a later one took it away again.
func (r *Repository) Range(ctx context.Context, revisions string) error {
	if strings.HasPrefix(revisions, "-") {
		return fmt.Errorf("reading the range %q: it begins like an option", revisions)
	}
	out, err := r.output(ctx, "log", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv", "--diff-filter=AMT", "-c", "--format=%x01%H", revisions, "--")
	if err != nil {
		return err
	}
	changes, err := parseChanges(out)
	if err != nil {
		return err
	}
	r.noteShallow()
	return r.changes(ctx, changes)
}

// noteShallow says that a part of the history is missing.
func (r *Repository) noteShallow() {
	if r.shallow {
		r.search.Problem(r.dir, leak.Text{English: "it is a shallow clone: older commits are not there", Chinese: "浅克隆，缺少较早的提交"})
	}
}

// parseRaw reads a line of git's raw format: ":mode mode old new status", and of a merge a
// colon, a mode and an id more for each further parent.
func parseRaw(line string) (mode, old, fresh string, ok bool) {
	rest := strings.TrimLeft(line, ":")
	parents := len(line) - len(rest)
	columns := strings.Fields(rest)
	if parents == 0 || len(columns) != 2*parents+3 {
		return "", "", "", false
	}
	return columns[parents], columns[parents+1], columns[2*parents+1], true
}

// parseChanges reads git's raw format with NULs: a commit behind \x01, and for each file a
// line and its path. Of merges git tells the files that none of the parents has.
func parseChanges(out []byte) (changes []change, err error) {
	commit := ""
	fields := strings.Split(string(out), "\x00")
	for i := 0; i < len(fields); i++ {
		field := strings.TrimLeft(fields[i], "\n")
		if hash, ok := strings.CutPrefix(field, "\x01"); ok {
			commit, field, _ = strings.Cut(hash, "\n")
			field = strings.TrimLeft(field, "\n")
		}
		if !strings.HasPrefix(field, ":") {
			continue
		}
		mode, old, fresh, ok := parseRaw(field)
		if !ok || i+1 == len(fields) {
			return nil, errors.New("reading git's list of changes: it has another form than expected")
		}
		i++
		if mode == "160000" { // a submodule
			continue
		}
		changes = append(changes, change{old: old, new: fresh, path: fields[i], commit: commit})
	}
	return changes, nil
}

// changes looks at the new files, and at the old ones of those that have findings.
func (r *Repository) changes(ctx context.Context, changes []change) error {
	if len(changes) == 0 {
		r.search.Unchanged()
	}
	commits := map[string]bool{}
	for _, c := range changes {
		commits[c.commit] = true
	}
	delete(commits, "")
	r.search.Count(0, int64(len(commits)))
	queue := make(chan change)
	group, ctx := errgroup.WithContext(ctx)
	for range r.search.Options().Workers {
		group.Go(func() error {
			return r.reader(ctx, func(objects *reader, lane *search.Lane) error {
				for c := range queue {
					if err := r.change(objects, lane, c); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	group.Go(func() error {
		defer close(queue)
		for _, c := range changes {
			select {
			case queue <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

// change looks at one change.
func (r *Repository) change(objects *reader, lane *search.Lane, c change) error {
	type found struct {
		leak.Finding
		at leak.Location
	}
	var fresh []found
	look := func(id string, take func(leak.Finding, leak.Location)) error {
		return objects.read(id, func(kind string, content io.Reader) error {
			if kind == "missing" {
				r.search.Problem(c.path, errMissing)
				return nil
			}
			if err := lane.Object(search.Object{Path: c.path, Commit: c.commit, Take: take}, content); err != nil {
				r.search.Problem(c.path, err)
			}
			return nil
		})
	}
	r.search.Count(1, 0)
	if err := look(c.new, func(f leak.Finding, at leak.Location) { fresh = append(fresh, found{f, at}) }); err != nil {
		return err
	}
	if len(fresh) == 0 {
		return nil
	}
	known := map[string]bool{}
	if strings.Trim(c.old, "0") != "" {
		if err := look(c.old, func(f leak.Finding, _ leak.Location) { known[f.Fingerprint] = true }); err != nil {
			return err
		}
	}
	for _, f := range fresh {
		if !known[f.Fingerprint] {
			r.search.Take(f.Finding, f.at)
		}
	}
	return nil
}

// A reader reads objects one after the other.
type reader struct {
	in  io.Writer
	out *bufio.Reader
}

// reader runs git for reading objects, and calls with it.
func (r *Repository) reader(ctx context.Context, with func(*reader, *search.Lane) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := r.command(ctx, "cat-file", "--batch")
	in, err := cmd.StdinPipe()
	if err != nil {
		return because("cat-file", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return because("cat-file", err)
	}
	if err := cmd.Start(); err != nil {
		return because("cat-file", err)
	}
	err = with(&reader{in: in, out: bufio.NewReaderSize(out, 64<<10)}, r.search.Lane())
	if err != nil {
		cancel()
	}
	_ = in.Close() // it ends with its input
	if waited := cmd.Wait(); err == nil {
		err = because("cat-file", waited)
	}
	return err
}

var errMissing = leak.Text{English: "the repository does not have it", Chinese: "仓库中没有该对象"}

// read calls with an object's kind and content.
func (o *reader) read(id string, with func(kind string, content io.Reader) error) error {
	if _, err := io.WriteString(o.in, id+"\n"); err != nil {
		return fmt.Errorf("asking git for %s: %w", id, err)
	}
	return o.next(id, with)
}

// next reads the answer to a question.
func (o *reader) next(id string, with func(kind string, content io.Reader) error) error {
	line, err := o.out.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("reading object %s: %w", id, err)
	}
	columns := bytes.Fields(line)
	if len(columns) != 3 {
		return with("missing", nil)
	}
	size, err := strconv.ParseInt(string(columns[2]), 10, 64)
	if err != nil || size < 0 {
		return fmt.Errorf("reading object %s: git says %q", id, line)
	}
	kind := string(columns[1])
	content := io.LimitReader(o.out, size)
	if err := with(kind, content); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, content); err != nil {
		return fmt.Errorf("reading object %s: %w", id, err)
	}
	if _, err := o.out.Discard(1); err != nil { // the line break behind it
		return fmt.Errorf("reading object %s: %w", id, err)
	}
	return nil
}
