package notify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
)

func (w *world) events(channel string, e message.Event) (n int) {
	for _, m := range w.fake[channel].all {
		if m.Event == e {
			n++
		}
	}
	return n
}

func (w *world) open(kind string) (n int) {
	w.t.Helper()
	all, err := w.Incidents(w.t.Context(), root(), false)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range all {
		if i.Kind == kind {
			n++
		}
	}
	return n
}

// pass works for some time in steps of a length.
func (w *world) pass(d, step time.Duration) {
	w.t.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(step)
		w.work()
	}
}

// A channel that takes nothing for a day and a half loses no alarm, and tells the newest only once.
func TestAnOutageLosesNoAlarm(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group()})
	w.fake["plain"].refuse = slices.Repeat([]error{&message.SendError{Class: message.Retry, Reason: fault.Say("down")}}, 220)
	w.report(expires("expiry/k", noon.Add(20*days)))
	w.pass(2*days, 10*time.Minute)
	if n := w.events("plain", message.Trigger); n != 1 {
		t.Errorf("told %d times", n)
	}
	if left := len(w.fake["plain"].refuse); left > 0 {
		t.Errorf("tried %d times too few", left)
	}
}

// Why a channel fails is told in the reader's language, on the other channels, of the channel and
// of each message, and not any more when it works again.
func TestWhyAChannelFailsIsToldInChinese(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": {Family: message.Chat, Group: true}, "asked": group()})
	refused := &message.SendError{Class: message.Retry, Reason: fault.Say("%s (%d %s)", fault.Say("the mail server asks to try later"), 451, "busy"), After: time.Minute}
	w.fake["plain"].refuse = slices.Repeat([]error{refused}, 4)
	i := w.report(expires("expiry/k", noon.Add(7*days)))
	const english, chinese = "the mail server asks to try later (451 busy)", "邮件服务器要求稍后重试（451 busy）"
	w.pass(4*time.Minute, time.Minute)
	told := slices.ContainsFunc(w.fake["asked"].all, func(m message.Message) bool { return slices.Contains(m.Lines, "原因："+chinese) })
	if !told {
		t.Errorf("the others were told %+v", w.fake["asked"].all)
	}
	stands := func() (notify.Health, notify.Delivery) {
		healths, err := w.shelf.Healths(t.Context(), account)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := w.shelf.Deliveries(t.Context(), account, i.ID)
		if err != nil {
			t.Fatal(err)
		}
		return healths["plain"], sent[slices.IndexFunc(sent, func(d notify.Delivery) bool { return d.Channel == "plain" })]
	}
	if h, d := stands(); h.Error != english || h.Chinese != chinese || d.Error != english || d.Chinese != chinese {
		t.Errorf("have %+v, %+v", h, d)
	}
	w.settle()
	if h, d := stands(); h.Error+h.Chinese+d.Error+d.Chinese != "" || d.Progress != notify.Sent {
		t.Errorf("it works again, and still: %+v, %+v", h, d)
	}
}

// What waited while a channel was down is told once, not as often as it was decided.
func TestLaterAlarmsReplaceEarlierOnes(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group()})
	w.fake["plain"].refuse = slices.Repeat([]error{&message.SendError{Class: message.Retry, Reason: fault.Say("down"), After: time.Hour}}, 4)
	w.report(expires("expiry/k", noon.Add(10*time.Hour))) // told again every quarter of an hour
	w.pass(62*time.Minute, time.Minute)
	if n := w.events("plain", message.Trigger); n != 1 {
		t.Errorf("told %d times at once", n)
	}
	w.pass(50*time.Minute, time.Minute)
	if n := w.events("plain", message.Trigger); n != 4 {
		t.Errorf("told %d times in 50 minutes", n-1)
	}
}

// The test message of a channel is confirmed while messages leave.
func TestAConfirmationWhileSendingIsKept(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group()})
	if _, err := w.Test(t.Context(), root(), "plain", ""); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	w.fake["plain"].during = func() {
		if err := w.Confirm(t.Context(), root(), "plain", "li"); err != nil {
			t.Error(err)
		}
	}
	w.report(expires("expiry/k", noon.Add(20*days)))
	w.work()
	h, err := w.shelf.Healths(t.Context(), account)
	if err != nil || !h["plain"].ConfirmedAt.Equal(w.now) || !h["plain"].SentAt.Equal(w.now) {
		t.Errorf("have %+v, %v", h, err)
	}
}

// A test message that nobody confirms is an incident, until somebody does.
func TestUnreadChannels(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group()})
	w.pass(12*days, time.Hour)
	if w.events("plain", message.Test) != 1 || w.open(notify.ChannelUnread) != 1 {
		t.Fatalf("%d tests, %d incidents", w.events("plain", message.Test), w.open(notify.ChannelUnread))
	}
	w.pass(4*days, time.Hour)
	if w.events("plain", message.Test) != 2 || w.open(notify.ChannelUnread) != 1 {
		t.Errorf("another test that nobody confirmed: %d tests, %d incidents", w.events("plain", message.Test), w.open(notify.ChannelUnread))
	}
	if err := w.Confirm(t.Context(), root(), "plain", "li"); err != nil || w.open(notify.ChannelUnread) != 0 {
		t.Errorf("%v, %d incidents", err, w.open(notify.ChannelUnread))
	}
}

// A channel that nobody can be reached over is an incident of its own.
func TestAChannelForNobody(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"mail": each(message.Mail)})
	w.pass(8*days, time.Hour)
	if w.open(notify.ChannelUnread) != 1 {
		t.Error("nobody was told")
	}
}

// A channel that cannot be opened any more is reported on the others; so is its end when
// it is paused or removed.
func TestChannelsThatCannotBeOpened(t *testing.T) {
	for _, end := range []string{"mended", "paused", "removed"} {
		t.Run(end, func(t *testing.T) {
			broken := false
			w := newWorldOf(t, map[string]message.Traits{"plain": group(), "asked": {Family: message.Chat, Group: true}}, func(o *notify.Options) {
				for n := range o.Kinds {
					if open := o.Kinds[n].Open; o.Kinds[n].Name == "plain" {
						o.Kinds[n].Open = func(with message.Opening) (message.Sender, error) {
							if broken {
								return nil, fault.InvalidParameter.New("injected")
							}
							return open(with)
						}
					}
				}
			})
			broken = true
			w.report(expires("expiry/k", noon.Add(20*days)))
			w.pass(time.Minute, time.Second)
			if w.open(notify.ChannelFailing) != 1 || w.events("asked", message.Trigger) == 0 {
				t.Fatal("nobody was told")
			}
			var err error
			paused := true
			switch end {
			case "mended":
				broken = false
				w.pass(time.Hour, 10*time.Minute)
			case "paused":
				broken = false
				_, err = w.UpdateChannel(t.Context(), root(), "plain", notify.Draft{Paused: &paused})
			case "removed":
				err = w.RemoveChannel(t.Context(), root(), "plain")
			}
			if err != nil || w.open(notify.ChannelFailing) != 0 {
				t.Errorf("%v, %d incidents", err, w.open(notify.ChannelFailing))
			}
		})
	}
}

// Where a channel leads is looked at when it is added or changed, and one that may not be
// reached is not kept; what is kept is opened for sending without looking again.
func TestChannelsThatLeadNowhere(t *testing.T) {
	var refuse error
	looked := 0
	w := newWorldOf(t, map[string]message.Traits{"plain": group()}, func(o *notify.Options) {
		open := o.Kinds[0].Open
		o.Kinds[0].Open = func(with message.Opening) (message.Sender, error) {
			if with.Look != nil {
				if err := with.Look("there.example.com", 443, false); err != nil {
					return nil, err
				}
			}
			return open(with)
		}
		o.Look = func(context.Context, string, uint16, bool) error {
			looked++
			return refuse
		}
	})
	refuse = fault.InvalidParameter.New("injected")
	if _, err := w.AddChannel(t.Context(), root(), "second", "plain", notify.Draft{}); !errors.Is(err, refuse) {
		t.Errorf("adding: %v", err)
	}
	if _, err := w.UpdateChannel(t.Context(), root(), "plain", notify.Draft{Filling: &form.Filling{}}); !errors.Is(err, refuse) {
		t.Errorf("changing: %v", err)
	}
	all, err := w.ListChannels(t.Context(), root())
	if err != nil || len(all) != 1 {
		t.Errorf("there are %d channels, %v", len(all), err)
	}
	before := looked
	w.report(expires("expiry/k", noon.Add(20*days)))
	w.pass(time.Minute, time.Second)
	if looked != before || w.events("plain", message.Trigger) == 0 {
		t.Errorf("sending looked %d times, %d were told", looked-before, w.events("plain", message.Trigger))
	}
}

// A person who was removed while a message waited is no failure of the channel, and one
// who came meanwhile is told.
func TestPeopleWhoLeaveAndCome(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"mail": each(message.Mail)})
	w.person("li")
	for n := range 4 {
		w.report(expires(fmt.Sprintf("expiry/k%d", n), noon.Add(20*days)))
	}
	if err := w.RemovePerson(t.Context(), root(), "li"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if len(w.fake["mail"].all) != 0 || w.open(notify.ChannelFailing) != 0 {
		t.Errorf("sent %d, %d incidents", len(w.fake["mail"].all), w.open(notify.ChannelFailing))
	}
	w.person("wang")
	w.report(expires("expiry/first", noon.Add(20*days)))
	w.fake["mail"].during = func() {
		w.fake["mail"].during = nil
		w.person("zhang")
		w.report(notify.Condition{Name: "expiry/second", Kind: notify.KeyExpiry, Subject: "second", Owner: "zhang", Deadline: noon.Add(20 * days)})
	}
	w.settle()
	if n := w.events("mail", message.Trigger); n != 2 {
		t.Errorf("told %d times", n)
	}
}

// Only who was told of the beginning is told of the end, and nobody is told of the
// beginning after that.
func TestBeginningsAndEnds(t *testing.T) {
	traits := group()
	traits.Idempotent = true
	for name, c := range map[string]struct {
		answer error
		over   int
	}{
		"told":      {nil, 1},
		"not told":  {&message.SendError{Class: message.Retry, Reason: fault.Say("busy"), After: time.Hour}, 0},
		"lost":      {&message.SendError{Class: message.Permanent, Reason: fault.Say("no")}, 0},
		"who knows": {errors.New("?"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]message.Traits{"idempotent": traits})
			w.fake["idempotent"].refuse = []error{c.answer}
			w.report(expires("expiry/k", noon.Add(20*days)))
			w.work()
			if err := w.End(t.Context(), account, "expiry/k"); err != nil {
				t.Fatal(err)
			}
			began := w.events("idempotent", message.Trigger)
			w.settle()
			if over, later := w.events("idempotent", message.Resolve), w.events("idempotent", message.Trigger); over != c.over || later != began {
				t.Errorf("told of the end %d times and of the beginning %d times after it", over, later-began)
			}
		})
	}
}

// A digest in doubt is asked for, and sent again, as the same digest.
func TestADigestStaysTogether(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"asked": group()})
	w.fake["asked"].refuse = []error{errors.New("?"), errors.New("?")}
	w.fake["asked"].effect = true
	for n := range 300 {
		w.report(expires(fmt.Sprintf("expiry/k%03d", n), noon.Add(20*days)))
	}
	w.work()
	for n := range 50 { // more severe ones, which leave first
		w.report(expires(fmt.Sprintf("expiry/severe%d", n), noon.Add(5*days)))
	}
	if err := w.End(t.Context(), account, "expiry/k000"); err != nil {
		t.Fatal(err)
	}
	w.settle()
	lines := 0
	for _, m := range w.fake["asked"].all {
		if m.Event == message.Digest {
			lines += len(m.Lines) - 1
		}
	}
	if lines < 349 || lines > 350 {
		t.Errorf("%d alarms in digests, of 350", lines)
	}
	for id, n := range w.fake["asked"].seen {
		if n > 1 {
			t.Errorf("%s was shown %d times", id, n)
		}
	}
}

// A channel that takes all and delivers nothing is dead.
func TestWhatIsNotDeliveredIsAFailure(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"plain": group(), "asked": {Family: message.Chat, Group: true}})
	w.fake["plain"].failed = true
	for n := range 4 {
		w.report(expires(fmt.Sprintf("expiry/k%d", n), noon.Add(20*days)))
	}
	w.settle()
	if w.open(notify.ChannelFailing) != 1 {
		t.Error("nobody was told")
	}
}

// A channel that cannot say what became of a message fails, too, and is not asked for ever.
func TestQuestionsEnd(t *testing.T) {
	w := newWorld(t, map[string]message.Traits{"asked": group()})
	w.fake["asked"].refuse, w.fake["asked"].silent = []error{errors.New("?")}, true
	i := w.report(expires("expiry/k", noon.Add(20*days)))
	w.pass(time.Hour, time.Minute)
	if w.open(notify.ChannelFailing) != 1 {
		t.Error("nobody was told")
	}
	w.pass(8*days, 2*time.Hour)
	sent, err := w.shelf.Deliveries(t.Context(), account, i.ID)
	if err != nil || len(sent) != 1 || sent[0].Progress != notify.Doubt {
		t.Errorf("have %+v, %v", sent, err)
	}
}

// Who ignores an id that he has seen misses no message of a test.
func TestTheMessagesOfATestHaveIDsOfTheirOwn(t *testing.T) {
	machine := message.Traits{Family: message.Machine, Group: true}
	w := newWorld(t, map[string]message.Traits{"plain": machine})
	if _, err := w.Test(t.Context(), root(), "plain", ""); err != nil {
		t.Fatal(err)
	}
	all := w.fake["plain"].all
	if len(all) != 2 || all[0].Event != message.Test || all[1].Event != message.Resolve || all[0].ID == all[1].ID || all[0].Incident != all[1].Incident {
		t.Errorf("have %+v", all)
	}
}
