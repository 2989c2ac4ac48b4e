package certificate

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/keyward/keyward/internal/cloud/pkcs12"
	"github.com/keyward/keyward/internal/fault"
)

const (
	maxFile  = 1 << 20 // bytes
	maxFiles = 1000    // that the patterns of one source may name
)

// A pattern is a path, perhaps with wildcards, in a directory that the operator allowed.
type pattern struct {
	path      string // as it was entered
	directory string
	rest      string // the path below the directory
}

// patterns reads the paths of a setting and refuses what lies in no allowed directory.
func patterns(setting string, directories []string) ([]pattern, error) {
	var out []pattern
	for _, path := range split(setting) {
		if !filepath.IsAbs(path) {
			return nil, fault.InvalidParameter.New("the file %q needs its whole path, from /", path)
		}
		if _, err := filepath.Match(path, ""); err != nil {
			return nil, fault.InvalidParameter.New("the pattern %q is malformed; close its brackets", path)
		}
		clean := filepath.Clean(path)
		at := slices.IndexFunc(directories, func(d string) bool {
			return strings.HasPrefix(clean, strings.TrimSuffix(filepath.Clean(d), "/")+"/")
		})
		if at < 0 {
			return nil, fault.InvalidParameter.New("the file %q lies in no directory that may be read (%s); the operator names them in inventory.certificate_dirs",
				path, allowed(directories))
		}
		rest, err := filepath.Rel(directories[at], clean)
		if err != nil || !filepath.IsLocal(rest) {
			return nil, fault.InvalidParameter.New("the file %q cannot be found from %s", path, directories[at])
		}
		out = append(out, pattern{path, directories[at], rest})
	}
	return out, nil
}

func allowed(directories []string) string {
	if len(directories) == 0 {
		return "none is allowed"
	}
	return strings.Join(directories, ", ")
}

// split reads a list: commas or spaces stand between two.
func split(setting string) []string {
	return strings.FieldsFunc(setting, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// A file is what was read from one path.
type file struct {
	path    string
	content []byte
	err     error
}

// read answers the files of a pattern, each with its content or with why it cannot be
// read, and an error if the pattern names none.
func (p pattern) read() ([]file, error) {
	root, err := os.OpenRoot(p.directory)
	if err != nil {
		return nil, fmt.Errorf("opening the directory %s: %w", p.directory, cause(err))
	}
	defer func() { _ = root.Close() }() // it was only read
	names := []string{p.rest}
	if strings.ContainsAny(p.rest, `*?[`) {
		if names, err = fs.Glob(root.FS(), p.rest); err != nil {
			return nil, fmt.Errorf("looking for %s: %w", p.path, cause(err))
		}
	}
	if len(names) == 0 {
		return nil, errors.New("no file fits the pattern")
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("%d files fit the pattern, at most %d are read; narrow it", len(names), maxFiles)
	}
	var out []file
	for _, name := range names {
		content, err := readFile(root, name)
		out = append(out, file{filepath.Join(p.directory, name), content, err})
	}
	return out, nil
}

// readFile reads a plain file below root. A link may lead to another place below it, as
// Kubernetes and certbot lay out certificates, but not out of it: os.Root sees to that.
func readFile(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // does not wait for a writer of a pipe
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, cause(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a plain file")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, cause(err)
	case len(content) > maxFile: // it grew
		return nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return content, nil
}

// cause answers an error of a file without the path, which is told beside it.
func cause(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// certificates reads what a file holds, trying each password on PKCS#12.
func (p *provider) certificates(content []byte) ([]*X509, error) {
	if !pkcs12.Is(content) {
		return Parse(content)
	}
	for _, password := range p.passwords {
		_, certs, err := Open(content, password)
		if !errors.Is(err, pkcs12.ErrPassword) {
			return certs, err
		}
	}
	return nil, errors.New("none of the passwords of the source opens this PKCS#12 file; add its password to the credential's passwords")
}
