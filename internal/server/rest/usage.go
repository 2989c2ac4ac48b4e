package rest

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/server/rest/words"
	"github.com/keyward/keyward/internal/usage"
)

func usageRoutes() []route {
	return []route{
		{"GET", "/v1/keys/{key}/usage", "GetKeyUsage", "kms:ListKeyAssociations", "Answers who uses a key.", takes((*dialect).getKeyUsage)},
		{"PUT", "/v1/keys/{key}/resources", "RegisterKeyResource", "kms:RegisterKeyAssociation", "Registers something that a product keeps under a key.", takes((*dialect).registerKeyResource)},
		{"DELETE", "/v1/keys/{key}/resources", "DeregisterKeyResource", "kms:DeregisterKeyAssociation", "Forgets a registered resource.", takes((*dialect).deregisterKeyResource)},
	}
}

func (d *dialect) getKeyUsage(ctx context.Context, q request, _ none) (api.KeyUsage, error) {
	r, err := d.Usage.Usage(ctx, q.call, q.vars["key"])
	return words.KeyUsage(r), err
}

func (d *dialect) registerKeyResource(ctx context.Context, q request, in api.RegisterKeyResourceRequest) (none, error) {
	return none{}, d.Usage.Register(ctx, q.call, q.vars["key"], usage.Resource{Product: in.Product, Name: in.Name, Note: in.Note})
}

func (d *dialect) deregisterKeyResource(ctx context.Context, q request, in api.DeregisterKeyResourceRequest) (none, error) {
	return none{}, d.Usage.Deregister(ctx, q.call, q.vars["key"], in.Product, in.Name)
}
