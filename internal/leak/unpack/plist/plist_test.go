package plist_test

import (
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/unpack/plist"
)

func FuzzLines(f *testing.F) {
	k := leaktest.New(1).Kinds()[0]
	for _, c := range leaktest.Containers() {
		if strings.HasPrefix(c.Name, "property list") {
			f.Add(c.With(k))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := plist.Lines(data)
		if err != nil {
			return
		}
		total := 0
		for line, err := range lines {
			if total += len(line); err != nil || total >= 64<<20 {
				break
			}
		}
		if total >= 64<<20 && len(data) < 64<<10 {
			t.Fatalf("%d bytes became %d", len(data), total)
		}
	})
}
