package finding

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/job"
)

// A Store keeps findings and what people decided about them. Methods may be called
// concurrently.
//
// A method that takes a record commits its change together with the record and the jobs,
// or does neither. What is not there is [fault.ResourceNotFound], what changed since it
// was read [fault.Changed].
type Store interface {
	// Findings answers at most q.Limit findings with their suppressions, the most severe
	// first, then by rule and id, and the cursor of the rest, "" if there is none.
	Findings(ctx context.Context, account string, q Query) (found []Finding, next string, err error)
	Finding(ctx context.Context, account, id string) (Finding, error)
	// Counts answers how many findings there are by rule and state.
	Counts(ctx context.Context, account string, now time.Time) (map[string]Count, error)
	// Suppress stores a suppression, a new one or a changed one.
	Suppress(ctx context.Context, rec *audit.Record, s *Suppression, jobs []job.Job) error
	// Suppressions answers those that end after a time.
	Suppressions(ctx context.Context, account string, after time.Time) ([]Suppression, error)
	// Resolve stores that a person takes a finding for resolved.
	Resolve(ctx context.Context, rec *audit.Record, f *Finding, jobs []job.Job) error
}

// A Ledger keeps what looks find, with the same rules. What it changes is observed, and
// takes no record.
type Ledger interface {
	// Known answers all findings of a source about a provider.
	Known(ctx context.Context, account, source, provider string) ([]Kept, error)
	// Providers answers which providers have findings of a source that are not resolved.
	Providers(ctx context.Context, account, source string) ([]string, error)
	// Save stores findings as they are now, all or none.
	Save(ctx context.Context, account string, changed []Finding) error
	// Forget removes findings that were resolved before a time.
	Forget(ctx context.Context, account string, before time.Time) error
}

// A Kept is a finding in a ledger. Most looks see again what is kept, so it is compared as
// it is stored and taken apart only where that is not enough.
type Kept struct {
	ID         string
	FirstSeen  time.Time
	LastSeen   time.Time
	ResolvedAt time.Time
	Body       []byte // as [Finding.Encode] made it
}

// Finding answers the finding, without its suppression.
func (k *Kept) Finding() (f Finding, err error) {
	if err := json.Unmarshal(k.Body, &f); err != nil {
		return f, fmt.Errorf("decoding the finding %s: %w", k.ID, err)
	}
	return f, nil
}

// Encode answers a finding as a ledger keeps it, without its suppression: what is the same
// has the same bytes.
func (f *Finding) Encode() ([]byte, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encoding the finding %s: %w", f.ID, err)
	}
	return body, nil
}

// A Query chooses findings. A field that is empty chooses all.
type Query struct {
	Rule     string
	Severity Severity // this one and worse
	State    State
	Provider string
	Subject  string // its id, or provider/id
	Now      time.Time
	After    string
	Limit    int
}

// A Count is how many findings a rule has.
type Count struct{ Open, Suppressed, Resolved int }
