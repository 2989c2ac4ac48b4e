package abuse

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api"
)

// number reads a size of a campaign from the environment.
func number(t *testing.T, name string, short int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(short)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// seed answers KEYWARD_SEED, or a new one.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(number(t, "KEYWARD_SEED", int(time.Now().UnixNano())))
	t.Logf("seed %d: KEYWARD_SEED=%d makes the same requests again", n, n)
	return n
}

const (
	senders = 32
	rounds  = 10  // after each the rows are compared
	enough  = 20  // findings
	every   = 100 // requests there is a good one
)

// A campaign is one run over one world.
type campaign struct {
	*world
	t     *testing.T
	codes codes
	ops   []operation

	mu       sync.Mutex // guards what follows
	findings int
	seen     map[string]int // how often each operation and each poison came
	statuses map[int]int
	hungUp   int
}

// TestAbuse sends KEYWARD_REQUESTS bad requests.
func TestAbuse(t *testing.T) {
	total, from := number(t, "KEYWARD_REQUESTS", 6_000), seed(t)
	before := goroutines()
	w := newWorld(t)
	c := &campaign{world: w, t: t, codes: documentedCodes(t), ops: operations(t), seen: map[string]int{}, statuses: map[int]int{}}
	files := w.files(t)
	start := time.Now()
	for round := range rounds {
		rows := w.rows(t)
		c.round(from, uint64(round), total/rounds)
		if diff := gocmp.Diff(rows, w.rows(t)); diff != "" {
			c.find("round %d changed the database (-before +after):\n%s", round, diff)
		}
		if c.findings > 0 {
			break
		}
	}
	took := time.Since(start)
	t.Logf("%d bad requests in %v, %.0f a second; statuses %v, %d hung up; %d operations and poisons", total, took.Round(time.Millisecond), float64(total)/took.Seconds(), c.statuses, c.hungUp, len(c.seen))
	if diff := gocmp.Diff(files, w.files(t), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("there are other files than before (-before +after):\n%s", diff)
	}
	c.checkCoverage(total)
	w.log.check(t)
	c.checkSources()
	c.everythingWorks()
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(10 * time.Second); goroutines() > before+5 && time.Now().Before(end); {
		runtime.Gosched()
		time.Sleep(10 * time.Millisecond) // goroutines end on their own time; there is nothing to wait on
	}
	if after := goroutines(); after > before+5 {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after:\n%s", before, after, stacks[:runtime.Stack(stacks, true)])
	}
}

func goroutines() int { return runtime.NumGoroutine() }

func (c *campaign) find(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.findings++; c.findings <= enough {
		c.t.Errorf(format, args...)
	}
}

// round sends n requests at once over many connections.
func (c *campaign) round(from, round uint64, n int) {
	var running sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	for i := range uint64(senders) {
		running.Go(func() {
			g := newGenerator(c.world, c.ops, from, round*senders+i)
			lines := map[string]*line{}
			for _, d := range []string{rpcDialect, restDialect, operatorDialect} {
				lines[d] = &line{w: c.world, dialect: d}
				defer lines[d].close()
			}
			for sent := 0; left.Add(-1) >= 0 && c.fine(); sent++ {
				c.bad(g, lines, fmt.Sprintf("round %d sender %d request %d", round, i, sent))
				if sent%every == 0 {
					c.good(g)
				}
			}
		})
	}
	running.Wait()
}

func (c *campaign) fine() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.findings < enough
}

// bad makes one bad request, sends it and looks at the answer.
func (c *campaign) bad(g *generator, lines map[string]*line, place string) {
	op := pick(g, g.ops...)
	r := c.valid(op, g)
	var how, sent string
	raw := false
	method := ""
	switch {
	case g.chance(0.04):
		s := pick(g, spoilings...)
		m := r.message(c.api)
		how, sent, raw = s.name, s.do(g, string(m.bytes())), true
	case op.dialect != operatorDialect && g.chance(0.15):
		m := r.message(c.api)
		tamper := pick(g, tamperings...)
		for !tamper.do(g, &m) {
			m, tamper = r.message(c.api), pick(g, tamperings...)
		}
		how, sent, method = tamper.name, string(m.bytes()), m.method
	default:
		how = c.poison(g, op, &r)
		m := r.message(c.api)
		sent, method = string(m.bytes()), m.method
	}
	a, err := lines[op.dialect].exchange(method, sent, !raw)
	c.count(op, how, a, err)
	if err != nil {
		if !hungUp(err) || !raw && len(sent) < 32<<10 {
			c.find("%s, %s of %s %s: %v\n%s", place, how, op.dialect, op.name, err, describe(sent))
		}
		return
	}
	if err := c.codes.check(op.dialect, method, raw || len(sent) > 64<<10, a); err != nil {
		c.find("%s, %s of %s %s: %v\n%s\n%d %v %.1000s", place, how, op.dialect, op.name, err, describe(sent), a.status, a.header, a.body)
	}
	for _, secret := range []string{c.root.secret, c.nobody.secret, c.foreign.secret} {
		if strings.Contains(a.body, secret) {
			c.find("%s, %s of %s %s: the answer holds a secret:\n%s\n%s", place, how, op.dialect, op.name, describe(sent), a.body)
		}
	}
}

// poison poisons a valid request, and changes what else is in it now and then.
func (c *campaign) poison(g *generator, op operation, r *request) string {
	if g.chance(0.3) {
		for _, list := range [][]pair{r.query, r.form} {
			if len(list) > 0 {
				list[g.IntN(len(list))].value = g.odd()
			}
		}
	}
	for {
		changed := *r
		changed.query, changed.form, changed.members = slices.Clone(r.query), slices.Clone(r.form), slices.Clone(r.members)
		p := pick(g, poisons...)
		if p.do(g, &changed) {
			*r = changed
			return p.name
		}
	}
}

func (c *campaign) count(op operation, how string, a answer, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[op.dialect+" "+op.name]++
	c.seen[how]++
	if err != nil {
		c.hungUp++
	} else {
		c.statuses[a.status]++
	}
}

// good encrypts and decrypts, as if nothing else went on.
func (c *campaign) good(g *generator) {
	cl := c.clients[c.root]
	plain := []byte(g.nonce())
	sealed, err := cl.Encrypt(c.t.Context(), api.EncryptRequest{Key: c.names["key"], Plaintext: plain})
	if err == nil {
		var out api.Decrypted
		out, err = cl.Decrypt(c.t.Context(), api.DecryptRequest{Ciphertext: sealed.Ciphertext})
		if err == nil && string(out.Plaintext) != string(plain) {
			err = fmt.Errorf("another plaintext came back")
		}
	}
	if err != nil {
		c.find("a good request among the bad: %v", err)
	}
}

func (c *campaign) checkCoverage(total int) {
	if total < 5000 {
		return
	}
	for _, op := range c.ops {
		if c.seen[op.dialect+" "+op.name] == 0 {
			c.t.Errorf("%s %s was never tried", op.dialect, op.name)
		}
	}
	for _, name := range slices.Concat(namesOf(poisons, func(p poison) string { return p.name }), namesOf(tamperings, func(p tampering) string { return p.name }), namesOf(spoilings, func(p spoiling) string { return p.name })) {
		if c.seen[name] == 0 {
			c.t.Errorf("%s was never tried", name)
		}
	}
}

func namesOf[T any](list []T, name func(T) string) (out []string) {
	for _, x := range list {
		out = append(out, name(x))
	}
	return out
}

// checkSources looks whether anybody talked the server into another address or name.
func (c *campaign) checkSources() {
	records, err := c.clients[c.root].ListAuditRecords(c.t.Context(), api.ListAuditRecordsRequest{Limit: 1000})
	if err != nil {
		c.t.Fatal(err)
	}
	sources := map[string]bool{}
	for _, r := range records.Records {
		if r.Scheme != "operator-socket" && r.Scheme != "job" { // which come from no address
			sources[r.Source] = true
		}
		for _, text := range append(slices.Collect(maps.Values(r.Params)), r.UserAgent, r.Resource, r.Version) {
			if strings.Contains(text, c.root.secret) {
				c.t.Errorf("the record %d holds a secret", r.Seq)
			}
		}
	}
	if diff := gocmp.Diff(map[string]bool{"127.0.0.1": true}, sources); diff != "" {
		c.t.Errorf("sources of the newest records (-want +got):\n%s", diff)
	}
}

// everythingWorks makes the valid request of every operation. It shows, too, that what
// was refused before was refused for its poison.
func (c *campaign) everythingWorks() {
	g := newGenerator(c.world, c.ops, 1, math.MaxUint64) // no sender has that stream: a nonce serves once
	for _, op := range c.ops {
		r := c.valid(op, g)
		m := r.message(c.api)
		l := &line{w: c.world, dialect: op.dialect}
		a, err := l.exchange(m.method, string(m.bytes()), true)
		l.close()
		if err != nil || (a.status < 300) == op.refused {
			c.t.Errorf("the valid request of %s %s: %v\n%s\n%d %s", op.dialect, op.name, err, describe(string(m.bytes())), a.status, a.body)
		}
	}
}
