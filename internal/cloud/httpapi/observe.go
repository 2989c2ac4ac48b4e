package httpapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/httpapi/answer"
	"github.com/keyward/keyward/internal/cloud/httpapi/template"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
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
	op := c.def.ops[List]
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
			return nil, c.fault(fault.Unavailable, op, "key %d of the list: %v", i+1, err)
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
	op := c.def.ops[Status]
	if op == nil {
		return Seen{}, fault.UnsupportedOperation.New("the definition %s has no status", c.def.Name)
	}
	a, err := c.read(ctx, op, c.with(nil), nil)
	if err != nil {
		return Seen{}, err
	}
	seen, err := c.seen(op, a.body)
	if err != nil {
		return Seen{}, c.fault(fault.Unavailable, op, "%v", err)
	}
	return seen, nil
}

// Verify tells whether the service accepts a key, asked as the key's consumer would ask.
// An error means that it could not be found out.
func (c *Client) Verify(ctx context.Context, id string, secret material.Bytes) (bool, error) {
	op := c.def.ops[Verify]
	if op == nil {
		return false, fault.UnsupportedOperation.New("the definition %s has no verify", c.def.Name)
	}
	text := string(secret.Expose()) // it becomes a header's text in any case
	before := c.cut
	c.cut = c.cut.And(text)
	defer func() { c.cut = before }()
	a, err := c.read(ctx, op, c.with(template.Values{"key.id": id, "key.secret": text}), nil)
	if errors.Is(err, errKeyRefused) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if op.Identity != "" {
		found, _ := answer.Lookup(a.body, op.Identity)
		if name, ok := answer.Text(found); !ok || name != id {
			return false, c.fault(fault.Unavailable, op, "the service accepts the key, and takes it for another one than %s", id)
		}
	}
	return true, nil
}

// seen reads one key out of an answer. An error means that the key could not be told from
// others.
func (c *Client) seen(op *operationPlan, item any) (Seen, error) {
	cut := c.cut.And(secretsOf(op, item)...)
	m, s := op.Map, Seen{}
	id, err := m.ID.text(item)
	switch {
	case err != nil:
		return s, fmt.Errorf("the id: %w", err)
	case id == "", len(id) > maxID, cut.Clean(id, maxID) != id && !cut.Finds(id):
		return s, errors.New("the id is empty, too long or has control characters")
	case cut.Finds(id):
		return s, errors.New("the id holds a secret; the definition takes the wrong field")
	}
	s.ID = id
	text := func(name string, f *field) string {
		value, err := f.text(item)
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
	c.moments(op, &s, func(name string, f *field) time.Time {
		at, err := f.time(item)
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

// moments fills in the times of a key.
func (c *Client) moments(op *operationPlan, s *Seen, moment func(name string, f *field) time.Time) {
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

func (s *Seen) problem(op *operationPlan, reason string) {
	s.Problems = append(s.Problems, accesskey.Problem{What: string(op.name), Subject: s.ID, Reason: reason})
}

// secretsOf collects what the definition declares secret in an item.
func secretsOf(op *operationPlan, item any) []string {
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
