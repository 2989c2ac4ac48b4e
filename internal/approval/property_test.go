package approval_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/iam"
)

var everybody = []string{"alice", "bob", "carol", "dave"}

// A model is what must be so of approvals, kept beside the services by simpler means.
type model struct {
	w       *world
	need    int
	among   []string           // approvers
	version int                // of the rule
	users   map[string]int     // version of each user
	asked   map[string]*asking // by id
	newest  string
	remarks int // requests that were made
}

// An asking is one approval request.
type asking struct {
	by, text string
	version  int            // of the rule
	votes    map[string]int // version of the user who approved
	ended    bool           // used or rejected
	expires  time.Time
}

// counts answers how many distinct others have approved, whose approval still counts.
func (m *model) counts(a *asking) (n int) {
	for who, version := range a.votes {
		if who != a.by && version == m.users[who] && slices.Contains(m.among, who) {
			n++
		}
	}
	return n
}

// holds tells whether an approval lets its request through.
func (m *model) holds(a *asking) bool {
	return !a.ended && a.version == m.version && m.w.now().Before(a.expires) && m.counts(a) >= m.need
}

// Whatever is done in whatever order, on two nodes of which one hears of no change: a request
// that a rule binds is performed only with as many distinct others as the rule wants, and once.
func TestApprovalsHold(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{w: w, users: map[string]int{}, asked: map[string]*asking{}}
		m.set(t, rapid.IntRange(1, 2).Draw(rt, "need"))
		deaf := w.deaf()
		must(deaf.For(t.Context(), w.root().Principal))(t) // it has the rule in memory now
		actions := map[string]func(*rapid.T){
			"ask": func(rt *rapid.T) {
				if m.remarks++; m.remarks%3 == 0 { // few at once, so that something becomes of them
					return
				}
				m.ask(rt, t, rapid.SampledFrom(everybody).Draw(rt, "by"), fmt.Sprint(w.now().UnixNano(), " ", m.remarks))
			},
			"again": func(rt *rapid.T) {
				if _, a := m.pick(rt); a != nil {
					m.ask(rt, t, a.by, a.text)
				}
			},
			"approve": func(rt *rapid.T) {
				id, a := m.pick(rt)
				if a == nil {
					return
				}
				who := rapid.SampledFrom(everybody).Draw(rt, "who")
				_, err := w.Approve(t.Context(), w.login(t, who), id)
				voted, again := a.votes[who]
				may := who != a.by && slices.Contains(m.among, who) && !(again && voted == m.users[who]) && !a.ended && a.version == m.version && w.now().Before(a.expires)
				// A rule that was changed may name others, who still cannot decide about it.
				if (err == nil) != may {
					rt.Fatalf("%s approves what %s wants: %v, want %t", who, a.by, err, may)
				}
				if err == nil {
					a.votes[who] = m.users[who]
				}
			},
			"all approve": func(rt *rapid.T) {
				id, a := m.pick(rt)
				for _, who := range m.among {
					if a == nil {
						return
					}
					if _, err := w.Approve(t.Context(), w.login(t, who), id); err == nil {
						a.votes[who] = m.users[who]
					}
				}
			},
			"reject": func(rt *rapid.T) {
				id, a := m.pick(rt)
				if a == nil || rapid.IntRange(0, 3).Draw(rt, "rarely") > 0 {
					return
				}
				if _, err := w.Reject(t.Context(), w.login(t, rapid.SampledFrom(m.among).Draw(rt, "who")), id); err == nil {
					a.ended = true
				}
			},
			"use": func(rt *rapid.T) {
				id, a := m.pick(rt)
				if a == nil {
					return
				}
				r := remark{text: a.text, id: id}
				if rapid.Bool().Draw(rt, "deaf") {
					r.node = deaf
				}
				if rapid.IntRange(0, 4).Draw(rt, "altered") == 0 {
					r.text += "!"
				}
				by := rapid.SampledFrom(append(slices.Repeat([]string{a.by}, 4), everybody...)).Draw(rt, "by")
				err := w.try(t, w.user(t, by), r)
				if err != nil && m.holds(a) && by == a.by && r.text == a.text && r.node == nil {
					rt.Fatalf("what was approved is refused: %v", err)
				}
				if err == nil && (!m.holds(a) || by != a.by || r.text != a.text) {
					rt.Fatalf("performed by %s (asked by %s) with %d of %d approvals: %+v", by, a.by, m.counts(a), m.need, a)
				}
				if err == nil {
					a.ended = true
				}
			},
			"change a user": func(rt *rapid.T) {
				who, off, on := rapid.SampledFrom(everybody).Draw(rt, "who"), false, true
				must(w.iam.UpdateUser(t.Context(), w.root(), who, iam.UserChange{Enabled: &off}))(t)
				must(w.iam.UpdateUser(t.Context(), w.root(), who, iam.UserChange{Enabled: &on}))(t)
				m.users[who]++
			},
			"change the rule": func(rt *rapid.T) {
				m.set(t, rapid.IntRange(1, 2).Draw(rt, "need"))
			},
			"time passes": func(rt *rapid.T) {
				w.advance(time.Duration(rapid.IntRange(1, 25).Draw(rt, "minutes")) * time.Minute)
			},
		}
		for range rapid.IntRange(8, 25).Draw(rt, "steps") {
			actions[rapid.SampledFrom([]string{"ask", "again", "approve", "all approve", "all approve", "use", "use", "use", "reject", "change a user", "change the rule", "time passes"}).Draw(rt, "action")](rt)
		}
		for id, a := range m.asked { // the next sequence begins anew
			if !a.ended {
				_, _ = w.Reject(t.Context(), w.user(t, a.by), id)
			}
		}
	})
}

// set changes the rule.
func (m *model) set(t *testing.T, need int) {
	m.need, m.among = need, []string{"alice", "bob", "carol"}
	m.version++
	m.w.rule(t, func(x *approval.Terms) { x.Need, x.Life = need, time.Hour })
}

// pick answers one of the approval requests, nil if there is none.
func (m *model) pick(rt *rapid.T) (string, *asking) {
	if len(m.asked) == 0 {
		return "", nil
	}
	id := m.newest
	if rapid.IntRange(0, 3).Draw(rt, "older") == 0 {
		id = rapid.SampledFrom(slices.Sorted(maps.Keys(m.asked))).Draw(rt, "id")
	}
	return id, m.asked[id]
}

// ask sends a request without naming an approval, which must never be performed.
func (m *model) ask(rt *rapid.T, t *testing.T, by, text string) {
	err := m.w.try(t, m.w.user(t, by), remark{text: text})
	if fault.Is(err, fault.LimitExceeded) {
		return
	}
	id := approval.IDOf(err)
	if id == "" {
		rt.Fatalf("%s was not asked for an approval: %v", by, err)
	}
	if a := m.asked[id]; a == nil {
		m.asked[id] = &asking{by: by, text: text, version: m.version, votes: map[string]int{}, expires: m.w.now().Add(time.Hour)}
		m.newest = id
	} else if a.ended || a.by != by || a.text != text || a.version != m.version {
		rt.Fatalf("asking for %q by %s is answered by %+v", text, by, a)
	}
}

// Where an approval request stands follows from what is, and from the first thing that ended it.
func TestStanding(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rules := map[string]approval.Rule{"a": {Rev: 1}, "b": {Rev: 7}}
	vote := func(names ...string) (out []approval.Vote) {
		for _, name := range names {
			out = append(out, approval.Vote{User: name})
		}
		return out
	}
	for _, c := range []struct {
		name   string
		change func(*approval.Request)
		want   approval.State
	}{
		{"nobody", func(*approval.Request) {}, approval.Open},
		{"one rule's", func(r *approval.Request) { r.Votes = vote("ann") }, approval.Open},
		{"each rule's", func(r *approval.Request) { r.Votes = vote("ann", "bo") }, approval.Approved},
		{"one for both", func(r *approval.Request) { r.Votes = vote("cy", "bo") }, approval.Approved},
		{"twice the same", func(r *approval.Request) { r.Votes = vote("cy", "cy") }, approval.Open},
		{"without force", func(r *approval.Request) { r.Votes = vote("ann", "gone") }, approval.Open},
		{"of who asked", func(r *approval.Request) { r.Votes, r.Behind = vote("ann", "bo"), "acs:ram::1:user/BO" }, approval.Open},
		{"of another account's who asked", func(r *approval.Request) { r.Votes, r.Behind = vote("ann", "bo"), "acs:ram::2:user/bo" }, approval.Approved},
		{"a rule changed", func(r *approval.Request) { r.Votes, r.Wants[0].Rev = vote("ann", "bo"), 2 }, approval.Void},
		{"a rule gone", func(r *approval.Request) { r.Votes, r.Wants[0].Rule = vote("ann", "bo"), "z" }, approval.Void},
		{"late", func(r *approval.Request) { r.Votes, r.ExpiresAt = vote("ann", "bo"), now }, approval.Lapsed},
		{"rejected", func(r *approval.Request) { r.Votes, r.State = vote("ann", "bo"), approval.Rejected }, approval.Rejected},
		{"used", func(r *approval.Request) { r.State, r.ExpiresAt = approval.Used, now }, approval.Used},
	} {
		r := approval.Request{Account: "1", State: approval.Open, ExpiresAt: now.Add(1), Behind: "acs:ram::1:user/dan", Wants: []approval.Want{
			{Rule: "a", Rev: 1, Need: 1, Approvers: []string{"ann", "cy", "dan"}}, {Rule: "b", Rev: 7, Need: 1, Approvers: []string{"bo", "cy2", "gone"}},
		}}
		c.change(&r)
		if have := r.Standing(now, rules, func(v approval.Vote) bool { return v.User != "gone" }); have != c.want {
			t.Errorf("%s: %s, want %s", c.name, have, c.want)
		}
	}
}
