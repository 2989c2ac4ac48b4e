package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// maxDocument bounds the file that a policy is read from, in bytes. The server's own
// limit is lower.
const maxDocument = 1 << 20

func newPolicyCmd(c *cli) *cobra.Command {
	return c.command(command{use: "policy", short: text{"Manage what users may do", "管理用户的权限策略"}},
		newPolicyCreateCmd(c), newPolicyListCmd(c), newPolicyShowCmd(c), newPolicyUpdateCmd(c), newPolicyLintCmd(c), newPolicySimulateCmd(c),
		c.onServer("delete POLICY", text{"Delete a policy that no user has", "删除没有被使用的策略"}, text{"the policy %s is deleted", "策略 %s 已删除"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				if err := c.confirm(ctx, args[0], text{"The policy is deleted for good.", "策略将被永久删除。"}); err != nil {
					return nil, err
				}
				return nil, server.DeletePolicy(ctx, args[0])
			}),
		c.onServer("attach POLICY USER", text{"Let a user do what a policy says", "将策略附加到用户"}, text{"the policy %s is attached", "策略 %s 已附加"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.AttachPolicy(ctx, args[1], args[0])
			}),
		c.onServer("detach POLICY USER", text{"Take a policy from a user", "从用户移除策略"}, text{"the policy %s is detached", "策略 %s 已移除"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.DetachPolicy(ctx, args[1], args[0])
			}))
}

// readDocument reads a policy from a file or, named "-", from standard input.
func (c *cli) readDocument(ctx context.Context, name string) (string, error) {
	in := interruptible(ctx, c.in)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	document, err := io.ReadAll(io.LimitReader(in, maxDocument))
	if err != nil {
		return "", fmt.Errorf("reading the policy: %w", err)
	}
	return string(document), nil
}

func newPolicyCreateCmd(c *cli) *cobra.Command {
	var in api.CreatePolicyRequest
	var file string
	var cmd *cobra.Command
	cmd = c.command(command{
		use:     "create POLICY",
		short:   text{"Create a policy from a document in the RAM policy language", "用 RAM 策略语言的文档创建策略"},
		example: "  keyward policy create read-reports --file policy.json",
		run: func(ctx context.Context, args []string) error {
			if file == "" {
				return c.usage(cmd, "--file is missing", "缺少 --file")
			}
			var err error
			if in.Document, err = c.readDocument(ctx, file); err != nil {
				return err
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			in.Name = args[0]
			policy, err := server.CreatePolicy(ctx, in)
			if err != nil {
				return err
			}
			return c.showPolicy(policy)
		},
	})
	cmd.Flags().StringVar(&file, "file", "", c.t("read the document from `FILE`; - for standard input", "从 `FILE` 读取文档；- 表示标准输入"))
	cmd.Flags().StringVar(&in.Description, "description", "", c.t("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	return cmd
}

func (c *cli) showPolicy(p api.Policy) error {
	if c.output == "json" {
		return writeJSON(c.out, p)
	}
	var t table
	t.add(c.t("Policy", "策略"), p.Name)
	t.add(c.t("Kind", "类型"), c.policyKind(p))
	t.add(c.t("Description", "描述"), orDash(p.Description))
	t.add(c.t("Created", "创建时间"), when(p.CreatedAt))
	t.add(c.t("Updated", "更新时间"), when(p.UpdatedAt))
	if err := t.write(c.out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, "\n%s\n", printableLines(strings.TrimSpace(p.Document)))
	return err
}

func (c *cli) policyKind(p api.Policy) string {
	if p.System {
		return c.t("system", "系统策略")
	}
	return c.t("custom", "自定义策略")
}

func newPolicyListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List policies", "列出策略"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all := api.PolicyList{Policies: []api.Policy{}}
			if err := pages(func(cursor string) (string, error) {
				page, err := server.ListPolicies(ctx, api.PageRequest{Cursor: cursor})
				all.Policies = append(all.Policies, page.Policies...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("POLICY", "策略"), c.t("KIND", "类型"), c.t("UPDATED", "更新时间"), c.t("DESCRIPTION", "描述"))
				for _, p := range all.Policies {
					t.add(p.Name, c.policyKind(p), when(p.UpdatedAt), p.Description)
				}
			})
		},
	})
}

func newPolicyShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show POLICY",
		short: text{"Show a policy and its document", "显示策略及其文档"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			policy, err := server.GetPolicy(ctx, args[0])
			if err != nil {
				return err
			}
			return c.showPolicy(policy)
		},
	})
}

func newPolicyUpdateCmd(c *cli) *cobra.Command {
	var file, description string
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "update POLICY",
		short: text{"Change a policy, from the next request on", "修改策略，从下一个请求起生效"},
		run: func(ctx context.Context, args []string) error {
			var in api.UpdatePolicyRequest
			if file != "" {
				document, err := c.readDocument(ctx, file)
				if err != nil {
					return err
				}
				in.Document = &document
			}
			if cmd.Flags().Changed("description") {
				in.Description = &description
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			policy, err := server.UpdatePolicy(ctx, args[0], in)
			if err != nil {
				return err
			}
			return c.showPolicy(policy)
		},
	})
	cmd.Flags().StringVar(&file, "file", "", c.t("read the document from `FILE`; - for standard input", "从 `FILE` 读取文档；- 表示标准输入"))
	cmd.Flags().StringVar(&description, "description", "", c.t("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	return cmd
}
