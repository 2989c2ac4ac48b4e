package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func newXKSCmd(c *cli) *cobra.Command {
	return c.command(command{use: "xks", short: text{"Let AWS KMS and others use keys that stay here", "让 AWS KMS 等外部系统使用保存在本地的密钥"}},
		newXKSCreateCmd(c), newXKSListCmd(c), newXKSShowCmd(c), newXKSPublishCmd(c), newXKSWithdrawCmd(c),
		c.command(command{use: "credential", short: text{"Manage the credentials of an offer", "管理密钥库的凭证"}}, newXKSCredentialAddCmd(c), newXKSCredentialRemoveCmd(c)),
		newXKSCheckCmd(c), newXKSRemoveCmd(c))
}

func newXKSCreateCmd(c *cli) *cobra.Command {
	issue := &issue{cli: c}
	var in api.CreateOfferRequest
	cmd := c.command(command{
		use:   "create NAME USER",
		short: text{"Make an offer: a key store for others, without keys yet", "创建密钥库：供外部系统使用，初始时不含密钥"},
		long: text{
			`Make an offer: a key store that others reach over the XKS Proxy API, without keys yet. They
act as the user of this account, within that user's policies, and reach only what
"keyward xks publish" publishes. The file of --out is the one that the console of
AWS KMS takes.`,
			`创建密钥库：外部系统通过 XKS Proxy API 访问，初始时不含密钥。外部系统以本账号的用户 USER 的身份
操作，受该用户策略约束，且只能使用 "keyward xks publish" 发布的密钥。--out 写出的文件可直接导入 AWS KMS 控制台。`,
		},
		example: "  keyward xks create aws aws-kms --out aws.json",
		run: func(ctx context.Context, args []string) error {
			in.Name, in.User = args[0], args[1]
			return issue.askOffer(func(server *client.Client) (api.OfferCredential, error) { return server.CreateOffer(ctx, in) })
		},
	})
	issue.offerFlags(cmd)
	return cmd
}

func newXKSCredentialAddCmd(c *cli) *cobra.Command {
	issue := &issue{cli: c}
	cmd := c.command(command{
		use:     "add NAME",
		short:   text{"Make a second credential; the first one goes on serving", "创建第二个凭证；第一个继续有效"},
		example: "  keyward xks credential add aws --out new.json",
		run: func(ctx context.Context, args []string) error {
			return issue.askOffer(func(server *client.Client) (api.OfferCredential, error) {
				return server.AddOfferCredential(ctx, args[0])
			})
		},
	})
	issue.offerFlags(cmd)
	return cmd
}

func (i *issue) offerFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&i.out, "out", "", i.t("write path and credential to a new `FILE` (0600), as AWS KMS takes it, and do not show the secret",
		"将路径和凭证写入新建的文件 `FILE`（0600，AWS KMS 可导入的格式），不显示密钥值"))
}

// askOffer has the server issue a credential of an offer and delivers it.
func (i *issue) askOffer(act func(server *client.Client) (api.OfferCredential, error)) error {
	server, err := i.connect()
	if err != nil {
		return err
	}
	if err := i.open(); err != nil {
		return err
	}
	issued, err := act(server)
	if err != nil {
		return i.abandon(err)
	}
	path := issued.Offer.Path + "/kms/xks/v1"
	i.format = func(k credentials) string {
		type credential struct{ AccessKeyId, RawSecretAccessKey string } //nolint:revive // the console's spelling
		b, err := json.MarshalIndent(struct {
			XksProxyUriPath                  string //nolint:revive
			XksProxyAuthenticationCredential credential
		}{path, credential{k.id, string(k.secret)}}, "", "  ")
		if err != nil { // texts always encode
			panic(err)
		}
		return string(b) + "\n"
	}
	return i.deliver(credentials{id: issued.AccessKeyID, secret: issued.SecretAccessKey}, issued, func(t *table) { t.add(i.t("Path", "路径"), path) })
}

func newXKSListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List offers", "列出密钥库"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListOffers(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("OFFER", "密钥库"), c.t("USER", "用户"), c.t("KEYS", "密钥数"), c.t("PATH", "路径"), c.t("CREATED", "创建时间"))
				for _, o := range all.Offers {
					t.add(o.Name, o.User, fmt.Sprint(len(o.Keys)), o.Path, when(o.CreatedAt))
				}
			})
		},
	})
}

func newXKSShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show NAME",
		short: text{"Show an offer and what it publishes", "显示密钥库及其发布的密钥"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			o, err := server.GetOffer(ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(o, func(t *table) { c.addOffer(t, o) })
		},
	})
}

func (c *cli) addOffer(t *table, o api.Offer) {
	t.add(c.t("Offer", "密钥库"), o.Name)
	t.add(c.t("User", "用户"), o.User)
	t.add(c.t("Path", "路径"), o.Path+"/kms/xks/v1")
	t.add(c.t("Credentials", "凭证"), orDash(strings.Join(o.AccessKeys, ", ")))
	t.add(c.t("Created", "创建时间"), when(o.CreatedAt))
	for _, k := range o.Keys {
		t.add("  "+k.ID, k.Key+", "+k.Use)
	}
}

func newXKSPublishCmd(c *cli) *cobra.Command {
	var in api.PublishKeyRequest
	cmd := c.onServer("publish NAME ID KEY", text{"Publish a key under an external id, or change for what", "以外部 ID 发布密钥，或更改其用途"}, text{"%s publishes it", "%s 已发布该密钥"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			in.Key = args[2]
			return server.PublishKey(ctx, args[0], args[1], in)
		})
	cmd.Flags().StringVar(&in.Use, "use", "encrypt-decrypt", c.t("for `USE`: encrypt-decrypt, encrypt, decrypt or none", "用途 `USE`：encrypt-decrypt、encrypt、decrypt 或 none"))
	complete(cmd, "use", "encrypt-decrypt", "encrypt", "decrypt", "none")
	return cmd
}

func newXKSWithdrawCmd(c *cli) *cobra.Command {
	return c.onServer("withdraw NAME ID", text{"Publish nothing under an external id any more", "撤回以外部 ID 发布的密钥"}, text{"%s publishes it no more", "%s 已撤回该密钥"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.WithdrawKey(ctx, args[0], args[1])
		})
}

func newXKSCredentialRemoveCmd(c *cli) *cobra.Command {
	return c.onServer("remove NAME ID", text{"Refuse a credential from now on", "立即停用凭证"}, text{"%s does not take it any more", "%s 不再接受该凭证"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.RemoveOfferCredential(ctx, args[0], args[1])
		})
}

func newXKSRemoveCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "remove NAME",
		short: text{"Forget an offer; nobody reaches a key through it any more", "移除密钥库；外部系统将无法再通过它使用密钥"},
		run: func(ctx context.Context, args []string) error {
			if err := c.confirm(ctx, args[0], text{
				"Whoever uses keys through " + args[0] + " cannot decrypt any more, until the same keys are published again.",
				"通过 " + args[0] + " 使用密钥的系统将无法解密，直到重新发布相同的密钥。",
			}); err != nil {
				return err
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			if err := server.RemoveOffer(ctx, args[0]); err != nil {
				return err
			}
			c.say("%s is removed; its keys are untouched", "%s 已移除；密钥本身不受影响", args[0])
			return c.jsonOnly(map[string]any{"name": args[0]})
		},
	})
}
