//go:build linux

package proof

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/keyward/keyward/internal/proof/crash"
	"github.com/keyward/keyward/internal/proof/trace"
)

// A recorder writes down what a traced server does to its data directory, and when it
// answers which request.
type recorder struct {
	dir string

	mu      sync.Mutex // guards what follows
	events  []event
	answers map[string]int // request id → how many events came before its answer began to leave
	strange map[string]bool
	entered map[*trace.Call]int64 // where a write begins, or which sync an event ends
	syncs   int64
}

// An event is one thing that was done to the directory. Data stays as it is.
type event struct {
	kind   string // create, write, truncate, rename, remove, sync, synced
	name   string // "" for the directory itself
	to     string
	offset int64 // of a write, size of a truncation, number of a sync
	data   []byte
}

func newRecorder(dir string) *recorder {
	return &recorder{dir: dir, answers: map[string]int{}, strange: map[string]bool{}, entered: map[*trace.Call]int64{}}
}

var answered = regexp.MustCompile(`(?i)\r\nx-acs-request-id: ([0-9A-F-]{36})\r\n`)

// name answers a path relative to the directory, and whether it is in it.
func (r *recorder) name(path string) (string, bool) {
	if path == r.dir {
		return "", true
	}
	name, err := filepath.Rel(r.dir, path)
	// SQLite's wal-index is rebuilt from the log after every crash.
	return name, err == nil && !strings.HasPrefix(name, "..") && !strings.HasSuffix(name, "-shm") && !strings.HasSuffix(name, " (deleted)")
}

func (r *recorder) add(e event) { r.events = append(r.events, e) }

// enter is the hook before a call.
func (r *recorder) enter(c *trace.Call) trace.Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Name == "write" && strings.HasPrefix(c.Path, "socket:") {
		for _, match := range answered.FindAllSubmatch(c.Written(), -1) {
			r.answers[string(match[1])] = len(r.events)
		}
		return trace.Verdict{}
	}
	name, ok := r.name(c.Path)
	if !ok {
		return trace.Verdict{}
	}
	switch c.Name {
	case "write", "pwrite64":
		offset, err := c.Offset()
		if err != nil {
			r.strange[fmt.Sprintf("%s: %v", c.Name, err)] = true
		}
		r.entered[c] = offset
	case "fsync", "fdatasync":
		r.syncs++
		r.entered[c] = r.syncs
		r.add(event{kind: "sync", name: name, offset: r.syncs})
	}
	return trace.Verdict{}
}

// leave is the hook after a call.
func (r *recorder) leave(c *trace.Call) {
	name, inside := r.name(c.Path)
	to, moved := r.name(c.To)
	if !inside && !(c.To != "" && moved) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.entered[c]
	delete(r.entered, c)
	if c.Return < 0 {
		return
	}
	switch c.Name {
	case "open", "openat":
		flags := c.Args[1]
		if c.Name == "openat" {
			flags = c.Args[2]
		}
		if flags&syscall.O_CREAT != 0 {
			r.add(event{kind: "create", name: name})
		}
		if flags&syscall.O_TRUNC != 0 {
			r.add(event{kind: "truncate", name: name})
		}
	case "write", "pwrite64":
		r.add(event{kind: "write", name: name, offset: before, data: c.Written()[:c.Return]})
	case "fsync", "fdatasync":
		r.add(event{kind: "synced", name: name, offset: before})
	case "ftruncate":
		r.add(event{kind: "truncate", name: name, offset: int64(c.Args[1])})
	case "rename", "renameat":
		r.add(event{kind: "rename", name: name, to: to})
	case "unlink", "unlinkat":
		r.add(event{kind: "remove", name: name})
	case "read", "pread64", "fstat", "newfstatat", "fcntl", "flock":
	case "mmap":
		if c.Args[2]&syscall.PROT_WRITE != 0 && c.Args[3]&syscall.MAP_SHARED != 0 {
			r.strange["a file is written through memory: "+name] = true
		}
	default:
		r.strange[fmt.Sprintf("%s of %s", c.Name, name)] = true
	}
}

// A replay applies recorded events to a disk.
type replay struct {
	*crash.Disk
	events []event
	at     int
	open   map[int64]func() // syncs that have begun
}

func newReplay(files map[string][]byte, events []event) *replay {
	return &replay{Disk: crash.NewDisk(files), events: events, open: map[int64]func(){}}
}

// advance applies the events before the given one.
func (p *replay) advance(to int) {
	for ; p.at < to; p.at++ {
		switch e := p.events[p.at]; e.kind {
		case "create":
			p.Create(e.name)
		case "write":
			p.Write(e.name, e.offset, e.data)
		case "truncate":
			p.Truncate(e.name, e.offset)
		case "rename":
			p.Rename(e.name, e.to)
		case "remove":
			p.Remove(e.name)
		case "sync":
			if e.name == "" {
				p.open[e.offset] = p.SyncNames()
			} else {
				p.open[e.offset] = p.Sync(e.name)
			}
		case "synced":
			p.open[e.offset]()
			delete(p.open, e.offset)
		}
	}
}
