package remote

import (
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/cli"
)

func FuzzCredential(f *testing.F) {
	for _, seed := range []string{"a=b", `{"a":"b"}`, "a=b\nc=d", "#\n\n", "{", "=", "a"} {
		f.Add([]byte(seed))
	}
	fill := &Filling{Run: &cli.Run{Lang: cli.English}}
	f.Fuzz(func(t *testing.T, content []byte) {
		if strings.Contains(string(content), "@") {
			return // it names a file
		}
		parts, err := fill.Parse(content)
		if (err == nil) != (parts != nil) {
			t.Errorf("%q: %d parts, %v", content, len(parts), err)
		}
		for name := range parts {
			if name == "" && !strings.HasPrefix(strings.TrimSpace(string(content)), "{") {
				t.Errorf("%q has a part without a name", content)
			}
		}
	})
}
