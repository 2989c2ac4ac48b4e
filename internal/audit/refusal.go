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

// Refusals records calls whose caller could not be authenticated. They cost a stranger
// nothing, so that they must not be able to fill the disk: the first twenty of a source
// in a minute are recorded one by one, the rest of that minute as one record that counts
// them.
type Refusals struct {
	log *Log

	mu     sync.Mutex // guards counts
	counts map[netip.Addr]int
}

// NewRefusals makes a Refusals that writes to log.
func NewRefusals(log *Log) *Refusals {
	return &Refusals{log: log, counts: map[netip.Addr]int{}}
}

// Refuse records that a call was refused because of cause and answers cause, or
// [fault.AuditUnavailable] when it could not be recorded. claimed is the access key id
// that the caller named, if it is formed like one: no other text of a stranger may come in.
func (r *Refusals) Refuse(ctx context.Context, c *authz.Call, action, claimed string, cause error) error {
	source := c.Source
	if source.Is6() && !source.Is4In6() {
		source = netip.PrefixFrom(source, 64).Masked().Addr() // one customer's network
	}
	r.mu.Lock()
	if _, known := r.counts[source]; !known && len(r.counts) >= refusalsSources {
		source = netip.Addr{}
	}
	r.counts[source]++
	singly := r.counts[source] <= refusalsEach
	r.mu.Unlock()
	if !singly {
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
	r.counts = map[netip.Addr]int{}
	r.mu.Unlock()
	for source, n := range counts {
		if n <= refusalsEach {
			continue
		}
		rec := NewRecord(&authz.Call{Time: r.log.now(), Source: source}, "keyward:Authenticate")
		rec.Param("Refused", strconv.Itoa(n-refusalsEach))
		rec.Result = string(fault.SignatureMismatch)
		_ = r.log.Append(ctx, rec) // what it counts was refused already; the next minute counts anew
	}
}
