package proof

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// allowFiles lets this process, and those that it starts, open as many files as the
// system allows, and answers how many those are.
func allowFiles(t *testing.T) int {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(limit.Max)
}

// resident answers how many bytes of memory the server has, by the kernel.
func (s *server) resident() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0 // it has ended, which others notice
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kilobytes, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.Atoi(kilobytes)
	return n << 10
}

// files answers how many files the server says it has open.
func (s *server) files() int {
	resp, err := http.Get("http://" + s.address + "/metrics")
	if err != nil {
		return 1 << 30 // not even one more
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	_, rest, _ := strings.Cut(string(text), "\nprocess_open_fds ")
	number, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 1 << 30
	}
	return int(n)
}

// watch answers a function that ends the watching and tells the most memory that the
// server had meanwhile.
func (s *server) watch() (most func() int) {
	done := make(chan struct{})
	peak := make(chan int)
	go func() {
		high := 0
		for tick := time.Tick(20 * time.Millisecond); ; {
			high = max(high, s.resident())
			select {
			case <-done:
				peak <- high
				return
			case <-tick:
			}
		}
	}()
	return func() int { close(done); return <-peak }
}

// A crowd is clients that encrypt as fast as they are answered.
type crowd struct {
	served  []time.Duration
	refused []time.Duration // with 429 or 503
	failed  error           // in another way
	took    time.Duration
}

func (c crowd) perSecond() float64 { return float64(len(c.served)) / c.took.Seconds() }

// p99 answers what 99 of 100 are below.
func p99(of []time.Duration) time.Duration {
	if len(of) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(of))[len(of)*99/100]
}

// caller makes a client of the server with connections of its own from an address.
func (s *server) caller(t *testing.T, address, id, secret string) *client.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
	c, err := client.New(client.Config{
		Endpoint: "http://" + s.address, AccessKeyID: id, AccessKeySecret: secret, Timeout: 30 * time.Second,
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// encrypt has n clients, ten of them from each address, encrypt for a time.
func (s *server) encrypt(t *testing.T, n int, length time.Duration, key string, who api.FoundedAccount) (all crowd) {
	t.Helper()
	parts := make([]crowd, n)
	clients := make([]*client.Client, n)
	var connecting, running sync.WaitGroup
	for i := range clients {
		clients[i] = s.caller(t, fmt.Sprintf("127.1.%d.%d", i/1000, 1+i/10%100), who.AccessKeyID, string(who.AccessKeySecret))
		connecting.Go(func() { parts[i].note(0, second(clients[i].WhoAmI(t.Context()))) })
	}
	connecting.Wait()
	start := time.Now()
	for i, c := range clients {
		running.Go(func() {
			for time.Since(start) < length && parts[i].failed == nil {
				before := time.Now()
				_, err := c.Encrypt(t.Context(), api.EncryptRequest{Key: key, Plaintext: []byte("thirty-two bytes of no importance")})
				parts[i].note(time.Since(before), err)
			}
		})
	}
	running.Wait()
	all.took = time.Since(start)
	for _, p := range parts {
		all.served, all.refused = append(all.served, p.served...), append(all.refused, p.refused...)
		if p.failed != nil {
			all.failed = p.failed
		}
	}
	return all
}

func second[T any](_ T, err error) error { return err }

// note notes one answer; took is 0 for one that does not count.
func (c *crowd) note(took time.Duration, err error) {
	var refusal *client.Error
	switch {
	case err == nil && took > 0:
		c.served = append(c.served, took)
	case errors.As(err, &refusal) && (refusal.Status == 429 || refusal.Status == 503):
		if took > 0 {
			c.refused = append(c.refused, took)
		}
	case err != nil:
		c.failed = err
	}
}
