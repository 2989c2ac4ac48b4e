package agentapi

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/authn"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rollout"
)

const (
	maxWait  = 60               // seconds
	answerIn = 20 * time.Second // once an agent does not wait any more
	slack    = 30 * time.Second // of a connection beyond the time that its agent waits
)

// A holding is what an agent has of one rollout. Agents that wait keep a list of them, which
// takes a quarter of the memory of a map.
type holding struct {
	rollout    string
	generation int64
}

type holdings []holding

func (h holdings) of(rollout string) int64 {
	for _, held := range h {
		if held.rollout == rollout {
			return held.generation
		}
	}
	return 0
}

// watch answers an agent when there is something new for it, or its time is over.
func (d *Dialect) watch(v visit) (any, error) {
	g, err := d.identify(v)
	if err != nil {
		return nil, err
	}
	have, wait, err := v.readWatch()
	if err != nil {
		return nil, err
	}
	s, err := d.room.enter(g.Account, g.Name)
	if err != nil {
		return nil, err
	}
	defer d.room.leave(s)
	if wait > 0 { // those that came at once do not all come again at once
		wait -= time.Duration(below(1+int(wait/5/time.Millisecond))) * time.Millisecond
	}
	keep := http.NewResponseController(v.w)
	until := time.Now().Add(wait)
	_, _ = keep.SetReadDeadline(until.Add(slack)), keep.SetWriteDeadline(until.Add(slack)) // what has none needs none
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for over := wait == 0; ; {
		out, news, err := d.look(v.r.Context(), &g, have, until)
		if err != nil || news || over {
			return out, err
		}
		select {
		case <-v.r.Context().Done():
			return nil, v.r.Context().Err()
		case <-timer.C:
			over = true
		case _, mine := <-s.wake:
			if !mine && d.room.isClosed() {
				return nil, errClosing
			}
			over = !mine
		}
	}
}

// readWatch reads a WatchRequest.
func (v visit) readWatch() (holdings, time.Duration, error) {
	var in delivery.WatchRequest
	if err := v.decode(&in); err != nil {
		return nil, 0, err
	}
	if in.Wait < 0 || in.Wait > maxWait {
		return nil, 0, fault.InvalidParameter.New("waitSeconds is 0 to %d", maxWait)
	}
	have := make(holdings, 0, len(in.Have))
	for name, generation := range in.Have {
		if generation < 0 || len(name) > rollout.MaxName {
			return nil, 0, fault.InvalidParameter.New("have names generations by rollout")
		}
		have = append(have, holding{name, generation})
	}
	return have, time.Duration(in.Wait) * time.Second, nil
}

// look answers what there is for a node now, and whether that is anything new. It waits for
// its turn before, until then or a little longer.
func (d *Dialect) look(ctx context.Context, g *guest, have holdings, until time.Time) (*delivery.WatchAnswer, bool, error) {
	end, err := d.room.turn(ctx, until)
	if err != nil {
		return nil, false, err
	}
	defer end()
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	n, err := d.Rollouts.Known(ctx, g.Account, g.Name)
	if fault.Is(err, fault.ResourceNotFound) || err == nil && !bytes.Equal(n.SignKey, g.SignKey) { // it was removed, or is somebody else
		_, err = authn.VerifyNode(authn.NodeRequest{At: d.Now().Format(time.RFC3339)}, nil, d.Now())
	}
	if err != nil {
		return nil, false, err
	}
	g.Node = n
	due, member, err := d.Rollouts.Due(ctx, n, have.of)
	if err != nil {
		return nil, false, err
	}
	out := &delivery.WatchAnswer{Bundles: []delivery.Bundle{}, Rollouts: member, Now: d.Now().UTC()}
	if out.Rollouts == nil {
		out.Rollouts = []string{}
	}
	for _, one := range due {
		b, err := d.seal(ctx, g, one)
		if fault.Is(err, fault.AuditUnavailable) {
			return nil, false, err
		}
		if err != nil { // its key is disabled, or its secret about to be deleted: the others need not wait
			continue
		}
		out.Bundles = append(out.Bundles, b)
	}
	return out, len(out.Bundles) > 0 || have.beyond(member), nil
}

// beyond tells whether there is something that the node is to have no more.
func (h holdings) beyond(member []string) bool {
	left := len(h)
	for _, name := range member {
		for _, held := range h {
			if held.rollout == name {
				left--
			}
		}
	}
	return left > 0
}

// seal opens what is due to a node and seals it to the node's key.
func (d *Dialect) seal(ctx context.Context, g *guest, due rollout.Due) (delivery.Bundle, error) {
	b, err := d.Rollouts.Deliver(ctx, g.call, due)
	if err != nil {
		return delivery.Bundle{}, err
	}
	defer b.Erase()
	out := delivery.Bundle{Rollout: b.Rollout, Generation: b.Generation.Number}
	seal := func(version string, value material.Bytes) (delivery.Sealed, error) {
		sealed, err := material.SealTo(g.SealKey, delivery.SealedInfo(g.Account, b.Rollout, g.Name, version), value)
		return delivery.Sealed{Version: version, Value: sealed}, err
	}
	if out.Primary, err = seal(b.Generation.Primary, b.Primary); err != nil {
		return delivery.Bundle{}, err
	}
	if b.Generation.Fallback != "" {
		out.Fallback, err = seal(b.Generation.Fallback, b.Fallback)
	}
	return out, err
}

// recognize answers the token with a text, and erases the text.
func (d *Dialect) recognize(ctx context.Context, text api.SecretText) (rollout.Token, error) {
	b := material.NewBytes([]byte(text))
	defer b.Zero()
	return d.Rollouts.Recognize(ctx, b)
}
