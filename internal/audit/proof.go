package audit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/keyward/keyward/internal/fault"
)

const proofHeader = "c2sp.org/tlog-proof@v1"

// Prove writes a proof that the log holds the record: the record itself, its Merkle
// path and the signed head, in the format c2sp.org/tlog-proof@v1 with the record as
// its extra data. It can be checked offline with [VerifyProof] and the public key.
func Prove(ctx context.Context, r Reader, log string, seq int64) ([]byte, error) {
	head, err := r.Head(ctx, log)
	if err != nil {
		return nil, err
	}
	leaf, err := Leaf(ctx, r, log, seq)
	if err != nil {
		return nil, err
	}
	path, err := tlog.ProveRecord(head.Size, seq, storedHashes{ctx, r, log})
	if err != nil {
		return nil, fmt.Errorf("proving audit record %d: %w", seq, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", proofHeader, base64.StdEncoding.EncodeToString(leaf), seq)
	for _, h := range path {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteString("\n" + string(head.Checkpoint))
	return []byte(b.String()), nil
}

// ProveConsistency proves that the log's tree of the given size continues that of old
// records, as RFC 6962 defines it. Of an empty tree there is nothing to prove.
func ProveConsistency(ctx context.Context, r Reader, log string, old, size int64) (tlog.TreeProof, error) {
	if old == 0 {
		return nil, nil
	}
	proof, err := tlog.ProveTree(size, old, storedHashes{ctx, r, log})
	if err != nil {
		return nil, fmt.Errorf("proving that audit log %q continues its first %d records: %w", log, old, err)
	}
	return proof, nil
}

// Leaf answers the bytes of one record.
func Leaf(ctx context.Context, r Reader, log string, seq int64) ([]byte, error) {
	var leaf []byte
	missing := fault.ResourceNotFound.New("audit log %q has no record %d; `keyward audit list` shows what there is", log, seq)
	if seq < 0 {
		return nil, missing
	}
	err := r.Batches(ctx, log, seq, func(b Batch) error {
		lines := strings.Split(strings.TrimSuffix(string(b.Leaves), "\n"), "\n")
		if i := seq - b.First; i >= 0 && i < int64(len(lines)) {
			leaf = []byte(lines[i])
		}
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if leaf == nil {
		return nil, missing
	}
	return leaf, nil
}

// Began answers when the first record of a log was written; zero for an empty log.
func Began(ctx context.Context, r Reader, log string) (time.Time, error) {
	leaf, err := Leaf(ctx, r, log, 0)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	first, err := ParseEntry(leaf)
	return first.Time, err
}

// VerifyProof checks a proof with the log's public key and answers the proven record
// and the head that contains it. Its error is a [fault.Text] that says what is wrong.
func VerifyProof(proof []byte, publicKey string) (Entry, Checkpoint, error) {
	bad := func(what fault.Text) (Entry, Checkpoint, error) { return Entry{}, Checkpoint{}, what }
	top, signed, ok := strings.Cut(string(proof), "\n\n")
	lines := strings.Split(top, "\n")
	if !ok || len(lines) < 3 || lines[0] != proofHeader {
		return bad(fault.Say("this is not a %s file with the record in it", proofHeader))
	}
	extra, isExtra := strings.CutPrefix(lines[1], "extra ")
	index, isIndex := strings.CutPrefix(lines[2], "index ")
	leaf, err := base64.StdEncoding.Strict().DecodeString(extra)
	if !isExtra || !isIndex || err != nil || base64.StdEncoding.EncodeToString(leaf) != extra { // decoding passes over line ends
		return bad(fault.Say("its extra or index line is malformed"))
	}
	seq, err := strconv.ParseInt(index, 10, 64)
	if err != nil || seq < 0 || strconv.FormatInt(seq, 10) != index {
		return bad(fault.Say("its index is malformed"))
	}
	var path tlog.RecordProof
	for _, line := range lines[3:] {
		h, err := tlog.ParseHash(line)
		if err != nil || h.String() != line {
			return bad(fault.Say("one of its hashes is malformed"))
		}
		path = append(path, h)
	}
	head, err := OpenCheckpoint([]byte(signed), publicKey)
	if err != nil {
		return bad(fault.Say("its checkpoint does not verify: %v", err))
	}
	if err := tlog.CheckRecord(path, head.Size, head.Root, seq, tlog.RecordHash(leaf)); err != nil {
		return bad(fault.Say("the record is not in the tree that the checkpoint signs"))
	}
	entry, err := ParseEntry(leaf)
	if err != nil {
		return bad(fault.Say("its record cannot be read: %v", err))
	}
	if entry.Seq != seq || entry.Log != head.Origin {
		return bad(fault.Say("the record is not the one that belongs there"))
	}
	return entry, head, nil
}
