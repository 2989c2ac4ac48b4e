// Package delivery has the wire types of the protocol between keyward and the machines that
// hold its secrets: joining, watching for new generations, and reporting how far they are.
// docs/design/rollout.md describes it for who writes an agent in another language.
package delivery

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/keyward/keyward/api"
)

// The paths at which agents speak with the server. All are POST with a JSON body.
const (
	JoinPath   = "/v1/agent/join"   // JoinRequest, not signed: its token speaks for it
	WatchPath  = "/v1/agent/watch"  // WatchRequest, answered when there is something new
	ReportPath = "/v1/agent/report" // ReportRequest
)

// The headers of a signed request of an agent.
const (
	NodeHeader      = "Keyward-Node"      // account/name
	TimeHeader      = "Keyward-Time"      // RFC 3339, by the server's clock as far as the agent knows it
	SignatureHeader = "Keyward-Signature" // base64 of Ed25519 over SignedMessage
)

// Newer tells whether a node that has one generation takes another: only a higher one,
// however late the lower one comes. Both sides go by it.
func Newer(have, got int64) bool { return got > have }

// SignedMessage answers what an agent signs of a request.
func SignedMessage(path, node, at string, body []byte) []byte {
	sum := sha256.Sum256(body)
	return []byte("keyward-agent-v1\n" + path + "\n" + node + "\n" + at + "\n" + hex.EncodeToString(sum[:]))
}

// SealedInfo answers what a sealed value is bound to: HPKE's info.
func SealedInfo(account, rollout, node, version string) []byte {
	return []byte("keyward-delivery-v1\n" + account + "\n" + rollout + "\n" + node + "\n" + version)
}

// ProofMessage answers what an agent authenticates with a value to prove that it holds it:
// HMAC-SHA256 under SHA-256 of "keyward-proof-v1\n" and the value.
func ProofMessage(account, rollout, node, version string, generation int64) []byte {
	return fmt.Appendf(SealedInfo(account, rollout, node, version), "\n%d", generation)
}

// A JoinRequest makes a machine a node.
type JoinRequest struct {
	Token   api.SecretText `json:"token"`
	Name    string         `json:"name"`    // of the node, unless the token says it
	Host    string         `json:"host"`    // the machine's own name, for a node that nobody named
	SignKey []byte         `json:"signKey"` // Ed25519 public key
	SealKey []byte         `json:"sealKey"` // HPKE public key, ML-KEM-768 with X25519 (KEM 0x647a)
}

// A JoinAnswer tells a node who it is.
type JoinAnswer struct {
	Account string            `json:"account"`
	Name    string            `json:"name"`
	Labels  map[string]string `json:"labels"`
}

// A WatchRequest asks for what is newer than what the node has. It is answered at once if
// anything is, and otherwise when something is or the time is over.
type WatchRequest struct {
	Have map[string]int64 `json:"have"`        // generation by rollout
	Wait int              `json:"waitSeconds"` // 0 to 60
}

// A WatchAnswer is what the node is to have and does not have yet. What is not in Rollouts
// is not for this node any more: it stops delivering it, and keeps nothing.
type WatchAnswer struct {
	Bundles  []Bundle  `json:"bundles"`
	Rollouts []string  `json:"rollouts"` // all that the node is a member of
	Now      time.Time `json:"now"`      // by the server's clock
}

// A Bundle is one generation of one rollout, sealed for one node.
type Bundle struct {
	Rollout    string `json:"rollout"`
	Generation int64  `json:"generation"`
	Primary    Sealed `json:"primary"`
	Fallback   Sealed `json:"fallback,omitzero"` // none if its version is empty
}

// A Sealed is a version of a secret that only one node can open: HPKE with ML-KEM-768 and
// X25519, HKDF-SHA256, AES-256-GCM, SealedInfo as info.
type Sealed struct {
	Version string `json:"version"`
	Value   []byte `json:"value"`
}

// A ReportRequest says how the node does and how far it has come, every 15 seconds and
// whenever it comes farther.
type ReportRequest struct {
	Version string `json:"version"`           // of the agent
	Skew    int64  `json:"skewMillis"`        // of the node's clock from the server's
	Trouble string `json:"trouble,omitempty"` // such as a full disk
	Acks    []Ack  `json:"acks,omitempty"`
}

// An Ack says how far a node has come with one rollout.
type Ack struct {
	Rollout     string `json:"rollout"`
	Generation  int64  `json:"generation"`
	Level       string `json:"level"`                       // "received", "applied" or "used"
	Proof       []byte `json:"proof"`                       // that the node holds the primary value, see ProofMessage
	UsedAgo     *int64 `json:"usedMillisAgo,omitempty"`     // since the last use of the primary version
	FallbackAgo *int64 `json:"fallbackMillisAgo,omitempty"` // since the last use of the fallback version
	Fallbacks   int    `json:"fallbacks,omitempty"`         // uses of the fallback version because the primary was refused, since this generation
	Refused     int    `json:"refused,omitempty"`           // times that the primary version was refused since
	Error       string `json:"error,omitempty"`             // why it does not come farther
}

// A ReportAnswer tells a node what the server thinks of its report.
type ReportAnswer struct {
	Now   time.Time `json:"now"`
	Stale []string  `json:"stale,omitempty"` // rollouts of which the node should watch at once
}
