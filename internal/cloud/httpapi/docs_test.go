package httpapi_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/keyward/keyward/internal/cloud/httpapi/contract"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
)

// What docs/providers/http.md shows is a definition, one that makes keys, and a case that
// it passes.
func TestDocumentedDefinition(t *testing.T) {
	text, err := os.ReadFile("../../../docs/providers/http.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) != 3 {
		t.Fatalf("there are %d blocks of YAML", len(blocks))
	}
	reading, writing, recorded := blocks[0], blocks[1], blocks[2]
	if _, err := definition.Parse([]byte(reading)); err != nil {
		t.Errorf("what reads: %v", err)
	}
	capabilities, operations, _ := strings.Cut(writing, "\n")
	head, _, _ := strings.Cut(reading, "  operations:\n")
	head = regexp.MustCompile(`(?m)^  capabilities:.*$`).ReplaceAllLiteralString(head, capabilities)
	report, err := contract.Recorded(t.Context(), []byte(head+operations+`---
apiVersion: keyward/v1
kind: HTTPContract
now: "2026-11-20T00:00:00Z"
vars: {account: "00000000000000000000000000000001"}
credential: {token: fake-token}
cases:
`+recorded))
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, one := range report.Results {
		if one.Operation == definition.Create && one.Case != "coverage" {
			made++
			if !one.OK {
				t.Errorf("%s: %s", one.Case, one.Evidence)
			}
		}
	}
	if made < 10 {
		t.Errorf("only %d results about making keys", made)
	}
}
