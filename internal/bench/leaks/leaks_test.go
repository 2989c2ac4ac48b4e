package leaks

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The tests are inside the package because what is measured needs ripgrep and a minute.

func TestPlantAndRecord(t *testing.T) {
	dir := t.TempDir()
	f, err := plant(t.Context(), filepath.Join(dir, "tree"), 3000)
	if err != nil {
		t.Fatal(err)
	}
	if f.files != 3000 || f.bytes < 3000 || f.sample == "" {
		t.Fatalf("%+v", f)
	}
	repository := filepath.Join(dir, "repository")
	if err := record(t.Context(), repository, f.sample, 20); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("git", "-C", repository, "rev-list", "--all", "--count").Output()
	if err != nil || strings.TrimSpace(string(out)) != "20" {
		t.Fatalf("%s commits, %v", out, err)
	}
}

func TestMedian(t *testing.T) {
	got := median([]cost{{3 * time.Second, 1, 9}, {time.Second, 5, 7}, {2 * time.Second, 3, 8}})
	if want := (cost{2 * time.Second, 3, 8}); got != want {
		t.Errorf("%+v, not %+v", got, want)
	}
}

func TestRun(t *testing.T) {
	c, _, err := run(t.Context(), "sh", "-c", "exit 1")
	if err != nil || c.wall <= 0 { // its memory may not have been asked for: it is gone at once
		t.Errorf("%+v, %v", c, err)
	}
	if _, _, err := run(t.Context(), "sh", "-c", "exit 3"); err == nil {
		t.Error("status 3 is no answer")
	}
}

// TestAlternatives sees that there are as many expressions as the table says, and that they are some.
func TestAlternatives(t *testing.T) {
	args := alternatives()
	if len(args) != 60 {
		t.Errorf("%d arguments", len(args))
	}
	for i := 1; i < len(args); i += 2 {
		if _, err := regexp.Compile(args[i]); err != nil {
			t.Error(err)
		}
	}
}
