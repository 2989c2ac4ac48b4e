package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// GetScanKey answers what secrets are blinded with before they are reported.
func (c *Client) GetScanKey(ctx context.Context) (api.ScanKey, error) {
	return call[api.ScanKey](ctx, c.server, "GET", at("leaks", "key"), nil)
}

// ListAcceptedLeaks answers which credentials of a push a person accepts now.
func (c *Client) ListAcceptedLeaks(ctx context.Context, in api.AcceptedLeaksRequest) (api.AcceptedLeaks, error) {
	return call[api.AcceptedLeaks](ctx, c.server, "POST", at("leaks", "accepted"), in)
}

// ReportLeaks tells what a search saw. Repeating it changes nothing.
func (c *Client) ReportLeaks(ctx context.Context, in api.ReportLeaksRequest) (api.LeakReceipt, error) {
	return call[api.LeakReceipt](ctx, c.server, "POST", at("leaks", "reports"), in)
}
