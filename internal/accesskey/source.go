package accesskey

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
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
	sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	// keyID is what a provider may call a key: printable, without spaces.
	keyID = regexp.MustCompile(`^[!-~]{1,256}$`)
)

// A Source is one account at a provider that is watched.
type Source struct {
	Account   string // of keyward
	Name      string // chosen by a person, for ever
	Kind      string // KindOfProvider.Name
	Settings  []Pair
	Sealed    []byte        // the credential, wrapped under the tenant's key
	Owner     string        // of keys that nobody else owns
	MaxAge    time.Duration // the age that its keys may reach; 0 for any
	Pace      time.Duration // between two synchronisations
	Paused    bool
	CreatedAt time.Time
	Rev       int64
}

// A Pair is a named value.
type Pair struct{ Name, Value string }

// pairs answers a map as a list in the order of its names.
func pairs(m map[string]string) []Pair {
	var out []Pair
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] != "" {
			out = append(out, Pair{name, m[name]})
		}
	}
	return out
}

// Setting answers the settings as a map.
func (s *Source) settings() map[string]string {
	out := make(map[string]string, len(s.Settings))
	for _, p := range s.Settings {
		out[p.Name] = p.Value
	}
	return out
}

// binding is what the sealed credential belongs to. The settings are part of it: who can
// change a row cannot have the credential sent somewhere else.
func (s *Source) binding() []byte {
	fields := []string{"keyward-source/v1", s.Account, s.Name, s.Kind}
	for _, p := range s.Settings {
		fields = append(fields, p.Name, p.Value)
	}
	return material.Binding(fields...)
}

// seal wraps a credential. Its parts become one JSON object.
func (s *Source) seal(w material.Wrapper, credential map[string]material.Bytes) (err error) {
	plain := make(map[string][]byte, len(credential))
	for name, part := range credential {
		plain[name] = part.Expose()
	}
	encoded, err := json.Marshal(plain)
	if err != nil {
		return err
	}
	secret := material.NewBytes(encoded)
	defer secret.Zero()
	s.Sealed, err = w.Wrap(s.binding(), secret)
	return err
}

// open unwraps what a provider is opened with. The caller erases it.
func (s *Source) open(w material.Wrapper) (form.Filling, error) {
	secret, err := w.Unwrap(s.binding(), s.Sealed)
	if err != nil {
		return form.Filling{}, err
	}
	defer secret.Zero()
	var plain map[string][]byte
	if err := json.Unmarshal(secret.Expose(), &plain); err != nil {
		return form.Filling{}, err
	}
	in := form.Filling{Settings: s.settings(), Credential: make(map[string]material.Bytes, len(plain))}
	for name, part := range plain {
		in.Credential[name] = material.NewBytes(part)
	}
	return in, nil
}

// A State is how the last synchronisations of a source went. It is not bound: the next
// one says it anew.
type State struct {
	Account     string
	Source      string
	StartedAt   time.Time     // of the last attempt
	Took        time.Duration // of the last attempt
	SucceededAt time.Time     // end of the last attempt that answered anything
	Failures    int           // attempts in a row that answered nothing
	Error       string        // why the last attempt answered nothing
	Identity    Identity
	Facts       Account
	Problems    []Problem
	Keys        int // that were seen
	Principals  int
	Calls       int
}
