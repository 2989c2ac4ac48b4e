package usercmd

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/fault"
)

// askNew asks for a new password, twice where it can be mistyped unseen.
func askNew(ctx context.Context, d *remote.Dialogue) (api.SecretText, error) {
	first, err := d.Ask(ctx, d.T("New password (12 characters or more)", "新密码（至少 12 个字符）"))
	if err != nil || !d.Interactive {
		return first, err
	}
	second, err := d.Ask(ctx, d.T("New password, once more", "再次输入新密码"))
	if err == nil && first != second {
		err = &cli.Problem{Message: d.T("the two passwords differ; nothing was changed", "两次输入的密码不同，没有做任何更改")}
	}
	return first, err
}

// logIn asks for what the server wants to know until it answers.
func logIn(ctx context.Context, d *remote.Dialogue, s remote.Settings, in api.LoginRequest) (api.TemporaryCredentials, error) {
	web, err := remote.HTTPClient(d.Run, s.CACert.Value)
	if err != nil {
		return api.TemporaryCredentials{}, err
	}
	server := client.Config{Endpoint: s.Endpoint.Value, HTTPClient: web, Language: string(d.Lang)}
	for {
		issued, err := client.Login(ctx, server, in)
		switch {
		case remote.RefusedAs(err, fault.PasswordChangeRequired) && in.NewPassword == "":
			d.Say("The password is an initial one; choose a new one.", "这是初始密码，请设置新密码。")
			in.NewPassword, err = askNew(ctx, d)
		case remote.RefusedAs(err, fault.MFARequired) && in.Code == "":
			in.Code, err = second(ctx, d, s, server, in)
		default:
			return issued, err
		}
		if err != nil {
			return api.TemporaryCredentials{}, err
		}
	}
}

// second answers what proves the second factor of a login.
func second(ctx context.Context, d *remote.Dialogue, s remote.Settings, server client.Config, in api.LoginRequest) (api.SecretText, error) {
	if d.NoInput {
		return d.Ask(ctx, d.T("Code", "验证码"))
	}
	p, err := client.BeginLoginProof(ctx, server, api.LoginRequest{Account: in.Account, User: in.User, Password: in.Password})
	if remote.RefusedAs(err, fault.StateConflict, fault.UnsupportedOperation, fault.ActionNotFound) { // there is no security key
		return d.Ask(ctx, d.T("Code", "验证码"))
	}
	if err != nil {
		return "", err
	}
	return d.Prove(ctx, s, p)
}

func newLoginCmd(c *cli.Run) *cobra.Command {
	in, duration := api.LoginRequest{}, time.Hour
	i, sso := &remote.Issue{Run: c}, &ssoFlags{}
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "login [USER]",
		Short: c.T("Log in as a person, with a password and a second factor, or with --sso", "以个人身份登录（密码与多因素验证，或 --sso 单点登录）"),
		Long: c.T(
			`Log in as a person. You are asked for the password and, if you have set one up, for a code
of your second factor; neither is shown. From a pipe, each is a line of standard input.
With --sso you log in with your browser at the identity provider of your company; the
argument is its name, if the account has several.

Until it expires or "keyward logout" ends it, every command then acts as you. The session is
kept in ~/.config/keyward/sessions.toml (mode 0600), for the profile and the endpoint in use;
an access key in the environment comes before it. With --out it is written as variables
instead, with which Alibaba Cloud's SDKs and command line work, too.`,
			`以个人身份登录。按提示输入密码；若已设置多因素验证，还需输入验证码，输入内容不会显示。
通过管道使用时，每项占标准输入的一行。
使用 --sso 时在浏览器中通过企业的身份提供商登录；账号有多个身份提供商时，参数为其名称。

在会话到期或执行 "keyward logout" 之前，所有命令都以您的身份执行。会话保存在
~/.config/keyward/sessions.toml（权限 0600），仅用于当前配置和服务器；
环境变量中的访问密钥优先于会话。使用 --out 时改为写出变量文件，
阿里云的 SDK 和命令行工具也可以使用。`,
		),
		Example: "  keyward login alice --duration 8h\n  keyward login --sso corp",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			in.User, in.DurationSeconds = strings.Join(args, ""), int(duration.Seconds())
			if sso.on {
				return login(c, i, func(d *remote.Dialogue, s remote.Settings) (api.TemporaryCredentials, error) {
					return sso.logIn(ctx, d, s, in)
				})
			}
			if in.User == "" {
				return c.Usage(cmd, "the argument USER is missing", "缺少参数 USER")
			}
			return login(c, i, func(d *remote.Dialogue, s remote.Settings) (out api.TemporaryCredentials, err error) {
				if in.Password, err = d.Ask(ctx, d.T("Password", "密码")); err != nil {
					return out, err
				}
				return logIn(ctx, d, s, in)
			})
		},
	})
	cmd.Flags().StringVar(&in.Account, "account", "", c.T("id or name of the `ACCOUNT`, if the server has several", "账号 `ACCOUNT` 的 ID 或名称（服务器有多个账号时需要）"))
	cmd.Flags().Var(cli.Days(&duration), "duration", c.T("`DURATION` of the session, 15m to 12h", "会话时长 `DURATION`，15m 至 12h"))
	sso.flags(c, cmd)
	i.Flags(cmd)
	return cmd
}

// login logs in and keeps the session.
func login(c *cli.Run, i *remote.Issue, logIn func(*remote.Dialogue, remote.Settings) (api.TemporaryCredentials, error)) error {
	s, err := remote.FindSettings(c)
	if err != nil {
		return err
	}
	if err := i.Open(); err != nil {
		return err
	}
	issued, err := logIn(&remote.Dialogue{Run: c}, s)
	if err != nil {
		return i.Abandon(err)
	}
	if i.File != nil {
		return i.Deliver(remote.Credentials{ID: issued.AccessKeyID, Secret: issued.Secret, Token: issued.SecurityToken}, nil, nil)
	}
	if err := keep(c, s, issued); err != nil {
		return err
	}
	if s.KeyID.Value != "" && s.KeyID.From != remote.LoginCommand {
		c.Say("Note: an access key of %s comes before this session; take it away to act as yourself.", "注意：来自 %s 的访问密钥优先于此会话，请先移除它。", s.KeyID.From)
	}
	c.Say("%s is logged in until %s", "%s 已登录，有效期至 %s", issued.ARN, cli.When(issued.ExpiresAt))
	return c.ShowJSON(struct {
		ARN       string    `json:"arn"`
		ExpiresAt time.Time `json:"expiresAt"`
	}{issued.ARN, issued.ExpiresAt})
}

// keep keeps a session for the profile and the endpoint in use.
func keep(c *cli.Run, s remote.Settings, issued api.TemporaryCredentials) error {
	return remote.SaveSession(c, remote.ProfileInUse(c), remote.Session{
		Endpoint: s.Endpoint.Value, AccessKeyID: issued.AccessKeyID, AccessKeySecret: string(issued.Secret), SecurityToken: string(issued.SecurityToken), ExpiresAt: issued.ExpiresAt,
	})
}

func newLogoutCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "logout",
		Short: c.T("End the session that keyward login began", "结束 keyward login 建立的会话"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			if err := server.Logout(ctx); err != nil && !remote.RefusedAs(err, fault.SecurityTokenInvalid) {
				return err
			}
			c.Say("the session has ended", "会话已结束")
			return remote.SaveSession(c, remote.ProfileInUse(c), remote.Session{})
		}),
	})
}
