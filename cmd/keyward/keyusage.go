package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
)

func newKeyUsageCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "usage KEY",
		short: text{"Show who uses a key, and whether it may be disabled", "显示谁在使用密钥，以及能否禁用"},
		long: text{
			`Show who uses a key: principals, products, addresses and actions of the last 365 days, how
much each version encrypted, and the resources that products registered. The counts of
other servers of a cluster may be ten seconds old; the audit log has every use.`,
			`显示谁在使用密钥：最近 365 天的主体、产品、来源地址和操作，每个版本加密的次数，以及
各产品登记的资源。集群中其他服务器的计数可能滞后十秒；审计日志包含每一次使用。`,
		},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			u, err := server.GetKeyUsage(ctx, args[0])
			if err != nil {
				return err
			}
			if c.output != "json" {
				for _, line := range c.verdict(u) {
					fmt.Fprintln(c.out, line)
				}
			}
			return c.show(u, func(t *table) { c.tabulateUsage(t, u) })
		},
	})
}

// verdict answers in sentences whether a key may be disabled, and what breaks if it is.
func (c *cli) verdict(u api.KeyUsage) (lines []string) {
	say := func(en, zh string, args ...any) { lines = append(lines, fmt.Sprintf(c.t(en, zh), args...)) }
	switch u.Status {
	case "InUse":
		say("Key %s is in use: while it is disabled, what stands below fails.", "密钥 %s 正在使用：禁用期间，下列使用将会失败。", u.Key)
	case "Idle":
		say("Key %s was not used for 90 days. Disable it, watch, and delete it later.", "密钥 %s 已 90 天未使用。可先禁用并观察，之后再删除。", u.Key)
	default:
		say("No use of key %s was counted. Disable it, watch, and delete it later.", "未统计到密钥 %s 的任何使用。可先禁用并观察，之后再删除。", u.Key)
	}
	if !u.LastUsed.IsZero() {
		say("Last used: %s", "最近使用：%s", when(u.LastUsed))
	}
	if u.Made > 0 {
		say("Without it nobody can decrypt what it made (ciphertexts and data keys counted: %d).", "没有它，它生成的内容将无法解密（已统计密文和数据密钥：%d）。", u.Made)
	}
	if n := len(u.Resources); n > 0 {
		say("Registered resources: %d", "已登记的资源：%d", n)
	}
	say("Counted since %s; what was made before is not in these numbers.", "统计始于 %s；此前的使用不在其中。", when(u.Since))
	return lines
}

func (c *cli) tabulateUsage(t *table, u api.KeyUsage) {
	t.add(c.t("WHO", "主体"), c.t("PRODUCT", "产品"), c.t("FROM", "来源"), c.t("ACTION", "操作"), c.t("COUNT", "次数"), c.t("LAST", "最近"))
	for _, k := range u.Uses {
		t.add(k.Principal, orDash(k.Product), orDash(k.Source), k.Action, strconv.FormatInt(k.Count, 10), when(k.Last))
	}
	for _, v := range u.Versions {
		t.add(c.t("version ", "版本 ")+v.Version, "-", "-", c.t("all", "全部"), strconv.FormatInt(v.Used, 10), when(v.UsedAt))
		if v.Made > 0 {
			t.add(c.t("version ", "版本 ")+v.Version, "-", "-", c.t("encrypted", "加密"), strconv.FormatInt(v.Made, 10), when(v.MadeAt))
		}
	}
	for _, r := range u.Resources {
		t.add(r.Name, r.Product, "-", c.t("registered", "已登记"), "-", when(r.CreatedAt))
	}
}

// warn tells, before a key is taken out of use, who uses it. That it cannot be told, or that
// the caller may not know, does not hold up what has to be done.
func (c *cli) warn(ctx context.Context, server *client.Client, key string) {
	u, err := server.GetKeyUsage(ctx, key)
	var refused *client.Error
	switch {
	case errors.As(err, &refused) && refused.Code == "NoPermission":
		c.say("Note: you may not see who uses %s (kms:ListKeyAssociations)", "注意：您无权查看谁在使用 %s（kms:ListKeyAssociations）", key)
	case err != nil: // what follows tells what is wrong
	case u.Status != "Unused":
		for _, line := range c.verdict(u) {
			c.say("%s", "%s", line)
		}
		if c.output == "json" {
			return
		}
		var t table
		c.tabulateUsage(&t, u)
		_ = t.write(c.err) // as with all that is said there
	}
}

func newKeyResourceCmd(c *cli) *cobra.Command {
	var note string
	add := c.onServer("add KEY PRODUCT NAME", text{"Register what a product keeps under a key", "登记产品使用该密钥保护的资源"}, text{"it is registered with %s", "已登记到 %s"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.RegisterKeyResource(ctx, args[0], api.RegisterKeyResourceRequest{Product: args[1], Name: args[2], Note: note})
		})
	add.Flags().StringVar(&note, "note", "", c.t("`TEXT` for people", "供人阅读的说明 `TEXT`"))
	return c.command(command{use: "resource", short: text{"Manage what products keep under a key", "管理产品使用密钥保护的资源"}}, add,
		c.onServer("remove KEY PRODUCT NAME", text{"Forget what a product kept under a key", "取消登记产品使用该密钥保护的资源"}, text{"it is not registered with %s any more", "已从 %s 取消登记"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.DeregisterKeyResource(ctx, args[0], api.DeregisterKeyResourceRequest{Product: args[1], Name: args[2]})
			}))
}
