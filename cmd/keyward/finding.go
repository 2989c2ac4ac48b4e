package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/leak/rules"
)

func newFindingCmd(c *cli) *cobra.Command {
	return c.command(command{use: "finding", short: text{"See what is wrong with keys, and decide about it", "查看并处理密钥的安全问题"}},
		newFindingListCmd(c), newFindingShowCmd(c), newFindingSuppressCmd(c), newFindingResolveCmd(c))
}

// of picks from a text of the server.
func (c *cli) of(t api.Text) string { return c.t(t.English, t.Chinese) }

func (c *cli) severity(s string) string {
	names := map[string]string{
		"critical": "严重", "high": "高", "medium": "中", "low": "低", "info": "提示", "warning": "警告", "emergency": "紧急",
	}
	if names[s] == "" {
		return s
	}
	return c.t(s, names[s])
}

func (c *cli) findingState(s string) string {
	names := map[string]string{"open": "待处理", "suppressed": "已抑制", "resolved": "已解决"}
	if names[s] == "" {
		return s
	}
	return c.t(s, names[s])
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

func newFindingListCmd(c *cli) *cobra.Command {
	in := api.ListFindingsRequest{Limit: 1000}
	state := "open"
	var cmd *cobra.Command
	cmd = c.command(command{
		use:     "list",
		short:   text{"List findings, the most severe first", "列出问题，最严重的在前"},
		example: "  keyward finding list --severity high\n  keyward finding list --subject LTAI5tFAKE --state all",
		run: func(ctx context.Context, _ []string) error {
			if err := c.oneOf(cmd, "state", state, "open", "suppressed", "resolved", "all"); err != nil {
				return err
			}
			if in.State = state; state == "all" {
				in.State = ""
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			all := api.FindingList{Findings: []api.KeyFinding{}}
			if err := pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListFindings(ctx, in)
				all.Findings = append(all.Findings, page.Findings...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("FINDING", "问题"), c.t("SEVERITY", "级别"), c.t("STATE", "状态"), c.t("SUBJECT", "对象"), c.t("OWNER", "负责人"), c.t("SINCE", "首次发现"), c.t("WHAT", "内容"))
				for _, f := range all.Findings {
					t.add(f.ID, c.severity(f.Severity), c.findingState(f.State), subjectOf(f), orDash(f.Owner), f.FirstSeen.UTC().Format(time.DateOnly), c.of(f.Title))
				}
			})
		},
	})
	f := cmd.Flags()
	f.StringVar(&state, "state", state, c.t("`STATE`: open, suppressed, resolved or all", "状态 `STATE`：open、suppressed、resolved 或 all"))
	f.StringVar(&in.Severity, "severity", "", c.t("only of this `SEVERITY` and worse: critical, high, medium or low", "只列出此级别 `SEVERITY` 及以上：critical、high、medium 或 low"))
	f.StringVar(&in.Rule, "rule", "", c.t("only of this `CHECK`, such as AK03", "只列出此检查项 `CHECK`，例如 AK03"))
	f.StringVar(&in.Provider, "provider", "", c.t("only at this `PROVIDER`", "只列出此来源 `PROVIDER` 的"))
	f.StringVar(&in.Subject, "subject", "", c.t("only about this `KEY` or user, as ID or PROVIDER/ID", "只列出此密钥或用户 `KEY` 的，写作 ID 或 来源/ID"))
	complete(cmd, "state", "open", "suppressed", "resolved", "all")
	complete(cmd, "severity", "critical", "high", "medium", "low")
	return cmd
}

// evidence names facts for people.
var evidence = map[string]text{
	"key": {"Key", "密钥"}, "keys": {"Keys", "密钥"}, "name": {"Name", "名称"}, "user": {"User", "用户"}, "user-id": {"User id", "用户 ID"}, "kind": {"Kind", "类型"},
	"purpose": {"Purpose", "用途"}, "account": {"Account", "账号"}, "created": {"Created", "创建时间"}, "first-seen": {"First seen", "首次出现"}, "used": {"Last used", "最近使用"},
	"changed": {"Changed", "变更时间"}, "limit-days": {"Limit (days)", "期限（天）"}, "grace-days": {"Grace (days)", "宽限期（天）"}, "newer-created": {"Second key created", "第二个密钥创建时间"},
	"user-created": {"User created", "用户创建时间"}, "policies": {"Policies", "策略"}, "boundary": {"Boundary", "权限边界"}, "missing": {"Missing", "缺少"}, "off": {"Off", "未开启"},
	"reason": {"Reason", "原因"}, "root-keys": {"Keys of the account", "主账号密钥数"}, "password-policy": {"Password policy", "密码策略"}, "login": {"Last login", "最近登录"},
	"what": {"What", "类型"}, "match": {"Match", "匹配方式"}, "secret": {"Secret", "凭据"}, "version": {"Version", "版本"}, "stages": {"Stages", "阶段"}, "origin": {"Found in", "发现于"},
	"place": {"Place", "位置"}, "more-places": {"More places", "其他位置数"}, "gone": {"Gone from all refs", "已从所有引用中移除"}, "commit": {"First commit", "首次提交"}, "reported": {"First reported", "首次上报"}, "reported-by": {"Reported by", "上报者"},
	"system": {"System", "系统"}, "consumers": {"Used by", "使用方"}, "let-through": {"Let through", "放行原因"}, "plan": {"Rotation plan", "轮换计划"}, "rollout": {"Rollout", "分发"}, "nodes": {"Nodes", "节点"}, "rotation": {"Emergency rotation", "紧急轮换"}, "refused": {"Not rotated", "未能轮换"},
	"used-service": {"Used for", "使用的服务"}, "used-from": {"Used from", "使用来源"},
}

// evidenceValues are words of keyward's in evidence, for people, by the name of the fact.
var evidenceValues = map[string]map[string]text{
	"match": {"value": {"value", "与 keyward 管理的值一致"}, "pair": {"pair", "已知 ID 与未知密钥成对出现"}, "id": {"id", "仅有 ID"}, "nothing": {"nothing", "keyward 未管理"}},
}

// value answers the value of a fact for people: what a rule of the scanner found is called
// by its title.
func (c *cli) value(e api.FindingFact) string {
	if word, ok := evidenceValues[e.Name][e.Value]; ok {
		return word.in(c.lang)
	}
	if e.Name == "what" {
		for _, r := range rules.All() {
			if r.ID == e.Value {
				return text{r.Title.English, r.Title.Chinese}.in(c.lang) + " (" + r.ID + ")"
			}
		}
	}
	return e.Value
}

func (c *cli) showFinding(f api.KeyFinding) error {
	return c.show(f, func(t *table) {
		t.add(c.t("Finding", "问题"), f.ID)
		t.add(c.t("Check", "检查项"), f.Rule+" "+c.of(f.Title))
		t.add(c.t("Severity", "级别"), c.severity(f.Severity))
		t.add(c.t("State", "状态"), c.findingState(f.State))
		t.add(c.t("Subject", "对象"), subjectOf(f))
		t.add(c.t("Owner", "负责人"), orDash(f.Owner))
		t.add(c.t("Seen", "发现时间"), when(f.FirstSeen)+" – "+when(f.LastSeen))
		if !f.ResolvedAt.IsZero() {
			t.add(c.t("Resolved", "解决时间"), strings.TrimSpace(when(f.ResolvedAt)+" "+f.ResolvedBy))
		}
		if p := f.Suppression; p != nil {
			t.add(c.t("Suppressed", "抑制"), fmt.Sprintf(c.t("until %s for %s by %s: %s", "至 %s，负责人 %s，操作者 %s：%s"), when(p.Until), p.Owner, p.By, p.Reason))
		}
		t.add(c.t("Why", "说明"), c.of(f.Why))
		for _, e := range f.Evidence {
			name, ok := evidence[e.Name]
			if !ok {
				name = text{e.Name, e.Name}
			}
			t.add("  "+name.in(c.lang), c.value(e))
		}
		t.add(c.t("To do", "处理方法"), c.of(f.Fix.Text))
		if f.Fix.Line != "" {
			t.add("", f.Fix.Line)
		}
	})
}

func newFindingShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show FINDING",
		short: text{"Show a finding: the evidence, and what to do", "显示问题的证据和处理方法"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			f, err := server.GetFinding(ctx, args[0])
			if err != nil {
				return err
			}
			return c.showFinding(f)
		},
	})
}

func newFindingSuppressCmd(c *cli) *cobra.Command {
	var in api.SuppressFindingRequest
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "suppress FINDING",
		short: text{"Accept a finding until a date", "在指定日期前接受该问题"},
		long: text{
			"Accept a finding until a date, at most a year from now, with somebody who answers for it and a reason. It opens again on that date if it is still so. Suppressing it again moves the date.",
			"在指定日期前接受该问题，最长一年，必须说明负责人和原因。到期后若问题仍然存在，将重新打开。再次抑制可修改日期。",
		},
		example: "  keyward finding suppress ak03-aaaaaaaaaaaaaaaa --owner alice --reason \"moves to a role\" --until 30d",
		run: func(ctx context.Context, args []string) error {
			switch {
			case in.Owner == "":
				return c.usage(cmd, "--owner is missing", "缺少 --owner")
			case in.Reason == "":
				return c.usage(cmd, "--reason is missing", "缺少 --reason")
			case in.Until.IsZero():
				return c.usage(cmd, "--until is missing", "缺少 --until")
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			f, err := server.SuppressFinding(ctx, args[0], in)
			if err != nil {
				return err
			}
			return c.showFinding(f)
		},
	})
	cmd.Flags().StringVar(&in.Owner, "owner", "", c.t("`NAME` of who answers for it", "负责人 `NAME`"))
	cmd.Flags().StringVar(&in.Reason, "reason", "", c.t("`TEXT`: why it is accepted", "接受的原因 `TEXT`"))
	cmd.Flags().Var(moment{&in.Until, time.Now, 1}, "until", c.t("`TIME` at which it opens again: a date, a time or 30d", "重新打开的时间 `TIME`：日期、时间或 30d"))
	return cmd
}

func newFindingResolveCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "resolve FINDING",
		short: text{"Say that what a finding is about was mended", "标记问题已修复"},
		long: text{
			"Say that what a finding is about was mended. It counts as resolved until the provider is read again: if it is still so then, it opens again. To live with a finding, suppress it.",
			"标记问题已修复。在下一次读取平台数据之前视为已解决；若届时问题仍然存在，将重新打开。如需接受该问题，请使用 suppress。",
		},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			f, err := server.ResolveFinding(ctx, args[0])
			if err != nil {
				return err
			}
			if f.Subject.Provider != "" {
				c.say("It opens again if it is still so when %s is read again.", "若下一次读取 %s 时问题仍然存在，将重新打开。", f.Subject.Provider)
			} else {
				c.say("It opens again if it is still so, or is seen in a new place.", "若问题仍然存在，或在新的位置再次出现，将重新打开。")
			}
			return c.showFinding(f)
		},
	})
}

// newAccessKeyChecksCmd tells what is checked of access keys.
func newAccessKeyChecksCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "checks",
		short: text{"Show what is checked, what is not and why, and how much was found", "显示检查项、未检查的原因以及问题数量"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListChecks(ctx)
			if err != nil {
				return err
			}
			if r := all.Run; r == nil {
				c.say("The checks have not run yet.", "尚未执行检查。")
			} else {
				c.say("Last run %s: %d of %d keys. %s", "最近一次检查 %s：%d / %d 个密钥。%s", when(r.At), r.Seen, r.Of, r.Error)
			}
			return c.show(all, func(t *table) {
				t.add(c.t("CHECK", "检查项"), c.t("SEVERITY", "级别"), c.t("OPEN", "待处理"), c.t("SUPPRESSED", "已抑制"), c.t("RESOLVED", "已解决"), c.t("LIMITS", "阈值"), c.t("WHAT", "内容"))
				for _, k := range all.Checks {
					counts := []string{"-", "-", "-"}
					what := c.of(k.Title)
					if k.Answered {
						counts = []string{fmt.Sprint(k.Open), fmt.Sprint(k.Suppressed), fmt.Sprint(k.Resolved)}
					} else {
						what += c.t(" – not checked: ", "（未检查：") + c.of(k.Needs) + c.t("", "）")
					}
					if k.Partly.English != "" {
						what += c.t(" – in part: ", "（部分检查：") + c.of(k.Partly) + c.t("", "）")
					}
					var limits []string
					for _, l := range k.Limits {
						limits = append(limits, l.Name+"="+l.Value)
					}
					t.add(k.ID, c.severity(k.Severity), counts[0], counts[1], counts[2], orDash(strings.Join(limits, " ")), what)
				}
			})
		},
	})
}
