package render_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent/render"
	"github.com/keyward/keyward/internal/material"
)

const canary = "EXAMPLE it's <a> secret"

func key() delivery.Key {
	return delivery.Key{
		Rollout: "pay", Generation: 7,
		Primary:  delivery.Credential{Version: "v2", Parts: map[string]api.SecretText{"id": "AK2", "secret": canary, "odd name": "x"}},
		Fallback: delivery.Credential{Version: "v1", Parts: map[string]api.SecretText{"id": "AK1"}},
	}
}

func TestExecute(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"{{.Primary.secret}}\n":               canary + "\n",
		"{{json .Primary.secret}}":            `"EXAMPLE it's <a> secret"`,
		"{{json .Fallback}}":                  `{"id":"AK1"}`,
		"S={{quote .Primary.secret}}":         `S='EXAMPLE it'\''s <a> secret'`,
		"{{base64 .Primary.id}}":              "QUsy",
		"{{query .Primary.secret}}":           "EXAMPLE+it%27s+%3Ca%3E+secret",
		"{{.Generation}} {{.PrimaryVersion}}": "7 v2",
		"{{if .Fallback}}{{.Fallback.id}} {{.FallbackVersion}}{{end}}": "AK1 v1",
	} {
		parsed, err := render.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsed.Execute(key())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got.Expose())); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for name, want := range map[string]string{"id": "AK2", "odd name": "x"} {
		if got, err := render.Part(name).Execute(key()); err != nil || string(got.Expose()) != want {
			t.Errorf("part %q: %q, %v", name, got.Expose(), err)
		}
	}
	without := key()
	without.Fallback = delivery.Credential{}
	parsed, err := render.Parse("{{if .Fallback}}there{{else}}none{{end}}")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parsed.Execute(without); err != nil || string(got.Expose()) != "none" {
		t.Errorf("%q, %v", got.Expose(), err)
	}
}

// An error of a template names the place and shows no value.
func TestErrorsShowNoValue(t *testing.T) {
	for text, want := range map[string]string{
		"{{.Primary.nothing}}":         "no such part",
		"\n {{.Nothing}}":              "template:2",
		"{{index .Primary.secret 99}}": "cannot be evaluated",
		"{{printf .Primary.secret | len | html | json | slice .Primary.secret}}": "cannot be evaluated",
		"{{template .Primary.secret}}":                                           "",
		"{{range $i, $_ := .Primary}}{{range $.Primary.secret}}{{end}}{{end}}":   "cannot be evaluated",
		`{{call .Primary.secret}}`:                                               "cannot be evaluated",
		`{{range $a := .Primary}}{{printf "%2000000s" $a}}{{end}}`:               "larger than 1 MiB",
	} {
		parsed, err := render.Parse(text)
		if err == nil {
			_, err = parsed.Execute(key())
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "EXAMPLE") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := render.Part("nothing").Execute(key()); err == nil {
		t.Error("a part that is not there")
	}
	if _, err := render.Parse("{{.Primary"); err == nil {
		t.Error("a template that does not parse")
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	f := render.File{Path: filepath.Join(dir, "key"), UID: os.Getuid(), GID: os.Getgid(), Mode: 0o640}
	content := func(s string) material.Bytes { return material.NewBytes([]byte(s)) }
	if f.Current(content("")) {
		t.Error("a file that is not there is current")
	}
	for _, s := range []string{"one", "", "a longer one"} {
		if err := f.Write(content(s)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(f.Path)
		if err != nil || string(got) != s || !f.Current(content(s)) || f.Current(content(s+"x")) {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	other := f
	other.GID++
	if other.Current(content("a longer one")) {
		t.Error("a file of another group is current")
	}
	other = f
	other.Mode = 0o600
	if other.Current(content("a longer one")) {
		t.Error("a file with another mode is current")
	}
	nowhere := render.File{Path: filepath.Join(dir, "no", "key"), UID: -1, GID: -1, Mode: 0o600}
	if err := nowhere.Write(content("x")); err == nil {
		t.Error("a file in no directory was written")
	}
	if err := nowhere.Clean(); err == nil {
		t.Error("no directory was cleaned")
	}
	for _, name := range []string{".key.keyward-123", ".key.keyward-", ".key.keyward-12a", ".other.keyward-1", ".key"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Clean(); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{".key", ".key.keyward-", ".key.keyward-12a", ".other.keyward-1", "key"}, names); diff != "" {
		t.Error(diff)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("{{.Primary.secret | json}}")
	f.Add("{{range .Primary}}{{quote .}}{{end}}")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "template") || strings.Contains(text, "range") {
			return // what calls itself, or counts far, takes long
		}
		parsed, err := render.Parse(text)
		if err != nil {
			return
		}
		got, err := parsed.Execute(key())
		if err == nil && got.Len() > render.MaxSize {
			t.Errorf("%d bytes", got.Len())
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
