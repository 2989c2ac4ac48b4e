package unpack_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/unpack"
)

// FuzzUnpack takes apart whatever its first bytes say, without what a search does with the
// members: every format's own reader, again and again.
func FuzzUnpack(f *testing.F) {
	kinds := leaktest.New(1).Kinds()
	for _, c := range leaktest.Containers() {
		if content := c.With(kinds[0]); unpack.Of(content[:min(len(content), unpack.HeadSize)]) != nil {
			f.Add(content)
		}
	}
	f.Add([]byte("SQLite format 3\x00\x02\x00\x01\x01\x00\x40\x20\x20"))
	const most = 64 << 20
	f.Fuzz(func(t *testing.T, content []byte) {
		head := content[:min(len(content), unpack.HeadSize)]
		format := unpack.Of(head)
		if format == nil {
			return
		}
		began, total := time.Now(), int64(0)
		limits := unpack.Limits{Depth: 2, Bytes: most, Entry: most, Ratio: 1 << 30, Entries: 10_000, Time: time.Minute}
		budget := unpack.NewBudget(limits, time.Now)
		_ = format.Unpack(unpack.Source{Head: head, Reader: bytes.NewReader(content),
			Random: func() (io.ReaderAt, int64, error) { return bytes.NewReader(content), int64(len(content)), nil },
			Window: func(int64) (func(), error) { return func() {}, nil },
		}, func(m unpack.Member) error {
			if err := budget.Enter(1); err != nil {
				return err
			}
			n, err := io.Copy(io.Discard, budget.Reader(m.Reader))
			total += n
			if err != nil && total >= most {
				return unpack.ErrLimit
			}
			return nil
		})
		if took := time.Since(began); took > 20*time.Second {
			t.Fatalf("%d bytes of %s took %v and became %d", len(content), format.Name, took, total)
		}
	})
}
