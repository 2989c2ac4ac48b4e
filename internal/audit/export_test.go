package audit

// Waiting answers how many records the writer has not taken.
func (l *Log) Waiting() int { return l.waiting() }

const Turn = turn
