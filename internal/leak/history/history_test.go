package history_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/history"
	"github.com/keyward/keyward/internal/leak/ignore"
	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/leak/search"
)

// A repo is a repository of a test.
type repo struct {
	*testing.T
	dir string
}

func newRepo(t *testing.T) repo {
	t.Helper()
	r := repo{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r repo) git(args ...string) string {
	r.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=Alice", "-c", "user.email=alice@keyward.test", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r repo) write(name, content string) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o644); err != nil {
		r.Fatal(err)
	}
}

// commit commits all files and answers the commit.
func (r repo) commit(message string) string {
	r.git("add", "-A")
	r.git("commit", "-q", "-m", message)
	return r.git("rev-parse", "HEAD")
}

func tokens(n int) (out []string) {
	for seed := range uint64(n) {
		for _, k := range leaktest.New(seed).Kinds() {
			if k.Rule == "github-token" {
				out = append(out, k.Secret)
			}
		}
	}
	return out
}

// look answers the places of what a search finds, and its coverage.
func (r repo) look(with func(*history.Repository) error) (places []leak.Location, c search.Coverage) {
	r.Helper()
	scanner, err := leak.New(rules.All())
	if err != nil {
		r.Fatal(err)
	}
	run := search.New(search.Options{Scanner: scanner, Hasher: leak.NewHasher([]byte("test")), Workers: 2, Now: time.Now})
	opened, err := history.Open(r.Context(), r.dir, run)
	if err != nil {
		r.Fatal(err)
	}
	if err := with(opened); err != nil {
		r.Fatal(err)
	}
	for _, f := range run.Findings() {
		places = append(places, f.Locations...)
	}
	return places, run.Coverage()
}

func TestStaged(t *testing.T) {
	r, secret := newRepo(t), tokens(2)
	r.write("old.txt", "a\nt = "+secret[0]+"\n")
	r.commit("first")
	r.write("old.txt", "a new line\nanother\nt = "+secret[0]+"\n")
	r.write("new.txt", "t = "+secret[1]+"\n")
	r.git("add", "-A")
	r.write("unstaged.txt", secret[1])
	places, c := r.look(func(h *history.Repository) error { return h.Staged(t.Context()) })
	if diff := cmp.Diff([]leak.Location{{Path: "new.txt", Line: 1, Column: 5}}, places); diff != "" {
		t.Errorf("what was there before is not new, and what is not staged is not looked at (-want +got):\n%s", diff)
	}
	if c.Blobs != 2 || c.Partial() {
		t.Errorf("coverage %+v", c)
	}
}

func TestRange(t *testing.T) {
	r, secret := newRepo(t), tokens(2)
	r.write("a.txt", secret[0])
	r.commit("base")
	r.git("tag", "base")
	r.write("b.txt", "t = "+secret[1]+"\n")
	bad := r.commit("brings it")
	r.write("b.txt", "clean\n")
	r.commit("takes it away")
	places, _ := r.look(func(h *history.Repository) error { return h.Range(t.Context(), "base..HEAD") })
	if diff := cmp.Diff([]leak.Location{{Path: "b.txt", Line: 1, Column: 5, Commit: bad}}, places); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	r.git("replace", bad, r.git("rev-parse", "base")) // git would show the clean one instead
	places, _ = r.look(func(h *history.Repository) error { return h.Range(t.Context(), "base.."+bad) })
	if diff := cmp.Diff([]leak.Location{{Path: "b.txt", Line: 1, Column: 5, Commit: bad}}, places); diff != "" {
		t.Errorf("places of a commit for which another one stands (-want +got):\n%s", diff)
	}
	run := search.New(search.Options{})
	opened, err := history.Open(t.Context(), r.dir, run)
	if err != nil {
		t.Fatal(err)
	}
	for _, revisions := range []string{"--output=/tmp/x", "none..HEAD"} {
		if err := opened.Range(t.Context(), revisions); err == nil {
			t.Errorf("%s is taken", revisions)
		}
	}
}

// What a merge brings from the branch that is compared with is not new; what was put in
// while merging is.
func TestRangeWithAMerge(t *testing.T) {
	r, secret := newRepo(t), tokens(2)
	r.write("a.txt", "1\n")
	r.commit("base")
	r.git("checkout", "-q", "-b", "topic")
	r.write("b.txt", "2\n")
	r.commit("topic")
	r.git("checkout", "-q", "main")
	r.write("c.txt", "t = "+secret[0]+"\n")
	r.commit("main goes on")
	r.git("checkout", "-q", "topic")
	r.git("merge", "-q", "--no-commit", "main")
	r.write("a.txt", "t = "+secret[1]+"\n")
	merge := r.commit("merge")
	places, _ := r.look(func(h *history.Repository) error { return h.Range(t.Context(), "main..topic") })
	if diff := cmp.Diff([]leak.Location{{Path: "a.txt", Line: 1, Column: 5, Commit: merge}}, places); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

func TestAll(t *testing.T) {
	r, secret := newRepo(t), tokens(4)
	r.write("a.txt", "t = "+secret[0]+"\n")
	first := r.commit("first")
	r.write("a.txt", "gone\n")
	r.commit("second")
	r.write("amended.txt", "t = "+secret[1]+"\n")
	lost := r.commit("will be amended away")
	r.git("reset", "-q", "--hard", "HEAD~1")
	r.git("reflog", "expire", "--expire=now", "--all")
	r.write("s.txt", "t = "+secret[2]+"\n")
	r.git("add", "-A")
	r.git("stash", "-q")
	message := r.git("commit-tree", "-m", "the token is "+secret[3], "HEAD^{tree}")
	_ = lost
	all := func(h *history.Repository) error {
		m := h.Remember("1")
		if err := h.All(t.Context(), m); err != nil {
			return err
		}
		return h.Save(m)
	}
	places, c := r.look(all)
	got := map[string]bool{}
	for _, p := range places {
		got[strings.Fields(p.Path)[0]] = true
		switch p.Path {
		case "a.txt":
			if p.Commit != first {
				t.Errorf("it came with %s, not %s", first, p.Commit)
			}
		case "commit message":
			if p.Commit != message {
				t.Errorf("it is in %s, not %s", message, p.Commit)
			}
		}
	}
	if diff := cmp.Diff(map[string]bool{"a.txt": true, "dangling": true, "s.txt": true, "commit": true}, got); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if c.Partial() || c.Nothing() {
		t.Errorf("coverage %+v", c)
	}
	again, c2 := r.look(all)
	if diff := cmp.Diff(places, again); diff != "" {
		t.Errorf("what is found is found again (-first +second):\n%s", diff)
	}
	if c2.Blobs != c.Blobs || c2.Bytes != 0 || c.Commits == 0 || c2.Commits != 0 {
		t.Errorf("first %+v, then %+v", c, c2)
	}
	r.write("new.txt", "t = "+secret[1]+"\n")
	added := r.commit("another")
	third, _ := r.look(all)
	found := false
	for _, p := range third {
		found = found || p.Path == "new.txt" && p.Commit == added || p.Path == "amended.txt"
	}
	if !found {
		t.Errorf("what came later is not found: %+v", third)
	}
}

func TestMemoryOfAnotherVersionIsNone(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "nothing")
	r.commit("first")
	for _, version := range []string{"1", "1", "2"} {
		_, c := r.look(func(h *history.Repository) error {
			m := h.Remember(version)
			if err := h.All(t.Context(), m); err != nil {
				return err
			}
			return h.Save(m)
		})
		if c.Blobs != 2 { // the file and the commit
			t.Errorf("version %s: %+v", version, c)
		}
	}
	if err := os.WriteFile(filepath.Join(r.dir, ".git", "keyward-scanned"), []byte("keyward-scanned-2 2 x 00\nff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, c := r.look(func(h *history.Repository) error { return h.All(t.Context(), h.Remember("2")) }); c.Blobs != 2 || c.Bytes == 0 {
		t.Errorf("a damaged memory is believed: %+v", c)
	}
}

// What is remembered is what the same search would find: with another key, or where comments
// may allow something, it is another one.
func TestMemoryOfAnotherSearchIsNone(t *testing.T) {
	r, secret := newRepo(t), tokens(1)[0]
	r.write("a.txt", "t = "+secret+" # keyward:allow\n")
	r.commit("first")
	scanner, err := leak.New(rules.All())
	check(t, err)
	look := func(key string, allow bool) (found []leak.Finding, c search.Coverage) {
		run := search.New(search.Options{Scanner: scanner, Hasher: leak.NewHasher([]byte(key)).Sharing([]byte("s" + key)), InlineAllow: allow, Workers: 2})
		opened, err := history.Open(t.Context(), r.dir, run)
		check(t, err)
		m := opened.Remember("1")
		check(t, opened.All(t.Context(), m))
		check(t, opened.Save(m))
		return run.Findings(), run.Coverage()
	}
	if found, _ := look("a", true); len(found) != 0 {
		t.Errorf("what is allowed is found: %+v", found)
	}
	first, _ := look("a", false)
	if len(first) != 1 {
		t.Errorf("what a comment allowed the last time: %+v", first)
	}
	again, c := look("a", false)
	if diff := cmp.Diff(first, again); diff != "" || c.Bytes != 0 {
		t.Errorf("%d bytes were read (-first +again):\n%s", c.Bytes, diff)
	}
	if other, _ := look("b", false); len(other) != 1 || other[0].Fingerprint == first[0].Fingerprint || other[0].Mark == first[0].Mark {
		t.Errorf("with another key %+v", other)
	}
}

// What cannot be looked at in an object is told each time.
func TestDamagedMemberIsPartialAgain(t *testing.T) {
	r := newRepo(t)
	damaged := leaktest.Stored(map[string][]byte{"a.txt": []byte("a text"), "b.txt": []byte("another one")})
	damaged[len("PK")+30+len("a.txt")] ^= 1
	r.write("a.zip", string(damaged))
	r.commit("first")
	for range 2 {
		if _, c := r.look(func(h *history.Repository) error {
			m := h.Remember("1")
			if err := h.All(t.Context(), m); err != nil {
				return err
			}
			return h.Save(m)
		}); len(c.Problems) != 1 || !strings.HasPrefix(c.Problems[0].Path, "a.zip!a.txt") {
			t.Errorf("problems %+v", c.Problems)
		}
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte("keyward-scanned-3 x - y\n!aa bb \"c\" [{\"Finding\":{\"rule\":\"jwt\",\"severity\":\"high\",\"confidence\":\"likely\"},\"At\":{\"path\":\"!m\"}}]\nff\n"))
	dir := f.TempDir()
	if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		f.Fatalf("%v: %s", err, out)
	}
	scanner, err := leak.New(rules.All())
	if err != nil {
		f.Fatal(err)
	}
	opened, err := history.Open(f.Context(), dir, search.New(search.Options{Scanner: scanner}))
	if err != nil {
		f.Fatal(err)
	}
	if err := opened.Save(opened.Forget("1")); err != nil {
		f.Fatal(err)
	}
	name := filepath.Join(opened.Dir(), "keyward-scanned")
	head, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	version := strings.Fields(string(head))[1]
	f.Fuzz(func(t *testing.T, lines []byte) {
		sum := sha256.Sum256(lines)
		check(t, os.WriteFile(name, append(fmt.Appendf(nil, "keyward-scanned-3 %s - %x\n", version, sum[:8]), lines...), 0o600))
		opened.Remember("1") // whatever stands there, it is taken or not
	})
}

func TestShallowIsPartial(t *testing.T) {
	r := newRepo(t)
	r.write("a.txt", "1")
	r.commit("first")
	r.write("a.txt", "2")
	r.commit("second")
	clone := repo{t, t.TempDir()}
	clone.git("clone", "-q", "--depth=1", "file://"+r.dir, ".")
	if _, c := clone.look(func(h *history.Repository) error { return h.All(t.Context(), h.Remember("1")) }); !c.Partial() {
		t.Errorf("coverage %+v", c)
	}
}

// A repository that lacks something, or has something broken, is never clean, today or when it is
// asked again; what it has is looked at all the same.
func TestIncompleteIsPartial(t *testing.T) {
	secret := tokens(1)[0]
	loose := func(r repo, id string) string { return filepath.Join(r.dir, ".git", "objects", id[:2], id[2:]) }
	spoil := func(r repo, id string) {
		if err := os.Chmod(loose(r, id), 0o600); err != nil {
			r.Fatal(err)
		}
		if err := os.WriteFile(loose(r, id), []byte("no zlib"), 0o600); err != nil {
			r.Fatal(err)
		}
	}
	for name, harm := range map[string]func(r repo, first string) repo{
		"a missing file": func(r repo, first string) repo {
			check(t, os.Remove(loose(r, r.git("rev-parse", first+":b.txt"))))
			return r
		},
		"a missing tree": func(r repo, first string) repo {
			check(t, os.Remove(loose(r, r.git("rev-parse", first+"^{tree}"))))
			return r
		},
		"a missing commit": func(r repo, first string) repo { check(t, os.Remove(loose(r, first))); return r },
		"a broken file":    func(r repo, first string) repo { spoil(r, r.git("rev-parse", first+":b.txt")); return r },
		"a broken tree":    func(r repo, first string) repo { spoil(r, r.git("rev-parse", first+"^{tree}")); return r },
		"a broken commit":  func(r repo, first string) repo { spoil(r, first); return r },
		"a broken reference": func(r repo, _ string) repo {
			check(t, os.WriteFile(filepath.Join(r.dir, ".git", "refs", "heads", "other"), []byte(strings.Repeat("1", 40)+"\n"), 0o600))
			return r
		},
		"a broken pack": func(r repo, _ string) repo {
			r.git("repack", "-a", "-d", "-q")
			packs, err := filepath.Glob(filepath.Join(r.dir, ".git", "objects", "pack", "*.pack"))
			check(t, err)
			check(t, os.Chmod(packs[0], 0o600))
			content, err := os.ReadFile(packs[0])
			check(t, err)
			for i := len(content)/2 - 20; i < len(content)/2; i++ {
				content[i] ^= 0xff
			}
			check(t, os.WriteFile(packs[0], content, 0o600))
			return r
		},
		"a partial clone": func(r repo, _ string) repo {
			r.git("config", "uploadpack.allowFilter", "true")
			clone := repo{t, t.TempDir()}
			clone.git("clone", "-q", "--bare", "--filter=blob:none", "file://"+r.dir, ".")
			return clone
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.write("b.txt", "nothing")
			first := r.commit("first")
			for i := range 20 {
				r.write("b.txt", strings.Repeat("something else ", i+1))
				r.commit("more")
			}
			r.git("rm", "-q", "b.txt")
			r.write("a.txt", "t = "+secret+"\n")
			r.commit("last")
			harmed := harm(r, first)
			for range 2 {
				places, c := harmed.look(func(h *history.Repository) error {
					m := h.Remember("1")
					if err := h.All(t.Context(), m); err != nil {
						return err
					}
					return h.Save(m)
				})
				if !c.Partial() {
					t.Errorf("coverage %+v", c)
				}
				if len(places) == 0 && name != "a partial clone" && name != "a broken pack" {
					t.Errorf("what it has was not looked at: %+v", c)
				}
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoRepository(t *testing.T) {
	if _, err := history.Open(t.Context(), t.TempDir(), search.New(search.Options{})); err == nil {
		t.Error("a directory is taken for a repository")
	}
}

// TestOwnHistory holds that the scanner finds nothing in what keyward's commits brought but
// what .keyward-scan.toml accepts.
func TestOwnHistory(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, ignore.FileName))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ignore.Parse(content, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	scanner, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	run := search.New(search.Options{Scanner: scanner, Hasher: leak.NewHasher(accepted.Key()), Ignore: accepted.Ignores, InlineAllow: true, Workers: 2})
	own, err := history.Open(t.Context(), root, run)
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Range(t.Context(), "HEAD"); err != nil {
		t.Fatal(err)
	}
	for _, f := range run.Findings() {
		if f.Severity >= leak.Medium {
			t.Errorf("%s %s %s at %v", f.Rule, f.Redacted, f.Fingerprint, f.Locations)
		}
	}
	c := run.Coverage()
	for _, p := range c.Problems {
		t.Errorf("%s: %s", p.Path, p.What)
	}
	t.Logf("%d commits, %d objects, %d bytes", c.Commits, c.Blobs, c.Bytes)
}
