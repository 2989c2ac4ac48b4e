package audit

import (
	"context"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// one is a log of one long run of batches in memory.
type one struct {
	Reader
	head    Head
	batches []Batch
}

func (o *one) Logs(context.Context) ([]Identity, error)   { return nil, nil }
func (o *one) Head(context.Context, string) (Head, error) { return o.head, nil }
func (o *one) Batches(_ context.Context, _ string, _ int64, yield func(Batch) error) error {
	for _, b := range o.batches {
		if err := yield(b); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkVerify verifies records of the usual size, 64 to a batch; ns/op is the time
// for one record on one core.
func BenchmarkVerify(b *testing.B) {
	private, public, err := GenerateKey("keyward/bench")
	if err != nil {
		b.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		b.Fatal(err)
	}
	var tree frontier
	o := &one{}
	record := goldenRecord()
	for int(tree.size) < b.N {
		batch := Batch{Log: "keyward/bench", First: tree.size, Count: 64, At: time.Unix(1+tree.size, 0)}
		record.Time = batch.At
		for range 64 {
			start := len(batch.Leaves)
			batch.Leaves = record.appendLeaf(batch.Leaves, "keyward/bench", tree.size)
			for _, h := range tree.add(batch.Leaves[start:], nil) {
				batch.Hashes = append(batch.Hashes, h[:]...)
			}
			batch.Leaves = append(batch.Leaves, '\n')
		}
		o.batches = append(o.batches, batch)
		o.head.At = batch.At
	}
	o.head.Size = tree.size
	if o.head.Checkpoint, err = (Checkpoint{"keyward/bench", tree.size, tree.root()}).sign(signer); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	if _, err := VerifyStore(b.Context(), o, "keyward/bench", Trust{PublicKey: public}); err != nil {
		b.Fatal(err)
	}
}
