package auditcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newAuditCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "audit", Short: c.T("Ask what happened, and prove it", "查询发生过的操作，并加以证明")},
		newAuditListCmd(c), newAuditTailCmd(c), newAuditVerifyCmd(c), newAuditProveCmd(c), newAuditExportCmd(c),
		newAuditPublicKeyCmd(c), newAuditCheckpointCmd(c))
}

// actionList is recorded when records are listed, and so whenever tail looks.
const actionList = "keyward:ListAuditRecords"

func auditFilters(c *cli.Run, cmd *cobra.Command, in *api.ListAuditRecordsRequest) {
	f := cmd.Flags()
	f.StringVar(&in.Action, "action", "", c.T("only this `ACTION`, as policies name it: kms:Encrypt, or kms:* for all that begin so", "只列出操作 `ACTION`，与策略中的写法一致：kms:Encrypt；kms:* 表示所有以此开头的操作"))
	f.StringVar(&in.Resource, "resource", "", c.T("only what was done to this `ARN`, or a part of one", "只列出对资源 `ARN`（或其一部分）的操作"))
	f.StringVar(&in.Principal, "principal", "", c.T("only what was done by this `ARN`, or a part of one", "只列出由身份 `ARN`（或其一部分）执行的操作"))
	f.StringVar(&in.AccessKey, "access-key", "", c.T("only what was done with this access key `ID`", "只列出用访问密钥 `ID` 执行的操作"))
	f.StringVar(&in.Result, "result", "", c.T("only with this `RESULT`: OK or an error code", "只列出结果为 `RESULT` 的：OK 或错误码"))
	f.StringVar(&in.RequestID, "request-id", "", c.T("only the request with this `ID`", "只列出 `ID` 对应的请求"))
}

func newAuditListCmd(c *cli.Run) *cobra.Command {
	var in api.ListAuditRecordsRequest
	var limit int
	cmd := c.Command(cli.Command{
		Use:     "list",
		Short:   c.T("List audit records, the newest first", "列出审计记录，最新的在前"),
		Example: "  keyward audit list --action kms:Decrypt --from 24h --result NoPermission",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := listRecords(ctx, server, in, limit)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("TIME", "时间"), c.T("RESULT", "结果"), c.T("ACTION", "操作"), c.T("BY", "执行者"),
					c.T("FROM", "来源"), c.T("RESOURCE", "资源"), c.T("RECORD", "记录"))
				for _, r := range all.Records {
					t.Add(recordRow(r)...)
				}
			})
		}),
	})
	auditFilters(c, cmd, &in)
	f := cmd.Flags()
	f.Var(cli.Ago(&in.From, c.Now), "from", c.T("only from `TIME` on: a date, a time, or 24h for so long ago", "只列出 `TIME` 之后的：日期、时间，或 24h 表示多久之前"))
	f.Var(cli.Ago(&in.To, c.Now), "to", c.T("only before `TIME`", "只列出 `TIME` 之前的"))
	f.BoolVar(&in.Oldest, "oldest", false, c.T("the oldest first", "最早的在前"))
	f.IntVar(&limit, "limit", 100, c.T("at most `N` records; 0 for all", "最多 `N` 条记录；0 表示全部"))
	return cmd
}

// listRecords answers at most limit matching records, or all.
func listRecords(ctx context.Context, server *client.Client, in api.ListAuditRecordsRequest, limit int) (api.AuditRecordList, error) {
	const page = 1000
	all := api.AuditRecordList{Records: []api.AuditRecord{}}
	in.Limit = page
	if limit > 0 {
		in.Limit = min(limit, page)
	}
	err := remote.Pages(func(cursor string) (string, error) {
		in.Cursor = cursor
		answer, err := server.ListAuditRecords(ctx, in)
		all.Records = append(all.Records, answer.Records...)
		if limit > 0 && len(all.Records) >= limit {
			all.Records = all.Records[:limit]
			return "", err
		}
		return answer.Next, err
	})
	return all, err
}

// recordRow writes a record for a person.
func recordRow(r api.AuditRecord) []string {
	by := r.Principal[strings.LastIndex(r.Principal, ":")+1:] // the account is the reader's own
	return []string{cli.When(r.Time), r.Result, r.Action, cli.OrDash(by), cli.OrDash(r.Source), cli.OrDash(r.Resource), r.Log + "#" + strconv.FormatInt(r.Seq, 10)}
}

func newAuditTailCmd(c *cli.Run) *cobra.Command {
	var in api.ListAuditRecordsRequest
	var lines int
	interval := 2 * time.Second
	cmd := c.Command(cli.Command{
		Use:   "tail",
		Short: c.T("Show audit records as they come", "持续显示新的审计记录"),
		Long: c.T(
			"Show audit records as they come, until Ctrl-C. With -o json each record is one line. Its own looking is not shown.",
			"持续显示新的审计记录，按 Ctrl-C 结束。使用 -o json 时每条记录一行。不显示本命令自身的查询记录。",
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			t := &tail{Run: c, server: server, in: in, seen: map[recordID]time.Time{}}
			if err := t.begin(ctx, lines); err != nil {
				return err
			}
			return t.follow(ctx, interval)
		}),
	})
	auditFilters(c, cmd, &in)
	cmd.Flags().IntVar(&lines, "lines", 10, c.T("begin with the last `N` records", "先显示最近 `N` 条记录"))
	cmd.Flags().Var(cli.Days(&interval), "interval", c.T("look every `PERIOD`", "每隔 `PERIOD` 查询一次"))
	return cmd
}

// A recordID names a record.
type recordID struct {
	log string
	seq int64
}

// overlap is how far back tail looks again: a record carries the time when its request
// began, and may come after records of later ones.
const overlap = time.Minute

// A tail shows each record once.
type tail struct {
	*cli.Run
	server *client.Client
	in     api.ListAuditRecordsRequest
	seen   map[recordID]time.Time // what was shown within the overlap
	newest time.Time
}

// begin shows the last records.
func (t *tail) begin(ctx context.Context, lines int) error {
	in := t.in
	last, err := listRecords(ctx, t.server, in, max(lines, 1))
	if err != nil {
		return err
	}
	slices.Reverse(last.Records)
	for _, r := range last.Records {
		t.note(r)
	}
	if t.newest.IsZero() {
		t.newest = time.Now()
	}
	if lines > 0 {
		return t.print(last.Records)
	}
	return nil
}

// follow looks again and again for new records, until ctx ends.
func (t *tail) follow(ctx context.Context, interval time.Duration) error {
	start := t.newest // what is older and was not among the last is not news
	for first := true; ; first = false {
		in := t.in
		in.Oldest, in.From = true, t.newest.Add(-overlap)
		found, err := listRecords(ctx, t.server, in, 0)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how this ends
		}
		if err != nil {
			return err
		}
		news := slices.DeleteFunc(found.Records, func(r api.AuditRecord) bool {
			_, known := t.seen[recordID{r.Log, r.Seq}]
			t.note(r)
			return known || first && !r.Time.After(start) || r.Action == actionList && t.in.Action == ""
		})
		if err := t.print(news); err != nil {
			return err
		}
		t.forget()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(interval):
		}
	}
}

// note remembers that a record was seen.
func (t *tail) note(r api.AuditRecord) {
	t.seen[recordID{r.Log, r.Seq}] = r.Time
	if r.Time.After(t.newest) {
		t.newest = r.Time
	}
}

// forget drops what the next look will not find again.
func (t *tail) forget() {
	for id, at := range t.seen {
		if at.Before(t.newest.Add(-overlap)) {
			delete(t.seen, id)
		}
	}
}

func (t *tail) print(records []api.AuditRecord) error {
	if t.Output == "json" {
		encoder := json.NewEncoder(t.Out)
		encoder.SetEscapeHTML(false)
		for _, r := range records {
			if err := encoder.Encode(r); err != nil {
				return fmt.Errorf("writing the result: %w", err)
			}
		}
		return nil
	}
	var rows cli.Table
	for _, r := range records {
		rows.Add(recordRow(r)...)
	}
	return rows.Write(t.Out)
}
