package keycmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
)

func newKeyEnableCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "enable KEY", c.T("Allow a key to be used", "启用密钥"), c.T("%s is enabled", "%s 已启用"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.EnableKey(ctx, args[0])
		})
}

func newKeyDisableCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "disable KEY", c.T("Forbid a key to be used, from now on", "禁用密钥，立即生效"), c.T("%s is disabled", "%s 已禁用"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			warn(ctx, c, server, args[0])
			return nil, server.DisableKey(ctx, args[0])
		})
}

func newKeyRestoreCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "restore KEY", c.T("Cancel the deletion of a key", "取消删除密钥"), c.T("%s is no longer about to be deleted", "%s 已取消删除"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.RestoreKey(ctx, args[0])
		})
}

func newKeyDeleteCmd(c *cli.Run) *cobra.Command {
	var days int
	cmd := c.Command(cli.Command{
		Use:   "delete KEY",
		Short: c.T("Schedule the deletion of a key", "计划删除密钥"),
		Long: c.T(
			`Schedule the deletion of a key. From now on it cannot be used; for so many days it can be
restored. After that, what it encrypted can never be decrypted again.`,
			`计划删除密钥。从现在起密钥不能使用；在给定的天数内可以取消删除。
之后，它加密的内容将永远无法解密。`,
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			key, err := server.DescribeKey(ctx, args[0]) // an alias could be pointed elsewhere while the question stands
			if err != nil {
				return err
			}
			warn(ctx, c, server, key.ID)
			when := c.Now().AddDate(0, 0, days).UTC().Format(time.DateOnly)
			if err := c.Confirm(ctx, key.ID, c.T(
				fmt.Sprintf("%s (%s) will be deleted on %s, in %d days. From then on, nothing that it encrypted can ever be decrypted again.", args[0], key.ID, when, days),
				fmt.Sprintf("%s（%s）将于 %s（%d 天后）删除。此后，它加密的内容将永远无法解密。", args[0], key.ID, when, days),
			)); err != nil {
				return err
			}
			if err := server.DeleteKey(ctx, key.ID, api.DeleteKeyRequest{Days: days}); err != nil {
				return err
			}
			c.Say("%s will be deleted on %s, in %d days; until then keyward key restore keeps it", "%s 将于 %s（%d 天后）删除；在此之前可用 keyward key restore 取消", key.ID, when, days)
			return c.ShowJSON(map[string]any{"key": key.ID, "days": days})
		}),
	})
	cmd.Flags().IntVar(&days, "days", 30, c.T("how long it can be restored: `DAYS`, 7 to 366", "可以取消删除的天数 `DAYS`，7 至 366"))
	return cmd
}

func newKeyProtectCmd(c *cli.Run) *cobra.Command {
	var off bool
	var note string
	cmd := remote.OnServer(c, "protect KEY", c.T("Protect a key from deletion", "开启密钥的删除保护"), c.T("the deletion protection of %s is changed", "%s 的删除保护已更改"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.ProtectKey(ctx, args[0], api.Protection{Enabled: !off, Note: note})
		})
	cmd.Flags().BoolVar(&off, "off", false, c.T("no longer protect it", "关闭删除保护"))
	cmd.Flags().StringVar(&note, "note", "", c.T("`TEXT` that says why", "说明原因的 `TEXT`"))
	return cmd
}

func newKeyDescribeCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "describe KEY TEXT", c.T("Set the description of a key", "设置密钥的描述"), c.T("the description of %s is set", "%s 的描述已设置"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.UpdateKeyDescription(ctx, args[0], api.DescriptionRequest{Description: args[1]})
		})
}

func newAliasCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "alias", Short: c.T("Manage other names for keys", "管理密钥别名")},
		remote.OnServer(c, "create ALIAS KEY", c.T("Give a key another name: alias/...", "为密钥创建别名：alias/..."), c.T("%s is created", "%s 已创建"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.CreateAlias(ctx, api.CreateAliasRequest{Name: args[0], Key: args[1]})
			}),
		remote.OnServer(c, "update ALIAS KEY", c.T("Point an alias at another key", "让别名指向其他密钥"), c.T("%s is updated", "%s 已更新"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.PointAlias(ctx, args[0], api.PointAliasRequest{Key: args[1]})
			}),
		remote.OnServer(c, "delete ALIAS", c.T("Delete an alias; its key stays", "删除别名，不影响密钥"), c.T("%s is deleted", "%s 已删除"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.DeleteAlias(ctx, args[0])
			}),
		newAliasListCmd(c))
}

func newAliasListCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "list [KEY]",
		Short: c.T("List aliases: all, or those of a key", "列出全部别名，或某个密钥的别名"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all := api.AliasList{Aliases: []api.Alias{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				ask := server.ListAliases
				if len(args) == 1 {
					ask = func(ctx context.Context, in api.PageRequest) (api.AliasList, error) {
						return server.ListKeyAliases(ctx, args[0], in)
					}
				}
				page, err := ask(ctx, api.PageRequest{Cursor: cursor})
				all.Aliases, all.Total = append(all.Aliases, page.Aliases...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("ALIAS", "别名"), c.T("KEY", "密钥"), c.T("CREATED", "创建时间"))
				for _, a := range all.Aliases {
					t.Add(a.Name, a.Key, cli.When(a.CreatedAt))
				}
			})
		}),
	})
}

func newTagCmd(c *cli.Run) *cobra.Command {
	add := remote.OnServer(c, "add KEY TAG=VALUE...", c.T("Add tags to a key", "为密钥添加标签"), c.T("the tags of %s are set", "%s 的标签已设置"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			tags, err := c.ReadTags(args[1:])
			if err != nil {
				return nil, err
			}
			return nil, server.TagKey(ctx, args[0], api.TagRequest{Tags: tags})
		})
	remove := remote.OnServer(c, "remove KEY TAG...", c.T("Remove tags from a key", "移除密钥的标签"), c.T("the tags of %s are removed", "%s 的标签已移除"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return nil, server.UntagKey(ctx, args[0], api.UntagRequest{Keys: args[1:]})
		})
	list := c.Command(cli.Command{
		Use:   "list KEY",
		Short: c.T("List the tags of a key", "列出密钥的标签"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			key, err := server.DescribeKey(ctx, args[0])
			if err != nil {
				return err
			}
			return c.Show(api.TagRequest{Tags: key.Tags}, func(t *cli.Table) {
				t.Add(c.T("TAG", "标签"), c.T("VALUE", "值"))
				for _, name := range slices.Sorted(maps.Keys(key.Tags)) {
					t.Add(name, key.Tags[name])
				}
			})
		}),
	})
	return c.Command(cli.Command{Use: "tag", Short: c.T("Manage the tags of keys", "管理密钥的标签")}, add, remove, list)
}
