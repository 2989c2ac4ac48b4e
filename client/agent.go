package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/keyward/keyward/api/delivery"
)

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
	if c.Address == "" {
		c.Address = DefaultAgent
	}
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
