// Package batch is the format of a record of the audit journal, which is released: what one
// release wrote the next one reads. A record is a batch of audit records that is durable and
// not in the tables yet: its format's number and, each behind its length or as a varint: log,
// first, count, time, leaves, hashes, checkpoint, and the fingerprints of the nonces that it
// claimed, in hexadecimal: callers choose their nonces, and must not be able to write what
// could be taken for the beginning of a record.
//
// Package database writes and reads it. Nothing here is trusted or checked beyond its form:
// the checkpoint is what the log is verified by.
package batch

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/replay"
)

const format = 1

var errMalformed = errors.New("a record of the audit journal is malformed; it is of a newer release, or somebody wrote it")

// Encode appends a batch, with those of the nonces that were not known before, to out.
func Encode(out []byte, b audit.Batch, nonces [][]byte, known []bool) []byte {
	bytes := func(s []byte) { out = append(binary.AppendUvarint(out, uint64(len(s))), s...) }
	at := int64(0)
	if !b.At.IsZero() {
		at = b.At.UnixMicro()
	}
	out = append(out, format)
	bytes([]byte(b.Log))
	out = binary.AppendVarint(out, b.First)
	out = binary.AppendVarint(out, b.Count)
	out = binary.AppendVarint(out, at)
	bytes(b.Leaves)
	bytes(b.Hashes)
	bytes(b.Checkpoint)
	for i, nonce := range nonces {
		if !known[i] {
			out = hex.AppendEncode(out, replay.FingerprintOf(nonce).Append(nil))
		}
	}
	return out
}

// Decode reads what Encode wrote. The batch shares the memory of in.
func Decode(in []byte) (b audit.Batch, nonces []replay.Fingerprint, err error) {
	if len(in) == 0 || in[0] != format {
		return audit.Batch{}, nil, errMalformed
	}
	in = in[1:]
	number := func() int64 {
		v, n := binary.Varint(in)
		if n <= 0 || v < 0 {
			err, in = errMalformed, nil
			return 0
		}
		in = in[n:]
		return v
	}
	bytes := func() []byte {
		size, n := binary.Uvarint(in)
		if n <= 0 || size > uint64(len(in)-n) {
			err, in = errMalformed, nil
			return nil
		}
		s := in[n : n+int(size)]
		in = in[n+int(size):]
		return s
	}
	b.Log = string(bytes())
	b.First, b.Count = number(), number()
	if at := number(); at != 0 {
		b.At = time.UnixMicro(at).UTC()
	}
	b.Leaves, b.Hashes, b.Checkpoint = bytes(), bytes(), bytes()
	fingerprints, hexErr := hex.DecodeString(string(in))
	if hexErr != nil || len(fingerprints)%replay.Size != 0 {
		err = errMalformed
	}
	return b, replay.Parse(fingerprints), err
}
