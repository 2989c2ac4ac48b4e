package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/fault"
)

const (
	maxBatch  = 512                   // records of one group commit
	usualLeaf = 768                   // bytes, most leaves are shorter
	patience  = 2 * time.Second       // how long a caller, and a transaction, may wait
	turn      = 10 * time.Millisecond // for how long changes join a transaction: plain records wait meanwhile
)

// NonceLife is how long a nonce is remembered: twice the clock skew that signatures may
// have, and a minute.
const NonceLife = 31 * time.Minute

// A Log is one node's audit log. Its writer, [Log.Run], is the node's only writer to
// the store: it takes whatever is queued, writes it in one transaction and releases
// the callers when that is durable (group commit). Mutations pass through it too, in
// transactions that several share if each can be undone by itself. All other methods may be
// called concurrently.
type Log struct {
	store     Store
	origin    string
	signer    note.Signer
	publicKey string
	now       func() time.Time
	surprised func()

	idle   sync.Pool              // of *pending
	head   atomic.Pointer[[]byte] // newest durable checkpoint
	broken atomic.Pointer[error]  // why the log can never be written again by this process
	failed atomic.Bool            // the last attempt to write failed

	mu       sync.Mutex // guards the fields below
	queue    []*pending // that the writer has not taken, oldest first
	watching bool       // watchdog will go off
	watchdog *time.Timer
	arrived  chan struct{} // has an element if the queue may have one

	// The fields below belong to the goroutine of Run.
	tree       frontier
	at         time.Time   // of the last batch
	unsettled  bool        // the last commit's outcome is unknown
	changeNext bool        // it is a change's turn
	batch      []*pending  // memory for the batch in hand
	hashes     []tlog.Hash // memory for those of a batch
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
// remembers. A store that is behind, or that has another history, is refused: it was
// rolled back or replaced. Call Run to start the writer.
func Open(ctx context.Context, o Options) (*Log, error) {
	signer, err := note.NewSigner(o.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("opening audit log: reading its key: %w", err)
	}
	l := &Log{
		store: o.Store, origin: o.Origin, signer: signer, publicKey: o.PublicKey, now: o.Now, surprised: o.Surprised,
		idle: sync.Pool{New: newPending}, arrived: make(chan struct{}, 1),
	}
	l.watchdog = time.AfterFunc(patience, l.abandon)
	l.watchdog.Stop()
	head, err := o.Store.Head(ctx, o.Origin)
	if err != nil {
		return nil, fmt.Errorf("opening audit log: %w", err)
	}
	hashes := storedHashes{ctx, o.Store, o.Origin}
	if l.tree, err = loadFrontier(head.Size, hashes); err != nil {
		return nil, err
	}
	if head.Size > 0 {
		c, err := OpenCheckpoint(head.Checkpoint, o.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("opening audit log: %w", err)
		}
		if c.Size != head.Size || c.Root != l.tree.root() {
			return nil, fmt.Errorf("opening audit log: its records do not agree with its signed head; run `keyward audit verify`")
		}
	}
	if len(o.Remembered) > 0 {
		if err := continues(o.Remembered, o.PublicKey, head.Size, hashes); err != nil {
			return nil, err
		}
	}
	l.at = head.At
	l.head.Store(&head.Checkpoint)
	return l, nil
}

// errUnread says that a proof was not possible, because the store could not be read, and
// not that it failed.
var errUnread = errors.New("the stored hashes cannot be read")

// continues proves that a log of the given size contains the remembered checkpoint.
func continues(remembered []byte, publicKey string, size int64, hashes tlog.HashReader) error {
	c, err := OpenCheckpoint(remembered, publicKey)
	if err != nil {
		return fmt.Errorf("opening audit log: the remembered checkpoint: %w", err)
	}
	if c.Size > size {
		return fmt.Errorf("opening audit log: rollback suspected: this node has seen %d records, the database holds %d; restore the newest database", c.Size, size)
	}
	root, err := tlog.TreeHash(c.Size, hashes)
	if err != nil {
		return fmt.Errorf("opening audit log: %w: %w", errUnread, err)
	}
	if root != c.Root {
		return fmt.Errorf("opening audit log: rollback suspected: the first %d records are not those that this node has seen", c.Size)
	}
	return nil
}

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
	if rec.written || fault.Is(err, fault.AuditUnavailable) {
		return err
	}
	rec.Result, rec.Effects = resultOf(err), nil
	if failed := l.Append(ctx, rec); failed != nil {
		return failed
	}
	return err
}

// Append makes a record durable. It does not heed ctx's end, only the log's own
// patience of two seconds: a caller who hangs up does not unmake what happened.
func (l *Log) Append(_ context.Context, rec *Record) error {
	p := l.idle.Get().(*pending)
	p.rec, p.body = rec, rec.appendBody(p.body[:0])
	return l.submit(p)
}

// Commit makes a change and its record durable together, or neither. An error of
// change is answered as it is; rec is then not written.
func (l *Log) Commit(_ context.Context, rec *Record, change Change) error {
	rec.Result = ResultOK
	p := l.idle.Get().(*pending)
	p.rec, p.body, p.change = rec, p.body[:0], change
	return l.submit(p)
}

// submit hands p to the writer and waits for its answer.
func (l *Log) submit(p *pending) error {
	l.mu.Lock()
	p.since = time.Now()
	l.queue = append(l.queue, p)
	if !l.watching {
		l.watching = true
		l.watchdog.Reset(patience)
	}
	l.mu.Unlock()
	select {
	case l.arrived <- struct{}{}:
	default: // the writer will look anyway
	}
	err := <-p.done
	*p = pending{body: p.body, done: p.done}
	l.idle.Put(p)
	return err
}

// abandon answers the callers whose patience is over that nothing was done. What the
// writer has taken is not among them: its transaction is bounded by the same patience.
func (l *Log) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	late := 0
	for late < len(l.queue) && time.Since(l.queue[late].since) >= patience {
		l.queue[late].done <- fault.AuditUnavailable.New("the audit log could not be written in time; nothing was done; try again")
		late++
	}
	l.queue = slices.Delete(l.queue, 0, late)
	if l.watching = len(l.queue) > 0; l.watching {
		l.watchdog.Reset(patience - time.Since(l.queue[0].since))
	}
}

// Run is the writer. It returns when ctx ends, after writing what is queued.
func (l *Log) Run(ctx context.Context) error {
	probe := time.NewTicker(time.Second)
	defer probe.Stop()
	for ended := false; !ended; {
		select {
		case <-l.arrived:
		case <-probe.C:
			l.probe()
		case <-ctx.Done():
			ended = true
		}
		for l.gather() {
			l.write(l.batch)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 { // a timer that runs would keep the log, and its signing key, in memory
		l.watchdog.Stop()
		l.watching = false
	}
	return nil
}

// gather takes the next batch from the queue: all plain records, or the oldest change, in
// turns while there are both. So a plain record waits for one transaction at most, however
// many changes are queued, and a change for one batch. It answers false if there is none.
func (l *Log) gather() bool {
	// Whoever is ready to run may have a record as well: a batch costs the same for one as
	// for many. On an idle machine this returns at once.
	for before, now := -1, l.waiting(); now > before && now > 0; before, now = now, l.waiting() {
		runtime.Gosched()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next := func(p *pending) bool { return (p.change != nil) == l.changeNext }
	if !slices.ContainsFunc(l.queue, next) {
		l.changeNext = !l.changeNext
	}
	most := maxBatch
	if l.changeNext {
		most = 1
	}
	l.batch = l.batch[:0]
	l.queue = slices.DeleteFunc(l.queue, func(p *pending) bool {
		take := len(l.batch) < most && next(p)
		if take {
			l.batch = append(l.batch, p)
		}
		return take
	})
	l.changeNext = !l.changeNext
	return len(l.batch) > 0
}

// nextChange takes the oldest change from the queue, nil if there is none.
func (l *Log) nextChange() *pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.queue, func(p *pending) bool { return p.change != nil })
	if i < 0 {
		return nil
	}
	p := l.queue[i]
	l.queue = slices.Delete(l.queue, i, i+1)
	return p
}

// waiting answers how long the queue is.
func (l *Log) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// Writable tells whether the last attempt to write succeeded. After a failure the
// writer tries once a second by itself.
func (l *Log) Writable() bool { return !l.failed.Load() && l.broken.Load() == nil }

// probe finds out whether a log that failed can be written again, by writing something
// that means nothing.
func (l *Log) probe() {
	if !l.failed.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l.failed.Store(l.store.Probe(ctx) != nil)
}

// write makes one batch durable and answers its callers.
func (l *Log) write(batch []*pending) {
	w := &writing{log: l, batch: batch, next: l.tree}
	defer func() { l.batch = w.batch[:0] }()
	answer := func(err error) {
		for _, p := range slices.Concat(w.batch, w.undone) {
			p.done <- err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.settle(ctx); err != nil {
		l.failed.Store(true)
		answer(fault.AuditUnavailable.Wrap(err, "the audit log cannot be written; nothing was done; try again"))
		return
	}
	var err error
	if batch[0].change == nil {
		err = l.store.Append(ctx, w.nonces(), w.build)
	} else {
		err = l.store.Transact(ctx, func(tx Tx) error { return w.commit(ctx, tx) })
	}
	var failed *changeError
	if errors.As(err, &failed) {
		answer(failed.cause) // it was alone, and rolled back: nothing happened
		return
	}
	if err != nil {
		l.unsettled = true
		l.failed.Store(true)
		committed, settleErr := l.outcome(w.out)
		if settleErr != nil || !committed {
			answer(fault.AuditUnavailable.Wrap(errors.Join(err, settleErr), "the audit log could not be written, and it is not certain that nothing was done; look before you try again"))
			return
		}
	}
	// The batch is durable.
	l.tree, l.at, l.unsettled = w.next, w.out.At, false
	l.failed.Store(false)
	l.head.Store(&w.out.Checkpoint)
	for _, p := range w.batch {
		p.rec.written = true
		if p.used {
			p.failed = fault.NonceUsed.New("Specified signature nonce was used already.")
		}
		p.done <- p.failed
	}
	for _, p := range w.undone {
		p.done <- p.failed
	}
}

// settle makes sure, after a commit of unknown outcome, that memory and store agree
// again before anything else is written. The store may have what was answered as
// failed, but nothing else than a continuation of what this process has signed.
func (l *Log) settle(ctx context.Context) error {
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
	if err := l.extends(head, tree, hashes); err != nil {
		if !errors.Is(err, errUnread) {
			l.broken.Store(&err)
		}
		return err
	}
	grown := head.Size > l.tree.size
	l.tree, l.at, l.unsettled = tree, head.At, false
	l.head.Store(&head.Checkpoint)
	if grown {
		// What the waiting operations saw may have been out of date: they must look again.
		if l.surprised != nil {
			l.surprised()
		}
		return errors.New("a commit that had seemed to fail took effect")
	}
	return nil
}

// extends proves that the store's log is signed by this log's key and contains the
// newest head that this process knows of.
func (l *Log) extends(head Head, tree frontier, hashes tlog.HashReader) error {
	if head.Size > 0 {
		c, err := OpenCheckpoint(head.Checkpoint, l.publicKey)
		if err != nil {
			return err
		}
		if c.Size != head.Size || c.Root != tree.root() {
			return fmt.Errorf("writing audit log %q: its records do not agree with its signed head; run `keyward audit verify`", l.origin)
		}
	}
	if known := l.Checkpoint(); len(known) > 0 {
		return continues(known, l.publicKey, head.Size, hashes)
	}
	return nil
}

// outcome tells whether a batch whose commit answered an error is durable all the same.
func (l *Log) outcome(b Batch) (bool, error) {
	if b.Checkpoint == nil {
		return false, nil
	}
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
