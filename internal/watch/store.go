package watch

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/job"
)

// A Store keeps repositories and how they stand.
//
// A method that takes a record commits its change together with the record and the jobs,
// or does neither. What changed since it was read is [fault.Changed], a repository that is
// not there [fault.ResourceNotFound]. Methods may be called concurrently.
type Store interface {
	// CreateRepository stores a new repository, or answers [fault.ResourceExists].
	CreateRepository(ctx context.Context, rec *audit.Record, r *Repository, jobs []job.Job) error
	UpdateRepository(ctx context.Context, rec *audit.Record, r *Repository, jobs []job.Job) error
	// DeleteRepository removes a repository and its state.
	DeleteRepository(ctx context.Context, rec *audit.Record, r *Repository) error
	Repository(ctx context.Context, account, name string) (Repository, error)
	// Repositories answers all repositories of the account, by name.
	Repositories(ctx context.Context, account string) ([]Repository, error)
	// States answers the states of the account's repositories by their names.
	States(ctx context.Context, account string) (map[string]State, error)
	// SaveState stores how a look went; of a repository that was removed meanwhile, nothing.
	SaveState(ctx context.Context, st State) error
	// RepositoryIDs answers the ids of the repositories of all accounts.
	RepositoryIDs(ctx context.Context) (map[string]bool, error)
}
