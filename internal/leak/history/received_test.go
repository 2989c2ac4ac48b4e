package history_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	zero := strings.Repeat("0", 40)
	for _, c := range []struct {
		name    string
		updates []history.Update
		want    []string
	}{
		{"commits", []history.Update{{known, tip, "refs/heads/main"}}, []string{"new.env @" + first, "commit message @" + tip}},
		{"a tag", []history.Update{{zero, tag, "refs/tags/v1"}}, []string{"new.env @" + first, "commit message @" + tip, "tag message " + tag + " @"}},
		{"a file without a commit", []history.Update{{zero, loose, "refs/tags/file"}}, []string{"dangling object " + loose + " @"}},
		{"what is there", []history.Update{{zero, known, "refs/heads/other"}}, nil},
		{"a ref that goes", []history.Update{{known, zero, "refs/heads/main"}}, nil},
		{"nothing", nil, nil},
	} {
		places, covered := r.look(func(h *history.Repository) error { return h.Received(t.Context(), c.updates) })
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

func FuzzReadUpdates(f *testing.F) {
	id := strings.Repeat("a", 40)
	for _, seed := range []string{"", id + " " + id + " refs/heads/main\n", id + " " + id + " refs/heads/a b", id + "  x", "--all --all --all\n", strings.Repeat("0", 64) + " " + id + " r"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		updates, err := history.ReadUpdates(strings.NewReader(text))
		for _, u := range updates {
			if strings.HasPrefix(u.New, "-") || len(u.New) != 40 && len(u.New) != 64 || u.Ref == "" || err != nil {
				t.Errorf("%q: %+v, %v", text, u, err)
			}
		}
	})
}
