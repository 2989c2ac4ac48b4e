package app

import (
	"context"
	"errors"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/custody"
	"github.com/keyward/keyward/internal/erase"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
	"github.com/keyward/keyward/internal/server/operator"
)

// Initialize is Found with an envelope that the passphrase opens.
func (a *App) Initialize(ctx context.Context, passphrase material.Bytes, account string) (iam.Founded, error) {
	founded, _, err := a.Found(ctx, custody.Intent{Act: custody.Add, Protection: seal.Protection{Name: "passphrase", Passphrase: passphrase}}, account)
	return founded, err
}

// Found gives an empty database its root key in the envelope that the intent describes,
// unseals the server and makes the first account. The root key comes first, because the
// audit log's own key is sealed under it; if nothing can be recorded then, that stays.
func (a *App) Found(ctx context.Context, first custody.Intent, account string) (iam.Founded, []custody.Delivery, error) {
	if err := first.Check(); err != nil {
		return iam.Founded{}, nil, err
	}
	first.Protection.Cost = a.Cost
	var err error
	if first.Protection, err = first.Protection.WithKey(ctx, a.token.Device()); err != nil {
		return iam.Founded{}, nil, err
	}
	var deliveries []custody.Delivery
	stored := false
	err = a.enter(ctx, func() (*seal.Keyring, custody.Opening, error) {
		keyring, shares, err := seal.Found(context.WithoutCancel(ctx), a.db, first.Protection, a.Now())
		if fault.Is(err, fault.ResourceExists) {
			err = fault.StateConflict.Wrap(err, "this server is initialised already; run: keyward operator unseal")
		}
		if err != nil {
			return nil, custody.Opening{}, err
		}
		stored = true
		deliveries, err = custody.Deliver(shares, first.Recipients)
		return keyring, custody.Opening{}, err
	})
	if err != nil && !stored {
		return iam.Founded{}, nil, err
	}
	var founded iam.Founded
	if err == nil {
		founded, err = a.CreateAccount(context.WithoutCancel(ctx), account) // otherwise the shares would be lost
	}
	if err != nil {
		err = fault.KindOf(err).Wrap(err, "the server has its root key, but could not go on. If a passphrase opens it, unseal the server and create the account; shares were shown to nobody: remove the database and initialise again")
	}
	return founded, deliveries, err
}

// Unseal starts the engine with the keyring that the passphrase opens.
func (a *App) Unseal(ctx context.Context, passphrase material.Bytes) error {
	return a.unseal(ctx, nil, func() (*seal.Root, error) { return a.try(ctx, passphrase) })
}

func (a *App) unseal(ctx context.Context, shares []int, open func() (*seal.Root, error)) error {
	return a.enter(ctx, func() (*seal.Keyring, custody.Opening, error) {
		root, err := open()
		if err != nil {
			return nil, custody.Opening{}, err
		}
		defer root.Close()
		keyring, err := root.Keyring()
		return keyring, custody.Opening{Envelope: root.Envelope(), Shares: shares, Refused: a.sessions.Refused()}, err
	})
}

// try opens the root key with a passphrase. However many people try, one passphrase at
// a time takes memory; shares never wait for that.
func (a *App) try(ctx context.Context, passphrase material.Bytes) (*seal.Root, error) {
	select {
	case a.deriving <- struct{}{}:
		defer func() { <-a.deriving }()
	case <-ctx.Done():
		return nil, fault.Unavailable.Wrap(ctx.Err(), "too many people try passphrases at once; try again")
	}
	root, err := seal.Open(ctx, a.db, seal.WithPassphrase(passphrase))
	if fault.Is(err, fault.WrongPassphrase) {
		a.sessions.Refuse()
	}
	return root, err
}

// openByToken opens the root key with the token.
func (a *App) openByToken(ctx context.Context) (*seal.Root, error) {
	with, err := seal.WithDevice(ctx, a.db, a.token.Device())
	if err != nil {
		return nil, err
	}
	return seal.Open(ctx, a.db, with)
}

// enter starts the engine if the server is sealed. Requests are served on meanwhile, as
// sealed: a passphrase takes a second to derive, and others may unseal at the same time.
func (a *App) enter(ctx context.Context, open func() (*seal.Keyring, custody.Opening, error)) error {
	if err := a.requireSealed(); err != nil {
		return err
	}
	keyring, opening, err := open()
	if err != nil {
		return err
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	if err := a.requireSealed(); err != nil { // somebody was faster
		keyring.Close()
		return err
	}
	// A slow machine may have used up the request's time for the passphrase; the work
	// was done, and must not be done again for the want of a moment.
	e, err := a.startEngine(context.WithoutCancel(ctx), keyring, opening)
	if tampered, ok := errors.AsType[*audit.TamperError](err); ok { // the operator, and nobody else, is told
		return fault.StateConflict.Wrap(err, "audit log %q was tampered with: %s; keep a copy of the database, and run: keyward audit verify", tampered.Log, tampered.Where)
	}
	if err != nil {
		return err
	}
	a.sessions.Clear()
	a.mu.Lock()
	a.engine = e
	a.mu.Unlock()
	erase.Heap() // the root key, and the memory that derived a key from the passphrase
	a.Logger.Info("unsealed")
	return nil
}

func (a *App) requireSealed() error {
	if err := a.with(func(*engine) error { return nil }); !fault.Is(err, fault.Sealed) {
		return fault.StateConflict.New("the server is unsealed already")
	}
	return nil
}

// OpenRootKey does what the root key is opened for, or notes a share of those that are
// needed for that.
func (a *App) OpenRootKey(ctx context.Context, in operator.Opening) (operator.Opened, error) {
	if in.Share.Len() > 0 {
		return a.give(ctx, in)
	}
	if err := in.Intent.Check(); err != nil {
		return operator.Opened{}, err
	}
	deliveries, err := a.perform(ctx, in.Intent, nil, func() (*seal.Root, error) {
		if in.Device {
			return a.openByToken(ctx)
		}
		return a.try(ctx, in.Passphrase)
	})
	return operator.Opened{Complete: err == nil, Progress: custody.Progress{Intent: in.Intent}, Deliveries: deliveries}, err
}

func (a *App) give(ctx context.Context, in operator.Opening) (operator.Opened, error) {
	if in.Session == "" {
		if err := in.Intent.CheckShared(); err != nil {
			return operator.Opened{}, err
		}
	}
	envelopes, err := a.db.Envelopes(ctx)
	if err != nil {
		return operator.Opened{}, err
	}
	if len(envelopes) == 0 {
		return operator.Opened{}, fault.StateConflict.New("the server is not initialised; run: keyward operator init")
	}
	offer := custody.Offer{Session: in.Session, Intent: in.Intent, Envelopes: envelopes, Text: in.Share.Expose(), Now: a.Now()}
	var progress custody.Progress
	var complete *custody.Complete
	if in.Intent.Act == custody.Unseal { // nothing can be recorded yet
		if err = a.requireSealed(); err == nil {
			progress, complete, err = a.sessions.Give(offer)
		}
	} else {
		err = a.with(func(e *engine) (err error) {
			offer.Record = func(of seal.Envelope, index int) error {
				return e.custody.Given(ctx, a.operatorCall(), in.Intent.Act, of, index)
			}
			if progress, complete, err = a.sessions.Give(offer); err != nil {
				return e.custody.Refused(ctx, a.operatorCall(), in.Intent.Act, err)
			}
			return nil
		})
	}
	if err != nil || complete == nil {
		return operator.Opened{Progress: progress}, err
	}
	defer complete.Zero()
	deliveries, err := a.perform(ctx, complete.Intent, complete.Indices(), func() (*seal.Root, error) {
		return seal.Open(ctx, a.db, seal.WithShares(complete.Shares))
	})
	return operator.Opened{Complete: err == nil, Progress: progress, Deliveries: deliveries}, err
}

// perform opens the root key and does what it was opened for.
func (a *App) perform(ctx context.Context, intent custody.Intent, shares []int, open func() (*seal.Root, error)) (out []custody.Delivery, err error) {
	if intent.Act == custody.Unseal {
		return nil, a.unseal(ctx, shares, open)
	}
	err = a.with(func(e *engine) error {
		root, err := open()
		if err != nil {
			return e.custody.Refused(ctx, a.operatorCall(), intent.Act, err)
		}
		defer root.Close()
		out, err = e.custody.Perform(ctx, a.operatorCall(), intent, root, custody.Opening{Envelope: root.Envelope(), Shares: shares})
		return err
	})
	return out, err
}

// ShowSession answers how a session stands.
func (a *App) ShowSession(_ context.Context, session string) (custody.Progress, error) {
	return a.sessions.Show(session, a.Now())
}

// CancelSession ends a session.
func (a *App) CancelSession(ctx context.Context, session string) error {
	if err := a.note(ctx, "keyward:CancelRootKeySession"); err != nil {
		return err
	}
	return a.sessions.Cancel(session, a.Now())
}

// Status answers how the server stands. When envelopes were tested is known only while
// unsealed: a sealed server could not tell whether somebody changed it.
func (a *App) Status(ctx context.Context) (out operator.Status, err error) {
	envelopes, err := a.db.Envelopes(ctx)
	if err != nil {
		return operator.Status{}, err
	}
	out = operator.Status{Initialized: len(envelopes) > 0, Sealed: true, Version: a.Version, Node: a.Config.Node, Envelopes: envelopes}
	err = a.with(func(e *engine) (err error) {
		out.Sealed, out.Checkpoint, out.PublicKey, out.Epoch = false, e.log.Checkpoint(), e.identity.PublicKey, e.keyring.Epoch()
		if out.Rewrapping, err = e.store.Scheduled(ctx, custody.JobRewrap); err != nil {
			return err
		}
		out.Witnesses, out.Clock = e.witness.Status(), e.clock.Report()
		last := e.scrubber.Last()
		out.ScrubbedAt, out.Findings = last.Began, last.Count()
		out.Tests, err = e.root.Tests(ctx)
		return err
	})
	if fault.Is(err, fault.Sealed) {
		err = nil
	}
	return out, err
}
