package audit

import (
	"context"
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
	log   *Log
	batch []*pending
	used  []bool   // whose nonce was used before: it is recorded as refused, and its change does not happen
	next  frontier // of the log with the batch
	out   Batch
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

// commit applies a change and writes its record with it.
func (w *writing) commit(ctx context.Context, tx Tx) error {
	used, err := tx.Claim(ctx, w.nonces())
	if err != nil {
		return err
	}
	p := w.batch[0]
	if !slices.Contains(used, true) {
		if p.rec.Effects, err = p.change(ctx, tx); err != nil {
			return &changeError{err}
		}
	}
	out, err := w.build(used)
	if err != nil {
		return err
	}
	if len(out.Leaves) > maxLeaf+1 {
		return &changeError{fault.LimitExceeded.New("the operation touches too much for one audit record; split it")}
	}
	return tx.Append(ctx, out)
}

// size answers how many bytes the leaves of the batch will have, or a few more: the store
// keeps them for a while.
func (w *writing) size() int {
	const beginning = 96 // of a leaf, before its body, without the log's name
	size := 0
	for _, p := range w.batch {
		size += len(p.body) + len(w.log.origin) + beginning
	}
	return size
}

// build makes the batch. used tells which of the nonces were used before.
func (w *writing) build(used []bool) (Batch, error) {
	l := w.log
	now := l.now().UTC().Truncate(time.Microsecond)
	if now.Before(l.at) {
		now = l.at // the clock was set back
	}
	w.used = make([]bool, len(w.batch))
	w.out = Batch{Log: l.origin, First: w.next.size, Count: int64(len(w.batch)), At: now, Leaves: make([]byte, 0, w.size())}
	hashes := l.hashes[:0]
	for i, p := range w.batch {
		if p.rec.Nonce != nil {
			w.used[i], used = used[0], used[1:]
		}
		if w.used[i] {
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
