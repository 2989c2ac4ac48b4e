package rules_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/rules"
)

func TestRulesCompile(t *testing.T) {
	if _, err := leak.New(rules.All()); err != nil {
		t.Fatal(err)
	}
}

var update = flag.Bool("update", false, "write the table in docs/scan.md anew")

// TestDocumented holds that docs/scan.md lists the rules.
func TestDocumented(t *testing.T) {
	const begin, end = "<!-- rules: generated -->\n", "<!-- end of rules -->"
	path := filepath.Join("..", "..", "..", "docs", "scan.md")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(content), begin)
	table, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatal("docs/scan.md has no place for the rules")
	}
	var b strings.Builder
	b.WriteString("| rule | what | 中文 | severity | found by |\n|---|---|---|---|---|\n")
	for _, r := range rules.All() {
		severity := r.Severity.String()
		switch r.Class {
		case leak.Identifier:
			severity += ", identifier"
		case leak.Public:
			severity = "only with its secret"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.ID, r.Title.English, r.Title.Chinese, severity, strings.Join(ways(r), ", "))
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+b.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table, b.String()); diff != "" {
		t.Errorf("docs/scan.md does not list these rules (-update writes them):\n%s", diff)
	}
}

func ways(r leak.Rule) (out []string) {
	if len(r.Tokens) > 0 {
		out = append(out, "its form")
	}
	if r.Find != nil || r.Whole != nil {
		out = append(out, "its structure")
	}
	for _, p := range r.Pairs {
		if way := "`" + p.With + "` near it"; !slices.Contains(out, way) {
			out = append(out, way)
		}
	}
	if len(r.Named) > 0 {
		out = append(out, "its name")
	}
	return out
}

// A key as Tencent's console gives it has six groups of five.
func TestTencentMapKey(t *testing.T) {
	s, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	groups := []string{"K4TBZ", "D7W3U", "B2VVO", "4PJWX", "6TKDJ", "WQB73", "X5YRA"}
	for n := 5; n <= 7; n++ {
		text := []byte("https://apis.map.qq.com/ws/geocoder/v1/?location=1,2&key=" + strings.Join(groups[:n], "-") + "\n")
		got := s.Worker().Scan(leak.Part{Text: text, To: len(text)})
		if found := len(got) == 1 && got[0].Rule.ID == "tencent-map-key"; found != (n == 6) {
			t.Errorf("%d groups: %+v", n, got)
		}
	}
}

// Rules that package leaktest has no case of find what they themselves describe: characters of their
// sets by chance, behind their prefix, or under one of their names beside a hint.
func TestRulesFindWhatTheyDescribe(t *testing.T) {
	s, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	cased := map[string]bool{"pkcs12": true, "uuid-key": true, "basic-authorization": true, "tencent-map-key": true, "adyen-api-key": true} // a file, and what has a form within its set
	for _, k := range leaktest.New(1).Kinds() {
		cased[k.Rule] = true
	}
	random := rand.New(rand.NewPCG(1, 2))
	chance := func(shape leak.Shape) string {
		var members []byte
		for c, is := range shape.Set {
			if is {
				members = append(members, byte(c))
			}
		}
		out := make([]byte, shape.Min)
		for i := range out {
			out[i] = members[random.IntN(len(members))]
		}
		return string(out)
	}
	for _, r := range rules.All() {
		if cased[r.ID] || r.Class != leak.Secret {
			continue
		}
		ways := map[string]func() string{}
		for _, token := range r.Tokens {
			ways[token.Prefix] = func() string {
				lead := ""
				if token.Lead != nil {
					lead = chance(*token.Lead)
				}
				return lead + token.Prefix + chance(token.Shape)
			}
		}
		for _, named := range r.Named {
			for _, name := range named.Names {
				ways[name] = func() string {
					return r.Provider.Hints[0] + "_" + strings.TrimPrefix(name, "=") + ` = "` + chance(named.Shape) + `"`
				}
			}
		}
		for way, write := range ways {
			found := 0
			for range 100 {
				text := []byte(write() + "\n")
				if got := s.Worker().Scan(leak.Part{Text: text, To: len(text)}); slices.ContainsFunc(got, func(m leak.Match) bool { return m.Rule.ID == r.ID }) {
					found++
				}
			}
			if found < 50 {
				t.Errorf("%s: %d of 100 are found by %s", r.ID, found, way)
			}
		}
	}
}

// Every text is there in both languages, and every rule has a way to be found.
func TestComplete(t *testing.T) {
	for _, r := range rules.All() {
		for _, text := range []leak.Text{r.Title, r.Provider.Name, r.Provider.Advice} {
			if text.English == "" || text.Chinese == "" {
				t.Errorf("%s: %+v", r.ID, text)
			}
		}
		if len(ways(r)) == 0 {
			t.Errorf("%s can never be found", r.ID)
		}
	}
}
