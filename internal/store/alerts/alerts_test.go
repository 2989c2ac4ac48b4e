package alerts_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/notify"
	"github.com/keyward/keyward/internal/oncall"
	"github.com/keyward/keyward/internal/store/alerts"
	"github.com/keyward/keyward/internal/store/bound"
	"github.com/keyward/keyward/internal/store/storetest"
)

// What names a person, a rota or a channel is stored while that is removed, by another node where
// there can be one: nothing that names what is gone stays.
func TestNothingNamesWhoIsGone(t *testing.T) {
	storetest.EachPair(t, func(t *testing.T, one, other *bound.Store) {
		here, there := alerts.Store{Store: one}, alerts.Store{Store: other}
		for name, race := range map[string]func(t *testing.T, here, there alerts.Store, account string){
			"person of a rota": personOfRota, "person of the plan": personOfPlan, "rota of the plan": rotaOfPlan, "channel of an alarm": channelOfAlarm,
		} {
			t.Run(name, func(t *testing.T) {
				for i := range rounds {
					race(t, here, there, fmt.Sprintf("%s %d", name, i))
				}
			})
		}
	})
}

const rounds = 20

func personOfRota(t *testing.T, here, there alerts.Store, account string) {
	ann := person(t, here, account)
	r := oncall.Rota{Account: account, Name: "night", People: []string{ann.Name}, Start: time.Unix(0, 0), Turn: time.Hour}
	race(t, func() error { return here.SaveRota(t.Context(), storetest.Record("SetRota"), &r) },
		func() error { return there.DeletePerson(t.Context(), storetest.Record("RemovePerson"), &ann) })
}

func personOfPlan(t *testing.T, here, there alerts.Store, account string) {
	ann := person(t, here, account)
	race(t, func() error { return savePlan(t, here, account, "person:ann") },
		func() error { return there.DeletePerson(t.Context(), storetest.Record("RemovePerson"), &ann) })
}

func rotaOfPlan(t *testing.T, here, there alerts.Store, account string) {
	ann := person(t, here, account)
	r := oncall.Rota{Account: account, Name: "night", People: []string{ann.Name}, Start: time.Unix(0, 0), Turn: time.Hour}
	made(t, here.SaveRota(t.Context(), storetest.Record("SetRota"), &r))
	race(t, func() error { return savePlan(t, here, account, "rota:night") },
		func() error { return there.DeleteRota(t.Context(), storetest.Record("RemoveRota"), &r) })
}

// A channel that comes back under the name must not tell what was for the one that went.
func channelOfAlarm(t *testing.T, here, there alerts.Store, account string) {
	ch := notify.Channel{Account: account, Name: "ops"}
	made(t, here.SaveChannel(t.Context(), storetest.Record("AddChannel"), &ch, nil))
	i := notify.Incident{Account: account, ID: "i", Condition: "c"}
	waits := notify.Delivery{Account: account, ID: "d", Incident: i.ID, Channel: ch.Name, Progress: notify.Waiting}
	saved, removed := both(func() error {
		return here.SaveIncident(t.Context(), storetest.Record("RaiseIncident"), &i, []notify.Delivery{waits}, nil)
	}, func() error { return there.DeleteChannel(t.Context(), storetest.Record("RemoveChannel"), &ch) })
	made(t, removed)
	if saved != nil && !fault.Is(saved, fault.Changed) {
		t.Error(saved)
	}
	due, _, err := here.Due(t.Context(), account, ch.Name, time.Now(), 1)
	if made(t, err); len(due) > 0 {
		t.Errorf("%s: the incident was stored (%v), and of the channel that is gone there waits %+v", account, saved, due)
	}
}

func person(t *testing.T, s alerts.Store, account string) oncall.Person {
	t.Helper()
	p := oncall.Person{Account: account, Name: "ann", Email: "ann@example.com"}
	made(t, s.SavePerson(t.Context(), storetest.Record("SetPerson"), &p))
	return p
}

func savePlan(t *testing.T, s alerts.Store, account, who string) error {
	p := oncall.DefaultPlan()
	p.Account, p.Levels = account, []oncall.Level{{who}}
	return s.SavePlan(t.Context(), storetest.Record("SetEscalation"), &p)
}

// race stores what names somebody who is removed at the same time: one of the two is refused.
func race(t *testing.T, save, remove func() error) {
	t.Helper()
	saved, removed := both(save, remove)
	switch {
	case saved == nil && fault.Is(removed, fault.ResourceInUse):
	case removed == nil && fault.Is(saved, fault.InvalidParameter):
	default:
		t.Errorf("stored %v, and what it names removed %v", saved, removed)
	}
}

func both(save, remove func() error) (saved, removed error) {
	var wait sync.WaitGroup
	wait.Go(func() { saved = save() })
	removed = remove()
	wait.Wait()
	return saved, removed
}

func made(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
