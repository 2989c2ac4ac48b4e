package audit

import (
	"context"
	"errors"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrConflict is answered by [Tx.Append] when the log in the store does not have the
// size that the batch continues: another process writes the same log.
var ErrConflict = errors.New("another process writes the same audit log")

// A Batch is a run of consecutive records that became durable together.
type Batch struct {
	Log        string
	First      int64     // sequence number of the first record
	Count      int64     // number of records
	At         time.Time // when the batch was written, microseconds; never before its predecessor; its leaves say so, too
	Leaves     []byte    // the leaves, one a line, each ended by '\n'
	Hashes     []byte    // the stored hashes that the records add, 32 bytes each, in tlog's order
	Checkpoint []byte    // signed head of the log after this batch
}

// A Head is where a log stands in its store.
type Head struct {
	Size       int64
	At         time.Time
	Checkpoint []byte // signed; empty for an empty log
}

// An Identity is a log's name and keys.
type Identity struct {
	Origin    string
	PublicKey string // golang.org/x/mod/sumdb/note verifier key
	SealedKey []byte // the signer key, sealed under the keyring's audit label
}

// A Reader reads logs back. Its methods may be called concurrently.
type Reader interface {
	// Logs answers the identities of all logs in the store, by origin.
	Logs(ctx context.Context) ([]Identity, error)
	// Head answers where the log stands; an unknown log is empty.
	Head(ctx context.Context, log string) (Head, error)
	// Batches calls yield for the batches of the log in ascending order, beginning with
	// the one that holds record first, until yield fails; it answers yield's error.
	Batches(ctx context.Context, log string, first int64, yield func(Batch) error) error
	// Hashes answers stored hashes by their tlog index.
	Hashes(ctx context.Context, log string, indexes []int64) ([]tlog.Hash, error)
	// Search calls yield for the batches of all logs that come after (or, backwards,
	// before) the position in the order (At, Log, First), until yield answers false.
	Search(ctx context.Context, from Position, backwards bool, yield func(Batch) (bool, error)) error
}

// A Position is a place in the order of all batches of all logs.
type Position struct {
	At    time.Time
	Log   string
	First int64
}

// A Store is where logs live. Beside reading it offers one thing: a transaction
// that is durable (synced) when it has committed.
type Store interface {
	Reader
	// CreateLog stores a new log's identity.
	CreateLog(ctx context.Context, id Identity) error
	// Append claims nonces and makes a batch durable that build makes of what was already
	// claimed. An error of build is answered as it is and nothing has changed; any other
	// error leaves open whether the batch is durable. A store that is not shared appends while
	// a transaction is under way that has not appended yet, and does not wait for it unless
	// it must mend something.
	Append(ctx context.Context, nonces [][]byte, build func(used []bool) (Batch, error)) error
	// Transact runs fn in one transaction and commits it when fn answers nil. An error
	// of fn is answered as it is and nothing has changed; any other error leaves open
	// whether the transaction committed.
	Transact(ctx context.Context, fn func(Tx) error) error
	// Shared tells whether other processes write, too. Then changes have a transaction each:
	// two that hold the rows of several would wait for each other.
	Shared() bool
	// Probe makes something durable that means nothing. After it everything that can be
	// read is durable, and a commit of unknown outcome that cannot be read never was.
	Probe(ctx context.Context) error
}

// A Tx is one transaction of a [Store]. A store's own mutations receive it through
// [Change] and take part in it.
type Tx interface {
	// Claim remembers the nonces for [NonceLife] and answers, for each, whether it was
	// already known (also from earlier in the same call).
	Claim(ctx context.Context, nonces [][]byte) ([]bool, error)
	// Try runs fn, which takes part in the transaction. Of what fn did nothing is left if it
	// fails, and the transaction goes on; fn's error is answered as it is. After any other
	// error the transaction cannot be committed.
	Try(ctx context.Context, fn func() error) error
	// Append adds a batch to its log and moves the log's head, or fails with ErrConflict.
	Append(ctx context.Context, b Batch) error
}

// A Change is the mutation that a record tells of. It runs inside the transaction
// that also writes the record and answers the rows that it wrote.
type Change func(ctx context.Context, tx Tx) ([]Effect, error)
