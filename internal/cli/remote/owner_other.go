//go:build !unix

package remote

import "io/fs"

// ownedByUser cannot tell on this system and trusts the user's own directory.
func ownedByUser(fs.FileInfo) bool { return true }
