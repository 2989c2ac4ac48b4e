package proof

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/config"
)

// A slowness is a way to use up a server by being slow. It begins a request; dribble is
// what it sends from time to time from then on, "" for nothing.
type slowness struct {
	name    string
	begin   string
	dribble string
}

// light ones cost the server a connection.
var light = []slowness{
	{"connects and says nothing", "", ""},
	{"sends its headers byte by byte", "GET / HTTP/1.1\r\nHost: a\r\nX: ", "x"},
	{"sends its body byte by byte", "POST /v1/crypto/encrypt HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{", " "},
	{"asks much and reads nothing", strings.Repeat("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 10), ""},
	{"asks once and stays", "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", ""},
}

// heavy ones send as much as they may before they stop.
var heavy = []slowness{
	{"sends a long URL and stops", "GET /?" + strings.Repeat("u", 60<<10), ""},
	{"sends long headers and stops", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("h", 60<<10), ""},
	{"sends a long body and stops", "POST /v1/policies HTTP/1.1\r\nHost: a\r\nContent-Length: 98304\r\n\r\n" + strings.Repeat(" ", 95<<10), ""},
}

// loiterers are slow clients at one address.
type loiterers struct {
	open    atomic.Int64 // connections
	running sync.WaitGroup
	stop    context.CancelFunc
}

// loiter sends slow clients to an address, and returns when nearly all are connected or
// 20 s have passed.
func loiter(ctx context.Context, address string, clients int, slownesses []slowness) *loiterers {
	c := &loiterers{}
	ctx, c.stop = context.WithCancel(ctx)
	for n := range clients {
		c.running.Go(func() { c.hold(ctx, address, n, slownesses[n%len(slownesses)]) })
	}
	for end := time.Now().Add(20 * time.Second); c.open.Load() < int64(clients)*9/10 && time.Now().Before(end); {
		pause(ctx, 10*time.Millisecond)
	}
	return c
}

// leave ends them all.
func (c *loiterers) leave() {
	c.stop()
	c.running.Wait()
}

// hold holds one connection, again and again, from an address of its own.
func (c *loiterers) hold(ctx context.Context, address string, n int, how slowness) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 2, byte(n/100/250), byte(1+n/100%250))}, Timeout: 5 * time.Second}
	for ctx.Err() == nil {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			pause(ctx, 100*time.Millisecond)
			continue
		}
		c.open.Add(1)
		how.hold(ctx, conn)
		c.open.Add(-1)
		_ = conn.Close() // the server may have done it
		pause(ctx, time.Second)
	}
}

// hold is slow until the server has had enough of it.
func (how slowness) hold(ctx context.Context, conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10) // what it does not read shall be the server's burden
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, how.begin); err != nil {
		return
	}
	for how.dribble != "" {
		pause(ctx, time.Second)
		if _, err := io.WriteString(conn, how.dribble); err != nil {
			return
		}
	}
	if strings.HasPrefix(how.name, "asks") {
		pause(ctx, 40*time.Second) // longer than the server lets anybody take to read
		return
	}
	_, _ = io.Copy(io.Discard, conn) // until the server hangs up
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// KEYWARD_SLOW slow clients do not keep the others from being served, and cost little.
func TestSlowClients(t *testing.T) { beside(t, size(t, "KEYWARD_SLOW", 800), light) }

// A tenth of them send as much as they can; what the server cannot keep for them it does
// not take.
func TestSlowHeavyClients(t *testing.T) { beside(t, size(t, "KEYWARD_SLOW", 800)/10, heavy) }

// beside has healthy clients work while slow ones are at a bare server on the same machine,
// and then while they are at keyward: what they cost beyond the machine's time is keyward's.
func beside(t *testing.T, clients int, slownesses []slowness) {
	length := time.Duration(size(t, "KEYWARD_SLOW_SECONDS", 4)) * time.Second
	if limit := allowFiles(t); limit < clients+500 {
		t.Fatalf("the system allows %d open files; KEYWARD_SLOW=%d needs more", limit, clients)
	}
	s := newServer(t, build(t), "")
	k, err := s.client(func(string) {}).CreateKey(t.Context(), api.CreateKeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	const healthy = 8
	work := func(length time.Duration) crowd { return s.encrypt(t, healthy, length, k.ID, s.key) }
	work(time.Second) // warms it up
	alone, files := work(length), s.files()

	slow := loiter(t.Context(), bare(t), clients, slownesses)
	elsewhere := work(length)
	slow.leave()

	most := s.watch()
	slow = loiter(t.Context(), s.address, clients, slownesses)
	held := slow.open.Load()
	busy := work(length)
	slow.leave()
	peak := most()
	t.Logf("%d slow clients held %d connections for %v; the server's memory went to %d MB", clients, held, length, peak>>20)
	t.Logf("8 healthy clients: %.0f calls a second alone (p99 %v), %.0f while the slow ones are at a bare server (p99 %v), %.0f beside them (p99 %v: %.2f times)",
		alone.perSecond(), p99(alone.served), elsewhere.perSecond(), p99(elsewhere.served), busy.perSecond(), p99(busy.served),
		float64(p99(busy.served))/float64(p99(elsewhere.served)))
	if len(slownesses) == len(light) && held < int64(min(clients, config.Default().Limits.Connections))*8/10 {
		t.Errorf("only %d slow connections were open", held)
	}
	for _, o := range []crowd{alone, elsewhere, busy} {
		if len(o.refused) > 0 || o.failed != nil {
			t.Errorf("healthy clients: %d refused, %v", len(o.refused), o.failed)
		}
	}
	// A short run on a busy machine is too short to hold twice against it.
	times, slack := time.Duration(2), 10*time.Millisecond
	if os.Getenv("KEYWARD_SLOW") == "" { // beside other tests: it finds what got much worse
		times, slack = 4, 100*time.Millisecond
	}
	if p99(busy.served) > times*p99(elsewhere.served)+slack {
		t.Errorf("healthy clients waited much longer than while the slow ones were elsewhere")
	}
	if peak > 300<<20 {
		t.Errorf("the server took %d MB", peak>>20)
	}
	for end := time.Now().Add(30 * time.Second); s.files() > files+20 && time.Now().Before(end); {
		pause(t.Context(), 50*time.Millisecond)
	}
	if left := s.files(); left > files+20 {
		t.Errorf("the server has %d files open, before there were %d", left, files)
	}
	if t.Failed() {
		t.Logf("server's log:\n%s", s.log())
	}
}
