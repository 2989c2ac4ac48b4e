package mirror

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/keyward/keyward/internal/fault"
)

// maxAlternates is how many places a repository may take objects from; git itself follows
// alternates only five deep. maxLinks is how many links may lie in one of them.
const (
	maxAlternates = 20
	maxLinks      = 100
)

// local answers where the repository at a path really is, which is all that git is told: links
// are followed here, and what lies in none of the directories is refused. A path with .. means
// something else to whoever follows links, and is refused, too.
func (m *Mirrors) local(path string) (string, error) {
	none := fault.InvalidParameter.New("there is no repository at this path in a directory that may be read; the operator names them in repositories.directories")
	if !filepath.IsAbs(path) || slices.Contains(strings.Split(path, "/"), "..") {
		return "", none
	}
	dir, ok := m.inside(path)
	if !ok {
		return "", none
	}
	if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
		if dir, ok = m.inside(filepath.Join(dir, ".git")); !ok {
			return "", none
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil { // a file, or what git would look beside for
		return "", none
	}
	if !m.whole(dir) {
		return "", fault.InvalidParameter.New("this repository has content of another one (alternates, a linked work tree or links) that is in no directory of repositories.directories")
	}
	return dir, nil
}

// inside answers where a path leads, and whether that is in one of the directories.
func (m *Mirrors) inside(path string) (string, bool) {
	real, err := filepath.EvalSymlinks(path)
	return real, err == nil && slices.ContainsFunc(m.o.Directories, func(dir string) bool {
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return false
		}
		rel, err := filepath.Rel(dir, real)
		return err == nil && filepath.IsLocal(rel)
	})
}

// whole tells whether nothing of a repository lies outside of the directories.
func (m *Mirrors) whole(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, "commondir")); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	for _, name := range []string{"HEAD", "refs", "packed-refs"} {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) && !m.contained(path) {
			return false
		}
	}
	stores := []string{filepath.Join(dir, "objects")}
	for i := 0; i < len(stores); i++ {
		more, ok := m.store(stores[i])
		if !ok || i == maxAlternates {
			return false
		}
		for _, s := range more {
			if !slices.Contains(stores, s) {
				stores = append(stores, s)
			}
		}
	}
	return true
}

// contained tells whether a path is inside, with all that lies below it or that links there lead to.
func (m *Mirrors) contained(path string) bool {
	paths := []string{path}
	for i := 0; i < len(paths); i++ {
		real, ok := m.inside(paths[i])
		if !ok || i > maxLinks {
			return false
		}
		err := filepath.WalkDir(real, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) { // it went meanwhile
				return nil
			}
			if err == nil && d.Type()&fs.ModeSymlink != 0 && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			return false
		}
	}
	return true
}

// store tells whether a store of objects is inside, and answers those that it refers to.
func (m *Mirrors) store(path string) (alternates []string, ok bool) {
	if path, ok = m.inside(path); !ok || !m.contained(path) {
		return nil, false
	}
	f, err := os.Open(filepath.Join(path, "info", "alternates"))
	if err != nil {
		return nil, errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		switch line := lines.Text(); {
		case line == "" || line[0] == '#':
		case line[0] == '"': // quoted as in C, which nobody needs
			return nil, false
		case filepath.IsAbs(line):
			alternates = append(alternates, line)
		default:
			alternates = append(alternates, path+"/"+line) // not joined: links come before ..
		}
	}
	return alternates, lines.Err() == nil
}
