package nodecmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newTargetCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "target", Short: c.T("Deliver to places without an agent: Kubernetes, CDNs", "分发到没有代理的位置：Kubernetes、CDN")},
		newTargetKindsCmd(c), newTargetAddCmd(c), newTargetListCmd(c), newTargetShowCmd(c), newTargetUpdateCmd(c), newTargetSyncCmd(c), newTargetRemoveCmd(c))
}

func newTargetKindsCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "kinds [KIND]",
		Short: c.T("List the kinds of targets, or what one needs", "列出目标的类型，或某一类型所需的内容"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all, err := server.ListTargetKinds(ctx)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return c.Show(all, func(t *cli.Table) {
					t.Add(c.T("KIND", "类型"), c.T("SETTINGS", "设置项"), c.T("CREDENTIAL", "凭证"))
					for _, k := range all.Kinds {
						t.Add(k.Name, remote.FieldNames(k.Settings), remote.FieldNames(k.Parts))
					}
				})
			}
			kind, err := targetKind(c, all, args[0])
			if err != nil {
				return err
			}
			return c.Show(kind, func(t *cli.Table) {
				t.Add(c.T("Kind", "类型"), kind.Name)
				remote.AddFields(c, t, kind.Settings, false)
				remote.AddFields(c, t, kind.Parts, true)
			})
		}),
	})
}

func targetKind(c *cli.Run, all api.TargetKindList, name string) (api.TargetKind, error) {
	for _, k := range all.Kinds {
		if k.Name == name {
			return k, nil
		}
	}
	return api.TargetKind{}, &cli.Problem{
		Message: fmt.Sprintf(c.T("there is no kind of target %q", "没有目标类型 %q"), name),
		Next:    c.T("list them with: keyward node target kinds", "请用 keyward node target kinds 查看"),
	}
}

func newTargetAddCmd(c *cli.Run) *cobra.Command {
	fill := &remote.Filling{Run: c}
	var labels []string
	cmd := c.Command(cli.Command{
		Use:   "add KIND NAME",
		Short: c.T("Make a place a node, to which the server delivers by itself", "添加目标：由服务器自行分发的节点"),
		Long: c.T(
			`Make a place a node, to which the server delivers by itself. The place must accept the
credential first, which is stored encrypted. What is delivered to the node, and in which
wave, follows from its labels; "keyward node show NAME" tells what it has.`,
			`添加目标：由服务器自行分发的节点。凭证会先经过验证，再加密保存。分发的内容和批次由其标签决定；
用 "keyward node show NAME" 查看其持有的内容。`,
		),
		Example: "  keyward node target add kubernetes shop-cluster --set server=https://10.0.0.1:6443 --set ca=\"$(cat ca.crt)\" --set namespace=shop \\\n" +
			"    --set secret=pay-key --set selector=app=shop --set workload=deployment/shop --credential token.txt --label app=shop\n" +
			"  keyward node target add edge cdn --set put_url='https://cdn.example.com/keyward/{rollout}' --set pops_url='https://cdn.example.com/keyward/{rollout}/pops' --credential hmac.txt",
		Run: func(ctx context.Context, args []string) error {
			given, err := c.ReadTags(labels)
			if err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			all, err := server.ListTargetKinds(ctx)
			if err != nil {
				return err
			}
			kind, err := targetKind(c, all, args[0])
			if err != nil {
				return err
			}
			in := api.AddTargetRequest{Name: args[1], Kind: args[0], Labels: given}
			if in.Connection, err = fill.Connection(ctx, kind.Settings, kind.Parts, nil); err != nil {
				return err
			}
			t, err := server.AddTarget(ctx, in)
			if err != nil {
				return err
			}
			c.Say("%s is added; keyward node show %s tells what it has", "%s 已添加；用 keyward node show %s 查看其持有的内容", t.Name, t.Name)
			return c.ShowJSON(t)
		},
	})
	fill.Flags(cmd)
	cmd.Flags().StringArrayVar(&labels, "label", nil, c.T("a label of the node, `KEY=VALUE`; may be repeated", "节点的标签 `KEY=VALUE`；可重复"))
	return cmd
}

func newTargetListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List targets", "列出目标"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListTargets(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("TARGET", "目标"), c.T("KIND", "类型"), c.T("WHERE", "位置"), c.T("CREATED", "创建时间"))
				for _, one := range all.Targets {
					where := one.Settings["server"]
					if where == "" {
						where = one.Settings["put_url"]
					}
					t.Add(one.Name, one.Kind, where, cli.When(one.CreatedAt))
				}
			})
		}),
	})
}

func newTargetShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show how a target is reached", "显示目标的连接方式"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			one, err := server.GetTarget(ctx, args[0])
			if err != nil {
				return err
			}
			return c.Show(one, func(t *cli.Table) {
				t.Add(c.T("Target", "目标"), one.Name)
				t.Add(c.T("Kind", "类型"), one.Kind)
				for _, name := range slices.Sorted(maps.Keys(one.Settings)) {
					value, _, more := strings.Cut(one.Settings[name], "\n")
					if more { // certificates: only their beginning is for a table
						value = fmt.Sprintf(c.T("%s … (%d bytes)", "%s …（%d 字节）"), value, len(one.Settings[name]))
					}
					t.Add("  "+name, value)
				}
				t.Add(c.T("Overwrites next", "下次覆盖"), c.YesNo(one.Overwrite))
				t.Add(c.T("Created", "创建时间"), cli.When(one.CreatedAt))
			})
		}),
	})
}

func newTargetUpdateCmd(c *cli.Run) *cobra.Command {
	fill := &remote.Filling{Run: c}
	cmd := c.Command(cli.Command{
		Use:   "update NAME",
		Short: c.T("Change how a target is reached", "修改目标的连接方式"),
		Long: c.T(
			`Change how a target is reached. Settings that --set does not name stay as they are; the
credential is taken anew: it is never sent where it was not entered for.`,
			`修改目标的连接方式。--set 未指定的设置保持不变；凭证须重新提供：它绝不会被发送到录入时未指定的地方。`,
		),
		Example: "  keyward node target update shop-cluster --credential token.txt",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			have, err := server.GetTarget(ctx, args[0])
			if err != nil {
				return err
			}
			all, err := server.ListTargetKinds(ctx)
			if err != nil {
				return err
			}
			kind, err := targetKind(c, all, have.Kind)
			if err != nil {
				return err
			}
			connection, err := fill.Connection(ctx, kind.Settings, kind.Parts, have.Settings)
			if err != nil {
				return err
			}
			t, err := server.UpdateTarget(ctx, args[0], api.UpdateTargetRequest{Connection: connection})
			if err != nil {
				return err
			}
			c.Say("%s is changed", "%s 已修改", t.Name)
			return c.ShowJSON(t)
		}),
	})
	fill.Flags(cmd)
	return cmd
}

func newTargetSyncCmd(c *cli.Run) *cobra.Command {
	var in api.SyncTargetRequest
	cmd := c.Command(cli.Command{
		Use:   "sync NAME",
		Short: c.T("Have a target looked at now", "立即查看目标"),
		Run: func(ctx context.Context, args []string) error {
			if in.Overwrite {
				if err := c.Confirm(ctx, args[0], c.T(
					fmt.Sprintf("What somebody changed at %s is overwritten with what is here.", args[0]),
					fmt.Sprintf("他人在 %s 所做的修改将被这里的内容覆盖。", args[0]),
				)); err != nil {
					return err
				}
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			if err := server.SyncTarget(ctx, args[0], in); err != nil {
				return err
			}
			c.Say("%s is being looked at; keyward node show %s tells what came of it", "正在查看 %s；用 keyward node show %s 查看结果", args[0], args[0])
			return c.ShowJSON(map[string]any{"name": args[0], "overwrite": in.Overwrite})
		},
	})
	cmd.Flags().BoolVar(&in.Overwrite, "overwrite", false, c.T("also overwrite what somebody changed there", "同时覆盖他人在目标所做的修改"))
	return cmd
}

func newTargetRemoveCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "remove NAME", c.T("Forget a target and its node; what was written stays where it is", "移除目标及其节点；已写入的内容保留在原处"),
		c.T("%s is removed; what was written stays where it is", "%s 已移除；已写入的内容保留在原处"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.RemoveTarget(ctx, args[0])
		})
}
