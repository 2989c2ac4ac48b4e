package usercmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newUserPasswordCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "password", Short: c.T("Manage the passwords with which people log in", "管理用户登录密码")},
		newPasswordResetCmd(c),
		remote.OnServer(c, "remove USER", c.T("Let a user log in no more, and end the user's sessions", "禁止用户登录，并结束其会话"), c.T("%s cannot log in any more", "%s 已不能登录"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.RemoveUserPassword(ctx, args[0])
			}),
		newPasswordChangeCmd(c))
}

func newPasswordResetCmd(c *cli.Run) *cobra.Command {
	i := &remote.Issue{Run: c}
	cmd := c.Command(cli.Command{
		Use:   "reset USER",
		Short: c.T("Give a user an initial password, which the first login must replace", "为用户设置初始密码；首次登录必须更换"),
		Long: c.T(
			`Give a user an initial password. It is shown this once and serves, for three days, for one
login, which must replace it. The user's sessions end.`,
			`为用户设置初始密码。密码只显示这一次，三天内有效，仅可用于一次登录且必须更换。
该用户的会话将被结束。`,
		),
		Example: "  keyward user password reset alice --out alice.txt",
		Secrets: true,
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			if err := i.Open(); err != nil {
				return err
			}
			made, err := server.SetUserPassword(ctx, args[0])
			if err != nil {
				return i.Abandon(err)
			}
			if i.File != nil {
				_, err := i.File.WriteString(string(made.Password) + "\n")
				if err := errors.Join(err, i.File.Sync(), i.File.Close()); err != nil {
					return fmt.Errorf("writing the initial password, which is lost, so that it must be reset again: %w", err)
				}
				c.Say("the initial password of %s is in %s", "%s 的初始密码已写入 %s", made.User, i.Out)
				return c.ShowJSON(map[string]any{"user": made.User, "expiresAt": made.ExpiresAt})
			}
			return c.Show(made, func(t *cli.Table) {
				t.Add(c.T("User", "用户"), made.User)
				t.Add(c.T("Initial password", "初始密码"), string(made.Password))
				t.Add(c.T("Expires", "过期时间"), cli.When(made.ExpiresAt))
			})
		}),
	})
	cmd.Flags().StringVar(&i.Out, "out", "", c.T("write the password to a new `FILE` (0600) and do not show it", "将密码写入新文件 `FILE`（0600），不在屏幕上显示"))
	return cmd
}

func newPasswordChangeCmd(c *cli.Run) *cobra.Command {
	var in api.LoginRequest
	cmd := c.Command(cli.Command{
		Use:     "change USER",
		Short:   c.T("Change your own password; all of your other sessions end", "修改自己的密码；其他会话将全部结束"),
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			s, err := remote.FindSettings(c)
			if err != nil {
				return err
			}
			d := &remote.Dialogue{Run: c}
			in.User = args[0]
			if in.Password, err = d.Ask(ctx, c.T("Present password", "当前密码")); err != nil {
				return err
			}
			if in.NewPassword, err = askNew(ctx, d); err != nil {
				return err
			}
			issued, err := logIn(ctx, d, s, in)
			if err != nil {
				return err
			}
			c.Say("the password of %s is changed", "%s 的密码已修改", args[0])
			return keep(c, s, issued)
		},
	})
	cmd.Flags().StringVar(&in.Account, "account", "", c.T("id or name of the `ACCOUNT`, if the server has several", "账号 `ACCOUNT` 的 ID 或名称（服务器有多个账号时需要）"))
	return cmd
}

func newUserMFACmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "mfa", Short: c.T("Manage second factors", "管理多因素验证")},
		newMFAEnrollCmd(c), newMFAConfirmCmd(c), newMFAAddKeyCmd(c), newMFAListCmd(c), newMFARemoveCmd(c))
}

func newMFAEnrollCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "enroll",
		Short: c.T("Set up a second factor for yourself, who are logged in", "为自己（已登录）设置多因素验证"),
		Long: c.T(
			`Set up a second factor for yourself, who are logged in. Enter the secret into an
authenticator app; then give a code that it shows to "keyward user mfa confirm".`,
			`为自己（已登录）设置多因素验证。将密钥录入身份验证器应用，
再用 "keyward user mfa confirm" 提交其显示的验证码。`,
		),
		Secrets: true,
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			e, err := server.EnrollMFA(ctx)
			if err != nil {
				return err
			}
			return c.Show(e, func(t *cli.Table) {
				t.Add(c.T("Secret", "密钥"), string(e.Secret))
				t.Add("URI", string(e.URI))
			})
		}),
	})
}

func newMFAConfirmCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:     "confirm",
		Short:   c.T("Prove the second factor with a code, and get recovery codes", "提交验证码以启用多因素验证，并获取恢复码"),
		Secrets: true,
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			code, err := (&remote.Dialogue{Run: c}).Ask(ctx, c.T("Code", "验证码"))
			if err != nil {
				return err
			}
			all, err := server.ConfirmMFA(ctx, api.ConfirmMFARequest{Code: code})
			if err != nil {
				return err
			}
			c.Say("Logging in needs a second factor from now on.", "此后登录需要第二因素。")
			return showRecovery(c, all)
		}),
	})
}

// showRecovery shows recovery codes, which come with the first second factor only.
func showRecovery(c *cli.Run, all api.RecoveryCodes) error {
	if len(all.Codes) > 0 {
		c.Say("Each recovery code stands for a code of the second factor, once; they are shown this once.", "每个恢复码可代替验证码使用一次，且只显示这一次。")
	}
	if c.Output == "json" {
		return cli.WriteJSON(c.Out, all)
	}
	for _, one := range all.Codes {
		if _, err := fmt.Fprintln(c.Out, string(one)); err != nil {
			return err
		}
	}
	return nil
}

func newUserLoginsCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "logins USER",
		Short: c.T("Show how a user logs in, and the user's sessions", "查看用户的登录方式及其会话"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			p, err := server.GetUserLogin(ctx, args[0])
			if err != nil {
				return err
			}
			return c.Show(p, func(t *cli.Table) {
				password := c.YesNo(p.CanLogIn)
				if p.Initial {
					password = c.T("initial", "初始密码")
				}
				t.Add(c.T("User", "用户"), p.User)
				t.Add(c.T("Password", "密码"), password)
				t.Add(c.T("Password set", "密码设置时间"), cli.When(p.SetAt))
				t.Add(c.T("Second factor", "多因素验证"), c.YesNo(p.HasMFA))
				for _, f := range p.Factors {
					t.Add(f.Name, fmt.Sprintf(c.T("%s, added %s, last used %s", "%s，添加于 %s，最近使用 %s"), factorKind(c, f), cli.When(f.AddedAt), cli.When(f.UsedAt)))
				}
				t.Add(c.T("Recovery codes left", "剩余恢复码"), fmt.Sprint(p.RecoveryCodes))
				for _, s := range p.Sessions {
					by := ""
					if s.Provider != "" {
						by = fmt.Sprintf(c.T(", by %s", "，通过 %s"), s.Provider)
					}
					t.Add(c.T("Session", "会话"), fmt.Sprintf(c.T("from %s, %s to %s", "来自 %s，%s 至 %s"), cli.OrDash(s.Source), cli.When(s.BegunAt), cli.When(s.ExpiresAt))+by)
				}
			})
		}),
	})
}
