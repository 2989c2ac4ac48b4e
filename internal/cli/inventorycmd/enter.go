package inventorycmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

// guides answers the guides of all kinds of providers.
func guides(ctx context.Context, server *client.Client) ([]api.Guide, error) {
	all, err := server.ListProviderKinds(ctx)
	var out []api.Guide
	for _, k := range all.Kinds {
		out = append(out, k.Guides...)
	}
	return out, err
}

func guide(c *cli.Run, all []api.Guide, name string) (api.Guide, error) {
	for _, g := range all {
		if g.Name == name {
			return g, nil
		}
	}
	return api.Guide{}, &cli.Problem{
		Message: fmt.Sprintf(c.T("there is no guide %q", "没有操作指引 %q"), name),
		Next:    c.T("list them with: keyward accesskey guides", "请用 keyward accesskey guides 查看"),
	}
}

func newGuidesCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "guides [GUIDE]",
		Short: c.T("Show how keys are changed that only a person at a console can change", "查看只能由人工在控制台更换的密钥的操作指引"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all, err := guides(ctx, server)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return c.Show(all, func(t *cli.Table) {
					t.Add(c.T("GUIDE", "指引"), c.T("KEY", "密钥"), c.T("SETTINGS", "设置项"), c.T("SECRET", "机密内容"))
					for _, g := range all {
						t.Add(g.Name, c.Of(g.Title), remote.FieldNames(g.Settings), remote.FieldNames(g.Parts))
					}
				})
			}
			g, err := guide(c, all, args[0])
			if err != nil {
				return err
			}
			return c.Show(g, func(t *cli.Table) { addGuide(c, t, g) })
		}),
	})
}

func addGuide(c *cli.Run, t *cli.Table, g api.Guide) {
	t.Add(c.T("Key", "密钥"), c.Of(g.Title))
	for i, step := range g.Steps {
		t.Add(fmt.Sprintf(c.T("Step %d", "第 %d 步"), i+1), c.Of(step))
	}
	remote.AddFields(c, t, g.Settings, false)
	remote.AddFields(c, t, g.Parts, true)
}

func newEnterCmd(c *cli.Run) *cobra.Command {
	fill := &remote.Filling{Run: c}
	var in api.EnterKeyRequest
	cmd := c.Command(cli.Command{
		Use:   "enter PROVIDER GUIDE",
		Short: c.T("Enter a key that you made at a console; it is checked, and sealed at once", "录入您在控制台创建的密钥：立即校验并加密保存"),
		Long: c.T(
			`Enter a key that you made at a console. On a terminal the steps are shown and what is
secret is asked for; otherwise give --credential. What does not pass the checks is not kept.`,
			`录入您在控制台创建的密钥。在终端中会显示操作步骤并询问机密内容；否则请使用 --credential。
未通过校验的内容不会保存。`,
		),
		Example: "  keyward provider add manual wechat\n  keyward accesskey enter wechat wechatpay-apiv3-key --set mchid=1900000001 --credential key.txt --owner pay",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all, err := guides(ctx, server)
			if err != nil {
				return err
			}
			g, err := guide(c, all, args[1])
			if err != nil {
				return err
			}
			if c.Interactive && !c.NoInput {
				for i, step := range g.Steps {
					fmt.Fprintf(c.Err, "%d. %s\n", i+1, c.Of(step))
				}
			}
			in.Guide = g.Name
			if in.Connection, err = fill.Connection(ctx, g.Settings, g.Parts, nil); err != nil {
				return err
			}
			entered, err := server.EnterKey(ctx, args[0], in)
			if err != nil {
				return err
			}
			for _, w := range entered.Warnings {
				c.Say("Look at this: %s", "请注意：%s", c.Of(w))
			}
			return showInventoryKey(c, entered.Key)
		}),
	})
	fill.Flags(cmd)
	f := cmd.Flags()
	f.StringVar(&in.Owner, "owner", "", c.T("`NAME` of who answers for it", "负责人 `NAME`"))
	f.StringVar(&in.Purpose, "purpose", "", c.T("what it is for: `TEXT`", "用途 `TEXT`"))
	f.StringVar(&in.System, "system", "", c.T("the `SYSTEM` that it belongs to", "所属系统 `SYSTEM`"))
	return cmd
}

func newForgetCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "forget PROVIDER KEY", c.T("Remove an entered or gone key from the inventory", "从清单中移除人工录入或已不存在的密钥"), c.T("a key of %s is forgotten", "已移除 %s 的一个密钥"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.Confirm(ctx, args[1], c.T("Nobody is told of its expiry any more.", "此后不再提醒其到期。")); err != nil {
				return nil, err
			}
			return nil, server.ForgetKey(ctx, args[0], args[1])
		})
}
