package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func newUserAccessKeyCmd(c *cli) *cobra.Command {
	return c.command(command{use: "accesskey", short: text{"Manage the access keys of users of keyward", "管理 keyward 用户的访问密钥"}},
		newAccessKeyCreateCmd(c), newAccessKeyListCmd(c), newAccessKeyShowCmd(c),
		c.updateAccessKey("enable ID", text{"Allow an access key to be used", "启用访问密钥"}, text{"%s is enabled", "%s 已启用"},
			func([]string) api.UpdateAccessKeyRequest { return api.UpdateAccessKeyRequest{Enabled: ptr(true)} }),
		c.updateAccessKey("disable ID", text{"Refuse an access key, from the next request on", "禁用访问密钥，从下一个请求起生效"}, text{"%s is disabled", "%s 已禁用"},
			func([]string) api.UpdateAccessKeyRequest { return api.UpdateAccessKeyRequest{Enabled: ptr(false)} }),
		c.updateAccessKey("remark ID TEXT", text{"Set the remark of an access key", "设置访问密钥的备注"}, text{"the remark of %s is set", "%s 的备注已设置"},
			func(args []string) api.UpdateAccessKeyRequest { return api.UpdateAccessKeyRequest{Remark: &args[1]} }),
		newAccessKeyExpireCmd(c), newAccessKeyResetCmd(c), newAccessKeyDeleteCmd(c))
}

func ptr[T any](v T) *T { return &v }

// updateAccessKey builds a command that changes one property of an access key.
func (c *cli) updateAccessKey(use string, short, done text, change func(args []string) api.UpdateAccessKeyRequest) *cobra.Command {
	return c.onServer(use, short, done, func(ctx context.Context, server *client.Client, args []string) (any, error) {
		return server.UpdateAccessKey(ctx, args[0], change(args))
	})
}

func newAccessKeyCreateCmd(c *cli) *cobra.Command {
	var in api.CreateAccessKeyRequest
	issue := &issue{cli: c}
	cmd := c.command(command{
		use:     "create USER",
		short:   text{"Create an access key for a user, at most two", "为用户创建访问密钥，最多两个"},
		example: "  keyward user accesskey create ci --expires 90d --out ci.env",
		run: func(ctx context.Context, args []string) error {
			return issue.ask(func(server *client.Client) (api.IssuedAccessKey, error) {
				return server.CreateAccessKey(ctx, args[0], in)
			})
		},
	})
	cmd.Flags().StringVar(&in.Remark, "remark", "", c.t("`TEXT` for people", "供人阅读的备注 `TEXT`"))
	cmd.Flags().Var(moment{&in.ExpiresAt, time.Now, 1}, "expires", c.t("refuse it from `TIME` on: a date, a time or 90d", "从 `TIME` 起拒绝：日期、时间或 90d"))
	issue.flags(cmd)
	return cmd
}

// ask has the server issue an access key and delivers it.
func (i *issue) ask(act func(server *client.Client) (api.IssuedAccessKey, error)) error {
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
	return i.deliver(credentials{id: issued.AccessKey.ID, secret: issued.Secret}, issued, func(t *table) { t.add(i.t("User", "用户"), issued.AccessKey.User) })
}

func newAccessKeyListCmd(c *cli) *cobra.Command {
	var in api.ListAccessKeysRequest
	cmd := c.command(command{
		use:   "list",
		short: text{"List access keys and their last use", "列出访问密钥及其最近使用情况"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all := api.AccessKeyList{AccessKeys: []api.AccessKey{}}
			if err := pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListAccessKeys(ctx, in)
				all.AccessKeys = append(all.AccessKeys, page.AccessKeys...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("ACCESS KEY", "访问密钥"), c.t("USER", "用户"), c.t("ENABLED", "启用"), c.t("EXPIRES", "过期时间"),
					c.t("LAST USED", "最近使用"), c.t("FROM", "来源"), c.t("ACTION", "操作"), c.t("REMARK", "备注"))
				for _, k := range all.AccessKeys {
					use := lastUse(k)
					t.add(k.ID, k.User, c.yesNo(k.Enabled), when(k.ExpiresAt), when(use.At), orDash(use.Source), orDash(use.Action), k.Remark)
				}
			})
		},
	})
	cmd.Flags().StringVar(&in.User, "user", "", c.t("only of this `USER`", "只列出此用户 `USER` 的"))
	return cmd
}

func lastUse(k api.AccessKey) api.LastUse {
	if k.LastUse == nil {
		return api.LastUse{}
	}
	return *k.LastUse
}

func newAccessKeyShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show ID",
		short: text{"Show an access key and its last use", "显示访问密钥及其最近使用情况"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			k, err := server.GetAccessKey(ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(k, func(t *table) {
				use := lastUse(k)
				t.add(c.t("Access key", "访问密钥"), k.ID)
				t.add(c.t("User", "用户"), k.User)
				t.add(c.t("Enabled", "启用"), c.yesNo(k.Enabled))
				t.add(c.t("Remark", "备注"), orDash(k.Remark))
				t.add(c.t("Created", "创建时间"), when(k.CreatedAt))
				t.add(c.t("Reset", "重置时间"), when(k.ResetAt))
				t.add(c.t("Expires", "过期时间"), when(k.ExpiresAt))
				t.add(c.t("Last used", "最近使用"), when(use.At))
				t.add(c.t("From", "来源"), orDash(use.Source))
				t.add(c.t("Action", "操作"), orDash(use.Action))
			})
		},
	})
}

func newAccessKeyExpireCmd(c *cli) *cobra.Command {
	var at time.Time
	var never bool
	var cmd *cobra.Command
	cmd = c.onServer("expire ID", text{"Set from when on an access key is refused", "设置访问密钥的过期时间"}, text{"the expiry of %s is set", "%s 的过期时间已设置"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if never == !at.IsZero() {
				return nil, c.usage(cmd, "give --at or --never", "请给出 --at 或 --never 之一")
			}
			in := api.UpdateAccessKeyRequest{NeverExpires: never}
			if !never {
				in.ExpiresAt = &at
			}
			return server.UpdateAccessKey(ctx, args[0], in)
		})
	cmd.Flags().Var(moment{&at, time.Now, 1}, "at", c.t("refuse it from `TIME` on: a date, a time or 90d", "从 `TIME` 起拒绝：日期、时间或 90d"))
	cmd.Flags().BoolVar(&never, "never", false, c.t("remove the expiry", "取消过期时间"))
	return cmd
}

func newAccessKeyResetCmd(c *cli) *cobra.Command {
	issue := &issue{cli: c}
	cmd := c.command(command{
		use:   "reset ID",
		short: text{"Replace the secret of an access key; the old one is refused at once", "重置访问密钥的密钥值，旧值立即失效"},
		run: func(ctx context.Context, args []string) error {
			if err := c.confirm(ctx, args[0], text{"Programs that use the old secret are refused at once.", "使用旧密钥值的程序会立即被拒绝。"}); err != nil {
				return err
			}
			return issue.ask(func(server *client.Client) (api.IssuedAccessKey, error) { return server.ResetAccessKey(ctx, args[0]) })
		},
	})
	issue.flags(cmd)
	return cmd
}

func newAccessKeyDeleteCmd(c *cli) *cobra.Command {
	return c.onServer("delete ID", text{"Delete an access key", "删除访问密钥"}, text{"%s is deleted", "%s 已删除"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.confirm(ctx, args[0], text{"The access key is deleted for good.", "访问密钥将被永久删除。"}); err != nil {
				return nil, err
			}
			return nil, server.DeleteAccessKey(ctx, args[0])
		})
}
