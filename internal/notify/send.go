package notify

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/oncall"
)

const (
	failing      = 3 // failures in a row after which a channel counts as dead
	foldAbove    = 5 // messages to one recipient that are folded into one
	atOnce       = 200
	perLook      = 50 // messages at most
	sendPatience = 30 * time.Second
	giveUp       = 7 * day // after which a channel that takes nothing is not tried any more
	maxDelay     = 10 * time.Minute
	unclearDelay = time.Minute // before a channel is asked what became of a message
)

// A mailer empties one channel's outbox.
type mailer struct {
	*Service
	channel Channel
	kind    message.Kind
	sender  message.Sender
	health  Health
	plan    oncall.Plan
	people  oncall.Directory
}

// send sends what waits for a channel, one message after the other, at the pace that the
// channel bears. The job's lease sees to it that nobody else does so.
func (s *Service) send(ctx context.Context, j job.Job) (again time.Time, err error) {
	m, closeSender, err := s.mailer(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, s.unwatch(ctx, j.Account, j.Subject)
	}
	if err != nil {
		return time.Time{}, err
	}
	defer closeSender()
	for ctx.Err() == nil {
		now := s.now()
		if ch, err := s.channel(ctx, j.Account, j.Subject); err != nil || ch.Rev != m.channel.Rev {
			return now, err // with its new settings, if it is still there
		}
		if m.channel.Paused {
			return time.Time{}, nil
		}
		due, next, err := s.o.Outbox.Due(ctx, j.Account, j.Subject, now, atOnce)
		if err != nil || len(due) == 0 {
			return next, err
		}
		// Some messages from each look: more severe ones may have come meanwhile.
		for n := 0; n < perLook && len(due) > 0 && ctx.Err() == nil; n++ {
			var batch []Delivery
			batch, due = m.next(due)
			if wait, err := m.deliver(ctx, batch); err != nil || wait > 0 {
				return s.now().Add(wait), err
			}
		}
	}
	return time.Time{}, context.Cause(ctx)
}

// deliver has the rest of a batch leave that has not become pointless, or answers how long
// to wait before it may.
func (m *mailer) deliver(ctx context.Context, batch []Delivery) (wait time.Duration, err error) {
	batch, incidents, err := m.still(ctx, batch)
	if err != nil || len(batch) == 0 {
		return 0, err
	}
	if wait, err := m.take(ctx, m.now()); err != nil || wait > 0 {
		return wait, err
	}
	return 0, m.settle(ctx, batch, incidents)
}

// mailer opens a channel. One that cannot be opened fails as one does that takes nothing.
func (s *Service) mailer(ctx context.Context, account, name string) (*mailer, func(), error) {
	ch, err := s.channel(ctx, account, name)
	if err != nil {
		return nil, nil, err
	}
	m := &mailer{Service: s, channel: ch}
	healths, err := s.o.Config.Healths(ctx, account)
	if err != nil {
		return nil, nil, err
	}
	m.health = healths[name]
	m.health.Account, m.health.Channel = account, name
	if m.plan, err = s.o.Config.Plan(ctx, account); err != nil {
		return nil, nil, err
	}
	if m.people, err = s.o.Directory.Directory(ctx, account); err != nil {
		return nil, nil, err
	}
	if m.kind, err = s.kind(ch.Kind); err != nil {
		return nil, nil, err // a node of a newer release knows it
	}
	sender, filling, err := s.sender(ctx, ch, m.kind)
	if err != nil {
		return nil, nil, errors.Join(err, m.well(ctx, &message.SendError{Class: message.Permanent, Reason: fault.Say("its settings or its credential cannot be used")}))
	}
	m.sender = sender
	return m, filling.Erase, nil
}

// take takes one message's worth of what may leave now, or answers how long to wait. It
// is stored before the message leaves, so that a crash does not give it back.
func (m *mailer) take(ctx context.Context, now time.Time) (wait time.Duration, err error) {
	t := m.kind.Traits
	if t.Burst == 0 || t.PerMinute == 0 {
		return 0, nil
	}
	perSecond := float64(t.PerMinute) / 60
	m.health, err = m.o.Config.ChangeHealth(ctx, m.channel.Account, m.channel.Name, func(h *Health) {
		if h.TokensAt.IsZero() {
			h.Tokens = float64(t.Burst)
		} else if gone := now.Sub(h.TokensAt).Seconds(); gone > 0 {
			h.Tokens = min(float64(t.Burst), max(h.Tokens, 0)+gone*perSecond)
		}
		h.TokensAt = now
		if wait = 0; h.Tokens < 1 {
			wait = time.Duration((1-max(h.Tokens, 0))/perSecond*float64(time.Second)) + time.Millisecond
			return
		}
		h.Tokens--
	})
	return wait, err
}

// next answers what leaves with the next message, and the rest: one delivery that a crash
// or a lost answer left in doubt with all that left with it, or else the first one, with
// all others to the same recipient if they are many.
func (m *mailer) next(due []Delivery) (batch, rest []Delivery) {
	if n := slices.IndexFunc(due, func(d Delivery) bool { return d.Progress == Leaving }); n >= 0 {
		return split(due, func(d Delivery) bool { return d.Progress == Leaving && d.message() == due[n].message() })
	}
	batch, rest = split(due, func(d Delivery) bool { return d.Person == due[0].Person && d.Event == message.Trigger })
	if due[0].Event == message.Trigger && len(batch) > foldAbove && m.kind.Traits.Family != message.Paging && m.kind.Traits.Family != message.Machine {
		return batch, rest
	}
	return due[:1], due[1:]
}

// split answers the deliveries that are chosen, and the others.
func split(all []Delivery, chosen func(Delivery) bool) (yes, no []Delivery) {
	for _, d := range all {
		if chosen(d) {
			yes = append(yes, d)
		} else {
			no = append(no, d)
		}
	}
	return yes, no
}

// message answers the id of the message that a delivery leaves in, or left in.
func (d Delivery) message() string { return cmp.Or(d.Batch, d.ID) }

// settle sends deliveries in one message and stores what became of them. Before the
// channel is called it is durable that it may have the message, so that a crash loses
// nothing; after one, a channel that can be asked is asked.
func (m *mailer) settle(ctx context.Context, batch []Delivery, incidents []Incident) error {
	doubtful, tried := batch[0].Progress == Leaving, batch[0].TriedAt
	for i := range batch {
		d := &batch[i]
		d.Progress, d.Attempts, d.TriedAt = Leaving, d.Attempts+1, m.now()
		if !doubtful && len(batch) > 1 {
			d.Batch = batch[0].ID
		}
	}
	msg := m.render(batch, incidents)
	msg.Tried = tried
	if doubtful && !m.kind.Traits.Idempotent {
		settled, err := m.ask(ctx, batch, msg)
		if settled || err != nil {
			return err
		}
	}
	if err := m.o.Outbox.Mark(ctx, batch); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, sendPatience)
	receipt, err := m.sender.Send(call, msg)
	cancel()
	if ctx.Err() != nil && err != nil {
		return context.Cause(ctx) // it stays in doubt, for whoever comes next
	}
	return m.mark(ctx, batch, receipt, err)
}

// still settles what has become pointless, and answers the rest with their incidents.
func (m *mailer) still(ctx context.Context, batch []Delivery) (keep []Delivery, incidents []Incident, err error) {
	var drop []Delivery
	for _, d := range batch {
		i, err := m.o.Incidents.Incident(ctx, d.Account, d.Incident)
		if err != nil && !fault.Is(err, fault.ResourceNotFound) {
			return nil, nil, err
		}
		pointless := err != nil
		if !pointless {
			if pointless, err = m.pointless(ctx, d, i); err != nil {
				return nil, nil, err
			}
		}
		if !pointless {
			keep, incidents = append(keep, d), append(incidents, i)
			continue
		}
		if d.DoneAt = m.now(); d.Progress == Leaving {
			d.Progress = Doubt // and what may have left is not sent after the end was told
		} else {
			d.Progress = Dropped
		}
		drop = append(drop, d)
	}
	if len(drop) > 0 {
		err = m.o.Outbox.Mark(ctx, drop)
	}
	return keep, incidents, err
}

// pointless tells whether nobody would want a message any more: what it tells is over, or
// a later one tells it, too; or it tells the end of what was never told; or who would get
// it is not there.
func (m *mailer) pointless(ctx context.Context, d Delivery, i Incident) (bool, error) {
	if d.Event == message.Trigger && !i.Open() {
		return true, nil
	}
	if d.Person != "" && !m.reaches(d.Person) {
		var err error // perhaps the person is new
		if m.people, err = m.o.Directory.Directory(ctx, d.Account); err != nil || !m.reaches(d.Person) {
			return true, err
		}
	}
	overtaken := d.Event == message.Trigger && d.Progress == Waiting && d.Alarm < i.Alarms
	if d.Event == message.Trigger && !overtaken {
		return false, nil
	}
	sent, err := m.o.Incidents.Deliveries(ctx, d.Account, d.Incident)
	told := slices.ContainsFunc(sent, func(t Delivery) bool {
		return t.Event == message.Trigger && t.Channel == d.Channel && t.Person == d.Person && t.Progress != Lost && t.Progress != Dropped &&
			(d.Event == message.Resolve && t.Progress != Waiting || overtaken && t.Alarm > d.Alarm)
	})
	return told == overtaken, err
}

func (m *mailer) reaches(person string) bool {
	p, ok := m.people.Person(person)
	return ok && m.kind.Traits.Reaches(p.Recipient())
}

// ask finds out what became of a message in doubt. It answers whether that settled it;
// otherwise the message may be sent: it never arrived, or nobody can tell, and then once.
func (m *mailer) ask(ctx context.Context, batch []Delivery, msg message.Message) (settled bool, err error) {
	q, ok := m.sender.(message.Querier)
	if !ok {
		if batch[0].Attempts <= 2 {
			return false, nil
		}
		return true, m.settled(ctx, batch, Doubt, nil)
	}
	call, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	receipt, err := q.Query(call, msg)
	if ctx.Err() != nil && err != nil {
		return true, context.Cause(ctx)
	}
	if err != nil {
		return true, m.unclear(ctx, batch, err, 0)
	}
	if receipt.State == message.Missing {
		return false, nil
	}
	return true, m.mark(ctx, batch, receipt, nil)
}

// mark stores what became of deliveries and how the channel does.
func (m *mailer) mark(ctx context.Context, batch []Delivery, receipt message.Receipt, err error) error {
	for i := range batch {
		batch[i].Receipt = cmp.Or(receipt.ID, batch[i].Receipt)
	}
	if err == nil && receipt.State == message.Failed {
		err = &message.SendError{Class: message.Permanent, Reason: fault.Say("the channel could not deliver it")}
	}
	if err == nil {
		return errors.Join(m.settled(ctx, batch, Sent, nil), m.well(ctx, nil))
	}
	class, after := message.Unclear, time.Duration(0)
	var refused *message.SendError
	if errors.As(err, &refused) {
		class, after = refused.Class, refused.After
	}
	switch {
	case class == message.Permanent, class == message.Retry && m.old(batch):
		return errors.Join(m.settled(ctx, batch, Lost, err), m.well(ctx, err))
	case class == message.Retry:
		for i := range batch {
			batch[i].Progress, batch[i].Batch = Waiting, ""
		}
		return errors.Join(m.postpone(ctx, batch, err, max(after, delay(time.Second, batch[0].Attempts))), m.well(ctx, err))
	}
	return m.unclear(ctx, batch, err, after)
}

// unclear puts off deliveries of which the channel gave no clear answer, if they are not
// old.
func (m *mailer) unclear(ctx context.Context, batch []Delivery, err error, after time.Duration) error {
	if m.old(batch) {
		return errors.Join(m.settled(ctx, batch, Doubt, err), m.well(ctx, err))
	}
	return errors.Join(m.postpone(ctx, batch, err, max(after, delay(unclearDelay/2, batch[0].Attempts))), m.well(ctx, err))
}

// old tells whether deliveries have been tried for as long as it makes sense. An outage
// of some days loses no alarm.
func (m *mailer) old(batch []Delivery) bool { return m.now().Sub(batch[0].At) >= giveUp }

// delay doubles with each attempt from the first on.
func delay(first time.Duration, attempts int) time.Duration {
	return min(first<<min(attempts, 10), maxDelay)
}

// settled stores the end of deliveries.
func (m *mailer) settled(ctx context.Context, batch []Delivery, p Progress, err error) error {
	now, why := m.now(), reason(err)
	for i := range batch {
		batch[i].Progress, batch[i].DoneAt, batch[i].Error, batch[i].Chinese = p, now, why.String(), why.Chinese()
	}
	return m.o.Outbox.Mark(ctx, batch)
}

func (m *mailer) postpone(ctx context.Context, batch []Delivery, err error, after time.Duration) error {
	until, why := m.now().Add(after), reason(err) // the same for all: they stay together
	for i := range batch {
		batch[i].After, batch[i].Error, batch[i].Chinese = until, why.String(), why.Chinese()
	}
	return m.o.Outbox.Mark(ctx, batch)
}

// reason answers what a person may read of an error of a channel.
func reason(err error) fault.Text {
	if err == nil {
		return fault.Text{}
	}
	var refused *message.SendError
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return fault.Say("the channel gave no clear answer")
}

// well stores how the channel does, and reports its death and its return on the others.
func (m *mailer) well(ctx context.Context, sent error) (err error) {
	now, why := m.now(), reason(sent)
	m.health, err = m.o.Config.ChangeHealth(ctx, m.channel.Account, m.channel.Name, func(h *Health) {
		if h.Error, h.Chinese = why.String(), why.Chinese(); sent == nil {
			h.SentAt, h.Failures = now, 0
		} else {
			h.FailedAt, h.Failures = now, h.Failures+1
		}
	})
	if err != nil {
		return err
	}
	return m.dead(ctx)
}

// dead reports whether the channel works.
func (m *mailer) dead(ctx context.Context) error {
	condition := channelCondition(m.channel.Name)
	switch {
	case m.health.Failures == 0:
		return m.End(ctx, m.channel.Account, condition)
	case m.health.Failures < failing:
		return nil
	}
	return m.Report(ctx, m.channel.Account, Condition{
		Name: condition, Kind: ChannelFailing, Subject: m.channel.Name, Severity: message.Critical, Facts: []Fact{{"reason", m.health.Error, m.health.Chinese}},
	})
}

// unwatch ends what is reported of a channel that is paused or gone.
func (s *Service) unwatch(ctx context.Context, account, channel string) error {
	return errors.Join(s.End(ctx, account, channelCondition(channel)), s.End(ctx, account, confirmCondition(channel)))
}

func confirmCondition(name string) string { return "confirm/" + name }

func channelCondition(name string) string { return "channel/" + name }

// render makes the message of deliveries: one alarm, or many in one.
func (m *mailer) render(batch []Delivery, incidents []Incident) message.Message {
	d, i := batch[0], incidents[0]
	lang := m.plan.Lang
	to := []message.Recipient{}
	if d.Person != "" {
		p, _ := m.people.Person(d.Person) // who is reached: see still
		lang = cmp.Or(p.Language, lang)
		to = append(to, p.Recipient())
	} else { // a group is told whose it is
		for _, p := range m.people.Told(m.plan.Levels, d.Level, i.Owner, d.At) {
			to = append(to, p.Recipient())
		}
	}
	var link string
	if m.o.Links != nil && d.Event == message.Trigger {
		link = m.o.Links.Incident(d.Account, d.Incident, d.Person)
	}
	if len(batch) > 1 {
		return digest(batch, incidents, message.Message{ID: d.message(), At: d.At, Link: link, To: to, Language: lang}, m.now())
	}
	zone, err := m.plan.Quiet.Location()
	if err != nil {
		zone = time.UTC
	}
	return alarm(i, d, message.Message{ID: d.message(), At: d.At, Link: link, To: to, Language: lang}, m.now(), zone)
}
