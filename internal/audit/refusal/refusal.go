// Package refusal records, in the audit log, the calls of strangers, without letting them fill
// the disk.
package refusal

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
)

const (
	window = time.Minute
	each   = 20     // refused calls of one source and kind that are recorded singly in a window
	pairs  = 10_000 // of source and kind that are told apart in a window; others share one source
)

// A Recorder records calls that were refused before anything was done: their caller could
// not be authenticated, or called too often. They cost the caller nothing, so they must
// not be able to fill the disk: the first twenty of a source and kind in a minute are
// recorded one by one, the rest of that minute as one record that counts them.
type Recorder struct {
	log *audit.Log

	mu     sync.Mutex   // guards counts
	counts map[pair]int // of this window
}

type pair struct {
	source netip.Addr
	kind   fault.Kind
}

// New makes a Recorder that writes to log.
func New(log *audit.Log) *Recorder {
	return &Recorder{log: log, counts: map[pair]int{}}
}

// Refuse records that a call was refused because of cause and answers cause, or
// [fault.AuditUnavailable] when it could not be recorded. claimed is the access key id
// that an unknown caller named, if it is formed like one: no other text of a stranger
// may come in.
func (r *Recorder) Refuse(ctx context.Context, c *authz.Call, action, claimed string, cause error) error {
	if !r.count(c.Source, fault.KindOf(cause)) {
		return cause
	}
	rec := audit.NewRecord(c, action)
	rec.Param("ClaimedAccessKeyId", claimed)
	rec.Result = string(fault.KindOf(cause))
	if err := r.log.Append(ctx, rec); err != nil {
		return err
	}
	return cause
}

// count counts one refusal and tells whether it is to be recorded by itself.
func (r *Recorder) count(source netip.Addr, kind fault.Kind) bool {
	if source.Is6() && !source.Is4In6() {
		source = netip.PrefixFrom(source, 64).Masked().Addr() // one customer's network
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := pair{source, kind}
	if _, known := r.counts[key]; !known && len(r.counts) >= pairs {
		key.source = netip.Addr{}
	}
	r.counts[key]++
	return r.counts[key] <= each
}

// Run writes the summaries, once a minute and at the end.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(window)
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

func (r *Recorder) summarize(ctx context.Context) {
	r.mu.Lock()
	counts := r.counts
	r.counts = map[pair]int{}
	r.mu.Unlock()
	for key, n := range counts {
		if n <= each {
			continue
		}
		rec := audit.NewRecord(&authz.Call{Time: r.log.Now(), Source: key.source}, "keyward:Authenticate")
		rec.Param("Refused", strconv.Itoa(n-each))
		rec.Result = string(key.kind)
		_ = r.log.Append(ctx, rec) // what it counts was refused already; the next minute counts anew
	}
}
