package inventorycmd

import (
	"cmp"
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
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/fault"
)

func newProviderCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "provider", Short: c.T("Say whose access keys are watched", "管理密钥来源：监视哪些平台的访问密钥")},
		newProviderKindsCmd(c), newProviderAddCmd(c), newProviderListCmd(c), newProviderShowCmd(c), newProviderUpdateCmd(c),
		newProviderRemoveCmd(c), newProviderSyncCmd(c), newProviderPolicyCmd(c),
		newProviderTestCmd(c), newProviderDefinitionCmd(c), newProviderSchemaCmd(c))
}

func newProviderKindsCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "kinds [KIND]",
		Short: c.T("List the kinds of providers, or what one needs", "列出密钥来源的类型，或某一类型所需的内容"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all, err := server.ListProviderKinds(ctx)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return c.Show(all, func(t *cli.Table) {
					t.Add(c.T("KIND", "类型"), c.T("TITLE", "名称"), c.T("SETTINGS", "设置项"), c.T("CREDENTIAL", "凭证"))
					for _, k := range all.Kinds {
						t.Add(k.Name, c.T(k.Title.English, k.Title.Chinese), remote.FieldNames(k.Settings), remote.FieldNames(k.Parts))
					}
				})
			}
			kind, err := providerKind(c, all, args[0])
			if err != nil {
				return err
			}
			return c.Show(kind, func(t *cli.Table) { addProviderKind(c, t, kind) })
		}),
	})
}

func addProviderKind(c *cli.Run, t *cli.Table, k api.ProviderKind) {
	t.Add(c.T("Kind", "类型"), k.Name)
	t.Add(c.T("Title", "名称"), c.T(k.Title.English, k.Title.Chinese))
	t.Add(c.T("Read every", "读取间隔"), k.Pace)
	t.Add(c.T("Keys per principal", "每个主体的密钥数"), cli.OrDash(strings.TrimPrefix(strconv.Itoa(k.MaxKeys), "0")))
	t.Add(c.T("Can be disabled", "可禁用"), c.YesNo(k.Disable))
	t.Add(c.T("Deletion can be undone for", "删除后可恢复"), cli.OrDash(k.Undo))
	t.Add(c.T("Tells of use after", "使用记录的延迟"), cli.OrDash(k.UseLag))
	t.Add(c.T("Knows expiries", "提供到期时间"), c.YesNo(k.Expiry))
	remote.AddFields(c, t, k.Settings, false)
	remote.AddFields(c, t, k.Parts, true)
}

func providerKind(c *cli.Run, all api.ProviderKindList, name string) (api.ProviderKind, error) {
	for _, k := range all.Kinds {
		if k.Name == name {
			return k, nil
		}
	}
	return api.ProviderKind{}, &cli.Problem{
		Message: fmt.Sprintf(c.T("there is no kind of provider %q", "没有密钥来源类型 %q"), name),
		Next:    c.T("list them with: keyward provider kinds", "请用 keyward provider kinds 查看"),
	}
}

func newProviderAddCmd(c *cli.Run) *cobra.Command {
	fill := &remote.Filling{Run: c}
	var in api.AddProviderRequest
	var maxAge, pace time.Duration
	cmd := c.Command(cli.Command{
		Use:   "add KIND NAME",
		Short: c.T("Watch the access keys of an account", "添加密钥来源，监视其访问密钥"),
		Long: c.T(
			`Watch the access keys of an account. The credential is tried first and stored encrypted;
it needs the right to read only, as "keyward provider policy KIND" prints.`,
			`添加密钥来源，监视其访问密钥。凭证会先经过验证，再加密保存；
只需要读取权限，可用 "keyward provider policy KIND" 查看所需策略。`,
		),
		Example: "  keyward provider add keyward own\n  keyward provider add aws prod --credential aws.txt --owner platform --max-age 180d",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all, err := server.ListProviderKinds(ctx)
			if err != nil {
				return err
			}
			kind, err := providerKind(c, all, args[0])
			if err != nil {
				return err
			}
			in.Kind, in.Name = args[0], args[1]
			in.MaxAge, in.Pace = api.FormatDuration(maxAge), api.FormatDuration(pace)
			if in.Connection, err = fill.Connection(ctx, kind.Settings, kind.Parts, nil); err != nil {
				return err
			}
			p, err := server.AddProvider(ctx, in)
			if err != nil {
				return err
			}
			if p.Sync.Identity.Root {
				c.Say("Warning: this is the credential of the account itself; give a user of its own with the rights that \"keyward provider policy %s\" prints.",
					"警告：这是主账号的凭证；请改用专门的子用户，授予 \"keyward provider policy %s\" 列出的权限。", p.Kind)
			}
			return showProvider(c, p)
		}),
	})
	fill.Flags(cmd)
	f := cmd.Flags()
	f.StringVar(&in.Owner, "owner", "", c.T("`NAME` of who answers for keys that nobody else owns", "未指定负责人的密钥由 `NAME` 负责"))
	f.Var(cli.Days(&maxAge), "max-age", c.T("the `AGE` that keys may reach, such as 180d", "密钥允许达到的使用期限 `AGE`，例如 180d"))
	f.Var(cli.Days(&pace), "pace", c.T("read it every `PERIOD`", "每隔 `PERIOD` 读取一次"))
	f.BoolVar(&in.Unchecked, "unchecked", false, c.T("store it without trying the credential", "不验证凭证，直接保存"))
	return cmd
}

func showProvider(c *cli.Run, p api.Provider) error {
	return c.Show(p, func(t *cli.Table) {
		t.Add(c.T("Provider", "来源"), p.Name)
		t.Add(c.T("Kind", "类型"), p.Kind)
		for _, name := range slices.Sorted(maps.Keys(p.Settings)) {
			t.Add("  "+name, p.Settings[name])
		}
		t.Add(c.T("Owner", "负责人"), cli.OrDash(p.Owner))
		t.Add(c.T("Age limit", "最长使用期限"), cli.OrDash(p.MaxAge))
		t.Add(c.T("Read every", "读取间隔"), p.Pace)
		t.Add(c.T("Paused", "已暂停"), pausedText(c, p))
		t.Add(c.T("Created", "创建时间"), cli.When(p.CreatedAt))
		s := p.Sync
		t.Add(c.T("Account", "账号"), cli.OrDash(s.Identity.Account))
		t.Add(c.T("Credential of", "凭证所属"), cli.OrDash(s.Identity.Principal))
		t.Add(c.T("Last read", "最近读取"), cli.When(s.SucceededAt))
		t.Add(c.T("Keys", "密钥数"), strconv.Itoa(s.Keys))
		t.Add(c.T("Failures in a row", "连续失败"), strconv.Itoa(s.Failures))
		if s.Error != "" {
			t.Add(c.T("Error", "错误"), syncError(c, s))
		}
		for _, problem := range s.Problems {
			t.Add(c.T("Problem", "问题"), problemText(problem))
		}
	})
}

// pausedText tells whether a provider is paused, and how old what is known of it is then.
func pausedText(c *cli.Run, p api.Provider) string {
	if !p.Paused || p.Sync.SucceededAt.IsZero() {
		return c.YesNo(p.Paused)
	}
	return fmt.Sprintf(c.T("yes, read %s ago", "是，%s前读取"), age(c, p.Sync.SucceededAt))
}

// notePaused says of which providers of a list of keys nothing new is known, if the caller may see
// providers.
func notePaused(ctx context.Context, c *cli.Run, server *client.Client, keys []api.InventoryKey) {
	listed := map[string]bool{}
	for _, k := range keys {
		listed[k.Provider] = true
	}
	all, err := server.ListProviders(ctx)
	if err != nil {
		return
	}
	for _, p := range all.Providers {
		if p.Paused && listed[p.Name] {
			c.Say("Note: %s is paused; its keys are as they were %s ago. Read it again with: keyward provider update %s --resume",
				"注意：%s 已暂停，其密钥信息截至 %s前。恢复读取：keyward provider update %s --resume", p.Name, age(c, p.Sync.SucceededAt), p.Name)
		}
	}
}

// syncError answers why a provider could not be read, "" if it could.
func syncError(c *cli.Run, s api.ProviderSync) string {
	return c.Told(s.Error, s.ErrorZh)
}

func problemText(p api.ProviderProblem) string {
	s := p.What
	if p.Subject != "" {
		s += " " + p.Subject
	}
	return s + ": " + p.Reason
}

func newProviderListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List providers and how reading them goes", "列出密钥来源及其读取情况"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all, err := server.ListProviders(ctx)
			if err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("PROVIDER", "来源"), c.T("KIND", "类型"), c.T("KEYS", "密钥数"), c.T("LAST READ", "最近读取"), c.T("FAILURES", "失败"),
					c.T("PROBLEMS", "问题"), c.T("OWNER", "负责人"), c.T("AGE LIMIT", "最长使用期限"), c.T("PAUSED", "已暂停"))
				for _, p := range all.Providers {
					t.Add(p.Name, p.Kind, strconv.Itoa(p.Sync.Keys), cli.When(p.Sync.SucceededAt), strconv.Itoa(p.Sync.Failures),
						strconv.Itoa(len(p.Sync.Problems)), cli.OrDash(p.Owner), cli.OrDash(p.MaxAge), pausedText(c, p))
				}
			})
		}),
	})
}

func newProviderShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show a provider and what could not be read", "显示密钥来源及未能读取的内容"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			p, err := server.GetProvider(ctx, args[0])
			if err != nil {
				return err
			}
			return showProvider(c, p)
		}),
	})
}

func newProviderUpdateCmd(c *cli.Run) *cobra.Command {
	fill := &remote.Filling{Run: c}
	var owner string
	var maxAge, pace time.Duration
	var anyAge, pause, resume bool
	var in api.UpdateProviderRequest
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "update NAME",
		Short: c.T("Change a provider, or give it a new credential", "修改密钥来源，或更换其凭证"),
		Run: func(ctx context.Context, args []string) error {
			if pause && resume || anyAge && maxAge != 0 {
				return c.Usage(cmd, "these flags exclude each other", "这些选项不能同时使用")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("owner") {
				in.Owner = &owner
			}
			if anyAge || maxAge != 0 {
				in.MaxAge = new(api.FormatDuration(maxAge))
			}
			if pace != 0 {
				in.Pace = new(api.FormatDuration(pace))
			}
			if pause || resume {
				in.Paused = &pause
			}
			if fill.Given() {
				if in.Connection, err = reconnect(ctx, c, server, args[0], fill); err != nil {
					return err
				}
			}
			p, err := server.UpdateProvider(ctx, args[0], in)
			if err != nil {
				return err
			}
			c.Say("%s is changed", "%s 已修改", p.Name)
			return c.ShowJSON(p)
		},
	})
	fill.Flags(cmd)
	f := cmd.Flags()
	f.StringVar(&owner, "owner", "", c.T("`NAME` of who answers for keys that nobody else owns", "未指定负责人的密钥由 `NAME` 负责"))
	f.Var(cli.Days(&maxAge), "max-age", c.T("the `AGE` that keys may reach, such as 180d", "密钥允许达到的使用期限 `AGE`，例如 180d"))
	f.BoolVar(&anyAge, "any-age", false, c.T("keys may become as old as they want", "不限制密钥的使用期限"))
	f.Var(cli.Days(&pace), "pace", c.T("read it every `PERIOD`", "每隔 `PERIOD` 读取一次"))
	f.BoolVar(&pause, "pause", false, c.T("stop reading it", "暂停读取"))
	f.BoolVar(&resume, "resume", false, c.T("read it again", "恢复读取"))
	f.BoolVar(&in.Unchecked, "unchecked", false, c.T("store it without trying the credential", "不验证凭证，直接保存"))
	return cmd
}

// reconnect fills in a provider's form anew. What has no new value among the settings
// stays; the credential is always given again.
func reconnect(ctx context.Context, c *cli.Run, server *client.Client, name string, fill *remote.Filling) (*api.Connection, error) {
	have, err := server.GetProvider(ctx, name)
	if err != nil {
		return nil, err
	}
	all, err := server.ListProviderKinds(ctx)
	if err != nil {
		return nil, err
	}
	kind, err := providerKind(c, all, have.Kind)
	if err != nil {
		return nil, err
	}
	connection, err := fill.Connection(ctx, kind.Settings, kind.Parts, have.Settings)
	return &connection, err
}

func newProviderRemoveCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "remove NAME", c.T("Forget a provider; remarks on its keys stay", "移除密钥来源；对其密钥的备注会保留"), c.T("%s is removed", "%s 已移除"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			if err := c.Confirm(ctx, args[0], c.T("Its keys leave the inventory, and nobody is told of their expiry any more.", "其密钥将从清单中移除，到期时不再提醒。")); err != nil {
				return nil, err
			}
			return nil, server.RemoveProvider(ctx, args[0])
		})
}

func newProviderSyncCmd(c *cli.Run) *cobra.Command { return syncCmd(c, "sync [NAME...]") }

func newProviderPolicyCmd(c *cli.Run) *cobra.Command {
	var rotation bool
	cmd := c.Command(cli.Command{
		Use:   "policy KIND|NAME",
		Short: c.T("Print the least rights that a provider needs", "打印密钥来源所需的最小权限策略"),
		Long: c.T(
			`Print the least rights that the credential of a provider, or of a kind of providers, needs to read.
With --rotation print those that it needs besides where plans replace keys; USER stands in it for
each user whose keys may be replaced.`,
			`打印某个密钥来源或某类来源的凭证读取所需的最小权限策略。
使用 --rotation 时打印轮换密钥额外需要的权限；其中的 USER 请替换为允许轮换其密钥的用户。`,
		),
		Example: "  keyward provider policy aws\n  keyward provider policy prod --rotation",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all, err := server.ListProviderKinds(ctx)
			if err != nil {
				return err
			}
			kind, account, err := kindOrProvider(ctx, c, server, all, args[0])
			if err != nil {
				return err
			}
			policy := kind.Policy
			if rotation {
				policy = strings.ReplaceAll(kind.Rotation, "ACCOUNT", account)
			}
			if policy == "" {
				c.Say("%s needs no policy", "%s 不需要策略", kind.Name)
				return nil
			}
			_, err = fmt.Fprintln(c.Out, strings.TrimRight(policy, "\n"))
			return err
		}),
	})
	cmd.Flags().BoolVar(&rotation, "rotation", false, c.T("the rights that replacing keys needs besides", "轮换密钥额外需要的权限"))
	return cmd
}

// kindOrProvider answers a kind of providers, or that of a provider with the account that it
// reads.
func kindOrProvider(ctx context.Context, c *cli.Run, server *client.Client, all api.ProviderKindList, name string) (api.ProviderKind, string, error) {
	const anyone = "ACCOUNT" // as the policies have it
	kind, err := providerKind(c, all, name)
	if err == nil {
		return kind, anyone, nil
	}
	p, missing := server.GetProvider(ctx, name)
	if remote.RefusedAs(missing, fault.ResourceNotFound) {
		return kind, "", err
	}
	if missing != nil {
		return kind, "", missing
	}
	kind, err = providerKind(c, all, p.Kind)
	return kind, cmp.Or(p.Sync.Identity.Account, anyone), err
}
