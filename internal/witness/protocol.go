package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxBody is the size of the largest request that a witness reads, in bytes: 63 hashes
// and a checkpoint with sixteen signatures of 5 kB.
const MaxBody = 128 << 10

const (
	maxProof = 63      // hashes of a consistency proof
	maxSize  = 1 << 61 // records of a log; proofs are computed for up to 2⁶²
)

// SizeType is the content type of an answer that tells the size of the newest checkpoint.
const SizeType = "text/x.tlog.size"

// A Submission is the body of an add-checkpoint request.
type Submission struct {
	Old        int64          // size that the proof begins at
	Proof      tlog.TreeProof // that the checkpoint continues the tree of that size
	Checkpoint []byte         // signed
}

// Encode writes the request.
func (s Submission) Encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "old %d\n", s.Old)
	for _, h := range s.Proof {
		b.WriteString(h.String() + "\n")
	}
	b.WriteString("\n")
	b.Write(s.Checkpoint)
	return []byte(b.String())
}

// parseSubmission reads a request. The checkpoint is not looked at.
func parseSubmission(body []byte) (Submission, error) {
	top, checkpoint, ok := strings.Cut(string(body), "\n\n")
	if !ok {
		return Submission{}, errors.New("reading the request: there is no empty line")
	}
	lines := strings.Split(top, "\n")
	old, ok := strings.CutPrefix(lines[0], "old ")
	size, err := parseSize(old)
	if !ok || err != nil {
		return Submission{}, errors.New(`reading the request: its first line is not "old" and a size`)
	}
	s := Submission{Old: size, Checkpoint: []byte(checkpoint)}
	if len(lines)-1 > maxProof {
		return Submission{}, fmt.Errorf("reading the request: the proof has %d lines, at most %d are allowed", len(lines)-1, maxProof)
	}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil || h.String() != line {
			return Submission{}, errors.New("reading the request: a line of the proof is not a hash")
		}
		s.Proof = append(s.Proof, h)
	}
	return s, nil
}

// parseSize reads a decimal without leading zeros.
func parseSize(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxSize || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("reading a size: %q is none", text)
	}
	return n, nil
}

// A head is what a checkpoint says.
type head struct {
	origin string
	size   int64
	root   tlog.Hash
}

// splitNote answers the text of a signed note, with its last line end.
func splitNote(signed []byte) (text string, ok bool) {
	i := strings.LastIndex(string(signed), "\n\n")
	if i < 0 {
		return "", false
	}
	return string(signed[:i+1]), true
}

// parseHead reads a checkpoint's text: origin, size, root and perhaps extension lines,
// none of them empty. Of the hash only one spelling is accepted.
func parseHead(text string) (head, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 {
		return head{}, errors.New("reading the checkpoint: it has fewer than three lines")
	}
	for _, line := range lines {
		if line == "" {
			return head{}, errors.New("reading the checkpoint: one of its lines is empty")
		}
	}
	size, err := parseSize(lines[1])
	if err != nil {
		return head{}, fmt.Errorf("reading the checkpoint: %w", err)
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil || root.String() != lines[2] {
		return head{}, errors.New("reading the checkpoint: its third line is not a hash")
	}
	return head{lines[0], size, root}, nil
}

// emptyRoot is the root of a tree without records.
var emptyRoot = tlog.Hash(sha256.Sum256(nil))

// impliedRoot answers the root of the tree of old records that a consistency proof
// speaks of, if the proof leads to the root of the larger tree. It cannot say so where
// old is a complete subtree, whose hash proofs leave out.
func impliedRoot(proof tlog.TreeProof, old int64, to head) (tlog.Hash, bool) {
	was, is, ok := runProof(proof, span{0, to.size}, old)
	return was, ok && is == to.root
}

// A span is the records from lo to before hi.
type span struct{ lo, hi int64 }

// runProof computes both roots over the span from the proof, as RFC 6962 builds it.
func runProof(proof tlog.TreeProof, s span, old int64) (was, is tlog.Hash, ok bool) {
	if len(proof) == 0 || old == s.hi && (s.lo == 0 || len(proof) != 1) {
		return was, is, false
	}
	last := proof[len(proof)-1]
	if old == s.hi {
		return last, last, true
	}
	half := int64(1)
	for 2*half < s.hi-s.lo {
		half *= 2
	}
	middle := s.lo + half
	if old <= middle {
		was, is, ok = runProof(proof[:len(proof)-1], span{s.lo, middle}, old)
		return was, tlog.NodeHash(is, last), ok
	}
	was, is, ok = runProof(proof[:len(proof)-1], span{middle, s.hi}, old)
	return tlog.NodeHash(last, was), tlog.NodeHash(last, is), ok
}

// OriginHash answers the name under which a witness serves a log's checkpoint.
func OriginHash(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}
