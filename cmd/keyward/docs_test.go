package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/keyward/keyward/internal/fault"
)

const root = "../.."

func page(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

var (
	shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	blockName  = regexp.MustCompile(`^\d+\.sh$`)
)

// TestDocumentedCommands holds that the shell blocks of a page are what its script runs.
// CONTRIBUTING.md tells the convention.
func TestDocumentedCommands(t *testing.T) {
	for name, script := range map[string]string{
		"README.md":              "readme.txt",
		"docs/usage.md":          "docs-usage.txt",
		"docs/quickstart.md":     "docs-quickstart.txt",
		"docs/keys.md":           "docs-keys.txt",
		"docs/policies.md":       "docs-policies.txt",
		"docs/external-keys.md":  "docs-external-keys.txt",
		"docs/hardware.md":       "docs-hardware.txt",
		"docs/instances.md":      "docs-instances.txt",
		"docs/audit.md":          "docs-audit.txt",
		"docs/operations.md":     "docs-operations.txt",
		"docs/witness.md":        "docs-witness.txt",
		"docs/providers/http.md": "docs-http.txt",
		"docs/secrets.md":        "docs-secrets.txt",
		"docs/inventory.md":      "docs-inventory.txt",
		"docs/alerts.md":         "docs-alerts.txt",
		"docs/findings.md":       "docs-findings.txt",
		"docs/rotation.md":       "docs-rotation.txt",
		"docs/rollouts.md":       "docs-rollouts.txt",
		"docs/agent.md":          "docs-agent.txt",
		"docs/scan.md":           "docs-scan.txt",
		"docs/repositories.md":   "docs-repositories.txt",
		"docs/access.md":         "docs-access.txt",
		"docs/people.md":         "docs-people.txt",
		"docs/approvals.md":      "docs-approvals.txt",
	} {
		t.Run(name, func(t *testing.T) {
			var documented []txtar.File
			for i, block := range shellBlock.FindAllSubmatch(page(t, name), -1) {
				documented = append(documented, txtar.File{Name: fmt.Sprintf("%d.sh", i+1), Data: block[1]})
			}
			path := filepath.Join("testdata", script)
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var run, other []txtar.File
			for _, f := range archive.Files {
				if blockName.MatchString(f.Name) {
					run = append(run, f)
				} else {
					other = append(other, f)
				}
			}
			if *update {
				archive.Files = append(documented, other...)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				run = documented
			}
			if diff := cmp.Diff(run, documented); diff != "" {
				t.Errorf("%s does not run what %s shows (-update copies it):\n%s", script, name, diff)
			}
			for _, f := range documented {
				if !bytes.Contains(archive.Comment, []byte("exec sh -e "+f.Name+"\n")) {
					t.Errorf("%s never runs %s", script, f.Name)
				}
			}
		})
	}
}

// TestDocumentedProgram holds that the README shows the program that is compiled.
func TestDocumentedProgram(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindSubmatch(page(t, "README.md"))
	if block == nil {
		t.Fatal("README.md shows no program")
	}
	program := regexp.MustCompile(`(?m)^\t`).ReplaceAll(page(t, "interop/readme/main.go"), nil)
	if !bytes.Contains(program, block[1]) {
		t.Error("interop/readme/main.go is not what README.md shows")
	}
}

// TestDocumentsAreComplete holds that what the program can say is explained.
func TestDocumentsAreComplete(t *testing.T) {
	for _, kind := range fault.Kinds() {
		if !bytes.Contains(page(t, "docs/errors.md"), []byte("`"+string(kind)+"`")) {
			t.Errorf("docs/errors.md lacks the code %s", kind)
		}
	}
	for _, one := range []struct{ page, source, pattern string }{
		{"docs/errors.md", "internal/server/alibaba/rpc/faults.go", `\{http\.Status\w+, "([\w.]+)"\}`},
		{"docs/alibaba.md", "internal/server/alibaba/operations.go", `(?m)^\t"(\w+)": +\{"kms:`},
		{"docs/operations.md", "internal/server/metrics.go", `"(keyward_\w+)"`},
		{"docs/operations.md", "internal/server/inventory.go", `"(keyward_\w+)"`},
		{"docs/adr/0001-dependencies.md", "go.mod", `(?m)^\t(\S+) v\S+$`}, // those that are not indirect
	} {
		names := regexp.MustCompile(one.pattern).FindAllSubmatch(page(t, one.source), -1)
		if len(names) < 5 {
			t.Errorf("%s: found only %d names", one.source, len(names))
		}
		for _, name := range names {
			if !bytes.Contains(page(t, one.page), []byte("`"+string(name[1])+"`")) {
				t.Errorf("%s lacks %s of %s", one.page, name[1], one.source)
			}
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// TestDocumentsAreListed holds that docs/README.md leads to each document.
func TestDocumentsAreListed(t *testing.T) {
	listed := map[string]bool{"README.md": true}
	for _, found := range link.FindAllSubmatch(page(t, "docs/README.md"), -1) {
		listed[string(found[1])] = true
	}
	for _, pattern := range []string{"*.md", "providers/*.md", "design/*.md"} {
		pages, err := fs.Glob(os.DirFS(filepath.Join(root, "docs")), pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(pages), err)
		}
		for _, page := range pages {
			if !listed[page] {
				t.Errorf("docs/README.md does not list %s", page)
			}
		}
	}
}

// TestLinks holds that links between documents lead to a file, and to a heading of it.
func TestLinks(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range link.FindAllSubmatch(fenced.ReplaceAll(content, nil), -1) {
			target, err := url.Parse(string(found[1]))
			if err != nil || target.IsAbs() {
				continue
			}
			file := path
			if target.Path != "" {
				file = filepath.Join(filepath.Dir(path), filepath.FromSlash(target.Path))
			}
			if !leads(file, target.Fragment) {
				t.Errorf("%s: the link to %s leads nowhere", path, found[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// leads tells whether there is such a file, with such a heading if one is named.
func leads(file, fragment string) bool {
	if fragment == "" {
		_, err := os.Stat(file)
		return err == nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for _, h := range heading.FindAllSubmatch(content, -1) {
		if anchor(string(h[1])) == fragment {
			return true
		}
	}
	return false
}

// anchor answers the name that a heading gets on a web page.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}, strings.ToLower(heading))
}
