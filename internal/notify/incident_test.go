package notify_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/keyward/keyward/internal/message"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/oncall"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func plan(levels int) oncall.Plan {
	p := oncall.DefaultPlan()
	for range levels - 1 {
		p.Levels = append(p.Levels, oncall.Level{"person:li"})
	}
	return p
}

// Whatever happens, an incident is told, keeps being told until somebody has it, is not
// told while somebody has it, and is told again when that is over.
func TestDecide(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := plan(rapid.IntRange(1, 4).Draw(rt, "levels"))
		now := noon
		deadline := now.Add(time.Duration(rapid.IntRange(0, 40*24*60).Draw(rt, "minutes")) * time.Minute)
		i := notify.Incident{Deadline: deadline, OpenedAt: now}
		for range 60 {
			stage := max(p.StageAt(deadline, now), 0)
			worse := stage > i.Stage || i.Told == 0
			i.Stage = stage
			before := i
			var alarm notify.Alarm
			var rings bool
			i, alarm, rings = notify.Decide(i, p, now)
			rung := p.Rungs[stage]
			switch {
			case worse && !rings:
				rt.Fatalf("stage %d was not told", stage)
			case !worse && before.Acknowledged(now) && rings:
				rt.Fatal("told while somebody has it")
			case before.AckBy != "" && !before.Acknowledged(now) && !rings:
				rt.Fatal("an acknowledgement lapsed and nobody was told")
			case rung.Wait > 0 && before.AckBy == "" && !worse && !now.Before(before.NextAt) && !rings:
				rt.Fatal("nobody answered and nobody was told again")
			case rung.Wait > 0 && i.NextAt.IsZero():
				rt.Fatal("an incident that needs an answer is not looked at again")
			case rings && i.Alarms != before.Alarms+1, !rings && i.Alarms != before.Alarms:
				rt.Fatal("alarms are miscounted")
			case i.Level < before.Level || i.Level >= len(p.Levels):
				rt.Fatalf("level %d after %d", i.Level, before.Level)
			case rings && rung.Everybody && alarm.Level != len(p.Levels)-1:
				rt.Fatal("not everybody was told")
			}
			if again, _, more := notify.Decide(i, p, now); more || again.Alarms != i.Alarms {
				rt.Fatal("looking twice tells twice")
			}
			if rapid.IntRange(0, 3).Draw(rt, "ack") == 0 {
				limit := i.AckLimit(now)
				if left := deadline.Sub(now); limit > 24*time.Hour || left > 0 && limit > max(left/4, time.Minute) {
					rt.Fatalf("an acknowledgement holds for %v with %v left", limit, left)
				}
				i.AckBy, i.AckUntil = "li", now.Add(limit)
				i.NextAt = i.AckUntil
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "wait")) * time.Minute)
		}
	})
}

func TestEndedIncidentsAreSilent(t *testing.T) {
	i := notify.Incident{Deadline: noon, EndedAt: noon, NextAt: noon}
	if i, _, rings := notify.Decide(i, plan(1), noon.Add(time.Hour)); rings || !i.NextAt.IsZero() {
		t.Errorf("have %+v", i)
	}
}

// Seven days before, e-mail, chat and SMS are used together.
func TestDefaultLadder(t *testing.T) {
	p := oncall.DefaultPlan()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	for left, want := range map[time.Duration]int{
		31 * 24 * time.Hour: -1, 30 * 24 * time.Hour: 0, 14 * 24 * time.Hour: 1, 7*24*time.Hour + 1: 1, 7 * 24 * time.Hour: 2, 3 * 24 * time.Hour: 3,
		24 * time.Hour: 4, 12 * time.Hour: 5, 3 * time.Hour: 6, time.Minute: 6, 0: 7, -time.Hour: 7,
	} {
		if have := p.StageAt(noon.Add(left), noon); have != want {
			t.Errorf("%v left: stage %d, want %d", left, have, want)
		}
	}
	families := map[message.Family]bool{}
	for _, f := range p.Rungs[2].Families {
		families[f] = true
	}
	if !families[message.Mail] || !families[message.Chat] || !families[message.Phone] || p.Rungs[2].Wait != 24*time.Hour {
		t.Errorf("at seven days: %+v", p.Rungs[2])
	}
}

func TestQuietHours(t *testing.T) {
	night := oncall.Quiet{From: 22 * 60, To: 8 * 60, Zone: "Asia/Shanghai"}
	at := func(s string) time.Time {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for now, want := range map[string]string{
		"2026-03-01T23:00:00+08:00": "2026-03-02T08:00:00+08:00",
		"2026-03-01T07:59:00+08:00": "2026-03-01T08:00:00+08:00",
		"2026-02-28T22:00:00+08:00": "2026-03-01T08:00:00+08:00",
		"2026-03-01T08:00:00+08:00": "", "2026-03-01T21:59:00+08:00": "",
	} {
		have := night.Until(at(now))
		if want == "" && !have.IsZero() || want != "" && !have.Equal(at(want)) {
			t.Errorf("%s: quiet until %v, want %s", now, have, want)
		}
	}
	if end := (oncall.Quiet{}).Until(noon); !end.IsZero() {
		t.Errorf("no quiet hours: %v", end)
	}
}

func TestRota(t *testing.T) {
	r := oncall.Rota{People: []string{"a", "b", "c"}, Start: noon, Turn: 7 * 24 * time.Hour}
	for after, want := range map[time.Duration]string{-time.Hour: "a", 0: "a", 7*24*time.Hour - 1: "a", 7 * 24 * time.Hour: "b", 15 * 24 * time.Hour: "c", 21 * 24 * time.Hour: "a"} {
		if have := r.OnCall(noon.Add(after)); have != want {
			t.Errorf("after %v: %s, want %s", after, have, want)
		}
	}
}

// An owner whom nobody knows does not make an alarm go nowhere.
func TestUnknownOwnersAreReplaced(t *testing.T) {
	d := oncall.Directory{People: []oncall.Person{{Name: "li", Email: "li@example.com"}, {Name: "wang"}}}
	levels := []oncall.Level{{"owner"}, {"person:wang"}, {"person:li"}}
	for owner, want := range map[string]string{"li": "li", "LI@example.com": "li", "somebody": "wang", "": "wang"} {
		have := d.Told(levels, 0, owner, noon)
		if len(have) != 1 || have[0].Name != want {
			t.Errorf("owner %q: %+v, want %s", owner, have, want)
		}
	}
}
