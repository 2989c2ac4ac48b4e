package inventorycmd

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
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/fault"
)

func newAccessKeyCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "accesskey",
		Short: c.T("Know the access keys that others issued", "查看其他平台签发的访问密钥"),
		Long: c.T(
			"Know the access keys that others issued: clouds, services, payment platforms. keyward's own are managed with \"keyward user accesskey\".",
			"查看云平台、服务和支付平台签发的访问密钥。keyward 自己的访问密钥用 \"keyward user accesskey\" 管理。",
		),
	},
		newInventoryListCmd(c), newInventoryShowCmd(c), newInventoryRemarkCmd(c), syncCmd(c, "sync [PROVIDER...]"), newCalendarCmd(c), newAccessKeyChecksCmd(c),
		newGuidesCmd(c), newEnterCmd(c), newForgetCmd(c))
}

func newInventoryListCmd(c *cli.Run) *cobra.Command {
	var in api.ListInventoryRequest
	var within time.Duration
	cmd := c.Command(cli.Command{
		Use:     "list",
		Short:   c.T("List access keys, the most urgent first", "列出访问密钥，最紧急的在前"),
		Example: "  keyward accesskey list --due-within 30d\n  keyward accesskey list --owner - --output csv > nobodys.csv",
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			if within != 0 {
				in.DueBefore = c.Now().Add(within).UTC().Truncate(time.Second)
			}
			in.Limit = 1000
			all := api.InventoryList{Keys: []api.InventoryKey{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListInventory(ctx, in)
				all.Keys = append(all.Keys, page.Keys...)
				return page.Next, err
			}); err != nil {
				return err
			}
			notePaused(ctx, c, server, all.Keys)
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("PROVIDER", "来源"), c.T("KEY", "密钥"), c.T("NAME", "名称"), c.T("STATUS", "状态"), c.T("OWNER", "负责人"), c.T("AGE", "已使用"),
					c.T("LAST USED", "最近使用"), c.T("EXPIRES", "到期时间"), c.T("SAYS", "依据"), c.T("LEFT", "剩余"), c.T("UNDO", "可撤销"))
				for _, k := range all.Keys {
					ends := expiry(k)
					t.Add(k.Provider, k.ID, keyName(k), keyStatus(c, k.Status), cli.OrDash(k.Owner), age(c, k.CreatedAt), used(c, k.Use), cli.When(ends.At), basis(c, ends.Basis), left(c, k.Due.At), undoable(c, k))
				}
			})
		}),
	})
	f := cmd.Flags()
	f.StringVar(&in.Provider, "provider", "", c.T("only of the provider `NAME`", "只列出来源 `NAME` 的密钥"))
	f.StringVar(&in.Status, "status", "", c.T("only with `STATUS`: active, inactive, expired, deleted or gone", "只列出状态为 `STATUS` 的：active、inactive、expired、deleted 或 gone"))
	f.StringVar(&in.Owner, "owner", "", c.T("only of `OWNER`, - for nobody's", "只列出 `OWNER` 负责的，- 表示无人负责"))
	f.StringVar(&in.Text, "text", "", c.T("only with `TEXT` in the id or the name", "只列出 ID 或名称包含 `TEXT` 的"))
	f.Var(cli.Days(&within), "due-within", c.T("only what is due within `PERIOD`", "只列出 `PERIOD` 内到期的"))
	f.StringVar(&in.Order, "sort", "due", c.T("`ORDER`: due, age, use or name", "排序 `ORDER`：due（到期）、age（使用时长）、use（最近使用）或 name（名称）"))
	cli.Complete(cmd, "status", "active", "inactive", "expired", "deleted", "gone")
	cli.Complete(cmd, "sort", "due", "age", "use", "name")
	return cmd
}

// expiry answers when a key is due or, if nothing is to be done about it as it does not work, when
// it would have ended as its provider says.
func expiry(k api.InventoryKey) api.KeyExpiry {
	if k.Due.At.IsZero() {
		return k.Expiry
	}
	return k.Due
}

// keyName answers what people call a key.
func keyName(k api.InventoryKey) string {
	for _, name := range []string{k.Remark.Purpose, k.Principal.Name, k.Name, k.Principal.ID} {
		if name != "" {
			return name
		}
	}
	return "-"
}

func keyStatus(c *cli.Run, status string) string {
	zh := map[string]string{"active": "启用", "inactive": "已禁用", "expired": "已过期", "deleted": "已删除", "gone": "已消失"}[status]
	if zh == "" {
		return status
	}
	return c.T(status, zh)
}

// age writes how old something is, in the largest unit that says enough.
func age(c *cli.Run, since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return span(c, max(c.Now().Sub(since), 0))
}

// left writes how long is left until a time, rounded down.
func left(c *cli.Run, until time.Time) string {
	switch d := until.Sub(c.Now()); {
	case until.IsZero():
		return "-"
	case d <= 0:
		return c.T("EXPIRED", "已过期")
	default:
		return span(c, d)
	}
}

func span(c *cli.Run, d time.Duration) string {
	switch {
	case d < time.Hour:
		return fmt.Sprintf(c.T("%d min", "%d 分钟"), d/time.Minute)
	case d < 2*cli.Day:
		return fmt.Sprintf(c.T("%d h", "%d 小时"), d/time.Hour)
	}
	return fmt.Sprintf(c.T("%d days", "%d 天"), d/cli.Day)
}

// used writes a last use with how far it may be behind.
func used(c *cli.Run, u api.KeyUse) string {
	said := map[string]string{"no": c.T("never", "从未使用"), "unknown": c.T("not told", "未提供"), "yes": cli.When(u.At)}[u.Known]
	if u.Lag != "" && u.Known != "unknown" {
		said += fmt.Sprintf(c.T(" (as of %s ago)", "（延迟 %s）"), u.Lag)
	}
	return said
}

func basis(c *cli.Run, basis string) string {
	switch basis {
	case "provider":
		return c.T("provider", "平台给出")
	case "certificate":
		return c.T("certificate", "证书")
	case "declared":
		return c.T("declared", "人工登记")
	case "policy":
		return c.T("age limit", "最长使用期限")
	}
	return "-"
}

func newInventoryShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show PROVIDER KEY",
		Short: c.T("Show all that is known of an access key", "显示访问密钥的全部信息"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			k, err := server.GetInventoryKey(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			notePaused(ctx, c, server, []api.InventoryKey{k})
			return showInventoryKey(c, k)
		}),
	})
}

func showInventoryKey(c *cli.Run, k api.InventoryKey) error {
	return c.Show(k, func(t *cli.Table) {
		t.Add(c.T("Key", "密钥"), k.ID)
		t.Add(c.T("Provider", "来源"), k.Provider+" ("+k.Kind+")")
		t.Add(c.T("Name", "名称"), cli.OrDash(k.Name))
		t.Add(c.T("Principal", "主体"), cli.OrDash(strings.TrimSpace(k.Principal.Name+" "+k.Principal.Kind)))
		t.Add(c.T("Status", "状态"), keyStatus(c, k.Status))
		for _, line := range undoing(c, k) {
			t.Add(line.what, line.means)
		}
		t.Add(c.T("Created", "创建时间"), cli.When(k.CreatedAt))
		t.Add(c.T("Age", "已使用"), age(c, k.CreatedAt))
		t.Add(c.T("Last used", "最近使用"), used(c, k.Use))
		t.Add(c.T("Used for", "用于"), cli.OrDash(strings.TrimSpace(k.Use.Service+" "+k.Use.Region+" "+k.Use.Source)))
		t.Add(c.T("Due", "到期时间"), cli.When(k.Due.At))
		t.Add(c.T("Says", "依据"), basis(c, k.Due.Basis))
		t.Add(c.T("Left", "剩余"), left(c, k.Due.At))
		r := k.Remark
		t.Add(c.T("  as the provider says", "  平台给出"), cli.When(k.Expiry.At))
		t.Add(c.T("  as declared", "  人工登记"), cli.When(r.ExpiresAt))
		t.Add(c.T("Owner", "负责人"), cli.OrDash(k.Owner))
		t.Add(c.T("Purpose", "用途"), cli.OrDash(r.Purpose))
		t.Add(c.T("System", "系统"), cli.OrDash(r.System))
		t.Add(c.T("Used by", "使用方"), cli.OrDash(strings.Join(r.Consumers, ", ")))
		t.Add(c.T("Tags", "标签"), cli.OrDash(cli.Pairs(r.Tags)))
		t.Add(c.T("Permanent", "确认长期有效"), c.YesNo(r.Permanent))
		t.Add(c.T("Note", "备注"), cli.OrDash(r.Note))
		t.Add(c.T("Tags of the provider", "平台标签"), cli.OrDash(cli.Pairs(k.Tags)))
		t.Add(c.T("Details", "详情"), cli.OrDash(cli.Pairs(k.Detail)))
		t.Add(c.T("First seen", "首次发现"), cli.When(k.SeenFirst))
	})
}

// A remarking is what a person says of a key on the command line.
type remarking struct {
	*cli.Run
	cmd                                         *cobra.Command
	owner, purpose, system, note, expires, zone string
	consumers, tags                             []string
	permanent                                   bool
}

func newInventoryRemarkCmd(c *cli.Run) *cobra.Command {
	m := &remarking{Run: c}
	m.cmd = c.Command(cli.Command{
		Use:   "remark PROVIDER KEY",
		Short: c.T("Say who owns a key, what it is for and when it expires", "登记密钥的负责人、用途和到期时间"),
		Long: c.T(
			`Say who owns a key, what it is for and when it expires. What is not given stays.
A date without a zone means different instants in different places: give --zone as well
(the date begins there at midnight), or a time such as 2026-03-01T00:00:00+08:00.`,
			`登记密钥的负责人、用途和到期时间；未给出的内容保持不变。
没有时区的日期在各地对应不同的时刻：请同时给出 --zone（取当地该日零点），
或写出完整时间，例如 2026-03-01T00:00:00+08:00。`,
		),
		Example: "  keyward accesskey remark own KWAK… --owner ann --purpose payments --expires 2026-03-01 --zone Asia/Shanghai",
		Run: func(ctx context.Context, args []string) error {
			in, err := m.request()
			if err != nil {
				return err
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			k, err := server.RemarkInventoryKey(ctx, args[0], args[1], in)
			if err != nil {
				return err
			}
			return showInventoryKey(c, k)
		},
	})
	f := m.cmd.Flags()
	f.StringVar(&m.owner, "owner", "", c.T("`NAME` of who answers for it", "负责人 `NAME`"))
	f.StringVar(&m.purpose, "purpose", "", c.T("what it is for, as `TEXT`", "用途 `TEXT`"))
	f.StringVar(&m.system, "system", "", c.T("`NAME` of the system that it belongs to", "所属系统 `NAME`"))
	f.StringArrayVar(&m.consumers, "consumer", nil, c.T("`NAME` of a program that uses it; may be repeated; all are given anew", "使用方 `NAME`；可重复；整体替换"))
	f.StringArrayVar(&m.tags, "tag", nil, c.T("a tag, `KEY=VALUE`; may be repeated; all are given anew", "标签 `KEY=VALUE`；可重复；整体替换"))
	f.StringVar(&m.expires, "expires", "", c.T("the `TIME` at which it expires, or never", "到期时间 `TIME`，或 never"))
	f.StringVar(&m.zone, "zone", "", c.T("the `ZONE` of a date: Asia/Shanghai, UTC", "日期所在时区 `ZONE`：Asia/Shanghai、UTC"))
	f.BoolVar(&m.permanent, "permanent", false, c.T("it is accepted that nobody knows an expiry", "确认该密钥没有到期时间"))
	f.StringVar(&m.note, "note", "", c.T("a note, as `TEXT`", "备注 `TEXT`"))
	return m.cmd
}

// request answers what was given, and nothing else; an empty name among the consumers or
// the tags stands for none.
func (m *remarking) request() (in api.RemarkKeyRequest, err error) {
	set := m.cmd.Flags().Changed
	for name, to := range map[string]func(){
		"owner": func() { in.Owner = &m.owner }, "purpose": func() { in.Purpose = &m.purpose }, "system": func() { in.System = &m.system },
		"note": func() { in.Note = &m.note }, "permanent": func() { in.Permanent = &m.permanent },
		"consumer": func() { in.Consumers = new(given(m.consumers)) },
	} {
		if set(name) {
			to()
		}
	}
	if set("tag") {
		in.Tags = &map[string]string{}
		pairs, err := m.ReadTags(given(m.tags))
		if err != nil {
			return in, err
		}
		maps.Copy(*in.Tags, pairs)
	}
	if in.NeverExpires = m.expires == "never"; set("expires") && !in.NeverExpires {
		at, err := m.Instant(m.cmd, m.expires, m.zone)
		if err != nil {
			return in, err
		}
		in.ExpiresAt = &at
	}
	return in, nil
}

// given answers the texts that are not empty.
func given(list []string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// syncCmd reads providers now and waits until they were read.
func syncCmd(c *cli.Run, use string) *cobra.Command {
	patience := 10 * time.Minute
	cmd := c.Command(cli.Command{
		Use:   use,
		Short: c.T("Read providers now, all unless some are named", "立即读取密钥来源；不指定时读取全部"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all, err := server.ListProviders(ctx)
			if err != nil {
				return err
			}
			var wanted []api.Provider
			for _, p := range all.Providers {
				if slices.Contains(args, p.Name) || len(args) == 0 && !p.Paused {
					wanted = append(wanted, p)
				}
			}
			for _, name := range args {
				if !slices.ContainsFunc(wanted, func(p api.Provider) bool { return p.Name == name }) {
					return server.SyncProvider(ctx, name) // which says that it is not there
				}
			}
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			if len(args) == 0 {
				return syncAll(ctx, c, server, wanted, fault.UnsupportedOperation) // of providers whose keys people enter
			}
			return syncAll(ctx, c, server, wanted)
		}),
	})
	cmd.Flags().Var(cli.Days(&patience), "wait", c.T("wait for at most `PERIOD`", "最多等待 `PERIOD`"))
	return cmd
}

// syncAll has providers read and waits for each, but for those that are refused as without says.
func syncAll(ctx context.Context, c *cli.Run, server *client.Client, all []api.Provider, without ...fault.Kind) error {
	var wanted []api.Provider
	for _, p := range all {
		err := server.SyncProvider(ctx, p.Name)
		if remote.RefusedAs(err, without...) {
			continue
		}
		if err != nil {
			return err
		}
		wanted = append(wanted, p)
	}
	done := api.ProviderList{Providers: []api.Provider{}}
	failed := 0
	for _, before := range wanted {
		p, err := awaitSync(ctx, c, server, before)
		if err != nil {
			return err
		}
		done.Providers = append(done.Providers, p)
		if p.Sync.Error != "" {
			failed++
		}
	}
	if err := c.Show(done, func(t *cli.Table) {
		t.Add(c.T("PROVIDER", "来源"), c.T("KEYS", "密钥数"), c.T("TOOK", "用时"), c.T("PROBLEM", "问题"))
		for _, p := range done.Providers {
			t.Add(p.Name, strconv.Itoa(p.Sync.Keys), cli.OrDash(p.Sync.Took), cli.OrDash(syncError(c, p.Sync)))
			for _, problem := range p.Sync.Problems {
				t.Add("", "", "", problemText(problem))
			}
		}
	}); err != nil || failed == 0 {
		return err
	}
	return &cli.Problem{
		Message: fmt.Sprintf(c.T("%d of %d providers could not be read", "%d/%d 个密钥来源无法读取"), failed, len(wanted)),
		Next:    c.T("do what is said above, and repeat the command", "请按上面的说明处理后重试"),
	}
}

// awaitSync waits until a provider was read once more.
func awaitSync(ctx context.Context, c *cli.Run, server *client.Client, before api.Provider) (api.Provider, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		p, err := server.GetProvider(ctx, before.Name)
		if err != nil || !p.Sync.StartedAt.Equal(before.Sync.StartedAt) {
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, &cli.Problem{
				Message: fmt.Sprintf(c.T("%s is still being read", "%s 仍在读取"), before.Name),
				Next:    c.T("look again later: keyward provider list", "稍后查看：keyward provider list"),
			}
		case <-time.After(pause):
		}
	}
}
