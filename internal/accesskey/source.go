package accesskey

import (
	"bytes"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/lazy"
)

// Limits. docs/inventory.md tells them to users.
const (
	MaxSources   = 1000 // of one account of keyward
	MaxText      = 256  // characters of an owner, a purpose, a system
	MaxNote      = 2000 // characters of a note
	MaxConsumers = 50   // of one key
	MaxTags      = 20   // of one key
	MinPace      = 5 * time.Minute
	MaxPace      = 7 * 24 * time.Hour
	MinMaxAge    = 24 * time.Hour
	MaxMaxAge    = 10 * 365 * 24 * time.Hour
)

var (
	sourceName = lazy.Regexp(`^[a-z0-9][a-z0-9-]{0,62}$`)
	// keyID is what a provider may call a key: printable, without spaces.
	keyID = lazy.Regexp(`^[!-~]{1,256}$`)
)

// A Source is one account at a provider that is watched.
type Source struct {
	Account   string // of keyward
	Name      string // chosen by a person, for ever
	Kind      string // KindOfProvider.Name
	Settings  []form.Pair
	Sealed    []byte        // the credential, wrapped under the tenant's key
	Owner     string        // of keys that nobody else owns
	MaxAge    time.Duration // the age that its keys may reach; 0 for any
	Pace      time.Duration // between two synchronisations
	Paused    bool
	CreatedAt time.Time
	Rev       int64
}

// bound names what the sealed credential belongs to.
func (s *Source) bound() []string { return []string{"keyward-source/v1", s.Account, s.Name, s.Kind} }

// reads tells whether a source reads what another one read.
func (s *Source) reads(other Source) bool {
	return s.Kind == other.Kind && s.CreatedAt.Equal(other.CreatedAt) && bytes.Equal(s.Sealed, other.Sealed) && slices.Equal(s.Settings, other.Settings)
}

// A State is how the last synchronisations of a source went. It is not bound: the next
// one says it anew.
type State struct {
	Account     string
	Source      string
	StartedAt   time.Time     // of the last attempt
	Took        time.Duration // of the last attempt
	SucceededAt time.Time     // end of the last attempt that answered anything that was believed
	Failures    int           // attempts in a row that did not
	Error       string        // why the last attempt did not
	Chinese     string        // Error in Chinese
	DoubtedAt   time.Time     // when the keys of Missed were first lacking; zero for no doubt
	Missed      string        // digest of the ids of keys that a list lacks and that are not believed to be gone yet
	Identity    Identity
	Facts       Account
	Problems    []Problem
	Keys        int // that were seen
	Principals  int
	Calls       int
}
