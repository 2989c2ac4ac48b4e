package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func newRoleCmd(c *cli) *cobra.Command {
	return c.command(command{use: "role", short: text{"Manage roles, which users and programs act as for a while", "管理角色；用户和程序可临时扮演角色"}},
		newRoleCreateCmd(c), newRoleListCmd(c), newRoleShowCmd(c), newRoleUpdateCmd(c),
		c.onServer("delete ROLE", text{"Delete a role and end all of its sessions", "删除角色并结束其所有会话"}, text{"the role %s is deleted", "角色 %s 已删除"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				if err := c.confirm(ctx, args[0], text{"The role is deleted for good, and whoever acts as it is refused at once.", "角色将被永久删除，正在扮演它的程序会立即被拒绝。"}); err != nil {
					return nil, err
				}
				return nil, server.DeleteRole(ctx, args[0])
			}),
		c.onServer("attach POLICY ROLE", text{"Let a role do what a policy says", "将策略附加到角色"}, text{"the policy %s is attached", "策略 %s 已附加"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.AttachPolicyToRole(ctx, args[1], args[0])
			}),
		c.onServer("detach POLICY ROLE", text{"Take a policy from a role", "从角色移除策略"}, text{"the policy %s is detached", "策略 %s 已移除"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.DetachPolicyFromRole(ctx, args[1], args[0])
			}),
		c.onServer("end-sessions ROLE", text{"End all sessions of a role, from the next request on", "结束角色的所有会话，从下一个请求起生效"}, text{"the sessions of %s have ended", "%s 的所有会话已结束"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.EndRoleSessions(ctx, args[0])
			}))
}

func newRoleCreateCmd(c *cli) *cobra.Command {
	in, longest, trust := api.CreateRoleRequest{}, time.Hour, ""
	var cmd *cobra.Command
	cmd = c.command(command{
		use:     "create ROLE",
		short:   text{"Create a role from its trust policy, which says who may act as it", "用信任策略创建角色；信任策略规定谁可以扮演它"},
		example: "  keyward role create deployer --trust trust.json --max-session 2h",
		run: func(ctx context.Context, args []string) error {
			if trust == "" {
				return c.usage(cmd, "--trust is missing", "缺少 --trust")
			}
			var err error
			if in.TrustPolicy, err = c.readDocument(ctx, trust); err != nil {
				return err
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			in.Name, in.MaxSessionSeconds = args[0], int(longest.Seconds())
			role, err := server.CreateRole(ctx, in)
			if err != nil {
				return err
			}
			return c.showRole(role)
		},
	})
	f := cmd.Flags()
	f.StringVar(&trust, "trust", "", c.t("read the trust policy from `FILE`; - for standard input", "从 `FILE` 读取信任策略；- 表示标准输入"))
	f.StringVar(&in.Description, "description", "", c.t("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	f.DurationVar(&longest, "max-session", longest, c.t("the longest `DURATION` of a session, 1h to 12h", "会话的最长时长 `DURATION`，1h 至 12h"))
	return cmd
}

func (c *cli) showRole(r api.Role) error {
	if c.output == "json" {
		return writeJSON(c.out, r)
	}
	var t table
	t.add(c.t("Role", "角色"), r.Name)
	t.add("ARN", r.ARN)
	t.add("ID", r.ID)
	t.add(c.t("Policies", "策略"), orDash(strings.Join(r.Policies, ", ")))
	t.add(c.t("Longest session", "最长会话"), longestSession(r))
	t.add(c.t("Description", "描述"), orDash(r.Description))
	t.add(c.t("Created", "创建时间"), when(r.CreatedAt))
	t.add(c.t("Updated", "更新时间"), when(r.UpdatedAt))
	if err := t.write(c.out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, "\n%s\n", printableLines(strings.TrimSpace(r.TrustPolicy)))
	return err
}

func longestSession(r api.Role) string {
	return api.FormatDuration(time.Duration(r.MaxSessionSeconds) * time.Second)
}

func newRoleListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List roles", "列出角色"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all := api.RoleList{Roles: []api.Role{}}
			if err := pages(func(cursor string) (string, error) {
				page, err := server.ListRoles(ctx, api.PageRequest{Cursor: cursor})
				all.Roles = append(all.Roles, page.Roles...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("ROLE", "角色"), c.t("POLICIES", "策略"), c.t("LONGEST SESSION", "最长会话"), c.t("CREATED", "创建时间"), c.t("DESCRIPTION", "描述"))
				for _, r := range all.Roles {
					t.add(r.Name, orDash(strings.Join(r.Policies, ",")), longestSession(r), when(r.CreatedAt), r.Description)
				}
			})
		},
	})
}

func newRoleShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show ROLE",
		short: text{"Show a role and whom it trusts", "显示角色及其信任策略"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			role, err := server.GetRole(ctx, args[0])
			if err != nil {
				return err
			}
			return c.showRole(role)
		},
	})
}

func newRoleUpdateCmd(c *cli) *cobra.Command {
	var description, trust string
	longest := time.Hour
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "update ROLE",
		short: text{"Change a role; a new trust policy ends all of its sessions", "修改角色；更换信任策略会结束其所有会话"},
		run: func(ctx context.Context, args []string) (err error) {
			var in api.UpdateRoleRequest
			if cmd.Flags().Changed("description") {
				in.Description = &description
			}
			if cmd.Flags().Changed("max-session") {
				in.MaxSessionSeconds = ptr(int(longest.Seconds()))
			}
			if trust != "" {
				document, err := c.readDocument(ctx, trust)
				if err != nil {
					return err
				}
				in.TrustPolicy = &document
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			role, err := server.UpdateRole(ctx, args[0], in)
			if err != nil {
				return err
			}
			return c.showRole(role)
		},
	})
	f := cmd.Flags()
	f.StringVar(&trust, "trust", "", c.t("read the trust policy from `FILE`; - for standard input", "从 `FILE` 读取信任策略；- 表示标准输入"))
	f.StringVar(&description, "description", "", c.t("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	f.DurationVar(&longest, "max-session", longest, c.t("the longest `DURATION` of a session, 1h to 12h", "会话的最长时长 `DURATION`，1h 至 12h"))
	return cmd
}

func newAssumeRoleCmd(c *cli) *cobra.Command {
	var in api.AssumeRoleRequest
	s := &sessionRequest{issue: issue{cli: c}}
	cmd := c.command(command{
		use:   "assume-role ROLE",
		short: text{"Get temporary credentials that act as a role", "获取扮演角色的临时凭证"},
		long: text{
			`Get temporary credentials that act as a role. ROLE is a name, or the ARN of another
account's role: acs:ram::ACCOUNT:role/NAME. They are an access key id, a secret and a
security token, which belong together, and end when they expire, or when the access key
that asked for them, the role or whom it trusts is disabled, changed or deleted.`,
			`获取扮演角色的临时凭证。ROLE 为角色名，或其他账号角色的 ARN：acs:ram::ACCOUNT:role/NAME。
临时凭证由访问密钥 ID、密钥值和安全令牌三部分组成，须一起使用；到期后失效，
或在申请它的访问密钥、角色或其信任策略被禁用、修改或删除时立即失效。`,
		},
		example: "  keyward assume-role deployer --session ci-7 --duration 15m --out session.env\n  set -a; . ./session.env; set +a",
		run: func(ctx context.Context, args []string) (err error) {
			if in.Policy, err = s.policy(ctx); err != nil {
				return err
			}
			return s.ask(func(server *client.Client) (api.TemporaryCredentials, error) {
				in.Role, in.SessionName, in.DurationSeconds = args[0], s.name, s.seconds()
				return server.AssumeRole(ctx, in)
			})
		},
	})
	s.flags(cmd)
	cmd.Flags().StringVar(&in.ExternalID, "external-id", "", c.t("`ID` that the role's trust policy asks for", "角色信任策略要求的外部 `ID`"))
	return cmd
}

func newFederateCmd(c *cli) *cobra.Command {
	s := &sessionRequest{issue: issue{cli: c}}
	cmd := c.command(command{
		use:     "federate",
		short:   text{"Get temporary credentials with a part of your own permissions", "获取仅含自身部分权限的临时凭证"},
		example: "  keyward federate --session batch-7 --policy only-decrypt.json --duration 15m --out batch.env",
		run: func(ctx context.Context, _ []string) error {
			policy, err := s.policy(ctx)
			if err != nil {
				return err
			}
			return s.ask(func(server *client.Client) (api.TemporaryCredentials, error) {
				return server.Federate(ctx, api.FederateRequest{SessionName: s.name, DurationSeconds: s.seconds(), Policy: policy})
			})
		},
	})
	s.flags(cmd)
	return cmd
}

// A sessionRequest asks for temporary credentials and delivers them.
type sessionRequest struct {
	issue
	name     string
	duration time.Duration
	file     string // of the session's policy
}

func (s *sessionRequest) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.name, "session", "keyward-cli", s.t("`NAME` of the session, for policies and the audit log", "会话名称 `NAME`，用于策略和审计日志"))
	f.DurationVar(&s.duration, "duration", time.Hour, s.t("`DURATION` of the session, from 15m on", "会话时长 `DURATION`，至少 15m"))
	f.StringVar(&s.file, "policy", "", s.t("narrow what the session may do by the policy in `FILE`; - for standard input", "用 `FILE` 中的策略收窄会话权限；- 表示标准输入"))
	s.issue.flags(cmd)
}

func (s *sessionRequest) seconds() int { return int(s.duration.Seconds()) }

func (s *sessionRequest) policy(ctx context.Context) (string, error) {
	if s.file == "" {
		return "", nil
	}
	return s.readDocument(ctx, s.file)
}

// ask has the server begin a session and delivers its credentials.
func (s *sessionRequest) ask(act func(server *client.Client) (api.TemporaryCredentials, error)) error {
	server, err := s.connect()
	if err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	issued, err := act(server)
	if err != nil {
		return s.abandon(err)
	}
	return s.deliver(credentials{issued.AccessKeyID, issued.Secret, issued.SecurityToken}, issued, func(t *table) {
		t.add("ARN", issued.ARN)
		t.add(s.t("Expires", "过期时间"), when(issued.ExpiresAt))
	})
}
