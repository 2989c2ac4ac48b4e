package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/image"
	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/leak/search"
)

// secrets answers fresh tokens, each of them another.
func secrets(t testing.TB, n int) (out []string) {
	t.Helper()
	for seed := range n {
		for _, k := range leaktest.New(uint64(seed + 1)).Kinds() {
			if k.Rule == "github-token" {
				out = append(out, k.Secret)
			}
		}
	}
	if len(out) != n {
		t.Fatalf("%d tokens", len(out))
	}
	return out
}

func look(t *testing.T, name string) *search.Search {
	t.Helper()
	scanner, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	s := search.New(search.Options{Scanner: scanner, Hasher: leak.NewHasher([]byte("test")), Workers: 1})
	if err := image.Look(t.Context(), name, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// places answers where each secret was found, without the file's own path.
func places(s *search.Search, name string) (out []string) {
	for _, f := range s.Findings() {
		for _, l := range f.Locations {
			at := strings.TrimPrefix(l.Path, name) + fmt.Sprintf(":%d @%s", l.Line, l.Layer)
			if l.Hidden {
				at += " hidden"
			}
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return out
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type object = map[string]any

// story is an image in which a file is copied, replaced, deleted and hidden, and whose
// configuration says too much.
func story(t *testing.T) (config []byte, layers [][]byte, want []string) {
	s := secrets(t, 7)
	file := func(i int) []byte { return []byte("a\nTOKEN=" + s[i] + "\n") }
	layers = [][]byte{
		leaktest.Tar(map[string][]byte{"app/deleted.env": file(0), "app/replaced.env": file(1), "old/deep/opaque.env": file(2), "./stays.env": file(3)}),
		leaktest.Gzip(leaktest.Tar(map[string][]byte{"app/.wh.deleted.env": nil, "app/replaced.env": []byte("TOKEN=changeme"), "old/.wh..wh..opq": nil, "old/new.env": file(4)})),
		make([]byte, 1024), // an empty archive
	}
	config = marshal(t, object{
		"config":  object{"Env": []string{"PATH=/bin", "TOKEN=" + s[5]}, "Labels": object{"a": "b"}},
		"history": []object{{"created_by": "/bin/sh -c #(nop) ARG A"}, {"created_by": "RUN curl -H 'Authorization: Bearer " + s[6] + "' https://git.keyward.test/"}},
	})
	want = []string{
		"!app/deleted.env:2 @layer 1 of 3 hidden", "!app/replaced.env:2 @layer 1 of 3 hidden", "!config/environment:2 @", "!config/history:3 @",
		"!old/deep/opaque.env:2 @layer 1 of 3 hidden", "!old/new.env:2 @layer 2 of 3", "!stays.env:2 @layer 1 of 3",
	}
	return config, layers, want
}

func dockerSave(t *testing.T) (content []byte, want []string) {
	config, layers, want := story(t)
	files := map[string][]byte{"c.json": config}
	names := []string{}
	for i, l := range layers {
		names = append(names, fmt.Sprintf("%d/layer.tar", i))
		files[names[i]] = l
	}
	files["manifest.json"] = marshal(t, []object{{"Config": "c.json", "RepoTags": []string{"shop:1"}, "Layers": names}})
	return leaktest.Tar(files), want
}

func TestDockerSave(t *testing.T) {
	content, want := dockerSave(t)
	for name, content := range map[string][]byte{"shop.tar": content, "shop.tar.gz": leaktest.Gzip(content), "shop.tar.zst": leaktest.Zstd(content), "shop.tar.xz": leaktest.XZ(content), "shop.tar.bz2": leaktest.Bzip2(content)} {
		path := write(t, name, content)
		s := look(t, path)
		if diff := cmp.Diff(want, places(s, path)); diff != "" {
			t.Errorf("%s: places (-want +got):\n%s", name, diff)
		}
		if c := s.Coverage(); c.Partial() || c.Layers != 3 || c.Files != 7 {
			t.Errorf("%s: coverage %+v", name, c)
		}
	}
}

// layout answers an OCI layout with an index within an index, by names of files.
func layout(t *testing.T) (files map[string][]byte, want []string) {
	config, layers, want := story(t)
	files = map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	put := func(content []byte) object {
		digest := fmt.Sprintf("%x", sha256.Sum256(content))
		files["blobs/sha256/"+digest] = content
		return object{"digest": "sha256:" + digest, "size": len(content)}
	}
	var refs []object
	for _, l := range layers {
		refs = append(refs, put(l))
	}
	manifest := put(marshal(t, object{"schemaVersion": 2, "config": put(config), "layers": refs}))
	inner := put(marshal(t, object{"schemaVersion": 2, "manifests": []object{manifest}}))
	files["index.json"] = marshal(t, object{"schemaVersion": 2, "manifests": []object{inner}})
	return files, want
}

// Layers that are compressed with zstd or xz are read as those with gzip.
func TestCompressedLayers(t *testing.T) {
	layer := leaktest.Tar(map[string][]byte{"app.env": []byte("TOKEN=" + secrets(t, 1)[0] + "\n")})
	for name, compressed := range map[string][]byte{"zstd": leaktest.Zstd(layer), "xz": leaktest.XZ(layer)} {
		path := write(t, "shop.tar", leaktest.Tar(map[string][]byte{"l": compressed, "c": []byte("{}"), "manifest.json": marshal(t, []object{{"Config": "c", "Layers": []string{"l"}}})}))
		if diff := cmp.Diff([]string{"!app.env:1 @layer 1 of 1"}, places(look(t, path), path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A layer that two images share hides in both what it deletes.
func TestSharedLayer(t *testing.T) {
	tokens := secrets(t, 2)
	base := func(i int) []byte {
		return leaktest.Tar(map[string][]byte{"a.env": []byte("TOKEN=" + tokens[i] + "\n")})
	}
	path := write(t, "two.tar", leaktest.Tar(map[string][]byte{
		"1": base(0), "2": base(1), "top": leaktest.Tar(map[string][]byte{".wh.a.env": nil}), "c": []byte("{}"),
		"manifest.json": marshal(t, []object{{"Config": "c", "RepoTags": []string{"one"}, "Layers": []string{"1", "top"}}, {"Config": "c", "RepoTags": []string{"two"}, "Layers": []string{"2", "top"}}}),
	}))
	want := []string{"!one!a.env:1 @layer 1 of 2 hidden", "!two!a.env:1 @layer 1 of 2 hidden"}
	if diff := cmp.Diff(want, places(look(t, path), path)); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

func TestLayout(t *testing.T) {
	files, want := layout(t)
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{dir, write(t, "oci.tar", leaktest.Tar(files))} {
		s := look(t, path)
		if diff := cmp.Diff(want, places(s, path)); diff != "" || s.Coverage().Partial() {
			t.Errorf("places (-want +got):\n%s %v", diff, s.Coverage().Problems)
		}
	}
}

// What is damaged or missing is named, and the rest is looked at.
func TestDamage(t *testing.T) {
	config, layers, _ := story(t)
	files := map[string][]byte{
		"c.json": config, "0": layers[0], "1": layers[1][:len(layers[1])-30], "2": []byte("no layer"),
		"manifest.json": marshal(t, []object{{"Config": "c.json", "Layers": []string{"0", "1", "2", "3", "../../etc/passwd"}}}),
	}
	path := write(t, "shop.tar", leaktest.Tar(files))
	s := look(t, path)
	var problems []string
	for _, p := range s.Coverage().Problems {
		problems = append(problems, strings.TrimPrefix(p.Path, path)+": "+p.What)
	}
	want := []string{
		"!../../etc/passwd: the image does not have it", "!3: the image does not have it",
		"!2: it is no layer: neither a tar archive nor a compressed one", "!old/new.env: unexpected EOF", "!1: unpacking gzip: unexpected EOF",
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if len(s.Findings()) < 6 {
		t.Errorf("%d findings", len(s.Findings()))
	}
}

func TestNoImage(t *testing.T) {
	many := []object{}
	for range 1001 {
		many = append(many, object{"Config": "c"})
	}
	loop := []byte(`{"manifests":[{"digest":"sha256:00"}]}`)
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"nothing":      {nil, "it is no image"},
		"text":         {[]byte(strings.Repeat("hello\n", 200)), "reading it as a tar archive"},
		"another tar":  {leaktest.Tar(map[string][]byte{"a": []byte("b")}), "it is no image"},
		"no manifests": {leaktest.Tar(map[string][]byte{"manifest.json": []byte("[]")}), "it names no image"},
		"no JSON":      {leaktest.Tar(map[string][]byte{"manifest.json": []byte("{")}), "reading manifest.json"},
		"many":         {leaktest.Tar(map[string][]byte{"manifest.json": marshal(t, many)}), "it names 1001 images"},
		"a cycle":      {leaktest.Tar(map[string][]byte{"index.json": loop, "blobs/sha256/00": loop}), "more than 4 indexes"},
		"cut":          {leaktest.Gzip(leaktest.Tar(map[string][]byte{"a": nil}))[:40], "unexpected EOF"},
	} {
		s := search.New(search.Options{})
		if err := image.Look(t.Context(), write(t, "a", c.content), s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if !s.Coverage().Nothing() {
			t.Errorf("%s: something was covered", name)
		}
	}
}

// A layer that unpacks for ever ends.
func TestBomb(t *testing.T) {
	var big bytes.Buffer
	w := tar.NewWriter(&big)
	const size = 64 << 20
	if err := w.WriteHeader(&tar.Header{Name: "zeros", Mode: 0o600, Size: size}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := write(t, "a.tar", leaktest.Tar(map[string][]byte{"l": leaktest.Gzip(big.Bytes()), "c": []byte("{}"), "manifest.json": marshal(t, []object{{"Config": "c", "Layers": []string{"l"}}})}))
	if c := look(t, path).Coverage(); len(c.Problems) == 0 || !strings.Contains(c.Problems[0].What, "200 times") {
		t.Errorf("problems %+v", c.Problems)
	}
}

func FuzzLook(f *testing.F) {
	f.Add(leaktest.Tar(map[string][]byte{"l": leaktest.Tar(map[string][]byte{"a/.wh.b": nil}), "c": []byte("{}"), "manifest.json": []byte(`[{"Config":"c","Layers":["l"]}]`)}))
	f.Add(leaktest.Gzip(leaktest.Tar(map[string][]byte{"index.json": []byte(`{"config":{"digest":"a:b"},"layers":[{"digest":"a:b"}]}`), "blobs/a/b": []byte("{}")})))
	scanner, err := leak.New(rules.All())
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(f.TempDir(), "a")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s := search.New(search.Options{Scanner: scanner, Hasher: leak.NewHasher([]byte("test"))})
		_ = image.Look(t.Context(), path, s) // what it is not is an error
	})
}
