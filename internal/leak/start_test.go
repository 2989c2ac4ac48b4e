package leak_test

import (
	"testing"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/rules"
)

// Everything that a scan makes before it reads its first byte.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := leak.New(rules.All()); err != nil {
			b.Fatal(err)
		}
	}
}
