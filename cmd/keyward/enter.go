package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

// guides answers the guides of all kinds of providers.
func (c *cli) guides(ctx context.Context, server *client.Client) ([]api.Guide, error) {
	all, err := server.ListProviderKinds(ctx)
	var out []api.Guide
	for _, k := range all.Kinds {
		out = append(out, k.Guides...)
	}
	return out, err
}

func (c *cli) guide(all []api.Guide, name string) (api.Guide, error) {
	for _, g := range all {
		if g.Name == name {
			return g, nil
		}
	}
	return api.Guide{}, &problem{
		message: fmt.Sprintf(c.t("there is no guide %q", "没有操作指引 %q"), name),
		next:    c.t("list them with: keyward accesskey guides", "请用 keyward accesskey guides 查看"),
	}
}

func newGuidesCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "guides [GUIDE]",
		short: text{"Show how keys are changed that only a person at a console can change", "查看只能由人工在控制台更换的密钥的操作指引"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := c.guides(ctx, server)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return c.show(all, func(t *table) {
					t.add(c.t("GUIDE", "指引"), c.t("KEY", "密钥"), c.t("SETTINGS", "设置项"), c.t("SECRET", "机密内容"))
					for _, g := range all {
						t.add(g.Name, c.of(g.Title), fieldNames(g.Settings), fieldNames(g.Parts))
					}
				})
			}
			g, err := c.guide(all, args[0])
			if err != nil {
				return err
			}
			return c.show(g, func(t *table) { c.addGuide(t, g) })
		},
	})
}

func (c *cli) addGuide(t *table, g api.Guide) {
	t.add(c.t("Key", "密钥"), c.of(g.Title))
	for i, step := range g.Steps {
		t.add(fmt.Sprintf(c.t("Step %d", "第 %d 步"), i+1), c.of(step))
	}
	c.addFields(t, g.Settings, false)
	c.addFields(t, g.Parts, true)
}

func newEnterCmd(c *cli) *cobra.Command {
	fill := &filling{cli: c}
	var in api.EnterKeyRequest
	cmd := c.command(command{
		use:   "enter PROVIDER GUIDE",
		short: text{"Enter a key that you made at a console; it is checked, and sealed at once", "录入您在控制台创建的密钥：立即校验并加密保存"},
		long: text{
			`Enter a key that you made at a console. On a terminal the steps are shown and what is
secret is asked for; otherwise give --credential. What does not pass the checks is not kept.`,
			`录入您在控制台创建的密钥。在终端中会显示操作步骤并询问机密内容；否则请使用 --credential。
未通过校验的内容不会保存。`,
		},
		example: "  keyward provider add manual wechat\n  keyward accesskey enter wechat wechatpay-apiv3-key --set mchid=1900000001 --credential key.txt --owner pay",
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := c.guides(ctx, server)
			if err != nil {
				return err
			}
			g, err := c.guide(all, args[1])
			if err != nil {
				return err
			}
			if c.interactive && !c.noInput {
				for i, step := range g.Steps {
					fmt.Fprintf(c.err, "%d. %s\n", i+1, c.of(step))
				}
			}
			in.Guide = g.Name
			if in.Connection, err = fill.connection(ctx, g.Settings, g.Parts, nil); err != nil {
				return err
			}
			entered, err := server.EnterKey(ctx, args[0], in)
			if err != nil {
				return err
			}
			for _, w := range entered.Warnings {
				c.say("Look at this: %s", "请注意：%s", c.of(w))
			}
			return c.showInventoryKey(entered.Key)
		},
	})
	fill.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&in.Owner, "owner", "", c.t("`NAME` of who answers for it", "负责人 `NAME`"))
	f.StringVar(&in.Purpose, "purpose", "", c.t("what it is for: `TEXT`", "用途 `TEXT`"))
	f.StringVar(&in.System, "system", "", c.t("the `SYSTEM` that it belongs to", "所属系统 `SYSTEM`"))
	return cmd
}

func newForgetCmd(c *cli) *cobra.Command {
	return c.onServer("forget PROVIDER KEY", text{"Remove an entered or gone key from the inventory", "从清单中移除人工录入或已不存在的密钥"}, text{"a key of %s is forgotten", "已移除 %s 的一个密钥"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.confirm(ctx, args[1], text{"Nobody is told of its expiry any more.", "此后不再提醒其到期。"}); err != nil {
				return nil, err
			}
			return nil, server.ForgetKey(ctx, args[0], args[1])
		})
}
