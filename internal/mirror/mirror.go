// Package mirror reads git repositories of others for package watch: it asks what their refs
// point to, fetches what is new, and has it searched.
//
// A mirror is a bare repository in a private directory of this server's, with its objects and
// refs and nothing that runs: no hooks, no configuration but its own, no submodules, no work
// tree. Objects that the other side takes away stay, for whoever fetched before has them.
//
// git does the fetching, for it knows every form of a repository; but it never speaks to a
// network, and never learns a token. It speaks to a gateway (gateway.go) on the loopback
// interface, made for one run, which knows one repository, passes on the two requests that
// reading takes, and makes them itself: with the guard of package egress, without following
// redirects, with the token, and with an end to the bytes that it lets through. A URL of another
// scheme is a directory on this machine, if the operator allows that.
//
// What was fetched is searched in a process of its own ([Serve]), with less priority and less
// memory: strangers choose those bytes, and what they might do to the search they must not do
// to the keys in the memory of this process. It gets the key that secrets are blinded with
// and gives back what package exposure keeps of them.
//
// Who may call: package app for the server, cmd/keyward for the process. What is trusted: git,
// and the directory of the mirrors. What git and repositories say is told to people, cleaned by
// who tells it.
package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/watch"
)

// Options says what Mirrors are made of. Dir and Program are required.
type Options struct {
	Dir         string         // absolute, of the mirrors; made when it is needed
	Allow       []netip.Prefix // networks that may be reached although they are not public
	Directories []string       // that repositories on this machine may be in
	Most        int64          // bytes of one mirror
	// Program answers a run of the program that calls [Serve].
	Program func(ctx context.Context) *exec.Cmd
}

// Mirrors reads repositories. It may be used concurrently, for one repository by one.
type Mirrors struct{ o Options }

// New answers Mirrors.
func New(o Options) *Mirrors { return &Mirrors{o} }

// packs is how many packs a mirror collects, one with each fetch, before they become one.
const packs = 50

func trouble(status watch.Status, text fault.Text) *watch.Trouble {
	return &watch.Trouble{Status: status, Text: text}
}

// Allows implements watch.Mirrors.
func (m *Mirrors) Allows(address string) error {
	_, _, err := m.find(address)
	return err
}

// find answers the URL of a repository and, if it is on this machine, where it really is.
func (m *Mirrors) find(address string) (u *url.URL, dir string, err error) {
	u, err = url.Parse(address)
	switch {
	case err != nil || strings.ContainsAny(address, " \t\r\n"):
		return nil, "", fault.InvalidParameter.New("the URL of a repository looks like https://host/path.git")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, "", fault.InvalidParameter.New("the URL holds no user, token, query or fragment; the user and the token are given beside it")
	case u.Scheme == "file" && u.Host == "":
		dir, err = m.local(u.Path)
		return u, dir, err
	case u.Hostname() == "" || u.Path == "" || u.Path == "/":
	case u.Scheme == "https", u.Scheme == "http" && len(m.o.Allow) > 0:
		return u, "", nil // the guard of connections looks where it leads
	}
	return nil, "", fault.InvalidParameter.New("the URL of a repository looks like https://host/path.git; http is for networks that the operator allowed with egress.allow, and file:///path for directories in repositories.directories")
}

// Tips implements watch.Mirrors.
func (m *Mirrors) Tips(ctx context.Context, r watch.Remote) (watch.Tips, error) {
	tips, _, err := m.tips(ctx, r)
	return tips, err
}

// tips also answers the length of the ids of objects.
func (m *Mirrors) tips(ctx context.Context, r watch.Remote) (tips watch.Tips, length int, err error) {
	g, err := m.open(ctx, r)
	if err != nil {
		return tips, 0, err
	}
	defer g.close()
	if err := os.MkdirAll(m.o.Dir, 0o700); err != nil {
		return tips, 0, fmt.Errorf("making the directory of mirrors: %w", err)
	}
	out, err := g.run(ctx, "ls-remote", "--symref", "--quiet", g.address)
	if err != nil {
		return tips, 0, err
	}
	h := sha256.New()
	fmt.Fprintln(h, rules.Version, r.Refs)
	for line := range strings.Lines(string(out)) {
		id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if target, symbolic := strings.CutPrefix(id, "ref: "); symbolic {
			if name == "HEAD" {
				tips.Head = strings.TrimPrefix(target, "refs/heads/")
			}
			continue
		}
		if strings.HasSuffix(name, "^{}") || !chosen(r.Refs, name) {
			continue
		}
		fmt.Fprintln(h, id, name)
		length = len(id)
		tips.Refs++
	}
	tips.Digest = hex.EncodeToString(h.Sum(nil)[:16])
	return tips, length, nil
}

// chosen tells whether one of the patterns is about a ref.
func chosen(patterns []string, name string) bool {
	return strings.HasPrefix(name, "refs/") && (len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		before, behind, star := strings.Cut(p, "*")
		return p == name || star && len(name) >= len(p)-1 && strings.HasPrefix(name, before) && strings.HasSuffix(name, behind)
	}))
}

// Harvest implements watch.Mirrors.
func (m *Mirrors) Harvest(ctx context.Context, r watch.Remote, s watch.Search) (h watch.Harvest, err error) {
	dir := m.path(r.ID)
	defer func() {
		if t, ok := errors.AsType[*watch.Trouble](err); ok && (t.Status == watch.Corrupt || t.Status == watch.TooLarge) {
			_ = os.RemoveAll(dir) // it begins anew; what is left the next look removes
		}
	}()
	if err := m.prepare(ctx, r, dir); err != nil {
		return h, err
	}
	if err := m.fetch(ctx, r, dir, &h); err != nil {
		return h, err
	}
	if h.Bytes, err = size(dir); err != nil {
		return h, err
	}
	s.Gone = s.Gone || h.Rewritten
	found, err := m.search(ctx, dir, s)
	if err != nil {
		return h, err
	}
	found.Fetched, found.Bytes, found.Rewritten = h.Fetched, h.Bytes, h.Rewritten
	return found, nil
}

func (m *Mirrors) path(id string) string { return filepath.Join(m.o.Dir, id) }

// prepare makes the mirror if there is none, and takes away what an interrupted run left.
func (m *Mirrors) prepare(ctx context.Context, r watch.Remote, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "config")); err == nil {
		return unlock(dir)
	}
	_, length, err := m.tips(ctx, r)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing a mirror that was not finished: %w", err)
	}
	form := "sha1"
	if length == 2*sha256.Size {
		form = "sha256"
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a mirror: %w", err)
	}
	_, err = (&gateway{mirrors: m}).run(ctx, "init", "--quiet", "--bare", "--template=", "--object-format="+form, dir)
	return err
}

// unlock removes the locks and the unfinished packs of a git that was killed: nobody else is
// at work here.
func unlock(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && len(d.Name()) == 2 { // of loose objects
			return filepath.SkipDir
		}
		if !d.IsDir() && (strings.HasSuffix(path, ".lock") || strings.HasPrefix(d.Name(), "tmp_")) {
			return os.Remove(path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("preparing a mirror: %w", err)
	}
	return nil
}

// fetch brings the mirror up to date. Objects that the other side has no more stay.
func (m *Mirrors) fetch(ctx context.Context, r watch.Remote, dir string, h *watch.Harvest) error {
	g, err := m.open(ctx, r)
	if err != nil {
		return err
	}
	defer g.close()
	g.dir = dir
	before, err := g.run(ctx, "for-each-ref", "--format=%(objectname)")
	if err != nil {
		return err
	}
	args := []string{"fetch", "--quiet", "--force", "--prune", "--no-tags", "--update-shallow", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules", "--no-show-forced-updates", g.address}
	patterns := r.Refs
	if len(patterns) == 0 {
		patterns = []string{"refs/*"}
	}
	for _, p := range patterns {
		args = append(args, p+":"+p)
	}
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go m.measure(bounded, dir, cancel)
	if _, err := g.run(bounded, args...); err != nil {
		return err
	}
	h.Fetched = g.passed.Load()
	n, err := size(dir)
	if err != nil {
		return err
	}
	if n > m.o.Most {
		return m.large()
	}
	h.Rewritten = g.rewritten(ctx, before)
	return g.tidy(ctx)
}

func (m *Mirrors) large() error {
	return trouble(watch.TooLarge, fault.Say("it takes more than %d MB here, which is the limit; the operator may raise repositories.max_megabytes", m.o.Most>>20))
}

// measure ends a fetch that makes the mirror too large.
func (m *Mirrors) measure(ctx context.Context, dir string, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if n, err := size(dir); err == nil && n > m.o.Most {
			cancel(m.large())
			return
		}
	}
}

// size answers the bytes of the files in a directory; what goes meanwhile does not count.
func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				n += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measuring a mirror: %w", err)
	}
	return n, nil
}

// rewritten tells whether something that refs led to before is not led to any more.
func (g *gateway) rewritten(ctx context.Context, before []byte) bool {
	if len(before) == 0 {
		return false
	}
	out, err := g.feed(ctx, slices.Concat(before, []byte("--not\n--all\n")), "rev-list", "--max-count=1", "--ignore-missing", "--stdin")
	return err != nil || len(bytes.TrimSpace(out)) > 0
}

// tidy makes one pack of many, which keeps what no ref leads to.
func (g *gateway) tidy(ctx context.Context) error {
	have, err := fs.Glob(os.DirFS(g.dir), "objects/pack/*.pack")
	if err != nil || len(have) <= packs {
		return err
	}
	_, err = g.run(ctx, "repack", "--quiet", "-a", "-d", "--keep-unreachable")
	return err
}

var mirrorID = lazy.Regexp(`^[0-9a-f]{32}$`)

// Keep implements watch.Mirrors.
func (m *Mirrors) Keep(needed func() (map[string]bool, error)) error {
	entries, err := os.ReadDir(m.o.Dir)
	if err != nil || len(entries) == 0 {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	keep, err := needed()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if mirrorID().MatchString(e.Name()) && !keep[e.Name()] {
			err = errors.Join(err, os.RemoveAll(m.path(e.Name())))
		}
	}
	return err
}
