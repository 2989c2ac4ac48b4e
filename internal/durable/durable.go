// Package durable is how keyward keeps small files of its own beside a database: the
// newest audit checkpoint, the anchor, what a witness cosigned, the credentials that a
// command wrote down. It knows nothing of what they hold.
//
//   - [Replace] gives a file new content so that a crash at any moment leaves the old
//     content or the new, whole, and so that the new one is on the disk when the call
//     returns. Who must not forget what it answered calls it before it answers.
//   - [Lock] makes one process the only user of a file or directory.
//   - [RequirePrivate] refuses files that other users of the machine can read or write.
//   - [List] finds files by a pattern of their names, whatever the directory is called.
//
// What is trusted: the file system's rename, fsync and flock. It is no place for records
// that come often: package journal is.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/keyward/keyward/internal/fault"
)

// Replace puts content into the file, mode 0600, at once. When it fails, the file may
// hold the old content or the new. Temporary files that a crash left beside it begin
// with ".tmp-".
func Replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // after the rename it is not there
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return SyncDirectory(filepath.Dir(path))
}

// SyncDirectory makes the names in a directory durable. File systems that cannot are
// taken to need no help.
func SyncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("writing %s: %w", dir, err)
	}
	defer func() { _ = d.Close() }() // it was only read
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return fmt.Errorf("writing %s: %w", dir, err)
	}
	return nil
}

// List answers the paths of what lies below a directory under a name that matches the
// pattern (package path), sorted; none if there is no such directory. Unlike [filepath.Glob]
// it takes no part of the directory's own path, which a person chose, for a pattern.
func List(dir, pattern string) ([]string, error) {
	names, err := fs.Glob(os.DirFS(dir), pattern)
	for i, name := range names {
		names[i] = filepath.Join(dir, name)
	}
	return names, err
}

// RequirePrivate refuses what other users of the machine may read, write or enter, with an
// InvalidParameter fault that says how to mend it. A file that does not exist is private.
func RequirePrivate(paths ...string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		mode := info.Mode().Perm()
		switch {
		case mode&0o077 == 0:
		case info.IsDir():
			return fault.InvalidParameter.New("others may enter %s (mode %04o); run: chmod 700 %s", path, mode, path)
		default:
			return fault.InvalidParameter.New("others may read or write %s (mode %04o); run: chmod 600 %s", path, mode, path)
		}
	}
	return nil
}
