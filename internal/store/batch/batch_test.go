package batch_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/replay"
	"github.com/keyward/keyward/internal/store/batch"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A batch that a released journal holds is read for ever.
func TestBatchInTheJournalIsReadForEver(t *testing.T) {
	const golden = "testdata/journal-batch-1.hex"
	sealed := audit.Batch{
		Log: "keyward/node-1", First: 41, Count: 2, At: time.UnixMicro(1_800_000_000_123_456).UTC(),
		Leaves: []byte("{\"v\":1}\n{\"v\":1}\n"), Hashes: bytes.Repeat([]byte{7}, 96), Checkpoint: []byte("keyward/node-1\n43\n"),
	}
	nonces := [][]byte{[]byte("0123456789abcdef"), []byte("used before 1234")}
	have := hex.EncodeToString(batch.Encode(nil, sealed, nonces, []bool{false, true})) + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(have), 0o644); err != nil { //nolint:gosec // it is public
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	kept := string(content)
	if kept != have {
		t.Errorf("a batch is now written as\n%s", have)
	}
	encoded, err := hex.DecodeString(strings.TrimSpace(kept))
	if err != nil {
		t.Fatal(err)
	}
	got, fingerprints, err := batch.Decode(encoded)
	if diff := cmp.Diff(sealed, got); err != nil || diff != "" {
		t.Errorf("%v; -want +have\n%s", err, diff)
	}
	if diff := cmp.Diff([]replay.Fingerprint{replay.FingerprintOf(nonces[0])}, fingerprints); diff != "" {
		t.Errorf("-want +have\n%s", diff)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add(batch.Encode(nil, audit.Batch{Log: "l", Count: 1, Leaves: []byte("{}\n")}, nil, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		read, _, err := batch.Decode(b)
		if err == nil && read.First < 0 {
			t.Errorf("a batch begins at %d", read.First)
		}
	})
}
