// Package fleet measures what many connected agents and many rotations cost one server.
//
// [Agents] connects light agents (package agenttest), each from an address and over a
// connection of its own, to a server that is another process, so that what a waiting agent
// takes there can be told apart. It publishes generations and waits until every agent has
// opened its values and has proved that it uses them.
//
// [Rotations] makes plans for keys of simulated payment platforms (package paysim), which
// limit no rate, lets all of them be due in the same second, and works them off as package
// app does, until every old key is deleted. The platforms and what replaces their keys are in
// this process, below the API.
//
// Beside both, a few loops encrypt at a steady rate, and what they wait is held against what
// they wait when nothing else is done.
//
// Only command bench calls it. Nothing of it is part of the product.
package fleet

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/bench/figure"
)

const (
	loops = 4                     // that encrypt in the foreground
	pause = 10 * time.Millisecond // of each of them after an answer
	alone = 5 * time.Second       // of encrypting, with nothing else done
)

// calls are what came of calls: how long each took, and the errors of those that failed.
type calls struct {
	took   figure.Times
	failed []error
}

// beside makes calls at a steady rate while something else is done.
func beside(ctx context.Context, call func(context.Context) error, meanwhile func() error) (out calls, err error) {
	done := make(chan struct{})
	each := make([]calls, loops)
	var running sync.WaitGroup
	for i := range each {
		running.Go(func() { each[i] = repeat(ctx, call, done) })
	}
	err = meanwhile()
	close(done)
	running.Wait()
	for _, c := range each {
		out.took = append(out.took, c.took...)
		out.failed = append(out.failed, c.failed...)
	}
	if len(out.failed) > 0 {
		fmt.Fprintln(os.Stderr, "the first call that failed:", out.failed[0])
	}
	slices.Sort(out.took)
	return out, err
}

// repeat calls, at least once, until it is to end.
func repeat(ctx context.Context, call func(context.Context) error, done <-chan struct{}) (out calls) {
	for {
		begun := time.Now()
		if err := call(ctx); err != nil {
			out.failed = append(out.failed, err)
		}
		out.took = append(out.took, time.Since(begun))
		select {
		case <-done:
			return out
		case <-ctx.Done():
			return out
		case <-time.After(pause):
		}
	}
}

// idly is what is done meanwhile when calls have the server for themselves.
func idly(ctx context.Context, d time.Duration) func() error {
	return func() error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const foregroundHead = `
| database | Encrypt | calls | p50 ms | p99 ms | longest ms | failed |
|---|---|--:|--:|--:|--:|--:|
`

// row prints how calls fared.
func (c calls) row(database, what string) string {
	return fmt.Sprintf("| %s | %s | %d | %.2f | %.2f | %.2f | %d |\n", database, what, len(c.took),
		figure.Milliseconds(c.took.Quantile(0.5)), figure.Milliseconds(c.took.Quantile(0.99)), figure.Milliseconds(c.took.Quantile(1)), len(c.failed))
}
