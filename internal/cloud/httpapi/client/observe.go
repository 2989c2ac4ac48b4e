package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/template"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

// How long texts of a provider may be, in characters.
const (
	maxID   = 256
	maxText = 256
)

// A Seen is what the service tells of one key, with what could not be read of it.
type Seen struct {
	accesskey.Observed
	Account  string
	Problems []accesskey.Problem
}

// List reads all keys. It answers all of them or an error; what is odd about one key is a
// problem of that key.
func (c *Client) List(ctx context.Context) ([]Seen, error) {
	op := c.def.Operation(definition.List)
	if op == nil {
		return nil, fault.UnsupportedOperation.New("the definition %s has no list", c.def.Name)
	}
	items, err := c.list(ctx, op)
	if err != nil {
		return nil, err
	}
	out := make([]Seen, 0, len(items))
	at := map[string]int{}
	for i, item := range items {
		seen, err := c.seen(op, item)
		if err != nil {
			return nil, c.fault(fault.Unavailable, nil, op, fault.Say("key %d of the list: %v", i+1, err))
		}
		if j, twice := at[seen.ID]; twice { // it was changed while the pages were read
			out[j] = seen
			continue
		}
		at[seen.ID] = len(out)
		out = append(out, seen)
	}
	return out, nil
}

// Status reads the key that the credential itself is.
func (c *Client) Status(ctx context.Context) (Seen, error) {
	op := c.def.Operation(definition.Status)
	if op == nil {
		return Seen{}, fault.UnsupportedOperation.New("the definition %s has no status", c.def.Name)
	}
	a, err := c.read(ctx, op, c.with(nil), nil)
	if err != nil {
		return Seen{}, err
	}
	seen, err := c.seen(op, a.body)
	if err != nil {
		return Seen{}, c.fault(fault.Unavailable, nil, op, fault.Say("%v", err))
	}
	return seen, nil
}

// Verify tries a key, asked as the key's consumer would ask. An error means that it could
// not be found out.
func (c *Client) Verify(ctx context.Context, id string, secret material.Bytes) (rotation.Verdict, error) {
	op := c.def.Operation(definition.Verify)
	if op == nil {
		return "", fault.UnsupportedOperation.New("the definition %s has no verify", c.def.Name)
	}
	text := string(secret.Expose()) // it becomes a header's text in any case
	defer c.hide(text, base64.StdEncoding.EncodeToString([]byte(id+":"+text)))()
	values := c.with(template.Values{"key.id": id, "key.secret": text})
	a, err := c.read(ctx, op, values, nil)
	if errors.Is(err, errKeyRefused) {
		return rotation.Refused, nil
	}
	if err != nil {
		return "", err
	}
	own, err := op.Whose(a.body, id, values)
	switch {
	case err != nil:
		return "", err
	case !own:
		return rotation.Stranger, nil
	}
	return rotation.Accepted, nil
}

// hide has secrets cut until the function that it answers is called.
func (c *Client) hide(secrets ...string) (show func()) {
	before := c.cut
	c.cut = c.cut.And(secrets...)
	return func() { c.cut = before }
}

// seen reads one key out of an answer. An error means that the key could not be told from
// others.
func (c *Client) seen(op *definition.Operation, item any) (Seen, error) {
	cut := c.cut.And(secretsOf(op, item)...)
	m, s := op.Map, Seen{}
	var err error
	if s.ID, err = idOf(op, item, cut); err != nil {
		return s, err
	}
	text := func(name string, f *definition.Field) string {
		value, err := f.Text(item)
		if err != nil {
			s.problem(op, cut.Clean(fmt.Sprintf("%s: %v", name, err), maxText))
		}
		return cut.Clean(value, maxText)
	}
	s.Name, s.Principal, s.Account = text("name", m.Name), text("principal", m.Principal), text("account", m.Account)
	if tag := text("tag", m.Tag); tag != "" {
		s.Tags = map[string]string{"tag": tag}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Detail)) {
		if value := text(name, m.Detail[name]); value != "" {
			if s.Detail == nil {
				s.Detail = map[string]string{}
			}
			s.Detail[name] = value
		}
	}
	s.Status = accesskey.Active
	if m.Status != nil {
		word := text("status", m.Status)
		known, ok := op.StatusMap[word]
		if ok {
			s.Status = accesskey.Status(known)
		} else {
			s.problem(op, fmt.Sprintf("the definition does not know the status %q; the key counts as active until statusMap says what it means", word))
		}
	}
	c.moments(op, &s, func(name string, f *definition.Field) time.Time {
		at, err := f.Time(item)
		if err != nil {
			s.problem(op, cut.Clean(fmt.Sprintf("%s: %v", name, err), maxText))
		}
		return at
	})
	if m.ID.Value != "" && len(s.Problems) > 0 { // nothing in the answer tells that it is about this key
		return s, errors.New(s.Problems[0].Reason)
	}
	return s, nil
}

// idOf reads the id of a key.
func idOf(op *definition.Operation, item any, cut answer.Scissors) (string, error) {
	id, err := op.Map.ID.Text(item)
	switch {
	case err != nil:
		return "", fmt.Errorf("the id: %w", err)
	case id == "", len(id) > maxID, cut.Clean(id, maxID) != id && !cut.Finds(id):
		return "", errors.New("the id is empty, too long or has control characters")
	case cut.Finds(id):
		return "", errors.New("the id holds a secret; the definition takes the wrong field")
	}
	return id, nil
}

// moments fills in the times of a key.
func (c *Client) moments(op *definition.Operation, s *Seen, moment func(name string, f *definition.Field) time.Time) {
	m := op.Map
	s.CreatedAt, s.ChangedAt = moment("createdAt", m.CreatedAt), moment("changedAt", m.ChangedAt)
	if at := moment("expiresAt", m.ExpiresAt); !at.IsZero() {
		s.Expiry = accesskey.Expiry{At: at, Basis: accesskey.Provided}
	}
	if m.LastUsedAt != nil {
		before := len(s.Problems)
		s.Use = accesskey.Use{Known: accesskey.No, At: moment("lastUsedAt", m.LastUsedAt), Lag: time.Duration(c.def.Capabilities.LastUsed.Granularity)}
		switch {
		case len(s.Problems) > before:
			s.Use.Known = accesskey.Unknown
		case !s.Use.At.IsZero():
			s.Use.Known = accesskey.Yes
		}
	}
}

func (s *Seen) problem(op *definition.Operation, reason string) {
	s.Problems = append(s.Problems, accesskey.Problem{What: string(op.Name), Subject: s.ID, Reason: reason})
}

// secretsOf collects what the definition declares secret in an item.
func secretsOf(op *definition.Operation, item any) []string {
	pointers := slices.Clone(op.Redact)
	if op.Map.Secret != nil {
		pointers = append(pointers, op.Map.Secret.Pointer)
	}
	var out []string
	for _, pointer := range pointers {
		found, _ := answer.Lookup(item, pointer)
		if text, ok := answer.Text(found); ok {
			out = append(out, text)
		}
	}
	return out
}
