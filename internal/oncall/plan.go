// Package oncall says who is told of an alarm, when, and over what.
//
// A [Plan] is an account's escalation: the rungs of the ladder towards a deadline, each
// with the families of channels that carry its alarm and how long it waits for an answer,
// and the levels of people who are told one after the other. A level names people, rotas
// and the subject's owner; the [Directory] knows who that is at a given time.
//
// All of it is values and pure functions: no clock, no store, no channel. Package notify
// keeps them, decides with them and sends; the API dialects show them to people.
package oncall

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/message"
)

// A Plan says when people are told, over what, and who comes next if nobody answers. An
// account has one; [DefaultPlan] until somebody makes another.
type Plan struct {
	Account string           `json:"-"`
	Rungs   []Rung           `json:"rungs"`  // the mildest first
	Levels  []Level          `json:"levels"` // the first to be told first
	Quiet   Quiet            `json:"quiet"`
	Lang    message.Language `json:"language"` // of messages to groups, and to people who have none of their own
	Rev     int64            `json:"-"`
}

// A Rung is one step of the ladder towards a deadline.
type Rung struct {
	Left      time.Duration // before the deadline; 0 is the deadline itself
	Severity  message.Severity
	Families  []message.Family // of channels that carry the alarm
	Wait      time.Duration    // for an acknowledgement; 0 if none is asked for
	Everybody bool             // everybody in the directory is told at once
}

// A Level is whom one step of the escalation tells: "owner", the subject's owner;
// "person:NAME"; "rota:NAME", who is on call then; "everybody" in the directory.
type Level []string

// Quiet is when alarms of the lowest severity wait, in minutes after midnight in a zone,
// in which times are told, too; From equals To for never.
type Quiet struct {
	From int    `json:"from"`
	To   int    `json:"to"`
	Zone string `json:"zone"` // of the IANA database; "" is UTC
}

const (
	day          = 24 * time.Hour
	shortestWait = 10 * time.Second // for an acknowledgement; looks at an incident come a second late
)

// DefaultPlan is the plan of an account that has made none.
func DefaultPlan() Plan {
	few, most, all := []message.Family{message.Mail}, []message.Family{message.Mail, message.Chat, message.Phone, message.Machine}, message.Families()
	return Plan{
		Rungs: []Rung{
			{Left: 30 * day, Severity: message.Info, Families: few},
			{Left: 14 * day, Severity: message.Info, Families: []message.Family{message.Mail, message.Chat}},
			{Left: 7 * day, Severity: message.Warning, Families: most, Wait: day},
			{Left: 3 * day, Severity: message.Critical, Families: most, Wait: 4 * time.Hour},
			{Left: day, Severity: message.Critical, Families: all, Wait: time.Hour},
			{Left: 12 * time.Hour, Severity: message.Emergency, Families: all, Wait: 15 * time.Minute, Everybody: true},
			{Left: 3 * time.Hour, Severity: message.Emergency, Families: all, Wait: 15 * time.Minute, Everybody: true},
			{Left: 0, Severity: message.Emergency, Families: all, Wait: 15 * time.Minute, Everybody: true},
		},
		Levels: []Level{{"owner"}, {"everybody"}},
		Quiet:  Quiet{Zone: "Asia/Shanghai"},
		Lang:   message.Chinese,
	}
}

// StageAt answers the stage that a deadline has reached, -1 for none yet.
func (p Plan) StageAt(deadline, now time.Time) int {
	left := deadline.Sub(now)
	for stage := len(p.Rungs) - 1; stage >= 0; stage-- {
		if left <= p.Rungs[stage].Left {
			return stage
		}
	}
	return -1
}

// StageOf answers the stage of a condition without a deadline: the mildest rung that is
// as severe.
func (p Plan) StageOf(s message.Severity) int {
	for stage, r := range p.Rungs {
		if r.Severity >= s {
			return stage
		}
	}
	return len(p.Rungs) - 1
}

// Rung answers the rung of a stage; one that the plan does not have any more is its last.
func (p Plan) Rung(stage int) Rung { return p.Rungs[max(min(stage, len(p.Rungs)-1), 0)] }

// Severity answers how severe a stage is.
func (p Plan) Severity(stage int) message.Severity { return p.Rung(stage).Severity }

// Check refuses a plan that would not tell anybody, or not in time.
func (p Plan) Check() error {
	const most = 20
	if len(p.Rungs) == 0 || len(p.Rungs) > most || len(p.Levels) == 0 || len(p.Levels) > most {
		return fault.InvalidParameter.New("a plan has 1 to %d rungs and 1 to %d levels", most, most)
	}
	for i, r := range p.Rungs {
		switch {
		case r.Left < 0 || r.Left > 366*day || r.Wait < 0 || r.Wait > 7*day || r.Wait > 0 && r.Wait < shortestWait:
			return fault.InvalidParameter.New("rung %d: the time left is at most 366 days, and the time to answer is none or ten seconds to seven days", i+1)
		case len(r.Families) == 0:
			return fault.InvalidParameter.New("rung %d tells nobody: name families of channels", i+1)
		case r.Severity < message.Info || r.Severity > message.Emergency:
			return fault.InvalidParameter.New("rung %d: there is no such severity", i+1)
		case i > 0 && (r.Left >= p.Rungs[i-1].Left || r.Severity < p.Rungs[i-1].Severity):
			return fault.InvalidParameter.New("rung %d: each rung is nearer to the deadline than the one before, and not less severe", i+1)
		}
		for _, f := range r.Families {
			if !slices.Contains(message.Families(), f) {
				return fault.InvalidParameter.New("rung %d: there is no family %q; use mail, chat, phone, paging or machine", i+1, f)
			}
		}
	}
	if p.Rung(len(p.Rungs)-1).Wait == 0 {
		return fault.InvalidParameter.New("the last rung must ask for an acknowledgement, or an expiry can be missed")
	}
	for i, level := range p.Levels {
		for _, who := range level {
			if kind, name, _ := strings.Cut(who, ":"); who != "owner" && who != "everybody" && (kind != "person" && kind != "rota" || name == "") {
				return fault.InvalidParameter.New("level %d: %q is not owner, person:NAME, rota:NAME or everybody", i+1, who)
			}
		}
		if len(level) == 0 {
			return fault.InvalidParameter.New("level %d tells nobody", i+1)
		}
	}
	if _, err := p.Quiet.Location(); err != nil || p.Quiet.From < 0 || p.Quiet.From >= 1440 || p.Quiet.To < 0 || p.Quiet.To >= 1440 {
		return fault.InvalidParameter.New("the quiet hours are not two times of a day in a zone such as Asia/Shanghai")
	}
	if p.Lang != message.English && p.Lang != message.Chinese {
		return fault.InvalidParameter.New("the language is en or zh")
	}
	return nil
}

// Location answers the zone of the quiet hours, in which people are told times, too.
func (q Quiet) Location() (*time.Location, error) {
	zone, err := time.LoadLocation(q.Zone)
	if err != nil {
		return nil, fmt.Errorf("reading zone: %w", err)
	}
	return zone, nil
}

// After answers when an alarm may leave: the lowest severity waits for the end of the
// quiet hours.
func (p Plan) After(s message.Severity, now time.Time) time.Time {
	if quiet := p.Quiet.Until(now); s == message.Info && !quiet.IsZero() {
		return quiet
	}
	return now
}

// Until answers when the quiet hours end that the time is in; zero if it is in none.
func (q Quiet) Until(now time.Time) time.Time {
	zone, err := q.Location()
	if err != nil || q.From == q.To {
		return time.Time{}
	}
	local := now.In(zone)
	minute := local.Hour()*60 + local.Minute()
	end := time.Date(local.Year(), local.Month(), local.Day(), q.To/60, q.To%60, 0, 0, zone)
	switch {
	case q.From < q.To && minute >= q.From && minute < q.To, q.From > q.To && minute < q.To:
		return end
	case q.From > q.To && minute >= q.From:
		return end.AddDate(0, 0, 1)
	}
	return time.Time{}
}
