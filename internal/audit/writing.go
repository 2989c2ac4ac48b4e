package audit

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/fault"
)

// pending is one record on its way to the writer.
type pending struct {
	rec    *Record
	body   []byte // of the leaf, encoded by the caller: the writer is one for all
	change Change
	used   bool       // its nonce was used before: it is recorded as refused, and its change does not happen
	failed error      // of the change, which was undone
	since  time.Time  // when it was queued
	done   chan error // buffered; receives one answer, of the writer or of the watchdog
}

func newPending() any {
	return &pending{body: make([]byte, 0, usualLeaf), done: make(chan error, 1)}
}

// changeError marks an error of a Change, as opposed to one of the log.
type changeError struct{ cause error }

func (e *changeError) Error() string { return e.cause.Error() }

// A writing is one attempt to make a batch durable.
type writing struct {
	log    *Log
	batch  []*pending
	undone []*pending // whose change failed: nothing of it is in the batch
	next   frontier   // of the log with the batch
	out    Batch
	atEnd  bool // a writing of changes holds the log's end
}

// errMeanwhile says that a batch of records failed while changes were applied: until it is known
// what became of it nothing is written.
var errMeanwhile = fault.AuditUnavailable.New("the audit log cannot be written; nothing was done; try again")

func (w *writing) reachEnd() {
	if !w.atEnd {
		w.log.end.Lock()
		w.atEnd = true
	}
}

func (w *writing) leaveEnd() {
	if w.atEnd {
		w.log.end.Unlock()
		w.atEnd = false
	}
}

// answer releases the callers: with err, or, when the batch is durable, each with its own.
func (w *writing) answer(err error) {
	if err == nil {
		l := w.log
		l.tree, l.at, l.unsettled = w.next, w.out.At, false
		l.failed.Store(false)
		l.head.Store(&w.out.Checkpoint)
	}
	for _, p := range w.batch {
		if err == nil && p.used {
			p.failed = fault.NonceUsed.New("Specified signature nonce was used already.")
		}
		p.rec.written = err == nil
		p.done <- cmp.Or(err, p.failed)
	}
	for _, p := range w.undone {
		p.done <- cmp.Or(err, p.failed)
	}
}

// nonces answers the nonces of the batch, in its order; a record may have none.
func (w *writing) nonces() [][]byte {
	out := make([][]byte, 0, len(w.batch))
	for _, p := range w.batch {
		if p.rec.Nonce != nil {
			out = append(out, p.rec.Nonce)
		}
	}
	return out
}

// commit applies a change, and those that come while its turn lasts, and writes their records
// with them. Only for that it needs the log's end.
func (w *writing) commit(ctx context.Context, tx Tx) error {
	end := time.Now().Add(turn)
	if err := w.apply(ctx, tx, w.batch[0]); err != nil {
		return err
	}
	for !w.log.store.Shared() && time.Now().Before(end) {
		next := w.log.changes.take(nil, 1)
		if len(next) == 0 {
			break
		}
		p := next[0]
		w.batch = append(w.batch, p)
		err := tx.Try(ctx, func() error { return w.apply(ctx, tx, p) })
		var failed *changeError
		if errors.As(err, &failed) {
			p.failed = failed.cause
			w.batch, w.undone = w.batch[:len(w.batch)-1], append(w.undone, p)
		} else if err != nil {
			return err
		}
	}
	if w.reachEnd(); w.log.unsettled {
		return errMeanwhile
	}
	out, err := w.build(nil)
	if err != nil {
		return err
	}
	return tx.Append(ctx, out)
}

// apply claims the nonce of a change, runs it and encodes its record.
func (w *writing) apply(ctx context.Context, tx Tx, p *pending) error {
	one := writing{batch: []*pending{p}}
	used, err := tx.Claim(ctx, one.nonces())
	if err != nil {
		return err
	}
	if p.used = slices.Contains(used, true); !p.used {
		if p.rec.Effects, err = p.change(ctx, tx); err != nil {
			return &changeError{err}
		}
	}
	if p.body = p.rec.appendBody(p.body[:0]); w.leaf(p) > MaxLeaf {
		return &changeError{fault.LimitExceeded.New("the operation touches too much for one audit record; split it")}
	}
	return nil
}

// leaf answers how many bytes the leaf of a record will have, or a few more.
func (w *writing) leaf(p *pending) int {
	const beginning = 96 // before the body, without the log's name
	return len(p.body) + len(w.log.origin) + beginning
}

// build makes the batch. used tells which of the nonces were used before, if it was not known.
func (w *writing) build(used []bool) (Batch, error) {
	l := w.log
	w.next = l.tree
	now := l.now().UTC().Truncate(time.Microsecond)
	if now.Before(l.at) {
		now = l.at // the clock was set back
	}
	size := 0 // the store keeps the leaves for a while
	for _, p := range w.batch {
		size += w.leaf(p)
	}
	w.out = Batch{Log: l.origin, First: w.next.size, Count: int64(len(w.batch)), At: now, Leaves: make([]byte, 0, size)}
	hashes := l.hashes[:0]
	for _, p := range w.batch {
		if p.rec.Nonce != nil && len(used) > 0 {
			p.used, used = used[0], used[1:]
		}
		if p.used {
			p.rec.Result, p.rec.Effects, p.body = string(fault.NonceUsed), nil, p.body[:0]
		}
		if len(p.body) == 0 {
			p.body = p.rec.appendBody(p.body)
		}
		p.rec.Time = now
		start := len(w.out.Leaves)
		w.out.Leaves = append(appendTime(appendPlace(w.out.Leaves, l.origin, w.next.size), now), p.body...)
		hashes = w.next.add(w.out.Leaves[start:], hashes)
		w.out.Leaves = append(w.out.Leaves, '\n')
	}
	l.hashes = hashes
	w.out.Hashes = make([]byte, 0, tlog.HashSize*len(hashes))
	for i := range hashes {
		w.out.Hashes = append(w.out.Hashes, hashes[i][:]...)
	}
	var err error
	w.out.Checkpoint, err = Checkpoint{l.origin, w.next.size, w.next.root()}.sign(l.signer)
	return w.out, err
}
