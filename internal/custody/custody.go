// Package custody is the operator's care of the root key: which root envelopes there
// are, who may open them, and when a new epoch begins.
//
// Every act but listing needs the root key, and the root key is not kept: it is opened
// for the act, by a passphrase at once or by k shares that come one at a time, from
// different people at different terminals. What was given so far is a session
// ([Sessions]). An [Intent] says from the beginning what the root key is opened for, and
// every holder names the act when giving a share: nobody's share opens more than its
// holder agreed to.
//
// What is recorded: that the root key was opened, by which envelope and shares, before
// anything is done with it; then the act, in the transaction that does it. Each share
// that is given while the log can be written is recorded before it counts. While the
// server is sealed nothing can be: the record of its unsealing tells what came before.
//
// What is trusted: the holders of passphrases and shares, of whom k must agree. Not
// trusted: whoever else can reach the operator's socket. They can neither see, join,
// cancel nor crowd out a session (see [Sessions]), and without a share or a passphrase
// of this server they cannot begin one.
//
// Who may call: package app. Changes of envelopes are "add, test, remove", never in
// place: the last envelope cannot be removed, and one that nobody has opened yet is not
// left alone unless the operator insists.
package custody

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/agefile"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/shamir"
)

// An Act is what the root key is opened for.
type Act string

// The acts.
const (
	Unseal Act = "unseal" // the sealed server
	Test   Act = "test"   // the envelope: it opens
	Add    Act = "add"    // an envelope
	Remove Act = "remove" // an envelope
	Epoch  Act = "epoch"  // begin a new one
)

// An Intent is an act with all that it takes, fixed before the first share is given.
type Intent struct {
	Act        Act
	Protection seal.Protection // Add: of the new envelope. A recovery envelope without passphrase and shares gets a random code
	Recipients []string        // Add: age recipients of the shares in the order of their holders, or of the code
	Envelope   string          // Remove: name
	Untested   bool            // Remove: although no other envelope was ever opened
}

// Check answers an InvalidParameter or MissingParameter fault if the intent makes no sense.
func (i Intent) Check() error {
	switch i.Act {
	case Unseal, Test, Epoch:
		return nil
	case Remove:
		if i.Envelope == "" {
			return fault.MissingParameter.New("the name of the root envelope to remove is missing; keyward operator status shows them")
		}
		return nil
	case Add:
		p := i.Protection
		switch {
		case p.Device && len(i.Recipients) > 0:
			return fault.InvalidParameter.New("what the hardware token opens is not sealed to recipients; leave them out")
		case p.Shares > 0 && len(i.Recipients) != 0 && len(i.Recipients) != p.Shares:
			return fault.InvalidParameter.New("there are %d recipients for %d shares; name one for each, in the order of their holders", len(i.Recipients), p.Shares)
		case i.code() && !p.Recovery:
			return fault.InvalidParameter.New("only a recovery envelope opens with a code that is sealed to recipients; give a passphrase or shares")
		case p.Shares == 0 && !i.code() && len(i.Recipients) > 0:
			return fault.InvalidParameter.New("a passphrase that somebody knows is not sealed to recipients; leave them out")
		case i.code():
			p.Passphrase = material.NewBytes([]byte("made later; checked now"))
		}
		if err := agefile.CheckRecipients(i.Recipients); err != nil {
			return fault.InvalidParameter.Wrap(err, "a recipient is no age recipient; one begins with age1")
		}
		return p.Check()
	}
	return fault.InvalidParameter.New("the act must be unseal, test, add, remove or epoch")
}

// CheckShared is Check for an intent that old shares are to allow. New shares without
// recipients are then refused: whoever gives the last old one would see them all.
func (i Intent) CheckShared() error {
	if i.Act == Add && i.Protection.Shares > 0 && len(i.Recipients) == 0 {
		return fault.InvalidParameter.New("new shares that old shares allow must be sealed to their holders; name a --recipient for each")
	}
	return i.Check()
}

// code tells whether the new envelope opens with a random code, which only the
// recipients get to see.
func (i Intent) code() bool {
	return !i.Protection.Device && i.Protection.Shares == 0 && i.Protection.Passphrase.Len() == 0 && len(i.Recipients) > 0
}

// Zero erases the passphrase of the intent.
func (i Intent) Zero() { i.Protection.Passphrase.Zero() }

// An Opening tells how the root key was opened.
type Opening struct {
	Envelope seal.Envelope
	Shares   []int // indices; none with a passphrase
	Refused  int   // attempts that were refused before, while nothing could be recorded
}

// A Delivery is a share, or the code of a recovery envelope, on its way to its holder.
type Delivery struct {
	Index     int            // of the share; 0 for a code
	Recipient string         // that Text is sealed to; empty if it is readable
	Text      material.Bytes // of the share, or an armored age file
}

// A TestRow remembers that an envelope was opened. The store keeps it bound.
type TestRow struct {
	Envelope string // id
	At       time.Time
	Rev      int64 // revision, kept by the store
}

// Store keeps what custody changes. Methods that take a record commit it in the same
// transaction or answer an error and have changed nothing.
type Store interface {
	// ChangeEnvelopes has decide look at all envelopes and tests, while nobody else can
	// change them, and does what it answers: add an envelope, remove those named.
	ChangeEnvelopes(ctx context.Context, rec *audit.Record, decide Decision) error
	// AddEpoch stores the epoch and schedules the jobs. Faults: Changed if its number is
	// taken, ResourceInUse while another node is unsealed, which would not know it.
	AddEpoch(ctx context.Context, rec *audit.Record, e seal.Epoch, jobs []job.Job) error
	// SaveTest remembers that the envelope was opened at that time; StateConflict if it was
	// removed since.
	SaveTest(ctx context.Context, rec *audit.Record, envelope string, at time.Time) error
	// Tests answers all that SaveTest saved of envelopes that are there.
	Tests(ctx context.Context) ([]TestRow, error)
	// ReplaceLogKey stores a log's signer key sealed anew, if it still is the old one;
	// otherwise it answers Changed.
	ReplaceLogKey(ctx context.Context, rec *audit.Record, origin string, old, renewed []byte) error
	// Scheduled tells whether a job of this kind is waiting or running.
	Scheduled(ctx context.Context, kind string) (bool, error)
}

// A Decision is the rules about a change of envelopes.
type Decision func(have []seal.Envelope, tests []TestRow) (add *seal.Envelope, remove string, err error)

// Tenants are whose keys a new epoch wraps anew.
type Tenants interface {
	// RewrapTenants wraps the tenant keys of some accounts, those that follow after by
	// id, and answers the last of them, or "" when there are no more, and how many it wrote.
	RewrapTenants(ctx context.Context, call *authz.Call, after string) (last string, written int, err error)
}

// Options says what a Service is made of; all but Device are required.
type Options struct {
	Store      Store
	Logs       audit.Reader
	Log        *audit.Log
	Keyring    *seal.Keyring
	Tenants    Tenants
	Now        func() time.Time
	Cost       seal.Cost // of new passphrases; zero means ProductionCost
	LogBinding func(origin string) []byte
	Device     seal.Device // that envelopes may open with; nil if there is none
}

// A Service performs acts while the server is unsealed. Its methods may be called concurrently.
type Service struct {
	Options
	beginning sync.Mutex // held while an epoch begins
}

// New makes a Service.
func New(o Options) *Service { return &Service{Options: o} }

// Opened records, as the action, that the root key was opened, and that the envelope so
// was tested. Nothing may be answered or done with the root key before.
func (s *Service) Opened(ctx context.Context, call *authz.Call, action string, o Opening) error {
	rec := audit.NewRecord(call, action)
	rec.Param("Envelope", o.Envelope.Title())
	rec.Param("Shares", numbers(o.Shares))
	if o.Refused > 0 {
		rec.Param("RefusedBefore", strconv.Itoa(o.Refused))
	}
	return s.Log.Do(ctx, rec, func() (err error) {
		const rounds = 16 // nodes that unseal at once race for the row
		for range rounds {
			if err = s.Store.SaveTest(ctx, rec, o.Envelope.ID, s.Now()); !fault.Is(err, fault.Changed) && !fault.Is(err, fault.ResourceExists) {
				break
			}
		}
		if fault.Is(err, fault.Internal) { // the row is not believed; that must not keep anybody out
			return nil
		}
		return err
	})
}

// Refused records that the root key was not opened, and answers why, or that the log
// cannot be written.
func (s *Service) Refused(ctx context.Context, call *authz.Call, act Act, why error) error {
	rec := audit.NewRecord(call, "keyward:OpenRootKey")
	rec.Param("For", string(act))
	return s.Log.Do(ctx, rec, func() error { return why })
}

// Given records that a share was given.
func (s *Service) Given(ctx context.Context, call *authz.Call, act Act, of seal.Envelope, index int) error {
	rec := audit.NewRecord(call, "keyward:GiveShare")
	rec.Result = audit.ResultOK
	rec.Param("For", string(act))
	rec.Param("Envelope", of.Title())
	rec.Param("Share", strconv.Itoa(index))
	return s.Log.Append(ctx, rec)
}

// Perform does the act that the root was opened for and answers what must be delivered.
func (s *Service) Perform(ctx context.Context, call *authz.Call, i Intent, root *seal.Root, o Opening) ([]Delivery, error) {
	if err := s.Keyring.Learn(root); err != nil { // the root of another database
		return nil, s.Refused(ctx, call, i.Act, err)
	}
	if i.Act == Test {
		return nil, s.Opened(ctx, call, "keyward:TestRootEnvelope", o)
	}
	if err := s.Opened(ctx, call, "keyward:OpenRootKey", o); err != nil {
		return nil, err
	}
	switch i.Act {
	case Add:
		return s.add(ctx, call, i, root)
	case Remove:
		return nil, s.remove(ctx, call, i)
	case Epoch:
		return nil, s.begin(ctx, call, root)
	}
	return nil, fault.StateConflict.New("the server is unsealed already")
}

func (s *Service) add(ctx context.Context, call *authz.Call, i Intent, root *seal.Root) (out []Delivery, err error) {
	rec := audit.NewRecord(call, "keyward:AddRootEnvelope")
	rec.Param("Envelope", i.Protection.Name)
	rec.Param("Recovery", strconv.FormatBool(i.Protection.Recovery))
	if i.Protection.Shares > 0 {
		rec.Param("Shares", strconv.Itoa(i.Protection.Shares))
		rec.Param("Threshold", strconv.Itoa(i.Protection.Threshold))
	}
	rec.Param("Device", strconv.FormatBool(i.Protection.Device))
	rec.Param("Recipients", strconv.Itoa(len(i.Recipients)))
	err = s.Log.Do(ctx, rec, func() error {
		envelope, deliveries, err := s.make(ctx, i, root)
		if err != nil {
			return err
		}
		err = s.Store.ChangeEnvelopes(ctx, rec, func(have []seal.Envelope, _ []TestRow) (*seal.Envelope, string, error) {
			return &envelope, "", mayAdd(envelope, have)
		})
		if err == nil {
			out = deliveries
		}
		return err
	})
	return out, err
}

func (s *Service) make(ctx context.Context, i Intent, root *seal.Root) (seal.Envelope, []Delivery, error) {
	p, err := i.Protection.WithKey(ctx, s.Device)
	if err != nil {
		return seal.Envelope{}, nil, err
	}
	p.Cost = s.Cost
	if i.code() {
		p.Passphrase = newCode()
		p.Cost = seal.DevelopmentCost() // no amount of work would find it
		defer p.Passphrase.Zero()
	}
	envelope, shares, err := root.NewEnvelope(p, s.Now())
	if err != nil {
		return seal.Envelope{}, nil, err
	}
	if i.code() {
		text, err := agefile.SealText(i.Recipients, p.Passphrase.Expose())
		return envelope, []Delivery{{Recipient: strings.Join(i.Recipients, " "), Text: material.NewBytes(text)}}, err
	}
	deliveries, err := Deliver(shares, i.Recipients)
	return envelope, deliveries, err
}

// Deliver writes the shares down, each sealed to its holder's age recipient if there
// are recipients, and erases them.
func Deliver(shares []shamir.Share, recipients []string) ([]Delivery, error) {
	var out []Delivery
	for n, share := range shares {
		d := Delivery{Index: share.Index, Text: share.Text()}
		share.Zero()
		if len(recipients) > 0 {
			sealed, err := agefile.SealText(recipients[n:n+1], d.Text.Expose())
			d.Text.Zero()
			if err != nil {
				return nil, err
			}
			d.Recipient, d.Text = recipients[n], material.NewBytes(sealed)
		}
		out = append(out, d)
	}
	return out, nil
}

func (s *Service) remove(ctx context.Context, call *authz.Call, i Intent) error {
	rec := audit.NewRecord(call, "keyward:RemoveRootEnvelope")
	rec.Param("Envelope", i.Envelope)
	rec.Param("AcceptUntested", strconv.FormatBool(i.Untested))
	return s.Log.Do(ctx, rec, func() error {
		return s.Store.ChangeEnvelopes(ctx, rec, func(have []seal.Envelope, tests []TestRow) (*seal.Envelope, string, error) {
			id, err := mayRemove(i, have, tests)
			return nil, id, err
		})
	})
}

// begin stores a new epoch with the job that wraps everything anew under it. What is
// wrapped from then on is so already.
func (s *Service) begin(ctx context.Context, call *authz.Call, root *seal.Root) error {
	rec := audit.NewRecord(call, "keyward:BeginEpoch")
	return s.Log.Do(ctx, rec, func() error {
		s.beginning.Lock() // of two epochs of one number the keyring must not learn the wrong one
		defer s.beginning.Unlock()
		epoch, err := root.NewEpoch(s.Now())
		if err != nil {
			return err
		}
		if err := s.Keyring.Learn(root); err != nil { // before anything needs it
			return err
		}
		// From here on the keyring opens what is under the epoch, but uses it only once it is stored.
		number := strconv.FormatUint(uint64(epoch.Number), 10)
		rec.Param("Epoch", number)
		if err := s.Store.AddEpoch(ctx, rec, epoch, []job.Job{{Kind: JobRewrap, Subject: number, Due: s.Now()}}); err != nil {
			return err
		}
		s.Keyring.Use(epoch.Number)
		return nil
	})
}

func mayAdd(e seal.Envelope, have []seal.Envelope) error {
	if len(have) >= seal.MaxEnvelopes {
		return fault.LimitExceeded.New("there are %d root envelopes already; remove one first", len(have))
	}
	for _, h := range have {
		if strings.EqualFold(h.Title(), e.Title()) {
			return fault.ResourceExists.New("there is a root envelope %q already; choose another name, then remove the old one", h.Title())
		}
	}
	return nil
}

// mayRemove answers the id of the envelope to remove.
func mayRemove(i Intent, have []seal.Envelope, tests []TestRow) (id string, err error) {
	tested := map[string]bool{}
	for _, t := range tests {
		tested[t.Envelope] = true
	}
	proven := false // that another one opens
	for _, e := range have {
		if strings.EqualFold(e.Title(), i.Envelope) {
			id = e.ID
			continue
		}
		proven = proven || tested[e.ID]
	}
	switch {
	case id == "":
		return "", fault.ResourceNotFound.New("there is no root envelope %q; keyward operator status shows them", i.Envelope)
	case len(have) == 1:
		return "", fault.ResourceInUse.New("%q is the last root envelope; without one the server can never be unsealed again: add another one first", i.Envelope)
	case !proven && !i.Untested:
		return "", fault.StateConflict.New("no other root envelope was ever opened, so nobody knows that one can be; first run: keyward operator test; " +
			"or insist with --accept-untested")
	}
	return id, nil
}

func numbers(list []int) string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ",")
}
