package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/approval"
)

func newApprovalCmd(c *cli) *cobra.Command {
	return c.command(command{
		use: "approval", short: text{"Approve what others want to do, and say what needs approval", "审批他人的操作，并规定哪些操作需要审批"},
		long: text{
			`Approve what others want to do, and say what needs approval.

Who wants something that needs approval runs their command as always. It is refused, and
the people whom the rule names see it here. When enough have approved, the same command,
run again, goes through, once.`,
			`审批他人的操作，并规定哪些操作需要审批。

需要审批的命令照常执行即可：命令会被拒绝，规则指定的审批人在这里看到该请求。
审批通过后，重新执行相同命令即可生效，且仅生效一次。`,
		},
	}, newApprovalListCmd(c), newApprovalShowCmd(c),
		newDecisionCmd(c, "approve ID", text{"Approve a request; needs a login and a code of your second factor", "批准请求；需要登录并提供多因素验证码"}, text{"%s is approved by you", "已批准 %s"}, (*client.Client).Approve),
		newDecisionCmd(c, "reject ID", text{"Reject a request, or withdraw your own", "拒绝请求，或撤回自己的请求"}, text{"%s is rejected", "已拒绝 %s"}, (*client.Client).Reject),
		newApprovalRuleCmd(c))
}

func newDecisionCmd(c *cli, use string, short, done text, decide func(*client.Client, context.Context, string) (api.Approval, error)) *cobra.Command {
	return c.onServer(use, short, done, func(ctx context.Context, server *client.Client, args []string) (any, error) {
		out, err := decide(server, ctx, args[0])
		return out, err
	})
}

func newApprovalListCmd(c *cli) *cobra.Command {
	var in api.ListApprovalsRequest
	cmd := c.command(command{
		use:   "list",
		short: text{"List the requests that wait for approval", "列出等待审批的请求"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListApprovals(ctx, in)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("ID", "ID"), c.t("STATE", "状态"), c.t("REQUESTED BY", "请求者"), c.t("ACTION", "操作"), c.t("RESOURCE", "资源"), c.t("EXPIRES", "过期时间"))
				for _, a := range all.Approvals {
					t.add(a.ID, c.approvalState(a.State), a.Requester, a.Action, a.Resource, when(a.ExpiresAt))
				}
			})
		},
	})
	cmd.Flags().BoolVar(&in.All, "all", false, c.t("those that have ended, too", "包括已结束的请求"))
	return cmd
}

// approvalState answers a state for people.
func (c *cli) approvalState(state string) string {
	words := map[approval.State]text{
		approval.Open: {"open", "等待审批"}, approval.Approved: {"approved", "已批准"}, approval.Used: {"used", "已执行"},
		approval.Rejected: {"rejected", "已拒绝"}, approval.Lapsed: {"lapsed", "已过期"}, approval.Void: {"void", "已失效"},
	}
	if t, ok := words[approval.State(state)]; ok {
		return t.in(c.lang)
	}
	return state
}

func newApprovalShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show ID",
		short: text{"Show who wants what, and who has approved it", "显示请求的内容及审批情况"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			a, err := server.GetApproval(ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(a, func(t *table) { c.addApproval(t, a) })
		},
	})
}

func (c *cli) addApproval(t *table, a api.Approval) {
	t.add(c.t("Request", "请求"), a.ID)
	t.add(c.t("State", "状态"), c.approvalState(a.State))
	t.add(c.t("Requested by", "请求者"), a.Requester)
	if a.Behind != a.Requester {
		t.add(c.t("On behalf of", "实际用户"), a.Behind)
	}
	t.add(c.t("From", "来源地址"), orDash(a.Source))
	t.add(c.t("Action", "操作"), a.Action)
	t.add(c.t("Resource", "资源"), a.Resource)
	for _, p := range a.Params {
		t.add("  "+p.Name, p.Value)
	}
	for _, w := range a.Wants {
		t.add(c.t("Rule ", "规则 ")+w.Rule, fmt.Sprintf(c.t("%d of %s; %d missing", "需 %d 人（%s）；还差 %d 人"), w.Need, strings.Join(w.Approvers, ", "), w.Missing))
	}
	for _, v := range a.Approvals {
		t.add(c.t("Approved by", "已批准"), strings.TrimSpace(fmt.Sprintf("%s, %s %s", v.User, when(v.At), v.Source)))
	}
	t.add(c.t("Requested", "请求时间"), when(a.CreatedAt))
	t.add(c.t("Expires", "过期时间"), when(a.ExpiresAt))
	if a.EndedBy != "" {
		t.add(c.t("Ended", "结束"), when(a.EndedAt)+", "+a.EndedBy)
	}
}

func newApprovalRuleCmd(c *cli) *cobra.Command {
	return c.command(command{use: "rule", short: text{"Say what needs the approval of how many of whom", "规定哪些操作需要哪些人中的几人审批"}},
		newApprovalRuleAddCmd(c), newApprovalRuleListCmd(c),
		c.onServer("remove RULE", text{"Remove a rule, which needs approval under it", "删除规则；需按该规则审批"}, text{"the rule %s is removed", "规则 %s 已删除"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.DeleteApprovalRule(ctx, args[0])
			}))
}

func newApprovalRuleAddCmd(c *cli) *cobra.Command {
	var in api.SetApprovalRuleRequest
	cmd := c.command(command{
		use:   "add RULE",
		short: text{"Add a rule, or change one, which needs approval under it", "添加规则，或更改已有规则（需按该规则审批）"},
		long: text{
			`Add a rule, or change one. It binds everybody in the account, root included, from the next
request on. What lets somebody act as one of its approvers needs approval, too.`,
			`添加或更改规则。规则从下一个请求起对账号内所有人生效，包括 root。
可能让他人冒充审批人的操作同样需要审批。`,
		},
		example: "  keyward approval rule add destroy --need 2 --approver alice,bob,carol --action kms:ScheduleKeyDeletion,kms:DisableKey\n" +
			"  keyward approval rule add power --need 1 --approver alice,bob --action 'ram:*' --exempt user/automation --life 4h",
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			rule, err := server.SetApprovalRule(ctx, args[0], in)
			if err != nil {
				return err
			}
			c.say("the rule %s is in force", "规则 %s 已生效", rule.Name)
			return c.jsonOnly(rule)
		},
	})
	f := cmd.Flags()
	f.IntVar(&in.Need, "need", 1, c.t("`NUMBER` of people who must approve", "需要批准的人数 `NUMBER`"))
	f.StringSliceVar(&in.Approvers, "approver", nil, c.t("`USER` who may approve; may be repeated", "审批人 `USER`；可重复"))
	f.StringSliceVar(&in.Actions, "action", nil, c.t("`PATTERN` of dangerous actions; may be repeated", "危险操作的模式 `PATTERN`；可重复"))
	f.StringSliceVar(&in.Resources, "resource", nil, c.t("`PATTERN` of resources; left out for all; may be repeated", "资源的模式 `PATTERN`；不填表示全部；可重复"))
	f.StringSliceVar(&in.Exempt, "exempt", nil, c.t("user/NAME or role/NAME `WHO` is not bound; may be repeated", "不受约束的 user/NAME 或 role/NAME `WHO`；可重复"))
	f.StringVar(&in.Life, "life", "", c.t("how long a request can be approved and used: `PERIOD` from 5m to 7d; default 24h", "请求的有效期 `PERIOD`，5m 至 7d；默认 24h"))
	return cmd
}

func newApprovalRuleListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List the rules", "列出规则"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListApprovalRules(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("RULE", "规则"), c.t("NEEDS", "人数"), c.t("APPROVERS", "审批人"), c.t("ACTIONS", "操作"), c.t("RESOURCES", "资源"), c.t("EXEMPT", "豁免"), c.t("LIFE", "有效期"), c.t("SUSPENDED UNTIL", "暂停至"))
				for _, r := range all.Rules {
					until := "-"
					if r.SuspendedUntil.After(c.now()) {
						until = when(r.SuspendedUntil)
					}
					t.add(r.Name, fmt.Sprint(r.Need), strings.Join(r.Approvers, ","), strings.Join(r.Actions, ","), strings.Join(r.Resources, ","), orDash(strings.Join(r.Exempt, ",")), r.Life, until)
				}
			})
		},
	})
}

func newOperatorApprovalCmd(o *operation) *cobra.Command {
	var in api.SuspendApprovalRuleRequest
	cmd := o.command(command{
		use:   "suspend RULE",
		short: text{"Suspend a rule about approvals for a while, when those who could approve are out of reach", "审批人无法联系时，暂停审批规则一段时间"},
		long: text{
			`Suspend a rule about approvals: until then it demands nothing, can be changed, and comes back
by itself. Everybody who is told of incidents is told of it. Without --for it is in force again.`,
			`暂停审批规则：在此期间规则不生效、可以更改，到期自动恢复。所有告警接收人都会收到通知。
不加 --for 则立即恢复规则。`,
		},
		example: "  keyward operator approval suspend --account 1234567890123456 --for 1h destroy",
		run: func(ctx context.Context, args []string) error {
			server, err := o.connect()
			if err != nil {
				return err
			}
			in.Rule = args[0]
			rule, err := server.SuspendApprovalRule(ctx, in)
			if err != nil {
				return err
			}
			if rule.SuspendedUntil.IsZero() {
				o.say("the rule %s is in force", "规则 %s 已生效", rule.Name)
			} else {
				o.say("the rule %s demands nothing until %s", "规则 %s 在 %s 之前不生效", rule.Name, when(rule.SuspendedUntil))
			}
			return o.jsonOnly(rule)
		},
	})
	cmd.Flags().StringVar(&in.Account, "account", "", o.t("`ID` of the account", "账号 `ID`"))
	cmd.Flags().StringVar(&in.For, "for", "", o.t("how long: a `PERIOD` of 24h at most; left out to end a suspension", "暂停时长 `PERIOD`，最长 24h；不填则结束暂停"))
	return o.command(command{use: "approval", short: text{"The way out of rules about approvals", "审批规则的应急处理"}}, cmd)
}

// pollApproval is between two looks whether a request was approved.
const pollApproval = 3 * time.Second

// awaitApproval waits a little before a request is sent again that waits for approval.
func (c *cli) awaitApproval() func(ctx context.Context, refusal *client.Error) error {
	told := ""
	return func(ctx context.Context, refusal *client.Error) error {
		if refusal.Approval != told {
			told = refusal.Approval
			c.say("waiting for approval; approvers run: keyward approval show %s", "等待审批；审批人请执行：keyward approval show %s", told)
		}
		select {
		case <-time.After(pollApproval):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
