package fault_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// A format is a literal that a constructor of faults or texts is given.
type format struct {
	english string
	at      token.Position
}

// makers are what is given such a literal, by package: functions, and the methods New and Wrap
// of a Kind, each with the literal's place among its arguments.
var makers = map[string]map[string]int{
	"internal/fault":        {"Say": 0, "New": 0, "Wrap": 1},
	"internal/channel/wire": {"Permanent": 0, "Retry": 1, "Unclear": 0},
}

const module = "github.com/keyward/keyward/"

// formats answers all formats of the product, and what in place of one is no literal.
func formats(t *testing.T) (all []format, strange []token.Position) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasSuffix(d.Name(), "test") || d.Name() == "interop" || d.Name() == "vectors" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != root):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		own := makers[strings.TrimPrefix(filepath.ToSlash(filepath.Dir(name)), "../../")]
		if own == nil && !slices.ContainsFunc(slices.Collect(maps.Keys(makers)), func(pkg string) bool { return strings.Contains(string(src), module+pkg+`"`) }) {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		imported := map[string]map[string]int{"": own}
		for _, i := range file.Imports {
			from := strings.Trim(i.Path.Value, `"`)
			if i.Name != nil {
				imported[i.Name.Name] = makers[strings.TrimPrefix(from, module)]
			}
			imported[path.Base(from)] = makers[strings.TrimPrefix(from, module)]
		}
		constants := map[string]ast.Expr{}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.ValueSpec); ok && len(s.Values) == len(s.Names) {
				for i, name := range s.Names {
					constants[name.Name] = s.Values[i]
				}
			}
			if d, ok := n.(*ast.FuncDecl); ok {
				_, maker := own[d.Name.Name]
				return !maker
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			at, sure := formatOf(call, imported)
			if at == nil {
				return true
			}
			switch english, literal := fold(at, constants); {
			case literal:
				all = append(all, format{english, fset.Position(at.Pos())})
			case sure:
				strange = append(strange, fset.Position(at.Pos()))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, strange
}

// formatOf answers the argument of a call that is a format, nil if none is; sure tells that
// the call makes a fault or a text. Imported has the makers of what a file imports by its name
// there, and those of its own package by "". Without types a variable that is a Kind is known by
// its name, or by getting a literal: no package has such a method New or Wrap.
func formatOf(call *ast.CallExpr, imported map[string]map[string]int) (at ast.Expr, sure bool) {
	argument := func(makers map[string]int, name string) ast.Expr {
		if n, ok := makers[name]; ok && n < len(call.Args) {
			return call.Args[n]
		}
		return nil
	}
	if f, ok := call.Fun.(*ast.Ident); ok { // within their package
		return argument(imported[""], f.Name), true
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil, false
	}
	at = argument(map[string]int{"New": 0, "Wrap": 1}, method.Sel.Name)
	switch x := method.X.(type) {
	case *ast.Ident: // fault.Say, wire.Retry, kind.New
		if makers, ok := imported[x.Name]; ok {
			return argument(makers, method.Sel.Name), true
		}
		return at, strings.EqualFold(x.Name, "kind")
	case *ast.SelectorExpr: // fault.KeyNotFound.New
		of, ok := x.X.(*ast.Ident)
		return at, ok && of.Name == "fault"
	case *ast.CallExpr: // fault.KindOf(err).New
		return at, true
	}
	return nil, false
}

// fold answers the string that a literal, or a sum of literals and constants of the file
// above it, is.
func fold(e ast.Expr, constants map[string]ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.Ident:
		value, ok := constants[e.Name]
		if !ok {
			return "", false
		}
		return fold(value, nil)
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			return constant.StringVal(constant.MakeFromLiteral(e.Value, e.Kind, 0)), true
		}
	case *ast.BinaryExpr:
		x, okX := fold(e.X, constants)
		y, okY := fold(e.Y, constants)
		return x + y, okX && okY && e.Op == token.ADD
	case *ast.ParenExpr:
		return fold(e.X, constants)
	}
	return "", false
}

// catalogue reads chinese.txt, which must be as a person would write it.
func catalogue(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("chinese.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	out := map[string]string{}
	previous := ""
	for i := 0; i+1 < len(lines); i += 2 {
		english, chinese := lines[i], strings.TrimPrefix(lines[i+1], "\t")
		if strings.HasPrefix(english, "\t") || chinese == lines[i+1] || chinese == "" {
			t.Fatalf("chinese.txt:%d: a line of English and, after a tab, a line of Chinese are expected", i+1)
		}
		if i > 0 && english <= previous {
			t.Errorf("chinese.txt:%d: is out of order: %s", i+1, english)
		}
		out[english], previous = chinese, english
	}
	if len(lines)%2 != 0 {
		t.Error("chinese.txt: the last line has no Chinese")
	}
	return out
}

var verb = regexp.MustCompile(`%([-+# 0]*[\d.]*)(?:\[(\d+)\])?([a-zA-Z%])`)

// verbs answers the verbs of a format by the number of their arguments.
func verbs(format string) map[int]string {
	out := map[int]string{}
	next := 1
	for _, m := range verb.FindAllStringSubmatch(format, -1) {
		if m[3] == "%" {
			continue
		}
		if m[2] != "" {
			_, _ = fmt.Sscan(m[2], &next) // the expression has digits
		}
		out[next] = m[1] + m[3]
		next++
	}
	return out
}

func TestEveryFormatHasItsChinese(t *testing.T) {
	all, strange := formats(t)
	for _, at := range strange {
		t.Errorf("%s: the format of a fault is no literal, so that nobody can translate it; give it as an argument of \"%%s\", made with fault.Say", at)
	}
	if len(all) < 900 {
		t.Fatalf("only %d formats were found", len(all))
	}
	have := catalogue(t)
	used := map[string]bool{}
	missing := map[string]token.Position{}
	for _, f := range all {
		chinese, ok := have[f.english]
		used[f.english] = true
		switch {
		case strings.ContainsAny(f.english, "\n\t"):
			t.Errorf("%s: the format has a line break or a tab", f.at)
		case ok && !maps.Equal(verbs(f.english), verbs(chinese)):
			t.Errorf("%s: the verbs of the Chinese are %v, those of the English %v: %s", f.at, verbs(chinese), verbs(f.english), chinese)
		case !ok && strings.ContainsFunc(verb.ReplaceAllString(f.english, ""), unicode.IsLetter):
			missing[f.english] = f.at
		}
	}
	for _, english := range slices.SortedFunc(maps.Keys(missing), func(a, b string) int { return cmp.Compare(a, b) }) {
		t.Errorf("%s: internal/fault/chinese.txt has no Chinese for\n%s", missing[english], english)
	}
	for english := range have {
		if !used[english] {
			t.Errorf("chinese.txt: nothing says %q any more", english)
		}
	}
}

var (
	halfWidth = regexp.MustCompile(`[\p{Han}，；：。、（）“”][,;:!?()]|[,;:!?()]\p{Han}`)
	unspaced  = regexp.MustCompile(`\p{Han}[A-Za-z0-9%]|[A-Za-z0-9]\p{Han}`)
	said      = regexp.MustCompile(`%(?:\[\d\])?s`) // may be Chinese itself
	spaced    = regexp.MustCompile(`[，；：。、（）“”] | [，；：。、（）“”]|  |\p{Han} \p{Han}`)
	glossed   = regexp.MustCompile(`(?m)^\| ([a-z][a-z ]+) \| ([^|]*\p{Han}[^|]*) \|`)
)

// foreign are the texts whose Chinese has no Chinese character.
var foreign = []string{
	"base64", "Alertmanager", "PagerDuty", "Slack", "Slack: %s (%s)", "%s (%d %s)", "%s: %s (%s: %s)", "%s; %s",
}

// ambiguous are the words of the glossary that also mean something else in these texts, or
// are shortened in them.
var ambiguous = []string{
	"channel", "check", "copy", "due", "expiry", "family", "key", "key state", "lost", "open", "operator", "origin", "owner",
	"person", "policy", "provider", "resolved", "rotation", "secret", "statement", "suppressed", "suspended",
}

func TestTheChineseIsWrittenAsItShould(t *testing.T) {
	glossary, err := os.ReadFile(filepath.Join("..", "..", "docs", "glossary.md"))
	if err != nil {
		t.Fatal(err)
	}
	type word struct {
		english *regexp.Regexp
		chinese []string
	}
	words := map[string]*word{}
	for _, row := range glossed.FindAllStringSubmatch(string(glossary), -1) {
		if slices.Contains(ambiguous, row[1]) {
			continue
		}
		if words[row[1]] == nil {
			words[row[1]] = &word{regexp.MustCompile(`\b` + row[1] + `\b`), []string{row[1]}} // a name may stay
		}
		words[row[1]].chinese = append(words[row[1]].chinese, strings.FieldsFunc(row[2], unicode.IsPunct)...)
	}
	for english, chinese := range catalogue(t) {
		switch {
		case slices.Contains(foreign, english):
			continue
		case !strings.ContainsFunc(chinese, func(r rune) bool { return unicode.Is(unicode.Han, r) }):
			t.Errorf("%s\nhas no Chinese character: %s", english, chinese)
		case halfWidth.MatchString(chinese):
			t.Errorf("%s\nhas half-width punctuation at %q: %s", english, halfWidth.FindString(chinese), chinese)
		case unspaced.MatchString(said.ReplaceAllString(chinese, "")):
			t.Errorf("%s\nlacks a space beside a letter, a digit or a verb: %s", english, chinese)
		case spaced.MatchString(chinese):
			t.Errorf("%s\nhas a space too many at %q: %s", english, spaced.FindString(chinese), chinese)
		}
		for name, w := range words {
			if strings.Contains(english, name) && w.english.MatchString(english) &&
				!slices.ContainsFunc(w.chinese, func(ours string) bool { return strings.Contains(chinese, strings.TrimSpace(ours)) }) {
				t.Errorf("%s\nshould speak of %s as %v (docs/glossary.md): %s", english, name, w.chinese, chinese)
			}
		}
	}
}
