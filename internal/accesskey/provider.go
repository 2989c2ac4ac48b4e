package accesskey

import (
	"context"
	"net/netip"
	"time"

	"github.com/keyward/keyward/internal/form"
)

// A Provider reads one account at whoever issues keys. It changes nothing there. Its
// methods are called by one goroutine at a time; they respect the provider's rate limits
// themselves and end soon after ctx does.
//
// Errors are faults: [fault.InvalidParameter] for what the person who added the source
// has to correct (a wrong credential, a missing right by name, with the statement that
// grants it), [fault.Throttled] and [fault.Unavailable] for what to try again. None holds
// a secret or a URL's query.
type Provider interface {
	// Check proves with few calls that the credential works, and answers whose it is.
	Check(ctx context.Context) (Identity, error)
	// Observe reads everything. What it cannot read it names in Snapshot.Problems; what
	// was known of it is then kept. An error means that nothing can be said.
	Observe(ctx context.Context) (Snapshot, error)
}

// An Identity is whose credential a source has.
type Identity struct {
	Account   string // at the provider
	Principal string // name or id of the credential's owner
	Root      bool   // the credential is the account's own, which nobody should use
	KeyID     string // of the credential itself, to find it in the inventory; "" if it has none
}

// A Snapshot is what an account looked like.
type Snapshot struct {
	Identity   Identity
	Principals []Principal
	Keys       []Observed
	Account    Account
	Problems   []Problem
	Calls      int // requests that were made, retries among them
}

// An Account is what a provider tells of the account itself.
type Account struct {
	RootMFA    Fact
	RootKey    Fact              // the account itself has access keys
	Quota      int               // keys per principal; 0 if not told
	Detail     map[string]string // such as the password policy
	Can        *Capabilities     // of its keys, of a kind whose accounts differ; nil for what the kind says
	AuditTrail Fact
}

// A Problem is something that could not be read.
type Problem struct {
	What    string // the call or the file, such as "cam:ListAccessKeys"
	Subject string // a Principal.ID or key; "" for the whole account
	Reason  string // for a person, with what to do about it
	Denied  bool   // a right is missing
	Lists   bool   // keys of the subject, a principal, may exist that were not seen, so none may be called gone
}

// Capabilities are what a kind of provider lets one do with a key. Plans of rotation are
// derived from them.
type Capabilities struct {
	MaxKeys  int           // of one principal at once; 0 for no limit that matters
	Disable  bool          // a key can be switched off and on again
	OffFirst bool          // only a key that is switched off can be deleted
	Undo     time.Duration // how long a deleted key can be restored; 0 for not at all
	UseLag   time.Duration // how late the provider tells of a use; 0 for it does not tell
	Expiry   bool          // the provider knows when a key expires
	Manual   bool          // only a person can change a key
	OwnClock bool          // the old key dies at a time that the provider chooses
}

// A KindOfProvider is one way to read keys, such as Tencent Cloud's CAM.
type KindOfProvider struct {
	Name         string // "tencent"
	Title        form.Text
	Form         form.Form
	Capabilities Capabilities
	Varies       bool          // each account tells its own: see Account.Can
	Guides       []Guide       // by which people enter the keys of the kind; nil for one that is read
	Policy       string        // the least rights of the credential, in the provider's own form; "" for none
	Pace         time.Duration // between two synchronisations unless the source says otherwise
	// Open makes a provider of what fits the form. It makes no request; it refuses settings
	// that cannot work with [fault.InvalidParameter].
	Open func(Opening) (Provider, error)
}

// entered tells whether people enter the keys of the kind, so that there is nothing to read.
func (k KindOfProvider) entered() bool { return len(k.Guides) > 0 }

// An Opening is what a provider is opened with.
type Opening struct {
	form.Filling        // valid until the provider is not used any more
	Account      string // of keyward
	Now          func() time.Time
	Allow        []netip.Prefix // networks that are not public and may be reached all the same
}
