package accesskey

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/form"
	"github.com/keyward/keyward/internal/lazy"
	"github.com/keyward/keyward/internal/material"
)

// A Guide is how one kind of key is changed by a person at a console.
type Guide struct {
	Name         string // lower case with hyphens, such as "wechatpay-merchant-certificate"
	Title        form.Text
	Steps        []form.Text // what to do, in order
	Form         form.Form   // what to enter afterwards
	Capabilities Capabilities
	// Check verifies what was entered as of a time. Its errors are faults, say what to do,
	// and hold nothing of a secret. It stores nothing and asks nobody.
	Check func(form.Filling, time.Time) (Evidence, error)
}

// Evidence is what checking found: nothing in it is secret.
type Evidence struct {
	// ID tells this key from the one before and the one after: of a certificate its
	// fingerprint, of a key pair that of the public key. What has nothing public has the
	// id of its account, the same for each of its keys, and is Shared.
	ID       string
	Shared   bool
	Name     string // for a list, such as a common name
	Expiry   Expiry
	Detail   map[string]string // as in Observed
	Warnings []form.Text       // what a person should look at before going on
}

// A Vault keeps what a person entered; package secret's service is behind it.
type Vault interface {
	// Keep stores the parts of a credential as the newest version of a secret, which it
	// makes if need be, in the name of the caller.
	Keep(ctx context.Context, c *authz.Call, name string, parts map[string]material.Bytes) error
}

func (s *Service) guide(k KindOfProvider, name string) (Guide, error) {
	i := slices.IndexFunc(k.Guides, func(g Guide) bool { return g.Name == name })
	if i < 0 {
		return Guide{}, fault.InvalidParameter.New("there is no guide %q for this provider; list them with: keyward accesskey guides", name)
	}
	return k.Guides[i], nil
}

// An Entry is a key that a person made at a console.
type Entry struct {
	Guide string
	form.Filling
	Note Note
}

// Enter checks a key that a person made, seals what is secret of it as a secret named
// after the source and the guide, and adds it to the inventory. Nothing is kept of what
// does not pass. The warnings are what the person should look at.
func (s *Service) Enter(ctx context.Context, c *authz.Call, source string, e Entry) (k AccessKey, warnings []form.Text, err error) {
	err = s.do(ctx, c, "keyward:EnterAccessKey", func(rec *audit.Record) error {
		if err := s.may(c, rec, "accesskey/"+source+"/"+e.Guide); err != nil {
			return err
		}
		src, err := s.o.Sources.Source(ctx, c.Account, source)
		if err != nil {
			return err
		}
		kind, err := s.kind(src.Kind)
		if err != nil {
			return err
		}
		g, err := s.guide(kind, e.Guide)
		if err != nil {
			return err
		}
		found, err := g.Check(e.Filling, s.now())
		if err != nil {
			return err
		}
		warnings = found.Warnings
		o := s.seen(g, found)
		if len(e.Credential) > 0 {
			o.Detail["secret"] = vaultName(source, g.Name, found.ID)
		}
		o.tidy()
		save, err := s.entered(ctx, src, o, e.Note)
		if err != nil {
			return err
		}
		if len(e.Credential) > 0 {
			if err := s.o.Vault.Keep(ctx, c, o.Detail["secret"], e.Credential); err != nil {
				return err
			}
		}
		if err := s.o.Keys.SaveSnapshot(ctx, rec, save); err != nil {
			return err
		}
		k = AccessKey{
			Account: src.Account, Source: src.Name, Provider: src.Kind, Observed: o, Remark: *save.Said, Owner: cmp.Or(save.Said.Owner, src.Owner),
			Due: Due(o, *save.Said, src.MaxAge), SeenFirst: save.At,
		}
		k, err = s.equipped(ctx, k)
		return err
	})
	return k, warnings, err
}

// seen answers what the inventory is to have of a key that passed the check of its guide.
func (s *Service) seen(g Guide, found Evidence) Observed {
	o := Observed{
		ID: found.ID, Name: cmp.Or(found.Name, g.Title.English), Status: Active, CreatedAt: s.now(), Expiry: found.Expiry, Detail: maps.Clone(found.Detail),
	}
	if o.Detail == nil {
		o.Detail = map[string]string{}
	}
	o.Detail["guide"] = g.Name
	return o
}

// entered answers what is to be stored of an entered key. The date is kept in the remark,
// too, whose row is bound: there is no provider that could tell it again.
func (s *Service) entered(ctx context.Context, src Source, o Observed, n Note) (Save, error) {
	if !keyID().MatchString(o.ID) {
		return Save{}, fault.InvalidParameter.New("what would name the key has a space or another character that no id may have, or is too long")
	}
	remarks, err := s.o.Keys.Remarks(ctx, src.Account, src.Name)
	if err != nil {
		return Save{}, err
	}
	r := remarks[o.ID]
	r.Account, r.Source, r.Key, r.UpdatedAt = src.Account, src.Name, o.ID, s.now()
	if n.ExpiresAt == nil && !o.Expiry.At.IsZero() {
		n.ExpiresAt = &o.Expiry.At
	}
	n.apply(&r)
	if err := r.check(); err != nil {
		return Save{}, err
	}
	st, err := s.o.Sources.State(ctx, src.Account, src.Name)
	if err != nil {
		return Save{}, err
	}
	st.Account, st.Source, st.SucceededAt = src.Account, src.Name, s.now()
	if _, err := s.o.Keys.Key(ctx, src.Account, src.Name, o.ID); fault.Is(err, fault.ResourceNotFound) {
		st.Keys++
	} else if err != nil {
		return Save{}, err
	}
	return Save{Source: src, State: st, Snapshot: Snapshot{Keys: []Observed{o}}, Said: &r, At: s.now(), Jobs: s.o.Follow(src.Account, s.now())}, nil
}

var unnamed = lazy.Regexp(`[^a-zA-Z0-9_+=.@-]+`)

// vaultName names the secret that an entered key is kept in: one for each key, because
// the one before stays in use for a while. What makes the id no name, or too long a one,
// is replaced by a digest, so that no two keys have one secret.
func vaultName(source, guide, id string) string {
	const most = 64
	name := strings.Trim(unnamed().ReplaceAllString(id, "-"), "-")
	if name != id || len(name) > most {
		sum := sha256.Sum256([]byte(id))
		name = name[:min(len(name), most/2)] + "-" + hex.EncodeToString(sum[:8])
	}
	return "entered/" + source + "/" + guide + "/" + name
}

// Forget removes an entered or gone key from the inventory; what a provider lists comes
// back with the next synchronisation, so that is refused.
func (s *Service) Forget(ctx context.Context, c *authz.Call, source, id string) error {
	return s.do(ctx, c, "keyward:ForgetAccessKey", func(rec *audit.Record) error {
		k, err := s.key(ctx, c, rec, source, id)
		if err != nil {
			return err
		}
		kind, err := s.kind(k.Provider)
		if err != nil {
			return err
		}
		if !kind.entered() && k.Observed.Status != Gone {
			return fault.StateConflict.New("the provider %s lists this key; delete it there, and it will be gone here", source)
		}
		return s.o.Keys.ForgetKey(ctx, rec, c.Account, source, id)
	})
}
