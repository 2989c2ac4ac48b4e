package rotation

import (
	"context"
	"errors"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/material"
)

// An Archetype is the way in which a provider lets one replace a key.
type Archetype string

// The archetypes. docs/design/rotation.md has the plan of each.
const (
	// Pair: a second key is created; the old one is disabled, can be enabled again, and is
	// deleted at last (AWS IAM, Alibaba RAM, Tencent CAM).
	Pair Archetype = "pair"
	// Multi: as pair, without disabling (SendGrid, OpenAI, Cloudflare, GitLab).
	Multi Archetype = "multi"
	// FixedOverlap: one call makes the new key and starts the old one's last hours, which
	// nobody can stop (Adyen, Stripe, Solidgate).
	FixedOverlap Archetype = "fixed-overlap"
	// Pending: the new key comes alive, and the old one's last hours start, when the new one
	// is used for the first time; until then nothing has happened (Paddle).
	Pending Archetype = "pending"
	// Promote: the provider has two slots. The second is filled, distributed, and promoted
	// at last, which ends the first (Twilio, Azure).
	Promote Archetype = "promote"
	// Counterparty: the other side changes its key; both must be accepted for a while
	// (WeChat Pay platform certificates, UnionPay).
	Counterparty Archetype = "counterparty"
	// Manual: a person makes and ends keys at a console (WeChat Pay, Alipay, PayPal).
	Manual Archetype = "manual"
	// Roll: the secret is replaced in place and the old one is dead at once. Only to break
	// glass.
	Roll Archetype = "roll"
)

// Means are what a provider lets one do with the keys of one principal. A rotation keeps
// those that it was started with.
type Means struct {
	Archetype Archetype     `json:"archetype"`
	MaxKeys   int           `json:"max_keys,omitempty"`  // of one principal at once; 0 for no limit that matters
	Overlap   time.Duration `json:"overlap,omitempty"`   // how long the old key lives on; of Manual 0 for as long as people let it
	Guide     string        `json:"guide,omitempty"`     // of Manual: accesskey.Guide.Name by which keys are made and checked; "" for none
	Tagged    bool          `json:"tagged,omitempty"`    // a created key carries [Attempt.Tag], which is listed
	Listed    bool          `json:"listed,omitempty"`    // keys can be listed
	Repeats   bool          `json:"repeats,omitempty"`   // creating again with the same [Attempt] makes no second key and answers the secret again
	Activates time.Duration `json:"activates,omitempty"` // how long a new key may be refused after it was created
	UseLag    time.Duration `json:"use_lag,omitempty"`   // how late the provider tells of a use; 0 for it tells nothing
	Verifies  bool          `json:"verifies,omitempty"`  // a key can be tried
}

// An Attempt is one try to create a key. Where [Means.Repeats] it is the same with every repetition.
type Attempt struct {
	ID        string    // 32 hexadecimal digits
	Tag       string    // "keyward/<rotation>/<number>", for the key's description
	Principal string    // whose key it becomes: accesskey.Principal.ID
	Old       string    // id of the key that it will replace
	Expire    time.Time // when an orphan may die by itself, where the provider can do that
}

// Minted is a new key. Whoever gets it erases it.
type Minted struct {
	ID     string
	Parts  map[string]material.Bytes // the credential as consumers need it, id and secret
	Expiry time.Time                 // zero if the provider sets none
}

// Erase overwrites the credential.
func (m Minted) Erase() {
	for _, part := range m.Parts {
		part.Zero()
	}
}

// Held is a key that a provider lists.
type Held struct {
	ID        string
	Tag       string
	Status    accesskey.Status
	CreatedAt time.Time
	Use       accesskey.Use
	Expiry    time.Time
}

// A Verdict is what became of trying a key.
type Verdict string

// The verdicts.
const (
	Accepted Verdict = "accepted"
	Refused  Verdict = "refused"  // the provider says that it is no valid key
	Stranger Verdict = "stranger" // it works, and belongs to somebody else than the old one
)

// Errors that an [Issuer] wraps where it knows more than that something went wrong. An
// error that wraps none of them leaves open whether the call had its effect.
var (
	// ErrNoEffect: the call certainly had no effect, and may be made again later.
	ErrNoEffect = errors.New("nothing happened")
	// ErrRefused: the provider refused the call, certainly without effect, and will refuse
	// it again until a person changes something.
	ErrRefused = errors.New("the provider refused")
	// ErrFull: as ErrRefused, for the principal has as many keys as it may have.
	ErrFull = errors.New("no room for another key")
	// ErrAbsent: there is no such key, or not any more.
	ErrAbsent = errors.New("no such key")
)

// An Issuer makes and ends the keys of one principal at a provider. None of its methods
// repeats a request that may have had an effect: each call of Create sends at most one
// request that creates. It sends none after its context has ended, and returns then.
// Errors are faults as those of [accesskey.Provider], and hold no secret.
//
// It is used by one goroutine at a time.
type Issuer interface {
	Means() Means
	// Keys lists the principal's keys, all or an error.
	Keys(ctx context.Context) ([]Held, error)
	Create(ctx context.Context, a Attempt) (Minted, error)
	// Verify tries a credential as its consumer would, with nothing but it, by a call that
	// changes nothing.
	Verify(ctx context.Context, id string, parts map[string]material.Bytes) (Verdict, error)
	// Disable switches a key off; to do it again has no effect.
	Disable(ctx context.Context, id string) error
	Enable(ctx context.Context, id string) error
	// Delete ends a key for ever; heir is the one that stays. Of archetype Promote, to delete
	// the first slot is to promote the second.
	Delete(ctx context.Context, id, heir string) error
}

// ends tells whether the provider itself ends the old key of a person's change.
func (m Means) ends() bool { return m.Archetype == Manual && m.Overlap > 0 }

// single tells whether a person's change puts the new key in the place of the old one at once.
func (m Means) single() bool { return m.Archetype == Manual && m.MaxKeys == 1 }

// Shares tells whether several plans may replace keys of one principal, each its own: what a
// person does, and what is told apart by tags, as long as there is room.
func (m Means) Shares() bool {
	return m.Archetype == Manual || m.Archetype == Counterparty || m.Tagged && (m.MaxKeys == 0 || m.MaxKeys > 2)
}

// A KindOfIssuer is how keys of one kind of provider are made and ended.
type KindOfIssuer struct {
	Name   string // accesskey.KindOfProvider.Name
	Policy string // the rights that it needs beside those of reading, in the provider's own form; "" for none
	// Open makes an issuer of the keys of a principal, with the credential of a source. It
	// makes no request; it refuses with [fault.InvalidParameter] what cannot work.
	Open func(o accesskey.Opening, principal string) (Issuer, error)
}
