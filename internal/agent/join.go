package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/api/delivery"
	"github.com/keyward/keyward/internal/agent/identity"
	"github.com/keyward/keyward/internal/fault"
)

// A Joining says how a machine becomes a node.
type Joining struct {
	Server    string // URL
	CA        string // PEM; "" for the system's
	State     string // directory, made if it is not there
	Token     api.SecretText
	Name      string            // of the node, unless the token says it
	Host      string            // the machine's own name, if neither says one
	Transport http.RoundTripper // nil for one of its own
	Now       func() time.Time
	Language  string // in which the server says what it has against it; "" is English
}

// Join makes this machine a node: it makes its keys, shows the token with their public
// parts to the server, and keeps what it was told. A machine that has joined is refused.
// If the answer is lost, joining again shows the same keys.
func Join(ctx context.Context, j Joining) (identity.Node, error) {
	server, err := checkServer(j.Server)
	if err != nil {
		return identity.Node{}, fmt.Errorf("joining: %w", err)
	}
	if j.Transport == nil {
		if j.Transport, err = newTransport(j.CA); err != nil {
			return identity.Node{}, fmt.Errorf("joining: %w", err)
		}
	}
	if err := os.MkdirAll(j.State, 0o700); err != nil {
		return identity.Node{}, fmt.Errorf("making the state directory: %w", err)
	}
	switch n, _, err := identity.Load(j.State); {
	case err == nil:
		return identity.Node{}, fault.StateConflict.New("this machine is %s of %s already; to make it another node, remove %s", n.Path(), n.Server, j.State)
	case !errors.Is(err, identity.ErrNotJoined):
		return identity.Node{}, err
	}
	keys, err := identity.MakeKeys(j.State)
	if err != nil {
		return identity.Node{}, err
	}
	in := delivery.JoinRequest{Token: j.Token, Name: j.Name, Host: j.Host}
	in.SignKey, in.SealKey = keys.Public()
	l := link{server: server, http: j.Transport, clock: &clock{now: j.Now}, language: j.Language}
	var told delivery.JoinAnswer
	if err := l.post(ctx, delivery.JoinPath, in, &told); err != nil {
		if r, ok := errors.AsType[*refusal](err); ok && r.detail != "" {
			return identity.Node{}, fault.InvalidParameter.Wrap(err, "the server answered: %s (%s)", r.detail, r.code)
		}
		return identity.Node{}, fault.Unavailable.Wrap(err, "the server gave no answer: %v; check --server and that it runs, then run the same command again", err)
	}
	n := identity.Node{Account: told.Account, Name: told.Name, Labels: told.Labels, Server: server, CA: j.CA}
	if n.Account == "" || n.Name == "" {
		return identity.Node{}, errors.New("joining: the server's answer names no node")
	}
	return n, identity.Save(j.State, n)
}
