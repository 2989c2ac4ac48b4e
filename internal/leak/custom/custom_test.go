package custom_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/custom"
	"github.com/keyward/keyward/internal/leak/rules"
)

const file = `
title = "ours"
[extend]
useDefault = true
[[rules]]
id = "acme-token"
description = "ACME token"
regex = '''\b(acme_[a-z0-9]{20})\b'''
keywords = ["acme_"]
severity = "critical"
  [rules.allowlist]
  stopwords = ["sample"]
  paths = ['''(^|/)docs/''']
[[rules]]
id = "acme-id"
regex = '''ACMEID-(\d{6})-[A-Z]{2}'''
entropy = 1.5
[[rules]]
id = "broken"
regex = '''a(b'''
[[rules]]
id = "no-literal"
regex = '''[a-z]{30}'''
[allowlist]
regexes = ['''^acme_0{4}''']
`

func found(t *testing.T, s *leak.Scanner, path, text string) (out []string) {
	t.Helper()
	for _, m := range s.Worker().Scan(leak.Part{Text: []byte(text), To: len(text), Path: path}) {
		out = append(out, m.Rule.ID+" "+text[m.Start:m.End])
	}
	return out
}

func TestRules(t *testing.T) {
	set, err := custom.Parse([]byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Problems) != 2 || !strings.Contains(set.Problems[0].Error(), `"broken"`) || !strings.Contains(set.Problems[1].Error(), "keywords") {
		t.Errorf("problems %v", set.Problems)
	}
	s, err := leak.New(set.Rules)
	if err != nil {
		t.Fatal(err)
	}
	token := "acme_" + strings.Repeat("a1b2", 5)
	for text, want := range map[string][]string{
		"x " + token + " y":                       {"acme-token " + token},
		"x acme_" + strings.Repeat("sampl", 4):    {"acme-token acme_" + strings.Repeat("sampl", 4)},
		"x acme_sample" + strings.Repeat("a", 14): nil,
		token + " and " + token:                   {"acme-token " + token, "acme-token " + token},
		"id ACMEID-120934-XY":                     {"acme-id 120934"},
		"id ACMEID-111111-XY":                     nil,
	} {
		if diff := cmp.Diff(want, found(t, s, "a.txt", text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	if got := found(t, s, "a/docs/b.md", token); got != nil {
		t.Errorf("an allowed path has %v", got)
	}
	if !set.Allowed("a", []byte("acme_0000x"), nil) || set.Allowed("a", []byte(token), nil) {
		t.Error("the list of the file is not kept to")
	}
}

// A list whose criteria must all hold allows what stands at its path and matches, and nothing else.
func TestListsOfAllCriteria(t *testing.T) {
	set, err := custom.Parse([]byte(`
[[rules]]
id = "acme-token"
regex = 'acme_[a-z0-9]{20}'
  [[rules.allowlists]]
  condition = "AND"
  paths = ['(^|/)docs/']
  regexes = ['^acme_a']
`), nil)
	if err != nil || len(set.Problems) > 0 {
		t.Fatal(err, set.Problems)
	}
	s, err := leak.New(set.Rules)
	if err != nil {
		t.Fatal(err)
	}
	a, b := "acme_"+strings.Repeat("a1b2", 5), "acme_"+strings.Repeat("b2a1", 5)
	for path, want := range map[string][]string{"docs/a.md": {"acme-token " + b}, "src/a.md": {"acme-token " + a, "acme-token " + b}} {
		if diff := cmp.Diff(want, found(t, s, path, a+" "+b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// A rule that cannot be used is named, and the others find what they are for.
func TestRulesThatCannotBeUsed(t *testing.T) {
	for what, lines := range map[string]string{
		"has this id":       `id = "jwt"`,
		"one before it":     `id = "acme-token"`,
		"secretGroup":       "id = \"x\"\nsecretGroup = -1",
		"severity \"hihg\"": "id = \"x\"\nseverity = \"hihg\"",
		"128 bytes":         "id = \"x\"\nkeywords = [\"" + strings.Repeat("k", 129) + "\"]",
	} {
		set, err := custom.Parse([]byte("[[rules]]\nid = \"acme-token\"\nregex = 'acme_[a-z0-9]{20}'\n[[rules]]\nregex = 'acme_(x)'\n"+lines), rules.All())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(set.Rules) != 1 || len(set.Problems) != 1 || !strings.Contains(set.Problems[0].Error(), what) {
			t.Errorf("%s: %d rules, problems %v", what, len(set.Rules), set.Problems)
		}
		s, err := leak.New(slices.Concat(rules.All(), set.Rules))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := found(t, s, "a", "acme_"+strings.Repeat("a1b2", 5)); len(got) != 1 {
			t.Errorf("%s: found %v", what, got)
		}
	}
}

// The literal of an expression may be longer than what is looked for at once.
func TestLongLiteral(t *testing.T) {
	long := strings.Repeat("acme-", 30)
	set, err := custom.Parse([]byte("[[rules]]\nid = \"x\"\nregex = '"+long+"([0-9]+)'"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := leak.New(set.Rules)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"x 4711"}, found(t, s, "a", long+"4711")); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(file), []byte("acme_ ACMEID-123456-AB"))
	f.Fuzz(func(t *testing.T, content, text []byte) {
		set, err := custom.Parse(content, nil)
		if err != nil {
			return
		}
		for _, r := range set.Rules {
			for at := range min(len(text), 3) {
				if found, ok := r.Find.Look(leak.Part{Text: text}, at, at+1); ok && (found.Start < 0 || found.End > len(text) || found.Start >= found.End) {
					t.Fatalf("%d:%d of %d", found.Start, found.End, len(text))
				}
			}
		}
	})
}
