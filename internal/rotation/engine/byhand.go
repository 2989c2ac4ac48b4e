package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/material"
	"github.com/keyward/keyward/internal/rotation"
)

// byHand stands for a provider at which only a person can change keys. It is never asked
// for anything but its means.
type byHand struct {
	rotation.Issuer
	means rotation.Means
}

func (b byHand) Means() rotation.Means { return b.means }

// byHand answers how a person replaces the key of a plan: by the guide by which it was entered,
// if it was by one.
func (s *Service) byHand(ctx context.Context, p rotation.Plan) (rotation.Issuer, error) {
	b := byHand{means: rotation.Means{Archetype: rotation.Manual}}
	g, _, found, err := s.o.Inventory.GuideOf(ctx, p.Account, p.Source, p.Key)
	if found {
		b.means.Guide, b.means.MaxKeys = g.Name, g.Capabilities.MaxKeys
		if g.Capabilities.OwnClock {
			b.means.Overlap = g.Capabilities.Undo
		}
	}
	return b, err
}

// EnterInput is a key that a person has made at a console, for a rotation that waits for it.
type EnterInput struct {
	ID string // of the key; "" if the guide of such keys tells it
	// Settings are what the guide asks for beside the credential, as far as it is not as it
	// was of the old key; Credential is as the secret keeps it.
	form.Filling
}

// Enter takes the key that a person has made at a console, after it was checked by the guide
// by which the old one was entered, if it was by one. Nothing is kept of what does not pass.
// The warnings are what the person should look at.
func (s *Service) Enter(ctx context.Context, c *authz.Call, plan string, in EnterInput) (out rotation.Rotation, warnings []form.Text, err error) {
	if len(in.ID) > 256 || len(in.Credential) == 0 {
		return out, nil, fault.MissingParameter.New("give the credential of the new key, and its id with at most 256 bytes")
	}
	out, err = s.order(ctx, c, "keyward:EnterRotationKey", plan, func(r rotation.Rotation, by string, now time.Time) (rotation.Rotation, error) {
		p, err := s.o.Store.Plan(ctx, r.Account, r.Plan)
		if err != nil {
			return r, err
		}
		if _, err := r.Entered(rotation.Key{ID: in.ID}, by, now); err != nil { // before anything is asked of it
			return r, err
		}
		id := in.ID
		if warnings, err = s.examine(ctx, p, &r, in); err != nil {
			return r, err
		}
		if r.Heir != nil {
			id = r.Heir.ID
		}
		if err := s.matches(ctx, p, r.Old, id, in.Credential); err != nil {
			return r, err
		}
		next, err := r.Entered(rotation.Key{ID: id}, by, now)
		if err != nil {
			return r, err
		}
		next.Attempt++
		next.New, err = s.seal(ctx, p, next, next.Attempt, rotation.Minted{ID: id, Parts: in.Credential})
		return next, err
	})
	return out, warnings, err
}

// examine has the guide of a rotation check what was entered, and notes in the rotation what
// the inventory is to have of it.
func (s *Service) examine(ctx context.Context, p rotation.Plan, r *rotation.Rotation, in EnterInput) ([]form.Text, error) {
	name := r.Terms.Means.Guide
	if name == "" && in.ID == "" {
		return nil, fault.MissingParameter.New("name the id of the new key: the old one was entered by no guide that could tell it")
	}
	if name == "" && len(in.Settings) > 0 {
		return nil, fault.InvalidParameter.New("the old key was entered by no guide, so that there are no settings")
	}
	if name == "" {
		return nil, nil
	}
	g, old, found, err := s.o.Inventory.GuideOf(ctx, p.Account, p.Source, r.Old.ID)
	if err == nil && (!found || g.Name != name) {
		err = fault.StateConflict.New("the old key, %s, is not in the inventory any more as it was entered; roll back, enter it by its guide %s, and start again", r.Old.ID, name)
	}
	if err != nil {
		return nil, err
	}
	heir, err := s.o.Inventory.Inherit(old, g, in.ID, in.Filling)
	if err != nil {
		return nil, err
	}
	heir.Observed.Detail["secret"] = p.Secret
	r.Heir = &heir.Observed
	return heir.Warnings, nil
}

// matches refuses a pasted key that cannot be one: who uses it finds each part of the old one in
// it, the id where the id was, and not the old credential again.
func (s *Service) matches(ctx context.Context, p rotation.Plan, old rotation.Key, id string, parts map[string]material.Bytes) error {
	was, err := s.parts(ctx, p, old.Version)
	if err != nil {
		return err
	}
	defer rotation.Minted{Parts: was}.Erase()
	again, secrets := 0, 0 // of the parts that are not the id those that are the old ones, and all
	for _, name := range slices.Sorted(maps.Keys(was)) {
		part, there := parts[name]
		switch isID := string(was[name].Expose()) == old.ID; {
		case !there || part.Len() == 0:
			return fault.InvalidParameter.New("the new credential has no part %q, which the present one has and programs read; the parts are %v", name, slices.Sorted(maps.Keys(was)))
		case isID && string(part.Expose()) != id:
			return fault.InvalidParameter.New("the part %q of the credential, which is the key's id, is not %s, the id that was named", name, id)
		case !isID:
			if secrets++; part.Equal(was[name]) {
				again++
			}
		}
	}
	if secrets > 0 && again == secrets {
		return fault.InvalidParameter.New("this is the credential of the old key, %s, again; enter the one that the provider showed for the new key", old.ID)
	}
	return nil
}
