package history_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak/history"
)

// What a push brings is looked at wherever it stands; what the repository has is not.
func TestReceived(t *testing.T) {
	r, secrets := newRepo(t), tokens(5)
	r.write("old.env", "token="+secrets[0])
	r.commit("known")
	known := r.git("rev-parse", "HEAD")
	r.git("checkout", "-q", "--detach")
	r.write("new.env", "token="+secrets[1])
	first := r.commit("a secret")
	r.write("new.env", "none")
	r.commit("taken back, " + secrets[2])
	tip := r.git("rev-parse", "HEAD")
	r.git("tag", "-a", "v1", "-m", "token "+secrets[3], tip)
	tag := r.git("rev-parse", "v1")
	blob := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(blob, []byte("token="+secrets[4]), 0o600); err != nil {
		t.Fatal(err)
	}
	loose := r.git("hash-object", "-w", blob)
	r.git("tag", "-d", "v1")
	r.git("checkout", "-q", "main")
	r.git("reflog", "expire", "--expire=now", "--all")
	for _, c := range []struct {
		name string
		tips []string
		want []string
	}{
		{"commits", []string{tip}, []string{"new.env @" + first, "commit message @" + tip}},
		{"a tag", []string{tag}, []string{"new.env @" + first, "commit message @" + tip, "tag message " + tag + " @"}},
		{"a file without a commit", []string{loose}, []string{"dangling object " + loose + " @"}},
		{"what is there", []string{known}, nil},
		{"nothing", nil, nil},
	} {
		places, covered := r.look(func(h *history.Repository) error { return h.Received(t.Context(), c.tips) })
		have := map[string]bool{}
		for _, p := range places {
			have[p.Path+" @"+p.Commit] = true
		}
		for _, want := range c.want {
			if !have[want] {
				t.Errorf("%s: %s is not found; have %v", c.name, want, have)
			}
		}
		if len(have) != len(c.want) || covered.Partial() || covered.Nothing() && len(c.want) > 0 {
			t.Errorf("%s: have %v, covered %+v", c.name, have, covered)
		}
	}
}

// Tips are what refs are to have: nothing of those that go, and each once.
func TestReadTips(t *testing.T) {
	a, b, zero := strings.Repeat("a", 40), strings.Repeat("b", 64), strings.Repeat("0", 40)
	tips, err := history.ReadTips(strings.NewReader(zero + " " + b + " refs/heads/x y\n" + a + " " + zero + " refs/heads/gone\n" + zero + " " + a + " r\n" + zero + " " + a + " s\n"))
	if diff := cmp.Diff([]string{a, b}, tips); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func FuzzReadTips(f *testing.F) {
	id := strings.Repeat("a", 40)
	for _, seed := range []string{"", id + " " + id + " refs/heads/main\n", id + " " + id + " refs/heads/a b", id + "  x", "--all --all --all\n", strings.Repeat("0", 64) + " " + id + " r"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tips, err := history.ReadTips(strings.NewReader(text))
		for _, tip := range tips {
			if strings.Trim(tip, "0123456789abcdef") != "" || len(tip) != 40 && len(tip) != 64 || err != nil {
				t.Errorf("%q: %s, %v", text, tip, err)
			}
		}
	})
}
