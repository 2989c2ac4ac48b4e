// Package leaks measures what `keyward scan` costs, beside what must be spent: ripgrep, which
// looks for an alternation of 30 patterns in the same files, and `git log -p`, which only
// writes the history that keyward searches.
//
// Both are processes, and what is compared is the CPU time of user and system that the
// kernel accounts to each with all its children (getrusage), in rounds in which they take
// turns: on a machine that others use only ratios of one run mean anything. The first round
// brings the files into memory and does not count.
//
// Only command bench calls it. Nothing of it is part of the product.
package leaks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/keyward/keyward/internal/bench/figure"
)

// Options says what to measure.
type Options struct {
	Binary  string // keyward
	Dir     string // for what is searched
	Files   int    // of the tree, at least
	Commits int    // of the history
	Rounds  int    // of each row
	Workers int    // that ripgrep and keyward have
}

// A cost is what one run of a program took.
type cost struct {
	cpu, wall time.Duration
	memory    int64 // at most, in bytes
}

// A row is something that is measured beside its limit.
type row struct {
	what      string
	ours      func(context.Context) (cost, error)
	limit     func(context.Context) (cost, error) // nil if there is none
	name, aim string                              // of the limit; what is aimed at
}

const head = `
| what | CPU ms | wall ms | memory MB | limit | its CPU ms | its wall ms | CPU ratio | wall ratio | aim |
|---|--:|--:|--:|---|--:|--:|--:|--:|---|
`

// Measure prints a table: a tree of many small files, the history of a repository, the same
// again when nothing is new, and the start. It fails if a scan did not look at everything.
func Measure(ctx context.Context, o Options, out io.Writer) error {
	tree, err := plant(ctx, filepath.Join(o.Dir, "tree"), o.Files)
	if err != nil {
		return fmt.Errorf("making the tree: %w", err)
	}
	repository := filepath.Join(o.Dir, "repository")
	if err := record(ctx, repository, tree.sample, o.Commits); err != nil {
		return fmt.Errorf("making the repository: %w", err)
	}
	version, err := exec.CommandContext(ctx, "rg", "--version").Output()
	if err != nil {
		return fmt.Errorf("asking ripgrep for its version (it must be installed): %w", err)
	}
	fmt.Fprintf(out, "%d cores, %s; medians of %d rounds; a tree of %d files, %.0f MB: the text of Go's own source and of the module cache; a history of %d commits\n%s",
		o.Workers, bytes.SplitN(version, []byte("\n"), 2)[0], o.Rounds, tree.files, float64(tree.bytes)/1e6, o.Commits, head)
	for _, r := range o.rows(tree, repository) {
		if err := r.measure(ctx, o.Rounds, out); err != nil {
			return fmt.Errorf("measuring %s: %w", r.what, err)
		}
	}
	return nil
}

func (o Options) rows(tree forest, repository string) []row {
	memory := filepath.Join(repository, ".git", "keyward-scanned")
	patterns := append([]string{"--no-config", "-uu", "-a", "-c", "-j", strconv.Itoa(o.Workers)}, alternatives()...)
	return []row{
		{
			what: fmt.Sprintf("%d files", tree.files), aim: "CPU ≤ 1.5, memory ≤ 64",
			ours: func(ctx context.Context) (cost, error) { return o.scan(ctx, tree.files, tree.dir) },
			name: "ripgrep, 30 patterns", limit: program("rg", append(patterns, tree.dir)...),
		},
		{
			what: "one file", aim: "wall ≤ 15",
			ours: func(ctx context.Context) (cost, error) { return o.scan(ctx, 1, tree.sample) },
			name: "keyward version", limit: program(o.Binary, "version"),
		},
		{
			what: fmt.Sprintf("history of %d commits", o.Commits), aim: "wall < 1",
			ours: func(ctx context.Context) (cost, error) {
				return o.scan(ctx, 0, "git", "--all", repository)
			},
			name: "git log -p", limit: func(ctx context.Context) (cost, error) {
				if err := os.Remove(memory); err != nil { // so that the next scan is of everything, too
					return cost{}, err
				}
				return program("git", "-C", repository, "log", "-p", "--all")(ctx)
			},
		},
		{
			what: "history, nothing new", aim: "wall < 100",
			ours: func(ctx context.Context) (cost, error) {
				return o.scan(ctx, 0, "git", "--all", repository)
			},
		},
	}
}

// measure prints a row.
func (r row) measure(ctx context.Context, rounds int, out io.Writer) error {
	var ours, limits []cost
	for round := range rounds + 1 {
		c, err := r.ours(ctx)
		if err != nil {
			return err
		}
		if round > 0 {
			ours = append(ours, c)
		}
		if r.limit == nil {
			continue
		}
		if c, err = r.limit(ctx); err != nil {
			return fmt.Errorf("running %s: %w", r.name, err)
		}
		if round > 0 {
			limits = append(limits, c)
		}
	}
	mine := median(ours)
	fmt.Fprintf(out, "| %s | %.0f | %.0f | %.0f ", r.what, figure.Milliseconds(mine.cpu), figure.Milliseconds(mine.wall), float64(mine.memory)/1e6)
	if r.limit == nil {
		fmt.Fprintf(out, "| – | – | – | – | – | %s |\n", r.aim)
		return nil
	}
	limit := median(limits)
	fmt.Fprintf(out, "| %s | %.0f | %.0f | %.2f | %.2f | %s |\n", r.name, figure.Milliseconds(limit.cpu), figure.Milliseconds(limit.wall), float64(mine.cpu)/float64(limit.cpu), float64(mine.wall)/float64(limit.wall), r.aim)
	return nil
}

// scan runs keyward scan and sees that it looked at so many files, or at objects.
func (o Options) scan(ctx context.Context, files int, args ...string) (cost, error) {
	c, answer, err := run(ctx, o.Binary, append([]string{"scan", "--format", "json", "--key-file", filepath.Join(o.Dir, "scan.key")}, args...)...)
	if err != nil {
		return cost{}, err
	}
	var report struct {
		Coverage struct{ Files, Blobs int }
	}
	if err := json.Unmarshal(answer, &report); err != nil {
		return cost{}, fmt.Errorf("reading keyward's report: %w", err)
	}
	if report.Coverage.Files != files || files == 0 && report.Coverage.Blobs == 0 {
		return cost{}, fmt.Errorf("keyward looked at %d files and %d objects, not at %d files", report.Coverage.Files, report.Coverage.Blobs, files)
	}
	return c, nil
}

// program answers what runs a program.
func program(name string, args ...string) func(context.Context) (cost, error) {
	return func(ctx context.Context) (cost, error) {
		c, _, err := run(ctx, name, args...)
		return c, err
	}
}

// run runs a program. A status up to 2 is an answer: of findings, of none, of what is
// broken in the tree.
func run(ctx context.Context, name string, args ...string) (cost, []byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var answer bytes.Buffer
	if filepath.Base(name) == "keyward" {
		cmd.Stdout = &answer
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return cost{}, nil, err
	}
	ended, memory := make(chan struct{}), make(chan int64)
	go func() { memory <- watch(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	c := cost{wall: time.Since(start)}
	close(ended)
	c.memory = <-memory
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() // with those of its children
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 0 || exit.ExitCode() > 2) {
		return cost{}, nil, err
	}
	return c, answer.Bytes(), nil
}

// watch answers how much memory a process has at most until it ends. What getrusage says
// of that begins with what the process had that started it.
func watch(pid int, ended <-chan struct{}) (most int64) {
	ticker := time.NewTicker(3 * time.Millisecond)
	defer ticker.Stop()
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if _, after, found := bytes.Cut(status, []byte("VmHWM:")); found {
			if fields := bytes.Fields(after[:min(len(after), 40)]); len(fields) > 0 {
				kilobytes, _ := strconv.ParseInt(string(fields[0]), 10, 64)
				most = max(most, kilobytes<<10)
			}
		}
		select {
		case <-ended:
			return most
		case <-ticker.C:
		}
	}
}

// median answers the medians of what runs took, each by itself.
func median(costs []cost) (m cost) {
	middle := func(of func(cost) int64) int64 {
		values := make([]int64, 0, len(costs))
		for _, c := range costs {
			values = append(values, of(c))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	m.cpu = time.Duration(middle(func(c cost) int64 { return int64(c.cpu) }))
	m.wall = time.Duration(middle(func(c cost) int64 { return int64(c.wall) }))
	m.memory = middle(func(c cost) int64 { return c.memory })
	return m
}
