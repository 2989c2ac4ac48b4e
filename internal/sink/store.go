package sink

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
)

// A Store keeps sinks and copies.
//
// A method that takes a record commits its change together with the record and the jobs,
// or does neither. What changed since it was read is [fault.Changed], a sink that is not
// there [fault.ResourceNotFound]. Methods may be called concurrently.
type Store interface {
	// CreateSink stores a new sink, or answers [fault.ResourceExists].
	CreateSink(ctx context.Context, rec *audit.Record, s *Sink, jobs []job.Job) error
	UpdateSink(ctx context.Context, rec *audit.Record, s *Sink, jobs []job.Job) error
	// DeleteSink removes a sink; its copies stay.
	DeleteSink(ctx context.Context, rec *audit.Record, s *Sink, jobs []job.Job) error
	Sink(ctx context.Context, account, name string) (Sink, error)
	// Sinks answers all sinks of the account, by name.
	Sinks(ctx context.Context, account string) ([]Sink, error)
	// SaveCopy stores a copy, a new one if its revision is 0.
	SaveCopy(ctx context.Context, rec *audit.Record, c *Copy) error
	// DeleteCopies removes copies, all or none.
	DeleteCopies(ctx context.Context, rec *audit.Record, copies []Copy) error
	// Copies answers the page of the copies of the sink with an id, by the names of their
	// secrets, and their number.
	Copies(ctx context.Context, account, sink string, p key.Page) ([]Copy, int, error)
}
