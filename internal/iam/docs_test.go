package iam_test

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/keyward/keyward/internal/authz"
)

// TestDocumentedPolicies holds that the policies of docs/access.md are understood.
func TestDocumentedPolicies(t *testing.T) {
	doc, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(doc, -1)
	if len(examples) < 4 {
		t.Fatalf("found %d examples", len(examples))
	}
	for _, example := range examples {
		if _, err := authz.Compile("example", example[1]); err != nil {
			t.Errorf("%v in\n%s", err, example[1])
		}
	}
	for _, p := range authz.SystemPolicies() {
		if !bytes.Contains(doc, []byte("`"+p.Name+"`")) {
			t.Errorf("the system policy %s is not documented", p.Name)
		}
	}
}
