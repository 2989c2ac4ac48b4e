package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/internal/bench/figure"
)

// A contender takes turns with others. It is a server with the requests to send it, or
// a computation to be made over and over.
type contender struct {
	name    string
	process process // whose CPU counts
	pool    *pool
	work    func() error         // instead of pool
	heap    func() (heap, error) // what the process has allocated; nil if it does not tell

	workers []func() error // each is one closed loop; a call is one request
	next    atomic.Int64   // index into the pool
	lines   []*line
	result  result
}

// A result is what came of a contender's turns.
type result struct {
	failures  int
	failure   error // of one worker, that ended its turn
	elapsed   time.Duration
	cpu       time.Duration
	heap      heap
	latencies figure.Times // of the successes
}

// forgetWarmUp forgets how fast it was, but not what failed.
func (r *result) forgetWarmUp() { *r = result{failures: r.failures} }

// patience is how long a turn may take beyond its time.
const patience = 30 * time.Second

// enter opens the connections.
func (c *contender) enter(connections int) error {
	for range connections {
		if c.work != nil {
			c.workers = append(c.workers, c.work)
			continue
		}
		l, err := dial(c.process.address)
		if err != nil {
			return fmt.Errorf("connecting to %s: %w", c.name, err)
		}
		c.lines = append(c.lines, l)
		c.workers = append(c.workers, func() error { return c.request(l) })
	}
	return nil
}

// leave closes the connections.
func (c *contender) leave() {
	for _, l := range c.lines {
		_ = l.conn.Close() // everything was answered
	}
}

// errPoolEmpty ends a turn early.
var errPoolEmpty = errors.New("every request of the pool was sent")

func (c *contender) request(l *line) error {
	i := int(c.next.Add(1)) - 1
	if i >= len(c.pool.marks) {
		return errPoolEmpty
	}
	l.out = c.pool.append(l.out[:0], i)
	_, err := l.exchange()
	return err
}

// take is one turn: every worker does one thing after the other until the time is over.
func (c *contender) take(length time.Duration) error {
	c.next.Store(0)
	for _, l := range c.lines {
		if err := l.renew(); err != nil {
			return fmt.Errorf("connecting to %s: %w", c.name, err)
		}
	}
	before, err := c.allocated()
	if err != nil {
		return err
	}
	spent, err := c.process.cpu()
	if err != nil {
		return err
	}
	start := time.Now()
	end := start.Add(length)
	for _, l := range c.lines {
		if err := l.conn.SetDeadline(end.Add(patience)); err != nil {
			return err
		}
	}
	results := make([]result, len(c.workers))
	var busy sync.WaitGroup
	for i, work := range c.workers {
		busy.Go(func() { results[i] = repeat(work, end) })
	}
	busy.Wait()
	c.result.elapsed += time.Since(start)
	total, err := c.process.cpu()
	c.result.cpu += total - spent
	after, heapErr := c.allocated()
	c.result.heap = c.result.heap.plus(after, 1).plus(before, -1)
	for _, r := range results {
		if r.failures > 0 && c.result.failures == 0 {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", c.name, r.failure)
		}
		c.result.failures += r.failures
		c.result.latencies = append(c.result.latencies, r.latencies...)
	}
	return errors.Join(err, heapErr)
}

func (c *contender) allocated() (heap, error) {
	if c.heap == nil {
		return heap{}, nil
	}
	return c.heap()
}

// repeat works until the end, or the first failure.
func repeat(work func() error, end time.Time) (r result) {
	for before := time.Now(); before.Before(end); {
		err := work()
		now := time.Now()
		if errors.Is(err, errPoolEmpty) {
			return r
		}
		if err != nil {
			r.failures, r.failure = 1, err
			return r
		}
		r.latencies = append(r.latencies, now.Sub(before))
		before = now
	}
	return r
}

// A line is one keep-alive connection.
type line struct {
	conn net.Conn
	used time.Time // when its last turn began
	in   *bufio.Reader
	out  []byte
}

func dial(address string) (*line, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return &line{conn: conn, used: time.Now(), in: bufio.NewReaderSize(conn, 8<<10)}, nil
}

// renew connects anew where the others' turns took so long that a server may have hung up.
func (l *line) renew() error {
	if time.Since(l.used) < idle {
		l.used = time.Now()
		return nil
	}
	next, err := dial(l.conn.RemoteAddr().String())
	if err != nil {
		return err
	}
	_ = l.conn.Close() // everything was answered
	l.conn, l.used, l.in = next.conn, next.used, next.in
	return nil
}

// idle is how long a connection may rest: servers drop those that say nothing.
const idle = 4 * time.Second

// exchange sends out and answers the size of the body that came back.
func (l *line) exchange() (int, error) {
	if _, err := l.conn.Write(l.out); err != nil {
		return 0, err
	}
	return readAnswer(l.in)
}

// readAnswer reads one HTTP answer, which must be a success with a Content-Length, and
// answers the size of its body.
func readAnswer(in *bufio.Reader) (int, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, fmt.Errorf("reading the status line: %w", err)
	}
	success := bytes.HasPrefix(line, []byte("HTTP/1.1 200 "))
	status := ""
	if !success {
		status = string(bytes.TrimSpace(line))
	}
	size := -1
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, fmt.Errorf("reading the headers: %w", err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			break
		}
		const name = "Content-Length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if size, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil || size < 0 {
				return 0, fmt.Errorf("the Content-Length %q is no size", line)
			}
		}
	}
	if size < 0 {
		return 0, errors.New("the answer has no Content-Length")
	}
	if !success {
		body, err := io.ReadAll(io.LimitReader(in, int64(size)))
		return 0, errors.Join(fmt.Errorf("%s: %s", status, body), err)
	}
	_, err = in.Discard(size)
	return size, err
}

// answerSize sends one request and answers the size of the answer's body.
func answerSize(p *pool, address string) (int, error) {
	p.sign(0)
	l, err := dial(address)
	if err != nil {
		return 0, err
	}
	defer l.conn.Close()
	l.out = p.append(nil, 0)
	return l.exchange()
}
