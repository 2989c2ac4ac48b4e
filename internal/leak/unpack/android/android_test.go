package android_test

import (
	"testing"

	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/unpack/android"
)

// FuzzResources holds that damaged resources end, and are never more than all of their
// strings for each of their entries.
func FuzzResources(f *testing.F) {
	k := leaktest.New(1).Kinds()[0]
	for _, c := range leaktest.Containers() {
		if c.Name == "resources" || c.Name == "binary XML" {
			f.Add(c.With(k))
		}
	}
	f.Fuzz(func(t *testing.T, table []byte) {
		if len(table) < 12 { // what is shorter is no resource
			return
		}
		total := 0
		count := func(piece string, err error) bool {
			if err != nil {
				t.Fatal(err)
			}
			total += len(piece)
			return total < 64<<20
		}
		android.Strings(table)(count)
		android.Values(table)(count)
		android.Attributes(table)(count)
		if total >= 64<<20 && len(table) < 64<<10 {
			t.Fatalf("%d bytes became %d", len(table), total)
		}
	})
}
