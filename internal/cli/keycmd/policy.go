package keycmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/authz"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

// A keyPolicy is a key's policy as flags say it: a file, or people.
type keyPolicy struct {
	file   string
	grants authz.Grants
}

func (p *keyPolicy) flags(c *cli.Run, f *pflag.FlagSet, file string) {
	f.StringVar(&p.file, file, "", c.T("read the key's policy from `FILE`; - for standard input", "从 `FILE` 读取密钥策略；- 表示标准输入"))
	f.StringSliceVar(&p.grants.Administrators, "administrator", nil, c.T("`USER` who manages the key and cannot use it: NAME or role/NAME; may be repeated", "管理密钥但不能使用密钥的 `USER`：NAME 或 role/NAME；可重复"))
	f.StringSliceVar(&p.grants.Users, "user", nil, c.T("`USER` who uses the key and cannot manage it: NAME or role/NAME; may be repeated", "使用密钥但不能管理密钥的 `USER`：NAME 或 role/NAME；可重复"))
	f.StringSliceVar(&p.grants.Others, "other-account-user", nil, c.T("`ARN` of a user or role of another account who uses the key; may be repeated", "使用密钥的其他账号用户或角色的 `ARN`；可重复"))
}

// given tells whether the flags say anything.
func (p *keyPolicy) given() bool { return p.file != "" || p.people() }

func (p *keyPolicy) people() bool {
	return len(p.grants.Administrators)+len(p.grants.Users)+len(p.grants.Others) > 0
}

// document answers the policy that the flags say; empty for the default.
func (p *keyPolicy) document(ctx context.Context, c *cli.Run, server *client.Client) (string, error) {
	switch {
	case p.file != "" && p.people():
		return "", &cli.Problem{Message: c.T("a policy is either a file or people: leave one of them out", "策略只能用文件或人员之一指定，请去掉其中一种")}
	case p.file != "":
		return c.ReadDocument(ctx, p.file)
	case !p.people():
		return "", nil
	}
	me, err := server.WhoAmI(ctx)
	if err != nil {
		return "", err
	}
	for _, list := range [][]string{p.grants.Administrators, p.grants.Users} {
		for i, name := range list {
			list[i] = principalARN(me.Account, name)
		}
	}
	return authz.KeyTerms().Custom(me.Account, p.grants), nil
}

// principalARN answers the full name of a user, role/NAME or what is a full name already.
func principalARN(account, name string) string {
	switch {
	case strings.HasPrefix(name, "acs:"):
		return name
	case !strings.Contains(name, "/"):
		name = "user/" + name
	}
	return "acs:ram::" + account + ":" + name
}

func newKeyPolicyCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "policy", Short: c.T("Say who may do what with a key", "管理密钥策略：谁可以对密钥做什么")}, newKeyPolicyShowCmd(c), newKeyPolicySetCmd(c))
}

func newKeyPolicyShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show KEY",
		Short: c.T("Show the policy of a key", "显示密钥策略"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			policy, err := server.GetKeyPolicy(ctx, args[0])
			if err != nil {
				return err
			}
			if c.Output == "json" {
				return cli.WriteJSON(c.Out, policy)
			}
			_, err = fmt.Fprintln(c.Out, cli.PrintableLines(policy.Document))
			return err
		}),
	})
}

func newKeyPolicySetCmd(c *cli.Run) *cobra.Command {
	var policy keyPolicy
	var reset bool
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "set KEY",
		Short: c.T("Give a key another policy, from the next request on", "设置密钥策略，从下一个请求起生效"),
		Long: c.T(`Give a key another policy: from a file, or made of people. Administrators manage the key
and cannot use it, users use it and cannot manage it; users of other accounts need a policy
of their own account, too. Whoever is not named still may what its own policies allow.`,
			`设置密钥策略：来自文件，或由人员组成。管理员管理密钥但不能使用，使用者使用密钥但不能管理；
其他账号的使用者还需要其所在账号的策略允许。未列出的用户仍可执行其自身策略允许的操作。`),
		Example: "  keyward key policy set alias/reports --administrator kate --user app\n  keyward key policy set alias/reports --default",
		Run: func(ctx context.Context, args []string) error {
			if reset == policy.given() {
				return c.Usage(cmd, "say one of --file, people and --default", "请指定 --file、人员或 --default 之一")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			document, err := policy.document(ctx, c, server)
			if err != nil {
				return err
			}
			if err := server.SetKeyPolicy(ctx, args[0], api.KeyPolicy{Document: document}); err != nil {
				return err
			}
			c.Say("the policy of %s is set", "%s 的密钥策略已设置", args[0])
			return c.ShowJSON(remote.Named("set KEY", args))
		},
	})
	policy.flags(c, cmd.Flags(), "file")
	cmd.Flags().BoolVar(&reset, "default", false, c.T("leave everything to the policies of users again", "恢复默认：由用户自身的策略决定"))
	return cmd
}
