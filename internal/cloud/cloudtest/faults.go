// Package cloudtest stands between a client and a simulated provider and does what
// networks and overloaded services do: it loses requests and answers, delays, doubles and
// refuses them. What goes wrong follows from a seed, so that a failure can be repeated.
package cloudtest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// A Fault is what happens to one request.
type Fault int

// The faults.
const (
	None       Fault = iota
	LoseBefore       // the connection breaks before the service saw the request
	LoseAfter        // the service did it, the answer is lost
	Double           // the service sees the request twice, the second answer is given
	Delay            // it takes Faults.Wait
	Error500
	Error503
	Throttle // 429 with Retry-After: 1
	Garbage  // 200 with an answer that is no answer
	kinds
)

// Faults makes a part of the requests fail. It may be used concurrently.
type Faults struct {
	Service http.Handler
	Rate    float64 // of requests that suffer a fault, 0 to 1
	Wait    time.Duration
	// Only restricts the faults to these; none means all.
	Only []Fault

	mu     sync.Mutex // guards what follows
	rand   *rand.Rand
	next   []Fault
	counts [kinds]int
}

// Seed makes what goes wrong follow from a number.
func (f *Faults) Seed(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rand = rand.New(rand.NewPCG(n, n))
}

// Next makes the next requests suffer these faults, one each, before chance decides again.
func (f *Faults) Next(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = append(f.next, faults...)
}

// Count answers how many requests suffered a fault so far.
func (f *Faults) Count(of Fault) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[of]
}

func (f *Faults) draw() (fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.counts[fault]++ }()
	if len(f.next) > 0 {
		fault, f.next = f.next[0], f.next[1:]
		return fault
	}
	if f.rand == nil || f.rand.Float64() >= f.Rate {
		return None
	}
	if len(f.Only) > 0 {
		return f.Only[f.rand.IntN(len(f.Only))]
	}
	return Fault(1 + f.rand.IntN(int(kinds)-1))
}

// ServeHTTP implements http.Handler.
func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	serve := func(w http.ResponseWriter) {
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(bytes.NewReader(body))
		f.Service.ServeHTTP(w, again)
	}
	switch f.draw() {
	case LoseBefore:
		panic(http.ErrAbortHandler) // net/http closes the connection without an answer
	case LoseAfter:
		serve(httptest.NewRecorder())
		panic(http.ErrAbortHandler)
	case Double:
		serve(httptest.NewRecorder())
		serve(w)
	case Delay:
		select {
		case <-r.Context().Done():
		case <-time.After(f.Wait):
		}
		serve(w)
	case Error500:
		http.Error(w, "internal error", http.StatusInternalServerError)
	case Error503:
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	case Throttle:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests", http.StatusTooManyRequests)
	case Garbage:
		_, _ = io.WriteString(w, "<html>\x00a proxy's page</html>") // what reads it notices
	default:
		serve(w)
	}
}
