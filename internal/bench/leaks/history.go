package leaks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// record makes a repository with a history: a hundred files of some hundred lines each, of
// which every commit changes a few, with the lines of a source file.
func record(ctx context.Context, dir, source string, commits int) error {
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "git", "init", "-q", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("running git init: %s: %w", out, err)
	}
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "fast-import", "--quiet", "--depth=10")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(in, 1<<20)
	write(w, strings.SplitAfter(string(content), "\n"), commits)
	return errors.Join(w.Flush(), in.Close(), cmd.Wait())
}

// write writes what git fast-import reads.
func write(w io.Writer, lines []string, commits int) {
	random := rand.New(rand.NewPCG(1, 2))
	files := make([][]string, 100)
	for i := range files {
		n := min(100+random.IntN(400), len(lines))
		at := random.IntN(len(lines) - n + 1)
		files[i] = slices.Clone(lines[at : at+n])
	}
	for k := range commits {
		fmt.Fprintf(w, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata <<.\nchange %d\n.\n", 1_700_000_000+60*k, k)
		for range 1 + random.IntN(3) {
			i := random.IntN(len(files))
			for range 1 + random.IntN(6) {
				at := random.IntN(len(files[i]))
				files[i][at] = fmt.Sprintf("\tvalue%d := compute(%d, %q)\n", k, at, lines[random.IntN(len(lines))])
			}
			text := strings.Join(files[i], "")
			fmt.Fprintf(w, "M 100644 inline part%02d/file%02d.go\ndata %d\n%s\n", i%10, i, len(text), text)
		}
	}
}
