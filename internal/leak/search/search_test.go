package search_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/leak/search"
	"github.com/keyward/keyward/internal/leak/unpack"
)

func options(t testing.TB) search.Options {
	t.Helper()
	s, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	return search.Options{Scanner: s, Hasher: leak.NewHasher([]byte("test")), InlineAllow: true, Workers: 2}
}

func token(t testing.TB) leaktest.Kind { return kindOf(t, "github-token") }

func kindOf(t testing.TB, rule string) leaktest.Kind {
	t.Helper()
	for _, k := range leaktest.New(1).Kinds() {
		if k.Rule == rule {
			return k
		}
	}
	t.Fatalf("there is no kind of %s", rule)
	return leaktest.Kind{}
}

// look answers a search that has looked at a document.
func look(o search.Options, name string, content []byte) *search.Search {
	s := search.New(o)
	if err := s.Lane().Reader(name, bytes.NewReader(content)); err != nil {
		s.Problem(name, err)
	}
	return s
}

func TestFiles(t *testing.T) {
	dir, k := t.TempDir(), token(t)
	for name, content := range map[string]string{
		"a/deep/.env":        "X=1\nTOKEN=" + k.Secret + "\n",
		"b.txt":              "nothing",
		"empty":              "",
		".git/objects/00/ab": k.Secret,
		".git/config":        "[remote \"o\"]\n\turl = https://app:" + k.Secret + "@git.keyward.test/a.git\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "b.txt"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := search.New(options(t))
	if err := s.Files(t.Context(), []string{dir, filepath.Join(dir, "none")}); err != nil {
		t.Fatal(err)
	}
	findings := s.Findings()
	if len(findings) != 1 {
		t.Fatalf("findings %+v", findings)
	}
	want := []leak.Location{{Path: filepath.Join(dir, ".git", "config"), Line: 2, Column: 20}, {Path: filepath.Join(dir, "a", "deep", ".env"), Line: 2, Column: 7}}
	if diff := cmp.Diff(want, findings[0].Locations); diff != "" {
		t.Errorf("locations (-want +got):\n%s", diff)
	}
	c := s.Coverage()
	if c.Files != 4 || len(c.Problems) != 1 || c.Problems[0].Path != filepath.Join(dir, "none") {
		t.Errorf("coverage %+v", c)
	}
	if diff := cmp.Diff(map[string]int64{"links": 1, "git objects": 1}, c.Skipped); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
}

// A link that is named is followed, be it to a file or to a directory; what is below has its name.
func TestNamedLinks(t *testing.T) {
	dir := t.TempDir()
	real, link, file := filepath.Join(dir, "real"), filepath.Join(dir, "link"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(real, 0o755), os.WriteFile(filepath.Join(real, "a.env"), []byte("TOKEN="+token(t).Secret), 0o644),
		os.Symlink(real, link), os.Symlink(filepath.Join(real, "a.env"), file)); err != nil {
		t.Fatal(err)
	}
	s := search.New(options(t))
	if err := s.Files(t.Context(), []string{link, file}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range s.Findings()[0].Locations {
		got = append(got, l.Path)
	}
	if diff := cmp.Diff([]string{file, filepath.Join(link, "a.env")}, got); diff != "" || s.Coverage().Partial() {
		t.Errorf("places (-want +got):\n%s %+v", diff, s.Coverage().Problems)
	}
}

// A file that is a key in DER is found, the shortest of them, too.
func TestKeysInDER(t *testing.T) {
	_, short, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]any{"ed25519": short, "P-256": curve} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if found := look(options(t), name, der).Findings(); len(found) != 1 || found[0].Rule != "private-key-bare" || found[0].Confidence != leak.Certain {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// A long document is looked at block by block; where a block ends makes no difference.
func TestEveryPlaceOfALongDocument(t *testing.T) {
	k, o := token(t), options(t)
	filler := bytes.Repeat([]byte("nothing to see in this line, move on\n"), 50_000)
	for _, at := range []int{0, 511 << 10, 512<<10 - 20, 512 << 10, 512<<10 + 16<<10, 1 << 20, 1<<20 + 500, len(filler)} {
		text := append(append(append([]byte{}, filler[:at]...), " "+k.Secret+" "...), filler[at:]...)
		findings := look(o, "a.log", text).Findings()
		if len(findings) != 1 || len(findings[0].Locations) != 1 {
			t.Fatalf("at %d: %+v", at, findings)
		}
		if want := bytes.Count(text[:at+1], []byte("\n")) + 1; findings[0].Locations[0].Line != want {
			t.Errorf("at %d: line %d, not %d", at, findings[0].Locations[0].Line, want)
		}
	}
}

func TestAllowedByAComment(t *testing.T) {
	k := token(t)
	text := []byte("a = '" + k.Secret + "' # keyward:allow a test\n")
	o := options(t)
	if s := look(o, "a.py", text); len(s.Findings()) != 0 || s.Coverage().Allowed != 1 {
		t.Errorf("%+v", s.Findings())
	}
	o.InlineAllow = false
	if s := look(o, "a.py", text); len(s.Findings()) != 1 {
		t.Error("a comment allows what it may not")
	}
}

// What is wrong with a document is a problem of the run, and what stands before it is found.
func TestBrokenContainers(t *testing.T) {
	k, o := token(t), options(t)
	text := []byte("TOKEN=" + k.Secret + "\n")
	zipped := leaktest.Zip(map[string][]byte{"a": text})
	gzipped := leaktest.Gzip(append(text, bytes.Repeat([]byte("0123456789"), 1000)...))
	damaged := leaktest.Gzip(text)
	damaged[len(damaged)-5] ^= 1
	for name, content := range map[string][]byte{"cut.zip": append(append([]byte{}, text...), zipped[:len(zipped)-30]...)[len(text):], "cut.gz": gzipped[:len(gzipped)-20], "damaged.gz": damaged} {
		s := look(o, name, content)
		if !s.Coverage().Partial() {
			t.Errorf("%s: no problem", name)
		}
		if strings.HasSuffix(name, ".gz") && len(s.Findings()) != 1 {
			t.Errorf("%s: %d findings", name, len(s.Findings()))
		}
	}
}

// nested answers content within so many gzip streams.
func nested(content []byte, depth int) []byte {
	for range depth {
		content = leaktest.Gzip(content)
	}
	return content
}

func TestLimits(t *testing.T) {
	limits := unpack.Limits{Depth: 3, Bytes: 20 << 20, Entry: 18 << 20, Ratio: 100, Entries: 50, Time: time.Hour}
	many := map[string][]byte{}
	for i := range 60 {
		many[strings.Repeat("x", i+1)] = []byte("a")
	}
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"deep":       {nested([]byte("a"), 5), "more than 3 containers within each other"},
		"many":       {leaktest.Zip(many), "more than 50 members"},
		"a bomb":     {leaktest.Gzip(make([]byte, 17<<20)), "more than 100 times what went in came out"},
		"one member": {leaktest.Gzip(make([]byte, 19<<20)), "more than"},
	} {
		o := options(t)
		o.Limits = limits
		problems := look(o, name, c.content).Coverage().Problems
		if len(problems) != 1 || !strings.Contains(problems[0].What, c.want) {
			t.Errorf("%s: %+v", name, problems)
		}
	}
	o := options(t)
	now := time.Unix(0, 0)
	o.Now = func() time.Time { now = now.Add(time.Minute); return now }
	o.Limits = limits
	o.Limits.Time = 2 * time.Minute
	if problems := look(o, "slow", leaktest.Zip(many)).Coverage().Problems; len(problems) != 1 || !strings.Contains(problems[0].What, "more than 2m") {
		t.Errorf("slow: %+v", problems)
	}
}

// A quine of gzip streams would unpack for ever; so would this reader.
func TestEndlessStreamEnds(t *testing.T) {
	o := options(t)
	o.Limits = unpack.Limits{Depth: 3, Bytes: 4 << 20, Entry: 4 << 20, Ratio: 1 << 40, Entries: 10, Time: time.Hour}
	s := search.New(o)
	endless := io.MultiReader(bytes.NewReader(leaktest.Gzip(bytes.Repeat([]byte("a line\n"), 1<<20))), endlessReader{})
	if err := s.Lane().Reader("a.gz", endless); !errors.Is(err, unpack.ErrLimit) {
		t.Errorf("error %v", err)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

func FuzzDocument(f *testing.F) {
	kinds := leaktest.New(1).Kinds()
	for _, c := range leaktest.Containers() {
		f.Add(c.With(kinds[0]))
		f.Add(c.With(kinds[len(kinds)-1]))
	}
	f.Add(sqlite(f, "CREATE TABLE a (password TEXT)", "INSERT INTO a VALUES ('something else')"))
	o := options(f)
	o.Limits = unpack.Limits{Depth: 4, Bytes: 8 << 20, Entry: 4 << 20, Ratio: 200, Entries: 1000, Time: 10 * time.Second}
	f.Fuzz(func(t *testing.T, content []byte) {
		began := time.Now()
		s := look(o, "a", content)
		if took := time.Since(began); took > 20*time.Second {
			t.Fatalf("%d bytes took %v", len(content), took)
		}
		for _, p := range s.Coverage().Problems {
			if strings.Contains(p.What, "internal error") {
				t.Fatal(p.What)
			}
		}
		if out := s.Coverage().Bytes; out > 40<<20 {
			t.Fatalf("%d bytes came out of %d", out, len(content))
		}
	})
}
