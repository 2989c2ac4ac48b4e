package abuse

import (
	"context"
	"sync/atomic"

	"github.com/keyward/keyward/internal/audit"
)

// A failing is the store of an audit log around the real one, which can be told to fail.
type failing struct {
	audit.Store
	failure atomic.Pointer[failure] // nil while all is well
	hits    atomic.Int64            // how often it failed
}

// A failure is how a store fails.
type failure struct {
	step  step
	err   error // with which it fails; nil for hanging until its caller has no patience any more
	probe error // with which probes fail; nil if they do not
	head  error // with which the log's head cannot be read
}

// A step is where writing a record fails.
type step int

const (
	atBegin   step = iota
	atClaim        // of the nonces
	atChange       // of the rows, if the operation has any; a trigger in the database fails
	atInsert       // of the batch of records; a trigger again
	atHead         // moving the log's head; a trigger again
	atCommit       // nothing takes effect
	afterward      // everything took effect; only the answer is lost
	atDevice       // the journal's file fails, below the store; a change fails at its commit
)

// fail fails as it was told.
func (f *failing) fail(ctx context.Context, x *failure) error {
	f.hits.Add(1)
	if x.err == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return x.err
}

// Append implements audit.Store.
func (f *failing) Append(ctx context.Context, nonces [][]byte, build func([]bool) (audit.Batch, error)) error {
	x := f.failure.Load()
	if x == nil || x.step == atDevice {
		return f.Store.Append(ctx, nonces, build)
	}
	switch x.step {
	case atBegin:
		return f.fail(ctx, x)
	case atClaim, atChange:
		return f.Store.Append(ctx, nonces, func([]bool) (audit.Batch, error) { return audit.Batch{}, f.fail(ctx, x) })
	case afterward:
		if err := f.Store.Append(ctx, nonces, build); err != nil {
			return err
		}
		return f.fail(ctx, x)
	}
	return f.Store.Append(ctx, nonces, func(used []bool) (audit.Batch, error) {
		if _, err := build(used); err != nil {
			return audit.Batch{}, err
		}
		return audit.Batch{}, f.fail(ctx, x)
	})
}

// Shared implements audit.Store: no call shares a transaction with one that was begun before
// writing failed.
func (f *failing) Shared() bool { return true }

// Transact implements audit.Store.
func (f *failing) Transact(ctx context.Context, fn func(audit.Tx) error) error {
	x := f.failure.Load()
	if x == nil {
		return f.Store.Transact(ctx, fn)
	}
	switch x.step {
	case atBegin:
		return f.fail(ctx, x)
	case atClaim:
		return f.Store.Transact(ctx, func(tx audit.Tx) error { return fn(unclaimed{tx, func() error { return f.fail(ctx, x) }}) })
	case atCommit, atDevice:
		return f.Store.Transact(ctx, func(tx audit.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return f.fail(ctx, x)
		})
	case afterward:
		if err := f.Store.Transact(ctx, fn); err != nil {
			return err
		}
		return f.fail(ctx, x)
	}
	err := f.Store.Transact(ctx, fn)
	if err != nil {
		f.hits.Add(1) // the trigger
	}
	return err
}

// An unclaimed is a transaction that claims no nonces. Nothing comes after that, so that
// it need not be one of the real store.
type unclaimed struct {
	audit.Tx
	fail func() error
}

// Claim implements audit.Tx.
func (u unclaimed) Claim(context.Context, [][]byte) ([]bool, error) { return nil, u.fail() }

// Probe implements audit.Store.
func (f *failing) Probe(ctx context.Context) error {
	if x := f.failure.Load(); x != nil && x.probe != nil {
		f.hits.Add(1)
		return x.probe
	}
	return f.Store.Probe(ctx)
}

// Head implements audit.Store.
func (f *failing) Head(ctx context.Context, log string) (audit.Head, error) {
	if x := f.failure.Load(); x != nil && x.head != nil {
		return audit.Head{}, x.head
	}
	return f.Store.Head(ctx, log)
}
