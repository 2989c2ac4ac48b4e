package policycmd

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

func newPolicyCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "policy", Short: c.T("Manage what users may do", "管理用户的权限策略")},
		newPolicyCreateCmd(c), newPolicyListCmd(c), newPolicyShowCmd(c), newPolicyUpdateCmd(c), newPolicyLintCmd(c), newPolicySimulateCmd(c),
		remote.OnServer(c, "delete POLICY", c.T("Delete a policy that no user has", "删除没有被使用的策略"), c.T("the policy %s is deleted", "策略 %s 已删除"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				if err := c.Confirm(ctx, args[0], c.T("The policy is deleted for good.", "策略将被永久删除。")); err != nil {
					return nil, err
				}
				return nil, server.DeletePolicy(ctx, args[0])
			}),
		remote.OnServer(c, "attach POLICY USER", c.T("Let a user do what a policy says", "将策略附加到用户"), c.T("the policy %s is attached", "策略 %s 已附加"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.AttachPolicy(ctx, args[1], args[0])
			}),
		remote.OnServer(c, "detach POLICY USER", c.T("Take a policy from a user", "从用户移除策略"), c.T("the policy %s is detached", "策略 %s 已移除"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.DetachPolicy(ctx, args[1], args[0])
			}))
}

func newPolicyCreateCmd(c *cli.Run) *cobra.Command {
	var in api.CreatePolicyRequest
	var file string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:     "create POLICY",
		Short:   c.T("Create a policy from a document in the RAM policy language", "用 RAM 策略语言的文档创建策略"),
		Example: "  keyward policy create read-reports --file policy.json",
		Run: func(ctx context.Context, args []string) error {
			if file == "" {
				return c.Usage(cmd, "--file is missing", "缺少 --file")
			}
			var err error
			if in.Document, err = c.ReadDocument(ctx, file); err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			in.Name = args[0]
			policy, err := server.CreatePolicy(ctx, in)
			if err != nil {
				return err
			}
			return showPolicy(c, policy)
		},
	})
	cmd.Flags().StringVar(&file, "file", "", c.T("read the document from `FILE`; - for standard input", "从 `FILE` 读取文档；- 表示标准输入"))
	cmd.Flags().StringVar(&in.Description, "description", "", c.T("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	return cmd
}

func showPolicy(c *cli.Run, p api.Policy) error {
	if c.Output == "json" {
		return cli.WriteJSON(c.Out, p)
	}
	var t cli.Table
	t.Add(c.T("Policy", "策略"), p.Name)
	t.Add(c.T("Kind", "类型"), policyKind(c, p))
	t.Add(c.T("Description", "描述"), cli.OrDash(p.Description))
	t.Add(c.T("Created", "创建时间"), cli.When(p.CreatedAt))
	t.Add(c.T("Updated", "更新时间"), cli.When(p.UpdatedAt))
	if err := t.Write(c.Out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.Out, "\n%s\n", cli.PrintableLines(strings.TrimSpace(p.Document)))
	return err
}

func policyKind(c *cli.Run, p api.Policy) string {
	if p.System {
		return c.T("system", "系统策略")
	}
	return c.T("custom", "自定义策略")
}

func newPolicyListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List policies", "列出策略"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all := api.PolicyList{Policies: []api.Policy{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				page, err := server.ListPolicies(ctx, api.PageRequest{Cursor: cursor})
				all.Policies = append(all.Policies, page.Policies...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("POLICY", "策略"), c.T("KIND", "类型"), c.T("UPDATED", "更新时间"), c.T("DESCRIPTION", "描述"))
				for _, p := range all.Policies {
					t.Add(p.Name, policyKind(c, p), cli.When(p.UpdatedAt), p.Description)
				}
			})
		}),
	})
}

func newPolicyShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show POLICY",
		Short: c.T("Show a policy and its document", "显示策略及其文档"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			policy, err := server.GetPolicy(ctx, args[0])
			if err != nil {
				return err
			}
			return showPolicy(c, policy)
		}),
	})
}

func newPolicyUpdateCmd(c *cli.Run) *cobra.Command {
	var file, description string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "update POLICY",
		Short: c.T("Change a policy, from the next request on", "修改策略，从下一个请求起生效"),
		Run: func(ctx context.Context, args []string) error {
			var in api.UpdatePolicyRequest
			if file != "" {
				document, err := c.ReadDocument(ctx, file)
				if err != nil {
					return err
				}
				in.Document = &document
			}
			if cmd.Flags().Changed("description") {
				in.Description = &description
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			policy, err := server.UpdatePolicy(ctx, args[0], in)
			if err != nil {
				return err
			}
			return showPolicy(c, policy)
		},
	})
	cmd.Flags().StringVar(&file, "file", "", c.T("read the document from `FILE`; - for standard input", "从 `FILE` 读取文档；- 表示标准输入"))
	cmd.Flags().StringVar(&description, "description", "", c.T("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	return cmd
}
