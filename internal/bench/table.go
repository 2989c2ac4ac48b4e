package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/keyward/keyward/internal/bench/figure"
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
			operation, connections, c.name, r.rate(), figure.Ratio(r.rate(), rate[limitA]), figure.Ratio(r.rate(), rate[limitB]), figure.Ratio(r.rate(), rate[primitiveName]),
			r.cost(), figure.Ratio(r.cost(), cost[limitA]), apiece(r.heap.objects, len(r.latencies)), apiece(r.heap.bytes/1000, len(r.latencies)), figure.Milliseconds(r.latencies.Quantile(0.5)), figure.Milliseconds(r.latencies.Quantile(0.99)), r.failures)
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

// apiece answers how much of total one of n requests took, or a dash where it is not known.
func apiece(total float64, n int) string {
	if total == 0 || n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", total/float64(n))
}
