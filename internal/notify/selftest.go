package notify

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
)

// confirmWithin is how long a test message may stay unconfirmed.
const confirmWithin = 72 * time.Hour

// Test sends a test message over a channel at once, to a person if the channel needs one,
// and answers what the channel says. The record is durable before the message leaves: it
// tells that somebody asked for it, not what became of it.
func (s *Service) Test(ctx context.Context, c *authz.Call, name, person string) (r Receipt, err error) {
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

func (m *mailer) test(ctx context.Context, person string) (Receipt, error) {
	now := m.now()
	p := Person{}
	if !m.kind.Traits.Group {
		candidates := append(m.people.Told(m.plan.Levels, len(m.plan.Levels)-1, "", now), m.people.People...)
		n := slices.IndexFunc(candidates, func(p Person) bool {
			return (person == "" || p.Name == person) && m.kind.Traits.Reaches(p.recipient())
		})
		if n < 0 {
			return Receipt{}, fault.InvalidParameter.New("there is no such person with an address for this channel; add one with: keyward person set NAME --email … --mobile …")
		}
		p = candidates[n]
	}
	l := cmp.Or(p.Language, m.plan.Lang)
	msg := Message{
		ID: ticket(), Incident: "test-" + m.channel.Name, Event: Test, At: now, Language: l,
		Title:  pick(l, "[keyward] Test message of ", "[keyward] 测试消息：") + m.channel.Name,
		Lines:  []string{pick(l, "Please confirm that you can read this.", "请确认您能看到此消息。")},
		Values: Values{Product: "keyward", Subject: pick(l, "test", "测试"), Left: "-", Ticket: "TEST"},
	}
	msg.Short = cut("keyward "+msg.Lines[0], 70)
	if m.o.Links != nil {
		msg.Link = m.o.Links.Confirm(m.channel.Account, m.channel.Name, p.Name)
	}
	if p.Name != "" {
		msg.To = []Recipient{p.recipient()}
	}
	call, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	receipt, err := m.sender.Send(call, msg)
	if err == nil {
		m.health.TestedAt = now
		if m.kind.Traits.Family == Machine || m.kind.Traits.Family == Paging { // no person reads it
			m.health.ConfirmedAt = now
			msg.Event = Resolve // a test that stays open is an incident
			_, err = m.sender.Send(call, msg)
		}
	}
	if well := m.well(ctx, err); well != nil {
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
		rec.Param("By", by)
		if _, err := s.channel(ctx, c.Account, name); err != nil {
			return err
		}
		healths, err := s.o.Config.Healths(ctx, c.Account)
		if err != nil {
			return err
		}
		if err := s.first(ctx, rec); err != nil {
			return err
		}
		h := healths[name]
		h.Account, h.Channel, h.ConfirmedAt = c.Account, name, s.now()
		if err := s.o.Config.SaveHealth(ctx, h); err != nil {
			return err
		}
		return s.End(ctx, c.Account, "confirm/"+name)
	})
}

// selfTest sends the weekly test message and, between two of them, looks whether the last
// one was confirmed.
func (s *Service) selfTest(ctx context.Context, j job.Job) (again time.Time, err error) {
	m, closeSender, err := s.mailer(ctx, j.Account, j.Subject)
	if fault.Is(err, fault.ResourceNotFound) {
		return time.Time{}, s.End(ctx, j.Account, "confirm/"+j.Subject)
	}
	if err != nil {
		return time.Time{}, err
	}
	defer closeSender()
	now := s.now()
	h := m.health
	if m.channel.Paused {
		return now.Add(day), nil
	}
	if unread := h.TestedAt.After(h.ConfirmedAt) && now.Sub(h.TestedAt) >= confirmWithin; unread {
		err = s.Report(ctx, j.Account, Condition{
			Name: "confirm/" + j.Subject, Kind: ChannelUnread, Subject: j.Subject, Severity: Warning,
			Facts: []Fact{{"since", h.TestedAt.Format(time.RFC3339)}},
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	if now.Sub(h.TestedAt) < testEvery {
		return now.Add(day), nil
	}
	if _, err := m.test(ctx, ""); err != nil && fault.Is(err, fault.Internal) {
		return time.Time{}, err
	}
	return now.Add(day), nil // a channel that took nothing is reported as failing
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
	_, err = m.sender.Send(call, Message{
		ID: ticket(), Incident: "heartbeat", Event: Heartbeat, At: s.now(), Title: "keyward is alive", Short: "keyward is alive", Language: English,
	})
	return again, m.well(ctx, err)
}
