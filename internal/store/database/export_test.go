package database

// OpenWatched is Open that tells each statement of the migration before it runs, and
// "COMMIT" at the end.
var OpenWatched = open

// SearchQuery is what reads a page of audit records.
var SearchQuery = searchQuery

// TailSize answers how many bytes of leaves are not in the tables yet.
func (db *DB) TailSize() int {
	db.tail.mu.Lock()
	defer db.tail.mu.Unlock()
	return db.tail.size
}
