//go:build !unix

package host

import "io/fs"

// errGone is what reading of a process says that has ended meanwhile; here are none.
var errGone = fs.ErrNotExist
