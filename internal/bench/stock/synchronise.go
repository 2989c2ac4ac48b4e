package stock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/bench/node"
)

// synchronise works through the jobs of all sources and answers how each of them stands.
func synchronise(ctx context.Context, n *node.Node) ([]accesskey.Standing, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { n.Work(ctx, node.Lanes, n.Accounts.Handlers()) })
	defer running.Wait()
	defer cancel()
	for {
		all, err := n.Accounts.Standings(ctx, node.Account)
		if err != nil {
			return nil, err
		}
		done := 0
		for _, st := range all {
			if st.State.Failures > 0 {
				return nil, errors.New("synchronising " + st.Source.Name + ": " + st.State.Error)
			}
			if !st.State.SucceededAt.IsZero() {
				done++
			}
		}
		if done == len(all) {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second / 2):
		}
	}
}
