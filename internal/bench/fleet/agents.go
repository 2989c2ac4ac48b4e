package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/bench/figure"
	"github.com/keyward/keyward/internal/server/agentapi/agenttest"
)

const (
	rolloutName = "bench-fleet"
	rounds      = 3 // generations that are published
	maxRetries  = 100
	watchTime   = 60               // seconds that an agent waits at once
	patience    = 5 * time.Minute  // until all agents wait, or have acknowledged
	atOnce      = 64               // agents that join at once
	descriptors = 200              // that a process needs beside one for each agent
	moment      = time.Second      // between two looks at how many wait
	maxAfter    = 15 * time.Second // that an agent which is turned away waits, unless it is told less
)

// A Server is a running keyward in a process of its own, without limits of connections.
type Server struct {
	Name     string // of its database
	URL      func() string
	Root     func() *client.Client
	Resident func() (int64, error)         // its memory in bytes
	CPU      func() (time.Duration, error) // that it has used
	Waiting  func() (int, error)           // agents
	Restart  func(context.Context) error
}

// Agents prints a table of n agents that are connected to a server, and one of the calls
// beside them.
func Agents(ctx context.Context, s Server, n int) error {
	if err := enough(n); err != nil {
		return err
	}
	f, err := gather(ctx, s, n)
	if err != nil {
		return fmt.Errorf("having %d agents join: %w", n, err)
	}
	// What joining took is not what being connected takes.
	f.disconnect()
	if err := s.Restart(ctx); err != nil {
		return err
	}
	return f.measure(ctx)
}

// enough refuses more agents than this process, or a server that it starts, may have
// connections. The limit that can be reached is in force already: package os raises it.
func enough(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	if uint64(n)+descriptors > limit.Max {
		return fmt.Errorf("%d agents need %d open files in each of two processes, and %d are allowed; raise the hard limit: ulimit -Hn", n, n+descriptors, limit.Max)
	}
	return nil
}

// A fleet is agents that have joined and a key that the foreground encrypts with.
type fleet struct {
	server Server
	agents []*agent
	key    string
	value  int // of the secret that was stored last
}

// An agent is one node's, with a connection of its own.
type agent struct {
	*agenttest.Agent
	turnedAway atomic.Int64
	there      chan struct{} // has an element for each generation that it has acknowledged
}

// gather makes a rollout and has agents join and take its first generation.
func gather(ctx context.Context, s Server, n int) (*fleet, error) {
	root := s.Root()
	f := &fleet{server: s, agents: make([]*agent, n)}
	k, err := root.CreateKey(ctx, api.CreateKeyRequest{Spec: "Aliyun_AES_256"})
	if err != nil {
		return nil, err
	}
	f.key = k.ID
	if _, err := root.CreateSecret(ctx, api.CreateSecretRequest{Name: rolloutName, Value: f.next()}); err != nil {
		return nil, err
	}
	if _, err := root.CreateRollout(ctx, api.CreateRolloutRequest{Name: rolloutName, Secret: rolloutName}); err != nil {
		return nil, err
	}
	token, err := root.CreateNodeToken(ctx, api.CreateNodeTokenRequest{Uses: n})
	if err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range f.agents {
		g.Go(func() error {
			a := newAgent(s.URL(), i)
			f.agents[i] = a
			if err := a.Join(ctx, string(token.Token), fmt.Sprintf("node-%05d", i)); err != nil {
				return err
			}
			if _, err := a.Watch(ctx, 0); err != nil {
				return err
			}
			_, err := a.Report(ctx, a.Ack(rolloutName, "used"))
			return err
		})
	}
	return f, g.Wait()
}

// next is a credential as rotations write them.
func (f *fleet) next() []byte {
	f.value++
	return fmt.Appendf(nil, `{"access_key_id":"fake-%06d","access_key_secret":"fake-secret-of-forty-characters-%08d"}`, f.value, f.value)
}

// newAgent makes an agent that connects from an address of its own, as nodes do: a server
// limits how often one address may join. All addresses of 127.0.0.0/8 are this machine's.
func newAgent(url string, i int) *agent {
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1+byte(i>>16), byte(i>>8), byte(i))}}
	transport := &http.Transport{DialContext: from.DialContext, MaxIdleConnsPerHost: 1}
	return &agent{Agent: agenttest.New(url, &http.Client{Transport: transport}, time.Now), there: make(chan struct{}, rounds)}
}

// disconnect closes all connections.
func (f *fleet) disconnect() {
	for _, a := range f.agents {
		a.HTTP.CloseIdleConnections()
	}
}

// encrypt is one call of the foreground.
func (f *fleet) encrypt(ctx context.Context) error {
	_, err := f.server.Root().Encrypt(ctx, api.EncryptRequest{Key: f.key, Plaintext: make([]byte, 32)})
	return err
}

const agentsHead = `
| database | agents | MB without | MB waiting | KB each | generation | 50 % s | 99 % s | 100 % s | server CPU s | CPU ms each | turned away | MB after |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
`

// measure connects the agents and publishes generations to them.
func (f *fleet) measure(ctx context.Context) error {
	quiet, err := beside(ctx, f.encrypt, idly(ctx, alone)) // and the server has done all that it does first
	if err != nil {
		return err
	}
	without, err := f.server.Resident()
	if err != nil {
		return err
	}
	table := foregroundHead + quiet.row(f.server.Name, "alone")
	err = f.connected(ctx, without, &table)
	fmt.Print(table)
	return err
}

// connected has the agents live while they are measured.
func (f *fleet) connected(ctx context.Context, without int64, table *string) error {
	living, stop := context.WithCancel(ctx)
	var agents errgroup.Group
	for _, a := range f.agents {
		a.URL = f.server.URL()
		agents.Go(func() error { return a.live(living) })
	}
	err := f.watched(ctx, without, table)
	stop()
	return errors.Join(err, agents.Wait())
}

// watched measures while the agents live.
func (f *fleet) watched(ctx context.Context, without int64, table *string) error {
	if err := f.settled(ctx); err != nil {
		return err
	}
	waiting, err := beside(ctx, f.encrypt, idly(ctx, alone))
	if err != nil {
		return err
	}
	with, err := f.server.Resident()
	if err != nil {
		return err
	}
	n := len(f.agents)
	*table += waiting.row(f.server.Name, fmt.Sprintf("while %d agents wait", n))
	fmt.Print(agentsHead)
	for i := range rounds {
		if err := f.settled(ctx); err != nil {
			return err
		}
		var r round
		busy, err := beside(ctx, f.encrypt, func() (err error) {
			r, err = f.publish(ctx)
			return err
		})
		if err != nil {
			return err
		}
		after, err := f.server.Resident()
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %d | %s | %s | %.1f | %d | %.2f | %.2f | %.2f | %.2f | %.2f | %d | %s |\n", f.server.Name, n, figure.Megabytes(without), figure.Megabytes(with),
			float64(with-without)/1000/float64(n), i+2, r.took.Quantile(0.5).Seconds(), r.took.Quantile(0.99).Seconds(), r.took.Quantile(1).Seconds(),
			r.cpu.Seconds(), figure.Milliseconds(r.cpu)/float64(n), r.turnedAway, figure.Megabytes(after))
		*table += busy.row(f.server.Name, fmt.Sprintf("while they take generation %d", i+2))
	}
	return nil
}

// settled waits until all agents wait.
func (f *fleet) settled(ctx context.Context) error {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		n, err := f.server.Waiting()
		if err != nil {
			return err
		}
		if n*100 >= len(f.agents)*99 { // the others are between two waits
			return nil
		}
		if err := idly(ctx, moment)(); err != nil {
			return err
		}
	}
	return errors.New("the agents do not wait in time")
}

// A round is how one generation reached the agents.
type round struct {
	took       figure.Times // until each had acknowledged it
	cpu        time.Duration
	turnedAway int64
}

// publish stores a new version, publishes it, and waits until each agent uses it.
func (f *fleet) publish(ctx context.Context) (round, error) {
	before, err := f.server.CPU()
	if err != nil {
		return round{}, err
	}
	version := fmt.Sprintf("v%d", f.value+1)
	if _, err := f.server.Root().PutSecretValue(ctx, rolloutName, api.PutSecretRequest{Version: version, Value: f.next()}); err != nil {
		return round{}, err
	}
	r := round{turnedAway: -f.turnedAway()}
	begun := time.Now()
	if _, err := f.server.Root().PublishRollout(ctx, rolloutName, api.PublishRolloutRequest{Version: version}); err != nil {
		return r, err
	}
	var mu sync.Mutex // guards r.took
	g, ctx := errgroup.WithContext(ctx)
	for _, a := range f.agents {
		g.Go(func() error {
			select {
			case <-a.there:
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(patience):
				return fmt.Errorf("%s does not take generation %d in time", a.Name, f.value)
			}
			mu.Lock()
			defer mu.Unlock()
			r.took = append(r.took, time.Since(begun))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return r, err
	}
	slices.Sort(r.took)
	after, err := f.server.CPU()
	r.cpu, r.turnedAway = after-before, r.turnedAway+f.turnedAway()
	return r, err
}

func (f *fleet) turnedAway() (n int64) {
	for _, a := range f.agents {
		n += a.turnedAway.Load()
	}
	return n
}

// live waits for generations and acknowledges them until ctx ends.
func (a *agent) live(ctx context.Context) error {
	defer a.HTTP.CloseIdleConnections()
	acknowledged := a.Have[rolloutName]
	for tries := 0; ; {
		var err error
		if generation := a.Have[rolloutName]; generation == acknowledged {
			_, err = a.Watch(ctx, watchTime)
		} else if _, err = a.Report(ctx, a.Ack(rolloutName, "used")); err == nil {
			acknowledged = generation
			a.there <- struct{}{}
		}
		switch tries++; {
		case ctx.Err() != nil:
			return nil // it was told to end
		case err == nil:
			tries = 0
		case tries == maxRetries:
			return fmt.Errorf("%s: %w", a.Name, err)
		default:
			a.turnedAway.Add(1)
			_ = idly(ctx, after(err))() // that ctx ended the next request finds out
		}
	}
}

// after answers when an agent that was turned away may come again.
func after(err error) time.Duration {
	if answer, ok := errors.AsType[*agenttest.Answer](err); ok {
		if seconds, err := strconv.Atoi(strings.TrimSpace(answer.Header.Get("Retry-After"))); err == nil {
			return min(time.Duration(seconds)*time.Second, maxAfter)
		}
	}
	return time.Second
}
