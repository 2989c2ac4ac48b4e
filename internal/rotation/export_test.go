package rotation

import "time"

// DecideUndrained decides by a protocol that does not wait until an act that was given up
// cannot arrive any more.
func DecideUndrained(r Rotation, s Sight, now time.Time) (Rotation, Act) {
	return rules{noDrain: true}.decide(r, s, now)
}
