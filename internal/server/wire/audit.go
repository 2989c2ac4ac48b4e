package wire

import (
	"context"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit"
)

// AuditLogs answers the identity and the newest signed head of every audit log.
func AuditLogs(ctx context.Context, r audit.Reader) (api.AuditLogList, error) {
	ids, err := r.Logs(ctx)
	if err != nil {
		return api.AuditLogList{}, err
	}
	logs := make([]api.AuditLog, len(ids))
	for i, id := range ids {
		head, err := r.Head(ctx, id.Origin)
		if err != nil {
			return api.AuditLogList{}, err
		}
		began, err := audit.Began(ctx, r, id.Origin)
		if err != nil {
			return api.AuditLogList{}, err
		}
		logs[i] = api.AuditLog{
			Origin: id.Origin, PublicKey: id.PublicKey, CreatedAt: began, Size: head.Size, Checkpoint: string(head.Checkpoint),
		}
	}
	return api.AuditLogList{Logs: logs}, nil
}
