package contract

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyward/keyward/internal/cloud/httpapi/client"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/rotation"
)

// reads tells whether a case changes nothing.
func (c Case) reads() bool { return c.Operation.Reads() }

// change makes and ends keys, as a rotation does. Of promote, to end the first place is to
// promote the second, and to end the second is to abandon it.
func change(ctx context.Context, c *client.Client, of Case) (Minted, error) {
	i, err := client.NewIssuer(c, "")
	if err != nil {
		return Minted{}, err
	}
	switch of.Operation {
	case definition.Disable:
		return Minted{}, i.Disable(ctx, of.Key.ID)
	case definition.Enable:
		return Minted{}, i.Enable(ctx, of.Key.ID)
	case definition.Delete:
		return Minted{}, i.Delete(ctx, of.Key.ID, "")
	case definition.Promote:
		return Minted{}, i.Delete(ctx, of.Key.ID, i.Second())
	case definition.Abandon:
		return Minted{}, i.Delete(ctx, i.Second(), of.Key.ID)
	}
	m, err := i.Create(ctx, rotation.Attempt{ID: of.Attempt.ID, Tag: of.Attempt.Tag, Old: of.Attempt.Old, Expire: of.Attempt.Expire})
	if err != nil {
		return Minted{}, err
	}
	out := Minted{ID: m.ID, ExpiresAt: m.Expiry, Secret: string(m.Parts[i.SecretPart()].Expose())} // a fake one
	for _, part := range m.Parts {
		part.Zero()
	}
	return out, nil
}

// effect answers what an error says of the effect of its call.
func effect(err error) string {
	for _, e := range []struct {
		err  error
		name string
	}{{rotation.ErrFull, "full"}, {rotation.ErrRefused, "refused"}, {rotation.ErrNoEffect, "none"}, {rotation.ErrAbsent, "absent"}} {
		if errors.Is(err, e.err) {
			return e.name
		}
	}
	return "unknown"
}

// made holds a key that was made against the one that a case expects.
func (r *runner) made(c Case, got Minted) (string, error) {
	want := c.Expect.Minted
	switch {
	case want == nil && c.Expect.Done:
		return "done", nil
	case want == nil:
		return "", errors.New("it succeeded; expected is something else")
	case got.ID != want.ID:
		return "", fmt.Errorf("the new key's id is %q, expected is %q", got.ID, want.ID)
	case got.Secret != want.Secret:
		return "", errors.New("the new key has another secret than expected")
	case !got.ExpiresAt.Equal(want.ExpiresAt):
		return "", fmt.Errorf("the new key expires %q, expected is %q", moment(got.ExpiresAt), moment(want.ExpiresAt))
	}
	return "made: " + got.ID, nil
}

// lost tries what a connection that breaks does to an operation that changes something,
// and what a caller that has given up does.
func (r *runner) lost(ctx context.Context, c Case) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, one := range []struct {
		name   string
		ctx    context.Context
		replay *replay
		sent   int
		effect string
	}{
		{"answer lost", ctx, &replay{exchanges: c.Exchanges, cut: true}, 1, "unknown"},
		{"request or answer lost", ctx, &replay{exchanges: c.Exchanges, lose: 1}, 1, "unknown"},
		{"given up before it was sent", ended, &replay{exchanges: c.Exchanges}, 0, "none"},
	} {
		client, err := r.client(one.replay)
		if err == nil {
			_, err = ask(one.ctx, client, c)
			err = one.replay.judge(err, one.sent, one.effect)
		}
		r.report.add(c.Operation, one.name, err, fmt.Sprintf("sent: %d, effect: %s", one.sent, one.effect))
	}
}

// judge holds the error of a call that was lost against what must be said of it.
func (p *replay) judge(err error, sent int, want string) error {
	switch {
	case p.wrong != nil:
		return p.wrong
	case err == nil:
		return errors.New("it was taken for a success")
	case p.sent != sent:
		return fmt.Errorf("it was sent %d times, expected is %d", p.sent, sent)
	case effect(err) != want:
		return fmt.Errorf("the error says of its effect: %s; expected is: %s", effect(err), want)
	case !fault.Is(err, fault.Unavailable):
		return fmt.Errorf("expected the error %s, got %w", fault.Unavailable, err)
	}
	return nil
}
