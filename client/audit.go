package client

import (
	"context"

	"github.com/keyward/keyward/api"
)

// ListAuditRecords answers one page of the account's audit records.
func (c *Client) ListAuditRecords(ctx context.Context, in api.ListAuditRecordsRequest) (api.AuditRecordList, error) {
	return call[api.AuditRecordList](ctx, c.server, "GET", at("audit", "records"), in)
}

// ListAuditLogs answers the public key and the newest signed head of every log.
func (c *Client) ListAuditLogs(ctx context.Context) (api.AuditLogList, error) {
	return call[api.AuditLogList](ctx, c.server, "GET", at("audit", "logs"), nil)
}

// ProveAuditRecord answers a proof that a log holds a record of the account.
func (c *Client) ProveAuditRecord(ctx context.Context, in api.AuditProofRequest) (api.AuditProof, error) {
	return call[api.AuditProof](ctx, c.server, "GET", at("audit", "proof"), in)
}
