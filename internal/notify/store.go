package notify

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/oncall"
)

// A Channel is one configured way to reach people.
type Channel struct {
	Account   string
	Name      string
	Kind      string // message.Kind.Name
	Settings  []form.Pair
	Sealed    []byte        // the credential, wrapped under the tenant's key
	Heartbeat time.Duration // between two signs of life for a watchdog; 0 for none
	Paused    bool
	CreatedAt time.Time
	Rev       int64
}

func (c *Channel) bound() []string { return []string{"keyward-channel/v1", c.Account, c.Name, c.Kind} }

// A Health is how a channel does. It is not bound: what a channel does next says it anew.
type Health struct {
	Account     string
	Channel     string
	SentAt      time.Time // last message that it took
	FailedAt    time.Time // last message that it did not take
	Failures    int       // in a row
	Error       string    // of the last failure
	Chinese     string    // Error in Chinese
	TestedAt    time.Time // when the last test message left
	ConfirmedAt time.Time // when a person last confirmed a test message
	Tokens      float64   // messages that may leave at once
	TokensAt    time.Time
}

// A ConfigStore keeps whom and how to tell.
//
// A method that takes a record commits its change together with the record and the jobs,
// or does neither. What changed since it was read is [fault.Changed], what is not there
// [fault.ResourceNotFound], what is there already [fault.ResourceExists]. A value whose
// Rev is 0 is new. Methods may be called concurrently.
type ConfigStore interface {
	SaveChannel(ctx context.Context, rec *audit.Record, c *Channel, jobs []job.Job) error
	// DeleteChannel removes a channel with its health and what waits for it.
	DeleteChannel(ctx context.Context, rec *audit.Record, c *Channel) error
	Channels(ctx context.Context, account string) ([]Channel, error) // by name
	// ChangeHealth changes how a channel does, and answers how it does then. What others
	// change at the same moment is not lost. Of a channel that is gone nothing is stored.
	ChangeHealth(ctx context.Context, account, channel string, change func(*Health)) (Health, error)
	Healths(ctx context.Context, account string) (map[string]Health, error) // by channel
	// SavePlan stores a plan. One that names a person or a rota who is not there is
	// [fault.InvalidParameter], and nobody removes them as long as it names them.
	SavePlan(ctx context.Context, rec *audit.Record, p *oncall.Plan) error
	Plan(ctx context.Context, account string) (oncall.Plan, error) // DefaultPlan if there is none
}

// A DirectoryStore keeps people and rotas, with the same rules. Who is named by a rota or a level
// of the plan is not removed: that is [fault.ResourceInUse], also if it is stored at the same moment.
type DirectoryStore interface {
	SavePerson(ctx context.Context, rec *audit.Record, p *oncall.Person) error
	DeletePerson(ctx context.Context, rec *audit.Record, p *oncall.Person) error
	// SaveRota stores a rota. One that names a person who is not there is [fault.InvalidParameter].
	SaveRota(ctx context.Context, rec *audit.Record, r *oncall.Rota) error
	DeleteRota(ctx context.Context, rec *audit.Record, r *oncall.Rota) error
	Directory(ctx context.Context, account string) (oncall.Directory, error) // by name
}

// An IncidentStore keeps incidents and what is to be sent, with the same rules.
type IncidentStore interface {
	// SaveIncident stores a new or changed incident together with the deliveries that were
	// decided with it. Two open incidents of one condition are [fault.ResourceExists]. A delivery
	// over a channel that was removed meanwhile is [fault.Changed].
	SaveIncident(ctx context.Context, rec *audit.Record, i *Incident, deliveries []Delivery, jobs []job.Job) error
	Incident(ctx context.Context, account, id string) (Incident, error)
	// Watched answers the open incident of a condition, if there is one.
	Watched(ctx context.Context, account, condition string) (i Incident, found bool, err error)
	// Incidents answers the account's open incidents, or at most limit ended ones, the
	// newest first.
	Incidents(ctx context.Context, account string, ended bool, limit int) ([]Incident, error)
	// EndedBefore answers at most limit incidents that ended before a time.
	EndedBefore(ctx context.Context, account string, before time.Time, limit int) ([]Incident, error)
	// Forget removes incidents with what was sent of them.
	Forget(ctx context.Context, rec *audit.Record, incidents []Incident) error
	// Deliveries answers what was sent of an incident, in order.
	Deliveries(ctx context.Context, account, incident string) ([]Delivery, error)
}

// An Outbox keeps what is to be sent. It is not bound: who writes it can drop or repeat
// messages, and can change no incident. Its methods may be called concurrently.
type Outbox interface {
	// Due answers at most limit unsettled deliveries of a channel whose time has come, those
	// in doubt first and then the most severe, and when the next one's time comes, zero for none.
	Due(ctx context.Context, account, channel string, now time.Time, limit int) (due []Delivery, next time.Time, err error)
	// Prune removes settled deliveries that were decided before a time.
	Prune(ctx context.Context, account string, before time.Time) error
	// Mark stores the state of deliveries, durably, all or none.
	Mark(ctx context.Context, deliveries []Delivery) error
}

// A Delivery is one message on its way.
type Delivery struct {
	Account  string
	ID       string // Message.ID
	Incident string
	Alarm    int
	Why      Why
	Event    message.Event
	Severity message.Severity
	Level    int
	Channel  string
	Person   string // "" for a group
	At       time.Time
	After    time.Time // it does not leave before
	Progress Progress
	Attempts int
	TriedAt  time.Time // when its channel was last called; zero for never
	Batch    string    // the id of the digest that it left in; "" for alone
	Receipt  string
	Error    string
	Chinese  string // Error in Chinese
	DoneAt   time.Time
}

// A Progress says how far a delivery has come.
type Progress string

// The states of a delivery.
const (
	Waiting Progress = "waiting"
	Leaving Progress = "leaving" // its channel may have it
	Sent    Progress = "sent"    // its channel has it
	Lost    Progress = "lost"    // its channel does not take it, or could not deliver it
	Doubt   Progress = "doubt"   // its channel may have it, and nobody can tell
	Dropped Progress = "dropped" // what it would have told is over
)
