package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func newUserCmd(c *cli) *cobra.Command {
	return c.command(command{use: "user", short: text{"Manage users of keyward and their access keys", "管理 keyward 的用户及其访问密钥"}},
		newUserCreateCmd(c), newUserListCmd(c), newUserShowCmd(c), newUserUpdateCmd(c), newUserDeleteCmd(c), newUserAccessKeyCmd(c),
		newUserPasswordCmd(c), newUserMFACmd(c), newUserLoginsCmd(c),
		c.onServer("end-sessions USER", text{"End all sessions of a user who logged in, from the next request on", "结束用户的所有登录会话，从下一个请求起生效"}, text{"the sessions of %s have ended", "%s 的所有会话已结束"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.EndUserSessions(ctx, args[0])
			}))
}

func newUserCreateCmd(c *cli) *cobra.Command {
	var in api.CreateUserRequest
	cmd := c.command(command{
		use:   "create USER",
		short: text{"Create a user, who may do nothing until a policy is attached", "创建用户；附加策略之前没有任何权限"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			in.Name = args[0]
			user, err := server.CreateUser(ctx, in)
			if err != nil {
				return err
			}
			return c.showUser(user)
		},
	})
	cmd.Flags().StringVar(&in.Remark, "remark", "", c.t("`TEXT` for people", "供人阅读的备注 `TEXT`"))
	return cmd
}

func (c *cli) showUser(u api.User) error {
	return c.show(u, func(t *table) {
		t.add(c.t("User", "用户"), u.Name)
		t.add("ARN", u.ARN)
		t.add(c.t("Kind", "类型"), u.Kind)
		t.add(c.t("Enabled", "启用"), c.yesNo(u.Enabled))
		t.add(c.t("Policies", "策略"), orDash(strings.Join(u.Policies, ", ")))
		t.add(c.t("Remark", "备注"), orDash(u.Remark))
		t.add(c.t("Created", "创建时间"), when(u.CreatedAt))
	})
}

func newUserListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List users", "列出用户"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all := api.UserList{Users: []api.User{}}
			if err := pages(func(cursor string) (string, error) {
				page, err := server.ListUsers(ctx, api.PageRequest{Cursor: cursor})
				all.Users = append(all.Users, page.Users...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("USER", "用户"), c.t("KIND", "类型"), c.t("ENABLED", "启用"), c.t("POLICIES", "策略"), c.t("CREATED", "创建时间"), c.t("REMARK", "备注"))
				for _, u := range all.Users {
					t.add(u.Name, u.Kind, c.yesNo(u.Enabled), orDash(strings.Join(u.Policies, ",")), when(u.CreatedAt), u.Remark)
				}
			})
		},
	})
}

func newUserShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show USER",
		short: text{"Show a user", "显示用户"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			user, err := server.GetUser(ctx, args[0])
			if err != nil {
				return err
			}
			return c.showUser(user)
		},
	})
}

func newUserUpdateCmd(c *cli) *cobra.Command {
	var remark string
	var enable, disable bool
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "update USER",
		short: text{"Change a user's remark, or disable and enable the user", "修改用户的备注，或禁用、启用用户"},
		long: text{
			"Change a user's remark, or disable and enable the user. All access keys of a disabled user are refused, from the next request on.",
			"修改用户的备注，或禁用、启用用户。禁用后，该用户的所有访问密钥从下一个请求起被拒绝。",
		},
		run: func(ctx context.Context, args []string) error {
			if enable && disable {
				return c.usage(cmd, "--enable and --disable exclude each other", "--enable 与 --disable 不能同时使用")
			}
			var in api.UpdateUserRequest
			if enable || disable {
				in.Enabled = &enable
			}
			if cmd.Flags().Changed("remark") {
				in.Remark = &remark
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			user, err := server.UpdateUser(ctx, args[0], in)
			if err != nil {
				return err
			}
			return c.showUser(user)
		},
	})
	cmd.Flags().StringVar(&remark, "remark", "", c.t("`TEXT` for people", "供人阅读的备注 `TEXT`"))
	cmd.Flags().BoolVar(&enable, "enable", false, c.t("enable the user", "启用用户"))
	cmd.Flags().BoolVar(&disable, "disable", false, c.t("disable the user", "禁用用户"))
	return cmd
}

func newUserDeleteCmd(c *cli) *cobra.Command {
	return c.onServer("delete USER", text{"Delete a user who has no access keys", "删除没有访问密钥的用户"}, text{"the user %s is deleted", "用户 %s 已删除"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.confirm(ctx, args[0], text{"The user is deleted for good.", "用户将被永久删除。"}); err != nil {
				return nil, err
			}
			return nil, server.DeleteUser(ctx, args[0])
		})
}

func newWhoamiCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "whoami",
		short: text{"Show as whom the server sees you", "显示服务器识别出的身份"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			me, err := server.WhoAmI(ctx)
			if err != nil {
				return err
			}
			return c.show(me, func(t *table) {
				t.add(c.t("Account", "账号"), me.Account)
				t.add("ARN", me.ARN)
				t.add(c.t("Kind", "类型"), me.Kind)
				t.add(c.t("User", "用户"), orDash(me.User))
				if me.Session != "" {
					t.add(c.t("Role", "角色"), orDash(me.Role))
					t.add(c.t("Session", "会话"), me.Session)
					t.add(c.t("Expires", "过期时间"), when(me.ExpiresAt))
				}
				t.add(c.t("Access key", "访问密钥"), me.AccessKey)
				t.add(c.t("Region", "地域"), me.Region)
			})
		},
	})
}
