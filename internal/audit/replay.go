package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/keyward/keyward/internal/fault"
)

// Replay verifies what a log holds beyond the head from, which was verified before, and
// calls yield for each record there that tells of changed rows, in their order. An
// empty from (but for its Origin, which names the log) begins with the first record. It
// answers the head that it got to. What was yielded counts only if no error is answered:
// a failure of the proof is a [*TamperError], any other error is one of reading or yield's.
func Replay(ctx context.Context, r Reader, from Checkpoint, publicKey string, yield func(Entry) error) (Checkpoint, error) {
	head, err := r.Head(ctx, from.Origin)
	if err != nil {
		return Checkpoint{}, err
	}
	p := &Prover{log: from.Origin, key: publicKey}
	if head.Size < from.Size {
		return Checkpoint{}, p.Tampered(fault.Say("rollback suspected: it had %d records and holds %d", from.Size, head.Size))
	}
	if p.tree, err = loadFrontier(from.Size, storedHashes{ctx, r, from.Origin}); err != nil {
		return Checkpoint{}, err
	}
	if from.Size > 0 && p.tree.root() != from.Root {
		return Checkpoint{}, p.Tampered(fault.Say("rollback suspected: its first %d records are not those that were seen", from.Size))
	}
	err = r.Batches(ctx, from.Origin, from.Size, func(b Batch) error {
		switch {
		case b.First+b.Count <= from.Size:
			return nil // the last one that was seen
		case b.First >= head.Size:
			return errEnough // written since
		case b.First != p.tree.size:
			return p.Tampered(fault.Say("records %d to %d are missing or out of order", p.tree.size, b.First-1))
		}
		if err := p.batch(b); err != nil {
			return err
		}
		return changes(b, yield)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return Checkpoint{}, err
	}
	if p.tree.size != head.Size {
		return Checkpoint{}, p.Tampered(fault.Say("it holds %d records, its head says %d", p.tree.size, head.Size))
	}
	report, err := p.Finish(head.Checkpoint)
	return Checkpoint{Origin: from.Origin, Size: report.Size, Root: report.Root}, err
}

// changes yields the records of a batch that have effects. Leaves are not parsed to
// find them: a quotation mark never stands unescaped in what a caller wrote.
func changes(b Batch, yield func(Entry) error) error {
	for leaf := range bytes.Lines(b.Leaves) {
		if !bytes.Contains(leaf, []byte(`,"effects":[`)) {
			continue
		}
		e, err := ParseEntry(leaf)
		if err != nil {
			return err
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

// CheckKey tells whether the private key, which a keyring kept, is the one that the
// public key of the log verifies. A database may claim any public key.
func CheckKey(id Identity, private string) error {
	signer, err := note.NewSigner(private)
	if err != nil {
		return fmt.Errorf("checking the key of audit log %q: %w", id.Origin, err)
	}
	head := Checkpoint{Origin: id.Origin}
	signed, err := head.sign(signer)
	if err != nil {
		return err
	}
	if c, err := OpenCheckpoint(signed, id.PublicKey); err != nil || c != head {
		return &TamperError{Log: id.Origin, Where: fault.Say("its public key is not that of the key it is signed with")}
	}
	return nil
}
