package trace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

// Supported tells whether programs can be traced on this machine.
const Supported = true

// Start starts the program. Its first instruction is traced already.
func Start(cmd *exec.Cmd, hooks Hooks) (*Process, error) {
	p := &Process{ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // ptrace knows its tracer by the thread, which ends with this goroutine
		t := tracer{process: p, hooks: hooks, threads: map[int]*thread{}}
		if err := t.start(cmd); err != nil {
			started <- err
			return
		}
		started <- nil
		t.run()
		close(p.ended)
	}()
	return p, <-started
}

// interesting are the calls that hooks see: those that change files or make them durable,
// those that read them, and what carries an answer to a client. What could change a file
// in a way that the recorder does not know is among them, to be found out.
var interesting = map[uint64]shape{
	syscall.SYS_READ: {"read", byFD}, syscall.SYS_PREAD64: {"pread64", byFD},
	syscall.SYS_WRITE: {"write", byFD}, syscall.SYS_PWRITE64: {"pwrite64", byFD},
	syscall.SYS_WRITEV: {"writev", byFD}, syscall.SYS_PWRITEV: {"pwritev", byFD}, 328: {"pwritev2", byFD},
	syscall.SYS_SENDFILE: {"sendfile", byFD}, 326: {"copy_file_range", byThirdFD}, syscall.SYS_SPLICE: {"splice", byThirdFD},
	syscall.SYS_FSYNC: {"fsync", byFD}, syscall.SYS_FDATASYNC: {"fdatasync", byFD}, syscall.SYS_SYNC_FILE_RANGE: {"sync_file_range", byFD},
	syscall.SYS_FTRUNCATE: {"ftruncate", byFD}, syscall.SYS_FALLOCATE: {"fallocate", byFD}, syscall.SYS_TRUNCATE: {"truncate", byPath},
	syscall.SYS_OPENAT: {"openat", bySecondPath}, syscall.SYS_OPEN: {"open", byPath}, syscall.SYS_CREAT: {"creat", byPath}, 437: {"openat2", bySecondPath},
	syscall.SYS_RENAME: {"rename", byTwoPaths}, syscall.SYS_RENAMEAT: {"renameat", byTwoPathsAt}, 316: {"renameat2", byTwoPathsAt},
	syscall.SYS_UNLINK: {"unlink", byPath}, syscall.SYS_UNLINKAT: {"unlinkat", bySecondPath},
	syscall.SYS_LINK: {"link", byTwoPaths}, syscall.SYS_LINKAT: {"linkat", byTwoPathsAt}, syscall.SYS_SYMLINK: {"symlink", byTwoPaths},
	syscall.SYS_MKDIR: {"mkdir", byPath}, syscall.SYS_MKDIRAT: {"mkdirat", bySecondPath}, syscall.SYS_RMDIR: {"rmdir", byPath},
	syscall.SYS_MMAP: {"mmap", byFifthFD}, syscall.SYS_FSTAT: {"fstat", byFD}, 262: {"newfstatat", bySecondPath},
	syscall.SYS_FCNTL: {"fcntl", byFD}, syscall.SYS_FLOCK: {"flock", byFD},
	425: {"io_uring_setup", byNothing},
}

// A shape says where the file of a call is found in its arguments.
type shape struct {
	name string
	how  int
}

const (
	byNothing = iota
	byFD
	byThirdFD
	byFifthFD
	byPath
	bySecondPath
	byTwoPaths
	byTwoPathsAt
)

type thread struct {
	call    *Call // inside an interesting call
	verdict Verdict
	regs    syscall.PtraceRegs // as they were when it entered, if they were changed
}

type tracer struct {
	process *Process
	hooks   Hooks
	threads map[int]*thread
}

const waitOptions = syscall.WALL | 0x20000000 // __WNOTHREAD: children of this thread only

func (t *tracer) start(cmd *exec.Cmd) error {
	var stderr uintptr
	if f, ok := cmd.Stderr.(*os.File); ok {
		stderr = f.Fd()
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("starting a traced program: %w", err)
	}
	defer null.Close()
	pid, err := syscall.ForkExec(cmd.Path, cmd.Args, &syscall.ProcAttr{
		Dir: cmd.Dir, Env: cmd.Env, Files: []uintptr{null.Fd(), null.Fd(), stderr}, Sys: &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if err != nil {
		return fmt.Errorf("starting a traced program: %w", err)
	}
	t.process.Pid = pid
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, waitOptions, nil); err != nil {
		return fmt.Errorf("starting a traced program: %w", err)
	}
	const exitKill = 0x100000 // the program does not outlive its tracer
	if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|exitKill); err != nil {
		return fmt.Errorf("starting a traced program: %w", err)
	}
	t.threads[pid] = &thread{}
	return syscall.PtraceSyscall(pid, 0)
}

// run follows the program's threads until the last has ended.
func (t *tracer) run() {
	for {
		var status syscall.WaitStatus
		// Only the program's own group: this thread may have started others before it was locked.
		tid, err := syscall.Wait4(-t.process.Pid, &status, waitOptions, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return // no thread is left
		}
		if !status.Stopped() {
			delete(t.threads, tid)
			continue
		}
		signal := 0
		switch stop := status.StopSignal(); {
		case stop == syscall.SIGTRAP|0x80:
			t.syscall(tid)
		case stop == syscall.SIGTRAP: // a new thread, or the exec
		case stop == syscall.SIGSTOP && t.threads[tid] == nil: // a thread's beginning
		default:
			signal = int(stop)
		}
		if t.threads[tid] == nil {
			t.threads[tid] = &thread{}
		}
		_ = syscall.PtraceSyscall(tid, signal) // it fails when the thread was killed meanwhile
	}
}

// info is struct ptrace_syscall_info of linux/ptrace.h.
type info struct {
	op   uint8
	_    [3]uint8
	arch uint32
	_    [2]uint64
	data [8]uint64 // entry: number, six arguments; exit: return value
}

const (
	getSyscallInfo = 0x420e
	opEntry        = 1
	opExit         = 2
)

// syscall handles a thread that enters a call or leaves one.
func (t *tracer) syscall(tid int) {
	if t.threads[tid] == nil {
		t.threads[tid] = &thread{}
	}
	th := t.threads[tid]
	var in info
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Sizeof(in), uintptr(unsafe.Pointer(&in)), 0, 0)
	if errno != 0 {
		return // killed meanwhile
	}
	switch in.op {
	case opEntry:
		kind, ok := interesting[in.data[0]]
		if !ok {
			return
		}
		c := &Call{Name: kind.name, thread: tid, Args: [6]uint64(in.data[1:7])}
		c.locate(kind.how)
		th.call, th.verdict = c, t.hooks.Enter(c)
		t.impose(tid, th)
	case opExit:
		if th.call == nil {
			return
		}
		th.call.Return = int64(in.data[0])
		t.restore(tid, th)
		if th.verdict.Errno == 0 && t.hooks.Leave != nil {
			t.hooks.Leave(th.call)
		}
		th.call = nil
	}
}

// impose changes a call that is about to happen as its verdict says.
func (t *tracer) impose(tid int, th *thread) {
	v := th.verdict
	if v == (Verdict{}) || syscall.PtraceGetRegs(tid, &th.regs) != nil {
		return
	}
	changed := th.regs
	if v.Length > 0 {
		changed.Rdx = v.Length
	}
	if v.Errno != 0 && !v.Effect {
		changed.Orig_rax = ^uint64(0) // no call at all
	}
	_ = syscall.PtraceSetRegs(tid, &changed) // it fails when the thread was killed meanwhile
}

// restore hides from the program what was changed, and answers what the verdict says.
func (t *tracer) restore(tid int, th *thread) {
	v := th.verdict
	var now syscall.PtraceRegs
	if v == (Verdict{}) || syscall.PtraceGetRegs(tid, &now) != nil {
		return
	}
	now.Rdx = th.regs.Rdx
	if v.Errno != 0 {
		now.Rax = uint64(-int64(v.Errno))
	}
	_ = syscall.PtraceSetRegs(tid, &now) // it fails when the thread was killed meanwhile
}

// locate finds out which files a call is about.
func (c *Call) locate(how int) {
	switch how {
	case byFD:
		c.Path = c.fd(c.Args[0])
	case byThirdFD:
		c.Path = c.fd(c.Args[2])
	case byFifthFD:
		if int32(c.Args[4]) >= 0 {
			c.Path = c.fd(c.Args[4])
		}
	case byPath:
		c.Path = c.text(c.Args[0])
	case bySecondPath:
		c.Path = c.text(c.Args[1])
	case byTwoPaths:
		c.Path, c.To = c.text(c.Args[0]), c.text(c.Args[1])
	case byTwoPathsAt:
		c.Path, c.To = c.text(c.Args[1]), c.text(c.Args[3])
	}
}

func (c *Call) fd(n uint64) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.thread, int32(n)))
	if err != nil {
		return ""
	}
	return path
}

// text reads a string of the program.
func (c *Call) text(address uint64) string {
	content := c.memory(address, 4096)
	s, _, _ := strings.Cut(string(content), "\x00")
	return s
}

// memory reads at most n bytes of the program, fewer where its memory ends.
func (c *Call) memory(address, n uint64) []byte {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", c.thread))
	if err != nil {
		return nil
	}
	defer f.Close()
	buffer := make([]byte, n)
	have, _ := f.ReadAt(buffer, int64(address)) // what was read counts
	return buffer[:have]
}

// Written answers what a write or pwrite64 passes to the kernel. In a Leave hook, that is
// cut to what the kernel took.
func (c *Call) Written() []byte { return c.memory(c.Args[1], c.Args[2]) }

// Locks tells whether an fcntl takes a lock.
func (c *Call) Locks() bool {
	if command := int(c.Args[1]); command != syscall.F_SETLK && command != syscall.F_SETLKW {
		return false
	}
	kind := c.memory(c.Args[2], 2) // l_type is the first member of struct flock
	return len(kind) == 2 && int16(kind[0])|int16(kind[1])<<8 != syscall.F_UNLCK
}

// Offset answers where a write, pwrite64, read or pread64 that enters begins; -1 means at
// the end of the file, wherever that is.
func (c *Call) Offset() (int64, error) {
	if c.Name == "pwrite64" || c.Name == "pread64" {
		return int64(c.Args[3]), nil
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", c.thread, int32(c.Args[0])))
	if err != nil {
		return 0, fmt.Errorf("finding the offset of a write: %w", err)
	}
	var pos, flags int64
	if _, err := fmt.Sscanf(string(content), "pos:\t%d\nflags:\t%o\n", &pos, &flags); err != nil {
		return 0, fmt.Errorf("finding the offset of a write: %w", err)
	}
	if flags&syscall.O_APPEND != 0 {
		return -1, nil
	}
	return pos, nil
}
