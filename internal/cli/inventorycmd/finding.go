package inventorycmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/leak/rules"
)

func newFindingCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "finding", Short: c.T("See what is wrong with keys, and decide about it", "查看并处理密钥的安全问题")},
		newFindingListCmd(c), newFindingShowCmd(c), newFindingSuppressCmd(c), newFindingResolveCmd(c))
}

func findingState(c *cli.Run, s string) string {
	names := map[string]string{"open": "待处理", "suppressed": "已抑制", "resolved": "已解决"}
	if names[s] == "" {
		return s
	}
	return c.T(s, names[s])
}

func subjectOf(f api.KeyFinding) string {
	switch {
	case f.Subject.ID == "":
		return f.Subject.Provider
	case f.Subject.Provider == "":
		return f.Subject.Kind + "/" + f.Subject.ID
	}
	return f.Subject.Provider + "/" + f.Subject.ID
}

func newFindingListCmd(c *cli.Run) *cobra.Command {
	in := api.ListFindingsRequest{Limit: 1000}
	state := "open"
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:     "list",
		Short:   c.T("List findings, the most severe first", "列出问题，最严重的在前"),
		Example: "  keyward finding list --severity high\n  keyward finding list --subject LTAI5tFAKE --state all",
		Run: func(ctx context.Context, _ []string) error {
			if err := c.OneOf(cmd, "state", state, "open", "suppressed", "resolved", "all"); err != nil {
				return err
			}
			if in.State = state; state == "all" {
				in.State = ""
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			all := api.FindingList{Findings: []api.KeyFinding{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListFindings(ctx, in)
				all.Findings = append(all.Findings, page.Findings...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("FINDING", "问题"), c.T("SEVERITY", "级别"), c.T("STATE", "状态"), c.T("SUBJECT", "对象"), c.T("OWNER", "负责人"), c.T("SINCE", "首次发现"), c.T("WHAT", "内容"))
				for _, f := range all.Findings {
					t.Add(f.ID, c.SeverityText(f.Severity), findingState(c, f.State), subjectOf(f), cli.OrDash(f.Owner), f.FirstSeen.UTC().Format(time.DateOnly), c.Of(f.Title))
				}
			})
		},
	})
	f := cmd.Flags()
	f.StringVar(&state, "state", state, c.T("`STATE`: open, suppressed, resolved or all", "状态 `STATE`：open、suppressed、resolved 或 all"))
	f.StringVar(&in.Severity, "severity", "", c.T("only of this `SEVERITY` and worse: critical, high, medium or low", "只列出此级别 `SEVERITY` 及以上：critical、high、medium 或 low"))
	f.StringVar(&in.Rule, "rule", "", c.T("only of this `CHECK`, such as AK03", "只列出此检查项 `CHECK`，例如 AK03"))
	f.StringVar(&in.Provider, "provider", "", c.T("only at this `PROVIDER`", "只列出此来源 `PROVIDER` 的"))
	f.StringVar(&in.Subject, "subject", "", c.T("only about this `KEY` or user, as ID or PROVIDER/ID", "只列出此密钥或用户 `KEY` 的，写作 ID 或 来源/ID"))
	cli.Complete(cmd, "state", "open", "suppressed", "resolved", "all")
	cli.Complete(cmd, "severity", "critical", "high", "medium", "low")
	return cmd
}

// Words say the same in English and in Chinese.
type words struct{ en, zh string }

// evidence names facts for people.
var evidence = map[string]words{
	"key": {"Key", "密钥"}, "keys": {"Keys", "密钥"}, "name": {"Name", "名称"}, "user": {"User", "用户"}, "security-key": {"Security key", "安全密钥"}, "user-id": {"User id", "用户 ID"}, "kind": {"Kind", "类型"},
	"purpose": {"Purpose", "用途"}, "account": {"Account", "账号"}, "created": {"Created", "创建时间"}, "first-seen": {"First seen", "首次出现"}, "used": {"Last used", "最近使用"},
	"changed": {"Changed", "变更时间"}, "limit-days": {"Limit (days)", "期限（天）"}, "grace-days": {"Grace (days)", "宽限期（天）"}, "newer-created": {"Second key created", "第二个密钥创建时间"},
	"user-created": {"User created", "用户创建时间"}, "policies": {"Policies", "策略"}, "boundary": {"Boundary", "权限边界"}, "missing": {"Missing", "缺少"}, "off": {"Off", "未开启"},
	"since":  {"Last read", "最近读取"},
	"reason": {"Reason", "原因"}, "root-keys": {"Keys of the account", "主账号密钥数"}, "password-policy": {"Password policy", "密码策略"}, "login": {"Last login", "最近登录"},
	"what": {"What", "类型"}, "match": {"Match", "匹配方式"}, "secret": {"Secret", "凭据"}, "version": {"Version", "版本"}, "stages": {"Stages", "阶段"}, "origin": {"Found in", "发现于"},
	"place": {"Place", "位置"}, "more-places": {"More places", "其他位置数"}, "works": {"Its issuer says", "签发方答复"}, "why-unknown": {"Because", "原因"}, "asked": {"Asked at", "询问时间"}, "belongs-to": {"Belongs to", "所属"}, "gone": {"Gone from all refs", "已从所有引用中移除"}, "commit": {"First commit", "首次提交"}, "reported": {"First reported", "首次上报"}, "reported-by": {"Reported by", "上报者"},
	"system": {"System", "系统"}, "consumers": {"Used by", "使用方"}, "let-through": {"Let through", "放行原因"}, "plan": {"Rotation plan", "轮换计划"}, "rollout": {"Rollout", "分发"}, "nodes": {"Nodes", "节点"}, "rotation": {"Emergency rotation", "紧急轮换"}, "refused": {"Not rotated", "未能轮换"},
	"used-service": {"Used for", "使用的服务"}, "used-from": {"Used from", "使用来源"},
}

// evidenceValues are words of keyward's in evidence, for people, by the name of the fact.
var evidenceValues = map[string]map[string]words{
	"match":       {"value": {"value", "与 keyward 管理的值一致"}, "pair": {"pair", "已知 ID 与未知密钥成对出现"}, "id": {"id", "仅有 ID"}, "nothing": {"nothing", "keyward 未管理"}},
	"works":       {"live": {"live", "有效"}, "dead": {"dead", "无效"}, "unknown": {"unknown", "未知"}},
	"why-unknown": {"unavailable": {"no answer, or too busy", "没有答复，或暂时繁忙"}, "unclear": {"the answer says neither", "答复无法判断"}},
}

// value answers the value of a fact for people: what a rule of the scanner found is called
// by its title.
func value(c *cli.Run, e api.FindingFact) string {
	if word, ok := evidenceValues[e.Name][e.Value]; ok {
		return c.T(word.en, word.zh)
	}
	if e.Name == "what" {
		for _, r := range rules.All() {
			if r.ID == e.Value {
				return c.T(r.Title.English, r.Title.Chinese) + " (" + r.ID + ")"
			}
		}
	}
	return e.Value
}

func showFinding(c *cli.Run, f api.KeyFinding) error {
	return c.Show(f, func(t *cli.Table) {
		t.Add(c.T("Finding", "问题"), f.ID)
		t.Add(c.T("Check", "检查项"), f.Rule+" "+c.Of(f.Title))
		t.Add(c.T("Severity", "级别"), c.SeverityText(f.Severity))
		t.Add(c.T("State", "状态"), findingState(c, f.State))
		t.Add(c.T("Subject", "对象"), subjectOf(f))
		t.Add(c.T("Owner", "负责人"), cli.OrDash(f.Owner))
		t.Add(c.T("Seen", "发现时间"), cli.When(f.FirstSeen)+" – "+cli.When(f.LastSeen))
		if !f.ResolvedAt.IsZero() {
			t.Add(c.T("Resolved", "解决时间"), strings.TrimSpace(cli.When(f.ResolvedAt)+" "+f.ResolvedBy))
		}
		if p := f.Suppression; p != nil {
			t.Add(c.T("Suppressed", "抑制"), fmt.Sprintf(c.T("until %s for %s by %s: %s", "至 %s，负责人 %s，操作者 %s：%s"), cli.When(p.Until), p.Owner, p.By, p.Reason))
		}
		t.Add(c.T("Why", "说明"), c.Of(f.Why))
		for _, e := range f.Evidence {
			name, ok := evidence[e.Name]
			if !ok {
				name = words{e.Name, e.Name}
			}
			t.Add("  "+c.T(name.en, name.zh), value(c, e))
		}
		t.Add(c.T("To do", "处理方法"), c.Of(f.Fix.Text))
		if f.Fix.Line != "" {
			t.Add("", f.Fix.Line)
		}
	})
}

func newFindingShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show FINDING",
		Short: c.T("Show a finding: the evidence, and what to do", "显示问题的证据和处理方法"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			f, err := server.GetFinding(ctx, args[0])
			if err != nil {
				return err
			}
			return showFinding(c, f)
		}),
	})
}

func newFindingSuppressCmd(c *cli.Run) *cobra.Command {
	var in api.SuppressFindingRequest
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "suppress FINDING",
		Short: c.T("Accept a finding until a date", "在指定日期前接受该问题"),
		Long: c.T(
			"Accept a finding until a date, at most a year from now, with somebody who answers for it and a reason. It opens again on that date if it is still so. Suppressing it again moves the date.",
			"在指定日期前接受该问题，最长一年，必须说明负责人和原因。到期后若问题仍然存在，将重新打开。再次抑制可修改日期。",
		),
		Example: "  keyward finding suppress ak03-aaaaaaaaaaaaaaaa --owner alice --reason \"moves to a role\" --until 30d",
		Run: func(ctx context.Context, args []string) error {
			switch {
			case in.Owner == "":
				return c.Usage(cmd, "--owner is missing", "缺少 --owner")
			case in.Reason == "":
				return c.Usage(cmd, "--reason is missing", "缺少 --reason")
			case in.Until.IsZero():
				return c.Usage(cmd, "--until is missing", "缺少 --until")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			f, err := server.SuppressFinding(ctx, args[0], in)
			if err != nil {
				return err
			}
			return showFinding(c, f)
		},
	})
	cmd.Flags().StringVar(&in.Owner, "owner", "", c.T("`NAME` of who answers for it", "负责人 `NAME`"))
	cmd.Flags().StringVar(&in.Reason, "reason", "", c.T("`TEXT`: why it is accepted", "接受的原因 `TEXT`"))
	cmd.Flags().Var(cli.Ahead(&in.Until, c.Now), "until", c.T("`TIME` at which it opens again: a date, a time or 30d", "重新打开的时间 `TIME`：日期、时间或 30d"))
	return cmd
}

func newFindingResolveCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "resolve FINDING",
		Short: c.T("Say that what a finding is about was mended", "标记问题已修复"),
		Long: c.T(
			"Say that what a finding is about was mended. It counts as resolved until the provider is read again: if it is still so then, it opens again. To live with a finding, suppress it.",
			"标记问题已修复。在下一次读取平台数据之前视为已解决；若届时问题仍然存在，将重新打开。如需接受该问题，请使用 suppress。",
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			f, err := server.ResolveFinding(ctx, args[0])
			if err != nil {
				return err
			}
			if f.Subject.Provider != "" {
				c.Say("It opens again if it is still so when %s is read again.", "若下一次读取 %s 时问题仍然存在，将重新打开。", f.Subject.Provider)
			} else {
				c.Say("It opens again if it is still so, or is seen in a new place.", "若问题仍然存在，或在新的位置再次出现，将重新打开。")
			}
			return showFinding(c, f)
		}),
	})
}

// newAccessKeyChecksCmd tells what is checked of access keys.
func newAccessKeyChecksCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "checks",
		Short: c.T("Show what is checked, what is not and why, and how much was found", "显示检查项、未检查的原因以及问题数量"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListChecks(ctx)
			if err != nil {
				return err
			}
			if r := all.Run; r == nil {
				c.Say("The checks have not run yet.", "尚未执行检查。")
			} else {
				c.Say("Last run %s: %d of %d keys. %s", "最近一次检查 %s：%d / %d 个密钥。%s", cli.When(r.At), r.Seen, r.Of, c.Told(r.Error, r.ErrorZh))
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("CHECK", "检查项"), c.T("SEVERITY", "级别"), c.T("OPEN", "待处理"), c.T("SUPPRESSED", "已抑制"), c.T("RESOLVED", "已解决"), c.T("LIMITS", "阈值"), c.T("WHAT", "内容"))
				for _, k := range all.Checks {
					counts := []string{"-", "-", "-"}
					what := c.Of(k.Title)
					if k.Answered {
						counts = []string{fmt.Sprint(k.Open), fmt.Sprint(k.Suppressed), fmt.Sprint(k.Resolved)}
					} else {
						what += c.T(" – not checked: ", "（未检查：") + c.Of(k.Needs) + c.T("", "）")
					}
					if k.Partly.English != "" {
						what += c.T(" – in part: ", "（部分检查：") + c.Of(k.Partly) + c.T("", "）")
					}
					var limits []string
					for _, l := range k.Limits {
						limits = append(limits, l.Name+"="+l.Value)
					}
					t.Add(k.ID, c.SeverityText(k.Severity), counts[0], counts[1], counts[2], cli.OrDash(strings.Join(limits, " ")), what)
				}
			})
		}),
	})
}
