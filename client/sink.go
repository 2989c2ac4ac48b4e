package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// AddSink adds a sink, after the other keeper of secrets has accepted the credential.
func (c *Client) AddSink(ctx context.Context, in api.AddSinkRequest) (api.Sink, error) {
	return call[api.Sink](ctx, c.server, "POST", at("sinks"), in)
}

// ListSinks answers all sinks of the account, by name.
func (c *Client) ListSinks(ctx context.Context) (api.SinkList, error) {
	return call[api.SinkList](ctx, c.server, "GET", at("sinks"), nil)
}

// DescribeSink answers a sink with one page of its copies.
func (c *Client) DescribeSink(ctx context.Context, sink string, in api.PageRequest) (api.SinkStatus, error) {
	return call[api.SinkStatus](ctx, c.server, "GET", at("sinks", sink), in)
}

// SyncSink has a sink looked at now.
func (c *Client) SyncSink(ctx context.Context, sink string, in api.SyncSinkRequest) error {
	_, err := call[none](ctx, c.server, "POST", at("sinks", sink, "sync"), in)
	return err
}

// RemoveSink forgets a sink; what was copied stays where it is.
func (c *Client) RemoveSink(ctx context.Context, sink string) error {
	_, err := call[none](ctx, c.server, "DELETE", at("sinks", sink), nil)
	return err
}
