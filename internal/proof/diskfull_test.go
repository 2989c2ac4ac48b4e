//go:build linux

package proof

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/proof/trace"
)

// full is how long the disk stays full at least, in a short run; with a number of runs
// given it is up to ten times that.
const full = time.Second

// patience is how long a server on a full disk may find space of its own to go on.
const patience = 20 * time.Second

// A volume is a small disk that can be filled.
type volume struct {
	dir   string
	fill  func() error // so that nothing more can be written
	free  func() error
	hooks *trace.Hooks // of the server on it, if its disk is an imitation
}

// newVolume answers a small disk of its own. Who may not mount one gets an imitation:
// while it is full, every call that could take space answers ENOSPC.
func newVolume(t *testing.T, random *rand.Rand) *volume {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("keyward-proof", dir, "tmpfs", 0, "size=48m,mode=0700"); errors.Is(err, fs.ErrPermission) {
		return imitation(t, dir)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(dir, "filler")
	return &volume{dir: dir, free: func() error { return os.Remove(filler) }, fill: func() error {
		f, err := os.Create(filler)
		if err != nil {
			return err
		}
		defer f.Close()
		for size := 1 << 20; size > 0; size /= 2 { // to the last byte
			for err == nil {
				_, err = f.Write(make([]byte, size))
			}
			if !errors.Is(err, syscall.ENOSPC) {
				return err
			}
			err = nil
		}
		// Sometimes a little is left, so that not the first write fails.
		info, err := f.Stat()
		if err != nil {
			return err
		}
		return f.Truncate(info.Size() - int64(random.IntN(8))<<12)
	}}
}

func imitation(t *testing.T, dir string) *volume {
	needTrace(t)
	i := &injector{dir: filepath.Join(dir, "data"), skip: -1, total: map[string]int{}}
	return &volume{dir: dir, hooks: &trace.Hooks{Enter: i.enter}, free: func() error { i.disarm(); return nil }, fill: func() error {
		i.fail(func(call string) syscall.Errno {
			switch call {
			case "write", "pwrite64", "fallocate", "rename", "renameat":
				return syscall.ENOSPC
			}
			return 0
		})
		return nil
	}}
}

// The disk is full for a while, again and again, under load. The server lives, answers 503
// with advice to whatever it cannot record, says that it is not ready, and is well again
// within five seconds of the disk being freed, with nothing lost.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	runs, seed := points(t, "KEYWARD_FILLINGS", 3), seeded(t)
	random := rand.New(rand.NewPCG(seed, 2))
	v := newVolume(t, random)
	if v.hooks != nil {
		t.Log("mounting is not permitted: the full disk is imitated")
	}
	s, worlds := foundServer(t, filepath.Join(v.dir, "data"), "", seed, clients...)
	if s.hooks = v.hooks; s.hooks != nil {
		s.kill()
		s.start()
	}
	var slowest time.Duration
	refused := 0
	for run := range runs {
		pause := full
		if runs > 3 {
			pause += time.Duration(random.Int64N(int64(9 * full)))
		}
		f := s.filling(t, v, worlds, pause)
		slowest, refused = max(slowest, f.recovery), refused+f.refused
		if t.Failed() {
			t.Fatalf("run %d: the server's log:\n%s", run, s.log())
		}
	}
	acknowledged := 0
	for _, w := range worlds {
		acknowledged += len(w.history)
	}
	t.Logf("disk full %d times: %d requests refused, %d acknowledged, slowest recovery %v", runs, refused, acknowledged, slowest)
	s.kill()
	s.start()
	for _, w := range worlds {
		w.settled(t, w.client(s), nil, recovery)
	}
	checkRecords(t, s, worlds...)
}

// A filled is what came of one time of a full disk.
type filled struct {
	refused  int
	recovery time.Duration
}

// filling lets the clients work while the disk runs full and is freed.
func (s *server) filling(t *testing.T, v *volume, worlds []*world, pause time.Duration) (out filled) {
	l := s.load(worlds)
	time.Sleep(200 * time.Millisecond)
	if err := v.fill(); err != nil {
		t.Fatal(err)
	}
	// Space that the database has already is used on, for a while.
	ready := true
	for start := time.Now(); ready && time.Since(start) < patience; time.Sleep(5 * time.Millisecond) {
		ready, _ = s.health(t)
	}
	if ready {
		t.Errorf("the disk is full, and health does not say so")
	}
	time.Sleep(pause)
	l.end()
	if out.refused = int(l.refused.Load()); out.refused == 0 {
		t.Errorf("nothing was refused while the disk was full")
	}
	if err := v.free(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for ready = false; !ready && time.Since(start) < recovery; time.Sleep(10 * time.Millisecond) {
		ready, _ = s.health(t)
	}
	l.settle(t, start, recovery)
	out.recovery = time.Since(start)
	return out
}
