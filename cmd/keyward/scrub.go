package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
)

func newOperatorScrubCmd(o *operation) *cobra.Command {
	return o.command(command{
		use:   "scrub",
		short: text{"Look at everything the server keeps for changes that it did not make", "巡检服务器保存的全部数据，查找绕过服务器的修改"},
		long: text{
			`Look at everything that the server keeps: verify the audit logs, compare every row of the
database with the newest revision that the logs know, open everything that is wrapped,
follow every reference, look for rows that are not there. What was changed, put back to
an older state, swapped or deleted behind the server's back is told row by row; the exit
status is then 3. The server works on meanwhile, and scrubs by itself once a day.`,
			`巡检服务器保存的全部数据：验证审计日志，将数据库的每一行与日志所知的最新版本比较，
打开所有封装的内容，检查所有引用，查找缺失的行。凡绕过服务器修改、恢复为旧状态、
互换或删除的行都会逐行列出，此时退出状态为 3。巡检期间服务器照常工作；
服务器自身也会每天巡检一次。`,
		},
		run: func(ctx context.Context, _ []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			report, err := server.Scrub(ctx)
			if err != nil {
				return err
			}
			if err := o.showScrub(report); err != nil || len(report.Findings) == 0 {
				return err
			}
			return &damaged{report.More + int64(len(report.Findings))}
		},
	})
}

// damaged is the outcome of a scrub that found something.
type damaged struct{ findings int64 }

func (d *damaged) Error() string { return fmt.Sprintf("the scrub has %d findings", d.findings) }

func (o *operation) showScrub(r api.ScrubReport) error {
	return o.show(r, func(t *table) {
		t.add(o.t("Rows", "行"), fmt.Sprint(r.Rows))
		t.add(o.t("Audit records", "审计记录"), fmt.Sprint(r.Records))
		t.add(o.t("Findings", "发现"), fmt.Sprint(r.More+int64(len(r.Findings))))
		for _, f := range r.Findings {
			t.add("")
			t.add(o.t("Problem", "问题"), f.Problem+": "+o.problemText(f.Problem).in(o.lang))
			t.add(o.t("Where", "位置"), orDash(f.Table+" "+f.ID))
			t.add(o.t("Detail", "详情"), f.Detail)
			t.add(o.t("What to do", "处理办法"), o.problemAdvice(f.Problem).in(o.lang))
		}
	})
}

// problemText says what a finding means.
func (o *operation) problemText(problem string) text {
	switch problem {
	case "forged":
		return text{"the row was changed, exchanged or made up", "该行被修改、调换或伪造"}
	case "stale":
		return text{"the row was put back to an older state, or put back after its deletion", "该行被恢复为旧状态，或删除后又被放回"}
	case "missing":
		return text{"the row was deleted", "该行被删除"}
	case "sealed":
		return text{"what is wrapped in the row does not open", "该行中封装的内容无法打开"}
	case "dangling":
		return text{"the row refers to one that cannot be used", "该行引用的行无法使用"}
	case "job":
		return text{"what must be done later was not planned", "应当在以后执行的任务没有安排"}
	case "log":
		return text{"the audit log does not verify", "审计日志未通过验证"}
	default:
		return text{"it cannot be read", "无法读取"}
	}
}

// problemAdvice says what to do about a finding.
func (o *operation) problemAdvice(problem string) text {
	switch problem {
	case "job":
		return text{"nothing: it is planned again; find out who deleted it", "无需处理：已重新安排；请查明是谁删除的"}
	case "log":
		return text{"keep a copy of the database; run: keyward audit verify", "请保留数据库副本，并执行：keyward audit verify"}
	case "unreadable":
		return text{"check the disk; restore the newest backup of the database", "请检查磁盘，并恢复最新的数据库备份"}
	default:
		return text{
			"keep a copy of the database, find out who can write to it, restore the row from the newest backup; the server does not use it",
			"请保留数据库副本，查明谁能写入数据库，并从最新备份恢复该行；服务器不会使用该行",
		}
	}
}
