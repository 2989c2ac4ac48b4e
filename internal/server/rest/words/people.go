package words

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/iam/people"
	"github.com/keyward/keyward/internal/iam/role"
	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/oncall"
)

// Proof answers what whoever asks for an approval gets.
func Proof(b people.Begun) api.Proof {
	return api.Proof{Proof: api.SecretText(b.Proof.Expose()), URL: b.URL, Code: b.Code, ExpiresAt: b.ExpiresAt, HasApp: b.HasApp}
}

// Session answers the credentials of a session.
func Session(i role.Issued) api.TemporaryCredentials {
	return api.TemporaryCredentials{
		AccessKeyID: i.AccessKey, Secret: api.SecretText(i.Secret.Expose()), SecurityToken: api.SecretText(i.Token),
		ARN: i.Principal.ARN(), ExpiresAt: i.Expires,
	}
}

// ChannelKind answers a kind of channels.
func ChannelKind(k message.Kind) api.ChannelKind {
	return api.ChannelKind{
		Name: k.Name, Title: Text(k.Title), Settings: Each(k.Form.Settings, field), Parts: Each(k.Form.Credential, field),
		Family: string(k.Traits.Family), Group: k.Traits.Group,
	}
}

// Channel answers a channel and how it does.
func Channel(s notify.Standing) api.Channel {
	ch, h := s.Channel, s.Health
	return api.Channel{
		Name: ch.Name, Kind: ch.Kind, Settings: Settings(ch.Settings), Heartbeat: api.FormatDuration(ch.Heartbeat), Paused: ch.Paused, CreatedAt: ch.CreatedAt,
		Health: api.ChannelHealth{
			SentAt: h.SentAt, FailedAt: h.FailedAt, Failures: h.Failures, Error: h.Error, ErrorZh: h.Chinese, TestedAt: h.TestedAt, ConfirmedAt: h.ConfirmedAt,
		},
	}
}

// Person answers how somebody can be told.
func Person(p oncall.Person) api.Person {
	return api.Person{Name: p.Name, Email: p.Email, Mobile: p.Mobile, IDs: Settings(p.IDs), Language: string(p.Language)}
}

// Pairs answers pairs in the order of their names.
func Pairs(m map[string]string) (out []form.Pair) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, form.Pair{Name: name, Value: m[name]})
	}
	return out
}

// Rota answers a rota, and who is on call now.
func Rota(r oncall.Rota, now time.Time) api.Rota {
	return api.Rota{Name: r.Name, People: r.People, Start: r.Start, Turn: api.FormatDuration(r.Turn), OnCall: r.OnCall(now)}
}

// Escalation answers when people are told.
func Escalation(p oncall.Plan) api.Escalation {
	out := api.Escalation{Language: string(p.Lang), Levels: Each(p.Levels, func(l oncall.Level) []string { return l })}
	out.Rungs = Each(p.Rungs, func(r oncall.Rung) api.Rung {
		families := Each(r.Families, func(f message.Family) string { return string(f) })
		return api.Rung{
			Left: api.FormatDuration(r.Left), Severity: r.Severity.String(), Families: families, Wait: api.FormatDuration(r.Wait), Everybody: r.Everybody,
		}
	})
	if q := p.Quiet; q.From != q.To {
		out.Quiet = api.QuietHours{From: clock(q.From), To: clock(q.To), Zone: q.Zone}
	}
	return out
}

func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// EscalationOf reads when people are told, whose sense package notify checks.
func EscalationOf(in api.Escalation) (p oncall.Plan, err error) {
	p = oncall.Plan{Lang: message.Language(in.Language), Quiet: oncall.Quiet{Zone: in.Quiet.Zone}}
	for i, r := range in.Rungs {
		left, wait, err := Durations(r.Left, r.Wait)
		if err != nil {
			return p, fault.InvalidParameter.New("rung %d: %s", i+1, fault.TextOf(err))
		}
		severity, err := severityOf(r.Severity)
		if err != nil {
			return p, fault.InvalidParameter.New("rung %d: %s", i+1, fault.TextOf(err))
		}
		families := Each(r.Families, func(f string) message.Family { return message.Family(f) })
		p.Rungs = append(p.Rungs, oncall.Rung{Left: left, Severity: severity, Families: families, Wait: wait, Everybody: r.Everybody})
	}
	for _, level := range in.Levels {
		p.Levels = append(p.Levels, level)
	}
	if in.Quiet == (api.QuietHours{}) {
		return p, nil
	}
	if p.Quiet.From, err = minuteOf(in.Quiet.From); err == nil {
		p.Quiet.To, err = minuteOf(in.Quiet.To)
	}
	return p, err
}

func severityOf(name string) (message.Severity, error) {
	for s := message.Info; s <= message.Emergency; s++ {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fault.InvalidParameter.New("the severity is info, warning, critical or emergency")
}

func minuteOf(clock string) (int, error) {
	t, err := time.Parse("15:04", clock)
	if err != nil || len(clock) != len("15:04") {
		return 0, fault.InvalidParameter.New("the quiet hours begin and end at times such as 22:00")
	}
	return t.Hour()*60 + t.Minute(), nil
}

// Incident answers an incident as it stands now.
func Incident(i notify.Incident, p oncall.Plan, now time.Time) api.Incident {
	out := api.Incident{
		ID: i.ID, Condition: i.Condition, Kind: i.Kind, Subject: i.Subject, Owner: i.Owner, Severity: p.Severity(i.Stage).String(),
		Title:    api.Text{English: notify.Headline(i, message.English, now), Chinese: notify.Headline(i, message.Chinese, now)},
		Facts:    Each(i.Facts, func(f notify.Fact) api.IncidentFact { return api.IncidentFact(f) }),
		Deadline: i.Deadline, OpenedAt: i.OpenedAt, ChangedAt: i.ChangedAt, EndedAt: i.EndedAt, Alarms: i.Alarms, Unheard: i.Open() && i.Unheard(), NextAt: i.NextAt,
		AckBy: i.AckBy, AckNote: i.AckNote, AckAt: i.AckAt, AckUntil: i.AckUntil,
	}
	if i.Open() {
		out.MaxHold = api.FormatDuration(i.AckLimit(now).Truncate(time.Second))
	}
	return out
}

// Delivery answers one message of an incident.
func Delivery(d notify.Delivery) api.IncidentDelivery {
	return api.IncidentDelivery{
		Alarm: d.Alarm, Why: string(d.Why), Event: string(d.Event), Severity: d.Severity.String(), Level: d.Level, Channel: d.Channel, Person: d.Person,
		At: d.At, Progress: string(d.Progress), Attempts: d.Attempts, Receipt: d.Receipt, Error: d.Error, ErrorZh: d.Chinese, DoneAt: d.DoneAt,
	}
}
