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

// Tokens of several parts, by their issuers' documents, examples and libraries: a rule that has the
// length of one part wrong finds none.
func TestTokensOfSeveralParts(t *testing.T) {
	const alnum, hex, capitals = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	random := rand.New(rand.NewPCG(3, 4))
	of := func(set string, n int) string {
		out := make([]byte, n)
		for i := range out {
			out[i] = set[random.IntN(len(set))]
		}
		return string(out)
	}
	groups := func(n int) string {
		out := make([]string, n)
		for i := range out {
			out[i] = of(capitals, 5)
		}
		return "https://apis.map.qq.com/ws/geocoder/v1/?location=1,2&key=" + strings.Join(out, "-")
	}
	s, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		groups(5): "", groups(6): "tencent-map-key", groups(7): "",
		"p" + "at." + of(alnum, 22) + "." + of(hex, 24) + "." + of(alnum, 20):                                  "harness-token",
		"dt0" + "c01." + of(capitals, 24) + "." + of(capitals, 64):                                             "dynatrace-token",
		"S" + "G." + of(alnum, 22) + "." + of(alnum, 43):                                                       "sendgrid-token",
		"gl" + "sa_" + of(alnum, 32) + "_" + of(hex, 8):                                                        "grafana-token",
		"PM" + "AK-" + of(hex, 24) + "-" + of(hex, 34):                                                         "postman-token",
		"dn" + "key-" + of(alnum, 26) + "-" + of(alnum, 52):                                                    "definednetworking-token",
		of(alnum, 14) + ".atlas" + "v1." + of(alnum, 67):                                                       "terraform-token",
		of(alnum, 76) + "AZ" + "DO" + of(alnum, 4):                                                             "azure-devops-token",
		"hv" + "b." + of(alnum, 260):                                                                           "vault-token",
		"AGE-SECRET-" + "KEY-1" + of(capitals, 58):                                                             "age-token",
		"https://hooks.slack.com/services/T" + of(capitals, 8) + "/B" + of(capitals, 10) + "/" + of(alnum, 24): "slack-webhook",
		"https://discord.com/api/webhooks/" + of("123456789", 18) + "/" + of(alnum, 68):                        "discord-webhook",
	} {
		got := ""
		if found := s.Worker().Scan(leak.Part{Text: []byte(text + "\n"), To: len(text)}); len(found) == 1 {
			got = found[0].Rule.ID
		}
		if got != want {
			t.Errorf("%s is %q, not %q", text, got, want)
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
