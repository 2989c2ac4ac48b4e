package inventorycmd

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/clitest"
)

// Every fact that checks tell, and every state and severity, has a name in both languages.
func TestFindingsSpeakBothLanguages(t *testing.T) {
	for name, words := range evidence {
		clitest.Both(t, "evidence "+name, words.en, words.zh)
	}
	told := regexp.MustCompile(`(?:fact|moment|days)\("([a-z-]+)"|return "([a-z-]+)", at|name, at := "([a-z-]+)"|name, at = "([a-z-]+)"`)
	for _, file := range []string{"check.go", "key.go", "principal.go", "account.go"} {
		source, err := os.ReadFile(filepath.Join("..", "..", "accesskey", "check", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range told.FindAllStringSubmatch(string(source), -1) {
			name := strings.Join(m[1:], "")
			if _, ok := evidence[name]; !ok {
				t.Errorf("%s tells %q, which has no name for people", file, name)
			}
		}
	}
	c := &cli.Run{Lang: cli.Chinese}
	for _, word := range []string{c.SeverityText("critical"), c.SeverityText("high"), c.SeverityText("medium"), c.SeverityText("low"), findingState(c, "open"), findingState(c, "suppressed"), findingState(c, "resolved")} {
		if !clitest.Han(word) {
			t.Errorf("%q is not Chinese", word)
		}
	}
}
