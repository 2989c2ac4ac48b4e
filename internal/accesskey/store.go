package accesskey

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/job"
)

// A SourceStore keeps sources and how their synchronisations went.
//
// A method that takes a record commits its change together with the record and the jobs,
// or does neither. A source that changed since it was read is [fault.Changed], one that
// is not there [fault.ResourceNotFound]. Methods may be called concurrently.
type SourceStore interface {
	// CreateSource stores a new source, or answers [fault.ResourceExists].
	CreateSource(ctx context.Context, rec *audit.Record, s *Source, jobs []job.Job) error
	UpdateSource(ctx context.Context, rec *audit.Record, s *Source, jobs []job.Job) error
	// DeleteSource removes a source with all that was observed; remarks stay, for the day
	// on which the source comes back. One that a rotation plan names is
	// [fault.ResourceInUse], also if the plan is stored at the same moment.
	DeleteSource(ctx context.Context, rec *audit.Record, s *Source) error
	Source(ctx context.Context, account, name string) (Source, error)
	// Sources answers all sources of the account, by name.
	Sources(ctx context.Context, account string) ([]Source, error)
	// States answers the states of the account's sources by their names.
	States(ctx context.Context, account string) (map[string]State, error)
	// State answers how reading one source went; the zero State if it was never read.
	State(ctx context.Context, account, source string) (State, error)
	// SaveState stores how a synchronisation went that answered nothing.
	SaveState(ctx context.Context, st State) error
}

// A KeyStore keeps what was observed and what people say of it, with the same rules.
type KeyStore interface {
	// SaveSnapshot replaces what was observed of a source. Keys that the snapshot lacks
	// become [Gone] when all keys of their principals were seen, and else stay as they are;
	// those that have been gone for longer than [Kept] are forgotten. A source that is not
	// the one of the save any more is [fault.Changed], and then nothing is recorded. Of a
	// large snapshot keys are stored in portions, before the record, for nobody may wait
	// for all of it; one that was stored in part is completed by the next.
	SaveSnapshot(ctx context.Context, rec *audit.Record, save Save) error
	// Renew computes anew whose the keys of a source are and when they are due, after its
	// rules changed.
	Renew(ctx context.Context, s Source) error
	// SaveRemark stores a key's remark, a new one or a changed one, its owner and due date.
	SaveRemark(ctx context.Context, rec *audit.Record, k *AccessKey, jobs []job.Job) error
	// ForgetKey removes what was observed of a key; what people said of it stays.
	ForgetKey(ctx context.Context, rec *audit.Record, account, source, id string) error
	// Key answers one key with its principal and remark.
	Key(ctx context.Context, account, source, id string) (AccessKey, error)
	// Keys answers at most q.Limit keys that match, in the order asked for, and the cursor
	// of the rest, "" if there is none.
	Keys(ctx context.Context, account string, q Query) (keys []AccessKey, next string, err error)
	// Remarks answers all remarks of a source by the ids of their keys.
	Remarks(ctx context.Context, account, source string) (map[string]Remark, error)
	// Principals answers what was observed of a source's principals.
	Principals(ctx context.Context, account, source string) ([]Principal, error)
}

// Kept is how long a key stays in the inventory that its provider does not list any more.
const Kept = 400 * 24 * time.Hour

// A Save is a snapshot to be stored.
type Save struct {
	Source   Source
	State    State
	Snapshot Snapshot
	Said     *Remark // what is said of a key at the same time; nil for nothing
	At       time.Time
	Gone     []string // ids of keys that are known to be gone
	Jobs     []job.Job
	Whole    bool            // nothing is missing from the list of keys, but of these principals
	Unread   map[string]bool // by Principal.ID
}

// An Order of a list of keys.
type Order string

// The orders; within equals by source and id.
const (
	ByDue     Order = "due"  // what never is comes last
	ByAge     Order = "age"  // the oldest first
	ByUse     Order = "use"  // the longest unused first
	BySubject Order = "name" // by source and id alone
)

// A Query chooses keys. A field that is empty chooses all.
type Query struct {
	Source    string
	Status    Status // "" for all but Gone
	Owner     string // "-" for none
	Text      string // in the id or the name
	DueBefore time.Time
	Order     Order // ByDue if empty
	After     string
	Limit     int
	Bare      bool // AccessKey.Principal has only an ID: the caller knows the principals
}
