package proof

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/store/storetest"
)

// kills answers how often the server is killed: KEYWARD_KILLS, or a short run.
func kills(t *testing.T) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("KEYWARD_KILLS"), "12"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The databases are in memory, where many more kills take place in the same time: what a
// process wrote outlives it with or without a disk. For disks there is TestCrash. A long
// campaign has several servers, which are killed independently of each other.
func TestKillOnSQLite(t *testing.T) {
	n, seed := kills(t), seeded(t)
	servers := max(1, min(n/250, 4))
	for i := range servers {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			campaign(t, place{dir: filepath.Join(storetest.MemoryDir(t), "data")}, n/servers, seed+uint64(i))
		})
	}
}

func TestKillOnPostgres(t *testing.T) {
	campaign(t, place{dir: filepath.Join(t.TempDir(), "data"), url: storetest.Postgres(t)}, max(kills(t)/10, 5), seeded(t))
}

// campaign kills the server, again and again, while clients work, and looks each time
// whether everything that it had acknowledged is there and right.
func campaign(t *testing.T, at place, kills int, seed uint64) {
	t.Parallel() // most of the time is waiting for disks and processes
	var names []string
	for i := range 8 {
		names = append(names, fmt.Sprintf("w%d", i))
	}
	s, worlds := foundServer(t, at.dir, at.url, seed, names...)
	random := rand.New(rand.NewPCG(seed, 100))
	maybe := make([]*state, len(worlds))
	for kill := range kills {
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for i, w := range worlds {
			running.Go(func() { maybe[i] = w.work(ctx, t, w.client(s)) })
		}
		time.Sleep(time.Duration(20+random.IntN(200)) * time.Millisecond)
		s.kill()
		stop()
		running.Wait()
		s.start()
		settleAll(t, s, worlds, maybe, recovery)
		if kill%1000 == 999 {
			t.Logf("%d kills are done", kill+1)
		}
		if t.Failed() {
			t.Fatalf("after kill %d of %d: the server's log:\n%s", kill+1, kills, s.log())
		}
	}
	operations := 0
	for _, w := range worlds {
		operations += len(w.history)
		if err := w.decrypt(t.Context(), w.client(s), 200); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d kills, %d acknowledged operations", kills, operations)
	if operations < 5*kills {
		t.Errorf("the load was too small to prove anything")
	}
	checkRecords(t, s, worlds...)
}

// work works until the server dies, and answers what the operation that was under way
// then would have made of the world.
func (w *world) work(ctx context.Context, t *testing.T, c *client.Client) *state {
	for ctx.Err() == nil {
		a := w.next()
		maybe, err := w.try(ctx, c, a)
		if err == nil {
			continue
		}
		if refused := new(client.Error); errors.As(err, &refused) {
			t.Errorf("%s was refused: %v", a.name, err)
		}
		return maybe
	}
	return nil
}
