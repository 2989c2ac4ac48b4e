package app

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/audit/export"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/erase"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/hsm"
	"github.com/keyward/keyward/internal/iam"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/seal"
)

// unsealPause is between attempts to unseal with a token that is not there.
const unsealPause = 5 * time.Second

// unsealAtStart unseals the server if it is initialised and a passphrase is at hand.
// A passphrase that is there but wrong stops the start; none leaves it sealed.
func (a *App) unsealAtStart(ctx context.Context, start startPassphrase) error {
	defer start.passphrase.Zero()
	envelopes, err := a.db.Envelopes(ctx)
	if err != nil {
		return err
	}
	if len(envelopes) == 0 {
		a.Logger.Info("not initialised; run: keyward operator init")
		return nil
	}
	if fault.Is(start.err, fault.MissingParameter) {
		a.Logger.Info("sealed; run: keyward operator unseal")
		return nil
	}
	if start.err != nil {
		return start.err
	}
	err = a.Unseal(ctx, start.passphrase)
	if fault.Is(err, fault.WrongPassphrase) || err != nil && !seal.OpensWithPassphrase(envelopes) {
		return fault.KindOf(err).Wrap(err, "the passphrase from %s does not unseal this server: %s; correct it, or start the server without a passphrase and run: keyward operator unseal", start.source, fault.TextOf(err))
	}
	if err != nil {
		return err
	}
	a.Logger.Info("the passphrase came from", "source", start.source)
	return nil
}

// unsealByToken unseals the server when it starts, as soon as token and database are there.
// Whoever unseals it otherwise meanwhile, or has no such envelope, ends that.
func (a *App) unsealByToken(ctx context.Context) error {
	if !a.Config.Seal.HSM {
		return nil
	}
	said := ""
	for {
		envelopes, err := a.db.Envelopes(ctx)
		if err == nil && !seal.OpensWithDevice(envelopes) || a.requireSealed() != nil {
			return nil
		}
		if err == nil {
			err = a.unseal(ctx, nil, func() (*seal.Root, error) { return a.openByToken(ctx) })
		}
		if err == nil {
			a.Logger.Info("the hardware token unsealed the server")
			return nil
		}
		if a.requireSealed() != nil { // somebody was faster
			return nil
		}
		if text := err.Error(); text != said && ctx.Err() == nil {
			said = text
			a.Logger.Error("the hardware token does not unseal the server; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(unsealPause):
		}
	}
}

// A startPassphrase is what was found to unseal the server with when it starts.
type startPassphrase struct {
	passphrase material.Bytes
	source     string
	err        error // matters only if the server is initialised
}

func (a *App) findPassphrase() (p startPassphrase) {
	if path := a.Config.Seal.PassphraseFile; path != "" {
		p.source = path
		p.passphrase, p.err = seal.ReadPassphrase(path)
		return p
	}
	p.passphrase, p.source, p.err = seal.PassphraseFromEnvironment()
	return p
}

// Seal stops the engine, when the requests in flight are done, and erases the keys. It
// does so also when that cannot be recorded, and then says so: who must take the keys out
// of a machine cannot wait for a disk.
func (a *App) Seal(ctx context.Context) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	a.mu.Lock()
	e := a.engine
	a.engine = nil // from now on requests are refused
	a.mu.Unlock()
	if e == nil {
		return nil
	}
	e.agents.Close() // agents wait for a minute
	e.inFlight.Wait()
	err := e.log.Append(ctx, operatorRecord(a.operatorCall(), "keyward:Seal"))
	e.stop()
	a.sessions.Clear()
	e = nil // the last reference to everything that was unwrapped
	erase.Heap()
	a.Logger.Info("sealed")
	if err != nil {
		return fault.AuditUnavailable.Wrap(err, "the server is sealed, but that could not be recorded: the audit log cannot be written")
	}
	return nil
}

// Token answers how the hardware token stands.
func (a *App) Token(ctx context.Context) (hsm.Status, error) { return a.token.Status(ctx) }

// Scrub looks at everything that the database holds.
func (a *App) Scrub(ctx context.Context) (out api.ScrubReport, err error) {
	err = a.with(func(e *engine) error {
		r, err := e.scrubber.Scrub(ctx, a.operatorCall())
		out = api.ScrubReport{
			StartedAt: r.Began, Milliseconds: r.Took.Milliseconds(), Rows: r.Rows, Records: r.Records, More: r.More, Findings: []api.Finding{},
		}
		for _, f := range r.Findings {
			out.Findings = append(out.Findings, api.Finding{Problem: string(f.Problem), Table: f.Table, ID: f.ID, Detail: f.Detail})
		}
		return err
	})
	return out, err
}

// AcceptClock believes the clock of this node as it is, as the operator.
func (a *App) AcceptClock(ctx context.Context) error {
	return a.with(func(e *engine) error {
		rec := operatorRecord(a.operatorCall(), "keyward:AcceptClock")
		return e.log.Do(ctx, rec, func() error { return e.clock.Accept(ctx, rec) })
	})
}

// CreateAccount makes an account, as the operator.
func (a *App) CreateAccount(ctx context.Context, name string) (out iam.Founded, err error) {
	err = a.with(func(e *engine) (err error) {
		out, err = e.iam.CreateAccount(ctx, a.operatorCall(), name)
		return err
	})
	return out, err
}

// ListAccounts answers one page of the accounts.
func (a *App) ListAccounts(ctx context.Context, page iam.Page) (out iam.List[iam.Account], err error) {
	err = a.with(func(e *engine) (err error) {
		out, err = e.iam.ListAccounts(ctx, a.operatorCall(), page)
		return err
	})
	return out, err
}

// SuspendApprovalRule has a rule about approvals demand nothing for a while, as the operator.
func (a *App) SuspendApprovalRule(ctx context.Context, account, rule string, while time.Duration) (out approval.Rule, err error) {
	err = a.with(func(e *engine) error {
		out, err = e.approvals.Suspend(ctx, a.operatorCall(), account, rule, while)
		return err
	})
	return out, err
}

// Prove answers a proof that a log holds a record. It works sealed, too.
func (a *App) Prove(ctx context.Context, log string, seq int64) ([]byte, error) {
	if err := a.note(ctx, "keyward:ProveAuditRecord"); err != nil {
		return nil, err
	}
	return audit.Prove(ctx, a.db, log, seq)
}

// note records what the operator reads; while the server is sealed nothing can be recorded.
func (a *App) note(ctx context.Context, action string) error {
	err := a.with(func(e *engine) error { return e.log.Append(ctx, operatorRecord(a.operatorCall(), action)) })
	if fault.Is(err, fault.Sealed) {
		return nil
	}
	return err
}

// Export writes every audit log whole. It works sealed, too.
func (a *App) Export(ctx context.Context, w io.Writer) error {
	err := a.with(func(e *engine) error {
		return e.log.Append(ctx, operatorRecord(a.operatorCall(), "keyward:ExportAudit"))
	})
	if err != nil && !fault.Is(err, fault.Sealed) {
		return err
	}
	logs, err := a.db.Logs(ctx)
	if err != nil {
		return err
	}
	for _, id := range logs {
		err = errors.Join(err, export.Write(ctx, a.db, id, w))
	}
	return err
}

// with runs fn with the engine, or answers that there is none.
func (a *App) with(fn func(*engine) error) error {
	e := a.enterEngine()
	defer e.leave()
	if e == nil {
		return fault.Sealed.New("the server is sealed; run: keyward operator unseal")
	}
	return fn(e)
}

// operatorCall is the call of whoever may open the operator's socket.
func (a *App) operatorCall() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "operator"}, Time: a.now(), Scheme: "operator-socket"}
}

// jobCall is the call of keyward's own work on what is the operator's.
func (a *App) jobCall() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Kind: authz.Service, Name: "custody"}, Time: a.Now(), Scheme: "job"}
}

func operatorRecord(c *authz.Call, action string) *audit.Record {
	r := audit.NewRecord(c, action)
	r.Result = audit.ResultOK
	return r
}
