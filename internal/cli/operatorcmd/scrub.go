package operatorcmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

func newOperatorScrubCmd(o *operation) *cobra.Command {
	return o.Command(cli.Command{
		Use:   "scrub",
		Short: o.T("Look at everything the server keeps for changes that it did not make", "巡检服务器保存的全部数据，查找绕过服务器的修改"),
		Long: o.T(
			`Look at everything that the server keeps: verify the audit logs, compare every row of the
database with the newest revision that the logs know, open everything that is wrapped,
follow every reference, look for rows that are not there. What was changed, put back to
an older state, swapped or deleted behind the server's back is told row by row; the exit
status is then 3. The server works on meanwhile, and scrubs by itself once a day.`,
			`巡检服务器保存的全部数据：验证审计日志，将数据库的每一行与日志所知的最新版本比较，
打开所有封装的内容，检查所有引用，查找缺失的行。凡绕过服务器修改、恢复为旧状态、
互换或删除的行都会逐行列出，此时退出状态为 3。巡检期间服务器照常工作；
服务器自身也会每天巡检一次。`,
		),
		Run: func(ctx context.Context, _ []string) error {
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
			return &cli.Problem{
				Message: fmt.Sprintf(o.T("the scrub has findings: %d", "巡检有 %d 项发现"), report.More+int64(len(report.Findings))),
				Next:    o.T("follow what each finding says; docs/operations.md has more", "请按每项发现的处理办法操作，详见 docs/operations.md"),
				Code:    "Tampered", Status: cli.ExitTampered,
			}
		},
	})
}

func (o *operation) showScrub(r api.ScrubReport) error {
	return o.Show(r, func(t *cli.Table) {
		t.Add(o.T("Rows", "行"), fmt.Sprint(r.Rows))
		t.Add(o.T("Audit records", "审计记录"), fmt.Sprint(r.Records))
		t.Add(o.T("Findings", "发现"), fmt.Sprint(r.More+int64(len(r.Findings))))
		for _, f := range r.Findings {
			t.Add("")
			t.Add(o.T("Problem", "问题"), f.Problem+": "+o.problemText(f.Problem))
			t.Add(o.T("Where", "位置"), cli.OrDash(strings.TrimSpace(f.Table+" "+f.ID)))
			t.Add(o.T("Detail", "详情"), f.Detail)
			t.Add(o.T("What to do", "处理办法"), o.problemAdvice(f.Problem))
		}
	})
}

// problemText says what a finding means.
func (o *operation) problemText(problem string) string {
	switch problem {
	case "forged":
		return o.T("the row was changed, exchanged or made up", "该行被修改、调换或伪造")
	case "stale":
		return o.T("the row was put back to an older state, or put back after its deletion", "该行被恢复为旧状态，或删除后又被放回")
	case "missing":
		return o.T("the row was deleted", "该行被删除")
	case "sealed":
		return o.T("what is wrapped in the row does not open", "该行中封装的内容无法打开")
	case "dangling":
		return o.T("the row refers to one that cannot be used", "该行引用的行无法使用")
	case "job":
		return o.T("what must be done later was not planned", "应当在以后执行的任务没有安排")
	case "log":
		return o.T("the audit log does not verify", "审计日志未通过验证")
	default:
		return o.T("it cannot be read", "无法读取")
	}
}

// problemAdvice says what to do about a finding.
func (o *operation) problemAdvice(problem string) string {
	switch problem {
	case "job":
		return o.T("nothing: it is planned again; find out who deleted it", "无需处理：已重新安排；请查明是谁删除的")
	case "log":
		return o.T("keep a copy of the database; run: keyward audit verify", "请保留数据库副本，并执行：keyward audit verify")
	case "unreadable":
		return o.T("check the disk; restore the newest backup of the database", "请检查磁盘，并恢复最新的数据库备份")
	default:
		return o.T(
			"keep a copy of the database, find out who can write to it, restore the row from the newest backup; the server does not use it",
			"请保留数据库副本，查明谁能写入数据库，并从最新备份恢复该行；服务器不会使用该行",
		)
	}
}
