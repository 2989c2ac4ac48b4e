package secretcmd

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
)

func newSecretCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "secret", Short: c.T("Keep secrets: passwords, API keys, certificates", "保管凭据：密码、API 密钥、证书")},
		newSecretPutCmd(c), newSecretGetCmd(c), newSecretListCmd(c), newSecretShowCmd(c), newSecretVersionsCmd(c),
		newSecretRollbackCmd(c), newSecretStageCmd(c), newSecretUpdateCmd(c), newSecretTagCmd(c),
		newSecretDeleteCmd(c), newSecretRestoreCmd(c), newSecretPasswordCmd(c), newSecretPolicyCmd(c))
}

func newSecretListCmd(c *cli.Run) *cobra.Command {
	var in api.ListSecretsRequest
	cmd := c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List secrets, without their values", "列出凭据，不显示凭据值"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all := api.SecretList{Secrets: []api.Secret{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListSecrets(ctx, in)
				all.Secrets, all.Total = append(all.Secrets, page.Secrets...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("SECRET", "凭据"), c.T("STATE", "状态"), c.T("VERSIONS", "版本数"), c.T("UPDATED", "更新时间"), c.T("DESCRIPTION", "描述"))
				for _, s := range all.Secrets {
					t.Add(s.Name, secretState(c, s), strconv.Itoa(s.Versions), cli.When(s.UpdatedAt), s.Description)
				}
			})
		}),
	})
	f := cmd.Flags()
	f.StringVar(&in.StartsWith, "prefix", "", c.T("only those whose name begins with `TEXT`", "只列出名称以 `TEXT` 开头的"))
	f.StringSliceVar(&in.TagKeys, "tag-key", nil, c.T("only with one of the tag `KEYS`", "只列出带有标签键 `KEYS` 的"))
	f.StringSliceVar(&in.TagValues, "tag-value", nil, c.T("only with one of the tag `VALUES`", "只列出带有标签值 `VALUES` 的"))
	f.BoolVar(&in.Deleting, "deleting", false, c.T("only those that are about to be deleted", "只列出待删除的"))
	return cmd
}

func secretState(c *cli.Run, s api.Secret) string {
	if s.DeleteAt.IsZero() {
		return c.T("in use", "使用中")
	}
	return c.T("to be deleted", "待删除")
}

func newSecretShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show NAME",
		Short: c.T("Show a secret, without its value", "显示凭据，不显示凭据值"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			secret, err := server.DescribeSecret(ctx, args[0])
			if err != nil {
				return err
			}
			return showSecret(c, secret)
		}),
	})
}

// showSecret writes all that there is to know of a secret but its value.
func showSecret(c *cli.Run, s api.Secret) error {
	return c.Show(s, func(t *cli.Table) {
		t.Add(c.T("Secret", "凭据"), s.Name)
		t.Add("ARN", s.ARN)
		t.Add(c.T("State", "状态"), secretState(c, s))
		if !s.DeleteAt.IsZero() {
			t.Add(c.T("Deletion", "删除时间"), cli.When(s.DeleteAt))
		}
		t.Add(c.T("Description", "描述"), cli.OrDash(s.Description))
		t.Add(c.T("Key", "密钥"), s.Key)
		t.Add(c.T("Created", "创建时间"), cli.When(s.CreatedAt))
		t.Add(c.T("Created by", "创建者"), s.Creator)
		t.Add(c.T("Updated", "更新时间"), cli.When(s.UpdatedAt))
		t.Add(c.T("Versions", "版本数"), strconv.Itoa(s.Versions))
		for _, stage := range slices.Sorted(maps.Keys(s.Stages)) {
			t.Add(stage, s.Stages[stage])
		}
		t.Add(c.T("Tags", "标签"), cli.OrDash(cli.Pairs(s.Tags)))
	})
}

func newSecretVersionsCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "versions NAME",
		Short: c.T("List the versions of a secret, without their values", "列出凭据的版本，不显示凭据值"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all := api.SecretVersionList{Versions: []api.SecretVersion{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				page, err := server.ListSecretVersions(ctx, args[0], api.PageRequest{Cursor: cursor})
				all.Versions, all.Total = append(all.Versions, page.Versions...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("NUMBER", "序号"), c.T("VERSION", "版本"), c.T("STAGES", "阶段"), c.T("CREATED", "创建时间"))
				for _, v := range all.Versions {
					t.Add(strconv.Itoa(v.Number), v.ID, cli.OrDash(strings.Join(v.Stages, ", ")), cli.When(v.CreatedAt))
				}
			})
		}),
	})
}

func newSecretRollbackCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "rollback NAME [VERSION]",
		Short: c.T("Make an older version current again", "回滚到旧版本"),
		Long: c.T(
			`Make the previous version of a secret current again, or the VERSION that is named. The
version that was current becomes the previous one: a second rollback undoes the first.`,
			`将凭据的上一个版本（或指定的 VERSION）重新设为当前版本。
原来的当前版本成为上一个版本：再次回滚即可恢复。`,
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			var in api.RollbackSecretRequest
			if len(args) == 2 {
				in.Version = args[1]
			}
			secret, err := server.RollbackSecret(ctx, args[0], in)
			if err != nil {
				return err
			}
			c.Say("%s: version %s is current now", "%s：当前版本现在是 %s", secret.Name, secret.Stages["ACSCurrent"])
			return c.ShowJSON(secret)
		}),
	})
}

func newSecretStageCmd(c *cli.Run) *cobra.Command {
	var in api.MoveStageRequest
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "stage NAME STAGE",
		Short: c.T("Move a stage to another version, or take it away", "将阶段移到其他版本，或移除阶段"),
		Run: func(ctx context.Context, args []string) error {
			if in.To == "" && in.From == "" {
				return c.Usage(cmd, "--to or --from is missing", "缺少 --to 或 --from")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			secret, err := server.MoveSecretStage(ctx, args[0], args[1], in)
			if err != nil {
				return err
			}
			c.Say("%s: %s stands on %s", "%s：%s 位于 %s", secret.Name, args[1], cli.OrDash(secret.Stages[args[1]]))
			return c.ShowJSON(secret)
		},
	})
	cmd.Flags().StringVar(&in.To, "to", "", c.T("`VERSION` on which it will stand; without it the stage is taken away", "目标版本 `VERSION`；不给出则移除该阶段"))
	cmd.Flags().StringVar(&in.From, "from", "", c.T("`VERSION` on which it must stand now", "当前必须所在的版本 `VERSION`"))
	return cmd
}

func newSecretUpdateCmd(c *cli.Run) *cobra.Command {
	var description, key string
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "update NAME",
		Short: c.T("Change a secret's description, or the key for its versions to come", "修改凭据的描述，或后续版本使用的密钥"),
		Run: func(ctx context.Context, args []string) error {
			var in api.UpdateSecretRequest
			if cmd.Flags().Changed("description") {
				in.Description = &description
			}
			if cmd.Flags().Changed("key") {
				in.Key = &key
			}
			if in == (api.UpdateSecretRequest{}) {
				return c.Usage(cmd, "--description or --key is missing", "缺少 --description 或 --key")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			secret, err := server.UpdateSecret(ctx, args[0], in)
			if err != nil {
				return err
			}
			return showSecret(c, secret)
		},
	})
	cmd.Flags().StringVar(&description, "description", "", c.T("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	cmd.Flags().StringVar(&key, "key", "", c.T("id, alias or ARN of the `KEY`", "密钥 `KEY` 的 ID、别名或 ARN"))
	return cmd
}

func newSecretTagCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "tag", Short: c.T("Manage the tags of secrets", "管理凭据的标签")},
		remote.OnServer(c, "add NAME TAG=VALUE...", c.T("Add tags to a secret", "为凭据添加标签"), c.T("the tags of %s are set", "%s 的标签已设置"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				tags, err := c.ReadTags(args[1:])
				if err != nil {
					return nil, err
				}
				return nil, server.TagSecret(ctx, args[0], api.TagRequest{Tags: tags})
			}),
		remote.OnServer(c, "remove NAME TAG...", c.T("Remove tags from a secret", "移除凭据的标签"), c.T("the tags of %s are removed", "%s 的标签已移除"),
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.UntagSecret(ctx, args[0], api.UntagRequest{Keys: args[1:]})
			}))
}

func newSecretDeleteCmd(c *cli.Run) *cobra.Command {
	var in api.DeleteSecretRequest
	cmd := c.Command(cli.Command{
		Use:   "delete NAME",
		Short: c.T("Delete a secret, after a time in which it can be restored", "删除凭据，可在恢复期内恢复"),
		Long: c.T(
			`Delete a secret. From now on its value cannot be read; for so many days it can be
restored. With --force it is deleted at once, with all its versions, for ever.`,
			`删除凭据。从现在起不能读取凭据值；在给定的天数内可以恢复。
使用 --force 时立即删除凭据及其所有版本，无法恢复。`,
		),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			name := args[0]
			end := c.Now().AddDate(0, 0, in.Days).UTC().Format(time.DateOnly)
			question := c.T(
				fmt.Sprintf("%s will be deleted on %s, in %d days. From now on nobody can read it.", name, end, in.Days),
				fmt.Sprintf("%s 将于 %s（%d 天后）删除。从现在起无人能读取它。", name, end, in.Days),
			)
			if in.Force {
				in.Days = 0
				question = c.T(
					fmt.Sprintf("%s will be deleted now, with all its versions. It cannot be restored.", name),
					fmt.Sprintf("%s 及其所有版本将立即删除，无法恢复。", name),
				)
			}
			if err := c.Confirm(ctx, name, question); err != nil {
				return err
			}
			secret, err := server.DeleteSecret(ctx, name, in)
			if err != nil {
				return err
			}
			if in.Force {
				c.Say("%s is deleted", "%s 已删除", name)
			} else {
				c.Say("%s will be deleted on %s; until then keyward secret restore keeps it", "%s 将于 %s 删除；在此之前可用 keyward secret restore 恢复", name, cli.When(secret.DeleteAt))
			}
			return c.ShowJSON(secret)
		}),
	})
	cmd.Flags().IntVar(&in.Days, "days", 30, c.T("how long it can be restored: `DAYS`, 7 to 30", "可以恢复的天数 `DAYS`，7 至 30"))
	cmd.Flags().BoolVar(&in.Force, "force", false, c.T("delete it at once, for ever", "立即永久删除"))
	return cmd
}

func newSecretRestoreCmd(c *cli.Run) *cobra.Command {
	return remote.OnServer(c, "restore NAME", c.T("Keep a secret that is about to be deleted", "恢复待删除的凭据"), c.T("%s is no longer about to be deleted", "%s 已恢复"),
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.RestoreSecret(ctx, args[0])
		})
}
