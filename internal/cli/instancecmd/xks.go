package instancecmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newXKSCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "xks", Short: c.T("Let AWS KMS and others use keys that stay here", "让 AWS KMS 等外部系统使用保存在本地的密钥")},
		newXKSCreateCmd(c), newXKSListCmd(c), newXKSShowCmd(c), newXKSPublishCmd(c), newXKSWithdrawCmd(c),
		c.Command(cli.Command{Use: "credential", Short: c.T("Manage the credentials of an offer", "管理密钥库的凭证")}, newXKSCredentialAddCmd(c), newXKSCredentialRemoveCmd(c)),
		newXKSCheckCmd(c), newXKSRemoveCmd(c))
}

func newXKSCreateCmd(c *cli.Run) *cobra.Command {
	issue := &remote.Issue{Run: c}
	var in api.CreateOfferRequest
	cmd := c.Command(cli.Command{
		Use:   "create NAME USER",
		Short: c.T("Make an offer: a key store for others, without keys yet", "创建密钥库：供外部系统使用，初始时不含密钥"),
		Long: c.T(
			`Make an offer: a key store that others reach over the XKS Proxy API, without keys yet. They
act as the user of this account, within that user's policies, and reach only what
"keyward xks publish" publishes. The file of --out is the one that the console of
AWS KMS takes.`,
			`创建密钥库：外部系统通过 XKS Proxy API 访问，初始时不含密钥。外部系统以本账号的用户 USER 的身份
操作，受该用户策略约束，且只能使用 "keyward xks publish" 发布的密钥。--out 写出的文件可直接导入 AWS KMS 控制台。`,
		),
		Example: "  keyward xks create aws aws-kms --out aws.json",
		Run: func(ctx context.Context, args []string) error {
			in.Name, in.User = args[0], args[1]
			return askOffer(issue, func(server *client.Client) (api.OfferCredential, error) { return server.CreateOffer(ctx, in) })
		},
	})
	offerFlags(issue, cmd)
	return cmd
}

func newXKSCredentialAddCmd(c *cli.Run) *cobra.Command {
	issue := &remote.Issue{Run: c}
	cmd := c.Command(cli.Command{
		Use:     "add NAME",
		Short:   c.T("Make a second credential; the first one goes on serving", "创建第二个凭证；第一个继续有效"),
		Example: "  keyward xks credential add aws --out new.json",
		Run: func(ctx context.Context, args []string) error {
			return askOffer(issue, func(server *client.Client) (api.OfferCredential, error) {
				return server.AddOfferCredential(ctx, args[0])
			})
		},
	})
	offerFlags(issue, cmd)
	return cmd
}

func offerFlags(i *remote.Issue, cmd *cobra.Command) {
	cmd.Flags().StringVar(&i.Out, "out", "", i.T("write path and credential to a new `FILE` (0600), as AWS KMS takes it, and do not show the secret",
		"将路径和凭证写入新建的文件 `FILE`（0600，AWS KMS 可导入的格式），不显示密钥值"))
}

// askOffer has the server issue a credential of an offer and delivers it.
func askOffer(i *remote.Issue, act func(server *client.Client) (api.OfferCredential, error)) error {
	server, err := remote.Connect(i.Run)
	if err != nil {
		return err
	}
	if err := i.Open(); err != nil {
		return err
	}
	issued, err := act(server)
	if err != nil {
		return i.Abandon(err)
	}
	path := issued.Offer.Path + "/kms/xks/v1"
	i.Format = func(k remote.Credentials) string {
		type credential struct{ AccessKeyId, RawSecretAccessKey string } //nolint:revive // the console's spelling
		b, err := json.MarshalIndent(struct {
			XksProxyUriPath                  string //nolint:revive
			XksProxyAuthenticationCredential credential
		}{path, credential{k.ID, string(k.Secret)}}, "", "  ")
		if err != nil { // texts always encode
			panic(err)
		}
		return string(b) + "\n"
	}
	return i.Deliver(remote.Credentials{ID: issued.AccessKeyID, Secret: issued.SecretAccessKey}, issued, func(t *cli.Table) { t.Add(i.T("Path", "路径"), path) })
}

func newXKSListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List offers", "列出密钥库"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListOffers(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("OFFER", "密钥库"), c.T("USER", "用户"), c.T("KEYS", "密钥数"), c.T("PATH", "路径"), c.T("CREATED", "创建时间"))
				for _, o := range all.Offers {
					t.Add(o.Name, o.User, fmt.Sprint(len(o.Keys)), o.Path, cli.When(o.CreatedAt))
				}
			})
		}),
	})
}

func newXKSShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show an offer and what it publishes", "显示密钥库及其发布的密钥"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			o, err := server.GetOffer(ctx, args[0])
			if err != nil {
				return err
			}
			return c.Show(o, func(t *cli.Table) { addOffer(c, t, o) })
		}),
	})
}

func addOffer(c *cli.Run, t *cli.Table, o api.Offer) {
	t.Add(c.T("Offer", "密钥库"), o.Name)
	t.Add(c.T("User", "用户"), o.User)
	t.Add(c.T("Path", "路径"), o.Path+"/kms/xks/v1")
	t.Add(c.T("Credentials", "凭证"), cli.OrDash(strings.Join(o.AccessKeys, ", ")))
	t.Add(c.T("Created", "创建时间"), cli.When(o.CreatedAt))
	for _, k := range o.Keys {
		t.Add("  "+k.ID, k.Key+", "+k.Use)
	}
}

func newXKSPublishCmd(c *cli.Run) *cobra.Command {
	var in api.PublishKeyRequest
	cmd := remote.OnServer(c, "publish NAME ID KEY", c.T("Publish a key under an external id, or change for what", "以外部 ID 发布密钥，或更改其用途"), c.T("%s publishes it", "%s 已发布该密钥"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			in.Key = args[2]
			return server.PublishKey(ctx, args[0], args[1], in)
		})
	cmd.Flags().StringVar(&in.Use, "use", "encrypt-decrypt", c.T("for `USE`: encrypt-decrypt, encrypt, decrypt or none", "用途 `USE`：encrypt-decrypt、encrypt、decrypt 或 none"))
	cli.Complete(cmd, "use", "encrypt-decrypt", "encrypt", "decrypt", "none")
	return cmd
}

func newXKSWithdrawCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "withdraw NAME ID", c.T("Publish nothing under an external id any more", "撤回以外部 ID 发布的密钥"), c.T("%s publishes it no more", "%s 已撤回该密钥"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.WithdrawKey(ctx, args[0], args[1])
		})
}

func newXKSCredentialRemoveCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "remove NAME ID", c.T("Refuse a credential from now on", "立即停用凭证"), c.T("%s does not take it any more", "%s 不再接受该凭证"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.RemoveOfferCredential(ctx, args[0], args[1])
		})
}

func newXKSRemoveCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "remove NAME", c.T("Forget an offer; nobody reaches a key through it any more", "移除密钥库；外部系统将无法再通过它使用密钥"),
		c.T("%s is removed; its keys are untouched", "%s 已移除；密钥本身不受影响"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.Confirm(ctx, args[0], c.T(
				"Whoever uses keys through "+args[0]+" cannot decrypt any more, until the same keys are published again.",
				"通过 "+args[0]+" 使用密钥的系统将无法解密，直到重新发布相同的密钥。",
			)); err != nil {
				return nil, err
			}
			return nil, server.RemoveOffer(ctx, args[0])
		})
}
