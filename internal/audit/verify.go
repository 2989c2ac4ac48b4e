package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/fault"
)

// A Report says what a successful verification proved.
type Report struct {
	Log        string
	Size       int64     // records verified
	Root       tlog.Hash // of the tree over them
	At         time.Time // of the last batch; zero when read from an export
	Remembered []int64   // sizes of the remembered checkpoints that it contains
}

// Trust is what a verification believes; everything else is recomputed.
type Trust struct {
	PublicKey  string   // note verifier key of the log
	Remembered [][]byte // checkpoints seen earlier; those of other logs are passed over
}

// A TamperError says where a log fails its verification.
type TamperError struct {
	Log   string
	Where fault.Text
}

func (e *TamperError) Error() string {
	return fmt.Sprintf("audit log %q was tampered with: %s", e.Log, e.Where)
}

// errEnough ends a walk over batches when the wanted records have been seen.
var errEnough = errors.New("enough")

// VerifyStore verifies one log of a store against its public key: each leaf in its
// place, each stored hash, the signed head, and every remembered checkpoint. A
// failure of the proof is a [*TamperError]; any other error is one of reading.
func VerifyStore(ctx context.Context, r Reader, log string, trust Trust) (Report, error) {
	head, err := r.Head(ctx, log)
	if err != nil {
		return Report{}, err
	}
	p, err := NewProver(log, trust)
	if err != nil {
		return Report{}, err
	}
	if err := p.identity(ctx, r); err != nil {
		return Report{}, err
	}
	var at time.Time
	beyond := false
	err = r.Batches(ctx, log, 0, func(b Batch) error {
		if b.First >= head.Size && b.First == p.tree.size {
			beyond = true // written since, if the store is live
			return errEnough
		}
		if b.First != p.tree.size {
			return p.Tampered(fault.Say("records %d to %d are missing or out of order", p.tree.size, b.First-1))
		}
		if b.At.Before(at) {
			return p.Tampered(fault.Say("the batch at record %d is dated before its predecessor", b.First))
		}
		at = b.At
		if err := p.batch(b); err != nil {
			return err
		}
		if p.tree.size-b.First != b.Count {
			return p.Tampered(fault.Say("the batch at record %d holds %d records and claims %d", b.First, p.tree.size-b.First, b.Count))
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return Report{}, err
	}
	if beyond {
		now, err := r.Head(ctx, log)
		if err != nil {
			return Report{}, err
		}
		if now.Size <= head.Size {
			return Report{}, p.Tampered(fault.Say("it holds records beyond its head"))
		}
	}
	if head.Size != p.tree.size {
		return Report{}, p.Tampered(fault.Say("it holds %d records, its head says %d", p.tree.size, head.Size))
	}
	if head.Size > 0 && !head.At.Equal(at) {
		return Report{}, p.Tampered(fault.Say("its head and its last batch differ in time"))
	}
	report, err := p.Finish(head.Checkpoint)
	report.At = at
	return report, err
}

// identity compares the key that the store names with the one that is trusted.
func (p *Prover) identity(ctx context.Context, r Reader) error {
	logs, err := r.Logs(ctx)
	if err != nil {
		return err
	}
	for _, id := range logs {
		if id.Origin == p.log {
			return p.Claim(id.PublicKey)
		}
	}
	return nil // an unknown log is empty
}

// Claim compares the key that a log names as its own with the one that is trusted.
func (p *Prover) Claim(publicKey string) error {
	if publicKey != p.key {
		return p.Tampered(fault.Say("it names another public key than the one that is trusted"))
	}
	return nil
}

// A Prover recomputes a log's tree leaf by leaf and holds it against what is trusted. It
// is what every verification has in common, whatever form the log is kept in.
type Prover struct {
	log        string
	key        string
	tree       frontier
	remembered map[int64]tlog.Hash // by size, not yet reached
	contained  []int64
	scratch    []tlog.Hash
}

// NewProver begins the verification of one log. It fails when the remembered
// checkpoints contradict each other.
func NewProver(log string, trust Trust) (*Prover, error) {
	p := &Prover{log: log, key: trust.PublicKey, remembered: map[int64]tlog.Hash{}}
	for _, signed := range trust.Remembered {
		c, err := OpenCheckpoint(signed, trust.PublicKey)
		if err != nil {
			continue // another log's, or another key's: it says nothing about this log
		}
		if root, twice := p.remembered[c.Size]; twice && root != c.Root {
			return nil, p.Tampered(fault.Say("two signed checkpoints of %d records disagree", c.Size))
		}
		p.remembered[c.Size] = c.Root
	}
	return p, nil
}

// Tampered answers the error that says where the log fails.
func (p *Prover) Tampered(where fault.Text) error {
	return &TamperError{Log: p.log, Where: where}
}

// Size answers how many leaves were added.
func (p *Prover) Size() int64 { return p.tree.size }

// Leaf adds the next leaf and answers the stored hashes that it creates, in tlog's
// order; they are valid until the next call. It fails if the leaf is another log's or
// another place's.
func (p *Prover) Leaf(leaf []byte) ([]tlog.Hash, error) { return p.leaf(leaf, time.Time{}) }

// leaf does what Leaf does. A leaf that was read from a batch has the batch's time.
func (p *Prover) leaf(leaf []byte, at time.Time) ([]tlog.Hash, error) {
	want := appendPlace(nil, p.log, p.tree.size)
	if !at.IsZero() {
		want = appendTime(want, at)
	}
	if !bytes.HasPrefix(leaf, want) {
		return nil, p.Tampered(fault.Say("record %d is not the one that belongs there", p.tree.size))
	}
	p.scratch = p.tree.add(leaf, p.scratch[:0])
	if root, ok := p.remembered[p.tree.size]; ok {
		if root != p.tree.root() {
			return nil, p.Tampered(fault.Say("its first %d records are not those of a remembered checkpoint", p.tree.size))
		}
		p.contained = append(p.contained, p.tree.size)
		delete(p.remembered, p.tree.size)
	}
	return p.scratch, nil
}

// batch adds a batch's leaves and compares the hashes stored with them.
func (p *Prover) batch(b Batch) error {
	rest := b.Hashes
	for leaf := range bytes.Lines(b.Leaves) {
		seq := p.tree.size
		if !bytes.HasSuffix(leaf, []byte{'\n'}) {
			return p.Tampered(fault.Say("record %d is cut off", seq))
		}
		hashes, err := p.leaf(leaf[:len(leaf)-1], b.At)
		if err != nil {
			return err
		}
		for _, h := range hashes {
			if len(rest) < tlog.HashSize || !bytes.Equal(rest[:tlog.HashSize], h[:]) {
				return p.Tampered(fault.Say("record %d does not have the hash stored with it", seq))
			}
			rest = rest[tlog.HashSize:]
		}
	}
	if len(rest) > 0 {
		return p.Tampered(fault.Say("the batch at record %d stores too many hashes", b.First))
	}
	return nil
}

// Finish compares the recomputed tree with the signed head and with every remembered
// checkpoint, and answers what is proven.
func (p *Prover) Finish(head []byte) (Report, error) {
	for size, root := range p.remembered {
		if size == 0 && root == new(frontier).root() {
			continue
		}
		return Report{}, p.Tampered(fault.Say("it was cut: a remembered checkpoint has %d records, it holds %d", size, p.tree.size))
	}
	report := Report{Log: p.log, Size: p.tree.size, Root: p.tree.root(), Remembered: p.contained}
	if p.tree.size == 0 && len(head) == 0 {
		return report, nil
	}
	c, err := openHead(head, p.key)
	if err != nil {
		return Report{}, p.Tampered(fault.Say("its head is not signed by its key: %v", err))
	}
	if c.Origin != p.log || c.Size != p.tree.size || c.Root != report.Root {
		return Report{}, p.Tampered(fault.Say("its records are not those that its head signs"))
	}
	return report, nil
}
