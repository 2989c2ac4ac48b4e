package client

import (
	"context"
	"fmt"

	"github.com/keyward/keyward/api"
)

// BeginLoginProof asks a user who says the password to approve the login with a security key.
// As the Code of [Login] the proof then stands for a code. Of the configuration it takes what
// Login takes.
func BeginLoginProof(ctx context.Context, c Config, in api.LoginRequest) (api.Proof, error) {
	return unsigned[api.Proof](ctx, c, api.LoginProofPath, in)
}

// GetProofState answers what became of a proof. Of the configuration it takes the endpoint and
// how to reach it.
func GetProofState(ctx context.Context, c Config, in api.HeldProof) (api.ProofState, error) {
	return unsigned[api.ProofState](ctx, c, api.ProofStatePath, in)
}

// unsigned makes a request that nobody signs.
func unsigned[Out any](ctx context.Context, c Config, path string, in any) (Out, error) {
	t, err := c.transport()
	if err != nil {
		return *new(Out), fmt.Errorf("configuring client: %w", err)
	}
	return call[Out](ctx, t, "POST", path, in)
}

// GetMFA answers the second factors of the caller, who logged in.
func (c *Client) GetMFA(ctx context.Context) (api.Factors, error) {
	return call[api.Factors](ctx, c.server, "GET", at("me", "mfa"), nil)
}

// AddSecurityKey asks the caller, who logged in, to register a security key in a browser.
// When that is done, [Client.ConfirmSecurityKey] takes the proof.
func (c *Client) AddSecurityKey(ctx context.Context, in api.AddSecurityKeyRequest) (api.Proof, error) {
	return call[api.Proof](ctx, c.server, "POST", at("me", "mfa", "keys"), in)
}

// ConfirmSecurityKey makes a security key that was registered a second factor of the caller.
func (c *Client) ConfirmSecurityKey(ctx context.Context, in api.HeldProof) (api.RecoveryCodes, error) {
	return call[api.RecoveryCodes](ctx, c.server, "POST", at("me", "mfa", "keys", "confirm"), in)
}

// BeginProof asks the caller, who logged in, to approve a request with a security key. The
// proof then goes with that request, as [Config.Code] answers it.
func (c *Client) BeginProof(ctx context.Context, in api.ProofRequest) (api.Proof, error) {
	return call[api.Proof](ctx, c.server, "POST", at("me", "proofs"), in)
}
