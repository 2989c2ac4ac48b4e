package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func newUserPasswordCmd(c *cli) *cobra.Command {
	return c.command(command{use: "password", short: text{"Manage the passwords with which people log in", "管理用户登录密码"}},
		newPasswordResetCmd(c),
		c.onServer("remove USER", text{"Let a user log in no more, and end the user's sessions", "禁止用户登录，并结束其会话"}, text{"%s cannot log in any more", "%s 已不能登录"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.RemoveUserPassword(ctx, args[0])
			}),
		newPasswordChangeCmd(c))
}

func newPasswordResetCmd(c *cli) *cobra.Command {
	i := &issue{cli: c}
	cmd := c.command(command{
		use:   "reset USER",
		short: text{"Give a user an initial password, which the first login must replace", "为用户设置初始密码；首次登录必须更换"},
		long: text{
			`Give a user an initial password. It is shown this once and serves, for three days, for one
login, which must replace it. The user's sessions end.`,
			`为用户设置初始密码。密码只显示这一次，三天内有效，仅可用于一次登录且必须更换。
该用户的会话将被结束。`,
		},
		example: "  keyward user password reset alice --out alice.txt",
		secrets: true,
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			if err := i.open(); err != nil {
				return err
			}
			made, err := server.SetUserPassword(ctx, args[0])
			if err != nil {
				return i.abandon(err)
			}
			if i.file != nil {
				_, err := i.file.WriteString(string(made.Password) + "\n")
				if err := errors.Join(err, i.file.Sync(), i.file.Close()); err != nil {
					return fmt.Errorf("writing the initial password, which is lost, so that it must be reset again: %w", err)
				}
				c.say("the initial password of %s is in %s", "%s 的初始密码已写入 %s", made.User, i.out)
				return c.jsonOnly(map[string]any{"user": made.User, "expiresAt": made.ExpiresAt})
			}
			return c.show(made, func(t *table) {
				t.add(c.t("User", "用户"), made.User)
				t.add(c.t("Initial password", "初始密码"), string(made.Password))
				t.add(c.t("Expires", "过期时间"), when(made.ExpiresAt))
			})
		},
	})
	cmd.Flags().StringVar(&i.out, "out", "", c.t("write the password to a new `FILE` (0600) and do not show it", "将密码写入新文件 `FILE`（0600），不在屏幕上显示"))
	return cmd
}

func newPasswordChangeCmd(c *cli) *cobra.Command {
	var in api.LoginRequest
	cmd := c.command(command{
		use:     "change USER",
		short:   text{"Change your own password; all of your other sessions end", "修改自己的密码；其他会话将全部结束"},
		secrets: true,
		run: func(ctx context.Context, args []string) error {
			s, err := c.settings()
			if err != nil {
				return err
			}
			d := &dialogue{cli: c}
			in.User = args[0]
			if in.Password, err = d.ask(ctx, text{"Present password", "当前密码"}); err != nil {
				return err
			}
			if in.NewPassword, err = d.askNew(ctx); err != nil {
				return err
			}
			issued, err := d.logIn(ctx, s, in)
			if err != nil {
				return err
			}
			c.say("the password of %s is changed", "%s 的密码已修改", args[0])
			return c.saveLogin(c.profileInUse(), login{s.endpoint.value, issued.AccessKeyID, string(issued.Secret), string(issued.SecurityToken), issued.ExpiresAt})
		},
	})
	cmd.Flags().StringVar(&in.Account, "account", "", c.t("id or name of the `ACCOUNT`, if the server has several", "账号 `ACCOUNT` 的 ID 或名称（服务器有多个账号时需要）"))
	return cmd
}

func newUserMFACmd(c *cli) *cobra.Command {
	return c.command(command{use: "mfa", short: text{"Manage second factors", "管理多因素验证"}},
		newMFAEnrollCmd(c), newMFAConfirmCmd(c), newMFAAddKeyCmd(c), newMFAListCmd(c), newMFARemoveCmd(c))
}

func newMFAEnrollCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "enroll",
		short: text{"Set up a second factor for yourself, who are logged in", "为自己（已登录）设置多因素验证"},
		long: text{
			`Set up a second factor for yourself, who are logged in. Enter the secret into an
authenticator app; then give a code that it shows to "keyward user mfa confirm".`,
			`为自己（已登录）设置多因素验证。将密钥录入身份验证器应用，
再用 "keyward user mfa confirm" 提交其显示的验证码。`,
		},
		secrets: true,
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			e, err := server.EnrollMFA(ctx)
			if err != nil {
				return err
			}
			return c.show(e, func(t *table) {
				t.add(c.t("Secret", "密钥"), string(e.Secret))
				t.add("URI", string(e.URI))
			})
		},
	})
}

func newMFAConfirmCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:     "confirm",
		short:   text{"Prove the second factor with a code, and get recovery codes", "提交验证码以启用多因素验证，并获取恢复码"},
		secrets: true,
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			code, err := (&dialogue{cli: c}).ask(ctx, text{"Code", "验证码"})
			if err != nil {
				return err
			}
			all, err := server.ConfirmMFA(ctx, api.ConfirmMFARequest{Code: code})
			if err != nil {
				return err
			}
			c.say("Logging in needs a second factor from now on.", "此后登录需要第二因素。")
			return c.showRecovery(all)
		},
	})
}

// showRecovery shows recovery codes, which come with the first second factor only.
func (c *cli) showRecovery(all api.RecoveryCodes) error {
	if len(all.Codes) > 0 {
		c.say("Each recovery code stands for a code of the second factor, once; they are shown this once.", "每个恢复码可代替验证码使用一次，且只显示这一次。")
	}
	if c.output == "json" {
		return writeJSON(c.out, all)
	}
	for _, one := range all.Codes {
		if _, err := fmt.Fprintln(c.out, string(one)); err != nil {
			return err
		}
	}
	return nil
}

func newUserLoginsCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "logins USER",
		short: text{"Show how a user logs in, and the user's sessions", "查看用户的登录方式及其会话"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			p, err := server.GetUserLogin(ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(p, func(t *table) {
				password := c.yesNo(p.CanLogIn)
				if p.Initial {
					password = c.t("initial", "初始密码")
				}
				t.add(c.t("User", "用户"), p.User)
				t.add(c.t("Password", "密码"), password)
				t.add(c.t("Password set", "密码设置时间"), when(p.SetAt))
				t.add(c.t("Second factor", "多因素验证"), c.yesNo(p.HasMFA))
				for _, f := range p.Factors {
					t.add(f.Name, fmt.Sprintf(c.t("%s, added %s, last used %s", "%s，添加于 %s，最近使用 %s"), c.factorKind(f), when(f.AddedAt), when(f.UsedAt)))
				}
				t.add(c.t("Recovery codes left", "剩余恢复码"), fmt.Sprint(p.RecoveryCodes))
				for _, s := range p.Sessions {
					by := ""
					if s.Provider != "" {
						by = fmt.Sprintf(c.t(", by %s", "，通过 %s"), s.Provider)
					}
					t.add(c.t("Session", "会话"), fmt.Sprintf(c.t("from %s, %s to %s", "来自 %s，%s 至 %s"), orDash(s.Source), when(s.BegunAt), when(s.ExpiresAt))+by)
				}
			})
		},
	})
}
