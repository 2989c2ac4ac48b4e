// Package root is the store of what everything else rests on: the root envelopes, epochs and
// the key of the log (package custody), and the time (package clock). The envelopes, epochs
// and logs themselves belong to package database, which reads them before there is a keyring;
// here they are changed, each change with its record.
package root

import "github.com/keyward/keyward/internal/store/bound"

// Tables answers the tables of this package.
func Tables() []bound.Table {
	return []bound.Table{
		bound.TableOf(testRow),
		bound.OpenTable("clock", "who forges it can delete rows anyway; docs/design/clock.md"),
	}
}
