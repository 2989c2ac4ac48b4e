// Package target delivers secrets to places at which no agent speaks for the node: a
// Kubernetes cluster, the points of presence of a CDN. There the server speaks itself.
//
// A [Target] is a node of another kind ([rollout.NodeKind]) with settings and a credential.
// As a node it has labels, which say what is delivered to it and in which wave, and it can
// be drained. A job looks at each target every few seconds: it reads what is there, writes
// the generation that is to be there if it is not, reads how far those have come who use it,
// and stores that as the node's acknowledgement. A census counts it like any other.
//
// What counts for having come somewhere is said by the kind ([Place.Look]), and never is it
// that something was written. Unlike an agent, whose words may arrive in any order, a target
// is read again and again by one job: if fewer have the generation than had it, because a
// point of presence was added or somebody changed what is there, its level falls.
//
// Writing is an outside act. It is on record who gets a value before the value leaves
// ([rollout.Service.Deliver]); after a crash the next look finds what was written. What
// somebody else changed is not overwritten unless a person says so ([Service.Sync]).
//
// Who may call: the REST dialect manages targets; the queue of jobs looks at them; package
// scrub asks which jobs a target needs. What is stored: targets with their credential
// wrapped, in bound rows, beside the row of the node; presences and acknowledgements as for
// every node. What is trusted: what a place says of itself, as far as its kind lets it prove
// that; what it answers is bounded, and no value that it answers is kept or repeated.
//
// docs/targets.md tells users about it, docs/design/edge-webhook.md those who write the
// other side of a webhook.
package target

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rollout"
)

// A Target is how a node is reached for which the server speaks.
type Target struct {
	Account   string
	Name      string // of its node, too
	Kind      rollout.NodeKind
	Settings  []form.Pair
	Sealed    []byte // the credential, wrapped under the tenant's key
	Overwrite bool   // the next writing overwrites what somebody else changed there
	CreatedAt time.Time
	Rev       int64
}

// bound names what the sealed credential belongs to.
func (t *Target) bound() []string {
	return []string{"keyward-target/v1", t.Account, t.Name, string(t.Kind), t.CreatedAt.UTC().Format(time.RFC3339Nano)}
}

// A KindOfTarget is a kind of place.
type KindOfTarget struct {
	Name rollout.NodeKind
	Form form.Form
	// Open makes the place of what was filled in. It does not reach out.
	Open func(Opening) (Place, error)
}

// An Opening is what a place is made of.
type Opening struct {
	form.Filling
	Now   func() time.Time
	Allow []netip.Prefix // networks that may be reached although they are not public
}

// A Place is what a target stands for. Its errors are faults whose messages may be shown:
// they never hold a value or a credential. Methods need not be callable concurrently.
type Place interface {
	// Check proves that the place can be reached and that the credential is accepted and
	// gives the rights that are needed.
	Check(ctx context.Context) error
	// Look reads how far the place has come with a delivery. It changes nothing.
	Look(ctx context.Context, d Delivery) (Progress, error)
	// Put writes a delivery. It has no effect on what is newer there, and unless
	// d.Overwrite is set none on what somebody else changed. Doing it twice does no harm.
	Put(ctx context.Context, d Delivery) error
	// Close gives back what the place holds, such as connections.
	Close()
}

// A Delivery is what a place is to have of one rollout: one generation, with its values.
type Delivery struct {
	rollout.Bundle
	Account   string
	Target    string
	Overwrite bool // also what somebody else changed there
}

// Seal answers a value that only the owner of a public key can open, as agents get it: see
// [delivery.SealedInfo], whose node is the target.
func (d Delivery) Seal(public []byte, version string, value material.Bytes) ([]byte, error) {
	return material.SealTo(public, delivery.SealedInfo(d.Account, d.Rollout, d.Target, version), value)
}

// Proved tells whether a proof shows that a part of the place holds the primary value: see
// [delivery.ProofMessage], whose node is the target's name, a slash and the part's.
func (d Delivery) Proved(part string, proof []byte) bool {
	return material.Proves(d.Primary, delivery.ProofMessage(d.Account, d.Rollout, d.Target+"/"+part, d.Generation.Primary, d.Generation.Number), proof)
}

// Progress is how far a place has come with a delivery.
type Progress struct {
	// Level is how far with this very generation; "" if it is not there.
	Level rollout.Level
	// Foreign tells that what is there is somebody else's work: it is overwritten only if a
	// person says so.
	Foreign    bool
	UsedAt     time.Time // when all who use it last worked with the primary version, as far as known
	FallbackAt time.Time // when any of them last worked with the fallback version, as far as known
	Waiting    string    // why it is not farther, or what is wrong there; "" for nothing
}

// A Store keeps targets, and what they say.
//
// A method that takes a record commits its change together with the record and the jobs,
// or does neither. What changed since it was read is [fault.Changed], what is not there
// [fault.ResourceNotFound]. Methods may be called concurrently.
type Store interface {
	// CreateTarget stores a new target and its node, or answers [fault.ResourceExists].
	CreateTarget(ctx context.Context, rec *audit.Record, t *Target, n *rollout.Node, jobs []job.Job) error
	UpdateTarget(ctx context.Context, rec *audit.Record, t *Target, jobs []job.Job) error
	// DeleteTarget removes a target and its node, and forgets what it said.
	DeleteTarget(ctx context.Context, rec *audit.Record, t *Target) error
	Target(ctx context.Context, account, name string) (Target, error)
	// Targets answers all targets of the account, by name.
	Targets(ctx context.Context, account string) ([]Target, error)
	// Said answers what a node last said of itself, and of rollouts by their names.
	Said(ctx context.Context, account, node string) (rollout.Presence, map[string]rollout.Ack, error)
	// SaveLook stores what a look found as [rollout.Reports] does, but what was said before
	// of the rollouts that fell is forgotten first, in the same transaction.
	SaveLook(ctx context.Context, said rollout.Report, fell []string) error
}

// Names writes at most ten names, for [Progress.Waiting].
func Names(all []string) string {
	if most := 10; len(all) > most {
		return strings.Join(all[:most], ", ") + " and others"
	}
	return strings.Join(all, ", ")
}
