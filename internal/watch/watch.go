// Package watch has git repositories of others looked at for leaked credentials, again and
// again.
//
// A [Repository] is one that a person entered: where it is, which of its refs count, how often
// it is looked at, and perhaps a user with a token for it. A look ([JobLook]) asks what the refs
// point to; only where that is news the objects that are new are fetched into a mirror and
// searched ([Mirrors], which package mirror has), and what is found goes to package exposure,
// as if somebody had reported it. What was found once stays known when the repository takes it
// away, for whoever fetched meanwhile has it.
//
// How the last looks went is a [State]. It is never told that a repository is clean because
// nothing could be read of it: a look ends complete, or with a [Status] that names why not.
// Another job ([JobCheck]), which waits for no repository, tells people of those that fail
// again and again and of those that were not wholly looked at for too long ([Overdue]).
//
// Whether what was found works, its issuer can tell. Nobody is asked until a person names the
// issuers that may be, for each repository ([Service.SetIssuers], a right of its own); then a look
// has the secrets of their rules given back, for as long as it takes, and asks ([Verifier]). A
// record of each question is durable before it is sent. What an issuer says goes to package
// exposure with the rest; the secret goes nowhere else.
//
// Several servers share the work as they share all jobs. A mirror belongs to one server; one
// that has none fetches everything once. Which objects were found clean is kept beside the
// mirror; what refs point to when all was looked at is in the State, so that nothing is fetched
// twice because another server looked last.
//
// Who may call: the API and package app. What is stored: repositories in bound rows, with the
// token sealed to their place; states as observed facts, bound by nothing, as a provider's
// answers are: who writes the database could have a look left out as he could delete the job.
// What is trusted: nothing that a repository has or says. Its texts are bounded and cleaned, and
// no comment or file in it can have a finding left out, for whoever can push could write them.
package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/keyward/keyward/internal/exposure"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/finding"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
)

// Limits. docs/repositories.md tells them to users.
const (
	MaxRepositories = 1000 // of one account
	MaxRefs         = 20   // patterns of one repository
	MinPace         = 5 * time.Minute
	MaxPace         = 7 * 24 * time.Hour
	DefaultPace     = time.Hour

	maxText   = 256      // characters of an owner, of a user's name
	maxURL    = 256      // bytes, as of an origin of package exposure
	maxToken  = 8 << 10  // bytes
	maxCA     = 64 << 10 // bytes of certificates
	maxUnread = 20       // documents that are named
)

// A Repository is a git repository that is watched.
type Repository struct {
	Account   string
	Name      string   // chosen by a person, for ever
	ID        string   // 32 hexadecimal digits; another one with each other place or choice of refs
	URL       string   // without a user
	CA        string   // PEM of the authorities that its certificate must come from; "" for those that this machine trusts
	Refs      []string // patterns of names, complete or of branches, each with at most one star; none for all
	Sealed    []byte   // the user and the token, wrapped under the tenant's key; empty without
	Pace      time.Duration
	Severity  finding.Severity // findings below are not told
	Owner     string           // of what is found and belongs to nobody
	Issuers   []string         // that are asked whether what is found works, sorted; none for nobody. See [Verifier]
	CreatedAt time.Time
	Rev       int64
}

// bound names what the sealed token belongs to: it never leaves for another place.
func (r *Repository) bound() []string { return []string{"keyward-repository/v1", r.Account, r.ID} }

// settings are bound with it.
func (r *Repository) settings() []form.Pair {
	return []form.Pair{{Name: "ca", Value: r.CA}, {Name: "url", Value: r.URL}}
}

// A Status is how the last look at a repository ended.
type Status string

// The statuses.
const (
	Waiting     Status = "waiting"     // nobody looked yet
	Complete    Status = "complete"    // everything that was asked for was looked at
	Empty       Status = "empty"       // it has no ref that was asked for, so nothing was looked at
	Shallow     Status = "shallow"     // it lacks older commits, which were not looked at
	Unreachable Status = "unreachable" // it does not answer, or may not be reached
	Denied      Status = "denied"      // it is not there for this credential
	Moved       Status = "moved"       // it answers that it is somewhere else
	Corrupt     Status = "corrupt"     // what it sends, or what was kept of it, is damaged
	TooLarge    Status = "too-large"   // it is larger than the operator allows
	Failed      Status = "failed"      // the look ended early for another reason
)

// Statuses answers all of them.
func Statuses() []Status {
	return []Status{Waiting, Complete, Empty, Shallow, Unreachable, Denied, Moved, Corrupt, TooLarge, Failed}
}

// A State is how the last looks at a repository went. It is not bound: the next look says
// it anew.
type State struct {
	Account    string
	Repository string // name
	ID         string // Repository.ID of which all else is said
	Status     Status
	Error      string           // why the last look was not complete
	Chinese    string           // Error in Chinese
	StartedAt  time.Time        // of the last look
	Took       time.Duration    // of the last look
	CompleteAt time.Time        // end of the last complete look
	ReportedAt time.Time        // when everything was last reported
	Severity   finding.Severity // that was reported
	Digest     string           // Tips.Digest of the last look that was complete
	Failures   int              // looks in a row that could not be made
	Head       string           // the branch that the repository begins with
	Refs       int              // that were looked at
	Objects    int64            // of git that are looked at
	Fetched    int64            // bytes, by the last look that fetched
	Bytes      int64            // of the mirror
	Found      int              // credentials that were reported
	Rewritten  time.Time        // when commits were last missing that were there
	Unread     int              // documents in it that cannot be read, or not wholly
	Problems   []string         // the first of these
	Issuers    []string         // Repository.Issuers of the last report
	// Asked is when issuers were last asked about credentials, by the beginnings of their blinds.
	Asked map[string]time.Time `json:",omitempty"`
}

// A Standing is a repository with how it stands.
type Standing struct {
	Repository
	State State
}

// Overdue answers how old the last complete look may be before people are told.
func (r *Repository) Overdue() time.Duration { return max(26*time.Hour, 3*r.Pace) }

// Since answers when a repository was last wholly looked at, or else entered.
func (s Standing) Since() time.Time {
	if s.State.CompleteAt.IsZero() {
		return s.CreatedAt
	}
	return s.State.CompleteAt
}

// A Remote is a repository as it is read.
type Remote struct {
	ID    string // of the mirror
	URL   string
	CA    string
	Refs  []string // complete patterns; none for all
	User  string
	Token material.Bytes // empty for none
}

// Tips are what the refs of a repository point to.
type Tips struct {
	Digest string // of them and of what a search knows: with the same one it finds the same
	Refs   int
	Head   string // the branch that HEAD stands for; "" if that is not told
}

// A Search says how a mirror is searched.
type Search struct {
	Key    string   // that secrets are blinded with, exposure.Service.ScanKey
	Gone   bool     // commits may be missing that were there: say of what is found whether it is reachable still
	Values []string // the rules of which the secrets themselves are wanted
}

// A Harvest is what a look found in a mirror.
type Harvest struct {
	Seen      []exposure.Seen
	Objects   int64
	Fetched   int64
	Bytes     int64 // of the mirror on disk
	Shallow   bool
	Rewritten bool // commits are missing now that were there
	Unread    []string
	Values    []Candidate `json:"-"` // of Search.Values; the caller erases them
}

// Mirrors reads repositories. Methods may be called concurrently, but for one ID. An error
// that people should know of is a [*Trouble]; it never holds a credential.
type Mirrors interface {
	// Allows tells why a URL may not be watched, by a fault.
	Allows(url string) error
	// Tips asks a repository what its refs point to. It keeps nothing.
	Tips(ctx context.Context, r Remote) (Tips, error)
	// Harvest fetches what is new into the mirror and searches all of it.
	Harvest(ctx context.Context, r Remote, s Search) (Harvest, error)
	// Keep removes the mirrors but those that are needed, which it asks for after it has
	// looked which ones there are.
	Keep(needed func() (map[string]bool, error)) error
}

// A Trouble is why a repository could not be looked at.
type Trouble struct {
	Status Status
	Text   fault.Text
}

// Error implements error.
func (t *Trouble) Error() string { return fmt.Sprintf("%s: %s", t.Status, t.Text) }
