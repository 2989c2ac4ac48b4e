package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// GetScanKey answers what secrets are blinded with before they are reported.
func (c *Client) GetScanKey(ctx context.Context) (api.ScanKey, error) {
	return call[api.ScanKey](ctx, c.server, "GET", at("leaks", "key"), nil)
}

// ReportLeaks tells what a search saw. Repeating it changes nothing.
func (c *Client) ReportLeaks(ctx context.Context, in api.ReportLeaksRequest) (api.LeakReceipt, error) {
	return call[api.LeakReceipt](ctx, c.server, "POST", at("leaks", "reports"), in)
}
