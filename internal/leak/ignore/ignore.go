// Package ignore keeps what people have decided not to be told of again: findings by their
// fingerprint, each with somebody who answers for it, a reason and, if they wish, an end.
//
// The file lies beside the code and is read by everybody who scans it, so it has a key of
// its own for the fingerprints, the salt: what is in it tells nothing about the same secret
// elsewhere. An ignore is of content, not of a place: it holds when lines move, and a new
// secret on the same line is found. What no scan needed any more is told ([File.Unused]).
//
// The list of gitleaks (.gitleaksignore) is read as well, for those who come from there. It
// names places, and since the rules of two scanners have different names, the place alone
// decides.
package ignore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/keyward/keyward/internal/leak"
)

// FileName is the name of the file at the top of what is scanned.
const FileName = ".keyward-scan.toml"

// SaltSize is how many bytes a salt has.
const SaltSize = 32

// An Entry is one ignored finding.
type Entry struct {
	Fingerprint string    `toml:"fingerprint"`
	Rule        string    `toml:"rule,omitempty"` // for readers; it decides nothing
	Owner       string    `toml:"owner"`
	Reason      string    `toml:"reason"`
	Expires     time.Time `toml:"expires,omitempty"` // zero for never
}

// A File is the ignores of one tree. [File.Ignores] is for any number of goroutines.
type File struct {
	Salt    string  `toml:"salt"` // hexadecimal
	Entries []Entry `toml:"ignore"`

	mu     sync.Mutex
	fresh  bool
	now    time.Time
	index  map[string]int
	used   map[string]bool
	places map[string]bool // of .gitleaksignore: "path:line", "commit:path:line"
}

// New answers a file without ignores and with a new salt.
func New(now time.Time) *File {
	salt := make([]byte, SaltSize)
	_, _ = rand.Read(salt) // never fails
	f := &File{Salt: hex.EncodeToString(salt), fresh: true}
	f.prepare(now)
	return f
}

// Parse reads a file. An entry without an owner or a reason is an error, as is an unknown key.
func Parse(content []byte, now time.Time) (*File, error) {
	f := &File{}
	meta, err := toml.Decode(string(content), f)
	if err != nil {
		return nil, fmt.Errorf("reading ignores: %w", err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("reading ignores: there is no key %q", unknown[0])
	}
	if salt, err := hex.DecodeString(f.Salt); err != nil || len(salt) != SaltSize {
		return nil, fmt.Errorf("reading ignores: the salt is not %d bytes in hexadecimal", SaltSize)
	}
	for _, e := range f.Entries {
		if len(e.Fingerprint) != 32 || e.Owner == "" || e.Reason == "" {
			return nil, fmt.Errorf("reading ignores: %q needs a whole fingerprint, an owner and a reason", e.Fingerprint)
		}
	}
	f.prepare(now)
	return f, nil
}

func (f *File) prepare(now time.Time) {
	f.now, f.index, f.used, f.places = now, map[string]int{}, map[string]bool{}, map[string]bool{}
	for i, e := range f.Entries {
		f.index[e.Fingerprint] = i
	}
}

// New tells whether the file's salt is of this run, so that fingerprints of others are not
// under it.
func (f *File) New() bool { return f.fresh }

// Key answers the key of the file's fingerprints.
func (f *File) Key() []byte {
	salt, _ := hex.DecodeString(f.Salt) // Parse has looked
	return salt
}

// Accept adds ignores of findings; those that are there already are replaced.
func (f *File) Accept(findings []leak.Finding, like Entry) {
	for _, found := range findings {
		e := like
		e.Fingerprint, e.Rule = found.Fingerprint, found.Rule
		if i, ok := f.index[e.Fingerprint]; ok {
			f.Entries[i] = e
			continue
		}
		f.index[e.Fingerprint] = len(f.Entries)
		f.Entries = append(f.Entries, e)
	}
}

// Marshal writes the file.
func (f *File) Marshal() ([]byte, error) {
	var b strings.Builder
	b.WriteString("# What keyward scan shall not report again. docs/scan.md tells the form.\n")
	encoder := toml.NewEncoder(&b)
	encoder.Indent = ""
	if err := encoder.Encode(f); err != nil {
		return nil, fmt.Errorf("writing ignores: %w", err)
	}
	return []byte(b.String()), nil
}

var errPlace = errors.New("it is not path:rule:line or commit:path:rule:line")

// Gitleaks adds the places of a .gitleaksignore.
func (f *File) Gitleaks(content []byte) error {
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		parts := strings.Split(line, ":")
		if len(parts) < 3 {
			return fmt.Errorf("reading %q of .gitleaksignore: %w", line, errPlace)
		}
		n, err := strconv.Atoi(parts[len(parts)-1])
		if err != nil {
			return fmt.Errorf("reading %q of .gitleaksignore: %w", line, errPlace)
		}
		f.places[fmt.Sprintf("%s:%d", strings.Join(parts[:len(parts)-2], ":"), n)] = true
	}
	return nil
}

// Ignores tells whether a finding at a place is ignored, and notes that its ignore is used.
func (f *File) Ignores(found leak.Finding, at leak.Location) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	place := fmt.Sprintf("%s:%d", at.Path, at.Line)
	if f.places[place] || at.Commit != "" && f.places[at.Commit+":"+place] {
		return true
	}
	i, ok := f.index[found.Fingerprint]
	if !ok {
		return false
	}
	f.used[found.Fingerprint] = true
	return !f.Entries[i].over(f.now)
}

func (e Entry) over(now time.Time) bool { return !e.Expires.IsZero() && now.After(e.Expires) }

// Unused answers the ignores that nothing needed, and those that are over.
func (f *File) Unused() (unused, over []Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.Entries {
		switch {
		case e.over(f.now):
			over = append(over, e)
		case !f.used[e.Fingerprint]:
			unused = append(unused, e)
		}
	}
	return unused, over
}
