package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// AddRepository has a git repository watched for leaked credentials, after it let itself be read.
func (c *Client) AddRepository(ctx context.Context, in api.AddRepositoryRequest) (api.Repository, error) {
	return call[api.Repository](ctx, c.server, "POST", at("repositories"), in)
}

// ListRepositories answers all watched repositories of the account, by name.
func (c *Client) ListRepositories(ctx context.Context) (api.RepositoryList, error) {
	return call[api.RepositoryList](ctx, c.server, "GET", at("repositories"), nil)
}

// GetRepository answers a watched repository and how the last looks at it went.
func (c *Client) GetRepository(ctx context.Context, repository string) (api.Repository, error) {
	return call[api.Repository](ctx, c.server, "GET", at("repositories", repository), nil)
}

// UpdateRepository changes a watched repository.
func (c *Client) UpdateRepository(ctx context.Context, repository string, in api.UpdateRepositoryRequest) (api.Repository, error) {
	return call[api.Repository](ctx, c.server, "PATCH", at("repositories", repository), in)
}

// SetRepositoryIssuers says which issuers are asked whether what is found in a watched repository works.
func (c *Client) SetRepositoryIssuers(ctx context.Context, repository string, in api.SetRepositoryIssuersRequest) (api.Repository, error) {
	return call[api.Repository](ctx, c.server, "PUT", at("repositories", repository, "issuers"), in)
}

// ScanRepository has a watched repository looked at now; its state tells when it was.
func (c *Client) ScanRepository(ctx context.Context, repository string) error {
	_, err := call[none](ctx, c.server, "POST", at("repositories", repository, "scan"), nil)
	return err
}

// RemoveRepository forgets a watched repository; what was found in it stays known.
func (c *Client) RemoveRepository(ctx context.Context, repository string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("repositories", repository), nil)
	return err
}
