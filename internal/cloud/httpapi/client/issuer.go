package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/cloud/httpapi/template"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

// An Issuer makes and ends keys by a definition's operations. It implements
// [rotation.Issuer].
//
// All keys that the definition lists count as one principal's: a definition's variables say
// whose they are. Of fixed-overlap, pending and roll the service may keep the old key's id
// for the new secret; then [rotation.Minted] has that id. Of promote the id of the new key
// is the name of the second place, which is no part of the credential.
type Issuer struct {
	client    *Client
	principal string
}

// NewIssuer makes an issuer of a principal's keys of a client with a [Target] that has
// Once. It refuses with [fault.InvalidParameter] a definition that does not say how keys
// are replaced.
func NewIssuer(c *Client, principal string) (*Issuer, error) {
	switch caps := c.def.Capabilities; {
	case caps.Reveal == "encrypted":
		return nil, fault.InvalidParameter.New("%s: the service answers a new secret encrypted to a key of yours, which keyward cannot read yet; make the key at the service and rotate as manual", c.def.Name)
	case !c.def.Writes():
		return nil, fault.InvalidParameter.New("the definition %s only reads keys: it has no operation that makes one; rotate as manual", c.def.Name)
	}
	return &Issuer{c, principal}, nil
}

// Means implements [rotation.Issuer].
func (i *Issuer) Means() rotation.Means {
	def := i.client.def
	c := def.Capabilities
	m := rotation.Means{
		Archetype: rotation.Archetype(c.Archetype), Listed: def.ListsNew(),
		Repeats:   c.Idempotency.Kind != "" && c.Idempotency.Kind != "none",
		Activates: time.Duration(c.ActivationDelay), UseLag: time.Duration(c.LastUsed.Granularity), Verifies: def.Has(definition.Verify),
	}
	if m.Tagged = m.Listed && c.Tag.Field != ""; m.Listed {
		m.MaxKeys = c.MaxKeys
	}
	if m.Archetype == rotation.FixedOverlap || m.Archetype == rotation.Pending {
		m.Overlap = i.overlap()
	}
	return m
}

// overlap answers how long the old key lives on: what is asked for, if that can be chosen.
func (i *Issuer) overlap() time.Duration {
	o := i.client.def.Capabilities.Overlap
	return time.Duration(cmp.Or(o.For, o.Max))
}

// Keys implements [rotation.Issuer].
func (i *Issuer) Keys(ctx context.Context) ([]rotation.Held, error) {
	all, err := i.client.List(ctx)
	if err != nil {
		return nil, unchanged(err)
	}
	out := make([]rotation.Held, len(all))
	for n, s := range all {
		out[n] = rotation.Held{ID: s.ID, Tag: s.Tags["tag"], Status: s.Status, CreatedAt: s.CreatedAt, Use: s.Use, Expiry: s.Expiry.At}
	}
	return out, nil
}

// unchanged marks an error of an operation that reads.
func unchanged(err error) error {
	switch fault.KindOf(err) {
	case fault.InvalidParameter, fault.UnsupportedOperation:
		return mark(rotation.ErrRefused, err)
	}
	return mark(rotation.ErrNoEffect, err)
}

// mark says of an error whether the call had an effect.
func mark(effect, err error) error {
	return fault.KindOf(err).Wrap(effect, "%s", fault.TextOf(err))
}

// Verify implements [rotation.Issuer].
func (i *Issuer) Verify(ctx context.Context, id string, parts map[string]material.Bytes) (rotation.Verdict, error) {
	named, name := i.client.def.Parts()
	if part := parts[named]; part.Len() > 0 && string(part.Expose()) != id {
		return "", fault.InvalidParameter.New("%s: the part %q is not the id of the key that is to be tried", i.client.def.Name, named)
	}
	if parts[name].Len() == 0 {
		return "", fault.InvalidParameter.Wrap(rotation.ErrRefused, "the definition %s needs the part %q of the credential", i.client.def.Name, name)
	}
	v, err := i.client.Verify(ctx, id, parts[name])
	if err != nil {
		return "", unchanged(err)
	}
	return v, nil
}

// Create implements [rotation.Issuer].
func (i *Issuer) Create(ctx context.Context, a rotation.Attempt) (rotation.Minted, error) {
	c, op := i.client, i.client.def.Mints()
	if a.Principal != i.principal {
		return rotation.Minted{}, fault.InvalidParameter.Wrap(rotation.ErrRefused, "%s: the attempt is for another principal than the issuer", c.def.Name)
	}
	if caps := c.def.Capabilities; caps.Tag.Field != "" && len(a.Tag) > caps.Tag.Max {
		return rotation.Minted{}, fault.InvalidParameter.Wrap(rotation.ErrRefused, "%s: the rotation's mark is longer than %d characters", c.def.Name, caps.Tag.Max)
	}
	reply, err := c.change(ctx, op, request{values: c.with(i.filling(a)), header: i.idempotency(a)})
	if err != nil {
		return rotation.Minted{}, err
	}
	// The key exists. Whatever is wrong with the answer leaves open which one it is.
	defer c.hide(secretsOf(op, reply.body)...)()
	m, err := i.minted(op, reply.body, a)
	if err != nil {
		return rotation.Minted{}, c.fault(fault.Unavailable, nil, op, fault.Say("a key was made, and the answer cannot be used: %v", err))
	}
	return m, nil
}

// filling answers what an attempt puts into a request.
func (i *Issuer) filling(a rotation.Attempt) template.Values {
	values := template.Values{"key.id": a.Old, "tag": a.Tag, "attempt": a.ID, "overlap": i.overlap(), "expire": nil, "lifetime": nil}
	if !a.Expire.IsZero() {
		values["expire"] = a.Expire
		values["lifetime"] = a.Expire.Sub(i.client.target.Now())
	}
	return values
}

// idempotency answers the header that makes a repetition answer the same key, nil for none.
func (i *Issuer) idempotency(a rotation.Attempt) http.Header {
	if by := i.client.def.Capabilities.Idempotency; by.Kind == "header" {
		return http.Header{http.CanonicalHeaderKey(by.Name): {a.ID}}
	}
	return nil
}

// minted reads a new key out of an answer. Its errors may hold secrets, which c.cut knows.
func (i *Issuer) minted(op *definition.Operation, body any, a rotation.Attempt) (rotation.Minted, error) {
	m := rotation.Minted{ID: a.Old}
	place := op.Map.ID != nil && op.Map.ID.Value != ""
	var err error
	if op.Map.ID != nil {
		if m.ID, err = idOf(op, body, i.client.cut); err != nil {
			return m, err
		}
	}
	if op.Name == definition.Create && m.ID == a.Old {
		return m, errors.New("it names the old key as the new one")
	}
	if op.Expires() {
		m.Expiry = a.Expire // as it was asked for, unless the answer tells more
	}
	if op.Map.ExpiresAt != nil {
		if m.Expiry, err = op.Map.ExpiresAt.Time(body); err != nil {
			return m, fmt.Errorf("expiresAt: %w", err)
		}
	}
	secret, err := op.Map.Secret.Text(body)
	if err != nil {
		return m, fmt.Errorf("the secret: %w", err)
	}
	if secret == "" {
		return m, errors.New("the secret is empty")
	}
	idName, secretName := i.client.def.Parts()
	m.Parts = map[string]material.Bytes{secretName: material.NewBytes([]byte(secret))}
	if !place {
		m.Parts[idName] = material.NewBytes([]byte(m.ID))
	}
	return m, nil
}

// Second answers the name of the second place of archetype promote, "" for other archetypes.
func (i *Issuer) Second() string {
	if i.client.def.Capabilities.Archetype != string(rotation.Promote) {
		return ""
	}
	return i.client.def.Mints().Map.ID.Value
}

// SecretPart answers the name of the part of a credential that is the secret.
func (i *Issuer) SecretPart() string {
	_, name := i.client.def.Parts()
	return name
}

// Disable implements [rotation.Issuer].
func (i *Issuer) Disable(ctx context.Context, id string) error {
	return i.end(ctx, definition.Disable, id)
}

// Enable implements [rotation.Issuer].
func (i *Issuer) Enable(ctx context.Context, id string) error {
	return i.end(ctx, definition.Enable, id)
}

// Delete implements [rotation.Issuer].
func (i *Issuer) Delete(ctx context.Context, id, heir string) error {
	def := i.client.def
	if id == heir {
		return fault.InvalidParameter.Wrap(rotation.ErrRefused, "%s: the key %s cannot be its own heir", def.Name, id)
	}
	if def.Capabilities.Archetype != string(rotation.Promote) {
		return gone(i.end(ctx, definition.Delete, id))
	}
	switch second := i.Second(); second {
	case id:
		return gone(i.end(ctx, definition.Abandon, id))
	case heir:
		return gone(i.end(ctx, definition.Promote, id)) // the first place is dead from here on, and the second one empty
	default:
		return fault.InvalidParameter.Wrap(rotation.ErrRefused, "%s: neither the key nor its heir is %s, the second place", def.Name, second)
	}
}

// gone takes a key that is not there for one that was ended.
func gone(err error) error {
	if errors.Is(err, rotation.ErrAbsent) {
		return nil
	}
	return err
}

// end sends an operation on one key.
func (i *Issuer) end(ctx context.Context, name definition.OperationName, id string) error {
	c := i.client
	op := c.def.Operation(name)
	if op == nil {
		return fault.UnsupportedOperation.Wrap(rotation.ErrRefused, "the definition %s has no %s", c.def.Name, name)
	}
	_, err := c.change(ctx, op, request{values: c.with(template.Values{"key.id": id})})
	return err
}

// change sends an operation that changes something, once, and says of an error whether it
// had an effect.
func (c *Client) change(ctx context.Context, op *definition.Operation, q request) (reply, error) {
	a, err := c.send(ctx, c.target.Once, op, q)
	switch {
	case errors.Is(err, errNotSent):
		return a, mark(rotation.ErrNoEffect, err)
	case errors.Is(err, errBarred):
		return a, mark(rotation.ErrRefused, err)
	case err != nil:
		return a, err
	}
	if slices.Contains(op.Success.Status, a.status) {
		if err = c.worked(op, a); err == nil {
			return a, nil
		}
	}
	if known := c.refusal(op, a); known != nil {
		return a, known
	}
	return a, cmp.Or(err, c.unwelcome(nil, op, a))
}

// refusal answers the error of an answer that says that nothing happened, nil if it is not
// certain that nothing did.
func (c *Client) refusal(op *definition.Operation, a reply) error {
	switch class := c.def.Class(a.status, a.body); {
	case class == definition.Quota:
		return c.fault(fault.LimitExceeded, rotation.ErrFull, op, fault.Say("there are as many keys as there may be (status %d); delete one that nobody uses", a.status))
	case class == definition.Absent:
		return c.absent(op, a)
	case class == definition.Throttled, a.status == http.StatusTooManyRequests:
		return c.throttled(rotation.ErrNoEffect, op, a)
	case class == definition.Permanent:
		return c.permanent(rotation.ErrRefused, op, a)
	}
	switch a.status {
	case http.StatusNotFound, http.StatusGone:
		if op.Name != definition.Create && op.Name != definition.Promote { // which is about two keys
			return c.absent(op, a)
		}
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return c.unwelcome(rotation.ErrRefused, op, a)
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return nil
	case http.StatusConflict:
		if c.def.Capabilities.Idempotency.Kind == "header" {
			return nil // another request with the same mark may be at work
		}
	}
	switch {
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden, a.status == http.StatusNotFound:
		return c.unwelcome(rotation.ErrRefused, op, a)
	case a.status >= 400 && a.status < 500:
		return c.permanent(rotation.ErrRefused, op, a)
	}
	return nil
}

// absent words that there is no such key.
func (c *Client) absent(op *definition.Operation, a reply) error {
	return c.fault(fault.ResourceNotFound, rotation.ErrAbsent, op, fault.Say("the service has no such key (status %d)", a.status))
}
