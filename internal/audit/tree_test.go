package audit

import (
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// The frontier must be tlog's tree: same stored hashes in the same order, same root.
func TestFrontierIsTlogsTree(t *testing.T) {
	var f frontier
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			out[i] = stored[index]
		}
		return out, nil
	})
	for n := range int64(300) {
		leaf := fmt.Appendf(nil, "leaf %d", n)
		want, err := tlog.StoredHashes(n, leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		have := f.add(leaf, nil)
		if fmt.Sprint(have) != fmt.Sprint(want) {
			t.Fatalf("leaf %d: stored hashes differ", n)
		}
		stored = append(stored, have...)
		root, err := tlog.TreeHash(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		if f.root() != root {
			t.Fatalf("root of %d leaves differs", n+1)
		}
		again, err := loadFrontier(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		if again.root() != root {
			t.Fatalf("the frontier of %d leaves, loaded, has another root", n+1)
		}
	}
	empty, err := tlog.TreeHash(0, reader)
	if err != nil {
		t.Fatal(err)
	}
	if new(frontier).root() != empty {
		t.Error("root of the empty tree differs")
	}
}
