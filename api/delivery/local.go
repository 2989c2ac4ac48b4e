package delivery

import (
	"time"

	"github.com/keyward/keyward/api"
)

// The paths of an agent's local endpoint, which programs on its machine read.
const (
	KeysPath   = "/v1/keys/"  // and a rollout: GET a Key; POST a Use to UseSuffix below it
	UseSuffix  = "/report"    // below that
	StatusPath = "/v1/status" // GET Status
)

// ValuePart is the name of the only part of a value that is no JSON object of strings.
const ValuePart = "value"

// The results of a [Use].
const (
	ResultUsed    = "used"    // the provider accepted the version
	ResultRefused = "refused" // the provider said that it does not know who calls
)

// The levels of an [Ack] and of a [Standing], in order.
const (
	LevelReceived = "received"
	LevelApplied  = "applied"
	LevelUsed     = "used"
)

// A Key is what a program uses: the primary version, and the fallback if that is refused.
type Key struct {
	Rollout    string     `json:"rollout"`
	Generation int64      `json:"generation"`
	Primary    Credential `json:"primary"`
	Fallback   Credential `json:"fallback,omitzero"` // none if its version is empty
}

// A Credential is one version of a secret in the clear, by the names of its parts.
type Credential struct {
	Version string                    `json:"version"`
	Parts   map[string]api.SecretText `json:"parts"`
}

// A Use tells how a version did.
type Use struct {
	Version string `json:"version"`
	Result  string `json:"result"`
	Times   int    `json:"times,omitempty"`   // 0 means once
	Instead bool   `json:"instead,omitempty"` // the fallback was used because the primary had been refused, not because the program had not heard of it yet
}

// A Status tells how an agent does, without any secret.
type Status struct {
	Node     string     `json:"node"` // account/name; "" before it joined
	Version  string     `json:"version"`
	Server   string     `json:"server"`
	HeardAt  time.Time  `json:"heardAt,omitzero"` // last answer of the server, by its clock
	Skew     int64      `json:"skewMillis"`       // of this machine's clock from the server's
	Trouble  string     `json:"trouble,omitempty"`
	Rollouts []Standing `json:"rollouts"`
}

// A Standing is how far an agent has come with one rollout.
type Standing struct {
	Rollout    string    `json:"rollout"`
	Generation int64     `json:"generation"`
	Primary    string    `json:"primary"` // version
	Fallback   string    `json:"fallback,omitempty"`
	Level      string    `json:"level"`
	UsedAt     time.Time `json:"usedAt,omitzero"`     // last use of the primary version
	FallbackAt time.Time `json:"fallbackAt,omitzero"` // last use of the fallback version
	Fallbacks  int       `json:"fallbacks,omitempty"` // uses of the fallback version because the primary was refused, since this generation
	Refused    int       `json:"refused,omitempty"`   // times that the primary version was refused since
	Error      string    `json:"error,omitempty"`     // why it does not come farther
}
