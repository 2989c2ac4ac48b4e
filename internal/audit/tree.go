package audit

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// A frontier is the right edge of a Merkle tree: for each bit set in the size, the
// root of the complete subtree of that many leaves. It is all that an append needs
// to know, so appending reads nothing back.
type frontier struct {
	size int64
	peak [64]tlog.Hash // peak[l] is valid where bit l of size is set
}

// add appends one leaf and appends the new stored hashes (tlog's layout: the leaf,
// then each inner node that the leaf completes) to stored.
func (f *frontier) add(leaf []byte, stored []tlog.Hash) []tlog.Hash {
	h := tlog.RecordHash(leaf)
	stored = append(stored, h)
	level := 0
	for ; f.size>>level&1 == 1; level++ {
		h = tlog.NodeHash(f.peak[level], h)
		stored = append(stored, h)
	}
	f.peak[level] = h
	f.size++
	return stored
}

// root answers the tree's root hash, by RFC 6962's definition.
func (f *frontier) root() tlog.Hash {
	if f.size == 0 {
		h, _ := tlog.TreeHash(0, nil) // an empty tree needs no reader and cannot fail
		return h
	}
	level := bits.TrailingZeros64(uint64(f.size))
	h := f.peak[level]
	for level++; level < 64; level++ {
		if f.size>>level&1 == 1 {
			h = tlog.NodeHash(f.peak[level], h)
		}
	}
	return h
}

// loadFrontier reads the right edge of a tree of the given size from its stored hashes.
func loadFrontier(size int64, r tlog.HashReader) (frontier, error) {
	f := frontier{size: size}
	var levels []int
	var indexes []int64
	for level := range 63 {
		if size>>level&1 == 1 {
			levels = append(levels, level)
			indexes = append(indexes, tlog.StoredHashIndex(level, size>>level-1))
		}
	}
	hashes, err := r.ReadHashes(indexes)
	if err != nil {
		return frontier{}, fmt.Errorf("reading the edge of the audit tree: %w", err)
	}
	for i, level := range levels {
		f.peak[level] = hashes[i]
	}
	return f, nil
}
