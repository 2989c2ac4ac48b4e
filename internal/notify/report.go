package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/job"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/oncall"
)

// A Condition is what somebody watches and found to be so.
type Condition struct {
	Name     string // Incident.Condition
	Kind     string
	Subject  string
	Owner    string
	Facts    []Fact
	Deadline time.Time
	Severity message.Severity // where there is no deadline
}

const (
	testEvery = 7 * 24 * time.Hour // between two test messages over a channel
	// atOnceReports is how many incidents are stored at once: their records share a commit.
	atOnceReports = 16
)

// Report opens an incident for a condition, or tells an open one how the condition is
// now. Reporting the same again changes nothing.
func (s *Service) Report(ctx context.Context, account string, c Condition) error {
	p, err := s.o.Config.Plan(ctx, account)
	if err != nil {
		return err
	}
	return fault.Again(func() error {
		i, found, err := s.o.Incidents.Watched(ctx, account, c.Name)
		if err != nil {
			return err
		}
		err = s.report(ctx, account, p, c, i, found)
		if fault.Is(err, fault.ResourceExists) { // somebody else reported it first
			err = fault.Changed.Wrap(err, "the incident was changed meanwhile; try again")
		}
		return err
	})
}

// report brings an incident up to what its condition is now. What it reports again is
// looked at again, too: the plan may be another one, and the job that would have looked
// may be lost.
func (s *Service) report(ctx context.Context, account string, p oncall.Plan, c Condition, i Incident, found bool) error {
	now := s.now()
	c.tidy()
	stage := p.StageOf(c.Severity)
	if !c.Deadline.IsZero() {
		if stage = p.StageAt(c.Deadline, now); stage < 0 { // it is far away, perhaps put off
			if found {
				return s.end(ctx, i)
			}
			return nil
		}
	}
	before := i
	if !found {
		i = Incident{Account: account, ID: ticket(), Condition: c.Name, OpenedAt: now}
	}
	i.Kind, i.Subject, i.Owner, i.Facts, i.Deadline = c.Kind, c.Subject, c.Owner, c.Facts, c.Deadline
	i.Stage = stage
	if c.Deadline.Sub(before.Deadline) >= day { // another deadline is another ladder
		i.Told, i.Level, i.AckBy, i.AckUntil = 0, 0, "", time.Time{}
	}
	i.Told = min(i.Told, stage+1) // what comes again is told again
	if next, _, rings := Decide(i, p, now); found && same(before, i) && !rings && next.NextAt.Equal(before.NextAt) {
		return nil
	}
	return s.proceed(ctx, s.engine(account), "keyward:RaiseIncident", i, p)
}

// Reconcile brings all incidents whose conditions are the caller's, as ours tells, up to
// what is so now: conditions by name. Those that are not so any more end. One that cannot
// be stored does not keep the others waiting; the errors are answered together.
func (s *Service) Reconcile(ctx context.Context, account string, ours func(condition string) bool, conditions map[string]Condition) error {
	p, err := s.o.Config.Plan(ctx, account)
	if err != nil {
		return err
	}
	open, err := s.o.Incidents.Incidents(ctx, account, false, 0)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(atOnceReports)
	var mu sync.Mutex // guards failed
	var failed []error
	each := func(fn func() error) {
		g.Go(func() error {
			if err := overtaken(fn()); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			return nil
		})
	}
	known := map[string]bool{}
	for _, i := range open {
		known[i.Condition] = true
		c, still := conditions[i.Condition]
		switch {
		case !ours(i.Condition):
		case still:
			each(func() error { return s.report(ctx, account, p, c, i, true) })
		default:
			each(func() error { return s.end(ctx, i) })
		}
	}
	for name, c := range conditions {
		if !known[name] {
			each(func() error { return s.report(ctx, account, p, c, Incident{}, false) })
		}
	}
	_ = g.Wait()
	return errors.Join(failed[:min(len(failed), maxErrors)]...)
}

// maxErrors is how many errors of one reconciliation are told: the log is for people.
const maxErrors = 10

// Bounds of what a condition may say, in characters.
const (
	maxSubject = 200
	maxFact    = 1000
	maxFacts   = 30
)

// tidy makes what others wrote fit for one line each: a line break in a subject would be
// a header of an e-mail, and a database refuses what is no text.
func (c *Condition) tidy() {
	c.Subject, c.Owner = message.Line(c.Subject, maxSubject), message.Line(c.Owner, maxFact)
	c.Deadline = c.Deadline.UTC().Truncate(time.Microsecond)
	c.Facts = slices.Clone(c.Facts[:min(len(c.Facts), maxFacts)])
	for n, f := range c.Facts {
		c.Facts[n] = Fact{message.Line(f.Name, maxSubject), message.Line(f.Value, maxFact), message.Line(f.Chinese, maxFact)}
	}
}

// overtaken passes over what somebody else changed at the same moment: whoever reconciles
// does so again.
func overtaken(err error) error {
	if fault.Is(err, fault.Changed) || fault.Is(err, fault.ResourceExists) {
		return nil
	}
	return err
}

// same tells whether a report brings nothing new.
func same(a, b Incident) bool {
	return a.Stage == b.Stage && a.Kind == b.Kind && a.Subject == b.Subject && a.Owner == b.Owner &&
		a.Deadline.Equal(b.Deadline) && slices.Equal(a.Facts, b.Facts)
}

// End tells that a condition is over, if it was reported.
func (s *Service) End(ctx context.Context, account, condition string) error {
	return fault.Again(func() error {
		i, found, err := s.o.Incidents.Watched(ctx, account, condition)
		if err != nil || !found {
			return err
		}
		return s.end(ctx, i)
	})
}

func (s *Service) end(ctx context.Context, i Incident) error {
	return s.do(ctx, s.engine(i.Account), "keyward:EndIncident", "incident/"+i.ID, func(rec *audit.Record) error {
		now := s.now()
		i.EndedAt, i.ChangedAt, i.NextAt = now, now, time.Time{}
		if err := s.explain(ctx, &i); err != nil {
			return err
		}
		sent, err := s.o.Incidents.Deliveries(ctx, i.Account, i.ID)
		if err != nil {
			return err
		}
		// Who was told that it began is told that it is over, but not by SMS.
		channels, err := s.o.Config.Channels(ctx, i.Account)
		if err != nil {
			return err
		}
		var out []Delivery
		told := map[string]bool{}
		for _, d := range sent {
			to := d.Channel + "/" + d.Person
			n := slices.IndexFunc(channels, func(c Channel) bool { return c.Name == d.Channel })
			if d.Event != message.Trigger || told[to] || n < 0 {
				continue
			}
			if k, err := s.kind(channels[n].Kind); err != nil || k.Traits.Family == message.Phone {
				continue
			}
			told[to] = true
			out = append(out, delivery(i, Alarm{Number: i.Alarms + 1, Rung: oncall.Rung{Severity: d.Severity}}, message.Resolve, d.Channel, d.Person, now))
		}
		return s.o.Incidents.SaveIncident(ctx, rec, &i, out, sends(out, now))
	})
}

// explain notes at an incident why it is over although nobody put anything right.
func (s *Service) explain(ctx context.Context, i *Incident) error {
	if s.o.Over == nil || !slices.Contains([]string{KeyExpiry, KeyAge, ProviderStale}, i.Kind) {
		return nil
	}
	known := map[string]string{"provider": i.Subject} // of ProviderStale
	for _, f := range i.Facts {
		known[f.Name] = f.Value
	}
	why, err := s.o.Over(ctx, i.Account, known["provider"], known["key"])
	if why != "" {
		i.Facts = append([]Fact{{Name: "over", Value: why}}, i.Facts...)
	}
	return err
}

// proceed decides what becomes of an incident and stores it with what is to be sent.
func (s *Service) proceed(ctx context.Context, c *authz.Call, action string, i Incident, p oncall.Plan) error {
	return s.do(ctx, c, action, "incident/"+i.ID, func(rec *audit.Record) error {
		now := s.now()
		i, alarm, told := Decide(i, p, now)
		i.ChangedAt = now
		rec.Param("Condition", i.Condition)
		var out []Delivery
		if told {
			rec.Param("Alarm", string(alarm.Why)+" "+strconv.Itoa(alarm.Number))
			var err error
			if out, err = s.address(ctx, i, p, alarm, now); err != nil {
				return err
			}
			if len(out) == 0 {
				s.o.Logger.Error("an alarm reaches nobody: add channels and people", "account", i.Account, "incident", i.ID, "subject", i.Subject)
				i.Level, i.NextAt = unheard, now.Add(rehear)
			}
		}
		jobs := sends(out, now)
		if !i.NextAt.IsZero() {
			jobs = append(jobs, job.Job{Kind: JobStep, Account: i.Account, Subject: i.ID, Due: i.NextAt})
		}
		return s.o.Incidents.SaveIncident(ctx, rec, &i, out, jobs)
	})
}

// address answers the deliveries of an alarm: over each channel of the rung's families,
// one to the group or one to each person. If a channel is known to fail, the next level
// is told at once. An alarm that would reach nobody goes to everybody, over all channels.
func (s *Service) address(ctx context.Context, i Incident, p oncall.Plan, a Alarm, now time.Time) ([]Delivery, error) {
	channels, err := s.o.Config.Channels(ctx, i.Account)
	if err != nil {
		return nil, err
	}
	healths, err := s.o.Config.Healths(ctx, i.Account)
	if err != nil {
		return nil, err
	}
	directory, err := s.o.Directory.Directory(ctx, i.Account)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(channels, func(c Channel) bool { return !c.Paused && healths[c.Name].Failures >= failing }) {
		a.Level++
	}
	channels = slices.DeleteFunc(channels, func(c Channel) bool { // none can tell of its own death
		return c.Paused || c.Heartbeat > 0 || i.Condition == channelCondition(c.Name)
	})
	after := p.After(a.Rung.Severity, now)
	over := func(families []message.Family, people []oncall.Person) (out []Delivery) {
		for _, ch := range channels {
			k, err := s.kind(ch.Kind)
			switch {
			case err != nil || !slices.Contains(families, k.Traits.Family):
			case k.Traits.Group:
				out = append(out, delivery(i, a, message.Trigger, ch.Name, "", after))
			default:
				for _, person := range people {
					if k.Traits.Reaches(person.Recipient()) {
						out = append(out, delivery(i, a, message.Trigger, ch.Name, person.Name, after))
					}
				}
			}
		}
		return out
	}
	people := directory.People
	if !a.Rung.Everybody {
		people = directory.Told(p.Levels, a.Level, i.Owner, now)
	}
	out := over(a.Rung.Families, people)
	if len(out) == 0 {
		out = over(message.Families(), directory.People)
	}
	return out, nil
}

// delivery makes the delivery of an alarm. No name has the tilde that stands between the
// parts of its id, so that no two deliveries have the same.
func delivery(i Incident, a Alarm, e message.Event, channel, person string, after time.Time) Delivery {
	return Delivery{
		Account: i.Account, ID: fmt.Sprintf("%s~%d~%s~%s", i.ID, a.Number, channel, person), Incident: i.ID, Alarm: a.Number, Why: a.Why, Event: e,
		Severity: a.Rung.Severity, Level: a.Level, Channel: channel, Person: person, At: i.ChangedAt, After: after, Progress: Waiting,
	}
}

// sends plans the sending of deliveries, one job for each channel.
func sends(deliveries []Delivery, now time.Time) []job.Job {
	var out []job.Job
	for _, d := range deliveries {
		if !slices.ContainsFunc(out, func(j job.Job) bool { return j.Subject == d.Channel }) {
			out = append(out, job.Job{Kind: JobSend, Account: d.Account, Subject: d.Channel, Due: now, Hasten: true})
		}
	}
	return out
}

// step looks at an incident whose time has come.
func (s *Service) step(ctx context.Context, j job.Job) (again time.Time, err error) {
	err = fault.Again(func() error {
		i, err := s.o.Incidents.Incident(ctx, j.Account, j.Subject)
		if fault.Is(err, fault.ResourceNotFound) {
			return nil
		}
		if err != nil || !i.Open() || i.NextAt.IsZero() {
			return err
		}
		if s.now().Before(i.NextAt) {
			again = i.NextAt
			return nil
		}
		p, err := s.o.Config.Plan(ctx, j.Account)
		if err != nil {
			return err
		}
		return s.proceed(ctx, s.engine(j.Account), "keyward:EscalateIncident", i, p)
	})
	return again, err
}

// Acknowledge has a person take an incident on, which holds the escalation for as long
// as asked for, at most [Incident.AckLimit]; 0 asks for that.
func (s *Service) Acknowledge(ctx context.Context, c *authz.Call, id, by, note string, hold time.Duration) (i Incident, err error) {
	err = s.do(ctx, c, "keyward:AcknowledgeIncident", "incident/"+id, func(rec *audit.Record) error {
		if len(note) > 1000 || len(by) > 128 || message.Line(note, 1000) != note || message.Line(by, 128) != by {
			return fault.InvalidParameter.New("a note is one line of at most 1000 bytes, and a name of 128")
		}
		if i, err = s.o.Incidents.Incident(ctx, c.Account, id); err != nil {
			return err
		}
		if !i.Open() {
			return fault.StateConflict.New("the incident %s is over", id)
		}
		now := s.now()
		limit := i.AckLimit(now)
		if hold == 0 {
			hold = limit
		}
		if hold < 0 || hold > limit {
			return fault.InvalidParameter.New("this incident can be held for at most %v now; acknowledge it again then", limit.Round(time.Second))
		}
		if by == "" {
			by = c.ARN()
		}
		rec.Param("By", by)
		i.AckBy, i.AckNote, i.AckAt, i.AckUntil = by, note, now, now.Add(hold)
		i.NextAt, i.ChangedAt = i.AckUntil, now
		jobs := []job.Job{{Kind: JobStep, Account: i.Account, Subject: i.ID, Due: i.NextAt}}
		return s.o.Incidents.SaveIncident(ctx, rec, &i, nil, jobs)
	})
	return i, err
}

// A File is an incident with what was sent of it.
type File struct {
	Incident   Incident
	Deliveries []Delivery
}

// Incident answers one incident with what was sent of it.
func (s *Service) Incident(ctx context.Context, c *authz.Call, id string) (f File, err error) {
	err = s.do(ctx, c, "keyward:GetIncident", "incident/"+id, func(*audit.Record) error {
		if f.Incident, err = s.o.Incidents.Incident(ctx, c.Account, id); err != nil {
			return err
		}
		f.Deliveries, err = s.o.Incidents.Deliveries(ctx, c.Account, id)
		return err
	})
	return f, err
}

// maxEnded is how many incidents that are over a list has.
const maxEnded = 1000

// Incidents answers the account's open incidents, or those that ended last.
func (s *Service) Incidents(ctx context.Context, c *authz.Call, ended bool) (out []Incident, err error) {
	err = s.do(ctx, c, "keyward:ListIncidents", "incident/*", func(*audit.Record) error {
		out, err = s.o.Incidents.Incidents(ctx, c.Account, ended, maxEnded)
		return err
	})
	return out, err
}

// Open answers the account's open incidents for keyward itself, without a record.
func (s *Service) Open(ctx context.Context, account string) ([]Incident, error) {
	return s.o.Incidents.Incidents(ctx, account, false, 0)
}

// Kept is how long incidents that are over, and messages that left, can be shown.
// docs/alerts.md tells it to users.
const Kept = 400 * day

// Tidy forgets what is older than [Kept], some at a time: nobody waits for all of it.
func (s *Service) Tidy(ctx context.Context, account string) error {
	const some = 200
	before := s.now().Add(-Kept)
	for {
		old, err := s.o.Incidents.EndedBefore(ctx, account, before, some)
		if err != nil {
			return err
		}
		if len(old) == 0 {
			return s.o.Outbox.Prune(ctx, account, before)
		}
		err = s.do(ctx, s.engine(account), "keyward:ForgetIncidents", "incident/*", func(rec *audit.Record) error {
			rec.Param("Count", strconv.Itoa(len(old)))
			return s.o.Incidents.Forget(ctx, rec, old)
		})
		if err != nil {
			return err
		}
	}
}

// Ladder answers an account's plan for keyward itself, without a record.
func (s *Service) Ladder(ctx context.Context, account string) (oncall.Plan, error) {
	return s.o.Config.Plan(ctx, account)
}

// ticket makes an incident's id.
func ticket() string { return rand.Text()[:8] }
