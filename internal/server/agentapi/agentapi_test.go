package agentapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/rollout"
	"github.com/keyward/keyward/internal/server/agentapi"
	"github.com/keyward/keyward/internal/server/agentapi/agenttest"
	"github.com/keyward/keyward/internal/store/storetest"
)

// refused answers the status and code of an answer that is not a success.
func refused(t testing.TB, err error) (int, string, http.Header) {
	t.Helper()
	var a *agenttest.Answer
	if !errors.As(err, &a) {
		t.Fatalf("have %v, want an answer", err)
	}
	return a.Status, a.Problem.Code, a.Header
}

// A node gets what is published, proves it, and is seen to have it; a record tells of each
// value that left.
func TestDelivery(t *testing.T) {
	w := open(t)
	r := w.rollout(t, "pay")
	a := w.agent(t, "web-1", "region", "cn-1")
	out, err := a.Watch(t.Context(), 0)
	check(t, err)
	if diff := cmp.Diff([]string{"pay"}, out.Rollouts); diff != "" || a.Have["pay"] != r.Top() || a.Values["pay"]["v1"] != "fake-pay-1" {
		t.Fatalf("%s has %v", diff, a.Values)
	}
	for _, level := range []string{"received", "applied", "used"} {
		_, err := a.Report(t.Context(), a.Ack("pay", level))
		check(t, err)
		if m := w.member(t, "pay", "web-1"); string(m.Ack.Level) != level || m.Ack.Generation != 1 || m.Presence.Version != "test" {
			t.Errorf("at %s it stands at %+v", level, m)
		}
	}
	w.publish(t, "pay", "v2")
	if m := w.member(t, "pay", "web-1"); m.There(rollout.Received) {
		t.Error("an acknowledgement of the generation before counts")
	}
	answer, err := a.Report(t.Context(), a.Ack("pay", "used"))
	check(t, err)
	if diff := cmp.Diff([]string{"pay"}, answer.Stale); diff != "" {
		t.Error(diff)
	}
	_, err = a.Watch(t.Context(), 60)
	check(t, err)
	if diff := cmp.Diff(map[string]string{"v1": "fake-pay-1", "v2": "fake-pay-v2"}, a.Values["pay"]); diff != "" || a.Primary["pay"] != "v2" {
		t.Error(diff)
	}
	_, err = a.Report(t.Context(), a.Ack("pay", "used"))
	check(t, err)
	_, members, err := w.Members(t.Context(), account, "pay")
	check(t, err)
	if len(members) != 1 || !members[0].There(rollout.Used) {
		t.Errorf("the members are %+v", members)
	}
	if diff := cmp.Diff([]string{"keyward:DeliverSecret OK", "keyward:DeliverSecret OK"}, w.records(t, "keyward:DeliverSecret")); diff != "" {
		t.Error(diff)
	}
	if out, err = a.Watch(t.Context(), 0); err != nil || len(out.Bundles) != 0 {
		t.Errorf("what it has is answered again: %v, %v", out, err)
	}
}

// An agent that waits hears of what is published while it waits, of being drained and of the
// end of a rollout, also on another server of the same database.
func TestWaitingAgentsHear(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := newDatabase(t, url)
		w := db.open(t, origin, nil)
		far := w
		if strings.HasPrefix(url, "postgres") {
			far = db.open(t, origin+"-2", nil)
		}
		w.rollout(t, "pay")
		a := w.agent(t, "web-1")
		a.URL = far.url
		_, err := a.Watch(t.Context(), 0)
		check(t, err)
		wait := func(what string, act func(), heard func(delivery.WatchAnswer) bool) {
			t.Helper()
			done := make(chan error, 1)
			var out delivery.WatchAnswer
			go func() {
				var err error
				out, err = a.Watch(t.Context(), 60)
				done <- err
			}()
			for far.dialect.Waiting() == 0 {
				runtime.Gosched()
				select {
				case err := <-done:
					t.Fatalf("%s: it did not wait: %v, %v", what, out, err)
				default:
				}
			}
			act()
			check(t, <-done)
			if !heard(out) {
				t.Errorf("%s: it heard %+v", what, out)
			}
		}
		wait("published", func() { w.publish(t, "pay", "v2") }, func(o delivery.WatchAnswer) bool { return a.Primary["pay"] == "v2" })
		wait("drained", func() { _, err := w.Drain(t.Context(), root(), "web-1"); check(t, err) },
			func(o delivery.WatchAnswer) bool { return len(o.Rollouts) == 0 && len(a.Have) == 0 })
		wait("put back", func() { _, err := w.Undrain(t.Context(), root(), "web-1"); check(t, err) },
			func(o delivery.WatchAnswer) bool { return a.Primary["pay"] == "v2" })
		wait("removed", func() { check(t, w.Remove(t.Context(), root(), "pay")) }, func(o delivery.WatchAnswer) bool { return len(o.Rollouts) == 0 })
	})
}

// A rollout that is made again under an old name has generations that no node has seen.
func TestGenerationsOutliveTheirRollout(t *testing.T) {
	w := open(t)
	w.rollout(t, "pay")
	top := w.publish(t, "pay", "v2").Top()
	check(t, w.Remove(t.Context(), root(), "pay"))
	r, err := w.Create(t.Context(), root(), "pay", rollout.Draft{Secret: "pay"})
	check(t, err)
	if r.Top() <= top {
		t.Errorf("the new rollout has generation %d, the old one had %d", r.Top(), top)
	}
}

// Who lies about a generation or a value is not believed, is on record once, and people are
// told until the node tells the truth.
func TestLies(t *testing.T) {
	for name, lie := range map[string]func(*agenttest.Agent) delivery.Ack{
		"a value that it does not hold": func(a *agenttest.Agent) delivery.Ack {
			a.Values["pay"] = map[string]string{"v1": "a guess"}
			return a.Ack("pay", "used")
		},
		"a generation that is not there": func(a *agenttest.Agent) delivery.Ack {
			a.Have["pay"] = 7
			return a.Ack("pay", "used")
		},
		"the proof of another node": func(a *agenttest.Agent) delivery.Ack {
			a.Name = "web-2"
			defer func() { a.Name = "web-1" }()
			return a.Ack("pay", "used")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			w.rollout(t, "pay")
			a := w.agent(t, "web-1")
			_, err := a.Watch(t.Context(), 0)
			check(t, err)
			truth := a.Ack("pay", "used")
			for range 3 {
				w.pass(15 * time.Second)
				_, err = a.Report(t.Context(), lie(a))
				check(t, err)
			}
			if m := w.member(t, "pay", "web-1"); m.There(rollout.Received) {
				t.Errorf("it was believed: %+v", m)
			}
			if diff := cmp.Diff([]string{"node-lying web-1"}, w.told.kinds()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"keyward:ReportNode SignatureMismatch"}, w.records(t, "keyward:ReportNode")); diff != "" {
				t.Error(diff)
			}
			w.pass(time.Second)
			_, err = a.Report(t.Context(), truth)
			check(t, err)
			if m := w.member(t, "pay", "web-1"); !m.There(rollout.Used) || len(w.told.kinds()) != 0 || m.Presence.Trouble != "" {
				t.Errorf("after the truth: %+v, %v", m, w.told.kinds())
			}
		})
	}
}

// A request that is sent again by somebody else says nothing new, and one that was changed
// or signed at another time says nothing at all.
func TestReplays(t *testing.T) {
	w := open(t)
	w.rollout(t, "pay")
	a := w.agent(t, "web-1")
	_, err := a.Watch(t.Context(), 0)
	check(t, err)
	used, ack := int64(1000), a.Ack("pay", "used")
	ack.UsedAgo = &used
	body, err := json.Marshal(delivery.ReportRequest{Version: "test", Acks: []delivery.Ack{ack}})
	check(t, err)
	at := w.clock()
	var out delivery.ReportAnswer
	check(t, a.Send(t.Context(), a.Request(delivery.ReportPath, body, at), &out))
	before := w.member(t, "pay", "web-1")
	w.pass(4 * time.Minute)
	check(t, a.Send(t.Context(), a.Request(delivery.ReportPath, body, at), &out))
	_, err = w.agent(t, "web-2").Report(t.Context()) // whose words are stored after those
	check(t, err)
	w.flush(t)
	if diff := cmp.Diff(before, w.member(t, "pay", "web-1")); diff != "" {
		t.Errorf("a replay changed\n%s", diff)
	}
	w.pass(2 * time.Minute)
	status, code, header := refused(t, a.Send(t.Context(), a.Request(delivery.ReportPath, body, at), &out))
	if date, err := http.ParseTime(header.Get("Date")); status != 401 || code != string(fault.TimestampExpired) || err != nil || w.clock().Sub(date) > 2*time.Second {
		t.Errorf("an old request is answered %d %s, Date %v", status, code, date)
	}
	for name, change := range map[string]func(*http.Request){
		"another path": func(r *http.Request) { r.URL.Path = delivery.WatchPath },
		"another time": func(r *http.Request) {
			r.Header.Set(delivery.TimeHeader, w.clock().Add(time.Second).Format(time.RFC3339))
		},
		"another node": func(r *http.Request) { r.Header.Set(delivery.NodeHeader, account+"/web-2") },
		"no node":      func(r *http.Request) { r.Header.Set(delivery.NodeHeader, account+"/web-3") },
		"no signature": func(r *http.Request) { r.Header.Del(delivery.SignatureHeader) },
	} {
		r := a.Request(delivery.ReportPath, body, w.clock())
		change(r)
		if status, code, _ := refused(t, a.Send(t.Context(), r, &out)); status != 401 || code != string(fault.SignatureMismatch) {
			t.Errorf("%s is answered %d %s", name, status, code)
		}
	}
	r := a.Request(delivery.ReportPath, body, w.clock())
	r.Header.Set(delivery.TimeHeader, "now")
	if status, code, _ := refused(t, a.Send(t.Context(), r, &out)); status != 401 || code != string(fault.TimestampInvalid) {
		t.Errorf("no time is answered %d %s", status, code)
	}
}

// A token lets in as many as it says; one error tells of all that are not good, and who lost
// the answer may ask again.
func TestJoin(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	_, text, err := w.CreateToken(ctx, root(), rollout.TokenInput{Labels: pairs("tier", "web"), Life: time.Hour})
	check(t, err)
	a, b := agenttest.New(w.url, http.DefaultClient, w.clock), agenttest.New(w.url, http.DefaultClient, w.clock)
	check(t, a.Join(ctx, string(text.Expose()), "web-1"))
	check(t, a.Join(ctx, string(text.Expose()), "web-1"))
	status, code, _ := refused(t, b.Join(ctx, string(text.Expose()), "web-2"))
	if status != 401 || code != string(fault.SecurityTokenInvalid) {
		t.Errorf("a spent token is answered %d %s", status, code)
	}
	for name, token := range map[string]string{"unknown": strings.Replace(string(text.Expose()), "kwjt_1000", "kwjt_2000", 1), "no": "x", "wrong": string(text.Expose()[:len(text.Expose())-1]) + "A"} {
		if status, code, _ := refused(t, b.Join(ctx, token, "web-2")); status != 401 || code != string(fault.SecurityTokenInvalid) {
			t.Errorf("an %s token is answered %d %s", name, status, code)
		}
	}
	_, late, err := w.CreateToken(ctx, root(), rollout.TokenInput{Life: time.Hour})
	check(t, err)
	w.pass(time.Hour)
	if status, code, _ := refused(t, b.Join(ctx, string(late.Expose()), "web-2")); status != 401 || code != string(fault.SecurityTokenInvalid) {
		t.Errorf("an expired token is answered %d %s", status, code)
	}
	many := w.token(t)
	if status, code, _ := refused(t, b.Join(ctx, many, "web-1")); status != 409 || code != string(fault.ResourceExists) {
		t.Errorf("a name that is taken is answered %d %s", status, code)
	}
	if status, code, _ := refused(t, b.Join(ctx, many, "../x")); status != 400 || code != string(fault.InvalidParameter) {
		t.Errorf("a name that is none is answered %d %s", status, code)
	}
	_, fixed, err := w.CreateToken(ctx, root(), rollout.TokenInput{Node: "web-1"})
	check(t, err)
	if status, code, _ := refused(t, b.Join(ctx, string(fixed.Expose()), "web-9")); status != 400 || code != string(fault.InvalidParameter) {
		t.Errorf("another name than the token's is answered %d %s", status, code)
	}
	check(t, b.Join(ctx, string(fixed.Expose()), ""))
	_, err = b.Report(ctx)
	check(t, err)
	_, err = a.Report(ctx)
	if status, code, _ := refused(t, err); status != 401 || code != string(fault.SignatureMismatch) {
		t.Errorf("the keys that were replaced are answered %d %s", status, code)
	}
	joined := w.records(t, "keyward:JoinNode")
	if bytes.Count([]byte(strings.Join(joined, "\n")), []byte("OK")) != 3 || len(joined) != 11 {
		t.Errorf("on record are %q", joined)
	}
}

// Who finds no place is told when to come again; a server that closes sends all away.
func TestPlaces(t *testing.T) {
	w := newDatabase(t, storetest.SQLite(t)).open(t, origin, func(o *agentapi.Options) { o.MaxWait = 1 })
	a, b := w.agent(t, "web-1"), w.agent(t, "web-2")
	done := make(chan error, 1)
	go func() {
		_, err := a.Watch(t.Context(), 60)
		done <- err
	}()
	for w.dialect.Waiting() == 0 {
		runtime.Gosched()
	}
	_, err := b.Watch(t.Context(), 60)
	if status, _, header := refused(t, err); status != 429 || header.Get("Retry-After") == "" {
		t.Errorf("without a place it is answered %d, %v", status, header)
	}
	w.dialect.Close()
	if status, _, header := refused(t, <-done); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("at the end it is answered %d, %v", status, header)
	}
	_, err = b.Watch(t.Context(), 60)
	if status, _, _ := refused(t, err); status != 503 {
		t.Errorf("after the end it is answered %d", status)
	}
}

// A node that comes again takes its own place over; one that hangs up gives it back.
func TestOnePlaceForEachNode(t *testing.T) {
	w := open(t)
	a := w.agent(t, "web-1")
	done := make(chan error, 1)
	go func() {
		_, err := a.Watch(t.Context(), 60)
		done <- err
	}()
	for w.dialect.Waiting() == 0 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	twin := *a
	gone := make(chan error, 1)
	go func() {
		_, err := twin.Watch(ctx, 60)
		gone <- err
	}()
	check(t, <-done)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for w.dialect.Waiting() != 0 {
		runtime.Gosched()
	}
}

// What makes no sense is refused, and nothing of it is kept.
func TestBadRequests(t *testing.T) {
	w := open(t)
	w.rollout(t, "pay")
	a := w.agent(t, "web-1")
	_, err := a.Watch(t.Context(), 0)
	check(t, err)
	long := int64(1) << 60
	negative := int64(-1)
	for name, change := range map[string]func(*delivery.Ack){
		"level":      func(a *delivery.Ack) { a.Level = "best" },
		"generation": func(a *delivery.Ack) { a.Generation = 0 },
		"proof":      func(a *delivery.Ack) { a.Proof = a.Proof[:31] },
		"used":       func(a *delivery.Ack) { a.UsedAgo = &long },
		"fallback":   func(a *delivery.Ack) { a.FallbackAgo = &negative },
		"count":      func(a *delivery.Ack) { a.Refused = -1 },
	} {
		ack := a.Ack("pay", "used")
		change(&ack)
		_, err := a.Report(t.Context(), ack)
		if status, code, _ := refused(t, err); status != 400 || code != string(fault.InvalidParameter) {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
	_, err = a.Report(t.Context(), a.Ack("pay", "used"), a.Ack("pay", "used"))
	if status, _, _ := refused(t, err); status != 400 {
		t.Errorf("two of one rollout: %d", status)
	}
	_, err = a.Watch(t.Context(), 61)
	if status, _, _ := refused(t, err); status != 400 {
		t.Errorf("too long a wait: %d", status)
	}
	a.Have["pay"] = -1
	_, err = a.Watch(t.Context(), 0)
	if status, _, _ := refused(t, err); status != 400 {
		t.Errorf("a negative generation: %d", status)
	}
	for path, want := range map[string]int{"/v1/agent/else": 404, delivery.WatchPath + "?x=1": 400} {
		if status, _, _ := refused(t, a.Send(t.Context(), a.Request(path, []byte("{}"), w.clock()), nil)); status != want {
			t.Errorf("%s: %d", path, status)
		}
	}
	r := a.Request(delivery.WatchPath, nil, w.clock())
	r.Method = http.MethodGet
	if status, _, _ := refused(t, a.Send(t.Context(), r, nil)); status != 405 {
		t.Errorf("GET: %d", status)
	}
	if m := w.member(t, "pay", "web-1"); m.Ack.Generation != 0 {
		t.Errorf("it stands at %+v", m.Ack)
	}
}

// What was on record of a call before it changes a node or a rollout stays there: the code that it was
// approved with.
func TestTheCodeIsOnRecord(t *testing.T) {
	w := open(t)
	w.rollout(t, "pay")
	w.agent(t, "web-1")
	c := root()
	c.Fresh = true
	_, err := w.Relabel(t.Context(), c, "web-1", []form.Pair{{Name: "tier", Value: "main"}})
	check(t, err)
	_, err = w.Publish(t.Context(), c, "pay", "")
	check(t, err)
	found := 0
	check(t, w.node.DB.Batches(t.Context(), w.node.Log.Origin(), 0, func(b audit.Batch) error {
		for line := range strings.Lines(string(b.Leaves)) {
			e, err := audit.ParseEntry([]byte(line))
			check(t, err)
			if a := e.Action; a == "keyward:LabelNode" || a == "keyward:PublishRollout" {
				if found++; e.Params["MFA"] != "code" || len(e.Params) < 2 {
					t.Errorf("%s is on record with %v", a, e.Params)
				}
			}
		}
		return nil
	}))
	if found != 2 {
		t.Errorf("%d records", found)
	}
}
