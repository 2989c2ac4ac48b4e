// Package importtest holds the rules of the house as tests: who may import what, and
// how large a file, a package and a function may be.
package importtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"go/version"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/keyward/keyward/"

// A file is one Go file of the product, tests aside.
type file struct {
	path    string // from the root, with slashes
	pkg     string // directory
	imports []string
	lines   int
	ast     *ast.File
	fset    *token.FileSet
}

func files(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && (rel == "interop" || rel == "vectors" || strings.HasPrefix(d.Name(), ".") && rel != ".") {
			return filepath.SkipDir // modules of their own, and what is not code
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(rel), pkg: filepath.ToSlash(filepath.Dir(rel)), lines: strings.Count(string(src), "\n"), ast: parsed, fset: fset}
		for _, i := range parsed.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, name)
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 50 {
		t.Fatalf("found only %d files", len(out))
	}
	return out
}

// below answers whether pkg is dir or lies under it.
func below(pkg string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") })
}

var (
	domains = []string{"internal/iam", "internal/key", "internal/secret", "internal/sink", "internal/accesskey", "internal/finding", "internal/message", "internal/oncall", "internal/notify", "internal/expiry", "internal/rollout", "internal/target", "internal/rotation", "internal/usage", "internal/upkeep", "internal/offer", "internal/exposure", "internal/watch", "internal/approval"}
	// leaves are what domains stand on; they import each other downwards only.
	leaves = []string{"internal/audit", "internal/authz", "internal/material", "internal/fault", "internal/job", "internal/cache", "internal/clock", "internal/erase", "internal/form", "internal/tag", "internal/tune", "internal/xks"}
)

// engine is what the stores stand on; the stores do not import each other.
var engine = []string{"internal/store/bound", "internal/store/database"}

// idiom is how anything is made when it is first needed; it belongs to all, as the standard
// library does.
const idiom = "internal/lazy"

// command is what every package of commands stands on.
var command = []string{"api", "client", "internal/cli", "internal/fault"}

// The direction of imports: cmd → commands → app → edges and store → domains → leaves.
var allowed = map[string][]string{
	"api":                {},
	"api/delivery":       {"api"},
	"client":             {"api", "api/delivery"},
	"internal/fault":     {},
	"internal/cache":     {},
	"internal/tag":       {"internal/fault"},
	"internal/xks":       {"internal/material", "internal/fault"},
	"internal/journal":   {"internal/durable"},
	"internal/replay":    {},
	"internal/erase":     {},
	"internal/job":       {},
	"internal/tune":      {},
	"internal/authz":     {"internal/fault"},
	"internal/material":  {"internal/erase", "internal/fault"},
	"internal/audit":     {"internal/audit", "internal/authz", "internal/fault"},
	"internal/seal":      {"internal/material", "internal/shamir", "internal/erase", "internal/fault"},
	"internal/shamir":    {"internal/material", "internal/fault"},
	"internal/clock":     {"internal/audit", "internal/fault"},
	"internal/authn":     {"internal/authz", "internal/material", "internal/erase", "internal/fault"},
	"internal/iam":       slices.Concat(domains, leaves),
	"internal/key":       slices.Concat(domains, leaves),
	"internal/secret":    slices.Concat(domains, leaves),
	"internal/sink":      slices.Concat(domains, leaves),
	"internal/accesskey": slices.Concat(domains, leaves),
	"internal/finding":   slices.Concat(domains, leaves),
	"internal/message":   {"internal/form", "internal/fault"},
	"internal/oncall":    {"internal/message", "internal/form", "internal/fault"},
	"internal/notify":    slices.Concat(domains, leaves),
	"internal/expiry":    slices.Concat(domains, leaves),
	"internal/rollout":   slices.Concat(domains, leaves, []string{"api/delivery"}), // the rule that both sides go by
	"internal/target":    slices.Concat(domains, leaves, []string{"api/delivery"}), // what values are sealed to and proved with
	"internal/rotation":  slices.Concat(domains, leaves, []string{"internal/durable"}),
	"internal/usage":     slices.Concat(domains, leaves),
	"internal/upkeep":    slices.Concat(domains, leaves),
	"internal/exposure":  slices.Concat(domains, leaves, []string{"internal/leak"}), // values are searched as files are
	"internal/watch":     slices.Concat(domains, leaves),
	"internal/mirror":    slices.Concat(domains, leaves, []string{"internal/leak", "internal/egress"}),
	"internal/agent":     {"api", "internal/agent", "internal/material", "internal/fault", "internal/durable"},
	"internal/approval":  slices.Concat(domains, leaves),
	"internal/offer":     slices.Concat(domains, leaves),
	"internal/form":      {"internal/material", "internal/fault"},
	"internal/leak":      {"internal/leak"},
	"internal/cloud":     slices.Concat(domains, leaves, []string{"internal/egress", "internal/cloud"}),
	"internal/channel":   slices.Concat(leaves, []string{"internal/message", "internal/egress", "internal/cloud", "internal/channel"}),
	"internal/custody":   slices.Concat(leaves, []string{"internal/seal", "internal/shamir", "internal/agefile"}),
	"internal/config":    {"internal/fault"},
	"internal/anchor":    {"internal/audit", "internal/fault"},
	"internal/scrub":     slices.Concat(domains, leaves, []string{"internal/store", "internal/anchor"}),
	"internal/server":    slices.Concat(domains, leaves, []string{"internal/server", "internal/authn", "internal/clock", "internal/custody", "internal/publish", "internal/seal", "internal/hsm", "api"}),
	"internal/agefile":   {},
	"internal/cosign":    {},
	"internal/durable":   {"internal/fault"},
	"internal/egress":    {},
	"internal/witness":   {"internal/cosign", "internal/durable", "internal/fault"},
	"internal/publish":   {"internal/audit", "internal/cosign", "internal/durable", "internal/egress", "internal/witness"},
	"internal/tiles":     {"internal/audit", "internal/durable", "internal/fault"},

	"internal/store":           {"internal/store"},
	"internal/store/batch":     {"internal/audit", "internal/replay"},
	"internal/store/database":  {"internal/store/batch", "internal/anchor", "internal/audit", "internal/durable", "internal/fault", "internal/journal", "internal/replay", "internal/seal"},
	"internal/store/bound":     {"internal/store/database", "internal/anchor", "internal/audit", "internal/fault", "internal/job"},
	"internal/store/alerts":    slices.Concat(domains, leaves, engine),
	"internal/store/fleet":     slices.Concat(domains, leaves, engine),
	"internal/store/identity":  slices.Concat(domains, leaves, engine, []string{"internal/store/inventory", "internal/store/kms"}), // who makes a user looks for what names it
	"internal/store/inventory": slices.Concat(domains, leaves, engine),
	"internal/store/kms":       slices.Concat(domains, leaves, engine),
	"internal/store/root":      slices.Concat(leaves, engine, []string{"internal/custody", "internal/seal"}),

	"internal/material/mac":      {"internal/material", "internal/erase", "internal/fault"},
	"internal/material/raw":      {"internal/material"},
	"internal/material/totp":     {"internal/material"},
	"internal/material/password": {"internal/material", "internal/fault"},
	"internal/hsm":               {"internal/material", "internal/fault"},
	"internal/hsm/daemon":        {"internal/hsm"},
	"internal/hsm/keystore":      {"internal/hsm", "internal/key", "internal/material", "internal/fault"},
	"internal/hsm/token":         {"internal/hsm", "internal/material", "internal/durable", "internal/fault"},

	"internal/cli":              {"api", "client", "internal/agefile", "internal/audit", "internal/config", "internal/durable", "internal/fault", "internal/form", "internal/seal"},
	"internal/cli/remote":       {"api", "client", "internal/cli", "internal/config", "internal/durable", "internal/fault"},
	"internal/cli/auditcmd":     slices.Concat(command, []string{"internal/audit", "internal/config", "internal/cosign", "internal/server", "internal/store", "internal/tiles", "internal/witness"}),
	"internal/cli/datacmd":      slices.Concat(command, []string{"internal/agefile", "internal/key", "internal/material"}),
	"internal/cli/incidentcmd":  slices.Concat(command, []string{"internal/notify/term", "internal/rotation/phrase"}),
	"internal/cli/instancecmd":  slices.Concat(command, []string{"internal/cloud/xks", "internal/material"}),
	"internal/cli/inventorycmd": slices.Concat(command, []string{"internal/cloud/httpapi", "internal/egress", "internal/leak/rules", "internal/material"}),
	"internal/cli/keycmd":       slices.Concat(command, []string{"internal/authz", "internal/key", "internal/material"}),
	"internal/cli/nodecmd":      slices.Concat(command, []string{"api/delivery", "internal/agent", "internal/config"}),
	"internal/cli/operatorcmd":  slices.Concat(command, []string{"internal/durable", "internal/material", "internal/seal", "internal/shamir"}),
	"internal/cli/policycmd":    slices.Concat(command, []string{"internal/approval", "internal/authz", "internal/server/alibaba", "internal/server/rest"}), // for the names of actions
	"internal/cli/rotationcmd":  slices.Concat(command, []string{"internal/rotation/phrase"}),
	"internal/cli/scancmd":      slices.Concat(command, []string{"internal/leak", "internal/mirror"}),
	"internal/cli/secretcmd":    command,
	"internal/cli/servecmd":     slices.Concat(command, []string{"internal/app", "internal/config", "internal/demo", "internal/durable", "internal/material", "internal/seal"}),
	"internal/cli/usercmd":      command,
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range files(t) {
		rule, key := allowed[f.pkg], f.pkg
		for rule == nil && key != "." {
			key = filepath.ToSlash(filepath.Dir(key))
			rule = allowed[key]
		}
		if rule == nil || strings.HasSuffix(f.pkg, "test") {
			continue // cmd, app, bench: they may use everything
		}
		for _, i := range f.imports {
			own, ok := strings.CutPrefix(i, module)
			if ok && own != idiom && own != f.pkg && !below(own, rule...) {
				t.Errorf("%s imports %s; %s may import only %v", f.path, own, key, rule)
			}
		}
	}
}

// The packages of commands stand beside each other: what they share is in cli and remote. The
// program has their commands and nothing else of them.
func TestCommandsStandAlone(t *testing.T) {
	commands := 0
	for _, f := range files(t) {
		if strings.HasPrefix(f.pkg, "internal/cli/") && allowed[f.pkg] == nil && !strings.HasSuffix(f.pkg, "test") {
			t.Errorf("%s: nothing says what %s may import", f.path, f.pkg)
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && strings.HasSuffix(f.pkg, "cmd") && fn.Recv == nil && fn.Name.IsExported() && fn.Name.Name != "Commands" {
				t.Errorf("%s exports %s beside Commands", f.path, fn.Name.Name)
			}
		}
		for _, i := range f.imports {
			if own, ok := strings.CutPrefix(i, module); ok && strings.HasPrefix(own, "internal/cli/") && own != "internal/cli/remote" {
				commands++
				if f.pkg != "cmd/keyward" {
					t.Errorf("%s imports %s, which belongs to cmd/keyward", f.path, i)
				}
			}
		}
	}
	if commands < 10 {
		t.Errorf("found only %d packages of commands", commands)
	}
}

// Some packages of the standard library and some modules belong to one place.
func TestWhoMayImportWhat(t *testing.T) {
	ciphers := []string{"crypto/aes", "crypto/cipher", "crypto/ecdsa", "crypto/ed25519", "crypto/ecdh", "crypto/elliptic", "crypto/hkdf", "crypto/hmac", "crypto/rsa", "crypto/pbkdf2"}
	for _, f := range files(t) {
		for _, i := range f.imports {
			only := func(what bool, where ...string) {
				if what && !below(f.pkg, where...) && !strings.HasSuffix(f.pkg, "test") {
					t.Errorf("%s imports %s, which belongs to %v", f.path, i, where)
				}
			}
			only(i == "net/http" || strings.HasPrefix(i, "net/http/"), "internal/server", "internal/app", "internal/egress", "internal/witness", "internal/publish", "internal/cloud", "internal/channel", "internal/mirror", "internal/agent", "internal/cli", "client", "internal/bench", "internal/demo")
			only(i == "database/sql", "internal/store")
			only(strings.HasPrefix(i, "github.com/jackc/pgx") || strings.HasPrefix(i, "modernc.org/"), "internal/store/database")
			fingerprints := i == "crypto/hmac" && f.pkg == "internal/leak" // of what was found, which is no signature
			only(!fingerprints && slices.Contains(ciphers, i) || strings.HasPrefix(i, "github.com/emmansun/gmsm") || strings.HasPrefix(i, "golang.org/x/crypto") || strings.HasPrefix(i, "github.com/decred"),
				"internal/material", "internal/seal", "internal/authn", "internal/xks", "internal/agent", "internal/cosign", "internal/cloud", "internal/channel", "internal/cli/keycmd", "client", "internal/bench")
			only(strings.HasPrefix(i, "filippo.io/age"), "internal/agefile")
			only(i == "github.com/spf13/cobra" || strings.HasPrefix(i, "github.com/spf13/pflag"), "cmd/keyward", "internal/cli")
			only(strings.HasPrefix(i, "github.com/prometheus"), "internal/server")
			only(i == "C" || i == "github.com/miekg/pkcs11", "internal/hsm/token") // all else is static
			only(i == module+"internal/hsm/token" || i == module+"internal/hsm/daemon", "cmd/keyward-pkcs11")
			if below(f.pkg, "client", "api") && strings.Contains(strings.SplitN(i, "/", 2)[0], ".") && !strings.HasPrefix(i, module) {
				t.Errorf("%s imports %s; the public packages need nothing beside the standard library", f.path, i)
			}
			if i == "math/rand" || i == "math/rand/v2" {
				only(true, "internal/bench", "internal/cloud/cloudtest")
			}
		}
	}
}

// L30: a toolchain before 1.26.3 lets a hostile proxy get round the checksum database
// (CVE-2026-42501). No module asks for an older one, every dependency has its sum, and
// nothing in the repository turns the database off.
func TestL30ToolchainChecksSums(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, dir := range []string{".", "interop", "vectors"} {
		mod, err := os.ReadFile(filepath.Join(root, dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		asks := regexp.MustCompile(`(?m)^(?:go |toolchain go)(\S+)$`).FindAllSubmatch(mod, -1)
		if len(asks) == 0 {
			t.Errorf("%s/go.mod asks for no Go", dir)
		}
		for _, m := range asks {
			if version.Compare("go"+string(m[1]), "go1.26.3") < 0 {
				t.Errorf("%s/go.mod asks for Go %s", dir, m[1])
			}
		}
		sums, err := os.ReadFile(filepath.Join(root, dir, "go.sum"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^(?:require )?\s+(\S+\.\S+/\S+ v\S+)`).FindAllSubmatch(mod, -1) {
			if own := bytes.HasPrefix(m[1], []byte(strings.TrimSuffix(module, "/"))); !own && !bytes.Contains(sums, append(m[1], "/go.mod h1:"...)) {
				t.Errorf("%s/go.sum has no sum of %s", dir, m[1])
			}
		}
	}
	off := regexp.MustCompile(`GONOSUM(DB|CHECK)|GOINSECURE|GOSUMDB *= *off|GOFLAGS.*-insecure|GONOPROXY|GOPRIVATE`)
	scripts, err := filepath.Glob(filepath.Join(root, "scripts", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(scripts, filepath.Join(root, "Makefile")) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := off.Find(content); found != nil {
			t.Errorf("%s: %s", path, found)
		}
	}
}

// isCall tells whether an expression names one of these functions of a package.
func isCall(n ast.Node, pkg string, functions ...string) bool {
	name, ok := n.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	of, ok := name.X.(*ast.Ident)
	return ok && of.Name == pkg && slices.Contains(functions, name.Sel.Name)
}

// Every command of the program pays for what its packages make when it starts, and a hook
// runs at every commit. A package variable has its pattern from package lazy.
func TestNoPatternIsCompiledAtTheStart(t *testing.T) {
	for _, f := range files(t) {
		for _, d := range f.ast.Decls {
			vars, ok := d.(*ast.GenDecl)
			if !ok || vars.Tok != token.VAR {
				continue
			}
			ast.Inspect(vars, func(n ast.Node) bool {
				if _, later := n.(*ast.FuncLit); later {
					return false
				}
				if isCall(n, "regexp", "MustCompile", "MustCompilePOSIX") {
					t.Errorf("%s compiles a pattern when the program starts: use lazy.Regexp", f.fset.Position(n.Pos()))
				}
				return true
			})
		}
	}
}

// Which of two texts somebody reads is said in one place, message's Language.Pick: no function
// of another package takes both texts and looks at the language.
func TestTextsArePickedInOnePlace(t *testing.T) {
	check := func(f file, function *ast.FuncType, body *ast.BlockStmt) {
		takes := func(p *ast.Field) bool {
			return slices.ContainsFunc(p.Names, func(name *ast.Ident) bool { return name.Name == "chinese" || name.Name == "zh" })
		}
		if body == nil || !slices.ContainsFunc(function.Params.List, takes) {
			return
		}
		ast.Inspect(body, func(n ast.Node) bool {
			if isCall(n, "message", "English", "Chinese") {
				t.Errorf("%s picks a text by itself: use Language.Pick", f.fset.Position(n.Pos()))
			}
			return true
		})
	}
	for _, f := range files(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				check(f, n.Type, n.Body)
			case *ast.FuncLit:
				check(f, n.Type, n.Body)
			}
			return true
		})
	}
}

// What package lazy is given as a constant is an expression: the first call would panic.
func TestPatternsCompile(t *testing.T) {
	n := 0
	for _, f := range files(t) {
		ast.Inspect(f.ast, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			text, constant := call.Args[0].(*ast.BasicLit)
			if constant && isCall(call.Fun, "lazy", "Regexp") {
				n++
				expression, err := strconv.Unquote(text.Value)
				if err == nil {
					_, err = regexp.Compile(expression)
				}
				if err != nil {
					t.Errorf("%s: %v", f.fset.Position(call.Pos()), err)
				}
			}
			return true
		})
	}
	if n < 40 {
		t.Errorf("found only %d patterns", n)
	}
}

// larger are the files and functions that may be larger than the rule, with the reason.
var larger = map[string]string{
	"api":                  "the types of the whole API: a file for each group of operations",
	"client":               "as api",
	"internal/server/rest": "the table of the whole API: a file for each group of operations",
}

func TestSizes(t *testing.T) {
	const maxFile, maxFunction, maxPackage, maxFiles = 500, 60, 2000, 12
	lines, count := map[string]int{}, map[string]int{}
	for _, f := range files(t) {
		lines[f.pkg] += f.lines
		count[f.pkg]++
		if f.lines > maxFile && larger[f.path] == "" {
			t.Errorf("%s has %d lines, the limit is %d: split it by idea", f.path, f.lines, maxFile)
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s has an init function", f.path)
			}
			n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line
			name := f.path + ":" + fn.Name.Name
			if n > maxFunction && larger[name] == "" {
				t.Errorf("%s has %d lines, the limit is %d", name, n, maxFunction)
			}
		}
	}
	for pkg, n := range lines {
		if n > maxPackage && larger[pkg] == "" {
			t.Errorf("package %s has %d lines, the limit is %d: two ideas?", pkg, n, maxPackage)
		}
		if count[pkg] > maxFiles && larger[pkg] == "" {
			t.Errorf("package %s has %d files, the limit is %d", pkg, count[pkg], maxFiles)
		}
	}
}
