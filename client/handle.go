package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keyward/keyward/api/delivery"
)

// ErrRefused tells [Key.Do] that the provider did not accept the credential: wrap it
// where the provider says that it does not know who calls, such as with a status of 401
// or InvalidAccessKeyId. What was refused for another reason is no ErrRefused.
var ErrRefused = errors.New("the credential was refused")

const (
	refetchPatience = 2 * time.Second // of a call whose credential was refused
	refreshPause    = time.Second     // after the first failure; it doubles up to refreshPauses
	refreshPauses   = 30 * time.Second
	tellPause       = time.Second // between two reports
)

// A Credential is one version of a key. It formats itself without its parts.
type Credential struct {
	Version  string
	Fallback bool // it is the one that is used when the primary version is refused
	part     func(name string) (string, bool)
}

// Part answers a part of the credential, such as "access_key_secret", or "" if it has none
// of that name. A value that is not made of parts has one, "value".
func (c Credential) Part(name string) string {
	if c.part == nil {
		return ""
	}
	value, _ := c.part(name)
	return value
}

// Format writes the version and nothing else, for every verb.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "{Version:"+c.Version+"}") }

func credential(c delivery.Credential, fallback bool) Credential {
	return Credential{Version: c.Version, Fallback: fallback, part: func(name string) (string, bool) {
		value, ok := c.Parts[name]
		return string(value), ok
	}}
}

// KeyOptions say which key a program uses.
type KeyOptions struct {
	Agent   AgentConfig
	Rollout string // that delivers the key
	// Refused tells whether the error of a call means that the credential was not
	// accepted; nil means errors.Is(err, ErrRefused).
	Refused func(error) bool
}

// A Key is a key that changes under a running program, without a failed call. It knows
// the newest version and, as long as a rotation takes, the one before. Once it is open it
// never blocks and never fails: a goroutine refreshes it, and while the agent is away it
// stays as it was. It may be used concurrently.
type Key struct {
	agent   *Agent
	rollout string
	refused func(error) bool
	current atomic.Pointer[delivery.Key]

	mu      sync.Mutex // guards pending
	pending map[told]int
	wake    chan struct{} // holds one: something is pending

	stop    context.CancelFunc
	running sync.WaitGroup
}

// told is what is told to the agent of a version.
type told struct {
	version, result string
	instead         bool // of the primary, which was refused
}

// OpenKey opens a key of this machine's agent. It waits for the agent to have it until
// ctx ends, so give ctx a deadline. Close the key when it is not used any more.
func OpenKey(ctx context.Context, o KeyOptions) (*Key, error) {
	agent, err := NewAgent(o.Agent)
	if err != nil {
		return nil, err
	}
	if o.Rollout == "" {
		return nil, errors.New("opening key: the rollout is not named")
	}
	k := &Key{agent: agent, rollout: o.Rollout, refused: o.Refused, pending: map[told]int{}, wake: make(chan struct{}, 1)}
	if k.refused == nil {
		k.refused = func(err error) bool { return errors.Is(err, ErrRefused) }
	}
	for failures := 0; k.current.Load() == nil; failures++ {
		first, err := agent.Key(ctx, o.Rollout, 0, agentWait)
		if err == nil {
			k.current.Store(&first)
		} else if !sleep(ctx, pauseAfter(failures)) {
			return nil, fmt.Errorf("opening key %s: %w", o.Rollout, err)
		}
	}
	var background context.Context
	background, k.stop = context.WithCancel(context.WithoutCancel(ctx))
	k.running.Go(func() { k.refresh(background) })
	k.running.Go(func() { k.tell(background) })
	return k, nil
}

// Close ends the refreshing. What the key was last, it stays.
func (k *Key) Close() {
	k.stop()
	k.running.Wait()
}

// Current answers the credential to use now. It never blocks. A program that uses it
// without [Key.Do] asks anew for each call, and tells with [Key.Report] how it went.
func (k *Key) Current() Credential { return credential(k.current.Load().Primary, false) }

// Fallback answers the credential to use if the current one is refused, and false if
// there is none.
func (k *Key) Fallback() (Credential, bool) {
	now := k.current.Load()
	return credential(now.Fallback, true), now.Fallback.Version != ""
}

// Do calls f with the current credential and answers its error. If f says that the
// credential was refused, Do asks the agent once for a newer one and calls f with that,
// and then with the fallback. Any other error of f is answered at once: what a provider
// refuses for a reason of business is not tried again. Each call of f is told to the
// agent, which is how a rotation knows that the new key works. f may so be called up to
// three times, but again only after the provider refused to do anything.
func (k *Key) Do(ctx context.Context, f func(Credential) error) error {
	first := k.current.Load()
	err, again := k.try(credential(first.Primary, false), f)
	if !again || ctx.Err() != nil {
		return err
	}
	now := k.refetch(ctx)
	if now.Primary.Version != first.Primary.Version {
		if err, again = k.try(credential(now.Primary, false), f); !again || ctx.Err() != nil {
			return err
		}
	}
	if version := now.Fallback.Version; version != "" && version != first.Primary.Version {
		err, _ = k.try(credential(now.Fallback, true), f)
	}
	return err
}

// try calls f once, notes how it went, and tells whether the credential was refused.
func (k *Key) try(c Credential, f func(Credential) error) (error, bool) {
	err := f(c)
	switch {
	case err == nil:
		k.note(told{c.Version, delivery.ResultUsed, c.Fallback})
	case k.refused(err):
		k.note(told{c.Version, delivery.ResultRefused, false})
		return err, true
	}
	return err, false
}

// Report tells the agent how a call went that was not made by [Key.Do]: nil that the
// credential was accepted, an error that means a refusal that it was refused; any other
// error says nothing about the credential. It never blocks.
func (k *Key) Report(c Credential, err error) {
	_, _ = k.try(c, func(Credential) error { return err })
}

// refetch asks the agent at once, and answers what is newest then.
func (k *Key) refetch(ctx context.Context) *delivery.Key {
	ctx, cancel := context.WithTimeout(ctx, refetchPatience)
	defer cancel()
	have := k.current.Load()
	got, err := k.agent.Key(ctx, k.rollout, have.Generation, 0)
	if err == nil && delivery.Newer(have.Generation, got.Generation) {
		k.current.CompareAndSwap(have, &got) // or the refreshing was quicker
	}
	return k.current.Load()
}

// refresh keeps the key up to date. An answer to a question that was asked with what the
// key is now is taken as it is: the agent is the one who knows which generation is newer.
func (k *Key) refresh(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		have := k.current.Load()
		got, err := k.agent.Key(ctx, k.rollout, have.Generation, agentWait)
		if err != nil {
			sleep(ctx, pauseAfter(failures))
			failures++
			continue
		}
		failures = 0
		if got.Generation == have.Generation {
			sleep(ctx, refreshPause) // an agent that does not let wait must not be asked without end
			continue
		}
		k.current.CompareAndSwap(have, &got)
	}
}

// note remembers something to tell the agent.
func (k *Key) note(t told) {
	k.mu.Lock()
	k.pending[t]++
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// tell tells the agent what is pending, many uses at once, until ctx ends.
func (k *Key) tell(ctx context.Context) {
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellPause)
			defer cancel()
			_ = k.tellPending(last) // the program ends; the agent may have ended before
			return
		case <-k.wake:
		}
		if err := k.tellPending(ctx); err != nil {
			sleep(ctx, pauseAfter(failures))
			failures++
			continue
		}
		failures = 0
		sleep(ctx, tellPause)
	}
}

// tellPending tells the agent what is pending. What it could not tell is pending again.
func (k *Key) tellPending(ctx context.Context) error {
	k.mu.Lock()
	all := k.pending
	k.pending = map[told]int{}
	k.mu.Unlock()
	var failed error
	for t, times := range all {
		err := k.agent.Report(ctx, k.rollout, delivery.Use{Version: t.version, Result: t.result, Times: times, Instead: t.instead})
		var refusal *Error
		if errors.As(err, &refusal) && (refusal.Status == http.StatusConflict || refusal.Status == http.StatusNotFound) {
			continue // the version is none that the agent has: nobody waits to hear of it
		}
		if err != nil {
			failed = err
			k.mu.Lock()
			k.pending[t] += times
			k.mu.Unlock()
		}
	}
	if failed != nil {
		select {
		case k.wake <- struct{}{}:
		default:
		}
	}
	return failed
}

// pauseAfter answers how long to wait after a number of failures in a row.
func pauseAfter(failures int) time.Duration {
	return min(refreshPause<<min(failures, 10), refreshPauses)
}

// sleep waits, and tells whether it was for so long or ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// DefaultAgent is where the agent of a machine listens unless it is told otherwise.
const DefaultAgent = "/run/keyward-agent/agent.sock"

const (
	agentTimeout = 10 * time.Second
	agentWait    = 30 * time.Second // that the agent may leave a question for the next generation unanswered
)

// An AgentConfig says where the agent of this machine listens.
type AgentConfig struct {
	Address   string // path of its socket, or a loopback address such as 127.0.0.1:7422; "" means DefaultAgent
	TokenFile string // with an address: the file that its token_file names
}

// An Agent asks the agent of this machine. It may be used concurrently.
type Agent struct {
	agent transport
}

// NewAgent makes an Agent. It does not connect.
func NewAgent(c AgentConfig) (*Agent, error) {
	t := transport{base: "http://localhost", timeout: agentTimeout + agentWait}
	c.Address = cmp.Or(c.Address, DefaultAgent)
	if filepath.IsAbs(c.Address) {
		t.http = withoutRedirects(&http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", c.Address)
		}}})
		return &Agent{t}, nil
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil || !loopback(host) {
		return nil, fmt.Errorf("configuring client: %q is neither the absolute path of an agent's socket nor a loopback address with a port", c.Address)
	}
	token, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("reading the agent's token: %w", err)
	}
	bearer := "Bearer " + strings.TrimSpace(string(token))
	t.base = "http://" + c.Address
	t.http = withoutRedirects(&http.Client{Transport: &http.Transport{}}) // no proxy
	t.sign = func(r *http.Request, _ []byte) { r.Header.Set("Authorization", bearer) }
	return &Agent{t}, nil
}

// Status answers how the agent does. It holds no secret.
func (a *Agent) Status(ctx context.Context) (delivery.Status, error) {
	return call[delivery.Status](ctx, a.agent, "GET", delivery.StatusPath, nil)
}

// Key answers both versions of a rollout. It waits for a generation above after, at most
// for a time that the agent bounds to a minute, and answers what there is then.
func (a *Agent) Key(ctx context.Context, rollout string, after int64, wait time.Duration) (delivery.Key, error) {
	path := keyPath(rollout) + "?after=" + strconv.FormatInt(after, 10) + "&wait=" + wait.String()
	k, err := call[delivery.Key](ctx, a.agent, "GET", path, nil)
	if err == nil && k.Primary.Version == "" {
		err = errors.New("reading the agent's answer: it has no key")
	}
	return k, err
}

// Report tells the agent how a version did.
func (a *Agent) Report(ctx context.Context, rollout string, u delivery.Use) error {
	_, err := call[none](ctx, a.agent, "POST", keyPath(rollout)+delivery.UseSuffix, u)
	return err
}

func keyPath(rollout string) string {
	return string(appendEscaped([]byte(delivery.KeysPath), rollout))
}
