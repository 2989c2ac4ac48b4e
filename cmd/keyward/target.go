package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func newTargetCmd(c *cli) *cobra.Command {
	return c.command(command{use: "target", short: text{"Deliver to places without an agent: Kubernetes, CDNs", "分发到没有代理的位置：Kubernetes、CDN"}},
		newTargetKindsCmd(c), newTargetAddCmd(c), newTargetListCmd(c), newTargetShowCmd(c), newTargetUpdateCmd(c), newTargetSyncCmd(c), newTargetRemoveCmd(c))
}

func newTargetKindsCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "kinds [KIND]",
		short: text{"List the kinds of targets, or what one needs", "列出目标的类型，或某一类型所需的内容"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListTargetKinds(ctx)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return c.show(all, func(t *table) {
					t.add(c.t("KIND", "类型"), c.t("SETTINGS", "设置项"), c.t("CREDENTIAL", "凭证"))
					for _, k := range all.Kinds {
						t.add(k.Name, fieldNames(k.Settings), fieldNames(k.Parts))
					}
				})
			}
			kind, err := c.targetKind(all, args[0])
			if err != nil {
				return err
			}
			return c.show(kind, func(t *table) {
				t.add(c.t("Kind", "类型"), kind.Name)
				c.addFields(t, kind.Settings, false)
				c.addFields(t, kind.Parts, true)
			})
		},
	})
}

func (c *cli) targetKind(all api.TargetKindList, name string) (api.TargetKind, error) {
	for _, k := range all.Kinds {
		if k.Name == name {
			return k, nil
		}
	}
	return api.TargetKind{}, &problem{
		message: fmt.Sprintf(c.t("there is no kind of target %q", "没有目标类型 %q"), name),
		next:    c.t("list them with: keyward node target kinds", "请用 keyward node target kinds 查看"),
	}
}

func newTargetAddCmd(c *cli) *cobra.Command {
	fill := &filling{cli: c}
	var labels []string
	cmd := c.command(command{
		use:   "add KIND NAME",
		short: text{"Make a place a node, to which the server delivers by itself", "添加目标：由服务器自行分发的节点"},
		long: text{
			`Make a place a node, to which the server delivers by itself. The place must accept the
credential first, which is stored encrypted. What is delivered to the node, and in which
wave, follows from its labels; "keyward node show NAME" tells what it has.`,
			`添加目标：由服务器自行分发的节点。凭证会先经过验证，再加密保存。分发的内容和批次由其标签决定；
用 "keyward node show NAME" 查看其持有的内容。`,
		},
		example: "  keyward node target add kubernetes shop-cluster --set server=https://10.0.0.1:6443 --set ca=\"$(cat ca.crt)\" --set namespace=shop \\\n" +
			"    --set secret=pay-key --set selector=app=shop --set workload=deployment/shop --credential token.txt --label app=shop\n" +
			"  keyward node target add edge cdn --set put_url='https://cdn.example.com/keyward/{rollout}' --set pops_url='https://cdn.example.com/keyward/{rollout}/pops' --credential hmac.txt",
		run: func(ctx context.Context, args []string) error {
			given, err := c.tags(labels)
			if err != nil {
				return err
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListTargetKinds(ctx)
			if err != nil {
				return err
			}
			kind, err := c.targetKind(all, args[0])
			if err != nil {
				return err
			}
			in := api.AddTargetRequest{Name: args[1], Kind: args[0], Labels: given}
			if in.Connection, err = fill.connection(ctx, kind.Settings, kind.Parts, nil); err != nil {
				return err
			}
			t, err := server.AddTarget(ctx, in)
			if err != nil {
				return err
			}
			c.say("%s is added; keyward node show %s tells what it has", "%s 已添加；用 keyward node show %s 查看其持有的内容", t.Name, t.Name)
			return c.jsonOnly(t)
		},
	})
	fill.flags(cmd)
	cmd.Flags().StringArrayVar(&labels, "label", nil, c.t("a label of the node, `KEY=VALUE`; may be repeated", "节点的标签 `KEY=VALUE`；可重复"))
	return cmd
}

func newTargetListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List targets", "列出目标"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListTargets(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("TARGET", "目标"), c.t("KIND", "类型"), c.t("WHERE", "位置"), c.t("CREATED", "创建时间"))
				for _, one := range all.Targets {
					where := one.Settings["server"]
					if where == "" {
						where = one.Settings["put_url"]
					}
					t.add(one.Name, one.Kind, where, when(one.CreatedAt))
				}
			})
		},
	})
}

func newTargetShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show NAME",
		short: text{"Show how a target is reached", "显示目标的连接方式"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			one, err := server.GetTarget(ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(one, func(t *table) {
				t.add(c.t("Target", "目标"), one.Name)
				t.add(c.t("Kind", "类型"), one.Kind)
				for _, name := range slices.Sorted(maps.Keys(one.Settings)) {
					value, _, more := strings.Cut(one.Settings[name], "\n")
					if more { // certificates: only their beginning is for a table
						value = fmt.Sprintf(c.t("%s … (%d bytes)", "%s …（%d 字节）"), value, len(one.Settings[name]))
					}
					t.add("  "+name, value)
				}
				t.add(c.t("Overwrites next", "下次覆盖"), c.yesNo(one.Overwrite))
				t.add(c.t("Created", "创建时间"), when(one.CreatedAt))
			})
		},
	})
}

func newTargetUpdateCmd(c *cli) *cobra.Command {
	fill := &filling{cli: c}
	cmd := c.command(command{
		use:   "update NAME",
		short: text{"Change how a target is reached", "修改目标的连接方式"},
		long: text{
			`Change how a target is reached. Settings that --set does not name stay as they are; the
credential is taken anew: it is never sent where it was not entered for.`,
			`修改目标的连接方式。--set 未指定的设置保持不变；凭证须重新提供：它绝不会被发送到录入时未指定的地方。`,
		},
		example: "  keyward node target update shop-cluster --credential token.txt",
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			have, err := server.GetTarget(ctx, args[0])
			if err != nil {
				return err
			}
			all, err := server.ListTargetKinds(ctx)
			if err != nil {
				return err
			}
			kind, err := c.targetKind(all, have.Kind)
			if err != nil {
				return err
			}
			connection, err := fill.connection(ctx, kind.Settings, kind.Parts, have.Settings)
			if err != nil {
				return err
			}
			t, err := server.UpdateTarget(ctx, args[0], api.UpdateTargetRequest{Connection: connection})
			if err != nil {
				return err
			}
			c.say("%s is changed", "%s 已修改", t.Name)
			return c.jsonOnly(t)
		},
	})
	fill.flags(cmd)
	return cmd
}

func newTargetSyncCmd(c *cli) *cobra.Command {
	var in api.SyncTargetRequest
	cmd := c.command(command{
		use:   "sync NAME",
		short: text{"Have a target looked at now", "立即查看目标"},
		run: func(ctx context.Context, args []string) error {
			if in.Overwrite {
				if err := c.confirm(ctx, args[0], text{
					fmt.Sprintf("What somebody changed at %s is overwritten with what is here.", args[0]),
					fmt.Sprintf("他人在 %s 所做的修改将被这里的内容覆盖。", args[0]),
				}); err != nil {
					return err
				}
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			if err := server.SyncTarget(ctx, args[0], in); err != nil {
				return err
			}
			c.say("%s is being looked at; keyward node show %s tells what came of it", "正在查看 %s；用 keyward node show %s 查看结果", args[0], args[0])
			return c.jsonOnly(map[string]any{"name": args[0], "overwrite": in.Overwrite})
		},
	})
	cmd.Flags().BoolVar(&in.Overwrite, "overwrite", false, c.t("also overwrite what somebody changed there", "同时覆盖他人在目标所做的修改"))
	return cmd
}

func newTargetRemoveCmd(c *cli) *cobra.Command {
	return c.onServer("remove NAME", text{"Forget a target and its node; what was written stays where it is", "移除目标及其节点；已写入的内容保留在原处"},
		text{"%s is removed; what was written stays where it is", "%s 已移除；已写入的内容保留在原处"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.RemoveTarget(ctx, args[0])
		})
}
