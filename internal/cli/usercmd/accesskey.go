package usercmd

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newUserAccessKeyCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "accesskey", Short: c.T("Manage the access keys of users of keyward", "管理 keyward 用户的访问密钥")},
		newAccessKeyCreateCmd(c), newAccessKeyListCmd(c), newAccessKeyShowCmd(c),
		updateAccessKey(c, "enable ID", c.T("Allow an access key to be used", "启用访问密钥"), c.T("%s is enabled", "%s 已启用"),
			func([]string) api.UpdateAccessKeyRequest { return api.UpdateAccessKeyRequest{Enabled: new(true)} }),
		updateAccessKey(c, "disable ID", c.T("Refuse an access key, from the next request on", "禁用访问密钥，从下一个请求起生效"), c.T("%s is disabled", "%s 已禁用"),
			func([]string) api.UpdateAccessKeyRequest { return api.UpdateAccessKeyRequest{Enabled: new(false)} }),
		updateAccessKey(c, "remark ID TEXT", c.T("Set the remark of an access key", "设置访问密钥的备注"), c.T("the remark of %s is set", "%s 的备注已设置"),
			func(args []string) api.UpdateAccessKeyRequest { return api.UpdateAccessKeyRequest{Remark: &args[1]} }),
		newAccessKeyExpireCmd(c), newAccessKeyResetCmd(c), newAccessKeyDeleteCmd(c))
}

// updateAccessKey builds a command that changes one property of an access key.
func updateAccessKey(c *cli.Run, use string, short, done string, change func(args []string) api.UpdateAccessKeyRequest) *cobra.Command {
	return remote.OnServer(c, use, short, done, func(ctx context.Context, server *client.Client, args []string) (any, error) {
		return server.UpdateAccessKey(ctx, args[0], change(args))
	})
}

func newAccessKeyCreateCmd(c *cli.Run) *cobra.Command {
	var in api.CreateAccessKeyRequest
	issue := &remote.Issue{Run: c}
	cmd := c.Command(cli.Command{
		Use:     "create USER",
		Short:   c.T("Create an access key for a user, at most two", "为用户创建访问密钥，最多两个"),
		Example: "  keyward user accesskey create ci --expires 90d --out ci.env",
		Run: func(ctx context.Context, args []string) error {
			return ask(issue, func(server *client.Client) (api.IssuedAccessKey, error) {
				return server.CreateAccessKey(ctx, args[0], in)
			})
		},
	})
	cmd.Flags().StringVar(&in.Remark, "remark", "", c.T("`TEXT` for people", "供人阅读的备注 `TEXT`"))
	cmd.Flags().Var(cli.Ahead(&in.ExpiresAt, c.Now), "expires", c.T("refuse it from `TIME` on: a date, a time or 90d", "从 `TIME` 起拒绝：日期、时间或 90d"))
	issue.Flags(cmd)
	return cmd
}

// ask has the server issue an access key and delivers it.
func ask(i *remote.Issue, act func(server *client.Client) (api.IssuedAccessKey, error)) error {
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
	return i.Deliver(remote.Credentials{ID: issued.AccessKey.ID, Secret: issued.Secret}, issued, func(t *cli.Table) { t.Add(i.T("User", "用户"), issued.AccessKey.User) })
}

func newAccessKeyListCmd(c *cli.Run) *cobra.Command {
	var in api.ListAccessKeysRequest
	cmd := c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List access keys and their last use", "列出访问密钥及其最近使用情况"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all := api.AccessKeyList{AccessKeys: []api.AccessKey{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListAccessKeys(ctx, in)
				all.AccessKeys = append(all.AccessKeys, page.AccessKeys...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("ACCESS KEY", "访问密钥"), c.T("USER", "用户"), c.T("ENABLED", "启用"), c.T("EXPIRES", "过期时间"),
					c.T("LAST USED", "最近使用"), c.T("FROM", "来源"), c.T("ACTION", "操作"), c.T("REMARK", "备注"))
				for _, k := range all.AccessKeys {
					use := lastUse(k)
					t.Add(k.ID, k.User, c.YesNo(k.Enabled), cli.When(k.ExpiresAt), cli.When(use.At), cli.OrDash(use.Source), cli.OrDash(use.Action), k.Remark)
				}
			})
		}),
	})
	cmd.Flags().StringVar(&in.User, "user", "", c.T("only of this `USER`", "只列出此用户 `USER` 的"))
	return cmd
}

func lastUse(k api.AccessKey) api.LastUse {
	if k.LastUse == nil {
		return api.LastUse{}
	}
	return *k.LastUse
}

func newAccessKeyShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show ID",
		Short: c.T("Show an access key and its last use", "显示访问密钥及其最近使用情况"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			k, err := server.GetAccessKey(ctx, args[0])
			if err != nil {
				return err
			}
			return c.Show(k, func(t *cli.Table) {
				use := lastUse(k)
				t.Add(c.T("Access key", "访问密钥"), k.ID)
				t.Add(c.T("User", "用户"), k.User)
				t.Add(c.T("Enabled", "启用"), c.YesNo(k.Enabled))
				t.Add(c.T("Remark", "备注"), cli.OrDash(k.Remark))
				t.Add(c.T("Created", "创建时间"), cli.When(k.CreatedAt))
				t.Add(c.T("Reset", "重置时间"), cli.When(k.ResetAt))
				t.Add(c.T("Expires", "过期时间"), cli.When(k.ExpiresAt))
				t.Add(c.T("Last used", "最近使用"), cli.When(use.At))
				t.Add(c.T("From", "来源"), cli.OrDash(use.Source))
				t.Add(c.T("Action", "操作"), cli.OrDash(use.Action))
			})
		}),
	})
}

func newAccessKeyExpireCmd(c *cli.Run) *cobra.Command {
	var at time.Time
	var never bool
	var cmd *cobra.Command
	cmd = remote.OnServer(c, "expire ID", c.T("Set from when on an access key is refused", "设置访问密钥的过期时间"), c.T("the expiry of %s is set", "%s 的过期时间已设置"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if never == !at.IsZero() {
				return nil, c.Usage(cmd, "give --at or --never", "请给出 --at 或 --never 之一")
			}
			in := api.UpdateAccessKeyRequest{NeverExpires: never}
			if !never {
				in.ExpiresAt = &at
			}
			return server.UpdateAccessKey(ctx, args[0], in)
		})
	cmd.Flags().Var(cli.Ahead(&at, c.Now), "at", c.T("refuse it from `TIME` on: a date, a time or 90d", "从 `TIME` 起拒绝：日期、时间或 90d"))
	cmd.Flags().BoolVar(&never, "never", false, c.T("remove the expiry", "取消过期时间"))
	return cmd
}

func newAccessKeyResetCmd(c *cli.Run) *cobra.Command {
	issue := &remote.Issue{Run: c}
	cmd := c.Command(cli.Command{
		Use:   "reset ID",
		Short: c.T("Replace the secret of an access key; the old one is refused at once", "重置访问密钥的密钥值，旧值立即失效"),
		Run: func(ctx context.Context, args []string) error {
			if err := c.Confirm(ctx, args[0], c.T("Programs that use the old secret are refused at once.", "使用旧密钥值的程序会立即被拒绝。")); err != nil {
				return err
			}
			return ask(issue, func(server *client.Client) (api.IssuedAccessKey, error) { return server.ResetAccessKey(ctx, args[0]) })
		},
	})
	issue.Flags(cmd)
	return cmd
}

func newAccessKeyDeleteCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "delete ID", c.T("Delete an access key", "删除访问密钥"), c.T("%s is deleted", "%s 已删除"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.Confirm(ctx, args[0], c.T("The access key is deleted for good.", "访问密钥将被永久删除。")); err != nil {
				return nil, err
			}
			return nil, server.DeleteAccessKey(ctx, args[0])
		})
}
