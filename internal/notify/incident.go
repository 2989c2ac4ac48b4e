package notify

import (
	"time"

	"github.com/keyward/keyward/internal/oncall"
)

// An Incident is one condition that somebody has to see to.
type Incident struct {
	Account   string
	ID        string // short enough to be read out: eight letters and digits
	Condition string // what is watched; of the open incidents no two have the same
	Kind      string // what the texts are chosen by, such as KeyExpiry
	Subject   string // what it is about, for a headline: a key's name
	Owner     string // who answers for the subject: the name of a person, or a text
	Facts     []Fact
	Deadline  time.Time // what must not come before it is over; zero for none
	Stage     int       // how bad it is: the place of a rung in the plan
	OpenedAt  time.Time
	ChangedAt time.Time
	EndedAt   time.Time // zero while the condition lasts

	// How far the telling has come.
	Told     int       // highest stage that was told, counted from 1; 0 for none yet
	Level    int       // highest level of people that was told; unheard if the last alarm reached nobody
	Alarms   int       // how often people were told
	NextAt   time.Time // when to look again; zero for not before the condition changes
	AckBy    string    // who has it; "" for nobody
	AckNote  string
	AckAt    time.Time
	AckUntil time.Time
	Rev      int64
}

// A Fact is one thing that is known, for people.
type Fact struct {
	Name, Value string
	Chinese     string `json:",omitempty"` // of a Value that is no word of keyward's, if it is known
}

// The kinds of incidents.
const (
	KeyExpiry      = "key-expiry"      // a key expires
	KeyAge         = "key-age"         // a key becomes older than its provider's keys should
	KeyFinding     = "key-finding"     // a check found something critical
	ProviderStale  = "provider-stale"  // a provider was not read for too long
	ScanLate       = "scan-late"       // the scan for expiries did not run, or missed keys
	ChannelFailing = "channel-failing" // messages cannot be sent over a channel
	ChannelUnread  = "channel-unread"  // nobody confirmed a channel's test message
	SinkFailing    = "sink-failing"    // a copy of a secret cannot be kept true
	RotationStuck  = "rotation-stuck"  // a rotation waits for a person, or for something that should not take so long
	RotationLate   = "rotation-late"   // no rotation can end well any more before its key expires
	RotationMissed = "rotation-missed" // a rotation that is under way cannot end any more before its key expires
	KMSRotation    = "kms-rotation"    // a key of the service was not rotated when it should have been
	KMSDeletion    = "kms-deletion"    // a key of the service will be deleted
	KMSMaterial    = "kms-material"    // the imported material of a key of the service expires
	KMSUnused      = "kms-unused"      // keys of the service that nobody uses
	NodeLying      = "node-lying"      // a node claims to hold what it does not hold

	ApprovalWanted      = "approval-wanted"      // somebody's request waits for others' approval
	ApprovalSuspended   = "approval-suspended"   // the operator suspended a rule about approvals
	ApprovalStuck       = "approval-stuck"       // too few people are left to satisfy such a rule
	RepositoryUnwatched = "repository-unwatched" // a repository was not wholly looked at for too long
)

// unheard is the level of an incident whose last alarm reached nobody, and rehear how soon
// it is given again then: somebody may have added a channel or a person.
const (
	unheard = -1
	rehear  = 5 * time.Minute
)

// Unheard tells whether the last alarm reached nobody.
func (i Incident) Unheard() bool { return i.Level == unheard }

// Open tells whether the condition lasts.
func (i Incident) Open() bool { return i.EndedAt.IsZero() }

// Acknowledged tells whether somebody has it at the time.
func (i Incident) Acknowledged(now time.Time) bool { return i.AckBy != "" && now.Before(i.AckUntil) }

const day = 24 * time.Hour

const (
	longestAck  = 24 * time.Hour
	shortestAck = time.Minute
	lateAck     = 15 * time.Minute // when the deadline has passed
)

// AckLimit answers how long an acknowledgement at the time may hold the escalation: a
// quarter of the time that is left, and a day at most.
func (i Incident) AckLimit(now time.Time) time.Duration {
	if i.Deadline.IsZero() {
		return longestAck
	}
	left := i.Deadline.Sub(now)
	if left <= 0 {
		return lateAck
	}
	return max(min(longestAck, left/4), shortestAck)
}

// An Alarm is one telling of people.
type Alarm struct {
	Number int // counted from 1 in its incident
	Why    Why
	Rung   oncall.Rung
	Level  int // people of this level and of those below are told
}

// Why says what an alarm is given for.
type Why string

// The reasons of alarms.
const (
	Opened     Why = "opened"
	Worse      Why = "worse"      // it reached the next rung
	Lapsed     Why = "lapsed"     // an acknowledgement ended and the condition lasts
	Unanswered Why = "unanswered" // nobody acknowledged the last alarm in time
)

// Decide answers what becomes of an open incident at a time: the alarm to give, if there
// is one, and the incident after it. It has no clock and no memory, so that all of its
// histories can be explored.
//
//	          stage rises                 nobody answers in time
//	  ┌──────────────────────┐          ┌───────────────────────┐
//	  ▼                      │          ▼                       │
//	told, level n ───────────┴─► told, level n ─────────► told, level n+1
//	  │  ▲ lapses, or the stage rises
//	  ▼  │
//	acknowledged ── the condition ends ─► ended
func Decide(i Incident, p oncall.Plan, now time.Time) (Incident, Alarm, bool) {
	if !i.Open() {
		i.NextAt = time.Time{}
		return i, Alarm{}, false
	}
	rung, last := p.Rung(i.Stage), len(p.Levels)-1
	var why Why
	switch {
	case i.Told == 0:
		why = Opened
	case i.Stage+1 > i.Told:
		why = Worse
	case i.Acknowledged(now):
		i.NextAt = i.AckUntil
		return i, Alarm{}, false
	case i.AckBy != "":
		why = Lapsed
	case rung.Wait == 0 && !i.Unheard():
		i.NextAt = time.Time{}
		return i, Alarm{}, false
	case now.Before(i.NextAt):
		return i, Alarm{}, false
	default:
		why = Unanswered
		i.Level = min(i.Level+1, last)
	}
	i.Level = max(i.Level, 0)
	if rung.Everybody {
		i.Level = last
	}
	i.Told = max(i.Told, i.Stage+1)
	i.AckBy, i.AckNote, i.AckAt, i.AckUntil = "", "", time.Time{}, time.Time{}
	i.Alarms++
	i.NextAt = time.Time{}
	if rung.Wait > 0 {
		i.NextAt = now.Add(rung.Wait)
	}
	return i, Alarm{Number: i.Alarms, Why: why, Rung: rung, Level: i.Level}, true
}
