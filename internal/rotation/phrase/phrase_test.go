package phrase_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/phrase"
)

// words reads from the source of package rotation its constants, by type, and the words of
// its events.
func words(t *testing.T) (constants map[string][]string, events map[string]bool) {
	t.Helper()
	constants, events = map[string][]string{}, map[string]bool{}
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if kind, ok := n.Type.(*ast.Ident); ok && len(n.Values) == 1 {
					if word := literal(n.Values[0]); word != "" {
						constants[kind.Name] = append(constants[kind.Name], word)
					}
				}
			case *ast.CallExpr:
				if word := noted(n); word != "" {
					events[word] = true
				}
			}
			return true
		})
	}
	looks := []string{"wait", "proceed", "look", "rehearse", "recover", "verify"}
	for _, act := range constants["ActKind"] { // those with an effect are noted as what was done
		if !slices.Contains(looks, act) {
			events[act+"d"] = true
		}
	}
	return constants, events
}

// formats reads from the source of rotations and of their engine the formats of all details
// that halts, troubles and returns have.
func formats(t *testing.T) (out []string) {
	t.Helper()
	files := []string{"../forward.go", "../backward.go", "../decide.go", "../engine/rehearse.go"}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := ""
			switch fn := call.Fun.(type) {
			case *ast.SelectorExpr:
				name = fn.Sel.Name
			case *ast.Ident:
				name = fn.Name
			}
			if !slices.Contains([]string{"halt", "trouble", "goBack", "fail", "refuse", "Sprintf"}, name) {
				return true
			}
			for _, arg := range call.Args {
				if format := format(arg); strings.Contains(format, " ") && format != "%s (made %s)" {
					out = append(out, format)
				}
			}
			return true
		})
	}
	return out
}

// format answers what a text is made by: a literal, or a sum of which some parts are.
func format(e ast.Expr) string {
	if sum, ok := e.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		left, right := format(sum.X), format(sum.Y)
		return cmp.Or(left, "%s") + cmp.Or(right, "%s")
	}
	return literal(e)
}

// Every detail that keyward itself makes is said in both languages.
func TestEveryDetailIsSpoken(t *testing.T) {
	all := formats(t)
	if len(all) < 25 {
		t.Fatalf("found only %d formats: %q", len(all), all)
	}
	for _, format := range all {
		var args []any
		for _, m := range regexp.MustCompile("%[sd]").FindAllString(format, -1) {
			if m == "%d" {
				args = append(args, 7)
			} else {
				args = append(args, "AK1")
			}
		}
		text := fmt.Sprintf(format, args...)
		said := phrase.Detail(text)
		both(t, "detail "+format, said)
		if strings.Count(said.Chinese, "AK1")+strings.Count(said.Chinese, "7") != len(args) || strings.Contains(said.Chinese, "%!") {
			t.Errorf("%q loses something: %q", text, said.Chinese)
		}
	}
	for text, want := range map[string]string{
		"the provider answers that the new key is refused": "平台的验证结果：新密钥被拒绝",
		"one of these keys may be ours, tried at 2026-03-01T12:00:00Z: A (made 2026-03-01T12:00:01Z), B (made at an unknown time); delete the one that nobody uses, and let the rotation go on": "以下密钥之一可能是本次轮换（于 2026-03-01T12:00:00Z）创建的：A （创建于 2026-03-01T12:00:01Z）, B （创建时间未知）；删除无人使用的那个，然后执行 resume",
		"the provider says something": "the provider says something",
	} {
		if got := phrase.Detail(text); got != (form.Text{English: text, Chinese: want}) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// noted answers the word of an event that a call notes.
func noted(call *ast.CallExpr) string {
	fn, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || fn.Sel.Name != "note" && fn.Sel.Name != "ordered" {
		return ""
	}
	for _, arg := range call.Args {
		if sum, ok := arg.(*ast.BinaryExpr); ok {
			arg = sum.X
		}
		if word := literal(arg); word != "" {
			return strings.TrimSpace(word)
		}
	}
	return ""
}

func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	word, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return word
}

func both(t *testing.T, what string, text form.Text) {
	t.Helper()
	han := func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
	}
	if text.English == "" || han(text.English) || !han(text.Chinese) {
		t.Errorf("%s: English %q, Chinese %q", what, text.English, text.Chinese)
	}
}

// Everything that a rotation can say is said in both languages.
func TestEveryWordIsSpoken(t *testing.T) {
	constants, events := words(t)
	if len(constants["Step"]) < 17 || len(constants["Reason"]) < 14 || len(constants["Archetype"]) < 8 || len(events) < 15 {
		t.Fatalf("found only %d steps, %d reasons, %d archetypes and %d events", len(constants["Step"]), len(constants["Reason"]), len(constants["Archetype"]), len(events))
	}
	for _, word := range constants["Step"] {
		both(t, "step "+word, phrase.Step(word))
		both(t, "name of "+word, phrase.Name(word))
	}
	for _, word := range constants["Archetype"] {
		both(t, "archetype "+word, phrase.Archetype(word))
		limit := rotation.Means{Archetype: rotation.Archetype(word)}.PointOfNoReturn()
		both(t, "until "+string(limit), phrase.Until(string(limit)))
	}
	for _, word := range constants["Reason"] {
		both(t, "reason "+word, phrase.Reason(word))
		both(t, "remedy for "+word, phrase.Remedy(word))
	}
	for word := range events {
		both(t, "event "+word, phrase.Event(word))
	}
}

func TestEvents(t *testing.T) {
	for text, want := range map[string]form.Text{
		"step grace":            {English: "step: grace period, both keys work", Chinese: "步骤：宽限期，新旧密钥都有效"},
		"created AK2":           {English: "key created: AK2", Chinese: "已创建密钥：AK2"},
		"approved":              {English: "approved", Chinese: "已审批"},
		"halted no-room: two":   {English: "halted: there is no room for another key at the provider (two)", Chinese: "已停止：平台的密钥数量已达上限（two）"},
		"too-late ordered: why": {English: "too late to go back: ordered: why", Chinese: "已无法回滚：人工下令：why"},
		"unknown word":          {English: "unknown word", Chinese: "unknown word"},
	} {
		if got := phrase.Event(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
