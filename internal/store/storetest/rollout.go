package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/rollout"
)

// A Fleet is all that package rollout needs of a store.
type Fleet interface {
	rollout.Tokens
	rollout.Registry
	rollout.Plans
	rollout.Reports
}

// Rollout holds a store against the contracts of package rollout. open answers two nodes of
// one database: each test makes things in an account of its own.
func Rollout(t *testing.T, open func(t *testing.T) [2]Fleet) {
	for name, test := range map[string]func(*testing.T, fleetSuite){
		"tokens":                      testTokens,
		"nodes":                       testNodes,
		"a token used in a race":      testRacingJoins,
		"rollouts":                    testPlans,
		"generations of removed ones": testGenerations,
		"reports":                     testReports,
		"words of a former node":      testFormerWords,
		"words in any order":          testWordsInAnyOrder,
	} {
		t.Run(name, func(t *testing.T) {
			nodes := open(t)
			test(t, fleetSuite{nodes[0], nodes, accountID()})
		})
	}
}

type fleetSuite struct {
	Fleet
	nodes   [2]Fleet // the first is Fleet
	account string
}

func (s fleetSuite) rec(action string) *audit.Record {
	return audit.NewRecord(&authz.Call{Principal: authz.Principal{Account: s.account, Kind: authz.Root, Name: "root"}, Time: day}, "keyward:"+action)
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("have %v, want the fault %s", err, kind)
	}
}

func (s fleetSuite) token(t *testing.T, id string, uses int) *rollout.Token {
	t.Helper()
	k := &rollout.Token{
		Account: s.account, ID: id, Hash: []byte{0, 1}, Node: "n", Labels: []form.Pair{{Name: "a", Value: "<&\u2028"}}, Uses: uses, ExpiresAt: day.Add(time.Hour), CreatedAt: day,
	}
	ok(t, s.CreateToken(t.Context(), s.rec("CreateNodeToken"), k, nil))
	return k
}

func (s fleetSuite) node(name string) *rollout.Node {
	return &rollout.Node{
		Account: s.account, Name: name, Kind: rollout.Agent, Labels: []form.Pair{{Name: "a", Value: "1"}}, SignKey: []byte{1}, SealKey: []byte{2, 0}, Token: "t", JoinedAt: day,
	}
}

// join stores a node as if it had joined.
func (s fleetSuite) join(t *testing.T, name string) *rollout.Node {
	t.Helper()
	k, n := s.token(t, "of-"+name, 1), s.node(name)
	k.Uses = 0
	ok(t, s.Join(t.Context(), s.rec("JoinNode"), k, n))
	return n
}

func testTokens(t *testing.T, s fleetSuite) {
	ctx := t.Context()
	first := s.token(t, "1", 3)
	have, err := s.Token(ctx, s.account, "1")
	ok(t, err)
	same(t, have, *first)
	second := &rollout.Token{Account: s.account, ID: "2", Hash: []byte{2}, CreatedAt: day.Add(time.Second)}
	ok(t, s.CreateToken(ctx, s.rec("CreateNodeToken"), second, nil))
	all, err := s.Tokens(ctx, s.account)
	ok(t, err)
	same(t, all, []rollout.Token{*second, *first})
	third := &rollout.Token{Account: s.account, ID: "3", Hash: []byte{3}, CreatedAt: day.Add(time.Minute)}
	ok(t, s.CreateToken(ctx, s.rec("CreateNodeToken"), third, []rollout.Token{*first}))
	_, err = s.Token(ctx, s.account, "1")
	refused(t, err, fault.ResourceNotFound)
	refused(t, s.CreateToken(ctx, s.rec("CreateNodeToken"), &rollout.Token{Account: s.account, ID: "3"}, []rollout.Token{*second}), fault.ResourceExists)
	_, err = s.Token(ctx, s.account, "2")
	ok(t, err) // what failed removed nothing
	ok(t, s.DeleteToken(ctx, s.rec("RevokeNodeToken"), second))
	refused(t, s.DeleteToken(ctx, s.rec("RevokeNodeToken"), second), fault.Changed)
}

func testNodes(t *testing.T, s fleetSuite) {
	ctx := t.Context()
	n := s.join(t, "b")
	k, err := s.Token(ctx, s.account, "of-b")
	ok(t, err)
	if k.Uses != 0 {
		t.Errorf("the token has %d uses", k.Uses)
	}
	have, err := s.Node(ctx, s.account, "b")
	ok(t, err)
	same(t, have, *n)
	s.join(t, "a")
	stale := *n
	n.Labels, n.Drained = nil, true
	rec := s.rec("DrainNode")
	ok(t, s.UpdateNode(ctx, rec, n))
	if len(rec.Effects) != 1 || rec.Effects[0].ID != s.account+"/b" {
		t.Errorf("effects %+v", rec.Effects)
	}
	refused(t, s.UpdateNode(ctx, s.rec("DrainNode"), &stale), fault.Changed)
	all, err := s.nodes[1].Nodes(ctx, s.account)
	ok(t, err)
	if len(all) != 2 || all[0].Name != "a" || !cmp.Equal(all[1], *n) {
		t.Errorf("the nodes are %+v", all)
	}
	before := n.Rev
	ok(t, s.DeleteNode(ctx, s.rec("RemoveNode"), n))
	_, err = s.Node(ctx, s.account, "b")
	refused(t, err, fault.ResourceNotFound)
	again := s.node("b")
	ok(t, s.Join(ctx, s.rec("JoinNode"), s.token(t, "again", 1), again))
	if again.Rev <= before {
		t.Errorf("a name that is used again begins at revision %d, after %d", again.Rev, before)
	}
}

// Of all who use the last use of a token at once, one joins.
func testRacingJoins(t *testing.T, s fleetSuite) {
	k := s.token(t, "one", 1)
	k.Uses = 0
	var won sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		won.Go(func() {
			mine := *k
			errs[i] = s.nodes[i%2].Join(context.WithoutCancel(t.Context()), s.rec("JoinNode"), &mine, s.node(fmt.Sprint("n", i)))
		})
	}
	won.Wait()
	joined := 0
	for _, err := range errs {
		if err == nil {
			joined++
		} else {
			refused(t, err, fault.Changed)
		}
	}
	all, err := s.Nodes(t.Context(), s.account)
	ok(t, err)
	if joined != 1 || len(all) != 1 {
		t.Errorf("%d joined, and there are %d nodes", joined, len(all))
	}
}

func (s fleetSuite) plan(name string) *rollout.Rollout {
	return &rollout.Rollout{
		Account: s.account, Name: name, Secret: "pay/key", Members: []form.Pair{{Name: "app", Value: "shop"}},
		Waves: []rollout.Wave{{Name: "canary", Labels: []form.Pair{{Name: "tier", Value: "canary"}}, Percent: 5}, {Name: "rest"}},
		Now:   []rollout.Generation{{Number: 1, Primary: "v1"}, {Number: 1, Primary: "v1", Fallback: "v0"}}, Level: rollout.Used, CreatedAt: day, ChangedAt: day,
	}
}

func testPlans(t *testing.T, s fleetSuite) {
	ctx := t.Context()
	r := s.plan("b")
	ok(t, s.CreateRollout(ctx, s.rec("CreateRollout"), r))
	refused(t, s.CreateRollout(ctx, s.rec("CreateRollout"), s.plan("b")), fault.ResourceExists)
	ok(t, s.CreateRollout(ctx, s.rec("CreateRollout"), s.plan("a")))
	stale := *r
	r.Now, r.Owner, r.Members = slices.Clone(r.Now), "rot-1", nil
	r.Now[0].Number++
	ok(t, s.UpdateRollout(ctx, s.rec("PublishRollout"), r))
	refused(t, s.UpdateRollout(ctx, s.rec("PublishRollout"), &stale), fault.Changed)
	all, err := s.nodes[1].Rollouts(ctx, s.account)
	ok(t, err)
	if len(all) != 2 || all[0].Name != "a" {
		t.Fatalf("the rollouts are %+v", all)
	}
	same(t, all[1], *r)
	none, err := s.Rollouts(ctx, "0")
	ok(t, err)
	if len(none) != 0 {
		t.Errorf("another account has %+v", none)
	}
}

func testGenerations(t *testing.T, s fleetSuite) {
	ctx := t.Context()
	r := s.plan("a")
	ok(t, s.CreateRollout(ctx, s.rec("CreateRollout"), r))
	r.Now = []rollout.Generation{{Number: r.Top() + 41}, {Number: r.Top()}}
	ok(t, s.UpdateRollout(ctx, s.rec("PublishRollout"), r))
	ok(t, s.DeleteRollout(ctx, s.rec("RemoveRollout"), r))
	again := s.plan("a")
	ok(t, s.nodes[1].CreateRollout(ctx, s.rec("CreateRollout"), again))
	if again.Top() <= r.Top() {
		t.Errorf("the new rollout has generation %d, the removed one had %d", again.Top(), r.Top())
	}
}

// said is what a node says of one rollout at a second.
func (s fleetSuite) said(n *rollout.Node, second int, acks ...rollout.Ack) rollout.Report {
	at := day.Add(time.Duration(second) * time.Second)
	for i := range acks {
		acks[i].Account, acks[i].Node, acks[i].SaidAt = s.account, n.Name, at
		if acks[i].At.IsZero() {
			acks[i].At = at
		}
	}
	return rollout.Report{
		JoinedAt: n.JoinedAt, Acks: acks,
		Presence: rollout.Presence{Account: s.account, Node: n.Name, SeenAt: at, SaidAt: at, Version: fmt.Sprint("v", second), Skew: -time.Second, Trouble: "磁盘"},
	}
}

func testReports(t *testing.T, s fleetSuite) {
	ctx := t.Context()
	a, b := s.join(t, "a"), s.join(t, "b")
	full := rollout.Ack{Rollout: "r", Generation: 3, Level: rollout.Used, UsedAt: day, FallbackAt: day.Add(-time.Second), Fallbacks: 4, Refused: 5, Error: "e"}
	first := s.said(a, 5, full, rollout.Ack{Rollout: "q", Generation: 1, Level: rollout.Received})
	ok(t, s.SaveReports(ctx, []rollout.Report{first, s.said(b, 6)}))
	presences, err := s.nodes[1].Presences(ctx, s.account)
	ok(t, err)
	same(t, presences, map[string]rollout.Presence{"a": first.Presence, "b": s.said(b, 6).Presence})
	acks, err := s.nodes[1].Acks(ctx, s.account, "r")
	ok(t, err)
	same(t, acks, map[string]rollout.Ack{"a": first.Acks[0]})
	ok(t, s.SaveReports(ctx, []rollout.Report{s.said(a, 4)})) // said before
	presences, err = s.Presences(ctx, s.account)
	ok(t, err)
	same(t, presences["a"], first.Presence)
	ok(t, s.DeleteNode(ctx, s.rec("RemoveNode"), a))
	acks, err = s.Acks(ctx, s.account, "r")
	ok(t, err)
	presences, err = s.Presences(ctx, s.account)
	ok(t, err)
	if len(acks) != 0 || len(presences) != 1 {
		t.Errorf("of a removed node there are %v, %v", acks, presences)
	}
}

// What a machine said that was replaced or removed does not come back.
func testFormerWords(t *testing.T, s fleetSuite) {
	ctx := t.Context()
	former := s.join(t, "a")
	late := s.said(former, 9, rollout.Ack{Rollout: "r", Generation: 9, Level: rollout.Used})
	now := *former
	now.JoinedAt = former.JoinedAt.Add(time.Microsecond)
	ok(t, s.Join(ctx, s.rec("JoinNode"), s.token(t, "other", 1), &now))
	ok(t, s.SaveReports(ctx, []rollout.Report{late}))
	acks, err := s.Acks(ctx, s.account, "r")
	ok(t, err)
	if len(acks) != 0 {
		t.Errorf("a replaced machine is heard: %v", acks)
	}
	ok(t, s.DeleteNode(ctx, s.rec("RemoveNode"), &now))
	ok(t, s.SaveReports(ctx, []rollout.Report{s.said(&now, 9, rollout.Ack{Rollout: "r", Generation: 9, Level: rollout.Used})}))
	presences, err := s.Presences(ctx, s.account)
	ok(t, err)
	if len(presences) != 0 {
		t.Errorf("a removed node is heard: %v", presences)
	}
}

// In whatever order, and by whatever server, what a node said is stored, what is known in the
// end is what rollout.Merge says, and nothing goes back on the way.
func testWordsInAnyOrder(t *testing.T, s fleetSuite) {
	ctx := t.Context()
	n := s.join(t, "a")
	words := []rollout.Ack{
		{Generation: 1, Level: rollout.Received}, {Generation: 1, Level: rollout.Used, UsedAt: day.Add(time.Second), Fallbacks: 2, Error: "one"},
		{Generation: 2, Level: rollout.Applied, FallbackAt: day, Error: "two"}, {Generation: 2, Level: rollout.Received, Refused: 3},
		{Generation: 2, Level: rollout.Applied, UsedAt: day.Add(2 * time.Second), FallbackAt: day.Add(time.Second)}, {Generation: 2, Level: rollout.Used, Fallbacks: 1},
	}
	for i, order := range [][]int{{0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, {3, 0, 5, 1, 4, 2}, {4, 2, 5, 3, 0, 1}, {1, 1, 5, 5, 0, 2, 3, 4, 2}} {
		name := fmt.Sprint("r", i)
		var want rollout.Ack
		for step, w := range order {
			word := words[w]
			word.Rollout = name
			r := s.said(n, 10+w, word)
			ok(t, s.nodes[step%2].SaveReports(ctx, []rollout.Report{r}))
			if want = rollout.Merge(want, r.Acks[0]); step == 0 {
				want = r.Acks[0]
			}
			have, err := s.Acks(ctx, s.account, name)
			ok(t, err)
			if diff := cmp.Diff(want, have["a"]); diff != "" {
				t.Fatalf("order %v, step %d:\n%s", order, step, diff)
			}
		}
	}
}
