package secret

import (
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/key"
	"github.com/keyward/keyward/internal/tag"
)

// A Store keeps secrets and their versions.
//
// Each mutation commits in one transaction with its audit record and with the jobs that
// it schedules, or does nothing. A secret that changed since it was read is refused with
// [fault.Changed]; a secret or version that is not there is [fault.ResourceNotFound].
// Reads answer only rows whose binding holds. Methods may be called concurrently.
type Store interface {
	// CreateSecret stores a new secret with its first version and its policy, which is nil for
	// the default, or answers [fault.ResourceExists].
	CreateSecret(ctx context.Context, rec *audit.Record, s *Secret, v *Version, p *Policy) error
	// UpdateSecrets stores the changed metadata of secrets, of all or of none.
	UpdateSecrets(ctx context.Context, rec *audit.Record, jobs []job.Job, secrets ...*Secret) error
	// AddSecretVersion stores a new version and the secret's changed metadata, and removes the
	// versions in drop. A version with the same id is [fault.ResourceExists].
	AddSecretVersion(ctx context.Context, rec *audit.Record, s *Secret, v *Version, drop []Version) error
	// DeleteSecret removes a secret with all its versions. Their values are lost.
	DeleteSecret(ctx context.Context, rec *audit.Record, s *Secret) error
	// Secret answers one secret.
	Secret(ctx context.Context, account, name string) (Secret, error)
	// Secrets answers the page of the account's secrets that match, by name, and their number.
	Secrets(ctx context.Context, account string, f Filter, p key.Page) ([]Secret, int, error)
	// SecretVersion answers one version of the secret with an id.
	SecretVersion(ctx context.Context, account, secret, id string) (Version, error)
	// SecretVersions answers the page of a secret's versions, newest first, and their number.
	SecretVersions(ctx context.Context, account, secret string, p key.Page) ([]Version, int, error)
}

// A PolicyStore keeps the policies of secrets. Methods may be called concurrently.
type PolicyStore interface {
	// SecretPolicy answers the policy of the secret with an id, [fault.ResourceNotFound] if it
	// was given none.
	SecretPolicy(ctx context.Context, account, secret string) (Policy, error)
	// SaveSecretPolicy stores a policy, a new one if its Rev is 0, together with the record. It
	// goes with its secret.
	SaveSecretPolicy(ctx context.Context, rec *audit.Record, p *Policy) error
}

// A Filter chooses secrets: those that fit all of its fields. The zero Filter chooses all.
type Filter struct {
	Names     []string  // one of these; empty for any
	Prefix    string    // of the name
	TagKeys   []string  // one of these; empty for any
	TagValues []string  // one of these; empty for any
	Tags      []tag.Tag // all of these; an empty value stands for any
	Instances []string  // the key is in one of these; empty for any
	Deleting  bool      // only those that are about to be deleted
	None      bool      // nothing matches
}
