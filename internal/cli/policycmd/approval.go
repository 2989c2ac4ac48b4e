package policycmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/approval"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newApprovalCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use: "approval", Short: c.T("Approve what others want to do, and say what needs approval", "审批他人的操作，并规定哪些操作需要审批"),
		Long: c.T(
			`Approve what others want to do, and say what needs approval.

Who wants something that needs approval runs their command as always. It is refused, and
the people whom the rule names see it here. When enough have approved, the same command,
run again, goes through, once.`,
			`审批他人的操作，并规定哪些操作需要审批。

需要审批的命令照常执行即可：命令会被拒绝，规则指定的审批人在这里看到该请求。
审批通过后，重新执行相同命令即可生效，且仅生效一次。`,
		),
	}, newApprovalListCmd(c), newApprovalShowCmd(c),
		newDecisionCmd(c, "approve ID", c.T("Approve a request; needs a login and a code of your second factor", "批准请求；需要登录并提供多因素验证码"), c.T("%s is approved by you", "已批准 %s"), (*client.Client).Approve),
		newDecisionCmd(c, "reject ID", c.T("Reject a request, or withdraw your own", "拒绝请求，或撤回自己的请求"), c.T("%s is rejected", "已拒绝 %s"), (*client.Client).Reject),
		newApprovalRuleCmd(c))
}

func newDecisionCmd(c *cli.Run, use string, short, done string, decide func(*client.Client, context.Context, string) (api.Approval, error)) *cobra.Command {
	return remote.OnServer(c, use, short, done, func(ctx context.Context, server *client.Client, args []string) (any, error) {
		out, err := decide(server, ctx, args[0])
		return out, err
	})
}

func newApprovalListCmd(c *cli.Run) *cobra.Command {
	var in api.ListApprovalsRequest
	cmd := c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List the requests that wait for approval", "列出等待审批的请求"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListApprovals(ctx, in)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("ID", "ID"), c.T("STATE", "状态"), c.T("REQUESTED BY", "请求者"), c.T("ACTION", "操作"), c.T("RESOURCE", "资源"), c.T("EXPIRES", "过期时间"))
				for _, a := range all.Approvals {
					t.Add(a.ID, approvalState(c, a.State), a.Requester, a.Action, a.Resource, cli.When(a.ExpiresAt))
				}
			})
		}),
	})
	cmd.Flags().BoolVar(&in.All, "all", false, c.T("those that have ended, too", "包括已结束的请求"))
	return cmd
}

// approvalState answers a state for people.
func approvalState(c *cli.Run, state string) string {
	words := map[approval.State]string{
		approval.Open: c.T("open", "等待审批"), approval.Approved: c.T("approved", "已批准"), approval.Used: c.T("used", "已执行"),
		approval.Rejected: c.T("rejected", "已拒绝"), approval.Lapsed: c.T("lapsed", "已过期"), approval.Void: c.T("void", "已失效"),
	}
	if t, ok := words[approval.State(state)]; ok {
		return t
	}
	return state
}

func newApprovalShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show ID",
		Short: c.T("Show who wants what, and who has approved it", "显示请求的内容及审批情况"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			a, err := server.GetApproval(ctx, args[0])
			if err != nil {
				return err
			}
			return c.Show(a, func(t *cli.Table) { addApproval(c, t, a) })
		}),
	})
}

func addApproval(c *cli.Run, t *cli.Table, a api.Approval) {
	t.Add(c.T("Request", "请求"), a.ID)
	t.Add(c.T("State", "状态"), approvalState(c, a.State))
	t.Add(c.T("Requested by", "请求者"), a.Requester)
	if a.Behind != a.Requester {
		t.Add(c.T("On behalf of", "实际用户"), a.Behind)
	}
	t.Add(c.T("From", "来源地址"), cli.OrDash(a.Source))
	t.Add(c.T("Action", "操作"), a.Action)
	t.Add(c.T("Resource", "资源"), a.Resource)
	for _, p := range a.Also {
		t.Add(c.T("Also", "同时"), p.Action)
		t.Add(c.T("Resource", "资源"), p.Resource)
	}
	if a.Reason != "" {
		t.Add(c.T("Reason", "原因"), a.Reason)
	}
	for _, p := range a.Params {
		t.Add("  "+p.Name, p.Value)
	}
	for _, w := range a.Wants {
		t.Add(c.T("Rule ", "规则 ")+w.Rule, fmt.Sprintf(c.T("%d of %s; %d missing", "需 %d 人（%s）；还差 %d 人"), w.Need, strings.Join(w.Approvers, ", "), w.Missing))
	}
	for _, v := range a.Approvals {
		t.Add(c.T("Approved by", "已批准"), strings.TrimSpace(fmt.Sprintf("%s, %s %s", v.User, cli.When(v.At), v.Source)))
	}
	t.Add(c.T("Requested", "请求时间"), cli.When(a.CreatedAt))
	t.Add(c.T("Expires", "过期时间"), cli.When(a.ExpiresAt))
	if a.EndedBy != "" {
		t.Add(c.T("Ended", "结束"), cli.When(a.EndedAt)+", "+a.EndedBy)
	}
}

func newApprovalRuleCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "rule", Short: c.T("Say what needs the approval of how many of whom", "规定哪些操作需要哪些人中的几人审批")},
		newApprovalRuleAddCmd(c), newApprovalRuleListCmd(c),
		remote.OnServer(c, "remove RULE", c.T("Remove a rule, which needs approval under it", "删除规则；需按该规则审批"), c.T("the rule %s is removed", "规则 %s 已删除"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.DeleteApprovalRule(ctx, args[0])
			}))
}

func newApprovalRuleAddCmd(c *cli.Run) *cobra.Command {
	var in api.SetApprovalRuleRequest
	cmd := c.Command(cli.Command{
		Use:   "add RULE",
		Short: c.T("Add a rule, or change one, which needs approval under it", "添加规则，或更改已有规则（需按该规则审批）"),
		Long: c.T(
			`Add a rule, or change one. It binds everybody in the account, root included, from the next
request on. What lets somebody act as one of its approvers needs approval, too.`,
			`添加或更改规则。规则从下一个请求起对账号内所有人生效，包括 root。
可能让他人冒充审批人的操作同样需要审批。`,
		),
		Example: "  keyward approval rule add destroy --need 2 --approver alice,bob,carol --action kms:ScheduleKeyDeletion,kms:DisableKey\n" +
			"  keyward approval rule add power --need 1 --approver alice,bob --action 'ram:*' --exempt user/automation --life 4h",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			rule, err := server.SetApprovalRule(ctx, args[0], in)
			if err != nil {
				return err
			}
			c.Say("the rule %s is in force", "规则 %s 已生效", rule.Name)
			return c.ShowJSON(rule)
		}),
	})
	f := cmd.Flags()
	f.IntVar(&in.Need, "need", 1, c.T("`NUMBER` of people who must approve", "需要批准的人数 `NUMBER`"))
	f.StringSliceVar(&in.Approvers, "approver", nil, c.T("`USER` who may approve; may be repeated", "审批人 `USER`；可重复"))
	f.StringSliceVar(&in.Actions, "action", nil, c.T("`PATTERN` of dangerous actions; may be repeated", "危险操作的模式 `PATTERN`；可重复"))
	f.StringSliceVar(&in.Resources, "resource", nil, c.T("`PATTERN` of resources; left out for all; may be repeated", "资源的模式 `PATTERN`；不填表示全部；可重复"))
	f.StringSliceVar(&in.Exempt, "exempt", nil, c.T("user/NAME or role/NAME `WHO` is not bound; may be repeated", "不受约束的 user/NAME 或 role/NAME `WHO`；可重复"))
	f.StringVar(&in.Life, "life", "", c.T("how long a request can be approved and used: `PERIOD` from 5m to 7d; default 24h", "请求的有效期 `PERIOD`，5m 至 7d；默认 24h"))
	return cmd
}

func newApprovalRuleListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List the rules", "列出规则"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListApprovalRules(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("RULE", "规则"), c.T("NEEDS", "人数"), c.T("APPROVERS", "审批人"), c.T("ACTIONS", "操作"), c.T("RESOURCES", "资源"), c.T("EXEMPT", "豁免"), c.T("LIFE", "有效期"), c.T("SUSPENDED UNTIL", "暂停至"))
				for _, r := range all.Rules {
					until := "-"
					if r.SuspendedUntil.After(c.Now()) {
						until = cli.When(r.SuspendedUntil)
					}
					t.Add(r.Name, fmt.Sprint(r.Need), strings.Join(r.Approvers, ","), strings.Join(r.Actions, ","), strings.Join(r.Resources, ","), cli.OrDash(strings.Join(r.Exempt, ",")), r.Life, until)
				}
			})
		}),
	})
}
