package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/host"
	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/leak/search"
)

func newSearch(t *testing.T) *search.Search {
	t.Helper()
	scanner, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	return search.New(search.Options{Scanner: scanner, Hasher: leak.NewHasher([]byte("test"))})
}

// secret answers a fresh token.
func secret(t *testing.T, seed int) string {
	t.Helper()
	for _, k := range leaktest.New(uint64(seed)).Kinds() {
		if k.Rule == "github-token" {
			return k.Secret
		}
	}
	t.Fatal("there is no token")
	return ""
}

func TestLook(t *testing.T) {
	root := t.TempDir()
	wanted := []string{
		"proc/7/environ (shop):2", "proc/7/cmdline (shop):1", "root/.aws/credentials:1", "home/王 [ops]/.zsh_history:1", "srv/own/.kube/config:1",
		"etc/systemd/system/shop.service:1", "etc/profile.d/shop.sh:1", "var/lib/docker/containers/ab/config.v2.json:1",
	}
	put := func(name, content string) {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nops:x:1:1::/home/王 [ops]:/bin/zsh\ndaemon:x:2:2::/:/bin/false\nbroken\n")
	put("proc/7/comm", "shop\n")
	put("proc/self/environ", "TOKEN="+secret(t, 99))
	put("proc/8/comm", "kthreadd\n")
	put("proc/8/environ", "")
	put("home/stranger/.netrc", "TOKEN="+secret(t, 98)) // nobody's home
	for i, place := range wanted {
		name, _, _ := strings.Cut(strings.TrimSuffix(place, ":1"), " (")
		name = strings.TrimSuffix(name, ":2")
		token := "TOKEN=" + secret(t, i+1)
		switch filepath.Base(name) {
		case "environ":
			token = "PATH=/bin\x00" + token + "\x00"
		case "cmdline":
			token = "/bin/shop\x00--" + token + "\x00"
		}
		put(name, token)
	}
	if err := os.Symlink(filepath.Join(root, "root/.aws/credentials"), filepath.Join(root, "root/.aws/config")); err != nil {
		t.Fatal(err)
	}
	s := newSearch(t)
	if err := host.Look(t.Context(), root, "/srv/own", s); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range s.Findings() {
		for _, l := range f.Locations {
			rel, err := filepath.Rel(root, l.Path)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s:%d", rel, l.Line))
		}
	}
	slices.Sort(got)
	slices.Sort(wanted)
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if c := s.Coverage(); c.Partial() || len(c.Skipped) > 0 || c.Files != int64(len(wanted)) {
		t.Errorf("coverage %+v", c)
	}
}

func TestNothingThere(t *testing.T) {
	s := newSearch(t)
	if err := host.Look(t.Context(), t.TempDir(), "", s); err != nil {
		t.Fatal(err)
	}
	if c := s.Coverage(); !c.Nothing() || c.Partial() {
		t.Errorf("coverage %+v", c)
	}
}
