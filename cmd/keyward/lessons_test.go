package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLessonsAreHeld holds that docs/design/incidents.md is true: it has a row for each
// lesson, in order; a row names tests that are there, or says "Not yet:" and why; and a
// test that is named after a lesson stands in its row.
func TestLessonsAreHeld(t *testing.T) {
	const lessons = 30
	written := testsOfTheTree(t)
	rows := regexp.MustCompile(`(?m)^\| L(\d+) \|(.*)\|(.*)\|$`).FindAllStringSubmatch(string(page(t, "docs/design/incidents.md")), -1)
	if len(rows) != lessons {
		t.Fatalf("there are %d rows, not %d", len(rows), lessons)
	}
	named := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`")
	listed := map[string]string{} // by test, its row
	for i, row := range rows {
		id := row[1]
		if id != strconv.Itoa(i+1) {
			t.Errorf("row %d is L%s", i+1, id)
		}
		found := named.FindAllStringSubmatch(row[3], -1)
		if len(found) == 0 && !strings.HasPrefix(row[3], " Not yet: ") {
			t.Errorf("L%s names no test and no reason", id)
		}
		for _, m := range found {
			if !slices.Contains(written[m[1]], m[2]) {
				t.Errorf("L%s names %s of %s, which is not there", id, m[2], m[1])
			}
			listed[m[1]+"."+m[2]] = id
		}
	}
	named = regexp.MustCompile(`^TestL(\d+)[A-Z]`)
	for dir, tests := range written {
		for _, test := range tests {
			if m := named.FindStringSubmatch(test); m != nil && listed[dir+"."+test] != m[1] {
				t.Errorf("%s of %s is not in the row of L%s", test, dir, m[1])
			}
		}
	}
}

// testsOfTheTree answers the names of all tests by directory.
func testsOfTheTree(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, m := range declared.FindAllSubmatch(source, -1) {
			out[filepath.ToSlash(dir)] = append(out[filepath.ToSlash(dir)], string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
