// Package notify tells people, and does not stop before one of them has answered.
//
// An [Incident] stands for a condition: a key that expires, a scan that did not run, a
// channel that is dead. Whoever watches the condition reports it and reports its end;
// nobody closes an incident with a click. While it is open, [Decide] says who is to be
// told next, over which channels, and when to look again. Delivered is not seen: only an
// acknowledgement, by a person, holds the escalation, and it lapses.
//
// What is to be sent stands in an outbox, written in the transaction that decided it. A
// delivery is marked before its channel is called, so after a crash it is known what may
// have left. A channel that recognises a message's id gets it again; one that does not is
// asked first what became of it ([Querier]).
//
// Who may call: whatever watches conditions, the API dialects, jobs. What is trusted: the
// people and channels that the account's administrators entered. Messages never hold a
// secret: they are made of names, ids and times.
package notify

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/keyward/keyward/internal/form"
)

// A Severity orders incidents; the zero value is the lowest.
type Severity int

// The severities.
const (
	Info Severity = iota // may wait for the end of quiet hours
	Warning
	Critical
	Emergency
)

// String answers the severity's name.
func (s Severity) String() string {
	return [...]string{"info", "warning", "critical", "emergency"}[s]
}

// An Event says what a message tells.
type Event string

// The events of messages.
const (
	Trigger     Event = "trigger"     // something is wrong, or still is
	Acknowledge Event = "acknowledge" // somebody has taken it on
	Resolve     Event = "resolve"     // it is over
	Test        Event = "test"        // proves that the channel works
	Digest      Event = "digest"      // many incidents in one message
	Heartbeat   Event = "heartbeat"   // for a watchdog that raises the alarm when it misses one
)

// A Message is what one channel carries, once, whatever it takes.
type Message struct {
	ID       string // the same with every attempt, different for every other message
	Incident string // joins the messages of one incident; "" for none
	Event    Event
	Severity Severity
	At       time.Time   // when the message was decided
	Title    string      // one line
	Lines    []string    // what is known, one fact each
	Short    string      // at most 70 characters, for SMS; it has no link
	Values   Values      // for the templates of SMS
	Link     string      // a page where it can be read and acknowledged; "" if there is none
	To       []Recipient // one, if the channel is not a group's
	Language Language
	Tried    time.Time // of Query: when it was sent last; zero if that is not known
}

// Values are the parts of a message that an SMS template may name.
type Values struct {
	Product string // "keyward"
	Subject string // what it is about: a key's name
	Left    string // how long is left: "3 h", "已过期"
	Ticket  string // the incident's short number
}

// A Language of people.
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// A Recipient is a person as the channels know one. What a channel does not need may be
// empty; who cannot be named on a group's channel still reads the message there.
type Recipient struct {
	Person string
	Email  string
	Mobile string            // E.164: +8613800000000
	IDs    map[string]string // by kind of channel: a DingTalk user id, a Slack member id
}

// A Receipt is what a channel says of a message that it took.
type Receipt struct {
	ID    string // the channel's own, for Query and for people; "" if it gives none
	State State
}

// A State says how far a message came.
type State string

// The states of a message at a channel.
const (
	Accepted  State = "accepted"  // the channel has it; nothing is known of the person
	Delivered State = "delivered" // it reached a device or a mailbox
	Failed    State = "failed"    // the channel took it, but could not deliver it
	Missing   State = "missing"   // of Query: the channel never got it
)

// A Sender carries messages over one channel. It may be used concurrently. Errors are of
// type [*SendError]; another one counts as Unclear.
type Sender interface {
	Send(ctx context.Context, m Message) (Receipt, error)
}

// A Querier is a Sender that can tell what became of a message of which no answer came.
// Receipt.State is Missing if it never left.
type Querier interface {
	Query(ctx context.Context, m Message) (Receipt, error)
}

// Traits are what a kind of channel can and cannot do.
type Traits struct {
	Family     Family
	Group      bool // one message reaches a group; else each recipient gets one
	Idempotent bool // the same message id twice is shown once
	Burst      int  // messages that may be sent at once; 0 for no limit
	PerMinute  int  // and how many a minute make room again
	// Reaches tells whether a recipient has the address that the channel needs; a group's
	// channel needs none.
	Reaches func(Recipient) bool
}

// A KindOfChannel is one way to reach people, such as a DingTalk robot.
type KindOfChannel struct {
	Name   string // "dingtalk"
	Title  form.Text
	Form   form.Form
	Traits Traits
	// Open makes a sender of what fits the form. It makes no request; it refuses settings
	// that cannot work with [fault.InvalidParameter].
	Open func(Opening) (Sender, error)
}

// An Opening is what a sender is opened with.
type Opening struct {
	form.Filling // valid until the sender is not used any more
	Now          func() time.Time
	Allow        []netip.Prefix // networks that are not public and may be reached all the same
}

// A Family of channels fails together: two of different families seldom do.
type Family string

// The families of channels.
const (
	Mail    Family = "mail"
	Chat    Family = "chat"
	Phone   Family = "phone"
	Paging  Family = "paging"
	Machine Family = "machine" // read by programs
)

// A Class says what to do about an error of a channel.
type Class string

// The classes of errors.
const (
	Retry     Class = "retry"     // nothing left; try again
	Permanent Class = "permanent" // nothing left, and trying again is useless
	Unclear   Class = "unclear"   // it may have left
)

// A SendError is why a message was not taken, for a person, without secrets.
type SendError struct {
	Class  Class
	After  time.Duration // try again no earlier; 0 if the channel did not say
	Reason string
	Err    error // for the log; may be nil. It holds no secret either
}

// Error implements error.
func (e *SendError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Class, e.Reason, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Class, e.Reason)
}

// Unwrap answers the cause.
func (e *SendError) Unwrap() error { return e.Err }
