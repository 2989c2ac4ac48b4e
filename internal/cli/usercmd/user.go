package usercmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newUserCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "user", Short: c.T("Manage users of keyward and their access keys", "管理 keyward 的用户及其访问密钥")},
		newUserCreateCmd(c), newUserListCmd(c), newUserShowCmd(c), newUserUpdateCmd(c), newUserDeleteCmd(c), newUserAccessKeyCmd(c),
		newUserPasswordCmd(c), newUserMFACmd(c), newUserLoginsCmd(c),
		remote.OnServer(c, "end-sessions USER", c.T("End all sessions of a user who logged in, from the next request on", "结束用户的所有登录会话，从下一个请求起生效"), c.T("the sessions of %s have ended", "%s 的所有会话已结束"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.EndUserSessions(ctx, args[0])
			}))
}

func newUserCreateCmd(c *cli.Run) *cobra.Command {
	var in api.CreateUserRequest
	cmd := c.Command(cli.Command{
		Use:   "create USER",
		Short: c.T("Create a user, who may do nothing until a policy is attached", "创建用户；附加策略之前没有任何权限"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			in.Name = args[0]
			user, err := server.CreateUser(ctx, in)
			if err != nil {
				return err
			}
			return showUser(c, user)
		}),
	})
	cmd.Flags().StringVar(&in.Remark, "remark", "", c.T("`TEXT` for people", "供人阅读的备注 `TEXT`"))
	return cmd
}

func showUser(c *cli.Run, u api.User) error {
	return c.Show(u, func(t *cli.Table) {
		t.Add(c.T("User", "用户"), u.Name)
		t.Add("ARN", u.ARN)
		t.Add(c.T("Kind", "类型"), u.Kind)
		t.Add(c.T("Enabled", "启用"), c.YesNo(u.Enabled))
		t.Add(c.T("Policies", "策略"), cli.OrDash(strings.Join(u.Policies, ", ")))
		t.Add(c.T("Remark", "备注"), cli.OrDash(u.Remark))
		t.Add(c.T("Created", "创建时间"), cli.When(u.CreatedAt))
	})
}

func newUserListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List users", "列出用户"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all := api.UserList{Users: []api.User{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				page, err := server.ListUsers(ctx, api.PageRequest{Cursor: cursor})
				all.Users = append(all.Users, page.Users...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("USER", "用户"), c.T("KIND", "类型"), c.T("ENABLED", "启用"), c.T("POLICIES", "策略"), c.T("CREATED", "创建时间"), c.T("REMARK", "备注"))
				for _, u := range all.Users {
					t.Add(u.Name, u.Kind, c.YesNo(u.Enabled), cli.OrDash(strings.Join(u.Policies, ",")), cli.When(u.CreatedAt), u.Remark)
				}
			})
		}),
	})
}

func newUserShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show USER",
		Short: c.T("Show a user", "显示用户"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			user, err := server.GetUser(ctx, args[0])
			if err != nil {
				return err
			}
			return showUser(c, user)
		}),
	})
}

func newUserUpdateCmd(c *cli.Run) *cobra.Command {
	var remark string
	var enable, disable bool
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "update USER",
		Short: c.T("Change a user's remark, or disable and enable the user", "修改用户的备注，或禁用、启用用户"),
		Long: c.T(
			"Change a user's remark, or disable and enable the user. All access keys of a disabled user are refused, from the next request on.",
			"修改用户的备注，或禁用、启用用户。禁用后，该用户的所有访问密钥从下一个请求起被拒绝。",
		),
		Run: func(ctx context.Context, args []string) error {
			if enable && disable {
				return c.Usage(cmd, "--enable and --disable exclude each other", "--enable 与 --disable 不能同时使用")
			}
			var in api.UpdateUserRequest
			if enable || disable {
				in.Enabled = &enable
			}
			if cmd.Flags().Changed("remark") {
				in.Remark = &remark
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			user, err := server.UpdateUser(ctx, args[0], in)
			if err != nil {
				return err
			}
			return showUser(c, user)
		},
	})
	cmd.Flags().StringVar(&remark, "remark", "", c.T("`TEXT` for people", "供人阅读的备注 `TEXT`"))
	cmd.Flags().BoolVar(&enable, "enable", false, c.T("enable the user", "启用用户"))
	cmd.Flags().BoolVar(&disable, "disable", false, c.T("disable the user", "禁用用户"))
	return cmd
}

func newUserDeleteCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "delete USER", c.T("Delete a user who has no access keys", "删除没有访问密钥的用户"), c.T("the user %s is deleted", "用户 %s 已删除"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.Confirm(ctx, args[0], c.T("The user is deleted for good.", "用户将被永久删除。")); err != nil {
				return nil, err
			}
			return nil, server.DeleteUser(ctx, args[0])
		})
}

func newWhoamiCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "whoami",
		Short: c.T("Show as whom the server sees you", "显示服务器识别出的身份"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			me, err := server.WhoAmI(ctx)
			if err != nil {
				return err
			}
			return c.Show(me, func(t *cli.Table) {
				t.Add(c.T("Account", "账号"), me.Account)
				t.Add("ARN", me.ARN)
				t.Add(c.T("Kind", "类型"), me.Kind)
				t.Add(c.T("User", "用户"), cli.OrDash(me.User))
				if me.Session != "" {
					t.Add(c.T("Role", "角色"), cli.OrDash(me.Role))
					t.Add(c.T("Session", "会话"), me.Session)
					t.Add(c.T("Expires", "过期时间"), cli.When(me.ExpiresAt))
				}
				t.Add(c.T("Access key", "访问密钥"), me.AccessKey)
				t.Add(c.T("Region", "地域"), me.Region)
			})
		}),
	})
}
