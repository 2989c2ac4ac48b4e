package seal

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/keyward/keyward/internal/fault"
)

// openFlags open a file without waiting, should it be a pipe.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// checkOwner refuses a file that belongs to neither this process's user nor root.
func checkOwner(path string, info fs.FileInfo) error {
	status, ok := info.Sys().(*syscall.Stat_t)
	if !ok || status.Uid != 0 && int(status.Uid) != os.Geteuid() {
		return fault.InvalidParameter.New("the file %q belongs to another user; run: chown %d %q", path, os.Geteuid(), path)
	}
	return nil
}
