// Package message is what keyward says to people, and what carries it.
//
// A [Message] has everything that some channel may need: lines for a mail, a short text
// for SMS, values for a template, a link. A [Kind] of channel, such as a DingTalk robot,
// opens a [Sender] from settings and a credential. A sender makes one request for one
// message and says truly what became of it: taken, refused, or that nobody can tell
// ([SendError]). It keeps nothing and never tries again. Package notify does, and decides
// from the channel's [Traits] whether a message may leave twice.
//
// Who may call: senders, the packages below internal/channel, and package notify, which
// drives them. Nothing is stored. A message holds no secret, and an error neither.
package message

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/keyward/keyward/internal/fault"
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
	// Unwatched says of Resolve that nobody put anything right: what it is about is not watched any more.
	Unwatched bool
	Tried     time.Time // of Query: when it was sent last; zero if that is not known
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

// A Kind of channel is one way to reach people, such as a DingTalk robot.
type Kind struct {
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
	// Look tells whether a host may be reached at a port, with or without encryption, by
	// asking the name service; nil where Open is to leave that to whoever sends.
	Look func(host string, port uint16, plain bool) error
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

// Families answers every family.
func Families() []Family { return []Family{Mail, Chat, Phone, Paging, Machine} }

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
	Reason fault.Text
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
