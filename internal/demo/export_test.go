package demo

import (
	"errors"
	"net/http/httptest"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/paysim"
)

// A Night is what a story has come to, for tests that falsify it.
type Night struct {
	evidence
	stage *stage
}

// GoodNight answers one of which every claim holds.
func GoodNight() *Night {
	at := func(s int) time.Time { return time.Date(2026, 11, 22, 2, 0, s, 0, time.UTC) }
	s := &stage{platform: paysim.New(time.Now), firstKey: "k1", shops: []*shop{{}}}
	s.platform.Creating.Next(cloudtest.LoseAfter)
	func() {
		defer func() { _ = recover() }() // so the fault breaks a connection
		s.platform.Creating.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/keys", nil))
	}()
	s.down.paid = 1
	e := evidence{paid: 10, tally: paysim.Tally{Paid: 10}}
	e.run = api.RotationRun{Step: "done", OldKey: "k1", NewKey: "k3", Waves: []api.RotationProgress{{ConfirmedAt: at(10)}}, Events: []api.RotationEvent{{Text: "unclear create"}}}
	e.coverage.Members = []api.RolloutMember{{State: "live", There: true, Level: "used", Target: 3, Acknowledged: 3, UsedAt: at(40)}}
	e.lives = []paysim.Life{
		{ID: "k1", ExpiresAt: at(59), LastUse: at(15), Uses: 5, Events: []paysim.Event{{What: paysim.Created, At: at(0)}, {What: paysim.Disabled, At: at(20)}, {What: paysim.Deleted, At: at(30)}}},
		{ID: "k2", Events: []paysim.Event{{What: paysim.Created, At: at(5)}, {What: paysim.Deleted, At: at(6)}}},
		{ID: "k3", Uses: 5, Events: []paysim.Event{{What: paysim.Created, At: at(7)}}},
	}
	e.expiry.Incident = api.Incident{AckBy: second, EndedAt: at(50)}
	e.expiry.Deliveries = []api.IncidentDelivery{{Event: "trigger", Progress: "sent"}, {Event: "trigger", Progress: "sent", Level: 1}}
	e.ended = []api.Incident{{Kind: "rotation-stuck", Alarms: 1}}
	return &Night{e, s}
}

// Wrong answers how many claims do not hold.
func (n *Night) Wrong() (wrong int) {
	for _, c := range n.stage.claims(n.evidence) {
		if c.wrong != "" {
			wrong++
		}
	}
	return wrong
}

// Falsify has one thing be otherwise.
func (n *Night) Falsify(what string) {
	switch what {
	case "a shop's payment failed":
		n.failed = 1
	case "the platform refused a payment":
		n.tally.Refused = map[paysim.Refusal]int{paysim.DisabledKey: 1}
	case "the counts differ":
		n.paid++
	case "a node is behind":
		n.coverage.Members[0].Acknowledged = 2
	case "a node is missing":
		n.coverage.Members = nil
	case "a node was not seen since":
		n.coverage.Members[0].UsedAt = n.lives[0].Events[1].At
	case "no payment while it was dead":
		n.stage.down.paid = 0
	case "the old key was in use":
		n.lives[0].LastUse = n.lives[0].Events[1].At
	case "the old key is there":
		n.lives[0].Events = n.lives[0].Events[:2]
	case "the orphan is there":
		n.lives[1].Events = n.lives[1].Events[:1]
	case "the new key was disabled":
		n.lives[2].Events = append(n.lives[2].Events, paysim.Event{What: paysim.Disabled})
	case "nobody else was told":
		n.expiry.Deliveries = n.expiry.Deliveries[:1]
	case "nobody acknowledged":
		n.expiry.Incident.AckBy = ""
	case "no answer was lost":
		n.run.Events = nil
	case "nobody was told of the region":
		n.ended = nil
	case "it is not done":
		n.run.Step = "deleting"
	case "it has halted":
		n.run.Events = append(n.run.Events, api.RotationEvent{Text: "halted no-room"})
	case "the log is not whole":
		n.untrue = errors.New("injected")
	default:
		panic(what)
	}
}
