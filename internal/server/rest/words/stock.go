package words

import (
	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/accesskey"
)

// ProviderKind answers a kind of providers.
func ProviderKind(k accesskey.KindOfProvider) api.ProviderKind {
	c := k.Capabilities
	return api.ProviderKind{
		Name: k.Name, Title: Text(k.Title), Settings: Each(k.Form.Settings, field), Parts: Each(k.Form.Credential, field),
		Pace: api.FormatDuration(k.Pace), Policy: k.Policy, MaxKeys: c.MaxKeys, Disable: c.Disable, Undo: api.FormatDuration(c.Undo),
		UseLag: api.FormatDuration(c.UseLag), Expiry: c.Expiry, Manual: c.Manual,
		Guides: Each(k.Guides, func(g accesskey.Guide) api.Guide {
			return api.Guide{Name: g.Name, Title: Text(g.Title), Steps: Each(g.Steps, Text), Settings: Each(g.Form.Settings, field), Parts: Each(g.Form.Credential, field)}
		}),
	}
}

// Provider answers a provider and how its reading goes.
func Provider(s accesskey.Standing) api.Provider {
	src, st := s.Source, s.State
	return api.Provider{
		Name: src.Name, Kind: src.Kind, Settings: Settings(src.Settings), Owner: src.Owner, MaxAge: api.FormatDuration(src.MaxAge),
		Pace: api.FormatDuration(src.Pace), Paused: src.Paused, CreatedAt: src.CreatedAt,
		Sync: api.ProviderSync{
			StartedAt: st.StartedAt, SucceededAt: st.SucceededAt, Took: Took(st.Took), Failures: st.Failures, Error: st.Error, ErrorZh: st.Chinese,
			Identity: api.ProviderIdentity(st.Identity), Keys: st.Keys, Principals: st.Principals, Calls: st.Calls,
			Problems: Each(st.Problems, func(p accesskey.Problem) api.ProviderProblem {
				return api.ProviderProblem{What: p.What, Subject: p.Subject, Reason: p.Reason, Denied: p.Denied}
			}),
		},
	}
}

// InventoryKey answers a key of the inventory.
func InventoryKey(k accesskey.AccessKey) api.InventoryKey {
	o, u, r := k.Observed, k.Observed.Use, k.Remark
	return api.InventoryKey{
		Provider: k.Source, Kind: k.Provider, ID: o.ID, Name: o.Name, Status: string(o.Status), Principal: principal(k.Principal), Owner: k.Owner,
		CreatedAt: o.CreatedAt, ChangedAt: o.ChangedAt, Expiry: expiryOf(o.Expiry), Due: expiryOf(k.Due),
		Use: api.KeyUse{
			Known: answer(u.Known), At: u.At, Lag: api.FormatDuration(u.Lag), Service: u.Service, Region: u.Region, Source: u.IP,
		},
		Tags: known(o.Tags), Detail: known(o.Detail), UndoUntil: o.UndoUntil, Undo: undo(k.Can), SeenFirst: k.SeenFirst, GoneAt: k.GoneAt,
		Remark: api.KeyRemark{
			Owner: r.Owner, Purpose: r.Purpose, System: r.System, Consumers: append([]string{}, r.Consumers...), Tags: Settings(r.Tags),
			ExpiresAt: r.ExpiresAt, Permanent: r.Permanent, Note: r.Note, UpdatedAt: r.UpdatedAt,
		},
	}
}

func undo(c *accesskey.Capabilities) *api.KeyUndo {
	switch {
	case c == nil:
		return nil
	case c.OwnClock:
		return &api.KeyUndo{Disable: c.Disable, OffFirst: c.OffFirst, Overlap: api.FormatDuration(c.Undo)}
	}
	return &api.KeyUndo{Disable: c.Disable, OffFirst: c.OffFirst, Restore: api.FormatDuration(c.Undo)}
}

func principal(p accesskey.Principal) api.InventoryPrincipal {
	return api.InventoryPrincipal{
		ID: p.ID, Name: p.Name, Kind: string(p.Kind), Remark: p.Remark, CreatedAt: p.CreatedAt,
		Disabled: answer(p.Disabled), Console: answer(p.Console), ConsoleAt: p.ConsoleAt, ConsoleMFA: answer(p.ConsoleMFA),
		Grants: Each(p.Grants, func(g accesskey.Grant) api.GrantedRight {
			return api.GrantedRight{Name: g.Name, Via: g.Via, Admin: g.Admin}
		}),
	}
}

func expiryOf(e accesskey.Expiry) api.KeyExpiry {
	return api.KeyExpiry{At: e.At, Basis: string(e.Basis)}
}

// answer words a fact.
func answer(f accesskey.Fact) string {
	return [...]string{accesskey.Unknown: "unknown", accesskey.No: "no", accesskey.Yes: "yes"}[f]
}

// known answers a map that encodes as {} when there is none.
func known(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
