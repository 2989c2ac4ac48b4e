package store

// BoundColumns answers the columns that the MAC of each bound table covers.
func BoundColumns() map[string][]string {
	out := map[string][]string{}
	for _, t := range tables() {
		for _, c := range t.columns {
			out[t.name] = append(out[t.name], c.name)
		}
	}
	return out
}

// OpenWatched is Open that tells each statement of the migration before it runs, and
// "COMMIT" at the end.
var OpenWatched = open

// The journal's format of a batch of audit records.
var (
	EncodeBatch = encodeBatch
	DecodeBatch = decodeBatch
)

// SearchQuery is what reads a page of audit records.
var SearchQuery = searchQuery

// TailSize answers how many bytes of leaves are not in the tables yet.
func (db *DB) TailSize() int {
	db.tail.mu.Lock()
	defer db.tail.mu.Unlock()
	return db.tail.size
}
