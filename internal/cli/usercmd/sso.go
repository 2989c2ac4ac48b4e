package usercmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newSSOCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "sso", Short: c.T("Manage where people log in with their company's accounts (OpenID Connect)", "管理企业账号单点登录（OpenID Connect 身份提供商）")},
		newSSOAddCmd(c), newSSOListCmd(c), newSSOShowCmd(c), newSSOLinkCmd(c),
		remote.OnServer(c, "unlink PROVIDER USER", c.T("Let a user log in there no more, and end the sessions that were begun so", "取消用户与身份提供商的关联，并结束由此建立的会话"), c.T("nobody logs in at %s as that user any more", "该用户已不能通过 %s 登录"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.UnlinkUser(ctx, args[0], args[1])
			}),
		remote.OnServer(c, "remove PROVIDER", c.T("Remove an identity provider and its links, and end the sessions that were begun there", "删除身份提供商及其全部关联，并结束由此建立的会话"), c.T("the identity provider %s is removed", "身份提供商 %s 已删除"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				if err := c.Confirm(ctx, args[0], c.T("Nobody logs in there any more, and all of its links are gone for good.", "此后无人能通过它登录，其全部关联将被永久删除。")); err != nil {
					return nil, err
				}
				return nil, server.DeleteIdentityProvider(ctx, args[0])
			}))
}

func newSSOAddCmd(c *cli.Run) *cobra.Command {
	var in api.CreateIdentityProviderRequest
	secret := ""
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "add PROVIDER",
		Short: c.T("Let users log in at an OpenID Connect provider, as soon as they are linked", "添加 OpenID Connect 身份提供商；用户关联后即可登录"),
		Long: c.T(
			`Let users log in at an OpenID Connect provider, as soon as they are linked ("keyward sso
link"). At the provider, keyward is a native or public client; it comes back to
http://127.0.0.1:PORT/callback with any port (RFC 8252), and uses PKCE.

Users are linked by the value of a claim of the ID token: sub, which no provider gives to
another person, unless --claim says otherwise. --trust-mfa has keyward believe the provider
about a second factor: amr if the claim amr names mfa, acr=VALUE if acr has that value.`,
			`添加 OpenID Connect 身份提供商；用户经 "keyward sso link" 关联后即可登录。
在身份提供商处将 keyward 注册为原生（公共）客户端，回调地址为 http://127.0.0.1:端口/callback，
端口不限（RFC 8252），并使用 PKCE。

用户按 ID 令牌中某个声明的值关联：默认为 sub，身份提供商不会将其分配给他人；--claim 可指定其他声明。
--trust-mfa 表示采信身份提供商的多因素验证结果：amr 要求声明 amr 含有 mfa，acr=VALUE 要求 acr 等于该值。`,
		),
		Example: "  keyward sso add corp --issuer https://id.example.com --client-id keyward",
		Secrets: true,
		Run: func(ctx context.Context, args []string) error {
			if in.Issuer == "" || in.ClientID == "" {
				return c.Usage(cmd, "--issuer and --client-id must be given", "缺少 --issuer 或 --client-id")
			}
			if secret != "" {
				content, err := c.ReadDocument(ctx, secret)
				if err != nil {
					return err
				}
				in.ClientSecret = api.SecretText(strings.TrimRight(content, "\r\n"))
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			in.Name = args[0]
			p, err := server.CreateIdentityProvider(ctx, in)
			if err != nil {
				return err
			}
			return showIdentityProvider(c, p)
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.Issuer, "issuer", "", c.T("`URL` of the provider, as it calls itself", "身份提供商的 `URL`，须与其自称的 issuer 完全一致"))
	f.StringVar(&in.ClientID, "client-id", "", c.T("`ID` as which the provider knows keyward", "keyward 在身份提供商处的客户端 `ID`"))
	f.StringVar(&secret, "client-secret-file", "", c.T("read the client's secret, if it has one, from `FILE`; - for standard input", "从 `FILE` 读取客户端密钥（如有）；- 表示标准输入"))
	f.StringVar(&in.Claim, "claim", "sub", c.T("`CLAIM` by whose value users are linked", "用于关联用户的声明 `CLAIM`"))
	f.StringVar(&in.MFA, "trust-mfa", "", c.T("believe the provider about a second factor by `WHAT`: amr or acr=VALUE", "采信身份提供商的多因素验证，依据 `WHAT`：amr 或 acr=VALUE"))
	return cmd
}

func showIdentityProvider(c *cli.Run, p api.IdentityProvider) error {
	return c.Show(p, func(t *cli.Table) {
		t.Add(c.T("Identity provider", "身份提供商"), p.Name)
		t.Add("ARN", p.ARN)
		t.Add(c.T("Issuer", "颁发者"), p.Issuer)
		t.Add(c.T("Client id", "客户端 ID"), p.ClientID)
		t.Add(c.T("Client secret", "客户端密钥"), c.YesNo(!p.Public))
		t.Add(c.T("Claim", "声明"), p.Claim)
		t.Add(c.T("Second factor believed by", "采信多因素验证的依据"), cli.OrDash(p.MFA))
		t.Add(c.T("Created", "创建时间"), cli.When(p.CreatedAt))
		for _, l := range p.Links {
			t.Add(c.T("Link", "关联"), fmt.Sprintf(c.T("%s is %s", "%s：%s"), l.User, l.Value))
		}
	})
}

func newSSOListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List identity providers", "列出身份提供商"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListIdentityProviders(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("PROVIDER", "身份提供商"), c.T("ISSUER", "颁发者"), c.T("CLIENT ID", "客户端 ID"), c.T("CLAIM", "声明"), c.T("CREATED", "创建时间"))
				for _, p := range all.Providers {
					t.Add(p.Name, p.Issuer, p.ClientID, p.Claim, cli.When(p.CreatedAt))
				}
			})
		}),
	})
}

func newSSOShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show PROVIDER",
		Short: c.T("Show an identity provider and who is linked there", "显示身份提供商及其关联的用户"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			p, err := server.GetIdentityProvider(ctx, args[0])
			if err != nil {
				return err
			}
			return showIdentityProvider(c, p)
		}),
	})
}

func newSSOLinkCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "link PROVIDER USER VALUE",
		Short: c.T("Say what an identity provider calls a user, who can log in there from now on", "将用户与其在身份提供商处的标识关联，此后即可登录"),
		Long: c.T(
			`Say what an identity provider calls a user, who can log in there from now on. VALUE is that
of the provider's claim, to the letter. Somebody whom nobody is linked with tries to log in
first: the audit log then has the value (keyward audit list --action keyward:Login).`,
			`将用户与其在身份提供商处的标识关联，此后即可登录。VALUE 为该身份提供商所用声明的值，须完全一致。
若不知道该值，可让本人先尝试登录一次，再从审计日志中查看（keyward audit list --action keyward:Login）。`,
		),
		Example: "  keyward sso link corp alice 00u1a2b3c4",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			l, err := server.LinkUser(ctx, args[0], args[1], api.LinkUserRequest{Value: args[2]})
			if err != nil {
				return err
			}
			c.Say("%s logs in at %s with: keyward login --sso %s", "%s 可通过 %s 登录：keyward login --sso %s", l.User, args[0], args[0])
			return c.ShowJSON(l)
		}),
	})
}
