package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

const tableHead = `| operation | connections | server | requests/s | of A | of B | of the primitive | CPU µs/request | CPU of A | allocations | KB | p50 ms | p99 ms | errors |
|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
`

// printRows prints how the contenders fared and answers how many requests failed.
func printRows(w io.Writer, operation string, connections int, field []*contender) (failures int) {
	rate, cost := map[string]float64{}, map[string]float64{}
	for _, c := range field {
		rate[c.name] = c.result.rate()
		cost[c.name] = c.result.cost()
	}
	for _, c := range field {
		r := c.result
		failures += r.failures
		slices.Sort(r.latencies)
		fmt.Fprintf(w, "| %s | %d | %s | %.0f | %s | %s | %s | %.1f | %s | %s | %s | %.2f | %.2f | %d |\n",
			operation, connections, c.name, r.rate(), ratio(r.rate(), rate[limitA]), ratio(r.rate(), rate[limitB]), ratio(r.rate(), rate[primitiveName]),
			r.cost(), ratio(r.cost(), cost[limitA]), apiece(r.heap.objects, len(r.latencies)), apiece(r.heap.bytes/1000, len(r.latencies)), milliseconds(r.quantile(0.5)), milliseconds(r.quantile(0.99)), r.failures)
	}
	return failures
}

// rate answers requests per second.
func (r result) rate() float64 {
	if r.elapsed == 0 {
		return 0
	}
	return float64(len(r.latencies)) / r.elapsed.Seconds()
}

// cost answers microseconds of CPU per request.
func (r result) cost() float64 {
	if len(r.latencies) == 0 {
		return 0
	}
	return float64(r.cpu.Microseconds()) / float64(len(r.latencies))
}

// quantile answers the latency that q of the requests do not exceed. The latencies are sorted.
func (r result) quantile(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(len(r.latencies)-1, int(q*float64(len(r.latencies))))]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ratio answers a to b, or a dash where there is no b.
func ratio(a, b float64) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}

// apiece answers how much of total one of n requests took, or a dash where it is not known.
func apiece(total float64, n int) string {
	if total == 0 || n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", total/float64(n))
}
