package audit

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

const (
	refusalsEach    = 20     // refused calls of one source that are recorded singly in a minute
	refusalsSources = 10_000 // sources that are told apart in a minute
	refusalsWindow  = time.Minute
)

// Refusals records calls that were refused before anything was done: their caller could
// not be authenticated, or called too often. They cost the caller nothing, so they must
// not be able to fill the disk: the first twenty of a source and kind in a minute are
// recorded one by one, the rest of that minute as one record that counts them.
type Refusals struct {
	log *Log

	mu     sync.Mutex // guards counts
	counts map[refusal]int
}

type refusal struct {
	source netip.Addr
	kind   fault.Kind
}

// NewRefusals makes a Refusals that writes to log.
func NewRefusals(log *Log) *Refusals {
	return &Refusals{log: log, counts: map[refusal]int{}}
}

// Refuse records that a call was refused because of cause and answers cause, or
// [fault.AuditUnavailable] when it could not be recorded. claimed is the access key id
// that an unknown caller named, if it is formed like one: no other text of a stranger
// may come in.
func (r *Refusals) Refuse(ctx context.Context, c *authz.Call, action, claimed string, cause error) error {
	if !r.count(c.Source, fault.KindOf(cause)) {
		return cause
	}
	rec := NewRecord(c, action)
	rec.Param("ClaimedAccessKeyId", claimed)
	rec.Result = string(fault.KindOf(cause))
	if err := r.log.Append(ctx, rec); err != nil {
		return err
	}
	return cause
}

// count counts one refusal and tells whether it is to be recorded by itself.
func (r *Refusals) count(source netip.Addr, kind fault.Kind) bool {
	if source.Is6() && !source.Is4In6() {
		source = netip.PrefixFrom(source, 64).Masked().Addr() // one customer's network
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := refusal{source, kind}
	if _, known := r.counts[key]; !known && len(r.counts) >= refusalsSources {
		key.source = netip.Addr{}
	}
	r.counts[key]++
	return r.counts[key] <= refusalsEach
}

// Run writes the summaries, once a minute and at the end.
func (r *Refusals) Run(ctx context.Context) error {
	tick := time.NewTicker(refusalsWindow)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.summarize(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
			r.summarize(ctx)
		}
	}
}

func (r *Refusals) summarize(ctx context.Context) {
	r.mu.Lock()
	counts := r.counts
	r.counts = map[refusal]int{}
	r.mu.Unlock()
	for key, n := range counts {
		if n <= refusalsEach {
			continue
		}
		rec := NewRecord(&authz.Call{Time: r.log.now(), Source: key.source}, "keyward:Authenticate")
		rec.Param("Refused", strconv.Itoa(n-refusalsEach))
		rec.Result = string(key.kind)
		_ = r.log.Append(ctx, rec) // what it counts was refused already; the next minute counts anew
	}
}
