package notify_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/seal/sealtest"
	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/storetest"
)

const account = "1000000000000001"

// A world is a server on a clock of its own with channels of every nature.
type world struct {
	*notify.Service
	t     *testing.T
	now   time.Time
	jobs  *job.Runner
	shelf alerts.Store

	steps   int // calls that could be the last of a process
	crashAt int // 0 for never
	dead    bool
	fake    map[string]*channel
}

// errDead is what is answered by what a dead process would have called.
var errDead = errors.New("the process is dead")

// A mortal is a store of jobs that a dead process changes no more.
type mortal struct {
	job.Store
	w *world
}

// Settle implements job.Store.
func (m mortal) Settle(ctx context.Context, owner string, all ...job.Settlement) error {
	if m.w.dead {
		return errDead
	}
	return m.Store.Settle(ctx, owner, all...)
}

// Claim implements job.Store.
func (m mortal) Claim(ctx context.Context, c job.Claim) ([]job.Job, error) {
	c.Limit = 1
	return m.Store.Claim(ctx, c)
}

// step is a point at which the process may die.
func (w *world) step() {
	if w.steps++; w.steps == w.crashAt {
		w.dead = true
		panic(errDead) // which the runner survives; nothing that it does then has an effect
	}
}

// A channel is what stands behind a sender. It counts what people see.
type channel struct {
	w      *world
	traits message.Traits
	seen   map[string]int // messages by id
	all    []message.Message
	refuse []error // answers of the next calls; nil is none
	effect bool    // what is refused is shown all the same
	failed bool    // what is taken is not delivered
	silent bool    // questions are not answered
	during func()  // happens while a message leaves
}

func (c *channel) take(m message.Message) {
	c.all = append(c.all, m)
	if c.traits.Idempotent {
		c.seen[m.ID] = 1
	} else {
		c.seen[m.ID]++
	}
}

// Send implements notify.Sender.
func (c *channel) Send(_ context.Context, m message.Message) (message.Receipt, error) {
	c.w.step()
	if c.during != nil {
		c.during()
	}
	if len(c.refuse) > 0 {
		err := c.refuse[0]
		c.refuse = c.refuse[1:]
		if err != nil {
			if c.effect {
				c.take(m)
			}
			return message.Receipt{}, err
		}
	}
	if c.failed {
		return message.Receipt{State: message.Failed}, nil
	}
	c.take(m)
	c.w.step()
	return message.Receipt{State: message.Accepted, ID: "r"}, nil
}

// A memory is a channel that can be asked.
type memory struct{ *channel }

// Query implements notify.Querier.
func (c memory) Query(_ context.Context, m message.Message) (message.Receipt, error) {
	c.w.step()
	if c.silent {
		return message.Receipt{}, errors.New("?")
	}
	if c.seen[m.ID] == 0 {
		return message.Receipt{State: message.Missing}, nil
	}
	return message.Receipt{State: message.Delivered}, nil
}

// An outbox is the store's with points at which the process may die.
type outbox struct {
	notify.Outbox
	w *world
}

// Mark implements notify.Outbox.
func (o outbox) Mark(ctx context.Context, d []notify.Delivery) error {
	o.w.step()
	err := o.Outbox.Mark(ctx, d)
	o.w.step()
	return err
}

type tenant struct{ material.Wrapper }

func (t tenant) Tenant(context.Context, string) (material.Wrapper, error) { return t.Wrapper, nil }

func root() *authz.Call {
	return &authz.Call{Principal: authz.Principal{Account: account, Kind: authz.Root, Name: "root"}, Time: noon}
}

func newWorld(t *testing.T, traits map[string]message.Traits) *world {
	t.Helper()
	return newWorldOf(t, traits, func(*notify.Options) {})
}

func newWorldOf(t *testing.T, traits map[string]message.Traits, change func(*notify.Options)) *world {
	t.Helper()
	w := &world{t: t, now: noon, fake: map[string]*channel{}}
	keyring := sealtest.Keyring(t)
	node := storetest.Start(t, storetest.Options{
		URL: storetest.SQLite(t), Origin: "keyward/test", Keys: keyring, Now: func() time.Time { return w.now }, Changed: func(string, string) {},
	})
	wrapped, err := keyring.NewTenantKey(material.Binding("test"))
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := keyring.Tenant(material.Binding("test"), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	w.shelf = alerts.Store{Store: node.Store}
	o := notify.Options{
		Config: w.shelf, Directory: w.shelf, Incidents: w.shelf, Outbox: outbox{w.shelf, w}, Tenants: tenant{wrapper}, Log: node.Log, Region: "r",
		Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
		Healthy: func(context.Context, string) bool { return true },
	}
	for name, tr := range traits {
		c := &channel{w: w, traits: tr, seen: map[string]int{}}
		w.fake[name] = c
		var sender message.Sender = c
		if strings.HasPrefix(name, "asked") {
			sender = memory{c}
		}
		o.Kinds = append(o.Kinds, message.Kind{Name: name, Traits: tr, Open: func(message.Opening) (message.Sender, error) { return sender, nil }})
	}
	change(&o)
	w.Service = notify.New(o)
	w.jobs = &job.Runner{
		Store: mortal{node.Store, w}, Owner: "test", Handlers: w.Handlers(), Now: o.Now, Served: func() (time.Duration, bool) { return 0, true }, Logger: o.Logger,
	}
	for name := range traits {
		if _, err := w.AddChannel(t.Context(), root(), name, name, notify.Draft{}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// work does what is due, and answers whether the process died meanwhile.
func (w *world) work() (died bool) {
	w.t.Helper()
	w.dead = false
	for {
		n, err := w.jobs.Step(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if n == 0 || w.dead {
			return w.dead
		}
	}
}

// settle works for some hours, a minute at a time.
func (w *world) settle() {
	w.t.Helper()
	for range 36 {
		w.now = w.now.Add(5 * time.Minute)
		w.work()
	}
}

func group() message.Traits { return message.Traits{Family: message.Mail, Group: true} }

func expires(name string, at time.Time) notify.Condition {
	return notify.Condition{Name: name, Kind: notify.KeyExpiry, Subject: name, Deadline: at}
}

// A process that dies at any step of sending loses no alarm. A channel that recognises or
// remembers messages shows each once; another one shows at most one twice.
func TestCrashesWhileSending(t *testing.T) {
	for _, nature := range []string{"asked", "idempotent", "plain"} {
		t.Run(nature, func(t *testing.T) {
			traits := group()
			traits.Idempotent = nature == "idempotent"
			twice := 0
			for at := 1; ; at++ {
				w := newWorld(t, map[string]message.Traits{nature: traits})
				for i := range 3 {
					// far enough not to be told again while the test looks
					if err := w.Report(t.Context(), account, expires(fmt.Sprintf("expiry/k%d", i), noon.Add(20*24*time.Hour))); err != nil {
						t.Fatal(err)
					}
				}
				w.steps, w.crashAt = 0, at
				died := w.work()
				w.crashAt = 0
				w.settle() // leases end, and the next process goes on
				seen := w.fake[nature].seen
				duplicates := 0
				for id, n := range seen {
					if n > 1 {
						duplicates += n - 1
						t.Logf("dying at step %d: %s was shown %d times", at, id, n)
					}
				}
				if len(seen) != 3 {
					t.Errorf("dying at step %d: %d of 3 alarms were shown", at, len(seen))
				}
				if nature != "plain" && duplicates > 0 || duplicates > 1 {
					t.Errorf("dying at step %d: %d duplicates", at, duplicates)
				}
				twice += duplicates
				if !died {
					if at < 10 {
						t.Fatalf("only %d steps", at)
					}
					break
				}
			}
			if nature == "plain" && twice == 0 {
				t.Error("no crash came between sending and noting it: the test proves nothing")
			}
		})
	}
}

// What a channel answers decides what becomes of a message.
func TestAnswersOfChannels(t *testing.T) {
	retry := &message.SendError{Class: message.Retry, Reason: fault.Say("busy")}
	unclear := &message.SendError{Class: message.Unclear, Reason: fault.Say("no answer")}
	for _, c := range []struct {
		name    string
		channel string
		answers []error
		effect  bool
		shown   int
		want    notify.Progress
	}{
		{"refused for a while", "plain", []error{retry, retry, retry}, false, 1, notify.Sent},
		{"refused for good", "plain", []error{&message.SendError{Class: message.Permanent, Reason: fault.Say("no such robot")}}, false, 0, notify.Lost},
		{"an answer is lost, the message too", "asked", []error{unclear}, false, 1, notify.Sent},
		{"an answer is lost, the message is not", "asked", []error{unclear}, true, 1, notify.Sent},
		{"an answer is lost and nobody can tell", "plain", []error{unclear}, true, 2, notify.Sent},
		{"all answers are lost", "plain", []error{unclear, unclear, unclear, unclear}, true, 2, notify.Doubt},
		{"an error of no class", "asked", []error{errors.New("?")}, true, 1, notify.Sent},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, map[string]message.Traits{c.channel: group()})
			w.fake[c.channel].refuse, w.fake[c.channel].effect = c.answers, c.effect
			if err := w.Report(t.Context(), account, expires("expiry/k", noon.Add(20*24*time.Hour))); err != nil {
				t.Fatal(err)
			}
			w.settle()
			open, err := w.Incidents(t.Context(), root(), false)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range open {
				if i.Kind != notify.KeyExpiry {
					continue
				}
				file, err := w.Incident(t.Context(), root(), i.ID)
				if err != nil || len(file.Deliveries) != 1 || file.Deliveries[0].Progress != c.want {
					t.Errorf("have %+v, %v; want one that is %s", file.Deliveries, err, c.want)
				}
				shown := 0
				for _, m := range w.fake[c.channel].all {
					if m.Incident == i.ID {
						shown++
					}
				}
				if shown != c.shown {
					t.Errorf("people see it %d times, want %d", shown, c.shown)
				}
			}
		})
	}
}

// A dead channel is reported on the others, and its return ends that.
func TestDeadChannelsAreReportedOnTheOthers(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group(), "asked": {Family: message.Chat, Group: true}})
	for range 5 {
		w.fake["plain"].refuse = append(w.fake["plain"].refuse, &message.SendError{Class: message.Retry, Reason: fault.Say("connection refused")})
	}
	if err := w.Report(t.Context(), account, expires("expiry/k", noon.Add(10*24*time.Hour))); err != nil {
		t.Fatal(err)
	}
	w.settle()
	told := false
	for _, m := range w.fake["asked"].all {
		told = told || strings.Contains(m.Title, "plain") && m.Event == message.Trigger
	}
	for _, m := range w.fake["plain"].all {
		if m.Event == message.Trigger && strings.Contains(m.Title, "plain") {
			t.Error("a channel told of its own death")
		}
	}
	if !told {
		t.Errorf("nobody was told: %+v", w.fake["asked"].all)
	}
	open, err := w.Incidents(t.Context(), root(), false)
	if err != nil || len(open) != 1 {
		t.Errorf("it works again, and still there are %d incidents: %+v, %v", len(open), open, err)
	}
}

// Many alarms to one robot become one message, and it is never asked more often than it bears.
func TestManyAlarmsAreFolded(t *testing.T) {
	traits := group()
	traits.Burst, traits.PerMinute = 3, 15
	w := newWorld(t, map[string]message.Traits{"plain": traits})
	for i := range 100 {
		if err := w.Report(t.Context(), account, expires(fmt.Sprintf("expiry/k%d", i), noon.Add(20*24*time.Hour))); err != nil {
			t.Fatal(err)
		}
	}
	w.work()
	all := w.fake["plain"].all
	if len(all) != 1 || all[0].Event != message.Digest || len(all[0].Lines) < 100 {
		t.Fatalf("have %d messages, the first: %+v", len(all), all)
	}
	for i := range 10 { // one by one
		if err := w.Report(t.Context(), account, expires(fmt.Sprintf("expiry/l%d", i), noon.Add(20*24*time.Hour))); err != nil {
			t.Fatal(err)
		}
		w.work()
	}
	if sent := len(w.fake["plain"].all); sent > 3 {
		t.Errorf("%d messages at once over a channel that bears 3", sent)
	}
	w.settle()
	lines := 0
	for _, m := range w.fake["plain"].all[1:] {
		if m.Event == message.Digest {
			lines += len(m.Lines) - 1
		} else {
			lines++
		}
	}
	if lines != 10 {
		t.Errorf("%d of 10 alarms were told", lines)
	}
}

// Nobody is told what is over before the message left.
func TestWhatIsOverIsNotTold(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group()})
	if err := w.Report(t.Context(), account, expires("expiry/k", noon.Add(20*24*time.Hour))); err != nil {
		t.Fatal(err)
	}
	if err := w.End(t.Context(), account, "expiry/k"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	for _, m := range w.fake["plain"].all {
		if m.Event == message.Trigger {
			t.Errorf("told: %+v", m)
		}
	}
}
