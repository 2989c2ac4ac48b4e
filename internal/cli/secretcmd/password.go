package secretcmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newSecretPasswordCmd(c *cli.Run) *cobra.Command {
	var in api.RandomPasswordRequest
	var show bool
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "password",
		Short: c.T("Make a random password", "生成随机密码"),
		Long: c.T(
			`Write a random password to standard output. It has at least one small letter, capital,
digit and punctuation mark, and each password that fits is as likely as any other. The
server keeps nothing of it. On a terminal, where others may look on, it needs --show.`,
			`将随机密码写到标准输出。密码至少包含一个小写字母、大写字母、数字和标点符号，
符合条件的每个密码出现的概率相同。服务器不保存它。终端上可能有人旁观，因此需要 --show。`,
		),
		Example: "  keyward secret password | keyward secret put db/password",
		Secrets: true,
		Run: func(ctx context.Context, _ []string) error {
			if c.OutTerminal && !show {
				return c.Usage(cmd, "a password is not for a terminal; redirect the output, or use --show", "密码不适合显示在终端上；请重定向输出，或使用 --show")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			made, err := server.MakeRandomPassword(ctx, in)
			if err != nil {
				return err
			}
			if c.Output == "json" {
				return cli.WriteJSON(c.Out, made)
			}
			_, err = fmt.Fprintln(c.Out, string(made.Password))
			return err
		},
	})
	f := cmd.Flags()
	f.IntVar(&in.Length, "length", 32, c.T("`CHARACTERS`, 8 to 128", "长度 `CHARACTERS`，8 到 128"))
	f.StringVar(&in.Exclude, "exclude", "", c.T("`CHARACTERS` that do not occur", "不出现的字符 `CHARACTERS`"))
	f.BoolVar(&in.NoLower, "no-lower", false, c.T("no small letters", "不含小写字母"))
	f.BoolVar(&in.NoUpper, "no-upper", false, c.T("no capitals", "不含大写字母"))
	f.BoolVar(&in.NoDigits, "no-digits", false, c.T("no digits", "不含数字"))
	f.BoolVar(&in.NoPunctuation, "no-punctuation", false, c.T("no punctuation marks", "不含标点符号"))
	f.BoolVar(&in.Any, "any", false, c.T("not each kind of character must occur", "不要求每类字符都出现"))
	f.BoolVar(&show, "show", false, c.T("write it to the terminal", "显示在终端上"))
	return cmd
}

func newSecretPolicyCmd(c *cli.Run) *cobra.Command {
	var file string
	show := c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show the policy of a secret", "显示凭据策略"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			p, err := server.GetSecretPolicy(ctx, args[0])
			if err != nil {
				return err
			}
			if c.Output == "json" {
				return cli.WriteJSON(c.Out, p)
			}
			_, err = fmt.Fprintln(c.Out, cli.PrintableLines(p.Document))
			return err
		}),
	})
	set := remote.OnServer(c, "set NAME", c.T("Give a secret another policy; without --file the default", "设置凭据策略；不带 --file 则恢复默认"), c.T("the policy of %s is set", "%s 的策略已设置"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			var in api.SecretPolicy
			if file != "" {
				document, err := c.ReadDocument(ctx, file)
				if err != nil {
					return nil, err
				}
				in.Document = document
			}
			return nil, server.SetSecretPolicy(ctx, args[0], in)
		})
	set.Flags().StringVar(&file, "file", "", c.T("read the policy from `FILE`; - for standard input", "从 `FILE` 读取策略；- 表示标准输入"))
	return c.Command(cli.Command{Use: "policy", Short: c.T("Say who may do what with a secret", "管理凭据策略：谁可以对凭据做什么")}, show, set)
}
