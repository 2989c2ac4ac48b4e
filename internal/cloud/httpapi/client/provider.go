package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/keyward/keyward/internal/accesskey"
	"github.com/keyward/keyward/internal/cloud/httpapi/definition"
	"github.com/keyward/keyward/internal/fault"
)

// A provider is a client as the inventory sees it.
type provider struct{ client *Client }

// Provider answers the client as the inventory reads by it.
func (c *Client) Provider() accesskey.Provider { return &provider{c} }

// Check implements accesskey.Provider.
func (p *provider) Check(ctx context.Context) (accesskey.Identity, error) {
	if p.client.def.Has(definition.Status) {
		seen, err := p.client.Status(ctx)
		return identity(seen), err
	}
	_, err := p.client.List(ctx)
	return accesskey.Identity{}, err
}

func identity(s Seen) accesskey.Identity {
	return accesskey.Identity{Account: s.Account, Principal: s.Principal, KeyID: s.ID}
}

// Observe implements accesskey.Provider: the list, and the credential's own key, which the
// list may lack.
func (p *provider) Observe(ctx context.Context) (accesskey.Snapshot, error) {
	before := p.client.calls
	var all []Seen
	var out accesskey.Snapshot
	if p.client.def.Has(definition.List) {
		var err error
		if all, err = p.client.List(ctx); err != nil {
			return accesskey.Snapshot{}, err
		}
	}
	if p.client.def.Has(definition.Status) {
		own, err := p.client.Status(ctx)
		switch {
		case err != nil && (len(all) == 0 || ctx.Err() != nil):
			return accesskey.Snapshot{}, err
		case err != nil:
			out.Problems = append(out.Problems, accesskey.Problem{What: string(definition.Status), Reason: fault.Message(err), Lists: true})
		default:
			out.Identity = identity(own)
			if !slices.ContainsFunc(all, func(s Seen) bool { return s.ID == own.ID }) {
				all = append(all, own)
			}
		}
	}
	known := map[string]bool{"": true}
	for _, s := range all {
		out.Keys = append(out.Keys, s.Observed)
		out.Problems = append(out.Problems, s.Problems...)
		if !known[s.Principal] {
			known[s.Principal] = true
			out.Principals = append(out.Principals, accesskey.Principal{ID: s.Principal, Name: s.Principal, Kind: accesskey.Program})
		}
	}
	def := p.client.def
	out.Account = accesskey.Account{Quota: def.Capabilities.MaxKeys, Can: can(def), Detail: map[string]string{"definition": fmt.Sprintf("%s v%d", def.Name, def.Version)}}
	out.Calls = p.client.calls - before
	return out, nil
}

// can answers what a definition declares of keys; nil for one that has no operation with
// which they are ended, and so says nothing of what that means.
func can(def *definition.Definition) *accesskey.Capabilities {
	c := def.Capabilities
	if !def.Has(definition.Disable) && !def.Has(definition.Delete) && c.Undo == 0 {
		return nil
	}
	return &accesskey.Capabilities{
		MaxKeys: c.MaxKeys, Disable: def.Has(definition.Disable) && def.Has(definition.Enable), Undo: time.Duration(c.Undo),
		UseLag: time.Duration(c.LastUsed.Granularity), Expiry: def.TellsExpiry(),
	}
}
