package main

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
)

func newAuditCmd(c *cli) *cobra.Command {
	return c.command(command{use: "audit", short: text{"Ask what happened, and prove it", "查询发生过的操作，并加以证明"}},
		newAuditListCmd(c), newAuditTailCmd(c), newAuditVerifyCmd(c), newAuditProveCmd(c), newAuditExportCmd(c),
		newAuditPublicKeyCmd(c), newAuditCheckpointCmd(c))
}

// actionList is recorded when records are listed, and so whenever tail looks.
const actionList = "keyward:ListAuditRecords"

func (c *cli) auditFilters(cmd *cobra.Command, in *api.ListAuditRecordsRequest) {
	f := cmd.Flags()
	f.StringVar(&in.Action, "action", "", c.t("only this `ACTION`, as policies name it: kms:Encrypt", "只列出操作 `ACTION`，与策略中的写法一致：kms:Encrypt"))
	f.StringVar(&in.Resource, "resource", "", c.t("only what was done to this `ARN`, or a part of one", "只列出对资源 `ARN`（或其一部分）的操作"))
	f.StringVar(&in.Principal, "principal", "", c.t("only what was done by this `ARN`, or a part of one", "只列出由身份 `ARN`（或其一部分）执行的操作"))
	f.StringVar(&in.AccessKey, "access-key", "", c.t("only what was done with this access key `ID`", "只列出用访问密钥 `ID` 执行的操作"))
	f.StringVar(&in.Result, "result", "", c.t("only with this `RESULT`: OK or an error code", "只列出结果为 `RESULT` 的：OK 或错误码"))
	f.StringVar(&in.RequestID, "request-id", "", c.t("only the request with this `ID`", "只列出 `ID` 对应的请求"))
}

func newAuditListCmd(c *cli) *cobra.Command {
	var in api.ListAuditRecordsRequest
	var limit int
	cmd := c.command(command{
		use:     "list",
		short:   text{"List audit records, the newest first", "列出审计记录，最新的在前"},
		example: "  keyward audit list --action kms:Decrypt --from 24h --result NoPermission",
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := listRecords(ctx, server, in, limit)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("TIME", "时间"), c.t("RESULT", "结果"), c.t("ACTION", "操作"), c.t("BY", "执行者"),
					c.t("FROM", "来源"), c.t("RESOURCE", "资源"), c.t("RECORD", "记录"))
				for _, r := range all.Records {
					t.add(recordRow(r)...)
				}
			})
		},
	})
	c.auditFilters(cmd, &in)
	f := cmd.Flags()
	f.Var(moment{&in.From, time.Now, -1}, "from", c.t("only from `TIME` on: a date, a time, or 24h for so long ago", "只列出 `TIME` 之后的：日期、时间，或 24h 表示多久之前"))
	f.Var(moment{&in.To, time.Now, -1}, "to", c.t("only before `TIME`", "只列出 `TIME` 之前的"))
	f.BoolVar(&in.Oldest, "oldest", false, c.t("the oldest first", "最早的在前"))
	f.IntVar(&limit, "limit", 100, c.t("at most `N` records; 0 for all", "最多 `N` 条记录；0 表示全部"))
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
	err := pages(func(cursor string) (string, error) {
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
	return []string{when(r.Time), r.Result, r.Action, orDash(by), orDash(r.Source), orDash(r.Resource), r.Log + "#" + strconv.FormatInt(r.Seq, 10)}
}

func newAuditTailCmd(c *cli) *cobra.Command {
	var in api.ListAuditRecordsRequest
	var lines int
	interval := 2 * time.Second
	cmd := c.command(command{
		use:   "tail",
		short: text{"Show audit records as they come", "持续显示新的审计记录"},
		long: text{
			"Show audit records as they come, until Ctrl-C. With -o json each record is one line. Its own looking is not shown.",
			"持续显示新的审计记录，按 Ctrl-C 结束。使用 -o json 时每条记录一行。不显示本命令自身的查询记录。",
		},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			t := &tail{cli: c, server: server, in: in, seen: map[recordID]time.Time{}}
			if err := t.begin(ctx, lines); err != nil {
				return err
			}
			return t.follow(ctx, interval)
		},
	})
	c.auditFilters(cmd, &in)
	cmd.Flags().IntVar(&lines, "lines", 10, c.t("begin with the last `N` records", "先显示最近 `N` 条记录"))
	cmd.Flags().Var(days{&interval}, "interval", c.t("look every `PERIOD`", "每隔 `PERIOD` 查询一次"))
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
	*cli
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
	if t.output == "json" {
		encoder := json.NewEncoder(t.out)
		encoder.SetEscapeHTML(false)
		for _, r := range records {
			if err := encoder.Encode(r); err != nil {
				return fmt.Errorf("writing the result: %w", err)
			}
		}
		return nil
	}
	var rows table
	for _, r := range records {
		rows.add(recordRow(r)...)
	}
	return rows.write(t.out)
}
