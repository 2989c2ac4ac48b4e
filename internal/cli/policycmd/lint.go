package policycmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/server/alibaba"
	"github.com/keyward/keyward/internal/server/rest"
)

// A lintRemark is what lint prints as JSON.
type lintRemark struct {
	Statement string     `json:"statement"`
	Rule      authz.Rule `json:"rule"`
	Text      string     `json:"text"`
	Patterns  []string   `json:"patterns"`
}

func newPolicyLintCmd(c *cli.Run) *cobra.Command {
	var account string
	cmd := c.Command(cli.Command{
		Use:   "lint FILE",
		Short: c.T("Look for what is often wrong with a policy, without a server", "离线检查策略中的常见问题"),
		Long: c.T(`Look for what is often wrong with a policy: wildcards, NotAction with Allow, dangerous
actions without a second factor, actions that do not exist, statements without effect.
With --account the file is the policy of a key of that account, else that of a user.

Exit status: 0 nothing was found, 1 something was.`,
			`检查策略中的常见问题：通配符、Allow 与 NotAction 并用、危险操作未要求多因素认证、
不存在的操作、不起作用的语句。指定 --account 时，文件是该账号某个密钥的策略，否则是用户的策略。

退出状态：0 没有发现问题，1 有发现。`),
		Example: "  keyward policy lint policy.json\n  keyward policy lint key-policy.json --account 1234567890123456",
		Run: func(ctx context.Context, args []string) error {
			document, err := c.ReadDocument(ctx, args[0])
			if err != nil {
				return err
			}
			remarks, err := lintPolicy(document, account)
			if err != nil {
				return err
			}
			return showRemarks(c, remarks)
		},
	})
	cmd.Flags().StringVar(&account, "account", "", c.T("`ACCOUNT` that has the key whose policy this is", "策略所属密钥的账号 `ACCOUNT`"))
	return cmd
}

func lintPolicy(document, account string) ([]authz.Remark, error) {
	known := slices.Concat(rest.Actions(), alibaba.Actions())
	if account != "" {
		p, err := authz.KeyTerms().Compile(account, []byte(document))
		if err != nil {
			return nil, err
		}
		return p.Lint(known), nil
	}
	p, err := authz.Compile("policy", []byte(document))
	if err != nil {
		return nil, err
	}
	return p.Lint(known), nil
}

func showRemarks(c *cli.Run, remarks []authz.Remark) error {
	said := map[authz.Rule]string{
		authz.AnyAction:     c.T("allows every action of a service: name those that are needed", "允许某服务的全部操作：请写明所需的操作"),
		authz.AnyResource:   c.T("allows dangerous actions on every resource: name the resources", "允许对所有资源执行危险操作：请写明资源"),
		authz.AllButAction:  c.T("allows everything but what it names, actions of later releases, too: use Action", "除列出的操作外全部允许，包括今后新增的操作：请改用 Action"),
		authz.WithoutMFA:    c.T("allows dangerous actions without a second factor: add the condition Bool acs:MFAPresent true", "允许未经多因素认证的危险操作：请加上条件 Bool acs:MFAPresent true"),
		authz.UnknownAction: c.T("names actions that keyward does not have: is there a slip of the pen?", "写了 keyward 没有的操作：请检查拼写"),
		authz.Unreachable:   c.T("has no effect: another statement denies all of it", "不起作用：另一条语句拒绝了其全部内容"),
		authz.Delegated:     c.T("allows nobody by itself: the identity policies of the account decide; name users and roles", "本身不授权任何人：由账号的身份策略决定；请写明用户和角色"),
		authz.NotElsewhere:  c.T("names actions that have no effect in key policies of Alibaba Cloud", "其中的操作在阿里云的密钥策略中不生效"),
	}
	list := make([]lintRemark, len(remarks))
	for i, r := range remarks {
		list[i] = lintRemark{Statement: r.Statement, Rule: r.Rule, Text: said[r.Rule], Patterns: append([]string{}, r.Patterns...)}
	}
	if err := c.Show(list, func(t *cli.Table) {
		t.Add(c.T("STATEMENT", "语句"), c.T("RULE", "规则"), c.T("IT", "说明"), c.T("ABOUT", "涉及"))
		for _, r := range list {
			t.Add(r.Statement, string(r.Rule), r.Text, cli.OrDash(strings.Join(r.Patterns, " ")))
		}
	}); err != nil {
		return err
	}
	if len(list) == 0 {
		c.Say("Nothing was found.", "没有发现问题。")
		return nil
	}
	return &cli.Problem{Message: fmt.Sprintf(c.T("things to look at: %d", "有 %d 处需要检查"), len(list))}
}
