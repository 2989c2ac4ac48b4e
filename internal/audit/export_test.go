package audit

// Waiting answers how many records the writers have not taken.
func (l *Log) Waiting() int { return l.records.length() + l.changes.length() }

// WriteRecords is the writer of records, called when nobody waits any more.
func (l *Log) WriteRecords() { l.writeRecords() }
