package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/fault"
)

// mfaCode answers what proves the person's second factor for a request that wants it: a code
// that is typed, or the proof of an approval in a browser; "" where nobody can be asked.
func (c *cli) mfaCode(ctx context.Context, w client.Wanted) (string, error) {
	if code := c.getenv(envCode); code != "" || c.noInput {
		return code, nil
	}
	s, err := c.settings()
	if err != nil {
		return "", err
	}
	server, err := c.clientOf(s, nil)
	if err != nil {
		return "", err
	}
	d := &dialogue{cli: c}
	p, err := server.BeginProof(ctx, w.Request)
	var refusal *client.Error
	switch {
	case errors.As(err, &refusal) && c.interactive: // there is no security key
		fmt.Fprintln(c.err, w.Message)
		code, err := d.ask(ctx, text{"Code", "验证码"})
		return string(code), err
	case errors.As(err, &refusal):
		return "", nil
	case err != nil:
		return "", err
	}
	fmt.Fprintln(c.err, w.Message)
	if p.HasApp && !c.interactive {
		p.HasApp = false // nobody types a code, but somebody may be at a browser
	}
	code, err := d.prove(ctx, s, p)
	return string(code), err
}

// prove answers a code that is typed or, if there is no app or nothing is typed, the proof of
// an approval in a browser, as soon as it was given.
func (d *dialogue) prove(ctx context.Context, s settings, p api.Proof) (api.SecretText, error) {
	if p.HasApp {
		code, err := d.ask(ctx, text{"Code, or nothing to use a security key", "验证码（留空则使用安全密钥）"})
		if err != nil || code != "" {
			return code, err
		}
	}
	d.showPage(p)
	if d.interactive {
		openBrowser(p.URL, d.getenv)
	}
	return p.Proof, d.await(ctx, s, p)
}

// showPage says where a person uses the security key.
func (c *cli) showPage(p api.Proof) {
	c.say("Open this page within three minutes and use your security key:\n  %s\nThe page must show the code %s.",
		"请在三分钟内打开此页面并使用安全密钥：\n  %s\n页面应显示代码 %s。", p.URL, p.Code)
}

// await waits until a person has answered a page.
func (c *cli) await(ctx context.Context, s settings, p api.Proof) error {
	web, err := c.httpClient(s.caCert.value)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		out, err := client.GetProofState(ctx, client.Config{Endpoint: s.endpoint.value, HTTPClient: web}, api.HeldProof{Proof: p.Proof})
		switch {
		case refusedAs(err, fault.ResourceNotFound):
			return &problem{message: c.t("nobody approved it in time; nothing was done", "没有人在有效时间内批准，没有执行任何操作"), next: c.t("enter the command again", "请重新执行命令")}
		case refusedAs(err, fault.Throttled, fault.Unavailable, fault.Sealed): // for the moment
		case err != nil && !errors.As(err, new(*client.Error)) && c.now().Before(p.ExpiresAt): // it may be starting again
		case err != nil:
			return err
		case out.State == api.ProofApproved:
			return nil
		case out.State == api.ProofRefused:
			return &problem{message: c.t("it was refused on the page; nothing was done", "已在页面上拒绝，没有执行任何操作")}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refusedAs tells whether the server refused with one of the kinds.
func refusedAs(err error, kinds ...fault.Kind) bool {
	var refusal *client.Error
	if !errors.As(err, &refusal) {
		return false
	}
	for _, kind := range kinds {
		if refusal.Code == string(kind) {
			return true
		}
	}
	return false
}

// openBrowser tries to open a page; who has no browser here opens it elsewhere. Other users
// of this machine may see its address, with which they could only refuse.
func openBrowser(url string, getenv func(string) string) {
	var cmd *exec.Cmd
	switch {
	case runtime.GOOS == "darwin":
		cmd = exec.Command("open", url)
	case runtime.GOOS == "windows":
		cmd = exec.Command("rundll32", "url.dll,FileProtocolHandler", url)
	case getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != "":
		cmd = exec.Command("xdg-open", url)
	default:
		return
	}
	if cmd.Start() == nil {
		go cmd.Wait() //nolint:errcheck // the address stands on the terminal, too
	}
}

func newMFAAddKeyCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "add-key NAME",
		short: text{"Add a security key as a second factor, in a browser", "在浏览器中添加安全密钥作为第二因素"},
		long: text{
			`Add a security key as a second factor for yourself, who are logged in: a USB key, or what is
built into your computer or telephone. The command prints the address of a page of the server;
open it, compare the code and use the security key, which must ask for a PIN, a finger or a
face. A person has at most eight, beside an authenticator app; who has a second factor already
is asked to prove it first. With the first one you get recovery codes.`,
			`为自己（已登录）添加安全密钥作为第二因素：USB 安全密钥，或电脑、手机内置的验证器。
命令会显示服务器页面的地址；打开页面，核对代码并使用安全密钥（须验证 PIN、指纹或面容）。
每人最多八个，另可使用一个身份验证器应用；已有第二因素时须先完成验证。
添加首个第二因素时会得到恢复码。`,
		},
		example: "  keyward user mfa add-key blue",
		secrets: true,
		run: func(ctx context.Context, args []string) error {
			s, err := c.settings()
			if err != nil {
				return err
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			p, err := server.AddSecurityKey(ctx, api.AddSecurityKeyRequest{Name: args[0]})
			if err != nil {
				return err
			}
			c.showPage(p) // and do not open it: who sees the address first could register another key
			if err := c.await(ctx, s, p); err != nil {
				return err
			}
			all, err := server.ConfirmSecurityKey(ctx, api.HeldProof{Proof: p.Proof})
			if err != nil {
				return err
			}
			c.say("%s is a second factor from now on", "%s 已成为第二因素", args[0])
			return c.showRecovery(all)
		},
	})
}

func newMFAListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List your own second factors", "列出自己的第二因素"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.GetMFA(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("NAME", "名称"), c.t("KIND", "类型"), c.t("ADDED", "添加时间"), c.t("LAST USED", "最近使用"), c.t("HOST", "主机"))
				for _, f := range all.Factors {
					t.add(f.Name, c.factorKind(f), when(f.AddedAt), when(f.UsedAt), orDash(f.Host))
				}
			})
		},
	})
}

// factorKind says what a second factor is, and that there may be more of it than one.
func (c *cli) factorKind(f api.Factor) string {
	switch {
	case f.Kind == api.AuthenticatorApp:
		return c.t("authenticator app", "身份验证器应用")
	case f.BackedUp:
		return c.t("security key, backed up", "安全密钥（已备份）")
	}
	return c.t("security key", "安全密钥")
}

func newMFARemoveCmd(c *cli) *cobra.Command {
	var in api.RemoveMFARequest
	cmd := c.command(command{
		use:   "remove USER",
		short: text{"Take second factors from a user, and end the user's sessions", "移除用户的第二因素，并结束其会话"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			warning := text{"The user then logs in with the password alone.", "此后该用户仅凭密码即可登录。"}
			if in.Factor != "" {
				warning = text{"If it is the last one, the user then logs in with the password alone.", "若这是最后一个，此后该用户仅凭密码即可登录。"}
			}
			if err := c.confirm(ctx, args[0], warning); err != nil {
				return err
			}
			if err := server.RemoveUserMFA(ctx, args[0], in); err != nil {
				return err
			}
			if in.Factor != "" {
				c.say("%s has no second factor %s any more", "%s 已无第二因素 %s", args[0], in.Factor)
			} else {
				c.say("%s has no second factor any more", "%s 已无多因素验证", args[0])
			}
			return c.jsonOnly(map[string]any{"user": args[0]})
		},
	})
	cmd.Flags().StringVar(&in.Factor, "factor", "", c.t("only this one: `NAME` of a security key, or app", "仅移除此项：安全密钥名称 `NAME`，或 app"))
	return cmd
}
