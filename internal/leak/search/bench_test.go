package search_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/leak/search"
)

// BenchmarkFiles searches the source of the standard library.
func BenchmarkFiles(b *testing.B) {
	scanner, err := leak.New(rules.All())
	if err != nil {
		b.Fatal(err)
	}
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "src")
	for b.Loop() {
		run := search.New(search.Options{Scanner: scanner, Hasher: leak.NewHasher([]byte("bench")), Workers: 1})
		if err := run.Files(b.Context(), []string{root}); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(run.Coverage().Bytes)
	}
}

// BenchmarkStart is what a search of nothing costs: compiling the rules.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		if _, err := leak.New(rules.All()); err != nil {
			b.Fatal(err)
		}
	}
}
