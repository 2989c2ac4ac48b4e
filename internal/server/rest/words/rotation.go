package words

import (
	"cmp"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
	"github.com/keyward/keyward/internal/rotation/engine"
)

// RotationPlan answers a plan under its name in policies.
func RotationPlan(p rotation.Plan, arn string) api.RotationPlan {
	c := p.Care
	return api.RotationPlan{
		Name: p.Name, ARN: arn, Provider: p.Source, Principal: p.Principal, Key: p.Key, Secret: p.Secret, Rollout: p.Rollout, Auto: p.Auto,
		LastAt: p.LastAt, CreatedAt: p.CreatedAt,
		Care: api.RotationCare{
			Every: api.FormatDuration(c.Every), Call: api.FormatDuration(cmp.Or(c.Call, rotation.CallTime)), Confirm: api.FormatDuration(c.Confirm), Grace: api.FormatDuration(c.Grace),
			Quiet: api.FormatDuration(c.Quiet), Observe: api.FormatDuration(c.Observe), Approve: c.Approve, OnLeak: c.OnLeak,
			Waves: Each(c.Waves, func(w rotation.WaveTerms) api.RotationWave {
				return api.RotationWave{Name: w.Name, Bake: api.FormatDuration(w.Bake), Approve: w.Approve}
			}),
			MaxRefused: c.Gates.Refused, MaxFallbacks: c.Gates.Fallbacks,
			Windows: api.RotationWindows{
				Zone: c.Windows.Zone, Allow: append([]string{}, c.Windows.Allow...), Deny: append([]string{}, c.Windows.Deny...), Unless: api.FormatDuration(c.Windows.Unless),
			},
		},
	}
}

// Forecast answers a plan with what it comes to.
func Forecast(f engine.Forecast, arn string) api.RotationForecast {
	return api.RotationForecast{
		Plan: RotationPlan(f.Plan, arn), Archetype: string(f.Means.Archetype), PointOfNoReturn: string(f.Means.PointOfNoReturn()),
		Takes: api.FormatDuration(f.Terms.Rolls()), Expires: f.Expires, Due: f.Due, Latest: f.Latest, UnderWay: f.UnderWay,
	}
}

// Care sets what a request says of a plan's care.
func Care(in api.RotationCareRequest, c *rotation.Care) error {
	for _, d := range []struct {
		name string
		text *string
		into *time.Duration
	}{
		{"every", in.Every, &c.Every}, {"call", in.Call, &c.Call}, {"confirm", in.Confirm, &c.Confirm}, {"grace", in.Grace, &c.Grace}, {"quiet", in.Quiet, &c.Quiet},
		{"observe", in.Observe, &c.Observe}, {"unless", in.Unless, &c.Windows.Unless},
	} {
		if err := set(d.name, d.text, d.into); err != nil {
			return err
		}
	}
	if in.Waves != nil {
		c.Waves = nil
		for _, w := range *in.Waves {
			terms := rotation.WaveTerms{Name: w.Name, Bake: engine.DefaultBake, Approve: w.Approve}
			if err := set("bake of wave "+w.Name, w.Bake, &terms.Bake); err != nil {
				return err
			}
			c.Waves = append(c.Waves, terms)
		}
	}
	Given(in.MaxRefused, &c.Gates.Refused)
	Given(in.MaxFallbacks, &c.Gates.Fallbacks)
	Given(in.Approve, &c.Approve)
	Given(in.OnLeak, &c.OnLeak)
	Given(in.Zone, &c.Windows.Zone)
	Given(in.Allow, &c.Windows.Allow)
	Given(in.Deny, &c.Windows.Deny)
	return nil
}

// Given sets what is not left out.
func Given[T any](from, into *T) {
	if from != nil {
		*into = *from
	}
}

// set reads a duration that is not left out.
func set(name string, from *string, into *time.Duration) error {
	d, err := Duration(from)
	if err != nil {
		return fault.InvalidParameter.New("%s: %s", name, fault.TextOf(err))
	}
	Given(d, into)
	return nil
}

// RotationRun answers a rotation with its events, as it stands at a time.
func RotationRun(r rotation.Rotation, at time.Time) api.RotationRun {
	m := r.Terms.Means
	return api.RotationRun{
		ID: r.ID, Plan: r.Plan, Profile: string(r.Terms.Profile), Archetype: string(m.Archetype), Step: string(r.Step), Since: r.Since,
		Route:  Each(r.Route(), func(s rotation.Step) string { return string(s) }),
		Waves:  Each(r.Passages(), passage),
		OldKey: r.Old.ID, NewKey: r.New.ID, Cause: r.Cause, Paused: r.Paused, Halt: string(r.Halt), Trouble: string(r.Trouble), Detail: r.Detail, Back: r.Back,
		Guide: r.Terms.Means.Guide, Late: r.Late, FinishBy: r.FinishBy, NextTry: r.NotBefore, Tries: r.Tries,
		CanRollBack: r.CanGoBack(at), PointOfNoReturn: string(m.PointOfNoReturn()), Next: r.Next(), WindowOpensAt: r.OpensAt,
		CreatedAt: r.CreatedAt, ChangedAt: r.ChangedAt, EndedAt: r.EndedAt,
		Events: Each(r.History, func(e rotation.Event) api.RotationEvent {
			return api.RotationEvent{At: e.At, Step: string(e.Step), Actor: e.Actor, Text: e.Text}
		}),
	}
}

func passage(p rotation.Passage) api.RotationProgress {
	return api.RotationProgress{Name: p.Name, Bake: api.FormatDuration(p.Bake), Approve: p.Approve, PublishedAt: p.Published, ConfirmedAt: p.Confirmed}
}
