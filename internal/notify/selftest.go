package notify

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/oncall"
)

// confirmWithin is how long a test message may stay unconfirmed.
const confirmWithin = 72 * time.Hour

// Test sends a test message over a channel at once, to a person if the channel needs one,
// and answers what the channel says. The record is durable before the message leaves: it
// tells that somebody asked for it, not what became of it.
func (s *Service) Test(ctx context.Context, c *authz.Call, name, person string) (r message.Receipt, err error) {
	err = s.do(ctx, c, "keyward:TestChannel", "channel/"+name, func(rec *audit.Record) error {
		m, closeSender, err := s.mailer(ctx, c.Account, name)
		if err != nil {
			return err
		}
		defer closeSender()
		if err := s.first(ctx, rec); err != nil {
			return err
		}
		r, err = m.test(ctx, person)
		return err
	})
	return r, err
}

func (m *mailer) test(ctx context.Context, person string) (message.Receipt, error) {
	now := m.now()
	p := oncall.Person{}
	if !m.kind.Traits.Group {
		candidates := append(m.people.Told(m.plan.Levels, len(m.plan.Levels)-1, "", now), m.people.People...)
		n := slices.IndexFunc(candidates, func(p oncall.Person) bool {
			return (person == "" || p.Name == person) && m.kind.Traits.Reaches(p.Recipient())
		})
		if n < 0 {
			return message.Receipt{}, fault.InvalidParameter.New("there is no such person with an address for this channel; add one with: keyward person set NAME --email … --mobile …")
		}
		p = candidates[n]
	}
	l := cmp.Or(p.Language, m.plan.Lang)
	msg := message.Message{
		ID: ticket(), Incident: "test-" + m.channel.Name, Event: message.Test, At: now, Language: l,
		Title:  l.Pick("[keyward] Test message of ", "[keyward] 测试消息：") + m.channel.Name,
		Lines:  []string{l.Pick("Please confirm that you can read this.", "请确认您能看到此消息。")},
		Values: message.Values{Product: "keyward", Subject: l.Pick("test", "测试"), Left: "-", Ticket: "TEST"},
	}
	msg.Short = message.Cut("keyward "+msg.Lines[0], 70)
	if m.o.Links != nil {
		msg.Link = m.o.Links.Confirm(m.channel.Account, m.channel.Name, p.Name)
	}
	if p.Name != "" {
		msg.To = []message.Recipient{p.Recipient()}
	}
	call, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	receipt, err := m.sender.Send(call, msg)
	tested := error(nil)
	if err == nil {
		m.health, tested = m.o.Config.ChangeHealth(ctx, m.channel.Account, m.channel.Name, func(h *Health) {
			h.TestedAt = now
			if m.kind.Traits.Family == message.Machine || m.kind.Traits.Family == message.Paging { // no person reads it
				h.ConfirmedAt = now
			}
		})
	}
	if f := m.kind.Traits.Family; err == nil && (f == message.Machine || f == message.Paging) {
		msg.ID, msg.Event = ticket(), message.Resolve // a test that stays open is an incident
		_, err = m.sender.Send(call, msg)
	}
	if well := errors.Join(tested, m.well(ctx, err)); well != nil {
		return receipt, well
	}
	if err != nil {
		return receipt, fault.Unavailable.Wrap(err, "the channel did not take the message: %s", reason(err))
	}
	return receipt, nil
}

// Confirm notes that a person read a channel's test message.
func (s *Service) Confirm(ctx context.Context, c *authz.Call, name, by string) error {
	return s.do(ctx, c, "keyward:ConfirmChannel", "channel/"+name, func(rec *audit.Record) error {
		if len(by) > 128 || message.Line(by, 128) != by {
			return fault.InvalidParameter.New("a name is one line of at most 128 bytes")
		}
		rec.Param("By", by)
		if _, err := s.channel(ctx, c.Account, name); err != nil {
			return err
		}
		if err := s.first(ctx, rec); err != nil {
			return err
		}
		now := s.now()
		if _, err := s.o.Config.ChangeHealth(ctx, c.Account, name, func(h *Health) { h.ConfirmedAt = now }); err != nil {
			return err
		}
		return s.End(ctx, c.Account, confirmCondition(name))
	})
}

// selfTest sends the weekly test message and, between two of them, looks whether the last
// one was confirmed.
func (s *Service) selfTest(ctx context.Context, j job.Job) (again time.Time, err error) {
	m, closeSender, err := s.mailer(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, s.unwatch(ctx, j.Account, j.Subject)
	}
	if err != nil {
		return time.Time{}, err
	}
	defer closeSender()
	now := s.now()
	h := m.health
	if m.channel.Paused {
		return now.Add(day), s.unwatch(ctx, j.Account, j.Subject)
	}
	if err := m.dead(ctx); err != nil { // again: a crash may have come in between
		return time.Time{}, err
	}
	switch {
	case !h.TestedAt.After(h.ConfirmedAt):
		err = s.End(ctx, j.Account, confirmCondition(j.Subject))
	case now.Sub(h.TestedAt) >= confirmWithin:
		err = s.unread(ctx, j, Fact{Name: "since", Value: h.TestedAt.Format(time.RFC3339)})
	}
	if err != nil {
		return time.Time{}, err
	}
	if now.Sub(h.TestedAt) < testEvery && h.Failures < failing {
		return now.Add(day), nil
	}
	switch _, err := m.test(ctx, ""); {
	case fault.Is(err, fault.InvalidParameter): // nobody has an address for it
		why := fault.TextOf(err)
		return now.Add(day), s.unread(ctx, j, Fact{"reason", why.String(), why.Chinese()})
	case fault.Is(err, fault.Internal):
		return time.Time{}, err
	}
	return now.Add(day), nil // a channel that took nothing is reported as failing
}

// unread reports that nobody reads a channel.
func (s *Service) unread(ctx context.Context, j job.Job, why Fact) error {
	return s.Report(ctx, j.Account, Condition{Name: confirmCondition(j.Subject), Kind: ChannelUnread, Subject: j.Subject, Severity: message.Warning, Facts: []Fact{why}})
}

// heartbeat gives a sign of life over a channel while all is well: a watchdog outside
// raises the alarm when it misses one.
func (s *Service) heartbeat(ctx context.Context, j job.Job) (again time.Time, err error) {
	m, closeSender, err := s.mailer(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	defer closeSender()
	if m.channel.Heartbeat == 0 || m.channel.Paused {
		return time.Time{}, nil
	}
	again = s.now().Add(m.channel.Heartbeat)
	if !s.o.Healthy(ctx, j.Account) {
		return again, nil
	}
	call, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	_, err = m.sender.Send(call, message.Message{
		ID: ticket(), Incident: "heartbeat", Event: message.Heartbeat, At: s.now(), Title: "keyward is alive", Short: "keyward is alive", Language: message.English,
	})
	return again, m.well(ctx, err)
}
