package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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
	"github.com/keyward/keyward/internal/cloud/cloudtest"
	"github.com/keyward/keyward/internal/cloud/paysim"
)

// regions are where the nodes are; the first one is the first wave of every rollout.
var regions = []string{"north", "east", "south"}

// A market is a payment platform, one or several servers that keep the keys of its merchants,
// and nodes whose shops pay with them.
type market struct {
	t         *testing.T
	random    *rand.Rand // of the campaign's goroutine
	servers   []*server
	door      *door
	client    *client.Client // through the door
	agents    []*nodeAgent
	platform  *paysim.Platform
	url       string // of the platform
	merchants []*merchant
	sales     sales
	observe   int           // seconds, or up to twice as many, in which the old key is off
	pause     time.Duration // between two kills, about
	call      string        // how long one to the platform may take
	short     bool          // there is time for few rotations
	calls     chan struct{} // gets one when the platform is asked about keys
	begun     atomic.Int64  // rotations

	given             []string // secrets that keyward gave out: of the account, tokens of nodes
	kills, agentKills int      // of the campaign's goroutine

	mu    sync.Mutex // guards what follows
	runs  []api.RotationRun
	halts map[string]int // that a person ended, by their reason
	wrong []string
}

// A merchant is one whose key is rotated.
type merchant struct {
	*market
	name   string
	key    string // id of the one that must be alive
	random *rand.Rand
}

// openMarket makes a platform with merchants for as many rotations as are wanted, servers on
// one database with a plan for each merchant, and agents.
func openMarket(t *testing.T, at place, servers, want int, random *rand.Rand) *market {
	merchants := 24
	m := &market{t: t, random: random, observe: 8, pause: 4 * time.Second, call: "2s", door: newDoor(t), platform: paysim.New(time.Now), calls: make(chan struct{}, 1), halts: map[string]int{}}
	if m.short = want < merchants; m.short {
		merchants, m.observe, m.pause, m.call = want, 1, 1500*time.Millisecond, "1s"
	}
	for n, f := range []*cloudtest.Faults{m.platform.Creating, m.platform.Managing, m.platform.Paying} {
		f.Seed(random.Uint64() + uint64(n))
		f.Wait = 300 * time.Millisecond
	}
	service := httptest.NewUnstartedServer(http.HandlerFunc(m.serve))
	service.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of answers that are lost on purpose
	service.Start()
	t.Cleanup(service.Close)
	m.url = service.URL

	key := found(t, at.dir, at.url)
	m.given = append(m.given, string(key.AccessKeySecret))
	for n := range servers {
		m.serveFrom(n, at)
	}
	m.door.leadTo(m.servers...)
	var err error
	m.client, err = client.New(client.Config{Endpoint: m.door.url(), AccessKeyID: key.AccessKeyID, AccessKeySecret: string(key.AccessKeySecret), Timeout: 10 * time.Second})
	m.must(err)
	for _, region := range regions {
		issued, err := m.client.CreateNodeToken(t.Context(), api.CreateNodeTokenRequest{Labels: map[string]string{"region": region}})
		m.must(err)
		m.given = append(m.given, string(issued.Token))
		m.agents = append(m.agents, joinAgent(t, build(t), m.door.url(), "shop-"+region, issued.Token))
	}
	for n := range merchants {
		m.merchants = append(m.merchants, m.enter(fmt.Sprintf("m%02d", n)))
	}
	return m
}

// spoil lets the platform begin to fail, more often where there are fewer rotations.
func (m *market) spoil() {
	m.platform.Creating.Rate, m.platform.Managing.Rate, m.platform.Paying.Rate = 0.2, 0.05, 0.02
	if m.short {
		m.platform.Creating.Rate, m.platform.Managing.Rate = 0.4, 0.08
	}
}

// serveFrom starts a server: the first one where the database was made, others beside it.
func (m *market) serveFrom(n int, at place) {
	m.t.Helper()
	own := ""
	if n > 0 {
		at.dir = filepath.Join(m.t.TempDir(), "data")
		own = fmt.Sprintf("node = \"node-%d\"\n", n+1)
	}
	s := prepareServer(m.t, build(m.t), at.dir, at.url)
	m.servers = append(m.servers, s)
	path := filepath.Join(s.home, "config.toml")
	config, err := os.ReadFile(path)
	m.must(err)
	m.must(os.WriteFile(path, []byte(own+string(config)+"connections_per_address = 0\n[egress]\nallow = [\"127.0.0.0/8\"]\n"), 0o600))
	s.start()
}

// logs answers the ends of the servers' logs.
func (m *market) logs() string {
	var out strings.Builder
	for _, s := range m.servers {
		out.WriteString(s.log())
	}
	return out.String()
}

// serve is the platform, which takes a moment for what is asked about keys, and again to
// answer, so that most kills come before, between or after.
func (m *market) serve(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/v1/keys") {
		m.platform.ServeHTTP(w, r)
		return
	}
	select {
	case m.calls <- struct{}{}:
	default:
	}
	time.Sleep(moment)
	defer time.Sleep(moment) // what is small leaves when the handler returns
	m.platform.ServeHTTP(w, r)
}

// called waits until the platform is asked about a key.
func (m *market) called(most time.Duration) {
	select {
	case <-m.calls: // an old one
	default:
	}
	select {
	case <-m.calls:
	case <-time.After(most):
	}
}

func (m *market) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatalf("%v\n%s", err, m.logs())
	}
}

// enter makes a merchant with one key, and all that keyward needs to rotate it in seconds.
func (m *market) enter(name string) *merchant {
	m.t.Helper()
	ctx := m.t.Context()
	admin := m.platform.AddMerchant(name)
	id, value, err := m.platform.AddKey(name, "by hand", 0)
	m.must(err)
	_, err = m.client.AddProvider(ctx, api.AddProviderRequest{Name: name, Kind: "http", Connection: connection(
		map[string]string{"vars": fmt.Sprintf(`{"url":%q,"merchant":%q}`, m.url, name)},
		"credential", admin, "definition_file", string(paysim.Definition()))})
	m.must(err)
	text, err := json.Marshal(map[string]string{"key_id": id, "key_secret": value})
	m.must(err)
	_, err = m.client.CreateSecret(ctx, api.CreateSecretRequest{Name: "pay/" + name, Value: text})
	m.must(err)
	_, err = m.client.CreateRollout(ctx, api.CreateRolloutRequest{Name: name, Secret: "pay/" + name, Waves: []api.RolloutWave{
		{Name: "first", Labels: map[string]string{"region": regions[0]}}, {Name: "rest"},
	}})
	m.must(err)
	_, err = m.client.CreateRotationPlan(ctx, api.CreateRotationPlanRequest{
		Name: name, Provider: name, Principal: name, Secret: "pay/" + name, Rollout: name,
		Care: api.RotationCareRequest{
			Call: new(m.call), Confirm: new("15s"), Grace: new("1s"), Quiet: new("1s"), Observe: new(fmt.Sprintf("%ds", m.observe+m.random.IntN(m.observe))),
			Waves: &[]api.RotationWaveRequest{{Name: "first", Bake: new("1s")}, {Name: "rest", Bake: new("")}},
		},
	})
	m.must(err)
	return &merchant{market: m, name: name, key: id, random: rand.New(rand.NewPCG(m.random.Uint64(), 3))}
}

// openShops opens a shop of each merchant on each node, and waits until each node has told
// that it uses the key, without which no rotation begins.
func (m *market) openShops(ctx context.Context, trading *sync.WaitGroup) {
	m.t.Helper()
	for _, of := range m.merchants {
		for _, a := range m.agents {
			s := &shop{
				name: of.name + "-" + a.name, platform: m.url, http: &http.Client{Transport: dialer()}, sales: &m.sales,
				random: rand.New(rand.NewPCG(m.random.Uint64(), 4)),
			}
			s.open(m.t, ctx, a, of.name, trading)
		}
	}
	for _, of := range m.merchants {
		for end := time.Now().Add(time.Minute); ; {
			why := of.covered(of.key)
			if why == "" {
				break
			}
			if time.Now().After(end) {
				m.t.Fatalf("%s\n%s", why, m.logs())
			}
			rest(ctx, 200*time.Millisecond)
		}
	}
}

// ask asks the server until it answers, and answers its refusal, nil for none.
func ask[T any](m *market, call func(context.Context) (T, error)) (T, *client.Error) {
	for {
		out, err := call(m.t.Context())
		refused := new(client.Error)
		switch {
		case err == nil, m.t.Context().Err() != nil:
			return out, nil
		case errors.As(err, &refused) && refused.Status < 500:
			return out, refused
		}
		rest(m.t.Context(), 100*time.Millisecond)
	}
}

func (m *market) fault(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
	m.t.Fail() // ends the campaign
}

// rotate rotates the merchant's key once, or begins to and goes back, and looks what is
// left of it.
func (m *merchant) rotate() {
	before, _ := ask(m.market, func(ctx context.Context) (api.RotationRunList, error) {
		return m.client.ListRotations(ctx, api.ListRotationsRequest{Plan: m.name, Limit: 1})
	})
	_, refused := ask(m.market, func(ctx context.Context) (api.RotationRun, error) {
		return m.client.StartRotation(ctx, m.name, api.StartRotationRequest{Cause: "the campaign"})
	})
	if refused != nil && refused.Code != "StateConflict" { // the first answer was lost
		m.fault("%s: %v", m.name, refused)
		return
	}
	back := time.Time{}
	if m.random.IntN(3) == 0 {
		back = time.Now().Add(time.Duration(m.random.Int64N(10 * int64(m.pause))))
	}
	for end := time.Now().Add(rotationPatience); m.t.Context().Err() == nil && !m.t.Failed(); rest(m.t.Context(), time.Second) {
		run, refused := ask(m.market, func(ctx context.Context) (api.RotationRun, error) {
			return m.client.DescribeRotation(ctx, m.name)
		})
		switch {
		case refused != nil || len(before.Rotations) > 0 && run.ID == before.Rotations[0].ID:
			m.fault("%s: no rotation has begun: %v", m.name, refused)
			return
		case !run.EndedAt.IsZero():
			m.settled(run)
			return
		case time.Now().After(end):
			m.fault("%s: after %v:\n%s", m.name, rotationPatience, told(run))
			return
		case run.Halt != "":
			m.resume(run)
		case !back.IsZero() && time.Now().After(back):
			back = time.Time{}
			ask(m.market, func(ctx context.Context) (api.RotationRun, error) { // too late is fine, too
				return m.client.RollBackRotation(ctx, m.name, api.RollBackRotationRequest{Reason: "the campaign"})
			})
		}
	}
}

// resume lets a rotation that has halted go on, as a person does who has looked.
func (m *merchant) resume(run api.RotationRun) {
	m.mu.Lock()
	m.halts[run.Halt]++
	m.mu.Unlock()
	m.t.Logf("%s halted in %s: %s: %s", m.name, run.Step, run.Halt, run.Detail)
	ask(m.market, func(ctx context.Context) (api.RotationRun, error) { return m.client.ResumeRotation(ctx, m.name) })
}

// told answers a rotation's history.
func told(run api.RotationRun) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %s, halt %q, trouble %q, %s\n", run.Plan, run.Step, run.Halt, run.Trouble, run.Detail)
	for _, e := range run.Events {
		fmt.Fprintf(&out, "  %s %s: %s %s\n", e.At.Format("15:04:05.000"), e.Step, e.Text, e.Actor)
	}
	return out.String()
}

// settled looks at what a rotation has left.
func (m *merchant) settled(run api.RotationRun) {
	if run.OldKey != m.key {
		m.fault("%s: replaced was %s, and %s was to be", m.name, run.OldKey, m.key)
	}
	if run.Step == "done" {
		m.key = run.NewKey
	}
	if why := m.alone(m.key); why != "" {
		m.fault("%s: %s\n%s", m.name, why, told(run))
	}
	for end := time.Now().Add(time.Minute); ; rest(m.t.Context(), time.Second) {
		why := m.covered(m.key)
		if why == "" {
			break
		}
		if time.Now().After(end) {
			m.fault("%s: %s\n%s", m.name, why, told(run))
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs = append(m.runs, run); len(m.runs)%50 == 0 {
		m.t.Logf("%d rotations are over", len(m.runs))
	}
}

// alone answers why a key is not the only one of the merchant at the platform, and alive.
func (m *merchant) alone(key string) string {
	var alive []string
	for _, l := range m.platform.Lives() {
		if l.Merchant != m.name || l.Ended() {
			continue
		}
		alive = append(alive, fmt.Sprintf("%s (%s) %v", l.ID, l.Name, l.Events))
		if last := l.Events[len(l.Events)-1]; l.ID != key || last.What == paysim.Disabled {
			return fmt.Sprintf("the only key is to be %s, and alive are %v", key, alive)
		}
	}
	if len(alive) != 1 {
		return fmt.Sprintf("the only key is to be %s, and alive are %v", key, alive)
	}
	return ""
}

// covered answers why a key is not the secret's current version, or not what every node
// uses.
func (m *merchant) covered(key string) string {
	value, refused := ask(m.market, func(ctx context.Context) (api.SecretValue, error) {
		return m.client.GetSecretValue(ctx, "pay/"+m.name, api.GetSecretRequest{})
	})
	var parts map[string]string
	if err := json.Unmarshal(value.Value, &parts); refused != nil || err != nil || parts["key_id"] != key {
		return fmt.Sprintf("the secret holds key %s, want %s; %v, %v", parts["key_id"], key, refused, err)
	}
	c, refused := ask(m.market, func(ctx context.Context) (api.RolloutCoverage, error) {
		return m.client.GetRolloutCoverage(ctx, m.name, api.PageRequest{})
	})
	if refused != nil || len(c.Members) != len(m.agents) {
		return fmt.Sprintf("the rollout has %d members, %v", len(c.Members), refused)
	}
	for _, w := range c.Rollout.Waves {
		if w.Now == nil || w.Now.Primary != value.Version.ID || w.Now.Fallback != "" {
			return fmt.Sprintf("wave %s is to have %+v, and the secret's version is %s", w.Name, w.Now, value.Version.ID)
		}
	}
	for _, member := range c.Members {
		if !member.There || member.Level != "used" || member.Acknowledged != member.Target {
			return fmt.Sprintf("node %s stands at %+v", member.Node, member)
		}
	}
	return ""
}

// checkIncidents looks that people are told of no rotation any more.
func (m *market) checkIncidents() {
	m.t.Helper()
	for end := time.Now().Add(time.Minute); ; rest(m.t.Context(), time.Second) {
		list, refused := ask(m, func(ctx context.Context) (api.IncidentList, error) {
			return m.client.ListIncidents(ctx, api.ListIncidentsRequest{})
		})
		var open []string
		for _, i := range list.Incidents {
			if i.EndedAt.IsZero() && strings.HasPrefix(i.Kind, "rotation") {
				open = append(open, i.Condition)
			}
		}
		if refused == nil && len(open) == 0 {
			return
		}
		if time.Now().After(end) {
			m.t.Errorf("open are still %v, %v", open, refused)
			return
		}
	}
}

// faults answers what requests about keys suffered.
func (m *market) faults() string {
	count := func(of cloudtest.Fault) int { return m.platform.Creating.Count(of) + m.platform.Managing.Count(of) }
	return fmt.Sprintf("%d were lost, %d of their answers lost, %d done twice, %d delayed, %d refused or answered with garbage",
		count(cloudtest.LoseBefore), count(cloudtest.LoseAfter), count(cloudtest.Double), count(cloudtest.Delay),
		count(cloudtest.Error500)+count(cloudtest.Error503)+count(cloudtest.Throttle)+count(cloudtest.Garbage))
}
