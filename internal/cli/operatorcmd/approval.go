package operatorcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/internal/cli"
)

func newOperatorApprovalCmd(o *operation) *cobra.Command {
	var in api.SuspendApprovalRuleRequest
	cmd := o.Command(cli.Command{
		Use:   "suspend RULE",
		Short: o.T("Suspend a rule about approvals for a while, when those who could approve are out of reach", "审批人无法联系时，暂停审批规则一段时间"),
		Long: o.T(
			`Suspend a rule about approvals: until then it demands nothing, can be changed, and comes back
by itself. Everybody who is told of incidents is told of it. Without --for it is in force again.`,
			`暂停审批规则：在此期间规则不生效、可以更改，到期自动恢复。所有告警接收人都会收到通知。
不加 --for 则立即恢复规则。`,
		),
		Example: "  keyward operator approval suspend --account 1234567890123456 --for 1h destroy",
		Run: func(ctx context.Context, args []string) error {
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
				o.Say("the rule %s is in force", "规则 %s 已生效", rule.Name)
			} else {
				o.Say("the rule %s demands nothing until %s", "规则 %s 在 %s 之前不生效", rule.Name, cli.When(rule.SuspendedUntil))
			}
			return o.ShowJSON(rule)
		},
	})
	cmd.Flags().StringVar(&in.Account, "account", "", o.T("`ID` of the account", "账号 `ID`"))
	cmd.Flags().StringVar(&in.For, "for", "", o.T("how long: a `PERIOD` of 24h at most; left out to end a suspension", "暂停时长 `PERIOD`，最长 24h；不填则结束暂停"))
	return o.Command(cli.Command{Use: "approval", Short: o.T("The way out of rules about approvals", "审批规则的应急处理")}, cmd)
}
