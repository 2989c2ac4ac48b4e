package rest

import (
	"cmp"
	"context"
	"strconv"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/audit"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/fault"
	"github.com/keyward/keyward/internal/server/rest/words"
	"github.com/keyward/keyward/internal/server/wire"
)

// Who may read what of the audit log: a log holds the records of all accounts, so an
// account gets its own records singly, and the proof of each. What shows a log whole, an
// export, is the operator's. Names, public keys and signed heads of the logs show nothing
// of their records.
func auditRoutes() []route {
	return []route{
		{"GET", "/v1/whoami", "WhoAmI", "sts:GetCallerIdentity", "Answers as whom the server sees the caller. Everybody may.", takes((*dialect).whoAmI)},
		{"GET", "/v1/audit/records", "ListAuditRecords", "keyward:ListAuditRecords", "Answers one page of the account's audit records.", takes((*dialect).listRecords)},
		{"GET", "/v1/audit/logs", "ListAuditLogs", "keyward:GetAuditCheckpoint", "Answers the public key and the newest signed head of every audit log.", takes((*dialect).listLogs)},
		{"GET", "/v1/audit/proof", "ProveAuditRecord", "keyward:ProveAuditRecord", "Answers a proof that a log holds a record of the account.", takes((*dialect).prove)},
	}
}

func (d *dialect) whoAmI(ctx context.Context, q request, _ none) (out api.Identity, err error) {
	rec := audit.NewRecord(q.call, "sts:GetCallerIdentity")
	err = d.Log.Do(ctx, rec, func() error {
		p := q.call.Principal
		out = api.Identity{
			Account: p.Account, ARN: p.ARN(), Kind: string(p.Kind), User: p.Name, AccessKey: p.AccessKey, Region: d.Region,
		}
		if p.Session != nil {
			out.Session, out.ExpiresAt = p.Session.Name, p.Session.Expires
		}
		if p.Kind == authz.AssumedRole {
			out.User, out.Role = "", p.Name
		}
		return nil
	})
	return out, err
}

func (d *dialect) listRecords(ctx context.Context, q request, in api.ListAuditRecordsRequest) (out api.AuditRecordList, err error) {
	query := audit.Query{
		Account: q.call.Account, Action: in.Action, Resource: in.Resource, Principal: in.Principal, AccessKey: in.AccessKey,
		Result: in.Result, RequestID: in.RequestID, From: in.From, To: in.To, Oldest: in.Oldest, Limit: cmp.Or(in.Limit, defaultLimit), Cursor: in.Cursor,
	}
	err = d.readAudit(ctx, q.call, "keyward:ListAuditRecords", func(*audit.Record) error {
		entries, next, err := audit.List(ctx, d.Audit, query)
		out = api.AuditRecordList{Records: words.Each(entries, record), Next: next}
		return err
	})
	return out, err
}

func (d *dialect) listLogs(ctx context.Context, q request, _ none) (out api.AuditLogList, err error) {
	err = d.readAudit(ctx, q.call, "keyward:GetAuditCheckpoint", func(*audit.Record) error {
		out, err = wire.AuditLogs(ctx, d.Audit)
		return err
	})
	return out, err
}

func (d *dialect) prove(ctx context.Context, q request, in api.AuditProofRequest) (out api.AuditProof, err error) {
	err = d.readAudit(ctx, q.call, "keyward:ProveAuditRecord", func(rec *audit.Record) error {
		rec.Param("Log", in.Log)
		rec.Param("Seq", strconv.FormatInt(in.Seq, 10))
		if err := d.checkOwn(ctx, q.call, in); err != nil {
			return err
		}
		proof, err := audit.Prove(ctx, d.Audit, in.Log, in.Seq)
		out.Proof = string(proof)
		return err
	})
	return out, err
}

// checkOwn refuses a record that is not the account's as if it were not there.
func (d *dialect) checkOwn(ctx context.Context, c *authz.Call, in api.AuditProofRequest) error {
	leaf, err := audit.Leaf(ctx, d.Audit, in.Log, in.Seq)
	if err != nil && !fault.Is(err, fault.ResourceNotFound) {
		return err
	}
	if err == nil {
		entry, err := audit.ParseEntry(leaf)
		if err != nil {
			return err
		}
		if entry.Account == c.Account {
			return nil
		}
	}
	return fault.ResourceNotFound.New("there is no such record of this account; a list of audit records names the log and the number of each")
}

// readAudit reads from the audit log, if the caller may, and records that it was read.
func (d *dialect) readAudit(ctx context.Context, c *authz.Call, action string, read func(*audit.Record) error) error {
	return d.read(ctx, c, action, "audit", read)
}

// read reads what no service keeps, if the caller may, and records that it was read.
func (d *dialect) read(ctx context.Context, c *authz.Call, action, resource string, read func(*audit.Record) error) error {
	return d.Log.Perform(ctx, c, action, "acs:keyward:"+d.Region+":"+c.Account+":"+resource, read)
}

func record(e audit.Entry) api.AuditRecord {
	return api.AuditRecord{
		Log: e.Log, Seq: e.Seq, Time: e.Time, RequestID: e.RequestID, Account: e.Account, Principal: e.Principal,
		AccessKey: e.AccessKey, Scheme: e.Scheme, Source: e.Source, UserAgent: e.UserAgent, Action: e.Action,
		Resource: e.Resource, Version: e.Version, Params: e.Params, Decision: e.Decision, Result: e.Result,
	}
}
