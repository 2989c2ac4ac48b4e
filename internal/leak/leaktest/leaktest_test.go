package leaktest_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/leaktest"
	"github.com/keyward/keyward/internal/leak/rules"
	"github.com/keyward/keyward/internal/leak/search"
)

func scanner(t testing.TB) *leak.Scanner {
	t.Helper()
	s, err := leak.New(rules.All())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// look answers the findings in a text.
func look(s *leak.Scanner, file, text string) []leak.Finding {
	run := search.New(search.Options{Scanner: s, Hasher: leak.NewHasher([]byte("test")), InlineAllow: true})
	if err := run.Lane().Reader(file, strings.NewReader(text)); err != nil {
		panic(err)
	}
	return run.Findings()
}

// wrong says what is wrong with the findings of a case; "" if nothing is.
func wrong(findings []leak.Finding, k leaktest.Kind) string {
	if strings.HasPrefix(k.Rule, "private-key") { // its fingerprint is of the public half
		for _, f := range findings {
			if strings.HasPrefix(f.Rule, "private-key") {
				return ""
			}
		}
		return fmt.Sprint("nothing, but ", describe(findings))
	}
	want := leak.NewHasher([]byte("test")).Fingerprint([]byte(k.Secret))
	i := slices.IndexFunc(findings, func(f leak.Finding) bool { return f.Fingerprint == want })
	switch {
	case i < 0:
		return fmt.Sprint("nothing, but ", describe(findings))
	case findings[i].Rule != k.Rule:
		return "attributed to " + findings[i].Rule
	}
	for _, f := range findings {
		if f.Severity >= leak.Medium && f.Fingerprint != want {
			return fmt.Sprint("beside it ", describe(findings))
		}
	}
	return ""
}

func describe(findings []leak.Finding) (out []string) {
	for _, f := range findings {
		out = append(out, fmt.Sprintf("%s %s", f.Rule, f.Redacted))
	}
	return out
}

// TestEveryKindInEveryContext holds the product's promise: at least 98 of 100 found and
// rightly attributed.
func TestEveryKindInEveryContext(t *testing.T) {
	s := scanner(t)
	all, right := 0, 0
	misses := map[string]int{}
	for seed := range uint64(3) {
		for _, k := range leaktest.New(seed).Kinds() {
			for _, c := range leaktest.Contexts() {
				if !c.Fits(k) {
					continue
				}
				all++
				if w := wrong(look(s, c.File, c.Write(k)), k); w != "" {
					misses[k.String()]++
					misses["in "+c.Name]++
					t.Logf("%s in %s: %s", k, c.Name, w)
					continue
				}
				right++
			}
		}
	}
	t.Logf("%d of %d cases (%.2f %%); misses: %v", right, all, 100*float64(right)/float64(all), misses)
	if all < 5000 || right*100 < all*98 {
		t.Errorf("%d of %d cases", right, all)
	}
}

// TestNoFalseAlarm holds that nothing is found where nothing is.
func TestNoFalseAlarm(t *testing.T) {
	s := scanner(t)
	for seed := range uint64(20) {
		for _, n := range leaktest.New(seed).Negatives() {
			for _, f := range look(s, n.File, n.Text) {
				t.Errorf("seed %d, %s: %s %s in line %d", seed, n.Name, f.Rule, f.Redacted, f.Locations[0].Line)
			}
		}
	}
}

// TestEveryKindInEveryContainer holds the same for what is packed or encoded.
func TestEveryKindInEveryContainer(t *testing.T) {
	s := scanner(t)
	all, right := 0, 0
	misses := map[string]int{}
	for seed := range uint64(1) {
		for _, k := range leaktest.New(seed).Kinds() {
			for _, c := range leaktest.Containers() {
				if strings.Contains(k.Secret, "\n") && k.Name == "key" || strings.Contains(k.Name, "//") || c.Pool && !k.Form && k.ID == "" || c.Pool && strings.HasPrefix(k.Rule, "wechat-app") {
					continue
				}
				all++
				if w := wrong(look(s, c.File, string(c.With(k))), k); w != "" {
					misses[k.String()]++
					misses["in "+c.Name]++
					t.Logf("%s in %s: %s", k, c.Name, w)
					continue
				}
				right++
			}
		}
	}
	t.Logf("%d of %d cases (%.2f %%); misses: %v", right, all, 100*float64(right)/float64(all), misses)
	if all < 3300 || right*100 < all*98 {
		t.Errorf("%d of %d cases", right, all)
	}
}

// matrix is the variable of the environment that asks for every kind ("whole").
const matrix = "KEYWARD_MATRIX"

// TestEveryContextInEveryContainer holds the same for every notation within every container
// that holds text: with one kind after the other in `make test`, with each in `make scan-matrix`.
func TestEveryContextInEveryContainer(t *testing.T) {
	s := scanner(t)
	kinds, contexts := leaktest.New(7).Kinds(), leaktest.Contexts()
	all, right, next := 0, 0, 0
	misses := map[string]int{}
	for _, in := range leaktest.Containers() {
		for _, c := range contexts {
			for range kinds {
				k := kinds[next%len(kinds)]
				next++
				if in.Hold == nil || !c.Fits(k) {
					continue
				}
				all++
				if w := wrong(look(s, in.File, string(in.Hold(c.File, c.Write(k)))), k); w != "" {
					misses[c.Name+" in "+in.Name]++
					t.Logf("%s, %s in %s: %s", k, c.Name, in.Name, w)
				} else {
					right++
				}
				if os.Getenv(matrix) != "whole" {
					break
				}
			}
		}
	}
	t.Logf("%d of %d cases (%.2f %%); misses: %v", right, all, 100*float64(right)/float64(all), misses)
	if all < 1500 || right*100 < all*98 {
		t.Errorf("%d of %d cases", right, all)
	}
}
