package iam

import "context"

// InspectAccount tells whether the account's stored tenant key opens. It is for the
// scrub, as [Service.InspectAccessKey] is: nothing is kept of what they open.
func (s *Service) InspectAccount(a Account) error {
	_, err := s.keyring.Tenant(a.binding(), a.TenantKey)
	return err
}

// InspectAccessKey tells whether the stored secret of an access key opens.
func (s *Service) InspectAccessKey(ctx context.Context, k AccessKey) error {
	tenant, err := s.Tenant(ctx, k.Account)
	if err != nil {
		return err
	}
	secret, err := tenant.Unwrap(k.binding(), k.Secret)
	secret.Zero()
	return err
}
