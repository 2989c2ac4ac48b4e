package history

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/keyward/keyward/internal/leak"
)

// A Memory is what is known of a repository's objects: which are clean under a version of
// the rules and of what a search allows, and what is found in the others, with where they
// stand. It has what findings have, and so no secret. Who can write it can hide findings,
// as can who can write the repository's files, beside which it is kept.
type Memory struct {
	version string
	state   string            // of the repository's objects when it was made
	clean   []string          // ids in hexadecimal, sorted
	dirty   map[string]*stain // by id
	saved   bool              // it is as it was read
}

// A stain is an object that is not clean.
type stain struct {
	change          // without a path if no commit is known to have brought it
	known    bool   // findings are all that it has; otherwise it must be looked at
	findings []kept // in the order in which they were found
}

// A kept is a finding at a place, whose path is what follows the object's.
type kept struct {
	Finding leak.Finding
	Mark    string
	At      leak.Location
}

// maxKept is how many findings of an object are remembered. One that has more is read again.
const maxKept = 1000

// add remembers a finding.
func (s *stain) add(f leak.Finding, at leak.Location, path string) {
	at.Path = strings.TrimPrefix(at.Path, path)
	s.findings = append(s.findings, kept{f, f.Mark, at})
	s.known = s.known && len(s.findings) <= maxKept
}

// has tells whether something is found by one of some rules.
func (s *stain) has(rules []string) bool {
	return slices.ContainsFunc(s.findings, func(k kept) bool { return slices.Contains(rules, k.Finding.Rule) })
}

// place answers what an object is called in findings.
func (s *stain) place(id string) string {
	if s.path == "" {
		return "dangling object " + id
	}
	return s.path
}

// memoryName is the file within git's directory.
const memoryName = "keyward-scanned"

// memoryForm is the form of its lines: an id that is clean; or "!", an id that is not, the
// commit that brought it, its path in quotes, and what is found in it in JSON if that is known.
const memoryForm = "keyward-scanned-3"

// Remember answers the memory of a repository under a version of the rules: an empty one
// if there is none, or of another version, or damaged, or of a search that allowed other things
// or has other keys.
func (r *Repository) Remember(version string) *Memory {
	m := r.Forget(version)
	content, err := os.ReadFile(filepath.Join(r.dir, memoryName))
	if err != nil {
		return m
	}
	head, rest, _ := bytes.Cut(content, []byte("\n"))
	fields := strings.Fields(string(head))
	sum := sha256.Sum256(rest)
	if len(fields) != 4 || fields[0] != memoryForm || fields[1] != m.version || fields[3] != hex.EncodeToString(sum[:8]) {
		return m
	}
	for line := range strings.Lines(string(rest)) {
		if line, dirty := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "!"); !dirty {
			m.clean = append(m.clean, line)
		} else if id, s, ok := parseStain(line); ok && s.dress(r.search.Options().Scanner) {
			m.dirty[id] = s
		} else {
			return r.Forget(version)
		}
	}
	m.state, m.saved = fields[2], true
	return m
}

// parseStain reads a line about an object that is not clean.
func parseStain(line string) (id string, s *stain, ok bool) {
	columns := strings.SplitN(line, " ", 3)
	if len(columns) != 3 {
		return "", nil, false
	}
	quoted, err := strconv.QuotedPrefix(columns[2])
	if err != nil {
		return "", nil, false
	}
	path, err := strconv.Unquote(quoted)
	s = &stain{change: change{path: path, commit: columns[1]}}
	found := strings.TrimPrefix(columns[2][len(quoted):], " ")
	if err != nil || found == "" {
		return columns[0], s, err == nil
	}
	s.known = true
	if err := json.Unmarshal([]byte(found), &s.findings); err != nil {
		return "", nil, false
	}
	return columns[0], s, true
}

// bare answers the findings without what their rules say.
func (s *stain) bare() []kept {
	out := slices.Clone(s.findings)
	for i := range out {
		f := &out[i].Finding
		f.Title, f.Advice, f.Locations = leak.Text{}, leak.Text{}, nil
	}
	return out
}

// dress gives the findings what their rules say; false if there is no such rule.
func (s *stain) dress(scanner *leak.Scanner) bool {
	for i := range s.findings {
		f := &s.findings[i].Finding
		rule := slices.IndexFunc(scanner.Rules(), func(r leak.Rule) bool { return r.ID == f.Rule })
		if rule < 0 {
			return false
		}
		r := scanner.Rules()[rule]
		f.Mark, f.Title, f.Advice = s.findings[i].Mark, r.Title, r.Provider.Advice
	}
	return true
}

// Forget answers an empty memory of what the search of this repository finds under a version of
// the rules.
func (r *Repository) Forget(version string) *Memory {
	o := r.search.Options()
	sum := sha256.Sum256(fmt.Append(o.Hasher.Name(), version, o.InlineAllow, o.Allow != nil))
	return &Memory{version: hex.EncodeToString(sum[:8]), dirty: map[string]*stain{}}
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
		s := m.dirty[id]
		fmt.Fprintf(&b, "!%s %s %q", id, s.commit, s.path)
		if s.known {
			found, err := json.Marshal(s.bare())
			if err != nil {
				return fmt.Errorf("remembering what was found: %w", err)
			}
			fmt.Fprintf(&b, " %s", found)
		}
		b.WriteByte('\n')
	}
	sum := sha256.Sum256(b.Bytes())
	head := fmt.Sprintf(memoryForm+" %s %s %s\n", m.version, cmp.Or(m.state, "-"), hex.EncodeToString(sum[:8]))
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

// unknown answers which of some objects must be looked at.
func (m *Memory) unknown(ids []string) (out []string) {
	for _, id := range ids {
		if s := m.dirty[id]; s == nil || !s.known {
			out = append(out, id)
		}
	}
	return out
}

// learn takes what a search came to: which of the objects that it looked at are not clean.
// Of those that were not clean before, the ones that it met are still there.
func (m *Memory) learn(looked, dirty []string, state string) {
	before := m.dirty
	m.dirty, m.state, m.saved = map[string]*stain{}, state, false
	for _, id := range dirty {
		m.dirty[id] = cmp.Or(before[id], &stain{})
	}
	for _, id := range looked {
		if s := before[id]; s != nil && s.known {
			m.dirty[id] = s
		}
		if m.dirty[id] == nil {
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
