package policycmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newRoleCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "role", Short: c.T("Manage roles, which users and programs act as for a while", "管理角色；用户和程序可临时扮演角色")},
		newRoleCreateCmd(c), newRoleListCmd(c), newRoleShowCmd(c), newRoleUpdateCmd(c),
		remote.OnServer(c, "delete ROLE", c.T("Delete a role and end all of its sessions", "删除角色并结束其所有会话"), c.T("the role %s is deleted", "角色 %s 已删除"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				if err := c.Confirm(ctx, args[0], c.T("The role is deleted for good, and whoever acts as it is refused at once.", "角色将被永久删除，正在扮演它的程序会立即被拒绝。")); err != nil {
					return nil, err
				}
				return nil, server.DeleteRole(ctx, args[0])
			}),
		remote.OnServer(c, "attach POLICY ROLE", c.T("Let a role do what a policy says", "将策略附加到角色"), c.T("the policy %s is attached", "策略 %s 已附加"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.AttachPolicyToRole(ctx, args[1], args[0])
			}),
		remote.OnServer(c, "detach POLICY ROLE", c.T("Take a policy from a role", "从角色移除策略"), c.T("the policy %s is detached", "策略 %s 已移除"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.DetachPolicyFromRole(ctx, args[1], args[0])
			}),
		remote.OnServer(c, "end-sessions ROLE", c.T("End all sessions of a role, from the next request on", "结束角色的所有会话，从下一个请求起生效"), c.T("the sessions of %s have ended", "%s 的所有会话已结束"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.EndRoleSessions(ctx, args[0])
			}))
}

func newRoleCreateCmd(c *cli.Run) *cobra.Command {
	in, longest, trust := api.CreateRoleRequest{}, time.Hour, ""
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:     "create ROLE",
		Short:   c.T("Create a role from its trust policy, which says who may act as it", "用信任策略创建角色；信任策略规定谁可以扮演它"),
		Example: "  keyward role create deployer --trust trust.json --max-session 2h",
		Run: func(ctx context.Context, args []string) error {
			if trust == "" {
				return c.Usage(cmd, "--trust is missing", "缺少 --trust")
			}
			var err error
			if in.TrustPolicy, err = c.ReadDocument(ctx, trust); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			in.Name, in.MaxSessionSeconds = args[0], int(longest.Seconds())
			role, err := server.CreateRole(ctx, in)
			if err != nil {
				return err
			}
			return showRole(c, role)
		},
	})
	f := cmd.Flags()
	f.StringVar(&trust, "trust", "", c.T("read the trust policy from `FILE`; - for standard input", "从 `FILE` 读取信任策略；- 表示标准输入"))
	f.StringVar(&in.Description, "description", "", c.T("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	f.Var(cli.Days(&longest), "max-session", c.T("the longest `DURATION` of a session, 1h to 12h", "会话的最长时长 `DURATION`，1h 至 12h"))
	return cmd
}

func showRole(c *cli.Run, r api.Role) error {
	if c.Output == "json" {
		return cli.WriteJSON(c.Out, r)
	}
	var t cli.Table
	t.Add(c.T("Role", "角色"), r.Name)
	t.Add("ARN", r.ARN)
	t.Add("ID", r.ID)
	t.Add(c.T("Policies", "策略"), cli.OrDash(strings.Join(r.Policies, ", ")))
	t.Add(c.T("Longest session", "最长会话"), longestSession(r))
	t.Add(c.T("Description", "描述"), cli.OrDash(r.Description))
	t.Add(c.T("Created", "创建时间"), cli.When(r.CreatedAt))
	t.Add(c.T("Updated", "更新时间"), cli.When(r.UpdatedAt))
	if err := t.Write(c.Out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.Out, "\n%s\n", cli.PrintableLines(strings.TrimSpace(r.TrustPolicy)))
	return err
}

func longestSession(r api.Role) string {
	return api.FormatDuration(time.Duration(r.MaxSessionSeconds) * time.Second)
}

func newRoleListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List roles", "列出角色"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all := api.RoleList{Roles: []api.Role{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				page, err := server.ListRoles(ctx, api.PageRequest{Cursor: cursor})
				all.Roles = append(all.Roles, page.Roles...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("ROLE", "角色"), c.T("POLICIES", "策略"), c.T("LONGEST SESSION", "最长会话"), c.T("CREATED", "创建时间"), c.T("DESCRIPTION", "描述"))
				for _, r := range all.Roles {
					t.Add(r.Name, cli.OrDash(strings.Join(r.Policies, ",")), longestSession(r), cli.When(r.CreatedAt), r.Description)
				}
			})
		}),
	})
}

func newRoleShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show ROLE",
		Short: c.T("Show a role and whom it trusts", "显示角色及其信任策略"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			role, err := server.GetRole(ctx, args[0])
			if err != nil {
				return err
			}
			return showRole(c, role)
		}),
	})
}

func newRoleUpdateCmd(c *cli.Run) *cobra.Command {
	var description, trust string
	longest := time.Hour
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "update ROLE",
		Short: c.T("Change a role; a new trust policy ends all of its sessions", "修改角色；更换信任策略会结束其所有会话"),
		Run: func(ctx context.Context, args []string) (err error) {
			var in api.UpdateRoleRequest
			if cmd.Flags().Changed("description") {
				in.Description = &description
			}
			if cmd.Flags().Changed("max-session") {
				in.MaxSessionSeconds = new(int(longest.Seconds()))
			}
			if trust != "" {
				document, err := c.ReadDocument(ctx, trust)
				if err != nil {
					return err
				}
				in.TrustPolicy = &document
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			role, err := server.UpdateRole(ctx, args[0], in)
			if err != nil {
				return err
			}
			return showRole(c, role)
		},
	})
	f := cmd.Flags()
	f.StringVar(&trust, "trust", "", c.T("read the trust policy from `FILE`; - for standard input", "从 `FILE` 读取信任策略；- 表示标准输入"))
	f.StringVar(&description, "description", "", c.T("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	f.Var(cli.Days(&longest), "max-session", c.T("the longest `DURATION` of a session, 1h to 12h", "会话的最长时长 `DURATION`，1h 至 12h"))
	return cmd
}

func newAssumeRoleCmd(c *cli.Run) *cobra.Command {
	var in api.AssumeRoleRequest
	s := &sessionRequest{Issue: remote.Issue{Run: c}}
	cmd := c.Command(cli.Command{
		Use:   "assume-role ROLE",
		Short: c.T("Get temporary credentials that act as a role", "获取扮演角色的临时凭证"),
		Long: c.T(
			`Get temporary credentials that act as a role. ROLE is a name, or the ARN of another
account's role: acs:ram::ACCOUNT:role/NAME. They are an access key id, a secret and a
security token, which belong together, and end when they expire, or when the access key
that asked for them, the role or whom it trusts is disabled, changed or deleted.`,
			`获取扮演角色的临时凭证。ROLE 为角色名，或其他账号角色的 ARN：acs:ram::ACCOUNT:role/NAME。
临时凭证由访问密钥 ID、密钥值和安全令牌三部分组成，须一起使用；到期后失效，
或在申请它的访问密钥、角色或其信任策略被禁用、修改或删除时立即失效。`,
		),
		Example: "  keyward assume-role deployer --session ci-7 --duration 15m --out session.env\n  set -a; . ./session.env; set +a",
		Run: func(ctx context.Context, args []string) (err error) {
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
	cmd.Flags().StringVar(&in.ExternalID, "external-id", "", c.T("`ID` that the role's trust policy asks for", "角色信任策略要求的外部 `ID`"))
	return cmd
}

func newFederateCmd(c *cli.Run) *cobra.Command {
	s := &sessionRequest{Issue: remote.Issue{Run: c}}
	cmd := c.Command(cli.Command{
		Use:     "federate",
		Short:   c.T("Get temporary credentials with a part of your own permissions", "获取仅含自身部分权限的临时凭证"),
		Example: "  keyward federate --session batch-7 --policy only-decrypt.json --duration 15m --out batch.env",
		Run: func(ctx context.Context, _ []string) error {
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
	remote.Issue
	name     string
	duration time.Duration
	file     string // of the session's policy
}

func (s *sessionRequest) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.name, "session", "keyward-cli", s.T("`NAME` of the session, for policies and the audit log", "会话名称 `NAME`，用于策略和审计日志"))
	s.duration = time.Hour
	f.Var(cli.Days(&s.duration), "duration", s.T("`DURATION` of the session, from 15m on", "会话时长 `DURATION`，至少 15m"))
	f.StringVar(&s.file, "policy", "", s.T("narrow what the session may do by the policy in `FILE`; - for standard input", "用 `FILE` 中的策略收窄会话权限；- 表示标准输入"))
	s.Issue.Flags(cmd)
}

func (s *sessionRequest) seconds() int { return int(s.duration.Seconds()) }

func (s *sessionRequest) policy(ctx context.Context) (string, error) {
	if s.file == "" {
		return "", nil
	}
	return s.ReadDocument(ctx, s.file)
}

// ask has the server begin a session and delivers its credentials.
func (s *sessionRequest) ask(act func(server *client.Client) (api.TemporaryCredentials, error)) error {
	server, err := remote.Connect(s.Run)
	if err != nil {
		return err
	}
	if err := s.Open(); err != nil {
		return err
	}
	issued, err := act(server)
	if err != nil {
		return s.Abandon(err)
	}
	return s.Deliver(remote.Credentials{ID: issued.AccessKeyID, Secret: issued.Secret, Token: issued.SecurityToken}, issued, func(t *cli.Table) {
		t.Add("ARN", issued.ARN)
		t.Add(s.T("Expires", "过期时间"), cli.When(issued.ExpiresAt))
	})
}
