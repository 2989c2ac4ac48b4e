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

func newSecretCmd(c *cli) *cobra.Command {
	return c.command(command{use: "secret", short: text{"Keep secrets: passwords, API keys, certificates", "保管凭据：密码、API 密钥、证书"}},
		newSecretPutCmd(c), newSecretGetCmd(c), newSecretListCmd(c), newSecretShowCmd(c), newSecretVersionsCmd(c),
		newSecretRollbackCmd(c), newSecretStageCmd(c), newSecretUpdateCmd(c), newSecretTagCmd(c),
		newSecretDeleteCmd(c), newSecretRestoreCmd(c), newSecretPasswordCmd(c), newSecretPolicyCmd(c))
}

func newSecretListCmd(c *cli) *cobra.Command {
	var in api.ListSecretsRequest
	cmd := c.command(command{
		use:   "list",
		short: text{"List secrets, without their values", "列出凭据，不显示凭据值"},
		run: func(ctx context.Context, _ []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all := api.SecretList{Secrets: []api.Secret{}}
			if err := pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListSecrets(ctx, in)
				all.Secrets, all.Total = append(all.Secrets, page.Secrets...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("SECRET", "凭据"), c.t("STATE", "状态"), c.t("VERSIONS", "版本数"), c.t("UPDATED", "更新时间"), c.t("DESCRIPTION", "描述"))
				for _, s := range all.Secrets {
					t.add(s.Name, c.secretState(s), strconv.Itoa(s.Versions), when(s.UpdatedAt), s.Description)
				}
			})
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.StartsWith, "prefix", "", c.t("only those whose name begins with `TEXT`", "只列出名称以 `TEXT` 开头的"))
	f.StringSliceVar(&in.TagKeys, "tag-key", nil, c.t("only with one of the tag `KEYS`", "只列出带有标签键 `KEYS` 的"))
	f.StringSliceVar(&in.TagValues, "tag-value", nil, c.t("only with one of the tag `VALUES`", "只列出带有标签值 `VALUES` 的"))
	f.BoolVar(&in.Deleting, "deleting", false, c.t("only those that are about to be deleted", "只列出待删除的"))
	return cmd
}

func (c *cli) secretState(s api.Secret) string {
	if s.DeleteAt.IsZero() {
		return c.t("in use", "使用中")
	}
	return c.t("to be deleted", "待删除")
}

func newSecretShowCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "show NAME",
		short: text{"Show a secret, without its value", "显示凭据，不显示凭据值"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			secret, err := server.DescribeSecret(ctx, args[0])
			if err != nil {
				return err
			}
			return c.showSecret(secret)
		},
	})
}

// showSecret writes all that there is to know of a secret but its value.
func (c *cli) showSecret(s api.Secret) error {
	return c.show(s, func(t *table) {
		t.add(c.t("Secret", "凭据"), s.Name)
		t.add("ARN", s.ARN)
		t.add(c.t("State", "状态"), c.secretState(s))
		if !s.DeleteAt.IsZero() {
			t.add(c.t("Deletion", "删除时间"), when(s.DeleteAt))
		}
		t.add(c.t("Description", "描述"), orDash(s.Description))
		t.add(c.t("Key", "密钥"), s.Key)
		t.add(c.t("Created", "创建时间"), when(s.CreatedAt))
		t.add(c.t("Created by", "创建者"), s.Creator)
		t.add(c.t("Updated", "更新时间"), when(s.UpdatedAt))
		t.add(c.t("Versions", "版本数"), strconv.Itoa(s.Versions))
		for _, stage := range slices.Sorted(maps.Keys(s.Stages)) {
			t.add(stage, s.Stages[stage])
		}
		var tags []string
		for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
			tags = append(tags, key+"="+s.Tags[key])
		}
		t.add(c.t("Tags", "标签"), orDash(strings.Join(tags, ", ")))
	})
}

func newSecretVersionsCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "versions NAME",
		short: text{"List the versions of a secret, without their values", "列出凭据的版本，不显示凭据值"},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			all := api.SecretVersionList{Versions: []api.SecretVersion{}}
			if err := pages(func(cursor string) (string, error) {
				page, err := server.ListSecretVersions(ctx, args[0], api.PageRequest{Cursor: cursor})
				all.Versions, all.Total = append(all.Versions, page.Versions...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.show(all, func(t *table) {
				t.add(c.t("NUMBER", "序号"), c.t("VERSION", "版本"), c.t("STAGES", "阶段"), c.t("CREATED", "创建时间"))
				for _, v := range all.Versions {
					t.add(strconv.Itoa(v.Number), v.ID, orDash(strings.Join(v.Stages, ", ")), when(v.CreatedAt))
				}
			})
		},
	})
}

func newSecretRollbackCmd(c *cli) *cobra.Command {
	return c.command(command{
		use:   "rollback NAME [VERSION]",
		short: text{"Make an older version current again", "回滚到旧版本"},
		long: text{
			`Make the previous version of a secret current again, or the VERSION that is named. The
version that was current becomes the previous one: a second rollback undoes the first.`,
			`将凭据的上一个版本（或指定的 VERSION）重新设为当前版本。
原来的当前版本成为上一个版本：再次回滚即可恢复。`,
		},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			var in api.RollbackSecretRequest
			if len(args) == 2 {
				in.Version = args[1]
			}
			secret, err := server.RollbackSecret(ctx, args[0], in)
			if err != nil {
				return err
			}
			c.say("%s: version %s is current now", "%s：当前版本现在是 %s", secret.Name, secret.Stages["ACSCurrent"])
			return c.jsonOnly(secret)
		},
	})
}

// jsonOnly writes a result that a person was told of otherwise.
func (c *cli) jsonOnly(v any) error {
	if c.output != "json" {
		return nil
	}
	return writeJSON(c.out, v)
}

func newSecretStageCmd(c *cli) *cobra.Command {
	var in api.MoveStageRequest
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "stage NAME STAGE",
		short: text{"Move a stage to another version, or take it away", "将阶段移到其他版本，或移除阶段"},
		run: func(ctx context.Context, args []string) error {
			if in.To == "" && in.From == "" {
				return c.usage(cmd, "--to or --from is missing", "缺少 --to 或 --from")
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			secret, err := server.MoveSecretStage(ctx, args[0], args[1], in)
			if err != nil {
				return err
			}
			c.say("%s: %s stands on %s", "%s：%s 位于 %s", secret.Name, args[1], orDash(secret.Stages[args[1]]))
			return c.jsonOnly(secret)
		},
	})
	cmd.Flags().StringVar(&in.To, "to", "", c.t("`VERSION` on which it will stand; without it the stage is taken away", "目标版本 `VERSION`；不给出则移除该阶段"))
	cmd.Flags().StringVar(&in.From, "from", "", c.t("`VERSION` on which it must stand now", "当前必须所在的版本 `VERSION`"))
	return cmd
}

func newSecretUpdateCmd(c *cli) *cobra.Command {
	var description, key string
	var cmd *cobra.Command
	cmd = c.command(command{
		use:   "update NAME",
		short: text{"Change a secret's description, or the key for its versions to come", "修改凭据的描述，或后续版本使用的密钥"},
		run: func(ctx context.Context, args []string) error {
			var in api.UpdateSecretRequest
			if cmd.Flags().Changed("description") {
				in.Description = &description
			}
			if cmd.Flags().Changed("key") {
				in.Key = &key
			}
			if in == (api.UpdateSecretRequest{}) {
				return c.usage(cmd, "--description or --key is missing", "缺少 --description 或 --key")
			}
			server, err := c.connect()
			if err != nil {
				return err
			}
			secret, err := server.UpdateSecret(ctx, args[0], in)
			if err != nil {
				return err
			}
			return c.showSecret(secret)
		},
	})
	cmd.Flags().StringVar(&description, "description", "", c.t("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	cmd.Flags().StringVar(&key, "key", "", c.t("id, alias or ARN of the `KEY`", "密钥 `KEY` 的 ID、别名或 ARN"))
	return cmd
}

func newSecretTagCmd(c *cli) *cobra.Command {
	return c.command(command{use: "tag", short: text{"Manage the tags of secrets", "管理凭据的标签"}},
		c.onServer("add NAME TAG=VALUE...", text{"Add tags to a secret", "为凭据添加标签"}, text{"the tags of %s are set", "%s 的标签已设置"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				tags, err := c.tags(args[1:])
				if err != nil {
					return nil, err
				}
				return nil, server.TagSecret(ctx, args[0], api.TagRequest{Tags: tags})
			}),
		c.onServer("remove NAME TAG...", text{"Remove tags from a secret", "移除凭据的标签"}, text{"the tags of %s are removed", "%s 的标签已移除"},
			func(ctx context.Context, server *client.Client, args []string) (any, error) {
				return nil, server.UntagSecret(ctx, args[0], api.UntagRequest{Keys: args[1:]})
			}))
}

func newSecretDeleteCmd(c *cli) *cobra.Command {
	var in api.DeleteSecretRequest
	cmd := c.command(command{
		use:   "delete NAME",
		short: text{"Delete a secret, after a time in which it can be restored", "删除凭据，可在恢复期内恢复"},
		long: text{
			`Delete a secret. From now on its value cannot be read; for so many days it can be
restored. With --force it is deleted at once, with all its versions, for ever.`,
			`删除凭据。从现在起不能读取凭据值；在给定的天数内可以恢复。
使用 --force 时立即删除凭据及其所有版本，无法恢复。`,
		},
		run: func(ctx context.Context, args []string) error {
			server, err := c.connect()
			if err != nil {
				return err
			}
			name := args[0]
			end := time.Now().AddDate(0, 0, in.Days).UTC().Format(time.DateOnly)
			question := text{
				fmt.Sprintf("%s will be deleted on %s, in %d days. From now on nobody can read it.", name, end, in.Days),
				fmt.Sprintf("%s 将于 %s（%d 天后）删除。从现在起无人能读取它。", name, end, in.Days),
			}
			if in.Force {
				in.Days = 0
				question = text{
					fmt.Sprintf("%s will be deleted now, with all its versions. It cannot be restored.", name),
					fmt.Sprintf("%s 及其所有版本将立即删除，无法恢复。", name),
				}
			}
			if err := c.confirm(ctx, name, question); err != nil {
				return err
			}
			secret, err := server.DeleteSecret(ctx, name, in)
			if err != nil {
				return err
			}
			if in.Force {
				c.say("%s is deleted", "%s 已删除", name)
			} else {
				c.say("%s will be deleted on %s; until then keyward secret restore keeps it", "%s 将于 %s 删除；在此之前可用 keyward secret restore 恢复", name, when(secret.DeleteAt))
			}
			return c.jsonOnly(secret)
		},
	})
	cmd.Flags().IntVar(&in.Days, "days", 30, c.t("how long it can be restored: `DAYS`, 7 to 30", "可以恢复的天数 `DAYS`，7 至 30"))
	cmd.Flags().BoolVar(&in.Force, "force", false, c.t("delete it at once, for ever", "立即永久删除"))
	return cmd
}

func newSecretRestoreCmd(c *cli) *cobra.Command {
	return c.onServer("restore NAME", text{"Keep a secret that is about to be deleted", "恢复待删除的凭据"}, text{"%s is no longer about to be deleted", "%s 已恢复"},
		func(ctx context.Context, server *client.Client, args []string) (any, error) {
			return server.RestoreSecret(ctx, args[0])
		})
}

// readAtMost reads all of r, and refuses what is longer than a value may be before it is
// all in memory.
func readAtMost(r io.Reader, limit int) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("reading the value: %w", err)
	}
	if len(content) > limit {
		return nil, errors.New("reading the value: it is too long")
	}
	return content, nil
}
