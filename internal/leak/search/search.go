// Package search looks for credentials in files, streams and repositories: it reads, and
// has package unpack take apart what is packed, package decode what is encoded, and package
// leak judge what remains.
//
// A [Search] is one run. Documents may be given to it from several goroutines, each with a
// [Lane] of its own, which holds the memory that a document needs: a few buffers of half a
// megabyte, whatever the size of the document. Findings come together in a ledger, and
// what was covered in a [Coverage], which also names everything that could not be looked
// at: a run that missed something is partial, and says so.
package search

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/leak"
	"github.com/keyward/keyward/internal/leak/unpack"
)

// Options say how a search goes.
type Options struct {
	Scanner *leak.Scanner
	Hasher  leak.Hasher
	// Ignore answers whether a finding at a place is ignored; nil ignores none. It is called
	// from several goroutines.
	Ignore func(f leak.Finding, at leak.Location) bool
	// Allow answers whether a secret is allowed by a list of the user; nil allows none. It is
	// called from several goroutines and must not keep its arguments.
	Allow func(path string, secret, line []byte) bool
	// Values are the rules of which Value is told each secret, wherever it is found. It is called
	// from several goroutines, perhaps several times, and must copy what it keeps.
	Values []string
	Value  func(f leak.Finding, secret []byte)
	// InlineAllow says that comments with "keyward:allow" or "gitleaks:allow" allow what
	// stands in their line.
	InlineAllow bool
	Workers     int // goroutines; at least 1, at most 8
	Limits      unpack.Limits
	Now         func() time.Time
}

// A Search is one run.
type Search struct {
	options  Options
	ledger   leak.Ledger
	coverage counts
	window   sync.Mutex // is held by the lane that unpacks what needs much memory
	mu       sync.Mutex // guards what follows
	problems []Problem
	skipped  map[string]int64
}

type counts struct {
	files, members, bytes, blobs, commits, layers, ignored, allowed atomic.Int64
	unchanged                                                       atomic.Bool
}

// A Problem is something that could not be looked at, or not wholly.
type Problem struct {
	Path    string `json:"path"`
	What    string `json:"what"`
	Chinese string `json:"-"` // What in Chinese, as far as there is Chinese for it
}

// reasons are the Chinese of what systems and libraries say most; all else that says why is a [leak.Text].
var reasons = []struct {
	err     error
	chinese string
}{
	{fs.ErrNotExist, "文件或目录不存在"},
	{fs.ErrPermission, "没有读取权限"},
	{io.ErrUnexpectedEOF, "内容不完整"},
}

// problem answers what is said of an error. What parsers of others say of a damaged file stays as it is.
func problem(path string, err error) Problem {
	p := Problem{Path: path, What: err.Error(), Chinese: err.Error()}
	why, known := errors.AsType[leak.Text](err)
	for i := 0; i < len(reasons) && !known; i++ {
		known = errors.Is(err, reasons[i].err)
		why.Chinese = reasons[i].chinese
	}
	if known && why.English == p.What {
		p.Chinese = why.Chinese
	} else if known {
		p.Chinese = why.Chinese + "（" + p.What + "）"
	}
	return p
}

// maxProblems is how many problems a run keeps by name; more are counted.
const maxProblems = 1000

// A Coverage says what a run looked at.
type Coverage struct {
	Files   int64 `json:"files"`
	Members int64 `json:"members"` // of archives and documents
	Bytes   int64 `json:"bytes"`   // looked at, members after they were unpacked
	Blobs   int64 `json:"blobs,omitempty"`
	Commits int64 `json:"commits,omitempty"`
	Layers  int64 `json:"layers,omitempty"` // of images
	// Unchanged says that what was asked for is a change, and that there is none.
	Unchanged bool             `json:"unchanged,omitempty"`
	Ignored   int64            `json:"ignored"` // places of findings that an ignore covers
	Allowed   int64            `json:"allowed"` // places that a comment in the line allows
	Skipped   map[string]int64 `json:"skipped"` // what was left out on purpose, by reason
	Problems  []Problem        `json:"problems"`
}

// Partial tells whether something was missed.
func (c Coverage) Partial() bool { return len(c.Problems) > 0 }

// Nothing tells whether there was nothing to look at.
func (c Coverage) Nothing() bool {
	return c.Files == 0 && c.Blobs == 0 && c.Layers == 0 && !c.Unchanged
}

// maxLanes bounds the memory of a search on large machines, which wait for their disks.
const maxLanes = 8

// New answers a search.
func New(o Options) *Search {
	o.Workers = min(max(o.Workers, 1), maxLanes)
	if o.Limits == (unpack.Limits{}) {
		o.Limits = unpack.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Search{options: o, skipped: map[string]int64{}}
}

// Findings answers what was found so far.
func (s *Search) Findings() []leak.Finding { return s.ledger.Findings() }

// Coverage answers what was looked at so far.
func (s *Search) Coverage() Coverage {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Coverage{
		Files: s.coverage.files.Load(), Members: s.coverage.members.Load(), Bytes: s.coverage.bytes.Load(), Blobs: s.coverage.blobs.Load(), Commits: s.coverage.commits.Load(), Layers: s.coverage.layers.Load(),
		Unchanged: s.coverage.unchanged.Load(),
		Ignored:   s.coverage.ignored.Load(), Allowed: s.coverage.allowed.Load(), Skipped: map[string]int64{}, Problems: append([]Problem{}, s.problems...),
	}
	for reason, n := range s.skipped {
		c.Skipped[reason] = n
	}
	if more := s.ledger.More(); more > 0 {
		c.Problems = append(c.Problems, Problem{"the findings", fmt.Sprintf("there are more than %d different credentials; %d times another one was met", leak.MaxFindings, more),
			fmt.Sprintf("不同的密钥超过 %d 个，另有 %d 次未记录", leak.MaxFindings, more)})
	}
	return c
}

// Problem notes something that was missed.
func (s *Search) Problem(path string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.problems) < maxProblems {
		s.problems = append(s.problems, problem(path, err))
	}
}

// Skip counts something that was left out on purpose.
func (s *Search) Skip(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skipped[reason]++
}

// Take takes a finding at a place, unless it is ignored.
func (s *Search) Take(f leak.Finding, at leak.Location) {
	if s.options.Ignore != nil && s.options.Ignore(f, at) {
		s.coverage.ignored.Add(1)
		return
	}
	s.ledger.Add(f, at)
}

// Count notes what of a repository was looked at.
func (s *Search) Count(blobs, commits int64) {
	s.coverage.blobs.Add(blobs)
	s.coverage.commits.Add(commits)
}

// CountImage notes what of an image was looked at.
func (s *Search) CountImage(layers, files int64) {
	s.coverage.layers.Add(layers)
	s.coverage.files.Add(files)
}

// Unchanged notes that what was asked for is a change, and that there is none: to have
// looked at nothing is then right.
func (s *Search) Unchanged() { s.coverage.unchanged.Store(true) }

// Options answers how the search goes.
func (s *Search) Options() Options { return s.options }

// errPanic is what a document is reported with whose bytes a parser could not bear: one
// document is missed, not the run.
func errPanic(cause any) error { return fmt.Errorf("looking at it: internal error: %v", cause) }
