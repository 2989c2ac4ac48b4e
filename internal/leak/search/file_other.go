//go:build !unix

package search

import "os"

// A file is one that the system has open.
type file struct{ *os.File }

func openFile(path string) (file, error) {
	f, err := os.Open(path)
	return file{f}, withoutPath(err)
}

// size answers how long a regular file is; false for anything else.
func (f file) size() (int64, bool, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, false, withoutPath(err)
	}
	return info.Size(), info.Mode().IsRegular(), nil
}
