package words

import (
	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/usage"
)

// KeyUsage answers who uses a key.
func KeyUsage(r usage.Report) api.KeyUsage {
	return api.KeyUsage{
		Key: string(r.Key.ID), State: string(r.Key.State), Status: string(r.Status()), At: r.At, Since: r.Since, LastUsed: r.LastUsed(), Made: r.Made(),
		Uses: Each(r.Uses, func(c usage.Count) api.KeyAssociation {
			return api.KeyAssociation{Principal: c.Principal, Product: c.Product, Source: c.Source, Action: c.Action, Count: c.N, First: c.First, Last: c.Last}
		}),
		Versions: Each(r.Versions, func(v usage.VersionCount) api.KeyVersionUsage {
			return api.KeyVersionUsage{Version: string(v.Version), Used: v.Used, UsedAt: v.UsedAt, Made: v.Made, MadeAt: v.MadeAt}
		}),
		Resources: Each(r.Resources, func(k usage.Resource) api.KeyResource {
			return api.KeyResource{Product: k.Product, Name: k.Name, Note: k.Note, Creator: k.Creator, CreatedAt: k.CreatedAt}
		}),
	}
}
