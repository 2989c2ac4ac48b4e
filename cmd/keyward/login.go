package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/durable"
	"github.com/keyward/keyward/internal/fault"
)

// A login is a session that "keyward login" began, one table of sessions.toml.
type login struct {
	Endpoint        string    `toml:"endpoint"`
	AccessKeyID     string    `toml:"access_key_id"`
	AccessKeySecret string    `toml:"access_key_secret"`
	SecurityToken   string    `toml:"security_token"`
	ExpiresAt       time.Time `toml:"expires_at"`
}

const loginCommand = "keyward login"

// readLogins answers the sessions by the names of their profiles.
func (c *cli) readLogins() (map[string]login, error) {
	all := map[string]login{}
	path := c.homeFile("sessions.toml")
	content, err := c.readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := toml.Decode(string(content), &all); err != nil {
		return nil, &problem{
			message: fmt.Sprintf(c.t("the file of sessions %s cannot be used", "会话文件 %s 无法使用"), path),
			next:    c.t("remove it and log in again", "请删除该文件并重新登录"),
		}
	}
	return all, nil
}

// saveLogin keeps the session of a profile, or forgets it if it is zero, and those that have
// expired.
func (c *cli) saveLogin(profile string, in login) error {
	all, err := c.readLogins()
	if err != nil {
		return err
	}
	all[profile] = in
	for name, one := range all {
		if !time.Now().Before(one.ExpiresAt) {
			delete(all, name)
		}
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(all); err != nil {
		return fmt.Errorf("writing the file of sessions: %w", err)
	}
	path := c.homeFile("sessions.toml")
	if path == "" {
		return &problem{message: c.t("it is not known where your home directory is", "无法确定您的主目录"), next: c.t("set HOME, or give --out FILE", "请设置 HOME，或使用 --out FILE")}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing the file of sessions: %w", err)
	}
	return durable.Replace(path, b.Bytes())
}

// A dialogue asks for what must not be seen: on a terminal without showing it, otherwise
// line by line from standard input.
type dialogue struct {
	*cli
	lines *bufio.Reader
}

func (d *dialogue) ask(ctx context.Context, prompt text) (api.SecretText, error) {
	if d.interactive && d.noInput {
		return "", &problem{message: d.t("a password or code is needed and nobody may be asked", "需要输入密码或验证码，但当前无法提问"), next: d.t("give it on standard input", "请通过标准输入提供")}
	}
	if d.interactive {
		fmt.Fprint(d.err, prompt.in(d.lang)+d.t(": ", "："))
		line, err := d.readPassword(ctx)
		fmt.Fprintln(d.err)
		return api.SecretText(line), err
	}
	if d.lines == nil {
		d.lines = bufio.NewReader(interruptible(ctx, d.in))
	}
	line, err := d.lines.ReadString('\n')
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return "", &problem{message: fmt.Sprintf(d.t("standard input has no line for: %s", "标准输入中缺少：%s"), prompt.in(d.lang)), cause: err}
	}
	return api.SecretText(bytes.TrimRight([]byte(line), "\r\n")), nil
}

// askNew asks for a new password, twice where it can be mistyped unseen.
func (d *dialogue) askNew(ctx context.Context) (api.SecretText, error) {
	first, err := d.ask(ctx, text{"New password (12 characters or more)", "新密码（至少 12 个字符）"})
	if err != nil || !d.interactive {
		return first, err
	}
	second, err := d.ask(ctx, text{"New password, once more", "再次输入新密码"})
	if err == nil && first != second {
		err = &problem{message: d.t("the two passwords differ; nothing was changed", "两次输入的密码不同，没有做任何更改")}
	}
	return first, err
}

// logIn asks for what the server wants to know until it answers.
func (d *dialogue) logIn(ctx context.Context, s settings, in api.LoginRequest) (api.TemporaryCredentials, error) {
	web, err := d.httpClient(s.caCert.value)
	if err != nil {
		return api.TemporaryCredentials{}, err
	}
	server := client.Config{Endpoint: s.endpoint.value, HTTPClient: web, Language: string(d.lang)}
	for {
		issued, err := client.Login(ctx, server, in)
		var refusal *client.Error
		switch errors.As(err, &refusal); {
		case refusal != nil && refusal.Code == string(fault.PasswordChangeRequired) && in.NewPassword == "":
			d.say("The password is an initial one; choose a new one.", "这是初始密码，请设置新密码。")
			in.NewPassword, err = d.askNew(ctx)
		case refusal != nil && refusal.Code == string(fault.MFARequired) && in.Code == "":
			in.Code, err = d.second(ctx, s, server, in)
		default:
			return issued, err
		}
		if err != nil {
			return api.TemporaryCredentials{}, err
		}
	}
}

// second answers what proves the second factor of a login.
func (d *dialogue) second(ctx context.Context, s settings, server client.Config, in api.LoginRequest) (api.SecretText, error) {
	if d.noInput {
		return d.ask(ctx, text{"Code", "验证码"})
	}
	p, err := client.BeginLoginProof(ctx, server, api.LoginRequest{Account: in.Account, User: in.User, Password: in.Password})
	if refusedAs(err, fault.StateConflict, fault.UnsupportedOperation, fault.ActionNotFound) { // there is no security key
		return d.ask(ctx, text{"Code", "验证码"})
	}
	if err != nil {
		return "", err
	}
	return d.prove(ctx, s, p)
}

func newLoginCmd(c *cli) *cobra.Command {
	in, duration := api.LoginRequest{}, time.Hour
	i, sso := &issue{cli: c}, &ssoFlags{}
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "login [USER]",
		short: text{"Log in as a person, with a password and a second factor, or with --sso", "以个人身份登录（密码与多因素验证，或 --sso 单点登录）"},
		long: text{
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
		},
		example: "  keyward login alice --duration 8h\n  keyward login --sso corp",
		secrets: true,
		run: func(ctx context.Context, args []string) error {
			in.User, in.DurationSeconds = strings.Join(args, ""), int(duration.Seconds())
			if sso.on {
				return c.login(i, func(d *dialogue, s settings) (api.TemporaryCredentials, error) { return sso.logIn(ctx, d, s, in) })
			}
			if in.User == "" {
				return c.usage(cmd, "the argument USER is missing", "缺少参数 USER")
			}
			return c.login(i, func(d *dialogue, s settings) (out api.TemporaryCredentials, err error) {
				if in.Password, err = d.ask(ctx, text{"Password", "密码"}); err != nil {
					return out, err
				}
				return d.logIn(ctx, s, in)
			})
		},
	})
	cmd.Flags().StringVar(&in.Account, "account", "", c.t("id or name of the `ACCOUNT`, if the server has several", "账号 `ACCOUNT` 的 ID 或名称（服务器有多个账号时需要）"))
	cmd.Flags().DurationVar(&duration, "duration", time.Hour, c.t("`DURATION` of the session, 15m to 12h", "会话时长 `DURATION`，15m 至 12h"))
	sso.flags(c, cmd)
	i.flags(cmd)
	return cmd
}

// login logs in and keeps the session.
func (c *cli) login(i *issue, logIn func(*dialogue, settings) (api.TemporaryCredentials, error)) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	if err := i.open(); err != nil {
		return err
	}
	issued, err := logIn(&dialogue{cli: c}, s)
	if err != nil {
		return i.abandon(err)
	}
	if i.file != nil {
		return i.deliver(credentials{issued.AccessKeyID, issued.Secret, issued.SecurityToken}, nil, nil)
	}
	if err := c.saveLogin(c.profileInUse(), login{s.endpoint.value, issued.AccessKeyID, string(issued.Secret), string(issued.SecurityToken), issued.ExpiresAt}); err != nil {
		return err
	}
	if s.keyID.value != "" && s.keyID.from != loginCommand {
		c.say("Note: an access key of %s comes before this session; take it away to act as yourself.", "注意：来自 %s 的访问密钥优先于此会话，请先移除它。", s.keyID.from)
	}
	c.say("%s is logged in until %s", "%s 已登录，有效期至 %s", issued.ARN, when(issued.ExpiresAt))
	return c.jsonOnly(struct {
		ARN       string    `json:"arn"`
		ExpiresAt time.Time `json:"expiresAt"`
	}{issued.ARN, issued.ExpiresAt})
}

func newLogoutCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "logout",
		short: text{"End the session that keyward login began", "结束 keyward login 建立的会话"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			err = server.Logout(ctx)
			var refusal *client.Error
			if err != nil && (!errors.As(err, &refusal) || refusal.Code != string(fault.SecurityTokenInvalid)) {
				return err
			}
			c.say("the session has ended", "会话已结束")
			return c.saveLogin(c.profileInUse(), login{})
		},
	})
}
