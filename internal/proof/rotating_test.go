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
		rotateUnderFire(t, place{dir: filepath.Join(storetest.MemoryDir(t), "data")})
	})
	t.Run("Postgres", func(t *testing.T) {
		rotateUnderFire(t, place{dir: filepath.Join(t.TempDir(), "data"), url: storetest.Postgres(t)})
	})
}

// rotationPatience is how long one rotation may take. An answer that is lost at a moment costs a
// minute, a look at what nobody tells of as much, and a rotation has several of each.
const rotationPatience = 10 * time.Minute

func rotateUnderFire(t *testing.T, at place) {
	t.Parallel() // most of the time is waiting
	want, random := size(t, "KEYWARD_ROTATIONS", 6), rand.New(rand.NewPCG(seeded(t), 2))
	m := openMarket(t, at, min(want, 24), random)
	trade, closing := context.WithCancel(t.Context())
	defer closing()
	var trading sync.WaitGroup
	m.openShops(trade, &trading)
	m.platform.Creating.Rate, m.platform.Managing.Rate, m.platform.Paying.Rate = 0.2, 0.05, 0.02

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

// fire kills the server and agents, and starts them again, until all is over: the server at
// once, an agent at once or after some seconds, in which its shops know nothing new.
func (m *market) fire(over <-chan struct{}) {
	for {
		for _, a := range m.agents {
			if a.cmd == nil && time.Now().After(a.back) {
				a.start()
			}
		}
		select {
		case <-over:
			return
		case <-m.t.Context().Done():
			return
		case <-time.After(time.Duration(500+m.random.IntN(4000)) * time.Millisecond):
		}
		if m.random.IntN(4) > 0 {
			m.called(3 * time.Second)
			time.Sleep(time.Duration(m.random.IntN(3 * int(moment))))
		}
		which := m.random.IntN(5)
		if which < 3 { // the server, an agent, or both at once
			m.server.kill()
			m.kills++
		}
		if which > 1 {
			agent := m.agents[m.random.IntN(len(m.agents))]
			agent.kill()
			m.agentKills++
			if agent.back = time.Now(); len(m.merchants) >= 24 && m.random.IntN(2) == 0 { // a short run has no time for that
				agent.back = agent.back.Add(time.Duration(5+m.random.IntN(8)) * time.Second)
			}
		}
		if which < 3 {
			m.server.start()
			m.door.leadTo(m.server)
		}
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
	left, err := filepath.Glob(filepath.Join(m.server.dir, "rotation.spool", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("in the spool are %v, %v", left, err)
	}
	m.report(tally, len(orphans))
	if t.Failed() {
		t.Logf("the server's log:\n%s", m.server.log())
	}
	m.server.kill()
	readRecords(t, m.server)
}

// report tells the figures.
func (m *market) report(tally paysim.Tally, orphans int) {
	ends, slowest, total := map[string]int{}, time.Duration(0), time.Duration(0)
	for _, r := range m.runs {
		ends[r.Step]++
		took := r.EndedAt.Sub(r.CreatedAt)
		slowest, total = max(slowest, took), total+took
	}
	m.t.Logf("%d rotations %v of %d merchants on %d nodes, %v on average, slowest %v; %d kills of the server, %d of agents",
		len(m.runs), ends, len(m.merchants), len(m.agents), (total / time.Duration(max(len(m.runs), 1))).Round(time.Second), slowest.Round(time.Second), m.kills, m.agentKills)
	m.t.Logf("%d payments, %d of them sent again, %d refused; of requests about keys %s; %d orphans were swept; halts that a person ended: %v",
		m.sales.orders.Load(), m.sales.again.Load(), tally.Failed(), m.faults(), orphans, m.halts)
	if m.sales.orders.Load() < int64(20*len(m.runs)) {
		m.t.Error("the shops hardly paid: the campaign proves nothing")
	}
}
