package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Memory is what is known of a repository's objects: which are clean under a version of
// the rules, and which are not. Who can write it can hide findings, as can who can write
// the repository's files, beside which it is kept.
type Memory struct {
	version string
	state   string   // of the repository's objects when it was made
	clean   []string // ids in hexadecimal, sorted
	dirty   []string
}

// memoryName is the file within git's directory.
const memoryName = "keyward-scanned"

// Remember answers the memory of a repository under a version of the rules: an empty one
// if there is none, or of another version, or damaged.
func (r *Repository) Remember(version string) *Memory {
	m := &Memory{version: version}
	content, err := os.ReadFile(filepath.Join(r.dir, memoryName))
	if err != nil {
		return m
	}
	head, rest, _ := bytes.Cut(content, []byte("\n"))
	fields := strings.Fields(string(head))
	sum := sha256.Sum256(rest)
	if len(fields) != 4 || fields[0] != "keyward-scanned-1" || fields[1] != version || fields[3] != hex.EncodeToString(sum[:8]) {
		return m
	}
	m.state = fields[2]
	for line := range strings.Lines(string(rest)) {
		id, dirty := strings.CutPrefix(strings.TrimSpace(line), "!")
		if dirty {
			m.dirty = append(m.dirty, id)
		} else {
			m.clean = append(m.clean, id)
		}
	}
	return m
}

// Save keeps the memory.
func (r *Repository) Save(m *Memory) error {
	var b bytes.Buffer
	for _, id := range m.clean {
		b.WriteString(id + "\n")
	}
	for _, id := range m.dirty {
		b.WriteString("!" + id + "\n")
	}
	sum := sha256.Sum256(b.Bytes())
	head := fmt.Sprintf("keyward-scanned-1 %s %s %s\n", m.version, m.state, hex.EncodeToString(sum[:8]))
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

// learn takes what a search came to.
func (m *Memory) learn(looked, dirty []string, state string) {
	for _, id := range looked {
		if _, is := slices.BinarySearch(dirty, id); !is {
			m.clean = append(m.clean, id)
		}
	}
	slices.Sort(m.clean)
	m.dirty, m.state = slices.Clone(dirty), state
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
func Forget(version string) *Memory { return &Memory{version: version} }
