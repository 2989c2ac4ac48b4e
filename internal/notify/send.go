package notify

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
)

const (
	failing      = 3 // failures in a row after which a channel counts as dead
	foldAbove    = 5 // messages to one recipient that are folded into one
	atOnce       = 200
	sendPatience = 30 * time.Second
	maxAttempts  = 20
	maxDelay     = 10 * time.Minute
	unclearDelay = time.Minute // before a channel is asked what became of a message
)

// A mailer empties one channel's outbox.
type mailer struct {
	*Service
	channel Channel
	kind    KindOfChannel
	sender  Sender
	health  Health
	plan    Plan
	people  Directory
}

// send sends what waits for a channel, one message after the other, at the pace that the
// channel bears. The job's lease sees to it that nobody else does so.
func (s *Service) send(ctx context.Context, j job.Job) (again time.Time, err error) {
	m, closeSender, err := s.mailer(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	defer closeSender()
	for !m.channel.Paused {
		now := s.now()
		due, next, err := s.o.Outbox.Due(ctx, j.Account, j.Subject, now, atOnce)
		if err != nil || len(due) == 0 {
			return next, err
		}
		if wait := m.take(now); wait > 0 {
			return now.Add(wait), s.o.Config.SaveHealth(ctx, m.health)
		}
		if err := m.settle(ctx, m.next(due)); err != nil {
			return time.Time{}, err
		}
		if ctx.Err() != nil {
			return time.Time{}, context.Cause(ctx)
		}
	}
	return time.Time{}, nil
}

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
	sender, kind, filling, err := s.sender(ctx, ch)
	if err != nil {
		return nil, nil, err
	}
	m.sender, m.kind = sender, kind
	return m, filling.Erase, nil
}

// take takes one message's worth of what may leave now, or answers how long to wait.
func (m *mailer) take(now time.Time) time.Duration {
	t := m.kind.Traits
	if t.Burst == 0 || t.PerMinute == 0 {
		return 0
	}
	perSecond := float64(t.PerMinute) / 60
	if m.health.TokensAt.IsZero() {
		m.health.Tokens = float64(t.Burst)
	} else if gone := now.Sub(m.health.TokensAt).Seconds(); gone > 0 {
		m.health.Tokens = min(float64(t.Burst), m.health.Tokens+gone*perSecond)
	}
	m.health.TokensAt = now
	if m.health.Tokens < 1 {
		return time.Duration((1-m.health.Tokens)/perSecond*float64(time.Second)) + time.Millisecond
	}
	m.health.Tokens--
	return 0
}

// next answers what leaves with the next message: one delivery that a crash or a lost
// answer left in doubt with all that left with it, or else the first one, with all others
// to the same recipient if they are many.
func (m *mailer) next(due []Delivery) []Delivery {
	if n := slices.IndexFunc(due, func(d Delivery) bool { return d.Progress == Leaving }); n >= 0 {
		batch := due[n].Batch
		return slices.DeleteFunc(slices.Clone(due), func(d Delivery) bool {
			return d.ID != due[n].ID && (batch == "" || d.Batch != batch || d.Progress != Leaving)
		})
	}
	same := slices.DeleteFunc(slices.Clone(due), func(d Delivery) bool { return d.Person != due[0].Person || d.Event != Trigger })
	if due[0].Event == Trigger && len(same) > foldAbove && m.kind.Traits.Family != Paging && m.kind.Traits.Family != Machine {
		return same
	}
	return due[:1]
}

// settle sends deliveries in one message and stores what became of them. Before the
// channel is called it is durable that it may have the message, so that a crash loses
// nothing; after one, a channel that can be asked is asked.
func (m *mailer) settle(ctx context.Context, batch []Delivery) error {
	batch, incidents, err := m.still(ctx, batch)
	if err != nil || len(batch) == 0 {
		return err
	}
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

// still drops what has become pointless, and answers the incidents of the rest.
func (m *mailer) still(ctx context.Context, batch []Delivery) ([]Delivery, []Incident, error) {
	var keep, drop []Delivery
	var incidents []Incident
	for _, d := range batch {
		i, err := m.o.Incidents.Incident(ctx, d.Account, d.Incident)
		if err != nil && !fault.Is(err, fault.ResourceNotFound) {
			return nil, nil, err
		}
		if err != nil || d.Event == Trigger && !i.Open() && d.Progress == Waiting {
			d.Progress, d.DoneAt = Dropped, m.now()
			drop = append(drop, d)
			continue
		}
		keep, incidents = append(keep, d), append(incidents, i)
	}
	if len(drop) > 0 {
		if err := m.o.Outbox.Mark(ctx, drop); err != nil {
			return nil, nil, err
		}
	}
	return keep, incidents, nil
}

// ask finds out what became of a message in doubt. It answers whether that settled it;
// otherwise the message may be sent: it never arrived, or nobody can tell, and then once.
func (m *mailer) ask(ctx context.Context, batch []Delivery, msg Message) (settled bool, err error) {
	q, ok := m.sender.(Querier)
	if !ok {
		if batch[0].Attempts <= 2 {
			return false, nil
		}
		for i := range batch {
			batch[i].Progress, batch[i].DoneAt = Doubt, m.now()
		}
		return true, m.o.Outbox.Mark(ctx, batch)
	}
	call, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	receipt, err := q.Query(call, msg)
	if err != nil {
		return true, m.postpone(ctx, batch, err, unclearDelay)
	}
	if receipt.State == Missing {
		return false, nil
	}
	return true, m.mark(ctx, batch, receipt, nil)
}

// mark stores what became of deliveries and how the channel does.
func (m *mailer) mark(ctx context.Context, batch []Delivery, receipt Receipt, err error) error {
	now := m.now()
	if err == nil {
		for i := range batch {
			d := &batch[i]
			d.Progress, d.DoneAt, d.Receipt, d.Error = Sent, now, receipt.ID, ""
			if receipt.State == Failed {
				d.Progress, d.Error = Lost, "the channel could not deliver it"
			}
		}
		return errors.Join(m.o.Outbox.Mark(ctx, batch), m.well(ctx, nil))
	}
	class, after := Unclear, time.Duration(0)
	var refused *SendError
	if errors.As(err, &refused) {
		class, after = refused.Class, refused.After
	}
	if class == Permanent || class == Retry && batch[0].Attempts >= maxAttempts {
		for i := range batch {
			batch[i].Progress, batch[i].DoneAt, batch[i].Error = Lost, now, reason(err)
		}
		return errors.Join(m.o.Outbox.Mark(ctx, batch), m.well(ctx, err))
	}
	if class == Retry {
		for i := range batch {
			batch[i].Progress, batch[i].Batch = Waiting, ""
		}
		after = max(after, min(time.Second<<min(batch[0].Attempts, 20), maxDelay))
	} else {
		after = max(after, unclearDelay)
	}
	return errors.Join(m.postpone(ctx, batch, err, after), m.well(ctx, err))
}

func (m *mailer) postpone(ctx context.Context, batch []Delivery, err error, after time.Duration) error {
	for i := range batch {
		batch[i].After, batch[i].Error = m.now().Add(after), reason(err)
	}
	return m.o.Outbox.Mark(ctx, batch)
}

// reason answers what a person may read of an error of a channel.
func reason(err error) string {
	var refused *SendError
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return "the channel gave no clear answer"
}

// well stores how the channel does, and reports its death and its return on the others.
func (m *mailer) well(ctx context.Context, err error) error {
	h := &m.health
	if err == nil {
		h.SentAt, h.Failures, h.Error = m.now(), 0, ""
	} else {
		h.FailedAt, h.Failures, h.Error = m.now(), h.Failures+1, reason(err)
	}
	if err := m.o.Config.SaveHealth(ctx, *h); err != nil {
		return err
	}
	condition := channelCondition(m.channel.Name)
	if h.Failures < failing {
		if h.Failures == 0 {
			return m.End(ctx, m.channel.Account, condition)
		}
		return nil
	}
	return m.Report(ctx, m.channel.Account, Condition{
		Name: condition, Kind: ChannelFailing, Subject: m.channel.Name, Severity: Critical, Facts: []Fact{{"reason", h.Error}},
	})
}

func channelCondition(name string) string { return "channel/" + name }

// person answers whom a delivery is for.
func (m *mailer) person(name string) Person {
	if n := m.people.person(name); n >= 0 {
		return m.people.People[n]
	}
	return Person{Name: name}
}

// render makes the message of deliveries: one alarm, or many in one.
func (m *mailer) render(batch []Delivery, incidents []Incident) Message {
	d, i := batch[0], incidents[0]
	lang := m.plan.Lang
	to := []Recipient{}
	if d.Person != "" {
		p := m.person(d.Person)
		lang = cmp.Or(p.Language, lang)
		to = append(to, p.recipient())
	} else { // a group is told whose it is
		for _, p := range m.people.Told(m.plan.Levels, d.Level, i.Owner, d.At) {
			to = append(to, p.recipient())
		}
	}
	var link string
	if m.o.Links != nil && d.Event == Trigger {
		link = m.o.Links.Incident(d.Account, d.Incident, d.Person)
	}
	if len(batch) > 1 {
		return digest(batch, incidents, Message{ID: batch[0].ID, At: d.At, Link: link, To: to, Language: lang}, m.now())
	}
	zone, err := m.plan.Quiet.zone()
	if err != nil {
		zone = time.UTC
	}
	return alarm(i, d, Message{ID: d.ID, At: d.At, Link: link, To: to, Language: lang}, m.now(), zone)
}
