package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func newProviderCmd(c *cli) *cobra.Command {
	return c.command(command{use: "provider", short: text{"Say whose access keys are watched", "管理密钥来源：监视哪些平台的访问密钥"}},
		newProviderKindsCmd(c), newProviderAddCmd(c), newProviderListCmd(c), newProviderShowCmd(c), newProviderUpdateCmd(c),
		newProviderRemoveCmd(c), newProviderSyncCmd(c), newProviderPolicyCmd(c),
		newProviderTestCmd(c), newProviderDefinitionCmd(c), newProviderSchemaCmd(c))
}

func newProviderKindsCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "kinds [KIND]",
		short: text{"List the kinds of providers, or what one needs", "列出密钥来源的类型，或某一类型所需的内容"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListProviderKinds(ctx)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return c.show(all, func(t *table) {
					t.add(c.t("KIND", "类型"), c.t("TITLE", "名称"), c.t("SETTINGS", "设置项"), c.t("CREDENTIAL", "凭证"))
					for _, k := range all.Kinds {
						t.add(k.Name, c.t(k.Title.English, k.Title.Chinese), fieldNames(k.Settings), fieldNames(k.Parts))
					}
				})
			}
			kind, err := c.providerKind(all, args[0])
			if err != nil {
				return err
			}
			return c.show(kind, func(t *table) { c.addProviderKind(t, kind) })
		},
	})
}

func (c *cli) addProviderKind(t *table, k api.ProviderKind) {
	t.add(c.t("Kind", "类型"), k.Name)
	t.add(c.t("Title", "名称"), c.t(k.Title.English, k.Title.Chinese))
	t.add(c.t("Read every", "读取间隔"), k.Pace)
	t.add(c.t("Keys per principal", "每个主体的密钥数"), orDash(strings.TrimPrefix(strconv.Itoa(k.MaxKeys), "0")))
	t.add(c.t("Can be disabled", "可禁用"), c.yesNo(k.Disable))
	t.add(c.t("Deletion can be undone for", "删除后可恢复"), orDash(k.Undo))
	t.add(c.t("Tells of use after", "使用记录的延迟"), orDash(k.UseLag))
	t.add(c.t("Knows expiries", "提供到期时间"), c.yesNo(k.Expiry))
	c.addFields(t, k.Settings, false)
	c.addFields(t, k.Parts, true)
}

func (c *cli) providerKind(all api.ProviderKindList, name string) (api.ProviderKind, error) {
	for _, k := range all.Kinds {
		if k.Name == name {
			return k, nil
		}
	}
	return api.ProviderKind{}, &problem{
		message: fmt.Sprintf(c.t("there is no kind of provider %q", "没有密钥来源类型 %q"), name),
		next:    c.t("list them with: keyward provider kinds", "请用 keyward provider kinds 查看"),
	}
}

func newProviderAddCmd(c *cli) *cobra.Command {
	fill := &filling{cli: c}
	var in api.AddProviderRequest
	var maxAge, pace time.Duration
	cmd := c.command(command{
		use:   "add KIND NAME",
		short: text{"Watch the access keys of an account", "添加密钥来源，监视其访问密钥"},
		long: text{
			`Watch the access keys of an account. The credential is tried first and stored encrypted;
it needs the right to read only, as "keyward provider policy KIND" prints.`,
			`添加密钥来源，监视其访问密钥。凭证会先经过验证，再加密保存；
只需要读取权限，可用 "keyward provider policy KIND" 查看所需策略。`,
		},
		example: "  keyward provider add keyward own\n  keyward provider add aws prod --credential aws.txt --owner platform --max-age 180d",
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListProviderKinds(ctx)
			if err != nil {
				return err
			}
			kind, err := c.providerKind(all, args[0])
			if err != nil {
				return err
			}
			in.Kind, in.Name = args[0], args[1]
			in.MaxAge, in.Pace = api.FormatDuration(maxAge), api.FormatDuration(pace)
			if in.Connection, err = fill.connection(ctx, kind.Settings, kind.Parts, nil); err != nil {
				return err
			}
			p, err := server.AddProvider(ctx, in)
			if err != nil {
				return err
			}
			if p.Sync.Identity.Root {
				c.say("Warning: this is the credential of the account itself; give a user of its own with the rights that \"keyward provider policy %s\" prints.",
					"警告：这是主账号的凭证；请改用专门的子用户，授予 \"keyward provider policy %s\" 列出的权限。", p.Kind)
			}
			return c.showProvider(p)
		},
	})
	fill.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&in.Owner, "owner", "", c.t("`NAME` of who answers for keys that nobody else owns", "未指定负责人的密钥由 `NAME` 负责"))
	f.Var(days{&maxAge}, "max-age", c.t("the `AGE` that keys may reach, such as 180d", "密钥允许达到的使用期限 `AGE`，例如 180d"))
	f.Var(days{&pace}, "pace", c.t("read it every `PERIOD`", "每隔 `PERIOD` 读取一次"))
	f.BoolVar(&in.Unchecked, "unchecked", false, c.t("store it without trying the credential", "不验证凭证，直接保存"))
	return cmd
}

func (c *cli) showProvider(p api.Provider) error {
	return c.show(p, func(t *table) {
		t.add(c.t("Provider", "来源"), p.Name)
		t.add(c.t("Kind", "类型"), p.Kind)
		for _, name := range slices.Sorted(maps.Keys(p.Settings)) {
			t.add("  "+name, p.Settings[name])
		}
		t.add(c.t("Owner", "负责人"), orDash(p.Owner))
		t.add(c.t("Age limit", "最长使用期限"), orDash(p.MaxAge))
		t.add(c.t("Read every", "读取间隔"), p.Pace)
		t.add(c.t("Paused", "已暂停"), c.yesNo(p.Paused))
		t.add(c.t("Created", "创建时间"), when(p.CreatedAt))
		s := p.Sync
		t.add(c.t("Account", "账号"), orDash(s.Identity.Account))
		t.add(c.t("Credential of", "凭证所属"), orDash(s.Identity.Principal))
		t.add(c.t("Last read", "最近读取"), when(s.SucceededAt))
		t.add(c.t("Keys", "密钥数"), strconv.Itoa(s.Keys))
		t.add(c.t("Failures in a row", "连续失败"), strconv.Itoa(s.Failures))
		if s.Error != "" {
			t.add(c.t("Error", "错误"), s.Error)
		}
		for _, problem := range s.Problems {
			t.add(c.t("Problem", "问题"), problemText(problem))
		}
	})
}

func problemText(p api.ProviderProblem) string {
	s := p.What
	if p.Subject != "" {
		s += " " + p.Subject
	}
	return s + ": " + p.Reason
}

func newProviderListCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "list",
		short: text{"List providers and how reading them goes", "列出密钥来源及其读取情况"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListProviders(ctx)
			if err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("PROVIDER", "来源"), c.t("KIND", "类型"), c.t("KEYS", "密钥数"), c.t("LAST READ", "最近读取"), c.t("FAILURES", "失败"),
					c.t("PROBLEMS", "问题"), c.t("OWNER", "负责人"), c.t("AGE LIMIT", "最长使用期限"), c.t("PAUSED", "已暂停"))
				for _, p := range all.Providers {
					t.add(p.Name, p.Kind, strconv.Itoa(p.Sync.Keys), when(p.Sync.SucceededAt), strconv.Itoa(p.Sync.Failures),
						strconv.Itoa(len(p.Sync.Problems)), orDash(p.Owner), orDash(p.MaxAge), c.yesNo(p.Paused))
				}
			})
		},
	})
}

func newProviderShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show NAME",
		short: text{"Show a provider and what could not be read", "显示密钥来源及未能读取的内容"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			p, err := server.GetProvider(ctx, args[0])
			if err != nil {
				return err
			}
			return c.showProvider(p)
		},
	})
}

func newProviderUpdateCmd(c *cli) *cobra.Command {
	fill := &filling{cli: c}
	var owner string
	var maxAge, pace time.Duration
	var anyAge, pause, resume bool
	var in api.UpdateProviderRequest
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "update NAME",
		short: text{"Change a provider, or give it a new credential", "修改密钥来源，或更换其凭证"},
		run: func(ctx context.Context, args []string) error {
			if pause && resume || anyAge && maxAge != 0 {
				return c.usage(cmd, "these flags exclude each other", "这些选项不能同时使用")
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("owner") {
				in.Owner = &owner
			}
			if anyAge || maxAge != 0 {
				in.MaxAge = ptr(api.FormatDuration(maxAge))
			}
			if pace != 0 {
				in.Pace = ptr(api.FormatDuration(pace))
			}
			if pause || resume {
				in.Paused = &pause
			}
			if fill.given() {
				if in.Connection, err = c.reconnect(ctx, server, args[0], fill); err != nil {
					return err
				}
			}
			p, err := server.UpdateProvider(ctx, args[0], in)
			if err != nil {
				return err
			}
			c.say("%s is changed", "%s 已修改", p.Name)
			return c.jsonOnly(p)
		},
	})
	fill.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&owner, "owner", "", c.t("`NAME` of who answers for keys that nobody else owns", "未指定负责人的密钥由 `NAME` 负责"))
	f.Var(days{&maxAge}, "max-age", c.t("the `AGE` that keys may reach, such as 180d", "密钥允许达到的使用期限 `AGE`，例如 180d"))
	f.BoolVar(&anyAge, "any-age", false, c.t("keys may become as old as they want", "不限制密钥的使用期限"))
	f.Var(days{&pace}, "pace", c.t("read it every `PERIOD`", "每隔 `PERIOD` 读取一次"))
	f.BoolVar(&pause, "pause", false, c.t("stop reading it", "暂停读取"))
	f.BoolVar(&resume, "resume", false, c.t("read it again", "恢复读取"))
	f.BoolVar(&in.Unchecked, "unchecked", false, c.t("store it without trying the credential", "不验证凭证，直接保存"))
	return cmd
}

// reconnect fills in a provider's form anew. What has no new value among the settings
// stays; the credential is always given again.
func (c *cli) reconnect(ctx context.Context, server *client.Client, name string, fill *filling) (*api.Connection, error) {
	have, err := server.GetProvider(ctx, name)
	if err != nil {
		return nil, err
	}
	all, err := server.ListProviderKinds(ctx)
	if err != nil {
		return nil, err
	}
	kind, err := c.providerKind(all, have.Kind)
	if err != nil {
		return nil, err
	}
	connection, err := fill.connection(ctx, kind.Settings, kind.Parts, have.Settings)
	return &connection, err
}

func newProviderRemoveCmd(c *cli) *cobra.Command {
	return c.onServer("remove NAME", text{"Forget a provider; remarks on its keys stay", "移除密钥来源；对其密钥的备注会保留"}, text{"%s is removed", "%s 已移除"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.confirm(ctx, args[0], text{"Its keys leave the inventory, and nobody is told of their expiry any more.", "其密钥将从清单中移除，到期时不再提醒。"}); err != nil {
				return nil, err
			}
			return nil, server.RemoveProvider(ctx, args[0])
		})
}

func newProviderSyncCmd(c *cli) *cobra.Command { return c.syncCmd("sync [NAME...]") }

func newProviderPolicyCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "policy KIND",
		short: text{"Print the least rights that a kind of provider needs", "打印某类密钥来源所需的最小权限策略"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all, err := server.ListProviderKinds(ctx)
			if err != nil {
				return err
			}
			kind, err := c.providerKind(all, args[0])
			if err != nil {
				return err
			}
			if kind.Policy == "" {
				c.say("%s needs no policy", "%s 不需要策略", kind.Name)
				return nil
			}
			_, err = fmt.Fprintln(c.out, strings.TrimRight(kind.Policy, "\n"))
			return err
		},
	})
}
