package proof

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/channel/channeltest"
	"github.com/keyward/keyward/internal/store/storetest"
)

const (
	alarmsAtOnce = 12               // keys that come due together: enough for a digest in a chat
	killsAtOnce  = 3                // while they are told
	alarmLimit   = 20 * time.Second // from the last start of the server until all of them arrived
)

// TestKillWhileAlarming kills the server while alarms leave it: by webhook, which
// recognises a message, to a chat robot, which does not and cannot be asked, and by SMS,
// whose gateway can be asked. Every alarm arrives in time, at a webhook and by SMS once,
// at the robot at most twice, and never twice without a kill between.
func TestKillWhileAlarming(t *testing.T) {
	t.Parallel() // most of the time is waiting
	rounds, random := size(t, "KEYWARD_ALARM_ROUNDS", 3), rand.New(rand.NewPCG(seeded(t), 1))
	a := newAlarms(t)
	var slowest time.Duration
	for round := range rounds {
		a.enter(round)
		for range killsAtOnce {
			a.busy(8 * time.Second)
			time.Sleep(time.Duration(random.IntN(3 * int(moment))))
			a.server.kill()
			a.server.start()
		}
		slowest = max(slowest, a.arrive((round+1)*alarmsAtOnce))
		if t.Failed() {
			t.Fatalf("in round %d of %d: the server's log:\n%s", round+1, rounds, a.server.log())
		}
	}
	again, doubt := a.judge()
	if rounds >= 10 {
		a.settle(8 * time.Minute)
	}
	t.Logf("%d kills, %d alarms over each of 3 channels; slowest %v after the last start; %d alarms shown again by the robot, %d SMS in doubt, which are asked about in %d calls",
		rounds*killsAtOnce, rounds*alarmsAtOnce, slowest, again, doubt, a.asked.Load())
	if rounds >= 10 && (again == 0 || a.asked.Load() == 0) {
		t.Error("no kill came between sending and noting it: the campaign proves nothing")
	}
}

// alarms is a server and whom it tells.
type alarms struct {
	t      *testing.T
	server *server
	hook   *channeltest.Receiver
	robot  *channeltest.Feishu
	sms    *channeltest.TencentSMS
	calls  chan struct{} // gets one when a channel is called
	asked  atomic.Int64  // how often the gateway was
}

// moment is how long a channel takes to take a message, and again to answer: most kills
// come before, between or after.
const moment = 20 * time.Millisecond

// busy waits until a channel is called.
func (a *alarms) busy(most time.Duration) {
	select {
	case <-a.calls: // an old one
	default:
	}
	select {
	case <-a.calls:
	case <-time.After(most): // everything has left
	}
}

// slowly serves as h does, a moment later, and lets the answer wait for another one.
func (a *alarms) slowly(h http.Handler) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case a.calls <- struct{}{}:
		default:
		}
		if r.Header.Get("X-TC-Action") == "PullSmsSendStatusByPhoneNumber" {
			a.asked.Add(1)
		}
		time.Sleep(moment)
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		time.Sleep(moment)
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // who was killed does not read it
	}))
	a.t.Cleanup(s.Close)
	return s.URL
}

func newAlarms(t *testing.T) *alarms {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("fake secret of a webhook, 32 long"))
	a := &alarms{
		t:     t,
		calls: make(chan struct{}, 1),
		hook:  &channeltest.Receiver{Secret: secret, Now: time.Now},
		robot: &channeltest.Feishu{Hook: "fake-hook", Now: time.Now},
		sms:   &channeltest.TencentSMS{Gateway: channeltest.Gateway{ID: "fake-id", Secret: "fake-secret", Template: "1", Now: time.Now}, App: "14"},
	}
	dir := filepath.Join(storetest.MemoryDir(t), "data")
	key := found(t, dir, "")
	s := prepareServer(t, build(t), dir, "")
	s.key, a.server = key, s
	config, err := os.OpenFile(filepath.Join(s.home, "config.toml"), os.O_APPEND|os.O_WRONLY, 0)
	a.must(err)
	_, err = config.WriteString("[egress]\nallow = [\"127.0.0.0/8\"]\n")
	a.must(err)
	a.must(config.Close())
	s.start()
	c, ctx := a.client(), t.Context()
	for _, in := range []api.AddChannelRequest{
		{Name: "hook", Kind: "webhook", Connection: connection(nil, "url", a.slowly(a.hook), "secret", secret)},
		{Name: "robot", Kind: "feishu", Connection: connection(nil, "webhook", a.slowly(a.robot)+"/open-apis/bot/v2/hook/fake-hook")},
		{Name: "sms", Kind: "sms-tencent", Connection: connection(map[string]string{"app": "14", "template": "1", "endpoint": a.slowly(a.sms)}, "secret_id", "fake-id", "secret_key", "fake-secret")},
	} {
		_, err := c.AddChannel(ctx, in)
		a.must(err)
	}
	_, err = c.SetPerson(ctx, "ann", api.SetPersonRequest{Mobile: "+8613800000000"})
	a.must(err)
	_, err = c.SetEscalation(ctx, api.Escalation{
		Rungs:  []api.Rung{{Left: "1d", Severity: "emergency", Families: []string{"machine", "chat", "phone"}, Wait: "7d"}},
		Levels: [][]string{{"person:ann"}}, Quiet: api.QuietHours{From: "00:00", To: "00:00", Zone: "UTC"}, Language: "en",
	})
	a.must(err)
	_, err = c.AddProvider(ctx, api.AddProviderRequest{Name: "console", Kind: "manual"})
	a.must(err)
	return a
}

func connection(settings map[string]string, credential ...string) api.Connection {
	c := api.Connection{Settings: settings, Credential: map[string]api.SecretBytes{}}
	for i := 0; i < len(credential); i += 2 {
		c.Credential[credential[i]] = api.SecretBytes(credential[i+1])
	}
	return c
}

func (a *alarms) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatalf("%v\n%s", err, a.server.log())
	}
}

func (a *alarms) client() *client.Client { return a.server.client(func(string) {}) }

// enter enters the keys of a round, which expire within an hour, all at once.
func (a *alarms) enter(round int) {
	a.t.Helper()
	c, at := a.client(), time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	var entering sync.WaitGroup
	for n := range alarmsAtOnce {
		entering.Go(func() {
			_, err := c.EnterKey(a.t.Context(), "console", api.EnterKeyRequest{
				Guide: "other", Connection: connection(map[string]string{"name": fmt.Sprintf("k%d-%d", round, n), "expires_at": at}, "value", "a fake value"),
			})
			if err != nil {
				a.t.Error(err)
			}
		})
	}
	entering.Wait()
	if a.t.Failed() {
		a.t.Fatal(a.server.log())
	}
}

// tickets answers which incidents about keys there are, by id, with what was sent of each.
func (a *alarms) tickets(ctx context.Context) map[string]api.IncidentFile {
	a.t.Helper()
	c, out := a.client(), map[string]api.IncidentFile{}
	list, err := c.ListIncidents(ctx, api.ListIncidentsRequest{})
	a.must(err)
	for _, i := range list.Incidents {
		if i.Kind == "key-expiry" {
			out[i.ID], err = c.GetIncident(ctx, i.ID)
			a.must(err)
		}
	}
	return out
}

// arrive waits until so many alarms have arrived over the channels that owe no answer, and
// answers how long that took.
func (a *alarms) arrive(want int) time.Duration {
	a.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		tickets, missing := a.tickets(a.t.Context()), 0
		for id := range tickets {
			if len(a.hooked(id)) == 0 || a.shown(id) == 0 {
				missing++
			}
		}
		took := time.Since(began)
		if len(tickets) == want && missing == 0 {
			return took
		}
		if took > alarmLimit {
			a.t.Fatalf("after %v: %d incidents of %d, and %d of them did not arrive\n%s", took, len(tickets), want, missing, a.server.log())
		}
	}
}

// hooked answers the ids of the messages about an incident that the webhook got.
func (a *alarms) hooked(ticket string) map[string]int {
	ids := map[string]int{}
	for _, body := range a.hook.Taken() {
		var in struct{ Data struct{ ID, Incident string } }
		a.must(json.Unmarshal(body, &in))
		if in.Data.Incident == ticket {
			ids[in.Data.ID]++
		}
	}
	return ids
}

// shown answers how many messages of the robot's name an incident.
func (a *alarms) shown(ticket string) (n int) {
	for _, body := range a.robot.Taken() {
		if strings.Contains(string(body), ticket) {
			n++
		}
	}
	return n
}

// settle waits until the gateway was asked about every SMS in doubt, which it can answer
// five minutes after the SMS may have left.
func (a *alarms) settle(most time.Duration) {
	a.t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Second) {
		_, doubt := a.judge()
		if doubt == 0 {
			return
		}
		if time.Since(began) > most {
			a.t.Fatalf("%d SMS are still in doubt", doubt)
		}
	}
}

// judge looks at everything that arrived, and answers how many alarms the robot showed
// again and how many SMS are in doubt.
func (a *alarms) judge() (again, doubt int) {
	a.t.Helper()
	texts := map[string]int{}
	for _, m := range a.sms.Sent() {
		if texts[m.ID]++; texts[m.ID] > 1 {
			a.t.Errorf("the SMS %s was sent %d times", m.ID, texts[m.ID])
		}
	}
	for id, file := range a.tickets(a.t.Context()) {
		if ids := a.hooked(id); len(ids) != 1 || ids[id+"~1~hook~"] != 1 {
			a.t.Errorf("the webhook shows %v of incident %s", ids, id)
		}
		n := a.shown(id)
		if n > 2 {
			a.t.Errorf("the robot shows incident %s %d times", id, n)
		}
		again += n - 1
		for _, d := range file.Deliveries {
			switch {
			case d.Progress == "lost" || d.Progress == "dropped":
				a.t.Errorf("incident %s, %s: %s", id, d.Channel, d.Progress)
			case d.Channel == "sms" && d.Progress != "sent":
				doubt++
			}
		}
	}
	if len(texts) == 0 {
		a.t.Error("no SMS left: the gateway proves nothing")
	}
	return again, doubt
}
