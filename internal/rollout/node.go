package rollout

import (
	"time"

	"github.com/keyward/keyward/internal/form"
)

// A NodeKind says who speaks for a node.
type NodeKind string

// Agent is the kind of a node on whose machine keyward agent runs. For every other kind,
// which package target knows, the server speaks itself: such a node has no keys, and so
// nobody can sign in its name.
const Agent NodeKind = "agent"

// A Node is a place that holds secrets.
type Node struct {
	Account  string
	Name     string
	Kind     NodeKind
	Labels   []form.Pair // sorted by name; those of a node are given by its token, never by itself
	SignKey  []byte      // Ed25519 public key, 32 bytes
	SealKey  []byte      // HPKE public key (ML-KEM-768 with X25519) to which values are sealed
	Token    string      // id of the token that it joined with
	JoinedAt time.Time
	Drained  bool // it holds nothing any more, as a person said, and nobody waits for it
	Rev      int64
}

// A Token lets machines join, as often as it says and until it expires. Whoever holds it can
// be a node with its labels.
type Token struct {
	Account   string
	ID        string // public part
	Hash      []byte // SHA-256 of the whole token
	Node      string // name of the node; "" lets each choose its own
	Labels    []form.Pair
	Uses      int // that are left
	ExpiresAt time.Time
	CreatedAt time.Time
	Rev       int64
}

// A Level is how far a node has come with a generation.
type Level string

// The levels, in order.
const (
	Received Level = "received" // it is in the node's cache
	Applied  Level = "applied"  // files are written, the consumer was told
	Used     Level = "used"     // the consumer, or a probe in its place, worked with the new key
)

// Reached tells whether a level is as far as another or farther.
func (l Level) Reached(other Level) bool { return place[l] >= place[other] }

var place = map[Level]int{Received: 1, Applied: 2, Used: 3}

// An Ack is what a node last said of one rollout.
type Ack struct {
	Account    string
	Rollout    string
	Node       string
	Generation int64
	Level      Level
	At         time.Time // when the level was reached, by the server's clock
	UsedAt     time.Time // last use of the primary version
	FallbackAt time.Time // last use of the fallback version; zero for none since this generation
	Fallbacks  int       // uses of the fallback version since this generation
	Refused    int       // times that the primary version was refused since this generation
	Error      string    // why it does not come farther: a template, a reload, a probe; "" for nothing
	SaidAt     time.Time // when the node signed it, by the node's clock: what it said before is not news
}

// Merge answers what is known of a node after it said something more, in whatever order its
// words arrive: a generation and, within one, a level and a use never go back.
func Merge(have, said Ack) Ack {
	if said.Generation > have.Generation {
		return said
	}
	if said.Generation < have.Generation {
		return have
	}
	out := have
	if !have.Level.Reached(said.Level) {
		out.Level, out.At = said.Level, said.At
	}
	out.UsedAt, out.FallbackAt = later(have.UsedAt, said.UsedAt), later(have.FallbackAt, said.FallbackAt)
	out.Fallbacks, out.Refused = max(have.Fallbacks, said.Fallbacks), max(have.Refused, said.Refused)
	if said.SaidAt.After(have.SaidAt) {
		out.Error, out.SaidAt = said.Error, said.SaidAt
	}
	return out
}

// A Presence is what a node last said of itself.
type Presence struct {
	Account string
	Node    string
	SeenAt  time.Time
	Version string // of the agent
	Skew    time.Duration
	Trouble string    // such as a full disk, or what keyward has against it; "" for none
	SaidAt  time.Time // when the node signed it, by the node's clock
}

// Silent is how long a node may say nothing before it counts as lost.
const Silent = time.Minute

// A Census is how the members of some waves stand.
type Census struct {
	Members   int
	There     int      // that reached the level with their generation
	Behind    []string // names of at most [Named] others
	Lost      int      // of the others those that are silent
	LastAck   time.Time
	UsedAt    time.Time // earliest last use of the primary version by a member; zero if one never used it
	OldUseAt  time.Time // latest use of a fallback version by a member
	Fallbacks int       // uses of fallback versions since the generation
	Refused   int       // times that primary versions were refused
	Errors    []string  // of at most [Named] members
}

// Named is how many members a census names.
const Named = 10

// A Member is one node of a rollout, for whoever takes a census or shows a matrix.
type Member struct {
	Node     Node
	Wave     int
	Target   Generation
	Ack      Ack // zero if it never said anything
	Presence Presence
}

// There tells whether a member has what it is to have. An acknowledgement counts for its own
// generation and for older ones, which a node that has it does not take any more; never for a
// newer one, though it may name the same version.
func (m Member) There(level Level) bool {
	return m.Target.Number > 0 && m.Ack.Generation >= m.Target.Number && m.Ack.Level.Reached(level)
}

// Count takes the census of members at a time. Uses, refusals and errors count of whichever
// generation a member last told.
func Count(members []Member, level Level, now time.Time) Census {
	var c Census
	for i, m := range members {
		c.Members++
		if m.There(level) {
			c.There++
			c.LastAck = later(c.LastAck, m.Ack.At)
		} else {
			if len(c.Behind) < Named {
				c.Behind = append(c.Behind, m.Node.Name)
			}
			if now.Sub(m.Presence.SeenAt) > Silent {
				c.Lost++
			}
		}
		if i == 0 || m.Ack.UsedAt.Before(c.UsedAt) {
			c.UsedAt = m.Ack.UsedAt
		}
		c.OldUseAt = later(c.OldUseAt, m.Ack.FallbackAt)
		c.Fallbacks += m.Ack.Fallbacks
		c.Refused += m.Ack.Refused
		if m.Ack.Error != "" && len(c.Errors) < Named {
			c.Errors = append(c.Errors, m.Node.Name+": "+m.Ack.Error)
		}
	}
	return c
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
