package usage

import (
	"context"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/key"
)

// A Store keeps what was counted, of all servers together. Methods may be called
// concurrently, also by several servers.
type Store interface {
	// AddUses adds counts to those that are stored, all or none. Of a key that has
	// [MaxUses] uses new ones are added to its others; counts of a key that is gone are
	// dropped. [fault.Changed] says that another server was faster: it can be tried again.
	AddUses(ctx context.Context, counts []Count) error
	// Uses answers the uses of a key, those seen last first, and of each of its versions how
	// often it was used.
	Uses(ctx context.Context, account string, k key.ID) ([]Count, []VersionCount, error)
	// ForgetUses removes some of the uses that were last seen before a time, and answers how many.
	ForgetUses(ctx context.Context, before time.Time) (int, error)
	// CountingSince answers when counting began, which is now when it is first asked.
	CountingSince(ctx context.Context, now time.Time) (time.Time, error)
	// SaveResource stores a resource, a new one if its Rev is 0, together with the record.
	// A key with [MaxResources] of them is [fault.LimitExceeded]; one that is gone, also if it is
	// deleted at the same moment, [fault.KeyNotFound].
	SaveResource(ctx context.Context, rec *audit.Record, r *Resource) error
	// RemoveResource removes a resource together with the record; [fault.Changed] if it is
	// not what was read.
	RemoveResource(ctx context.Context, rec *audit.Record, r Resource) error
	// Resources answers the resources of a key, by product and name.
	Resources(ctx context.Context, account string, k key.ID) ([]Resource, error)
}
