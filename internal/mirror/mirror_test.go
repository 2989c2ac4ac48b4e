package mirror_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/mirror"
	"github.com/keyward/keyward/internal/watch"
)

// serving has this program be the process that searches.
const serving = "KEYWARD_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serving) != "" {
		if err := mirror.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A world is a git host with one repository, and what watches it.
type world struct {
	t       *testing.T
	repo    string // bare, which the host serves
	work    string // a clone of it, in which commits are made
	host    *httptest.Server
	answer  func(w http.ResponseWriter, r *http.Request) bool // before the host does
	mu      sync.Mutex                                        // guards seen
	seen    []*http.Request
	options mirror.Options
	remote  watch.Remote
}

// requests answers what the host was asked.
func (w *world) requests() []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, repo: filepath.Join(dir, "shop.git"), work: filepath.Join(dir, "work"), answer: func(http.ResponseWriter, *http.Request) bool { return false }}
	w.git("init", "-q", "--bare", "-b", "main", w.repo)
	w.git("init", "-q", "-b", "main", w.work)
	backend := &cgi.Handler{
		Path: "/bin/sh", Args: []string{"-c", "exec git http-backend"}, Root: "/",
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "PATH=" + os.Getenv("PATH")}, InheritEnv: []string{"HOME"},
	}
	w.host = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.seen = append(w.seen, r)
		w.mu.Unlock()
		if w.answer(rw, r) {
			return
		}
		if v := r.Header.Get("Git-Protocol"); v != "" {
			backend := *backend
			backend.Env = append(backend.Env, "GIT_PROTOCOL="+v)
			backend.ServeHTTP(rw, r)
			return
		}
		backend.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.host.Close)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w.options = mirror.Options{
		Dir: filepath.Join(dir, "mirrors"), Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Most: 64 << 20,
		Program: func(ctx context.Context) *exec.Cmd {
			cmd := exec.CommandContext(ctx, exe)
			cmd.Env = []string{serving + "=1"}
			return cmd
		},
	}
	w.remote = watch.Remote{ID: strings.Repeat("ab", 16), URL: w.host.URL + "/shop.git"}
	return w
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@keyward.test", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@keyward.test")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// password answers a password in a file.
func password(n int) string { return fmt.Sprintf("db_%s: \"Zx9#kLm2%spQ7vB%d\"\n", "password", "!", n) }

// commit makes a commit with a file on a branch and pushes it.
func (w *world) commit(branch, name, content string) {
	w.t.Helper()
	path := filepath.Join(w.work, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.git("-C", w.work, "checkout", "-q", "-B", branch)
	w.git("-C", w.work, "add", "-A")
	w.git("-C", w.work, "commit", "-q", "-m", "change "+name)
	w.git("-C", w.work, "push", "-q", "-f", w.repo, branch)
}

// harvest answers what a look finds: the rule of each finding with its first place, and whether it is gone.
func (w *world) harvest(s watch.Search) (found []string, h watch.Harvest) {
	w.t.Helper()
	s.Key = "key"
	h, err := mirror.New(w.options).Harvest(w.t.Context(), w.remote, s)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range h.Seen {
		found = append(found, fmt.Sprint(c.Rule, " ", c.Places[0].Path, map[bool]string{true: " gone"}[c.Gone]))
	}
	return found, h
}

// mirrored tells whether there is a mirror.
func (w *world) mirrored() bool {
	_, err := os.Stat(filepath.Join(w.options.Dir, w.remote.ID))
	return err == nil
}

func (w *world) status(err error) watch.Status {
	w.t.Helper()
	t, ok := errors.AsType[*watch.Trouble](err)
	if !ok {
		w.t.Fatalf("%v is no trouble", err)
	}
	w.t.Log(t.Text)
	return t.Status
}

func TestNewObjectsAreFound(t *testing.T) {
	w := newWorld(t)
	w.commit("main", "a.yaml", password(1))
	m := mirror.New(w.options)
	first, err := m.Tips(t.Context(), w.remote)
	if err != nil || first.Refs != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	found, h := w.harvest(watch.Search{})
	if diff := cmp.Diff([]string{"generic-password a.yaml"}, found); diff != "" || h.Shallow || h.Rewritten || len(h.Unread) > 0 || h.Objects == 0 || h.Fetched == 0 {
		t.Errorf("%+v\n%s", h, diff)
	}
	if again, err := m.Tips(t.Context(), w.remote); err != nil || again != first {
		t.Errorf("%+v, %v", again, err)
	}

	// a side branch, and a ref that no clone has
	w.commit("side", "b.yaml", password(2))
	w.git("-C", w.repo, "update-ref", "refs/pull/1/head", "refs/heads/side")
	w.git("-C", w.repo, "update-ref", "-d", "refs/heads/side")
	if again, err := m.Tips(t.Context(), w.remote); err != nil || again.Digest == first.Digest || again.Refs != 2 {
		t.Errorf("%+v, %v", again, err)
	}
	found, _ = w.harvest(watch.Search{})
	if diff := cmp.Diff([]string{"generic-password a.yaml", "generic-password b.yaml"}, found); diff != "" {
		t.Error(diff)
	}
	w.remote.Refs = []string{"refs/heads/*"}
	if main, err := m.Tips(t.Context(), w.remote); err != nil || main.Refs != 1 {
		t.Errorf("%+v, %v", main, err)
	}

	// what is taken away is found still, and said to be gone
	w.remote.Refs = nil
	w.git("-C", w.repo, "update-ref", "-d", "refs/pull/1/head")
	found, h = w.harvest(watch.Search{})
	if diff := cmp.Diff([]string{"generic-password a.yaml", "generic-password b.yaml gone"}, found); diff != "" || !h.Rewritten {
		t.Errorf("%+v\n%s", h, diff)
	}
	for _, keep := range []bool{true, false} {
		if err := m.Keep(func() (map[string]bool, error) { return map[string]bool{w.remote.ID: keep}, nil }); err != nil || w.mirrored() != keep {
			t.Errorf("kept: %v, should be %v: %v", w.mirrored(), keep, err)
		}
	}
}

// What somebody else allows in the repository does not count, nor does what its names or its
// configuration would have git do.
func TestHostileRepository(t *testing.T) {
	w := newWorld(t)
	w.commit("main", ".keyward-scan.toml", "[[ignore]]\n")
	w.commit("main", ".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = file:///etc\n")
	w.commit("main", "a.yaml", strings.TrimSpace(password(1))+" # keyward:allow\n")
	clean := w.git("-C", w.work, "rev-parse", "HEAD~1:.gitmodules")
	w.git("-C", w.repo, "update-ref", "refs/replace/"+w.git("-C", w.work, "rev-parse", "HEAD:a.yaml"), clean)
	found, h := w.harvest(watch.Search{})
	if diff := cmp.Diff([]string{"generic-password a.yaml"}, found); diff != "" || len(h.Unread) > 0 {
		t.Errorf("%+v\n%s", h, diff)
	}
	info, err := os.Stat(w.options.Dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of mirrors: %v, %v", info.Mode(), err)
	}
	for _, name := range []string{"hooks", "FETCH_HEAD"} {
		if _, err := os.Stat(filepath.Join(w.options.Dir, w.remote.ID, name)); err == nil {
			t.Errorf("the mirror has %s", name)
		}
	}
}

func TestTokenIsSentAndStaysHere(t *testing.T) {
	w := newWorld(t)
	w.commit("main", "a.yaml", password(1))
	const secret = "fake-token-of-a-test"
	w.remote.User, w.remote.Token = "bot", material.NewBytes([]byte(secret))
	w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
		user, pass, _ := r.BasicAuth()
		if user == "bot" && pass == secret {
			return false
		}
		rw.WriteHeader(http.StatusUnauthorized)
		return true
	}
	if found, _ := w.harvest(watch.Search{}); len(found) != 1 {
		t.Error(found)
	}
	for _, r := range w.requests() {
		if r.Header.Get("Keyward-Pass") != "" {
			t.Error("the pass left the machine")
		}
	}
	err := filepath.WalkDir(w.options.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), secret) || strings.Contains(string(content), "127.0.0.1") {
			t.Errorf("%s knows the token or the place", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	w.remote.Token = material.NewBytes([]byte("revoked"))
	_, err = mirror.New(w.options).Tips(t.Context(), w.remote)
	if w.status(err) != watch.Denied || strings.Contains(err.Error(), "revoked") && !strings.Contains(err.Error(), "token") {
		t.Error(err)
	}
}

func TestTroubles(t *testing.T) {
	redirect := func(to string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, to, http.StatusMovedPermanently)
			return true
		}
	}
	says := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(code); return true }
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		status watch.Status
		text   string
	}{
		"moved":       {redirect("https://git.example.com/new.git/info/refs?service=git-upload-pack"), watch.Moved, "https://git.example.com/new.git"},
		"metadata":    {redirect("http://169.254.169.254/latest/info/refs"), watch.Moved, "169.254.169.254"},
		"login":       {redirect("https://git.example.com/login?to=shop"), watch.Denied, "git.example.com"},
		"not found":   {says(404), watch.Denied, "or needs a token"},
		"overloaded":  {says(503), watch.Unreachable, "503"},
		"a web page":  {func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "<html>"); return true }, watch.Unreachable, "no git repository"},
		"nonsense":    {nonsense("application/x-git-upload-pack-advertisement"), watch.Unreachable, ""},
		"hangs up":    {func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, watch.Unreachable, "EOF"},
		"dumb server": {nonsense("text/plain"), watch.Unreachable, "protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer, w.remote.Token = c.answer, material.NewBytes([]byte{}) // as none comes from a form
			_, err := mirror.New(w.options).Tips(t.Context(), w.remote)
			if got := w.status(err); got != c.status || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %s", err, c.status)
			}
			if len(w.requests()) > 1 {
				t.Errorf("%d requests", len(w.requests()))
			}
		})
	}
}

func nonsense(kind string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", kind)
		fmt.Fprint(w, "001f# no service\n0000")
		return true
	}
}

func TestNothingPrivateIsReached(t *testing.T) {
	w := newWorld(t)
	w.commit("main", "a.yaml", "")
	w.options.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	_, err := mirror.New(w.options).Tips(t.Context(), w.remote)
	if w.status(err) != watch.Denied || !strings.Contains(err.Error(), "egress.allow") || len(w.requests()) > 0 {
		t.Error(err)
	}
}

func TestRepositoriesThatAreNotWhole(t *testing.T) {
	t.Run("empty", func(t *testing.T) {
		w := newWorld(t)
		tips, err := mirror.New(w.options).Tips(t.Context(), w.remote)
		if err != nil || tips.Refs != 0 {
			t.Errorf("%+v, %v", tips, err)
		}
	})
	t.Run("shallow", func(t *testing.T) {
		w := newWorld(t)
		w.commit("main", "a.yaml", password(1))
		w.commit("main", "a.yaml", password(2))
		w.git("clone", "-q", "--bare", "--depth=1", "file://"+w.repo, w.repo+".shallow")
		w.remote.URL += ".shallow"
		found, h := w.harvest(watch.Search{})
		if diff := cmp.Diff([]string{"generic-password a.yaml"}, found); diff != "" || !h.Shallow || len(h.Unread) > 0 {
			t.Errorf("%+v\n%s", h, diff)
		}
	})
	t.Run("corrupt", func(t *testing.T) {
		w := newWorld(t)
		w.commit("main", "a.yaml", password(1))
		id := w.git("-C", w.work, "rev-parse", "HEAD:a.yaml")
		if err := os.Remove(filepath.Join(w.repo, "objects", id[:2], id[2:])); err != nil {
			t.Fatal(err)
		}
		_, err := mirror.New(w.options).Harvest(t.Context(), w.remote, watch.Search{Key: "key"})
		if w.status(err) != watch.Corrupt {
			t.Error(err)
		}
	})
	t.Run("large", func(t *testing.T) {
		w := newWorld(t)
		noise := make([]byte, 1<<20)
		for i := range noise {
			noise[i] = byte(i * i >> 7 * 31)
		}
		w.commit("main", "a.bin", hex.EncodeToString(noise))
		w.options.Most = 64 << 10
		_, err := mirror.New(w.options).Harvest(t.Context(), w.remote, watch.Search{Key: "key"})
		if w.status(err) != watch.TooLarge {
			t.Error(err)
		}
		if w.mirrored() {
			t.Error("something is left of it")
		}
	})
	t.Run("sha256", func(t *testing.T) {
		w := newWorld(t)
		w.git("init", "-q", "--bare", "--object-format=sha256", "-b", "main", w.repo+"2")
		w.git("init", "-q", "--object-format=sha256", "-b", "main", w.work+"2")
		w.repo, w.work, w.remote.URL = w.repo+"2", w.work+"2", w.remote.URL+"2"
		w.commit("main", "a.yaml", password(1))
		if found, _ := w.harvest(watch.Search{}); len(found) != 1 {
			t.Error(found)
		}
	})
	t.Run("a git that was killed", func(t *testing.T) {
		w := newWorld(t)
		w.commit("main", "a.yaml", password(1))
		w.harvest(watch.Search{})
		for _, name := range []string{"packed-refs.lock", "refs/heads/main.lock", "objects/pack/tmp_pack_x"} {
			if err := os.WriteFile(filepath.Join(w.options.Dir, w.remote.ID, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.commit("main", "b.yaml", password(2))
		if found, _ := w.harvest(watch.Search{}); len(found) != 2 {
			t.Error(found)
		}
	})
}

func TestDirectories(t *testing.T) {
	w := newWorld(t)
	w.commit("main", "a.yaml", password(1))
	w.remote.URL = "file://" + w.repo
	dir := filepath.Dir(w.repo)
	outside := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(outside, "link")); err != nil {
		t.Fatal(err)
	}
	m := mirror.New(w.options)
	if err := m.Allows(w.remote.URL); !fault.Is(err, fault.InvalidParameter) {
		t.Error(err)
	}
	w.options.Directories = []string{outside}
	m = mirror.New(w.options)
	for _, url := range []string{w.remote.URL, "file://" + outside + "/link/shop.git", "file://" + outside + "/../shop.git", "file://host" + outside, "file:shop.git", "file:///none"} {
		if err := m.Allows(url); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", url, err)
		}
	}
	w.options.Directories = []string{dir}
	if found, _ := w.harvest(watch.Search{}); len(found) != 1 {
		t.Error(found)
	}
}

// Nothing outside of the directories is read, however a path or a repository leads there.
func TestDirectoriesAreNotLeft(t *testing.T) {
	w := newWorld(t)
	w.commit("main", "a.yaml", password(1))
	allowed := t.TempDir()
	w.options.Directories = []string{allowed}
	at := func(name string) string { return filepath.Join(allowed, name) }
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, content string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(at(name)), 0o755), os.WriteFile(at(name), []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	w.git("clone", "-q", "--bare", w.repo, at("own.git"))
	w.git("clone", "-q", w.repo, at("work"))
	w.git("clone", "-q", "--bare", "--shared", at("own.git"), at("borrows.git"))
	w.git("clone", "-q", "--bare", w.repo, at("circle.git")) // its links stay inside
	link(at("circle.git/objects"), "circle.git/objects/circle")
	link(at("own.git/objects/pack"), "circle.git/objects/ab")
	for _, name := range []string{"own.git", "work", "borrows.git", "own.git/", "circle.git"} {
		w.remote.URL = "file://" + allowed + "/" + name
		if _, err := mirror.New(w.options).Tips(t.Context(), w.remote); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	var refused []string
	outside := filepath.Dir(w.repo)
	if err := os.Mkdir(filepath.Join(outside, "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	link(filepath.Join(outside, "deep"), "deep")
	w.git("init", "-q", "--bare", at("shop.git")) // what deep/../shop.git looks like
	write("tree/.git", "gitdir: "+w.repo)
	if err := os.Mkdir(at("beside"), 0o755); err != nil {
		t.Fatal(err)
	}
	link(w.repo, "beside.git")
	w.git("clone", "-q", "--bare", "--shared", w.repo, at("shares.git"))
	w.git("init", "-q", "--bare", at("second.git"))
	write("second.git/objects/info/alternates", "../../shares.git/objects\n")
	w.git("init", "-q", "--bare", at("linked.git"))
	if err := os.RemoveAll(at("linked.git/objects")); err != nil {
		t.Fatal(err)
	}
	link(filepath.Join(w.repo, "objects"), "linked.git/objects")
	w.git("init", "-q", "--bare", at("common.git"))
	write("common.git/commondir", w.repo)
	for name, to := range map[string]string{"objects/ab": "objects", "objects/pack/x.pack": "HEAD", "refs/heads/main": "HEAD", "objects/deep/er/x": "objects"} {
		repo := "link-" + strings.ReplaceAll(name, "/", "-") + ".git"
		w.git("init", "-q", "--bare", at(repo))
		if err := os.MkdirAll(filepath.Dir(at(repo+"/"+name)), 0o755); err != nil {
			t.Fatal(err)
		}
		link(filepath.Join(w.repo, to), repo+"/"+name)
		refused = append(refused, repo)
	}
	w.git("init", "-q", "--bare", at("hop.git")) // by a link that stays inside, and one behind it
	write("hop/x", "")
	link(at("hop"), "hop.git/objects/ab")
	link(w.repo, "hop/cd")
	for _, name := range append(refused, "hop.git", "deep/../shop.git", "deep/%2e%2e/shop.git", "tree", "beside", "beside.git", "shares.git", "second.git", "linked.git", "common.git", "own.git/HEAD") {
		w.remote.URL = "file://" + allowed + "/" + name
		if tips, err := mirror.New(w.options).Tips(t.Context(), w.remote); !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %+v, %v", name, tips, err)
		}
	}
}

// A host that lists refs without end does not fill the memory: the list is cut off, in either
// protocol.
func TestManyRefs(t *testing.T) {
	for name, first := range map[string]string{"version 0": "001e# service=git-upload-pack\n0000", "version 2": ""} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.commit("main", "a.yaml", "")
			var sent int
			w.answer = func(rw http.ResponseWriter, r *http.Request) bool {
				kind := "advertisement"
				if first == "" {
					if r.Method == http.MethodGet {
						return false
					}
					kind = "result"
				}
				rw.Header().Set("Content-Type", "application/x-git-upload-pack-"+kind)
				fmt.Fprint(rw, first)
				var some strings.Builder
				for sent < 64<<20 {
					some.Reset()
					for range 10_000 {
						line := fmt.Sprintf("%040d refs/heads/%0120d\n", 7, sent+some.Len())
						fmt.Fprintf(&some, "%04x%s", len(line)+4, line)
					}
					sent += some.Len()
					if _, err := io.WriteString(rw, some.String()); err != nil {
						break
					}
				}
				fmt.Fprint(rw, "0000")
				return true
			}
			_, err := mirror.New(w.options).Tips(t.Context(), w.remote)
			if w.status(err) != watch.TooLarge || !strings.Contains(err.Error(), "refs") {
				t.Error(err)
			}
		})
	}
}

func TestURLs(t *testing.T) {
	m := mirror.New(mirror.Options{Dir: t.TempDir()})
	if err := m.Allows("https://git.example.com/shop.git"); err != nil {
		t.Error(err)
	}
	for _, url := range []string{
		"", "shop.git", "https://", "https://git.example.com", "https://git.example.com/", "https://bot:fake@git.example.com/shop.git", "https://git.example.com/shop.git?token=fake", "https://git.example.com/a b",
		"http://git.example.com/shop.git", "ssh://git@git.example.com/shop.git", "git@git.example.com:shop.git", "git://git.example.com/shop.git", "ext::sh -c id", "file:///etc", "--upload-pack=id", "https:git.example.com/x",
	} {
		err := m.Allows(url)
		if !fault.Is(err, fault.InvalidParameter) || strings.Contains(err.Error(), "fake") {
			t.Errorf("%s: %v", url, err)
		}
	}
	inside := mirror.New(mirror.Options{Dir: t.TempDir(), Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for url, allowed := range map[string]bool{"http://git.internal/shop.git": true, "http://git.internal": false, "http://git.internal/": false} {
		if err := inside.Allows(url); (err == nil) != allowed || err != nil && !fault.Is(err, fault.InvalidParameter) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// A mirror that cannot be measured is not called too large, for which it would be removed.
func TestMirrorsThatCannotBeMeasured(t *testing.T) {
	w := newWorld(t)
	w.commit("main", "a.yaml", password(1))
	w.harvest(watch.Search{})
	at, err := os.OpenRoot(filepath.Join(w.options.Dir, w.remote.ID))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // deeper than a path can tell, where git looks for nothing
		name := strings.Repeat("d", 250)
		if err := at.MkdirAll("objects/xx/"+name, 0o700); err != nil {
			t.Fatal(err)
		}
		below, err := at.OpenRoot("objects/xx/" + name)
		if err := errors.Join(err, at.Close()); err != nil {
			t.Fatal(err)
		}
		at = below
	}
	if err := at.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = mirror.New(w.options).Harvest(t.Context(), w.remote, watch.Search{Key: "key"})
	if _, trouble := errors.AsType[*watch.Trouble](err); err == nil || trouble || !w.mirrored() {
		t.Errorf("%v; the mirror is there: %v", err, w.mirrored())
	}
}

// Secrets come back if they are asked for by their rules, and only then.
func TestValues(t *testing.T) {
	w := newWorld(t)
	w.commit("main", "a.yaml", password(1))
	if _, h := w.harvest(watch.Search{Values: []string{"github-token"}}); len(h.Values) > 0 {
		t.Errorf("%+v", h.Values)
	}
	// What is remembered is read again for them, and found as it was.
	before, _ := w.harvest(watch.Search{})
	found, h := w.harvest(watch.Search{Values: []string{"generic-password"}})
	if diff := cmp.Diff(before, found); diff != "" || len(h.Seen[0].Places) != 1 {
		t.Error(diff)
	}
	if len(h.Values) != 1 || h.Values[0].Blind != h.Seen[0].Blind || h.Values[0].Rule != "generic-password" || !strings.Contains(password(1), `"`+string(h.Values[0].Value.Expose())+`"`) {
		t.Errorf("%+v", h.Values)
	}
}
