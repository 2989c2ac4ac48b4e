package accesskey

import (
	"cmp"
	"context"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
)

// What follows is for rotations of keys that a person makes: it is keyward's own work, and
// asks no policy.

// GuideOf answers by which guide a key of a source was entered, and what the inventory has of
// that key; found is false if it was entered by none.
func (s *Service) GuideOf(ctx context.Context, account, source, id string) (g Guide, k AccessKey, found bool, err error) {
	k, err = s.Known(ctx, account, source, id)
	if fault.Is(err, fault.ResourceNotFound) || err == nil && k.Observed.Detail["guide"] == "" {
		return g, k, false, nil
	}
	if err != nil {
		return g, k, false, err
	}
	kind, err := s.kind(k.Provider)
	if err == nil {
		g, err = s.guide(kind, k.Observed.Detail["guide"])
	}
	return g, k, err == nil, err
}

// An Heir is a key that a person made to take the place of another.
type Heir struct {
	Observed Observed // as the inventory is to have it once it has
	Warnings []form.Text
}

// Inherit checks a key as its guide does that is to take the place of another one of the same
// guide: of the same merchant, application or client. What was said of these when the old
// one was entered need not be said again. An id that is given must be the new key's: as the
// evidence has it, or its serial number. It stores nothing.
func (s *Service) Inherit(old AccessKey, g Guide, id string, f form.Filling) (Heir, error) {
	settings := map[string]string{}
	for _, field := range g.Form.Settings {
		if settings[field.Name] = old.Observed.Detail[field.Name]; field.Name == "name" { // of which the evidence makes the key's own
			settings[field.Name] = old.Observed.Name
		}
		if said, given := f.Settings[field.Name]; given {
			settings[field.Name] = said
		}
	}
	for name := range f.Settings {
		if _, known := settings[name]; !known {
			settings[name] = f.Settings[name] // which the form refuses, and says what it has
		}
	}
	found, err := g.Check(form.Filling{Settings: settings, Credential: f.Credential}, s.now())
	if err != nil {
		return Heir{}, err
	}
	for _, field := range g.Form.Settings {
		if was, is := old.Observed.Detail[field.Name], found.Detail[field.Name]; was != is {
			return Heir{}, fault.InvalidParameter.New("the %s is %q, and the key that is to be replaced has %q: this key is of another one", field.Name, is, was)
		}
	}
	switch serial := found.Detail["serial"]; {
	case id != "" && id != found.ID && (serial == "" || id != serial):
		return Heir{}, fault.InvalidParameter.New("the id %s was named, and what was entered is %s; leave the id out, or enter the key that it belongs to", id, cmp.Or(serial, found.ID))
	case found.ID == old.Observed.ID && !found.Shared:
		return Heir{}, fault.InvalidParameter.New("this is the old key, %s, again; make a new one and enter that", found.ID)
	}
	return Heir{s.seen(g, found), found.Warnings}, nil
}

// Succeed records that a key has taken the place of another: it is in the inventory as it was
// checked, with what people said of the old one, which is gone. Where only people knew when
// the old one ends, the new one gets as long. To do it again has no further effect.
func (s *Service) Succeed(ctx context.Context, account, source string, heir Observed, old string) error {
	src, err := s.o.Sources.Source(ctx, account, source)
	if err != nil {
		return err
	}
	before, err := s.Known(ctx, account, source, old)
	if err != nil && !fault.Is(err, fault.ResourceNotFound) {
		return err
	}
	heir.tidy()
	save, err := s.entered(ctx, src, heir, before.legacy(heir))
	if err != nil {
		return err
	}
	if heir.ID != old && before.Observed.ID != "" && before.GoneAt.IsZero() {
		save.Gone = []string{old}
		save.State.Keys--
	}
	return s.do(ctx, s.scheduler(account), "keyward:ObserveProvider", func(rec *audit.Record) error {
		rec.Resource = "acs:keyward:" + s.o.Region + ":" + account + ":provider/" + source
		rec.Param("Key", heir.ID)
		rec.Param("Replaces", old)
		return s.o.Keys.SaveSnapshot(ctx, rec, save)
	})
}

// legacy answers what is said of a key that takes the place of this one.
func (k AccessKey) legacy(heir Observed) Note {
	r, tags := k.Remark, map[string]string{}
	for _, tag := range r.Tags {
		tags[tag.Name] = tag.Value
	}
	n := Note{Owner: &r.Owner, Purpose: &r.Purpose, System: &r.System, Text: &r.Note, Consumers: &r.Consumers, Tags: &tags, Permanent: &r.Permanent}
	if at := heir.Expiry.At; !at.IsZero() {
		n.ExpiresAt = &at
	} else if span := r.ExpiresAt.Sub(k.Observed.CreatedAt); !r.ExpiresAt.IsZero() && span > 0 {
		at = heir.CreatedAt.Add(span)
		n.ExpiresAt = &at
	}
	return n
}
