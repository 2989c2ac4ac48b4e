//go:build linux

package proof

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/app"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/proof/trace"
)

const perRun = 1000 // crash points of one recorded run

// operations answers how many operations each client performs in a run that is looked at
// in so many points.
func operations(points int) int { return min(max(points, 50), 150) }

// The power fails at random moments of a run under load, and what POSIX does not promise
// to be on the disk is there or not, torn or whole. Each time the database opens, holds
// everything that was acknowledged before that moment, with one record each, no record
// without its effect and no effect without its record, and the log continues what the
// node remembers.
func TestCrash(t *testing.T) {
	t.Parallel()
	needTrace(t)
	n, seed := points(t, "KEYWARD_CRASHES", 50), seeded(t)
	random := rand.New(rand.NewPCG(seed, 1))
	binary := build(t)
	var slowest time.Duration
	events, acknowledged := 0, 0
	for left := n; left > 0 && !t.Failed(); left -= perRun {
		r := record(t, binary, operations(n), random)
		slowest = max(slowest, r.crash(t, min(left, perRun), random))
		events += len(r.events)
		for _, w := range r.worlds {
			acknowledged += len(w.history)
		}
		t.Logf("%d crash points to go; slowest recovery %v", max(0, left-perRun), slowest)
	}
	t.Logf("%d crash points in runs of %d events and %d acknowledged operations; slowest recovery %v", n, events, acknowledged, slowest)
}

// A recording is a run of a server under load.
type recording struct {
	*recorder
	before map[string][]byte // the data directory when it began
	key    api.FoundedAccount
	worlds []*world
}

// record runs a server, whose clients work at once, until it is killed.
func record(t *testing.T, binary string, operations int, random *rand.Rand) *recording {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "data")
	out := &recording{recorder: newRecorder(dir), key: found(t, dir, "", clients...)}
	out.before = readDir(t, dir)
	s := prepareServer(t, binary, dir, "")
	s.key, s.hooks = out.key, &trace.Hooks{Enter: out.enter, Leave: out.leave}
	s.start()
	var running sync.WaitGroup
	for _, name := range clients {
		w := oldWorld(t, s, name, rand.New(rand.NewPCG(random.Uint64(), 0)))
		out.worlds = append(out.worlds, w)
		running.Go(func() {
			for range operations {
				if _, err := w.try(t.Context(), w.client(s), w.next()); err != nil {
					t.Errorf("while recording: %v", err)
					return
				}
			}
		})
	}
	running.Wait()
	s.kill()
	s.hooks = nil // the server is kept until the test ends, the recording need not be
	if len(out.strange) > 0 {
		t.Fatalf("the server does what the recorder does not understand: %v", slices.Sorted(maps.Keys(out.strange)))
	}
	return out
}

// crash looks at n moments of the recording and answers the slowest recovery.
func (r *recording) crash(t *testing.T, n int, random *rand.Rand) time.Duration {
	type point struct {
		at   int
		seed uint64
	}
	var all []point
	for range n {
		all = append(all, point{random.IntN(len(r.events) + 1), random.Uint64()})
	}
	slices.SortFunc(all, func(a, b point) int { return a.at - b.at })
	var slowest atomic.Int64
	var running sync.WaitGroup
	lanes := min(runtime.GOMAXPROCS(0), 4)
	for lane := range lanes {
		running.Go(func() {
			disk := newReplay(r.before, r.events)
			for i := lane; i < len(all) && !t.Failed(); i += lanes {
				disk.advance(all[i].at)
				random := rand.New(rand.NewPCG(all[i].seed, 0))
				files := disk.Crash(random)
				took, err := r.recover(t, files, all[i].at, random)
				for again := 0; err == nil && took > recovery && again < 2; again++ { // on a busy machine; slow by itself is slow again
					took, err = r.recover(t, files, all[i].at, random)
				}
				if err != nil {
					t.Errorf("crash after event %d of %d, seed %d: %v", all[i].at, len(r.events), all[i].seed, err)
				}
				if took > recovery {
					t.Errorf("crash after event %d: the recovery took %v", all[i].at, took)
				}
				for old := slowest.Load(); int64(took) > old && !slowest.CompareAndSwap(old, int64(took)); old = slowest.Load() {
				}
			}
		})
	}
	running.Wait()
	return time.Duration(slowest.Load())
}

// shm is where files need not reach a disk.
func shm() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// recover starts a server on what a crash left and checks it; it answers how long the
// server took to be unsealed.
func (r *recording) recover(t *testing.T, files map[string][]byte, at int, random *rand.Rand) (took time.Duration, err error) {
	home, err := os.MkdirTemp(shm(), "kw") // mode 0700
	if err != nil {
		return 0, err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(home)
		}
	}()
	dir := filepath.Join(home, "data")
	if err := writeDir(dir, files); err != nil {
		return 0, err
	}
	before, err := records(t.Context(), "sqlite:"+filepath.Join(dir, "keyward.db"), dir)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	err = local(t, place{dir: dir, socket: filepath.Join(home, "s")}, func(ctx context.Context, s *server, a *app.App) error {
		if err := a.Unseal(ctx, material.NewBytes([]byte(passphrase))); err != nil {
			return err
		}
		took, s.key = time.Since(start), r.key
		for _, w := range r.worlds {
			if err := r.check(ctx, s, w, before, at, random); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return took, err
	}
	db, err := verified(t.Context(), "sqlite:"+filepath.Join(dir, "keyward.db"), dir) // it can go on, too
	if err != nil {
		return took, err
	}
	return took, db.Close()
}

// check holds a recovered server against what a client had been answered when the power
// failed.
func (r *recording) check(ctx context.Context, s *server, w *world, records map[string]int, at int, random *rand.Rand) error {
	then := &world{name: w.name, random: random, state: w.before.clone(), ids: map[string]string{}}
	recorded := map[string]bool{}
	for _, d := range w.history {
		when, ok := r.answers[d.request]
		if !ok {
			return fmt.Errorf("the answer to request %q was not recorded", d.request)
		}
		if records[d.request] > 1 || records[d.request] == 0 && when <= at {
			return fmt.Errorf("request %s, acknowledged: %v, has %d records", d.request, when <= at, records[d.request])
		}
		if records[d.request] == 0 {
			break // nothing later has a record, either: see below
		}
		recorded[d.request] = true
		if d.change != nil {
			d.change(&then.state)
		}
	}
	for _, d := range w.history {
		if records[d.request] != 0 && !recorded[d.request] {
			return errors.New("a request is recorded, but not the one that was answered before it was made")
		}
	}
	for _, b := range w.blobs {
		if recorded[b.request] {
			then.blobs = append(then.blobs, b)
		}
	}
	c := then.client(s)
	if err := then.settle(ctx, c, nil); err != nil {
		return err
	}
	return then.decrypt(ctx, c, 2)
}
