package agentapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/server/agentapi/agenttest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// A crowd is agents that have joined and have what there is.
func newCrowd(t testing.TB, w *world, n int) []*agenttest.Agent {
	t.Helper()
	out := make([]*agenttest.Agent, n)
	client := &http.Client{Transport: &direct{w.handler}}
	token := w.token(t, "app", "shop")
	var g sync.WaitGroup
	for part := range 4 {
		g.Go(func() {
			for i := part; i < n; i += 4 {
				a := agenttest.New("http://keyward.example", client, w.clock)
				err := a.Join(context.WithoutCancel(t.Context()), token, fmt.Sprintf("web-%05d", i))
				if err == nil {
					_, err = a.Watch(context.WithoutCancel(t.Context()), 0)
				}
				if err != nil {
					t.Error(err)
				}
				out[i] = a
			}
		})
	}
	g.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return out
}

// direct carries requests to a handler without a connection, each from an address of its own.
type direct struct{ handler http.Handler }

var addresses struct {
	sync.Mutex
	last int
}

// RoundTrip implements http.RoundTripper.
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	addresses.Lock()
	addresses.last++
	n := addresses.last
	addresses.Unlock()
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), fmt.Sprintf("10.%d.%d.%d:9", n>>16&255, n>>8&255, n&255)
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, in)
	return w.Result(), nil
}

// wait has all agents wait, and answers what the waiting takes in bytes for each, beside the
// connections that this test does without, and how to hear that all are answered.
func waitAll(t testing.TB, w *world, crowd []*agenttest.Agent) (bytes int, answered func()) {
	t.Helper()
	used := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc + m.StackInuse)
	}
	before := used()
	var g sync.WaitGroup
	for _, a := range crowd {
		g.Go(func() {
			for {
				_, err := a.Watch(context.WithoutCancel(t.Context()), 60)
				var away *agenttest.Answer
				if errors.As(err, &away) && away.Status == http.StatusTooManyRequests {
					continue // as every agent does, if later
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
		})
	}
	for w.dialect.Waiting() < len(crowd) {
		runtime.Gosched()
	}
	return (used() - before) / len(crowd), g.Wait
}

// A waiting agent keeps little: its request, a goroutine, what it has.
func TestWaitingTakesLittleMemory(t *testing.T) {
	w := newDatabase(t, "sqlite:"+filepath.Join(storetest.MemoryDir(t), "keyward.db")).open(t, origin, nil)
	w.rollout(t, "pay")
	crowd := newCrowd(t, w, 300)
	bytes, answered := waitAll(t, w, crowd)
	w.publish(t, "pay", "v2")
	answered()
	const most = 40 << 10 // with the race detector's own; the benchmark tells what it is without
	t.Logf("%d bytes for each waiting agent, the test's own side included", bytes)
	if bytes > most {
		t.Errorf("a waiting agent keeps %d bytes, want at most %d", bytes, most)
	}
	for _, a := range crowd {
		if a.Primary["pay"] != "v2" {
			t.Fatalf("%s has %s", a.Name, a.Primary["pay"])
		}
	}
}

// BenchmarkWaiting tells what each of many waiting agents keeps, and how long it takes until
// 99 % and all of them have acknowledged what is published: opened, recorded, sealed, proved.
func BenchmarkWaiting(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newDatabase(b, "sqlite:"+filepath.Join(storetest.MemoryDir(b), "keyward.db")).open(b, origin, nil)
			w.rollout(b, "pay")
			crowd := newCrowd(b, w, n)
			for i := 0; b.Loop(); i++ {
				w.pass(time.Minute) // which no limit of calls forgets
				bytes, answered := waitAll(b, w, crowd)
				w.publish(b, "pay", fmt.Sprint("next-", i))
				began := time.Now()
				answered()
				delivered := time.Since(began)
				took := make([]time.Duration, n)
				var g sync.WaitGroup
				for i, a := range crowd {
					g.Go(func() {
						if _, err := a.Report(context.WithoutCancel(b.Context()), a.Ack("pay", "used")); err != nil {
							b.Error(err)
						}
						took[i] = time.Since(began)
					})
				}
				g.Wait()
				slices.Sort(took)
				b.ReportMetric(float64(bytes), "B/agent")
				b.ReportMetric(delivered.Seconds(), "s-delivered")
				b.ReportMetric(took[n*99/100].Seconds(), "s-99%")
				b.ReportMetric(took[n-1].Seconds(), "s-100%")
			}
			_, members, err := w.Members(b.Context(), account, "pay")
			if c := rollout.Count(members, rollout.Used, w.clock()); err != nil || c.There != n {
				b.Errorf("the census is %+v, %v", c, err)
			}
		})
	}
}

// Whatever a node sends, signed as it must be, is answered or refused, and never breaks.
func FuzzRequests(f *testing.F) {
	w := open(f)
	w.rollout(f, "pay")
	a := w.agent(f, "web-1")
	for i, body := range []string{
		`{"have":{},"waitSeconds":0}`, `{"have":{"pay":-1},"waitSeconds":61}`, `{"have":{"pay":9223372036854775807},"waitSeconds":0}`,
		`{"version":"v","skewMillis":-9223372036854775808}`,
		`{"version":"v","skewMillis":0,"acks":[{"rollout":"pay","generation":1,"level":"used","proof":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","usedMillisAgo":1}]}`,
		`{"token":"kwjt_1000000000000001_0123456789abcdef_ABCDEFGHIJKLMNOPQRSTUVWXYZ","name":"x","signKey":"","sealKey":""}`, `[]`, `{"have":null}`,
	} {
		f.Add(uint8(i), []byte(body))
	}
	paths := []string{delivery.WatchPath, delivery.ReportPath, delivery.JoinPath}
	f.Fuzz(func(t *testing.T, path uint8, body []byte) {
		w.pass(time.Second)
		r := a.Request(paths[int(path)%len(paths)], body, w.clock())
		r.RequestURI, r.RemoteAddr = r.URL.Path, "192.0.2.1:9"
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond) // some wait as they are told to
		defer cancel()
		out := httptest.NewRecorder()
		w.handler.ServeHTTP(out, r.WithContext(ctx))
		if out.Code >= 500 && ctx.Err() == nil {
			t.Errorf("answered %d: %s", out.Code, out.Body)
		}
	})
}
