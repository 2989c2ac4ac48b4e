package keycmd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyward/keyward/api"
	"github.com/keyward/keyward/client"
	"github.com/keyward/keyward/internal/cli"
	"github.com/keyward/keyward/internal/cli/remote"
	"github.com/keyward/keyward/internal/material"
)

func newKeyCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{Use: "key", Short: c.T("Manage and use keys", "管理和使用密钥")},
		newKeyCreateCmd(c), newKeyListCmd(c), newKeyShowCmd(c), newKeyVersionsCmd(c), newKeyRotateCmd(c),
		newKeyEnableCmd(c), newKeyDisableCmd(c), newKeyDeleteCmd(c), newKeyRestoreCmd(c), newKeyProtectCmd(c),
		newKeyDescribeCmd(c), newAliasCmd(c), newTagCmd(c), newKeySignCmd(c), newKeyVerifyCmd(c), newKeyPublicKeyCmd(c), newKeyPolicyCmd(c),
		newKeyUsageCmd(c), newKeyResourceCmd(c), newKeyImportCmd(c), newKeyDropMaterialCmd(c), newKeyCSRCmd(c))
}

// The specs and usages of keys, for flags and their completion.
func keySpecs() []string {
	var names []string
	for _, s := range material.Specs() {
		names = append(names, string(s))
	}
	return names
}

func keyUsages() []string { return []string{"ENCRYPT/DECRYPT", "SIGN/VERIFY", "GENERATE/VERIFY_MAC"} }

func newKeyCreateCmd(c *cli.Run) *cobra.Command {
	var in api.CreateKeyRequest
	var alias string
	var tags []string
	var every time.Duration
	var policy keyPolicy
	var hsm bool
	cmd := c.Command(cli.Command{
		Use:     "create",
		Short:   c.T("Create a key", "创建密钥"),
		Example: "  keyward key create --alias alias/reports --rotate-every 30d\n  keyward key create --spec EC_P256 --usage SIGN/VERIFY\n  keyward key create --spec EC_P256 --hsm",
		Run: func(ctx context.Context, _ []string) error {
			var err error
			if in.Tags, err = c.ReadTags(tags); err != nil {
				return err
			}
			if every != 0 {
				in.Rotation = &api.RotationRequest{Enabled: true, IntervalSeconds: int64(every / time.Second)}
			}
			if hsm {
				in.ProtectionLevel = "HSM"
			}
			in.Alias = alias
			return createKey(ctx, c, in, policy)
		},
	})
	f := cmd.Flags()
	f.StringVar(&in.Spec, "spec", "Aliyun_AES_256", c.T("type of the key: `SPEC` is one of ", "密钥规格 `SPEC`：")+strings.Join(keySpecs(), ", "))
	f.StringVar(&in.Usage, "usage", "", c.T("`USAGE`: ENCRYPT/DECRYPT, SIGN/VERIFY or GENERATE/VERIFY_MAC; by default what the spec is for", "用途 `USAGE`：ENCRYPT/DECRYPT、SIGN/VERIFY 或 GENERATE/VERIFY_MAC；默认由规格决定"))
	f.StringArrayVar(&in.AdditionalUsages, "also", nil, c.T("another `USAGE` that an asymmetric key may have beside the first; may be repeated", "非对称密钥的附加用途 `USAGE`；可重复"))
	f.StringVar(&in.Origin, "origin", "", c.T("`ORIGIN` of the material: Aliyun_KMS makes it here, EXTERNAL waits for keyward key import; default Aliyun_KMS", "密钥材料来源 `ORIGIN`：Aliyun_KMS 由服务器生成，EXTERNAL 等待 keyward key import；默认 Aliyun_KMS"))
	f.StringVar(&alias, "alias", "", c.T("also give it this `NAME`: alias/...", "同时创建别名 `NAME`：alias/..."))
	f.StringVar(&in.Description, "description", "", c.T("`TEXT` for people", "供人阅读的描述 `TEXT`"))
	f.StringArrayVar(&tags, "tag", nil, c.T("a tag, `KEY=VALUE`; may be repeated", "标签 `KEY=VALUE`；可重复"))
	f.Var(cli.Days(&every), "rotate-every", c.T("make a new version every `PERIOD`, 7d to 365d", "每隔 `PERIOD` 自动轮转，7d 至 365d"))
	policy.flags(c, f, "policy-file")
	f.StringVar(&in.Instance, "instance", "", c.T("in the `INSTANCE` with this id or name, whose class decides where the key lives", "在此 ID 或名称的实例 `INSTANCE` 中创建，实例类型决定密钥存放的位置"))
	f.StringVar(&in.ExternalKeyID, "external-id", "", c.T("in an external instance: the `ID` of the key at the manager", "在外部实例中：密钥在外部密钥管理系统中的 `ID`"))
	f.BoolVar(&hsm, "hsm", false, c.T("in the hardware token, which it never leaves", "存放在硬件令牌中，永不导出"))
	cli.Complete(cmd, "spec", keySpecs()...)
	cli.Complete(cmd, "usage", keyUsages()...)
	cli.Complete(cmd, "also", keyUsages()...)
	cli.Complete(cmd, "origin", "Aliyun_KMS", "EXTERNAL")
	return cmd
}

func createKey(ctx context.Context, c *cli.Run, in api.CreateKeyRequest, policy keyPolicy) error {
	server, err := remote.Connect(c)
	if err != nil {
		return err
	}
	if in.Policy, err = policy.document(ctx, c, server); err != nil {
		return err
	}
	key, err := server.CreateKey(ctx, in)
	if err != nil {
		return err
	}
	return showKey(c, key)
}

// showKey writes all that there is to know of a key.
func showKey(c *cli.Run, k api.Key) error {
	return c.Show(k, func(t *cli.Table) {
		t.Add(c.T("Key", "密钥"), k.ID)
		t.Add("ARN", k.ARN)
		t.Add(c.T("Spec", "规格"), k.Spec)
		t.Add(c.T("Usage", "用途"), strings.Join(append([]string{k.Usage}, k.AdditionalUsages...), ", "))
		t.Add(c.T("State", "状态"), keyState(c, k.State))
		if !k.DeleteAt.IsZero() {
			t.Add(c.T("Deletion", "删除时间"), cli.When(k.DeleteAt))
		}
		t.Add(c.T("Description", "描述"), cli.OrDash(k.Description))
		t.Add(c.T("Created", "创建时间"), cli.When(k.CreatedAt))
		t.Add(c.T("Primary version", "主版本"), k.PrimaryVersion)
		t.Add(c.T("Versions", "版本数"), strconv.Itoa(k.Versions))
		t.Add(c.T("Rotation", "自动轮转"), rotation(c, k.Rotation))
		protection := c.YesNo(k.Protection.Enabled)
		if k.Protection.Note != "" {
			protection += " (" + k.Protection.Note + ")"
		}
		t.Add(c.T("Deletion protection", "删除保护"), protection)
		t.Add(c.T("Origin", "来源"), k.Origin+", "+k.ProtectionLevel)
		if k.Instance != "" {
			t.Add(c.T("Instance", "实例"), k.Instance)
		}
		if k.ExternalKeyID != "" {
			t.Add(c.T("External key", "外部密钥"), k.ExternalKeyID)
		}
		if !k.ExpireAt.IsZero() {
			t.Add(c.T("Material expires", "密钥材料到期"), cli.When(k.ExpireAt))
		}
		t.Add(c.T("Tags", "标签"), cli.OrDash(cli.Pairs(k.Tags)))
	})
}

// keyState writes a key's state in the user's language.
func keyState(c *cli.Run, state string) string {
	switch state {
	case "Enabled":
		return c.T(state, "已启用")
	case "Disabled":
		return c.T(state, "已禁用")
	case "PendingDeletion":
		return c.T(state, "待删除")
	case "PendingImport":
		return c.T(state, "待导入")
	}
	return state
}

func rotation(c *cli.Run, r api.Rotation) string {
	every := cli.Period(time.Duration(r.IntervalSeconds) * time.Second)
	switch r.Status {
	case "Enabled":
		return fmt.Sprintf(c.T("every %s, next %s", "每 %s，下次 %s"), every, cli.When(r.NextAt))
	case "Suspended":
		return fmt.Sprintf(c.T("every %s, suspended until the key is enabled", "每 %s，密钥启用前暂停"), every)
	}
	return c.T("off", "关闭")
}

func newKeyListCmd(c *cli.Run) *cobra.Command {
	var in api.ListKeysRequest
	cmd := c.Command(cli.Command{
		Use:   "list",
		Short: c.T("List keys", "列出密钥"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, _ []string) error {
			all := api.KeyList{Keys: []api.Key{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				in.Cursor = cursor
				page, err := server.ListKeys(ctx, in)
				all.Keys, all.Total = append(all.Keys, page.Keys...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("KEY", "密钥"), c.T("SPEC", "规格"), c.T("USAGE", "用途"), c.T("STATE", "状态"), c.T("CREATED", "创建时间"), c.T("DESCRIPTION", "描述"))
				for _, k := range all.Keys {
					t.Add(k.ID, k.Spec, k.Usage, keyState(c, k.State), cli.When(k.CreatedAt), k.Description)
				}
			})
		}),
	})
	f := cmd.Flags()
	f.StringSliceVar(&in.States, "state", nil, c.T("only in one of the `STATES`: Enabled, Disabled, PendingDeletion, PendingImport", "只列出处于 `STATES` 状态的：Enabled、Disabled、PendingDeletion、PendingImport"))
	f.StringSliceVar(&in.Specs, "spec", nil, c.T("only of one of the `SPECS`", "只列出规格为 `SPECS` 的"))
	f.StringSliceVar(&in.Usages, "usage", nil, c.T("only with one of the `USAGES`", "只列出用途为 `USAGES` 的"))
	f.StringSliceVar(&in.Aliases, "alias", nil, c.T("only what one of the `ALIASES` points at", "只列出别名 `ALIASES` 指向的"))
	f.StringSliceVar(&in.Instances, "instance", nil, c.T("only of these `INSTANCES`, by id or name", "只列出这些实例 `INSTANCES`（ID 或名称）中的"))
	f.StringSliceVar(&in.TagKeys, "tag-key", nil, c.T("only with one of the tag `KEYS`", "只列出带有标签键 `KEYS` 的"))
	f.StringSliceVar(&in.TagValues, "tag-value", nil, c.T("only with one of the tag `VALUES`", "只列出带有标签值 `VALUES` 的"))
	cli.Complete(cmd, "state", "Enabled", "Disabled", "PendingDeletion", "PendingImport")
	cli.Complete(cmd, "spec", keySpecs()...)
	cli.Complete(cmd, "usage", keyUsages()...)
	return cmd
}

func newKeyShowCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "show KEY",
		Short: c.T("Show a key", "显示密钥"),
		Long:  c.T("Show a key, which is named by its id, an alias or its ARN, here and in all commands.", "显示密钥。在所有命令中，密钥都可以用 ID、别名或 ARN 表示。"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			key, err := server.DescribeKey(ctx, args[0])
			if err != nil {
				return err
			}
			return showKey(c, key)
		}),
	})
}

func newKeyVersionsCmd(c *cli.Run) *cobra.Command {
	return c.Command(cli.Command{
		Use:   "versions KEY",
		Short: c.T("List the versions of a key", "列出密钥的版本"),
		Run: remote.With(c, func(ctx context.Context, server *client.Client, args []string) error {
			all := api.KeyVersionList{Versions: []api.KeyVersion{}}
			if err := remote.Pages(func(cursor string) (string, error) {
				page, err := server.ListKeyVersions(ctx, args[0], api.PageRequest{Cursor: cursor})
				all.Versions, all.Total = append(all.Versions, page.Versions...), page.Total
				return page.Next, err
			}); err != nil {
				return err
			}
			return c.Show(all, func(t *cli.Table) {
				t.Add(c.T("NUMBER", "序号"), c.T("VERSION", "版本"), c.T("CREATED", "创建时间"))
				for _, v := range all.Versions {
					t.Add(strconv.Itoa(v.Number), v.ID, cli.When(v.CreatedAt))
				}
			})
		}),
	})
}

func newKeyRotateCmd(c *cli.Run) *cobra.Command {
	var every time.Duration
	var off bool
	var cmd *cobra.Command
	cmd = c.Command(cli.Command{
		Use:   "rotate KEY",
		Short: c.T("Rotate a key now, or set how often it rotates", "立即轮转密钥，或设置自动轮转周期"),
		Long: c.T(
			`Make a new version of a key, which encrypts from now on; what older versions encrypted
stays readable. With --every or --off only the policy of automatic rotation is changed.`,
			`为密钥创建新版本，此后用新版本加密；旧版本加密的内容仍可解密。
给出 --every 或 --off 时，只修改自动轮转策略。`,
		),
		Run: func(ctx context.Context, args []string) error {
			if off && every != 0 {
				return c.Usage(cmd, "--every and --off exclude each other", "--every 与 --off 不能同时使用")
			}
			server, err := remote.Connect(c)
			if err != nil {
				return err
			}
			if !off && every == 0 {
				version, err := server.CreateKeyVersion(ctx, args[0])
				if err != nil {
					return err
				}
				return c.Show(version, func(t *cli.Table) {
					t.Add(c.T("Key", "密钥"), version.Key)
					t.Add(c.T("New version", "新版本"), version.ID)
					t.Add(c.T("Number", "序号"), strconv.Itoa(version.Number))
				})
			}
			policy := api.RotationRequest{Enabled: !off, IntervalSeconds: int64(every / time.Second)}
			if err := server.SetKeyRotation(ctx, args[0], policy); err != nil {
				return err
			}
			if off {
				c.Say("%s does not rotate by itself any more", "%s 的自动轮转已关闭", args[0])
			} else {
				c.Say("%s rotates by itself from now on", "%s 的自动轮转已开启", args[0])
			}
			return c.ShowJSON(map[string]any{"key": args[0], "rotation": policy})
		},
	})
	cmd.Flags().Var(cli.Days(&every), "every", c.T("rotate by itself every `PERIOD`, 7d to 365d", "每隔 `PERIOD` 自动轮转，7d 至 365d"))
	cmd.Flags().BoolVar(&off, "off", false, c.T("no longer rotate by itself", "关闭自动轮转"))
	return cmd
}
