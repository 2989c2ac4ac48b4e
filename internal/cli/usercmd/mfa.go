package usercmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newMFAAddKeyCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "add-key NAME",
		Short: c.T("Add a security key as a second factor, in a browser", "在浏览器中添加安全密钥作为第二因素"),
		Long: c.T(
			`Add a security key as a second factor for yourself, who are logged in: a USB key, or what is
built into your computer or telephone. The command prints the address of a page of the server;
open it, compare the code and use the security key, which must ask for a PIN, a finger or a
face. A person has at most eight, beside an authenticator app; who has a second factor already
is asked to prove it first. With the first one you get recovery codes.`,
			`为自己（已登录）添加安全密钥作为第二因素：USB 安全密钥，或电脑、手机内置的验证器。
命令会显示服务器页面的地址；打开页面，核对代码并使用安全密钥（须验证 PIN、指纹或面容）。
每人最多八个，另可使用一个身份验证器应用；已有第二因素时须先完成验证。
添加首个第二因素时会得到恢复码。`,
		),
		Example: "  keyward user mfa add-key blue",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			s, err := remote.FindSettings(c)
			if err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			p, err := server.AddSecurityKey(ctx, api.AddSecurityKeyRequest{Name: args[0]})
			if err != nil {
				return err
			}
			remote.ShowPage(c, p) // and do not open it: who sees the address first could register another key
			if err := remote.AwaitProof(ctx, c, s, p); err != nil {
				return err
			}
			all, err := server.ConfirmSecurityKey(ctx, api.HeldProof{Proof: p.Proof})
			if err != nil {
				return err
			}
			c.Say("%s is a second factor from now on", "%s 已成为第二因素", args[0])
			return showRecovery(c, all)
		},
	})
}

func newMFAListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List your own second factors", "列出自己的第二因素"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.GetMFA(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("NAME", "名称"), c.T("KIND", "类型"), c.T("ADDED", "添加时间"), c.T("LAST USED", "最近使用"), c.T("HOST", "主机"))
				for _, f := range all.Factors {
					t.Add(f.Name, factorKind(c, f), cli.When(f.AddedAt), cli.When(f.UsedAt), cli.OrDash(f.Host))
				}
			})
		}),
	})
}

// factorKind says what a second factor is, and that there may be more of it than one.
func factorKind(c *cli.Run, f api.Factor) string {
	switch {
	case f.Kind == api.AuthenticatorApp:
		return c.T("authenticator app", "身份验证器应用")
	case f.BackedUp:
		return c.T("security key, backed up", "安全密钥（已备份）")
	}
	return c.T("security key", "安全密钥")
}

func newMFARemoveCmd(c *cli.Run) *cobra.Command {
	var in api.RemoveMFARequest
	cmd := c.Command(cli.Command{
		Use:   "remove USER",
		Short: c.T("Take second factors from a user, and end the user's sessions", "移除用户的第二因素，并结束其会话"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			warning := c.T("The user then logs in with the password alone.", "此后该用户仅凭密码即可登录。")
			if in.Factor != "" {
				warning = c.T("If it is the last one, the user then logs in with the password alone.", "若这是最后一个，此后该用户仅凭密码即可登录。")
			}
			if err := c.Confirm(ctx, args[0], warning); err != nil {
				return err
			}
			if err := server.RemoveUserMFA(ctx, args[0], in); err != nil {
				return err
			}
			if in.Factor != "" {
				c.Say("%s has no second factor %s any more", "%s 已无第二因素 %s", args[0], in.Factor)
			} else {
				c.Say("%s has no second factor any more", "%s 已无多因素验证", args[0])
			}
			return c.ShowJSON(map[string]any{"user": args[0]})
		}),
	})
	cmd.Flags().StringVar(&in.Factor, "factor", "", c.T("only this one: `NAME` of a security key, or app", "仅移除此项：安全密钥名称 `NAME`，或 app"))
	return cmd
}
