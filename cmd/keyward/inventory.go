package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func newAccessKeyCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "accesskey",
		short: text{"Know the access keys that others issued", "查看其他平台签发的访问密钥"},
		long: text{
			"Know the access keys that others issued: clouds, services, payment platforms. keyward's own are managed with \"keyward user accesskey\".",
			"查看云平台、服务和支付平台签发的访问密钥。keyward 自己的访问密钥用 \"keyward user accesskey\" 管理。",
		},
	},
		newInventoryListCmd(c), newInventoryShowCmd(c), newInventoryRemarkCmd(c), c.syncCmd("sync [PROVIDER...]"), newCalendarCmd(c), newAccessKeyChecksCmd(c),
		newGuidesCmd(c), newEnterCmd(c), newForgetCmd(c))
}

func newInventoryListCmd(c *cli) *cobra.Command {
	var in api.ListInventoryRequest
	var within time.Duration
	cmd := c.command(command{
		use:     "list",
		short:   text{"List access keys, the most urgent first", "列出访问密钥，最紧急的在前"},
		example: "  keyward accesskey list --due-within 30d\n  keyward accesskey list --owner - --output csv > nobodys.csv",
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			if within != 0 {
				in.DueBefore = c.now().Add(within).UTC().Truncate(time.Second)
			}
			in.Limit = 1000
			all := api.InventoryList{Keys: []api.InventoryKey{}}
			if err := pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListInventory(ctx, in)
				all.Keys = append(all.Keys, page.Keys...)
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("PROVIDER", "来源"), c.t("KEY", "密钥"), c.t("NAME", "名称"), c.t("STATUS", "状态"), c.t("OWNER", "负责人"), c.t("AGE", "已使用"),
					c.t("LAST USED", "最近使用"), c.t("EXPIRES", "到期时间"), c.t("SAYS", "依据"), c.t("LEFT", "剩余"))
				for _, k := range all.Keys {
					t.add(k.Provider, k.ID, keyName(k), c.keyStatus(k.Status), orDash(k.Owner), c.age(k.CreatedAt), c.used(k.Use), when(k.Due.At), c.basis(k.Due.Basis), c.left(k.Due.At))
				}
			})
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.Provider, "provider", "", c.t("only of the provider `NAME`", "只列出来源 `NAME` 的密钥"))
	f.StringVar(&in.Status, "status", "", c.t("only with `STATUS`: active, inactive, expired, deleted or gone", "只列出状态为 `STATUS` 的：active、inactive、expired、deleted 或 gone"))
	f.StringVar(&in.Owner, "owner", "", c.t("only of `OWNER`, - for nobody's", "只列出 `OWNER` 负责的，- 表示无人负责"))
	f.StringVar(&in.Text, "text", "", c.t("only with `TEXT` in the id or the name", "只列出 ID 或名称包含 `TEXT` 的"))
	f.Var(days{&within}, "due-within", c.t("only what is due within `PERIOD`", "只列出 `PERIOD` 内到期的"))
	f.StringVar(&in.Order, "sort", "due", c.t("`ORDER`: due, age, use or name", "排序 `ORDER`：due（到期）、age（使用时长）、use（最近使用）或 name（名称）"))
	complete(cmd, "status", "active", "inactive", "expired", "deleted", "gone")
	complete(cmd, "sort", "due", "age", "use", "name")
	return cmd
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

func (c *cli) keyStatus(status string) string {
	zh := map[string]string{"active": "启用", "inactive": "已禁用", "expired": "已过期", "deleted": "已删除", "gone": "已消失"}[status]
	if zh == "" {
		return status
	}
	return c.t(status, zh)
}

// age writes how old something is, in the largest unit that says enough.
func (c *cli) age(since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return c.span(max(c.now().Sub(since), 0))
}

// left writes how long is left until a time, rounded down.
func (c *cli) left(until time.Time) string {
	switch d := until.Sub(c.now()); {
	case until.IsZero():
		return "-"
	case d <= 0:
		return c.t("EXPIRED", "已过期")
	default:
		return c.span(d)
	}
}

func (c *cli) span(d time.Duration) string {
	switch {
	case d < time.Hour:
		return fmt.Sprintf(c.t("%d min", "%d 分钟"), d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf(c.t("%d h", "%d 小时"), d/time.Hour)
	}
	return fmt.Sprintf(c.t("%d days", "%d 天"), d/day)
}

// used writes a last use with how far it may be behind.
func (c *cli) used(u api.KeyUse) string {
	said := map[string]string{"no": c.t("never", "从未使用"), "unknown": c.t("not told", "未提供"), "yes": when(u.At)}[u.Known]
	if u.Lag != "" && u.Known != "unknown" {
		said += fmt.Sprintf(c.t(" (as of %s ago)", "（延迟 %s）"), u.Lag)
	}
	return said
}

func (c *cli) basis(basis string) string {
	switch basis {
	case "provider":
		return c.t("provider", "平台给出")
	case "certificate":
		return c.t("certificate", "证书")
	case "declared":
		return c.t("declared", "人工登记")
	case "policy":
		return c.t("age limit", "最长使用期限")
	}
	return "-"
}

func newInventoryShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show PROVIDER KEY",
		short: text{"Show all that is known of an access key", "显示访问密钥的全部信息"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			k, err := server.GetInventoryKey(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			return c.showInventoryKey(k)
		},
	})
}

func (c *cli) showInventoryKey(k api.InventoryKey) error {
	return c.show(k, func(t *table) {
		t.add(c.t("Key", "密钥"), k.ID)
		t.add(c.t("Provider", "来源"), k.Provider+" ("+k.Kind+")")
		t.add(c.t("Name", "名称"), orDash(k.Name))
		t.add(c.t("Principal", "主体"), orDash(strings.TrimSpace(k.Principal.Name+" "+k.Principal.Kind)))
		t.add(c.t("Status", "状态"), c.keyStatus(k.Status))
		t.add(c.t("Created", "创建时间"), when(k.CreatedAt))
		t.add(c.t("Age", "已使用"), c.age(k.CreatedAt))
		t.add(c.t("Last used", "最近使用"), c.used(k.Use))
		t.add(c.t("Used for", "用于"), orDash(strings.TrimSpace(k.Use.Service+" "+k.Use.Region+" "+k.Use.Source)))
		t.add(c.t("Due", "到期时间"), when(k.Due.At))
		t.add(c.t("Says", "依据"), c.basis(k.Due.Basis))
		t.add(c.t("Left", "剩余"), c.left(k.Due.At))
		r := k.Remark
		t.add(c.t("  as the provider says", "  平台给出"), when(k.Expiry.At))
		t.add(c.t("  as declared", "  人工登记"), when(r.ExpiresAt))
		t.add(c.t("Owner", "负责人"), orDash(k.Owner))
		t.add(c.t("Purpose", "用途"), orDash(r.Purpose))
		t.add(c.t("System", "系统"), orDash(r.System))
		t.add(c.t("Used by", "使用方"), orDash(strings.Join(r.Consumers, ", ")))
		t.add(c.t("Tags", "标签"), orDash(pairsText(r.Tags)))
		t.add(c.t("Permanent", "确认长期有效"), c.yesNo(r.Permanent))
		t.add(c.t("Note", "备注"), orDash(r.Note))
		t.add(c.t("Tags of the provider", "平台标签"), orDash(pairsText(k.Tags)))
		t.add(c.t("Details", "详情"), orDash(pairsText(k.Detail)))
		t.add(c.t("First seen", "首次发现"), when(k.SeenFirst))
	})
}

func pairsText(m map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+"="+m[name])
	}
	return strings.Join(out, ", ")
}

// A remarking is what a person says of a key on the command line.
type remarking struct {
	*cli
	cmd                                         *cobra.Command
	owner, purpose, system, note, expires, zone string
	consumers, tags                             []string
	permanent                                   bool
}

func newInventoryRemarkCmd(c *cli) *cobra.Command {
	m := &remarking{cli: c}
	m.cmd = c.command(command{
		use:   "remark PROVIDER KEY",
		short: text{"Say who owns a key, what it is for and when it expires", "登记密钥的负责人、用途和到期时间"},
		long: text{
			`Say who owns a key, what it is for and when it expires. What is not given stays.
A date without a zone means different instants in different places: give --zone as well
(the date begins there at midnight), or a time such as 2026-03-01T00:00:00+08:00.`,
			`登记密钥的负责人、用途和到期时间；未给出的内容保持不变。
没有时区的日期在各地对应不同的时刻：请同时给出 --zone（取当地该日零点），
或写出完整时间，例如 2026-03-01T00:00:00+08:00。`,
		},
		example: "  keyward accesskey remark own KWAK… --owner ann --purpose payments --expires 2026-03-01 --zone Asia/Shanghai",
		run: func(ctx context.Context, args []string) error {
			in, err := m.request()
			if err != nil {
				return err
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			k, err := server.RemarkInventoryKey(ctx, args[0], args[1], in)
			if err != nil {
				return err
			}
			return c.showInventoryKey(k)
		},
	})
	f := m.cmd.Flags()
	f.StringVar(&m.owner, "owner", "", c.t("`NAME` of who answers for it", "负责人 `NAME`"))
	f.StringVar(&m.purpose, "purpose", "", c.t("what it is for, as `TEXT`", "用途 `TEXT`"))
	f.StringVar(&m.system, "system", "", c.t("`NAME` of the system that it belongs to", "所属系统 `NAME`"))
	f.StringArrayVar(&m.consumers, "consumer", nil, c.t("`NAME` of a program that uses it; may be repeated; all are given anew", "使用方 `NAME`；可重复；整体替换"))
	f.StringArrayVar(&m.tags, "tag", nil, c.t("a tag, `KEY=VALUE`; may be repeated; all are given anew", "标签 `KEY=VALUE`；可重复；整体替换"))
	f.StringVar(&m.expires, "expires", "", c.t("the `TIME` at which it expires, or never", "到期时间 `TIME`，或 never"))
	f.StringVar(&m.zone, "zone", "", c.t("the `ZONE` of a date: Asia/Shanghai, UTC", "日期所在时区 `ZONE`：Asia/Shanghai、UTC"))
	f.BoolVar(&m.permanent, "permanent", false, c.t("it is accepted that nobody knows an expiry", "确认该密钥没有到期时间"))
	f.StringVar(&m.note, "note", "", c.t("a note, as `TEXT`", "备注 `TEXT`"))
	return m.cmd
}

// request answers what was given, and nothing else; an empty name among the consumers or
// the tags stands for none.
func (m *remarking) request() (in api.RemarkKeyRequest, err error) {
	set := m.cmd.Flags().Changed
	for name, to := range map[string]func(){
		"owner": func() { in.Owner = &m.owner }, "purpose": func() { in.Purpose = &m.purpose }, "system": func() { in.System = &m.system },
		"note": func() { in.Note = &m.note }, "permanent": func() { in.Permanent = &m.permanent },
		"consumer": func() { in.Consumers = ptr(given(m.consumers)) },
	} {
		if set(name) {
			to()
		}
	}
	if set("tag") {
		in.Tags = &map[string]string{}
		pairs, err := m.cli.tags(given(m.tags))
		if err != nil {
			return in, err
		}
		maps.Copy(*in.Tags, pairs)
	}
	if in.NeverExpires = m.expires == "never"; set("expires") && !in.NeverExpires {
		at, err := m.instant(m.cmd, m.expires, m.zone)
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

// instant reads a time with a zone, or a date or time in the zone that is named. A date is
// its beginning there.
func (c *cli) instant(cmd *cobra.Command, s, zone string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		if zone != "" {
			return t, c.usage(cmd, "the time has a zone already; leave --zone out", "时间已含时区，请去掉 --zone")
		}
		return t.UTC(), nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05", time.DateTime} {
		if _, err := time.Parse(layout, s); err != nil {
			continue
		}
		if zone == "" {
			return time.Time{}, c.usage(cmd, "a date without a zone may be a day off: add --zone Asia/Shanghai, or write it as %sT00:00:00+08:00",
				"没有时区的日期可能相差一天：请加上 --zone Asia/Shanghai，或写成 %sT00:00:00+08:00", s[:len(time.DateOnly)])
		}
		place, err := time.LoadLocation(zone)
		if err != nil || zone == "Local" {
			return time.Time{}, c.usage(cmd, "there is no such zone; zones look like Asia/Shanghai or UTC", "没有此时区；时区应形如 Asia/Shanghai 或 UTC")
		}
		t, err := time.ParseInLocation(layout, s, place)
		return t.UTC(), err
	}
	return time.Time{}, c.usage(cmd, "a time must look like 2026-01-31T15:04:05+08:00, or 2026-01-31 with --zone", "时间应形如 2026-01-31T15:04:05+08:00，或 2026-01-31 加 --zone")
}

// syncCmd reads providers now and waits until they were read.
func (c *cli) syncCmd(use string) *cobra.Command {
	patience := 10 * time.Minute
	cmd := c.command(command{
		use:   use,
		short: text{"Read providers now, all unless some are named", "立即读取密钥来源；不指定时读取全部"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
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
				return c.syncAll(ctx, server, wanted, "UnsupportedOperation") // of providers whose keys people enter
			}
			return c.syncAll(ctx, server, wanted, "")
		},
	})
	cmd.Flags().Var(days{&patience}, "wait", c.t("wait for at most `PERIOD`", "最多等待 `PERIOD`"))
	return cmd
}

// syncAll has providers read and waits for each, but for those that are refused with the code
// without.
func (c *cli) syncAll(ctx context.Context, server *client.Client, all []api.Provider, without string) error {
	var wanted []api.Provider
	for _, p := range all {
		err := server.SyncProvider(ctx, p.Name)
		var refused *client.Error
		if errors.As(err, &refused) && refused.Code == without {
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
		p, err := c.awaitSync(ctx, server, before)
		if err != nil {
			return err
		}
		done.Providers = append(done.Providers, p)
		if p.Sync.Error != "" {
			failed++
		}
	}
	if err := c.show(done, func(t *table) {
		t.add(c.t("PROVIDER", "来源"), c.t("KEYS", "密钥数"), c.t("TOOK", "用时"), c.t("PROBLEM", "问题"))
		for _, p := range done.Providers {
			t.add(p.Name, strconv.Itoa(p.Sync.Keys), orDash(p.Sync.Took), orDash(p.Sync.Error))
			for _, problem := range p.Sync.Problems {
				t.add("", "", "", problemText(problem))
			}
		}
	}); err != nil || failed == 0 {
		return err
	}
	return &problem{
		message: fmt.Sprintf(c.t("%d of %d providers could not be read", "%d/%d 个密钥来源无法读取"), failed, len(wanted)),
		next:    c.t("do what is said above, and repeat the command", "请按上面的说明处理后重试"),
	}
}

// awaitSync waits until a provider was read once more.
func (c *cli) awaitSync(ctx context.Context, server *client.Client, before api.Provider) (api.Provider, error) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		p, err := server.GetProvider(ctx, before.Name)
		if err != nil || !p.Sync.StartedAt.Equal(before.Sync.StartedAt) {
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, &problem{
				message: fmt.Sprintf(c.t("%s is still being read", "%s 仍在读取"), before.Name),
				next:    c.t("look again later: keyward provider list", "稍后查看：keyward provider list"),
			}
		case <-time.After(pause):
		}
	}
}

func newCalendarCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:     "calendar",
		short:   text{"Write all expiries as a calendar (iCalendar)", "将所有到期时间输出为日历（iCalendar）"},
		example: "  keyward accesskey calendar > keys.ics",
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			calendar, err := server.GetCalendar(ctx, api.CalendarRequest{Language: string(c.lang)})
			if err != nil {
				return err
			}
			_, err = io.WriteString(c.out, calendar.Text)
			return err
		},
	})
}
