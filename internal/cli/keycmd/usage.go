package keycmd

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/fault"
)

func newKeyUsageCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "usage KEY",
		Short: c.T("Show who uses a key, and whether it may be disabled", "显示谁在使用密钥，以及能否禁用"),
		Long: c.T(
			`Show who uses a key: principals, products, addresses and actions of the last 365 days, how
much each version encrypted, and the resources that products registered. The counts of
other servers of a cluster may be ten seconds old; the audit log has every use.`,
			`显示谁在使用密钥：最近 365 天的主体、产品、来源地址和操作，每个版本加密的次数，以及
各产品登记的资源。集群中其他服务器的计数可能滞后十秒；审计日志包含每一次使用。`,
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			u, err := server.GetKeyUsage(ctx, args[0])
			if err != nil {
				return err
			}
			if c.Output != "json" {
				for _, line := range verdict(c, u) {
					fmt.Fprintln(c.Out, line)
				}
			}
			return c.Show(u, func(t *cli.Table) { tabulateUsage(c, t, u) })
		}),
	})
}

// verdict answers in sentences whether a key may be disabled, and what breaks if it is.
func verdict(c *cli.Run, u api.KeyUsage) (lines []string) {
	say := func(en, zh string, args ...any) { lines = append(lines, fmt.Sprintf(c.T(en, zh), args...)) }
	switch u.Status {
	case "InUse":
		say("Key %s is in use: while it is disabled or gone, what stands below fails.", "密钥 %s 正在使用：禁用或删除后，下列使用将会失败。", u.Key)
	case "Idle":
		say("Key %s was not used for 90 days. Disable it, watch, and delete it later.", "密钥 %s 已 90 天未使用。可先禁用并观察，之后再删除。", u.Key)
	default:
		say("No use of key %s was counted. Disable it, watch, and delete it later.", "未统计到密钥 %s 的任何使用。可先禁用并观察，之后再删除。", u.Key)
	}
	if !u.LastUsed.IsZero() {
		say("Last used: %s", "最近使用：%s", cli.When(u.LastUsed))
	}
	if u.Made > 0 {
		say("Without it nobody can decrypt what it made (ciphertexts and data keys counted: %d).", "没有它，它生成的内容将无法解密（已统计密文和数据密钥：%d）。", u.Made)
	}
	if n := len(u.Resources); n > 0 {
		say("Registered resources: %d", "已登记的资源：%d", n)
	}
	say("Counted since %s; what was made before is not in these numbers.", "统计始于 %s；此前的使用不在其中。", cli.When(u.Since))
	return lines
}

func tabulateUsage(c *cli.Run, t *cli.Table, u api.KeyUsage) {
	t.Add(c.T("WHO", "主体"), c.T("PRODUCT", "产品"), c.T("FROM", "来源"), c.T("ACTION", "操作"), c.T("COUNT", "次数"), c.T("LAST", "最近"))
	for _, k := range u.Uses {
		t.Add(k.Principal, cli.OrDash(k.Product), cli.OrDash(k.Source), k.Action, strconv.FormatInt(k.Count, 10), cli.When(k.Last))
	}
	for _, v := range u.Versions {
		t.Add(c.T("version ", "版本 ")+v.Version, "-", "-", c.T("all", "全部"), strconv.FormatInt(v.Used, 10), cli.When(v.UsedAt))
		if v.Made > 0 {
			t.Add(c.T("version ", "版本 ")+v.Version, "-", "-", c.T("encrypted", "加密"), strconv.FormatInt(v.Made, 10), cli.When(v.MadeAt))
		}
	}
	for _, r := range u.Resources {
		t.Add(r.Name, r.Product, "-", c.T("registered", "已登记"), "-", cli.When(r.CreatedAt))
	}
}

// warn tells, before a key is taken out of use, who uses it. That it cannot be told, or that
// the caller may not know, does not hold up what has to be done.
func warn(ctx context.Context, c *cli.Run, server *client.Client, key string) {
	u, err := server.GetKeyUsage(ctx, key)
	switch {
	case remote.RefusedAs(err, fault.NoPermission):
		c.Say("Note: you may not see who uses %s (kms:ListKeyAssociations)", "注意：您无权查看谁在使用 %s（kms:ListKeyAssociations）", key)
	case err != nil: // what follows tells what is wrong
	case u.Status != "Unused":
		for _, line := range verdict(c, u) {
			c.Say("%s", "%s", line)
		}
		if c.Output == "json" {
			return
		}
		var t cli.Table
		tabulateUsage(c, &t, u)
		_ = t.Write(c.Err) // as with all that is said there
	}
}

func newKeyResourceCmd(c *cli.Run) *cobra.Command {
	var note string
	add := remote.OnServer(c, "add KEY PRODUCT NAME", c.T("Register what a product keeps under a key", "登记产品使用该密钥保护的资源"), c.T("it is registered with %s", "已登记到 %s"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.RegisterKeyResource(ctx, args[0], api.RegisterKeyResourceRequest{Product: args[1], Name: args[2], Note: note})
		})
	add.Flags().StringVar(&note, "note", "", c.T("`TEXT` for people", "供人阅读的说明 `TEXT`"))
	return c.Command(cli.Command{Use: "resource", Short: c.T("Manage what products keep under a key", "管理产品使用密钥保护的资源")}, add,
		remote.OnServer(c, "remove KEY PRODUCT NAME", c.T("Forget what a product kept under a key", "取消登记产品使用该密钥保护的资源"), c.T("it is not registered with %s any more", "已从 %s 取消登记"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.DeregisterKeyResource(ctx, args[0], api.DeregisterKeyResourceRequest{Product: args[1], Name: args[2]})
			}))
}
