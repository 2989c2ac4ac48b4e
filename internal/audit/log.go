package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

const (
	maxBatch  = 512                   // records of one group commit
	usualLeaf = 768                   // bytes, most leaves are shorter
	patience  = 2 * time.Second       // how long a caller, and a transaction, may wait
	turn      = 10 * time.Millisecond // for how long changes join a transaction
)

// NonceLife is how long a nonce is remembered: twice the clock skew that signatures may
// have, and a minute.
const NonceLife = 31 * time.Minute

// A Log is one node's audit log. [Log.Run] is the node's only writer to the store: it takes
// whatever is queued, writes it together and releases the callers when that is durable (group
// commit). Plain records and changes have a writer each, so that a record waits for the end
// of a transaction and not for what is done in it. All other methods may be called
// concurrently.
type Log struct {
	store     Store
	origin    string
	signer    note.Signer
	publicKey string
	now       func() time.Time
	surprised func()

	idle    sync.Pool              // of *pending
	head    atomic.Pointer[[]byte] // newest durable checkpoint
	broken  atomic.Pointer[error]  // why the log can never be written again by this process
	failed  atomic.Bool            // the last attempt to write failed
	records *queue                 // without a change
	changes *queue

	changing sync.Mutex // held while a transaction is under way; locked before end

	end       sync.Mutex // of the log: held while a batch is built and made durable; guards the fields below
	tree      frontier
	at        time.Time   // of the last batch
	unsettled bool        // the last commit's outcome is unknown
	hashes    []tlog.Hash // memory for those of a batch

	batch []*pending // memory of the writer of records
}

// Options says what a Log is made of.
type Options struct {
	Store      Store
	Origin     string           // name of the log, unique to the node
	PrivateKey string           // note signer key
	PublicKey  string           // note verifier key
	Remembered []byte           // newest checkpoint that this node kept outside the store, or nil
	Now        func() time.Time // clock
	// Surprised is called when it turns out that a commit which was answered as failed
	// took effect after all: whatever is cached may be wrong. May be nil.
	Surprised func()
}

// Open reads where the log stands and verifies that it continues what this node
// remembers. A store that is behind, or that has another history, is refused as a
// StateConflict fault: it was rolled back or replaced. Call Run to start the writer.
func Open(ctx context.Context, o Options) (*Log, error) {
	signer, err := note.NewSigner(o.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("opening audit log: reading its key: %w", err)
	}
	l := &Log{
		store: o.Store, origin: o.Origin, signer: signer, publicKey: o.PublicKey, now: o.Now, surprised: o.Surprised,
		idle: sync.Pool{New: newPending}, records: newQueue(), changes: newQueue(),
	}
	head, err := o.Store.Head(ctx, o.Origin)
	if err != nil {
		return nil, fmt.Errorf("opening audit log: %w", err)
	}
	hashes := storedHashes{ctx, o.Store, o.Origin}
	if l.tree, err = loadFrontier(head.Size, hashes); err != nil {
		return nil, err
	}
	if err := l.extends(o.Remembered, head, l.tree, hashes); err != nil {
		return nil, fmt.Errorf("opening audit log: %w", err)
	}
	l.at = head.At
	l.head.Store(&head.Checkpoint)
	return l, nil
}

// errUnread says that a proof was not possible, because the store could not be read, and
// not that it failed.
var errUnread = errors.New("the stored hashes cannot be read")

// Now answers the time by the log's clock.
func (l *Log) Now() time.Time { return l.now() }

// Origin answers the log's name.
func (l *Log) Origin() string { return l.origin }

// Checkpoint answers the newest durable signed checkpoint; empty for an empty log.
func (l *Log) Checkpoint() []byte { return *l.head.Load() }

// Do runs one operation and sees to it that it ends in exactly one record: if fn did
// not commit rec with a change, rec is appended with fn's outcome. When the record
// cannot be written Do answers [fault.AuditUnavailable], and when its nonce was seen
// before [fault.NonceUsed]; in both cases the caller must drop what fn computed.
func (l *Log) Do(ctx context.Context, rec *Record, fn func() error) error {
	err := fn()
	if err == nil && !rec.written && rec.uses() != nil { // it changed nothing else
		err = l.Commit(ctx, rec, func(context.Context, Tx) ([]Effect, error) { return nil, nil })
	}
	if rec.written || fault.Is(err, fault.AuditUnavailable) {
		return err
	}
	rec.Result, rec.Effects = resultOf(err), nil
	if failed := l.Append(ctx, rec); failed != nil {
		return failed
	}
	return err
}

// Perform is Do for an operation on one resource: it asks the caller's policies first.
func (l *Log) Perform(ctx context.Context, c *authz.Call, action, resource string, fn func(*Record) error) error {
	rec := NewRecord(c, action)
	return l.Do(ctx, rec, func() error {
		if err := rec.Permit(c, authz.Request{Resource: resource}); err != nil {
			return err
		}
		return fn(rec)
	})
}

// Kept drops the result of an operation that failed, in particular of one whose record could
// not be written: what is not recorded does not leave.
func Kept[T any](out T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

// Append makes a record durable. It does not heed ctx's end, only the log's own
// patience of two seconds: a caller who hangs up does not unmake what happened.
func (l *Log) Append(_ context.Context, rec *Record) error {
	p := l.idle.Get().(*pending)
	p.rec, p.body = rec, rec.appendBody(p.body[:0])
	return l.submit(l.records, p)
}

// Commit makes a change and its record durable together, or neither. An error of
// change is answered as it is; rec is then not written. An approval that let the operation
// through is used up first: if it cannot be, any more, the change is not made.
func (l *Log) Commit(_ context.Context, rec *Record, change Change) error {
	rec.Result = ResultOK
	if use := rec.uses(); use != nil {
		change = both(use, change)
	}
	p := l.idle.Get().(*pending)
	p.rec, p.body, p.change = rec, p.body[:0], change
	return l.submit(l.changes, p)
}

// both answers two changes as one.
func both(first, second Change) Change {
	return func(ctx context.Context, tx Tx) ([]Effect, error) {
		effects, err := first(ctx, tx)
		if err != nil {
			return nil, err
		}
		more, err := second(ctx, tx)
		return append(effects, more...), err
	}
}

// submit hands p to its writer and waits for the answer.
func (l *Log) submit(q *queue, p *pending) error {
	q.put(p)
	err := <-p.done
	*p = pending{body: p.body, done: p.done}
	l.idle.Put(p)
	return err
}

// Run is the writer. It returns when ctx ends, after writing what is queued.
func (l *Log) Run(ctx context.Context) error {
	var writers sync.WaitGroup
	writers.Go(func() { l.records.serve(ctx, l.writeRecords) })
	writers.Go(func() { l.changes.serve(ctx, l.writeChanges) })
	writers.Go(func() { l.probes(ctx) })
	writers.Wait()
	return nil
}

// Writable tells whether the last attempt to write succeeded. After a failure the
// writer tries once a second by itself.
func (l *Log) Writable() bool { return !l.failed.Load() && l.broken.Load() == nil }

// probes finds out, once a second, whether a log that failed can be written again, by
// writing something that means nothing.
func (l *Log) probes(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-second.C:
			if l.failed.Load() {
				l.probe()
			}
		case <-ctx.Done():
			return
		}
	}
}

func (l *Log) probe() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	defer l.enter()()
	l.failed.Store(l.store.Probe(ctx) != nil)
}

// enter locks the log's end for who makes no change. After a failure it keeps changes away,
// too: what mends the store needs transactions of its own.
func (l *Log) enter() (leave func()) {
	l.end.Lock()
	if !l.unsettled && !l.failed.Load() {
		return l.end.Unlock
	}
	l.end.Unlock()
	l.changing.Lock()
	l.end.Lock()
	return func() { l.end.Unlock(); l.changing.Unlock() }
}

// writeRecords makes a batch of records durable and answers their callers.
func (l *Log) writeRecords() {
	// Whoever is ready to run may have a record as well: a batch costs the same for one as
	// for many. On an idle machine this returns at once.
	for before, now := -1, l.records.length(); now > before; before, now = now, l.records.length() {
		runtime.Gosched()
	}
	w := &writing{log: l, batch: l.records.take(l.batch[:0], maxBatch)}
	if len(w.batch) == 0 {
		return // they were answered meanwhile: their patience was over, or settling refused them
	}
	defer func() { l.batch = w.batch[:0] }()
	leave := l.enter()
	defer func() { leave() }()
	ctx, cancel := context.WithTimeout(context.Background(), patience) // not spent on waiting for the other writer
	defer cancel()
	if err := l.settle(ctx); err != nil {
		w.answer(err)
		return
	}
	err := l.store.Append(ctx, w.nonces(), w.build)
	if err != nil {
		l.doubt()
		leave()
		leave = l.enter()
		err = l.outcome(w.out, err)
	}
	w.answer(err)
}

// writeChanges makes the oldest change and those that may share its transaction durable, with
// their records, and answers their callers.
func (l *Log) writeChanges() {
	l.changing.Lock()
	defer l.changing.Unlock()
	w := &writing{log: l, batch: l.changes.take(nil, 1)}
	if len(w.batch) == 0 {
		return // its patience was over
	}
	w.reachEnd()
	defer w.leaveEnd()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.settle(ctx); err != nil {
		w.answer(err)
		return
	}
	if !l.store.Shared() { // else a record could wait, at the end, for rows of the change
		w.leaveEnd()
	}
	err := l.store.Transact(ctx, func(tx Tx) error { return w.commit(ctx, tx) })
	var failed *changeError
	if errors.As(err, &failed) {
		w.answer(failed.cause) // it was alone, and rolled back: nothing happened
		return
	}
	w.reachEnd()
	if err != nil && !errors.Is(err, errMeanwhile) {
		l.doubt()
		err = l.outcome(w.out, err)
	}
	w.answer(err)
}

// doubt says that the last commit's outcome is unknown.
func (l *Log) doubt() {
	l.unsettled = true
	l.failed.Store(true)
}

// settle makes sure, after a commit of unknown outcome, that memory and store agree
// again before anything else is written. The store may have what was answered as
// failed, but nothing else than a continuation of what this process has signed.
func (l *Log) settle(ctx context.Context) error {
	err := l.agree(ctx)
	if err == nil {
		return nil
	}
	l.failed.Store(true)
	refusal := fault.AuditUnavailable.Wrap(err, "the audit log cannot be written; nothing was done; try again")
	if errors.Is(err, errLate) { // what those who wait saw may be out of date, too: they must look again
		l.records.refuse(refusal)
		l.changes.refuse(refusal)
	}
	return refusal
}

// errLate says that caches were out of date.
var errLate = errors.New("a commit that had seemed to fail took effect")

func (l *Log) agree(ctx context.Context) error {
	if broken := l.broken.Load(); broken != nil {
		return *broken
	}
	if !l.unsettled {
		return nil
	}
	// What was answered as failed may lie on the disk unseen and come to life after a
	// crash. Something durable that comes later decides its fate.
	if err := l.store.Probe(ctx); err != nil {
		return err
	}
	head, err := l.store.Head(ctx, l.origin)
	if err != nil {
		return err
	}
	hashes := storedHashes{ctx, l.store, l.origin}
	tree, err := loadFrontier(head.Size, hashes)
	if err != nil {
		return err
	}
	if err := l.extends(l.Checkpoint(), head, tree, hashes); err != nil {
		if !errors.Is(err, errUnread) {
			l.broken.Store(&err)
		}
		return err
	}
	grown := head.Size > l.tree.size
	l.tree, l.at, l.unsettled = tree, head.At, false
	l.head.Store(&head.Checkpoint)
	if grown {
		if l.surprised != nil {
			l.surprised()
		}
		return errLate
	}
	return nil
}

// extends proves that the store's log is signed by this log's key and contains the checkpoint
// that is known of it, if there is one. A store that was rolled back, or that was changed, is a
// StateConflict fault, or one without a kind where a signature does not verify.
func (l *Log) extends(known []byte, head Head, tree frontier, hashes tlog.HashReader) error {
	if head.Size > 0 {
		c, err := OpenCheckpoint(head.Checkpoint, l.publicKey)
		if err != nil {
			return err
		}
		if c.Size != head.Size || c.Root != tree.root() {
			return fault.StateConflict.New("the records of audit log %q do not agree with its signed head; run: keyward audit verify", l.origin)
		}
	}
	if len(known) == 0 {
		return nil
	}
	c, err := OpenCheckpoint(known, l.publicKey)
	if err != nil {
		return fmt.Errorf("the remembered checkpoint: %w", err)
	}
	if c.Size > head.Size {
		return fault.StateConflict.New("rollback suspected: this node has seen %d records, the database holds %d; restore the newest database", c.Size, head.Size)
	}
	root, err := tlog.TreeHash(c.Size, hashes)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnread, err)
	}
	if root != c.Root {
		return fault.StateConflict.New("rollback suspected: the first %d records are not those that this node has seen; restore the newest database", c.Size)
	}
	return nil
}

// outcome answers nil if a batch whose commit answered failed is durable all the same.
func (l *Log) outcome(b Batch, failed error) error {
	if b.Checkpoint == nil { // it came to no batch
		return fault.AuditUnavailable.Wrap(failed, "the audit log cannot be written; nothing was done; try again")
	}
	committed, err := l.durable(b)
	if committed && err == nil {
		return nil
	}
	return fault.AuditUnavailable.Wrap(errors.Join(failed, err), "the audit log could not be written, and it is not certain that nothing was done; look before you try again")
}

func (l *Log) durable(b Batch) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	head, err := l.store.Head(ctx, l.origin)
	if err != nil || !bytes.Equal(head.Checkpoint, b.Checkpoint) {
		return false, err
	}
	// It is visible. It is durable, also on a synchronous replica, once something
	// later is.
	return true, l.store.Probe(ctx)
}

// storedHashes lets tlog read a log's hashes from its store.
type storedHashes struct {
	ctx   context.Context
	store Reader
	log   string
}

// ReadHashes implements tlog.HashReader.
func (h storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	return h.store.Hashes(h.ctx, h.log, indexes)
}
