package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Memory is what is known of a repository's objects: which are clean under a version of
// the rules, and which are not, with where they stand. Who can write it can hide findings,
// as can who can write the repository's files, beside which it is kept.
type Memory struct {
	version string
	state   string            // of the repository's objects when it was made
	clean   []string          // ids in hexadecimal, sorted
	dirty   map[string]change // by id; without a path if no commit is known to have brought it
	saved   bool              // it is as it was read
}

// memoryName is the file within git's directory.
const memoryName = "keyward-scanned"

// memoryForm is the form of its lines: an id that is clean; or "!", an id that is not, the
// commit that brought it, and its path in quotes.
const memoryForm = "keyward-scanned-2"

// Remember answers the memory of a repository under a version of the rules: an empty one
// if there is none, or of another version, or damaged.
func (r *Repository) Remember(version string) *Memory {
	m := Forget(version)
	content, err := os.ReadFile(filepath.Join(r.dir, memoryName))
	if err != nil {
		return m
	}
	head, rest, _ := bytes.Cut(content, []byte("\n"))
	fields := strings.Fields(string(head))
	sum := sha256.Sum256(rest)
	if len(fields) != 4 || fields[0] != memoryForm || fields[1] != version || fields[3] != hex.EncodeToString(sum[:8]) {
		return m
	}
	m.state, m.saved = fields[2], true
	for line := range strings.Lines(string(rest)) {
		if line, dirty := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "!"); dirty {
			id, origin, _ := strings.Cut(line, " ")
			commit, quoted, _ := strings.Cut(origin, " ")
			path, err := strconv.Unquote(quoted)
			if err != nil {
				return Forget(version)
			}
			m.dirty[id] = change{path: path, commit: commit}
		} else {
			m.clean = append(m.clean, line)
		}
	}
	return m
}

// Save keeps the memory, if there is something new in it.
func (r *Repository) Save(m *Memory) error {
	if m.saved {
		return nil
	}
	var b bytes.Buffer
	for _, id := range m.clean {
		b.WriteString(id + "\n")
	}
	for _, id := range slices.Sorted(maps.Keys(m.dirty)) {
		fmt.Fprintf(&b, "!%s %s %q\n", id, m.dirty[id].commit, m.dirty[id].path)
	}
	sum := sha256.Sum256(b.Bytes())
	head := fmt.Sprintf(memoryForm+" %s %s %s\n", m.version, m.state, hex.EncodeToString(sum[:8]))
	name := filepath.Join(r.dir, memoryName)
	temp := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.WriteFile(temp, append([]byte(head), b.Bytes()...), 0o600); err != nil {
		return fmt.Errorf("remembering what is clean: %w", err)
	}
	if err := os.Rename(temp, name); err != nil {
		return fmt.Errorf("remembering what is clean: %w", err)
	}
	return nil
}

func (m *Memory) has(id string) bool {
	_, found := slices.BinarySearch(m.clean, id)
	return found
}

// learn takes what a search came to: which of the objects that it looked at are not clean.
func (m *Memory) learn(looked, dirty []string, state string) {
	known := m.dirty
	m.dirty, m.state, m.saved = map[string]change{}, state, false
	for _, id := range dirty {
		m.dirty[id] = known[id]
	}
	for _, id := range looked {
		if _, is := m.dirty[id]; !is {
			m.clean = append(m.clean, id)
		}
	}
	slices.Sort(m.clean)
}

// homeless answers the objects with findings that no commit is known to have brought.
func (m *Memory) homeless() map[string]bool {
	wanted := map[string]bool{}
	for id, origin := range m.dirty {
		if origin.path == "" {
			wanted[id] = true
		}
	}
	return wanted
}

// state answers a short form of which objects there are: the names of packs, and when each
// directory of loose objects last changed. It changes whenever an object arrives.
func (r *Repository) state() (string, error) {
	h := sha256.New()
	common := r.dir
	if other, err := os.ReadFile(filepath.Join(r.dir, "commondir")); err == nil { // a worktree
		common = filepath.Join(r.dir, strings.TrimSpace(string(other)))
	}
	objects := filepath.Join(common, "objects")
	entries, err := os.ReadDir(objects)
	if err != nil {
		return "", fmt.Errorf("listing objects: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("listing objects: %w", err)
		}
		fmt.Fprintln(h, e.Name(), info.ModTime().UnixNano())
	}
	if alternates, err := os.ReadFile(filepath.Join(objects, "info", "alternates")); err == nil { // objects elsewhere: always look
		fmt.Fprintln(h, string(alternates), os.Getpid())
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// Forget answers an empty memory.
func Forget(version string) *Memory { return &Memory{version: version, dirty: map[string]change{}} }
