package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// WhoAmI answers as whom the server sees the client.
func (c *Client) WhoAmI(ctx context.Context) (api.Identity, error) {
	return call[api.Identity](ctx, c.server, "GET", at("whoami"), nil)
}

// CreateKey makes a key with its first version.
func (c *Client) CreateKey(ctx context.Context, in api.CreateKeyRequest) (api.Key, error) {
	return call[api.Key](ctx, c.server, "POST", at("keys"), in)
}

// ListKeys answers one page of the account's keys that match, oldest first.
func (c *Client) ListKeys(ctx context.Context, in api.ListKeysRequest) (api.KeyList, error) {
	return call[api.KeyList](ctx, c.server, "GET", at("keys"), in)
}

// DescribeKey answers a key, which may be named by id, alias or ARN here and below.
func (c *Client) DescribeKey(ctx context.Context, key string) (api.Key, error) {
	return call[api.Key](ctx, c.server, "GET", at("keys", key), nil)
}

// UpdateKeyDescription sets a key's description.
func (c *Client) UpdateKeyDescription(ctx context.Context, key string, in api.DescriptionRequest) error {
	_, err := call[none](ctx, c.server, "PUT", at("keys", key, "description"), in)
	return err
}

// GetKeyPolicy answers who may do what with a key, beside what identity policies say.
func (c *Client) GetKeyPolicy(ctx context.Context, key string) (api.KeyPolicy, error) {
	return call[api.KeyPolicy](ctx, c.server, "GET", at("keys", key, "policy"), nil)
}

// SetKeyPolicy says who may do what with a key, from the next request on.
func (c *Client) SetKeyPolicy(ctx context.Context, key string, in api.KeyPolicy) error {
	_, err := call[none](ctx, c.server, "PUT", at("keys", key, "policy"), in)
	return err
}

// EnableKey allows a key to be used.
func (c *Client) EnableKey(ctx context.Context, key string) error {
	_, err := call[none](ctx, c.server, "POST", at("keys", key, "enable"), nil)
	return err
}

// DisableKey forbids a key to be used, from the moment it answers.
func (c *Client) DisableKey(ctx context.Context, key string) error {
	_, err := call[none](ctx, c.server, "POST", at("keys", key, "disable"), nil)
	return err
}

// DeleteKey schedules a key's deletion; until then it cannot be used but restored.
func (c *Client) DeleteKey(ctx context.Context, key string, in api.DeleteKeyRequest) error {
	_, err := call[none](ctx, c.server, "POST", at("keys", key, "delete"), in)
	return err
}

// RestoreKey cancels a key's deletion and enables it.
func (c *Client) RestoreKey(ctx context.Context, key string) error {
	_, err := call[none](ctx, c.server, "POST", at("keys", key, "restore"), nil)
	return err
}

// ProtectKey switches a key's deletion protection.
func (c *Client) ProtectKey(ctx context.Context, key string, in api.Protection) error {
	_, err := call[none](ctx, c.server, "PUT", at("keys", key, "protection"), in)
	return err
}

// SetKeyRotation switches a key's automatic rotation.
func (c *Client) SetKeyRotation(ctx context.Context, key string, in api.RotationRequest) error {
	_, err := call[none](ctx, c.server, "PUT", at("keys", key, "rotation"), in)
	return err
}

// CreateKeyVersion rotates a key by hand: the new version becomes the primary one.
func (c *Client) CreateKeyVersion(ctx context.Context, key string) (api.KeyVersion, error) {
	return call[api.KeyVersion](ctx, c.server, "POST", at("keys", key, "versions"), nil)
}

// ListKeyVersions answers one page of a key's versions, newest first.
func (c *Client) ListKeyVersions(ctx context.Context, key string, in api.PageRequest) (api.KeyVersionList, error) {
	return call[api.KeyVersionList](ctx, c.server, "GET", at("keys", key, "versions"), in)
}

// DescribeKeyVersion answers one version of a key.
func (c *Client) DescribeKeyVersion(ctx context.Context, key, version string) (api.KeyVersion, error) {
	return call[api.KeyVersion](ctx, c.server, "GET", at("keys", key, "versions", version), nil)
}

// GetPublicKey answers the public half of a version of an asymmetric key.
func (c *Client) GetPublicKey(ctx context.Context, key, version string) (api.PublicKey, error) {
	return call[api.PublicKey](ctx, c.server, "GET", at("keys", key, "versions", version, "public-key"), nil)
}

// TagKey adds tags to a key.
func (c *Client) TagKey(ctx context.Context, key string, in api.TagRequest) error {
	_, err := call[none](ctx, c.server, "POST", at("keys", key, "tags"), in)
	return err
}

// UntagKey removes tags from a key.
func (c *Client) UntagKey(ctx context.Context, key string, in api.UntagRequest) error {
	_, err := call[none](ctx, c.server, "DELETE", at("keys", key, "tags"), in)
	return err
}

// ListKeyAliases answers one page of a key's aliases, by name.
func (c *Client) ListKeyAliases(ctx context.Context, key string, in api.PageRequest) (api.AliasList, error) {
	return call[api.AliasList](ctx, c.server, "GET", at("keys", key, "aliases"), in)
}

// CreateAlias gives a key another name.
func (c *Client) CreateAlias(ctx context.Context, in api.CreateAliasRequest) error {
	_, err := call[none](ctx, c.server, "POST", at("aliases"), in)
	return err
}

// ListAliases answers one page of the account's aliases, by name.
func (c *Client) ListAliases(ctx context.Context, in api.PageRequest) (api.AliasList, error) {
	return call[api.AliasList](ctx, c.server, "GET", at("aliases"), in)
}

// PointAlias points an existing alias at another key.
func (c *Client) PointAlias(ctx context.Context, alias string, in api.PointAliasRequest) error {
	_, err := call[none](ctx, c.server, "PUT", at("aliases", alias), in)
	return err
}

// DeleteAlias removes an alias; its key stays.
func (c *Client) DeleteAlias(ctx context.Context, alias string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("aliases", alias), nil)
	return err
}

// GetImportParameters answers a fresh public key to wrap the material of a key under.
func (c *Client) GetImportParameters(ctx context.Context, key string, in api.ImportParametersRequest) (api.ImportParameters, error) {
	return call[api.ImportParameters](ctx, c.server, "POST", at("keys", key, "import-parameters"), in)
}

// ImportKeyMaterial gives a key its material.
func (c *Client) ImportKeyMaterial(ctx context.Context, key string, in api.ImportRequest) error {
	_, err := call[none](ctx, c.server, "PUT", at("keys", key, "material"), in)
	return err
}

// DeleteKeyMaterial deletes the imported material of a key.
func (c *Client) DeleteKeyMaterial(ctx context.Context, key string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("keys", key, "material"), nil)
	return err
}

// GenerateCSR makes a certificate signing request for a version of a key that signs.
func (c *Client) GenerateCSR(ctx context.Context, key, version string, in api.CSRRequest) (api.CSR, error) {
	return call[api.CSR](ctx, c.server, "POST", at("keys", key, "versions", version, "csr"), in)
}
