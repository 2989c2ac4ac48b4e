//go:build unix

package scancmd

import (
	"io/fs"
	"os"
	"syscall"
)

// ownAlone tells whether a file has one name, and the owner and group of what this process
// would make in its place.
func ownAlone(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Nlink == 1 && int(s.Uid) == os.Geteuid() && int(s.Gid) == os.Getegid()
}
