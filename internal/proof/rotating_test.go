package proof

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/cloud/paysim"
	"github.com/keyward/keyward/internal/store/storetest"
)

// TestKillWhileRotating rotates the keys of many merchants at once, forwards and back,
// while shops on several machines pay with them without a pause, the payment platform loses,
// delays, doubles and spoils requests, and the server and the agents are killed at moments
// that are mostly in the middle of a call to the platform. After each rotation the platform
// has one key of the merchant, which works, is the secret's current version, and is what
// every node uses; in all the time no payment is refused. KEYWARD_ROTATIONS is how many.
func TestKillWhileRotating(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		rotateUnderFire(t, place{dir: filepath.Join(storetest.MemoryDir(t), "data")}, 1)
	})
	t.Run("Postgres", func(t *testing.T) {
		rotateUnderFire(t, place{dir: filepath.Join(t.TempDir(), "data"), url: storetest.Postgres(t)}, 1)
	})
	t.Run("two servers on Postgres", func(t *testing.T) {
		rotateUnderFire(t, place{dir: filepath.Join(t.TempDir(), "data"), url: storetest.Postgres(t)}, 2)
	})
}

// rotationPatience is how long one rotation may take. An answer that is lost at a moment costs a
// minute, a look at what nobody tells of as much, and a rotation has several of each.
const rotationPatience = 10 * time.Minute

func rotateUnderFire(t *testing.T, at place, servers int) {
	t.Parallel() // most of the time is waiting
	want, random := size(t, "KEYWARD_ROTATIONS", 4), rand.New(rand.NewPCG(seeded(t), 2))
	m := openMarket(t, at, servers, want, random)
	trade, closing := context.WithCancel(t.Context())
	defer closing()
	var trading sync.WaitGroup
	m.openShops(trade, &trading)
	m.spoil()

	var rotating sync.WaitGroup
	for _, of := range m.merchants {
		rotating.Go(func() {
			for m.begun.Add(1) <= int64(want) && !t.Failed() {
				of.rotate()
			}
		})
	}
	over := make(chan struct{})
	go func() {
		rotating.Wait()
		close(over)
	}()
	m.fire(over)
	closing()
	trading.Wait()
	m.judge()
}

// fire kills servers and agents, and starts them again, until all is over: a server at once
// or, if there is another, after some seconds, in which that one takes over what it did; an
// agent at once or after some seconds, in which its shops know nothing new.
func (m *market) fire(over <-chan struct{}) {
	defer func() {
		for _, s := range m.servers {
			m.raise(s)
		}
	}()
	for {
		for _, a := range m.agents {
			if a.cmd == nil && time.Now().After(a.back) {
				a.start()
			}
		}
		for _, s := range m.servers {
			if time.Now().After(s.back) {
				m.raise(s)
			}
		}
		select {
		case <-over:
			return
		case <-m.t.Context().Done():
			return
		case <-time.After(m.pause/8 + time.Duration(m.random.Int64N(int64(m.pause)))):
		}
		if m.random.IntN(4) > 0 {
			m.called(m.pause)
			time.Sleep(time.Duration(m.random.IntN(3 * int(moment))))
		}
		which := m.random.IntN(5)
		if which < 3 { // a server, an agent, or both at once
			s := m.servers[m.random.IntN(len(m.servers))]
			s.kill()
			m.kills++
			if s.back = time.Now(); len(m.servers) > 1 {
				s.back = s.back.Add(m.absence())
			} else {
				m.raise(s)
			}
		}
		if which > 1 {
			agent := m.agents[m.random.IntN(len(m.agents))]
			agent.kill()
			m.agentKills++
			agent.back = time.Now().Add(m.absence())
		}
	}
}

// absence answers how long who was killed stays away: half of them not at all.
func (m *market) absence() time.Duration {
	if m.random.IntN(2) == 0 {
		return 0
	}
	return time.Duration(m.random.Int64N(2 * int64(m.pause)))
}

// raise starts a server that is dead.
func (m *market) raise(s *server) {
	if s.cmd == nil {
		s.start()
		m.door.leadTo(m.servers...)
	}
}

// judge looks at what is left when all is at rest.
func (m *market) judge() {
	t := m.t
	t.Helper()
	orphans := map[string]bool{} // keys that lived and were no rotation's result
	for _, l := range m.platform.Lives() {
		orphans[l.ID] = true
	}
	m.mu.Lock()
	for _, r := range m.runs {
		delete(orphans, r.OldKey)
		delete(orphans, r.NewKey)
	}
	for _, why := range m.wrong {
		t.Error(why)
	}
	m.mu.Unlock()
	tally := m.platform.Tally()
	if n := tally.Failed(); n != 0 || len(m.sales.failed) != 0 {
		t.Errorf("%d payments were refused for the key's sake, %v; the handles could not pay %v", n, tally.Refused, m.sales.failed)
	}
	m.checkIncidents()
	m.checkSpools()
	m.report(tally, len(orphans))
	if t.Failed() {
		t.Logf("the servers' logs:\n%s", m.logs())
	}
	metrics := m.metrics()
	for _, s := range m.servers {
		s.kill()
	}
	m.searchMarket(metrics)
	for _, s := range m.servers {
		readRecords(t, s)
	}
}

// checkSpools looks that no server keeps anything of a new key any more. What another server
// has made worthless is dropped when it starts.
func (m *market) checkSpools() {
	m.t.Helper()
	for _, s := range m.servers {
		var left []string
		for end := time.Now().Add(10 * time.Second); ; rest(m.t.Context(), 100*time.Millisecond) {
			if left, _ = filepath.Glob(filepath.Join(s.dir, "rotation.spool", "*")); len(left) == 0 {
				break
			}
			if time.Now().After(end) {
				m.t.Errorf("in a spool are %v", left)
				break
			}
			if len(m.servers) > 1 {
				s.kill()
				m.raise(s)
			}
		}
	}
}

// report tells the figures.
func (m *market) report(tally paysim.Tally, orphans int) {
	ends, slowest, total := map[string]int{}, time.Duration(0), time.Duration(0)
	for _, r := range m.runs {
		ends[r.Step]++
		took := r.EndedAt.Sub(r.CreatedAt)
		slowest, total = max(slowest, took), total+took
	}
	m.t.Logf("%d rotations %v of %d merchants on %d nodes, %v on average, slowest %v; %d kills of %d servers, %d of agents",
		len(m.runs), ends, len(m.merchants), len(m.agents), (total / time.Duration(max(len(m.runs), 1))).Round(time.Second), slowest.Round(time.Second), m.kills, len(m.servers), m.agentKills)
	m.t.Logf("%d payments, %d of them sent again, %d refused; of requests about keys %s; %d orphans were swept; halts that a person ended: %v",
		m.sales.orders.Load(), m.sales.again.Load(), tally.Failed(), m.faults(), orphans, m.halts)
	if m.sales.orders.Load() < int64(20*len(m.runs)) {
		m.t.Error("the shops hardly paid: the campaign proves nothing")
	}
}
