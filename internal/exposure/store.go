package exposure

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/secret"
)

// A Store keeps what this package compares. Methods may be called concurrently.
//
// A method that takes a record commits its change together with the record and the jobs,
// or does neither. What is not there is [fault.ResourceNotFound].
type Store interface {
	// CreateLeakKey stores the key of an account, or answers [fault.ResourceExists].
	CreateLeakKey(ctx context.Context, rec *audit.Record, k *Key) error
	LeakKey(ctx context.Context, account string) (Key, error)
	// SaveSightings merges what was reported with what is known and forgets what was last
	// reported before a time. More than [MaxSightings] are [fault.LimitExceeded].
	SaveSightings(ctx context.Context, rec *audit.Record, seen []Sighting, forget time.Time, jobs []job.Job) error
	// Sightings answers all of an account.
	Sightings(ctx context.Context, account string) ([]Sighting, error)
	// AccessKeys answers the keys of the inventory that have one of the ids, with their
	// principals and remarks.
	AccessKeys(ctx context.Context, account string, ids []string) ([]accesskey.AccessKey, error)
}

// Marks keeps the marks of secrets beside them. Methods may be called concurrently.
type Marks interface {
	// Unmarked answers at most limit versions of secrets that have no mark, those that follow
	// one in the order of their ids.
	Unmarked(ctx context.Context, account string, after secret.Version, limit int) ([]secret.Version, error)
	// SaveMarks stores marks of versions that are still there. It takes no record: what a
	// mark is made of has one.
	SaveMarks(ctx context.Context, marks []secret.Mark) error
	// Marks answers the marks that are among some.
	Marks(ctx context.Context, account string, marks []string) ([]secret.Mark, error)
}
