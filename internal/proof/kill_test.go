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
	n, err := strconv.Atoi(cmp.Or(os.Getenv("KEYWARD_KILLS"), "20"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestKillOnSQLite(t *testing.T)   { campaign(t, "", kills(t)) }
func TestKillOnPostgres(t *testing.T) { campaign(t, storetest.Postgres(t), kills(t)/4) }

// campaign kills the server, again and again, while clients work, and looks each time
// whether everything that it had acknowledged is there and right.
func campaign(t *testing.T, url string, kills int) {
	seed := seeded(t)
	var names []string
	for i := range 8 {
		names = append(names, fmt.Sprintf("w%d", i))
	}
	s, worlds := foundServer(t, filepath.Join(t.TempDir(), "data"), url, seed, names...)
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
		for i, w := range worlds {
			w.settled(t, w.client(s), maybe[i], recovery)
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
